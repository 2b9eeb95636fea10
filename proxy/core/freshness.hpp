// How long a response is fresh and how old it is (RFC 9111 4.2). Pure.
#pragma once

#include <cstdint>

#include "config/model.hpp"
#include "core/message.hpp"
#include "core/stored_response.hpp"

namespace pillion {

enum class LifetimeFrom : std::uint8_t { none, s_maxage, max_age, expires, ttl, ttl_by_status, heuristic };
std::string_view to_string(
    LifetimeFrom) noexcept;  ///< `s-maxage`, `max-age`, `expires`, `ttl`, `ttl_by_status`, `heuristic`

struct Lifetime {
  std::int64_t ms = 0;
  LifetimeFrom from = LifetimeFrom::none;
  bool is_explicit() const noexcept {
    return from == LifetimeFrom::s_maxage || from == LifetimeFrom::max_age || from == LifetimeFrom::expires;
  }
};

/// A heuristic lifetime is never longer, in milliseconds.
inline constexpr std::int64_t max_heuristic_ms = 86'400'000;

/// Facts of a response's head for storing and reuse. `request_mono_ms` is when the request was sent, `now` when the
/// head arrived: the two times of RFC 9111 4.2.3. What the request had (`request_had_cookie`,
/// `request_had_authorization`) the caller fills in. An initial age of 2^31 - 1 ms (24 days) or more is kept as that
/// number, and such a response counts as older than any lifetime.
ResponseMeta make_meta(const ResponseHead& head, std::int64_t request_mono_ms, Now now);

/// RFC 9111 4.2.1, with the route's `freshness`, `ttl`, `ttl_by_status` and `heuristic` applied.
/// `ttl` serves 200, 203, 204, 300, 301, 308 and 410; other statuses have only what ttl_by_status names.
/// Where the route decides (`freshness: route`) these two go before the response's lifetime; where the origin decides,
/// they are unused. Where nothing else says anything, `heuristic` serves a response with Last-Modified whose status is
/// heuristically cacheable or that is `public` (RFC 9111 4.2.2).
///
/// With `adaptive` what was learned for the key takes the place of all these but ttl_by_status, within its bounds;
/// until something is, they hold up to its `max`. Never past an explicit lifetime, nor, where the route decides, past
/// what it decides or what the response says, whichever is longer. jittered() comes last.
Lifetime lifetime_of(const ResponseMeta& meta, const config::Route& route) noexcept;

/// A lot from 0 to 127, for ResponseMeta::draw: of that key and time of receipt, so the same wherever it is drawn.
std::uint8_t lifetime_draw(std::string_view primary_key, std::int64_t received_wall_ms) noexcept;

/// The lifetime less the response's lot (ResponseMeta::draw) of the route's jitter.
Lifetime jittered(Lifetime lifetime, const ResponseMeta& meta, const config::Route& route) noexcept;

/// Explicit lifetime the response itself gives to a shared cache, route aside.
Lifetime explicit_lifetime(const ResponseMeta& meta) noexcept;

/// How long past its lifetime a response may be used, in milliseconds (RFC 5861): while it is refreshed in the
/// background, and where the upstream fails. What the response says goes before what the route says, but where the
/// route decides
/// (`freshness: route`). Both 0 where stale answers are forbidden (RFC 9111 4.2.4): must-revalidate, proxy-revalidate,
/// s-maxage, no-cache.
struct StaleWindows {
  std::int64_t while_revalidate_ms = 0;
  std::int64_t if_error_ms = 0;
};
StaleWindows stale_windows(const ResponseMeta& meta, const config::Route& route) noexcept;
/// RFC 9111 4.2.4: who forbids stale answers, whatever a client would accept. s-maxage implies proxy-revalidate
/// (5.2.2.10).
bool forbids_stale(const ResponseDirectives& directives) noexcept;

/// current_age of RFC 9111 4.2.3: 0 to 2^31 seconds, in milliseconds. A response is fresh while its lifetime exceeds
/// it.
std::int64_t current_age_ms(const ResponseMeta& meta, Now now) noexcept;

/// Whether `a` is the more recent of two responses (RFC 9111 4): by Date, in one second by the time of receipt.
bool is_more_recent(const ResponseMeta& a, const ResponseMeta& b) noexcept;

}  // namespace pillion
