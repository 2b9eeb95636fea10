// The words of Cache-Status, logs and metrics. See reasons.hpp.
#include "core/reasons.hpp"

namespace pillion {

std::string_view to_string(Forward forward) noexcept {
  switch (forward) {
    case Forward::none:
      return "";
    case Forward::uri_miss:
      return "uri-miss";
    case Forward::vary_miss:
      return "vary-miss";
    case Forward::miss:
      return "miss";
    case Forward::stale:
      return "stale";
    case Forward::bypass:
      return "bypass";
    case Forward::method:
      return "method";
    case Forward::request:
      return "request";
  }
  return "";
}

std::string_view to_string(Detail detail) noexcept {
  switch (detail) {
    case Detail::none:
      return "";
    case Detail::memory:
      return "memory";
    case Detail::redis:
      return "redis";
    case Detail::revalidated:
      return "revalidated";
    case Detail::stale_while_revalidate:
      return "stale-while-revalidate";
    case Detail::stale_if_error:
      return "stale-if-error";
    case Detail::no_store:
      return "no-store";
    case Detail::private_:
      return "private";
    case Detail::set_cookie:
      return "set-cookie";
    case Detail::cookie:
      return "cookie";
    case Detail::authorization:
      return "authorization";
    case Detail::too_large:
      return "too-large";
    case Detail::no_lifetime:
      return "no-lifetime";
    case Detail::no_cache:
      return "no-cache";
    case Detail::cache_off:
      return "cache-off";
    case Detail::truncated:
      return "truncated";
    case Detail::close_delimited:
      return "close-delimited";
    case Detail::vary_star:
      return "vary-star";
    case Detail::event_stream:
      return "event-stream";
    case Detail::status:
      return "status";
    case Detail::store_unavailable:
      return "store-unavailable";
    case Detail::partial:
      return "partial";
    case Detail::invalidated:
      return "invalidated";
    case Detail::unsure:
      return "unsure";
    case Detail::request_no_store:
      return "request-no-store";
    case Detail::must_understand:
      return "must-understand";
    case Detail::only_if_cached:
      return "only-if-cached";
    case Detail::request_body:
      return "request-body";
    case Detail::path:
      return "path";
    case Detail::range:
      return "range";
    case Detail::upgrade:
      return "upgrade";
    case Detail::method:
      return "method";
    case Detail::shadow:
      return "shadow";
    case Detail::switched_off:
      return "switched-off";
    case Detail::connect_failed:
      return "connect-failed";
    case Detail::connect_timeout:
      return "connect-timeout";
    case Detail::response_timeout:
      return "response-timeout";
    case Detail::connection_reset:
      return "connection-reset";
    case Detail::bad_response:
      return "bad-response";
    case Detail::overloaded:
      return "overloaded";
    case Detail::breaker_open:
      return "breaker-open";
    case Detail::bad_request:
      return "bad-request";
    case Detail::no_route_upstream:
      return "no-route-upstream";
  }
  return "";
}

std::string_view to_string(Result result) noexcept {
  switch (result) {
    case Result::hit:
      return "hit";
    case Result::stale:
      return "stale";
    case Result::miss:
      return "miss";
    case Result::revalidated:
      return "revalidated";
    case Result::bypass:
      return "bypass";
    case Result::pass:
      return "pass";
    case Result::error:
      return "error";
    case Result::shadow:
      return "shadow";
  }
  return "";
}

std::string_view to_string(WarmResult result) noexcept {
  switch (result) {
    case WarmResult::stored:
      return "stored";
    case WarmResult::fresh:
      return "fresh";
    case WarmResult::uncacheable:
      return "uncacheable";
    case WarmResult::failed:
      return "failed";
    case WarmResult::no_room:
      return "no_room";
    case WarmResult::stopped:
      return "stopped";
  }
  return "";
}
static_assert(static_cast<std::size_t>(WarmResult::stopped) + 1 == warm_result_count);

}  // namespace pillion
