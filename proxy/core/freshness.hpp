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

/// Facts of a response's head for storing and reuse. `request_wall_ms` is when the request was sent, `now` when the
/// head arrived: the two times of RFC 9111 4.2.3.
ResponseMeta make_meta(const ResponseHead& head, std::int64_t request_mono_ms, Now now);

/// RFC 9111 4.2.1, with the route's `freshness`, `ttl`, `ttl_by_status` and `heuristic` applied.
/// `ttl` serves 200, 203, 204, 300, 301, 308 and 410; other statuses have only what ttl_by_status names.
/// Where the route decides (`freshness: route`) its ttl goes before the response's lifetime; where the origin decides,
/// ttl is unused.
Lifetime lifetime_of(const ResponseMeta& meta, const config::Route& route) noexcept;

/// Explicit lifetime the response itself gives to a shared cache, route aside.
Lifetime explicit_lifetime(const ResponseMeta& meta) noexcept;

/// current_age of RFC 9111 4.2.3, never negative.
std::int64_t current_age_ms(const ResponseMeta& meta, Now now) noexcept;

}  // namespace pillion
