// Whether a response may be stored by a shared cache (RFC 9111 3) under a route's rules. Pure.
#pragma once

#include "config/model.hpp"
#include "core/cache_control.hpp"
#include "core/freshness.hpp"
#include "core/message.hpp"
#include "core/reasons.hpp"

namespace pillion {

/// What of a request matters to storing and reusing, parsed once per request.
struct RequestFacts {
  bool has_authorization = false;
  bool has_cookie = false;
  bool has_range = false;
  RequestDirectives directives;
  Method method = Method::get;  ///< of the request that goes to the upstream: responses to a GET alone are stored
};

RequestFacts facts_of(const RequestHead& request) noexcept;

/// Whether a request counts as personal to the route: it has Authorization or Cookie, and the route neither ignores
/// nor keys on it. Then only what the response allows explicitly is stored or reused.
struct PersonalParts {
  bool authorization = false;
  bool cookie = false;
};
PersonalParts personal_parts(const RequestFacts& facts, const config::Route& route) noexcept;

struct StoreDecision {
  bool store = false;
  Detail reason = Detail::none;  ///< why not
};

/// RFC 9111 3 and product rules: method GET; a final status that speaks of the resource; neither `no-store` (request or
/// response) nor `private` (unless the route ignores them); Authorization needs public, s-maxage or must-revalidate
/// (3.5); Cookie needs an explicit lifetime; Set-Cookie as the route says; `Vary: *`, or of over max_vary_fields names,
/// never; 206 and 304 never; with `must-understand` a status that RFC 9110 says how to cache (`no-store` beside it is
/// then meant for others, 5.2.2.3). What is stale from the start is worth storing only where it has a validator or may
/// be used while stale; a silent response needs a lifetime from the route, or `no-cache` and a status that RFC
/// 9110 15.1 lets be stored unasked. What an ignored `private` or `no-store` came with permits nothing to requests with
/// Cookie or Authorization.
///
/// Refused whatever the lifetime: 400, 403, 413, 414, 429, 431, every registered 5xx and what is 600 or above, and what
/// speaks of one request or connection alone (401, 407, 408, 412, 416, 417, 421, 425, 426), but where ttl_by_status
/// names one (429 and 431 never). A status that nobody has registered (299, 499, 599) is stored with an explicit
/// lifetime; the route's `ttl` gives it none.
StoreDecision may_store(const RequestFacts& facts, const ResponseMeta& meta, Fields response_fields,
                        const config::Route& route) noexcept;

/// The part of may_store() that depends on neither the response's fields nor its age: whether the route of today
/// permits to have this response stored and to give it to that request. `personal` are the parts of all requests
/// concerned. Detail::none where it does.
Detail refused_by(const ResponseMeta& meta, PersonalParts personal, const config::Route& route) noexcept;

/// lifetime_of(), but where a request concerned is personal never longer than the response itself says: a route's ttl
/// never makes a response shared that looks personal.
Lifetime permitted_lifetime(const ResponseMeta& meta, PersonalParts personal, const config::Route& route) noexcept;

/// Parts of the request that fetched a stored response, by the route of today.
PersonalParts personal_parts(const ResponseMeta& meta, const config::Route& route) noexcept;

}  // namespace pillion
