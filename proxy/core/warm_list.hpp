// Which URLs are to be warmed, as they stand in a list, and the list of the hottest ones that outlives the process.
// Pure. What is read back is not trusted: it may have been written by anyone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pillion {

inline constexpr std::size_t max_warm_url = 2048;  ///< bytes

/// One URL to be warmed.
struct WarmTarget {
  std::string listener;  ///< name of the one by which its clients come; empty: one without a name
  std::string url;       ///< a path with its query, or an absolute http(s) URL
  friend auto operator<=>(const WarmTarget&, const WarmTarget&) = default;
};

/// Whether it has the form of one: visible ASCII, `/...` or `http(s)://...`, no fragment. Empty, or what is wrong.
std::string_view why_no_warm_url(std::string_view url) noexcept;

/// A target that was asked for often.
struct HotUrl {
  WarmTarget target;
  std::uint64_t count = 0;  ///< requests
  std::int64_t seen_s = 0;  ///< by the wall clock: when it was among the hottest last
};

inline constexpr std::size_t max_hot_urls = 1000;
/// Seconds for which one that isn't among the hottest any more is remembered.
inline constexpr std::int64_t hot_url_age_s = 7 * 24 * 3600;

/// The first ones, as many as fit into `max_bytes`.
std::string write_hot_list(std::span<const HotUrl> list, std::size_t max_bytes);
/// At most `limit`; what isn't well-formed, or is too old at `now_s`, is left out.
std::vector<HotUrl> read_hot_list(std::string_view text, std::size_t limit, std::int64_t now_s);
/// `own`, filled up to `limit` with those of `before` that it lacks: a process that has just begun must not make
/// everyone forget what the others know.
std::vector<HotUrl> fill_up(std::vector<HotUrl> own, const std::vector<HotUrl>& before, std::size_t limit);

}  // namespace pillion
