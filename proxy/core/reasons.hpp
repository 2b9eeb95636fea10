// Why a request went the way it did. One value feeds Cache-Status, the log, the metric and explain. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/content_coding.hpp"

namespace pillion {

/// `fwd=` of Cache-Status (RFC 9211 2.2).
enum class Forward : std::uint8_t { none, uri_miss, vary_miss, miss, stale, bypass, method, request };

/// `detail=` of Cache-Status: where a hit came from, or in one word why nothing was stored or looked up.
enum class Detail : std::uint8_t {
  none,
  // where an answer came from
  memory,
  redis,
  revalidated,
  stale_while_revalidate,
  stale_if_error,
  // why a response was not stored
  no_store,
  private_,
  set_cookie,
  cookie,
  authorization,
  too_large,
  no_lifetime,
  no_cache,  ///< to be validated at each use, and nothing is there to validate it by
  cache_off,
  truncated,
  vary_star,
  close_delimited,  ///< only the end of the connection ends it: nothing proves it whole
  event_stream,     ///< text/event-stream: lives as long as its client listens
  status,
  partial,
  store_unavailable,  ///< there is no memory to keep it in, and Redis is out of reach
  invalidated,
  unsure,  ///< other replicas' invalidations aren't heard, and the route wants the upstream asked then
  request_no_store,
  must_understand,
  only_if_cached,  ///< nothing fresh is stored, and the client forbids asking the upstream
  // why a request was not looked up
  request_body,
  path,
  range,
  upgrade,
  method,
  shadow,        ///< `cache: shadow`: the application answers, and what is stored is compared
  switched_off,  ///< POST /bypass has switched the cache off for a while
  // what went wrong
  connect_failed,
  connect_timeout,
  response_timeout,
  connection_reset,
  bad_response,
  overloaded,
  breaker_open,  ///< not asked: it hasn't answered of late
  bad_request,
  no_route_upstream,
};

/// What /metrics counts a request as.
enum class Result : std::uint8_t { hit, stale, miss, revalidated, bypass, pass, error, shadow };
inline constexpr std::size_t result_count = 8;

/// What became of a URL that was to be warmed.
enum class WarmResult : std::uint8_t {
  stored,       ///< fetched and stored, by this replica or another
  fresh,        ///< it was there, and fresh
  uncacheable,  ///< it isn't looked up, or its answer may not be stored
  failed,       ///< no URL, no upstream, or no answer
  no_room,      ///< nothing colder was there to make room
  stopped,      ///< warming ended before its turn came
};
inline constexpr std::size_t warm_result_count = 6;

std::string_view to_string(WarmResult) noexcept;  ///< words with `_`
std::string_view to_string(Forward) noexcept;     ///< `uri-miss`...; empty for none
std::string_view to_string(Detail) noexcept;      ///< words with `-`; empty for none
std::string_view to_string(Result) noexcept;

/// What Cache-Status says of one answer (RFC 9211).
struct CacheStatus {
  bool hit = false;
  Forward forward = Forward::none;
  unsigned forward_status = 0;  ///< 0: leave out
  bool stored = false;
  bool collapsed = false;
  bool has_ttl = false;
  std::int64_t ttl_s = 0;
  Detail detail = Detail::none;
  Coding coding = Coding::identity;  ///< of an encoded form; identity: left out
  std::string_view key;              ///< only where the route says `cache_status: key`
};

}  // namespace pillion
