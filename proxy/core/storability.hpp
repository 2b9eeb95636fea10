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

/// RFC 9111 3 and product rules: method GET; a status understood; neither `no-store` (request or response) nor
/// `private` (unless the route ignores them); Authorization needs public, s-maxage or must-revalidate (3.5); Cookie
/// needs an explicit lifetime; Set-Cookie as the route says; `Vary: *` never; 206 never; a lifetime, or a validator
/// with `no-cache`, must be there. Refused whatever the lifetime: 400, 403, 413, 414, 429, 431 and every 5xx, but where
/// ttl_by_status names one (429 and 431 never).
StoreDecision may_store(const RequestFacts& facts, const ResponseMeta& meta, Fields response_fields,
                        const config::Route& route) noexcept;

}  // namespace pillion
