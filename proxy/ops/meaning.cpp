// The words of `detail=` as sentences, for /recent and `pillion why`.
#include "ops/recent.hpp"

namespace pillion {

std::string_view meaning_of(Detail detail) noexcept {
  switch (detail) {
    case Detail::none:
      return "";
    case Detail::memory:
      return "it came from memory";
    case Detail::redis:
      return "it came from Redis";
    case Detail::revalidated:
      return "the application confirmed what was stored";
    case Detail::stale_while_revalidate:
      return "it was stale, and is being fetched anew";
    case Detail::stale_if_error:
      return "it was stale, and the application failed";
    case Detail::no_store:
      return "the response says no-store";
    case Detail::private_:
      return "the response says private";
    case Detail::set_cookie:
      return "the response has Set-Cookie (`set_cookie:` says what becomes of it)";
    case Detail::cookie:
      return "the request had Cookie, and the response doesn't allow it to be shared (see `personal:`)";
    case Detail::authorization:
      return "the request had Authorization, and the response doesn't allow it to be shared (see `personal:`)";
    case Detail::too_large:
      return "it is larger than `max_object`, or has more than 1,000 tags";
    case Detail::no_lifetime:
      return "nothing says how long it is fresh (`ttl:` would)";
    case Detail::no_cache:
      return "it is to be validated at each use, and has nothing to validate it by";
    case Detail::cache_off:
      return "the route's cache is off";
    case Detail::truncated:
      return "the answer broke off";
    case Detail::vary_star:
      return "its Vary can't be met by any other request";
    case Detail::close_delimited:
      return "only the end of the connection ended it: nothing proves it whole";
    case Detail::event_stream:
      return "it is an event stream";
    case Detail::status:
      return "its status isn't one to store (`ttl_by_status:` may say so)";
    case Detail::partial:
      return "it is a part";
    case Detail::store_unavailable:
      return "there is no memory to keep it in, and Redis is out of reach";
    case Detail::invalidated:
      return "it was invalidated";
    case Detail::unsure:
      return "other replicas' invalidations aren't heard, and the route says when_unsure: fetch";
    case Detail::request_no_store:
      return "the request says no-store";
    case Detail::must_understand:
      return "the response says must-understand, and its status isn't known here";
    case Detail::only_if_cached:
      return "nothing fresh was stored, and the client forbade to ask the application";
    case Detail::request_body:
      return "the request has a body";
    case Detail::path:
      return "the path isn't safe as a key (dot segments, `//`, encoded slashes)";
    case Detail::range:
      return "a part was asked for, and nothing is stored";
    case Detail::upgrade:
      return "the request asks for another protocol";
    case Detail::method:
      return "the method isn't GET or HEAD";
    case Detail::shadow:
      return "the route says cache: shadow";
    case Detail::switched_off:
      return "POST /bypass has switched the cache off for a while";
    case Detail::connect_failed:
      return "the application couldn't be reached";
    case Detail::connect_timeout:
      return "the application didn't accept a connection in time";
    case Detail::response_timeout:
      return "the application didn't answer in time";
    case Detail::connection_reset:
      return "the application closed the connection";
    case Detail::bad_response:
      return "the application's answer wasn't valid HTTP";
    case Detail::breaker_open:
      return "the application has not answered of late, and isn't asked for a moment";
    case Detail::overloaded:
      return "the application has as many requests as it may have";
    case Detail::bad_request:
      return "the request was refused here";
    case Detail::no_route_upstream:
      return "no route matches, and there is no upstream for the rest";
    default:
      return to_string(detail);
  }
}

}  // namespace pillion
