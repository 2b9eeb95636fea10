// Cache-Control and the fields that go before it for a cache such as this (RFC 9213), parsed once into flags and
// numbers (RFC 9111 5.2). Pure. A directive of surprising syntax gets the conservative reading: what forbids counts,
// what allows does not.
#pragma once

#include <cstdint>

#include "core/headers.hpp"

namespace pillion {

/// Seconds of a delta that is absent; present ones saturate at 2^31 - 1 (RFC 9111 1.2.2).
inline constexpr std::int32_t no_delta = -1;

/// Of a response (RFC 9111 5.2.2, RFC 5861, RFC 8246). `private` and `no-cache` with field names count as without (a
/// cache may always do so). Of a number given twice or malformed the stricter reading holds: a malformed or repeated
/// max-age is 0 or the smallest.
struct ResponseDirectives {
  bool present : 1 = false;   ///< some Cache-Control field line was there, or a targeted field
  bool targeted : 1 = false;  ///< of a targeted field: Cache-Control, Expires and Pragma count for nothing. Not kept in
                              ///< Redis, since make_meta() has worked out what Expires says
  bool own : 1 = false;  ///< of Pillion-Cache-Control, which is no part of the stored head: a 304 without it keeps them
  bool no_store : 1 = false;
  bool no_cache : 1 = false;
  bool private_ : 1 = false;
  bool public_ : 1 = false;
  bool must_revalidate : 1 = false;
  bool proxy_revalidate : 1 = false;
  bool must_understand : 1 = false;
  bool no_transform : 1 = false;
  bool immutable : 1 = false;
  std::int32_t max_age = no_delta;
  std::int32_t s_maxage = no_delta;
  std::int32_t stale_while_revalidate = no_delta;
  std::int32_t stale_if_error = no_delta;
};

/// Of a request (RFC 9111 5.2.1).
struct RequestDirectives {
  bool no_store = false;
  bool no_cache = false;  ///< Pragma: no-cache too, where no Cache-Control is there (RFC 9111 5.4)
  bool only_if_cached = false;
  std::int32_t max_age = no_delta;
  std::int32_t min_fresh = no_delta;
  bool max_stale_any = false;  ///< max-stale without a number
  std::int32_t max_stale = no_delta;
};

/// Those of the first of Pillion-Cache-Control and CDN-Cache-Control that is a well-formed dictionary with at least one
/// member, else those of Cache-Control (RFC 9213 2.2). A targeted field is strict where Cache-Control is lenient: one
/// whose max-age, s-maxage, stale-while-revalidate or stale-if-error isn't an Integer from 0 on is as if absent, unless
/// it has no-store, private or no-cache. What forbids counts there with any value but ?0, what allows with the value
/// true alone. Parameters and unknown members are ignored.
ResponseDirectives parse_response_directives(Fields fields);
RequestDirectives parse_request_directives(Fields fields) noexcept;

/// `Age` (RFC 9111 5.1): the first member of the first line; not a non-negative integer: nullopt-like no_delta.
std::int32_t parse_age(Fields fields) noexcept;

}  // namespace pillion
