// What answers of the application look like beside earlier ones for the same URL, from digests in bounded memory: the
// figures that GET /advice speaks from. Pure but for its memory; the clock is an argument. One worker's.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace pillion {

/// How often an answer of that age was still what the application says. Ages in powers of two from 64 ms.
struct AgeTable {
  static constexpr std::size_t buckets = 20;  ///< the last one holds all from nine hours on
  std::array<std::uint32_t, buckets> same{}, other{};

  static std::size_t bucket_of(std::int64_t age_ms) noexcept;
  /// Upper bound of a bucket, milliseconds.
  static std::int64_t bound_ms(std::size_t bucket) noexcept { return std::int64_t{64} << bucket; }
  void note(std::int64_t age_ms, bool is_same) noexcept { ++(is_same ? same : other)[bucket_of(age_ms)]; }
  void add(const AgeTable& more) noexcept;
  std::uint64_t all_same() const noexcept;
  std::uint64_t all_other() const noexcept;
  /// The longest lifetime, milliseconds, for which at most `share` of the answers given would have been other ones;
  /// 0: not even the shortest.
  std::int64_t honest_ms(double share) const noexcept;
};

/// What one request header has to do with the answers: of pairs of answers to one URL, one after the other.
struct HeaderEvidence {
  std::string name;                                   ///< lower case
  std::uint32_t differs_other = 0, differs_same = 0;  ///< its value differed, and the answer was another, or the same
  std::uint32_t equal_other = 0, equal_same = 0;      ///< its value was the same
};

/// What is known of one route's answers.
struct RouteInsight {
  static constexpr std::size_t max_headers = 16;

  std::uint64_t fetches = 0;                ///< answers of the upstream to requests that clients waited for
  std::uint64_t upstream_us = 0;            ///< that these took
  std::uint64_t fetched_bytes = 0;          ///< of bodies of answers that came from no store
  std::array<std::uint64_t, 8> forwards{};  ///< misses by Forward
  // Of answers that were passed on: GETs with small bodies.
  std::uint64_t passed = 0;
  std::uint64_t passed_again = 0;      ///< for a URL seen shortly before
  std::uint64_t passed_same = 0;       ///< of these, byte for byte what it was
  std::uint64_t passed_same_us = 0;    ///< upstream time spent on those
  std::uint64_t passed_personal = 0;   ///< of `passed`: asked for with Cookie or Authorization
  std::uint64_t passed_forbidden = 0;  ///< of `passed`: no-store, private or Set-Cookie
  AgeTable passed_ages;
  // What refreshes of expired responses brought.
  std::uint64_t refreshed_same = 0, refreshed_other = 0;
  // Of a shadow route: what the stored response would have been.
  AgeTable shadow_ages;
  std::vector<HeaderEvidence> headers;  ///< max_headers at most, the first that were seen

  void add(const RouteInsight& more);
};

/// One request header, for AnswerWatch.
struct WatchedHeader {
  std::string_view name;
  std::uint64_t value_hash = 0;
};
/// Whether a header may tell answers apart: not one that belongs to the connection, to conditions, or to tracing, and
/// such as differ with each request anyway.
bool is_watched_header(std::string_view name) noexcept;

/// The last answer for each of some thousand URLs.
class AnswerWatch {
 public:
  static constexpr std::size_t size = 1024;             ///< a power of two
  static constexpr std::size_t max_body = 64u << 10;    ///< larger ones aren't looked at
  static constexpr std::int64_t memory_ms = 3'600'000;  ///< what was seen longer ago counts as not seen
  static constexpr std::int64_t pair_ms = 60'000;       ///< headers are compared between answers no further apart

  struct Beside {
    bool again = false;       ///< the URL was seen before
    bool same = false;        ///< and its answer was this one
    std::int64_t age_ms = 0;  ///< since the answer that this is compared with was first seen
  };
  /// Compares and remembers. `url`: hash of all that selects the answer; `answer`: digest of status and body; headers
  /// that are not yet among the route's are added to them while there is room.
  Beside observe(RouteInsight& route, std::uint64_t url, std::uint64_t answer, std::span<const WatchedHeader> headers,
                 std::int64_t now_ms);

 private:
  struct Entry {
    std::uint64_t url = 0, answer = 0;
    std::int64_t first_ms = 0, last_ms = 0;
    std::array<std::uint32_t, RouteInsight::max_headers> headers{};  // 0: absent
  };
  std::unique_ptr<Entry[]> entries_;  // made at the first use
  std::uint32_t conflicts_ = 0;
};

}  // namespace pillion
