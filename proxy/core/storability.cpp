// What may be stored (RFC 9111 3). See storability.hpp.
#include "core/storability.hpp"

#include <algorithm>

#include "core/cache_key.hpp"

namespace pillion {
namespace {

/// Statuses whose caching RFC 9110 15 defines and Pillion does: what `must-understand` asks for (RFC 9111 5.2.2.3).
bool is_understood(unsigned status) noexcept {
  switch (status) {
    case 200:
    case 203:
    case 204:
    case 300:
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
    case 404:
    case 405:
    case 410:
      return true;
    default:
      return false;
  }
}

/// Errors that one odd request can provoke or that pass by themselves: stored, they would be everybody's. A status that
/// nobody has registered may mean anything: who gives it a lifetime knows why (RFC 9111 3).
bool is_refused_status(unsigned status) noexcept {
  if (status >= 600) return true;  // RFC 9110 15: outside the classes, to be taken for a 5xx
  switch (status) {
    case 500:
    case 501:
    case 502:
    case 503:
    case 504:
    case 505:
    case 506:
    case 507:
    case 508:
    case 510:
    case 511:
    case 400:
    case 403:
    case 413:
    case 414:
    case 401:  // from here on: of one request or connection alone
    case 407:
    case 408:
    case 412:
    case 416:
    case 417:
    case 421:
    case 425:
    case 426:
      return true;
    default:
      return false;
  }
}

Detail refused_status(unsigned status, const config::Route& route) noexcept {
  if (status == 206) return Detail::partial;  // RFC 9111 3.3: parts are not combined here
  // Interim ones are not responses to store (RFC 9111 3); 304 updates what is stored (4.3.4).
  if (status < 200 || status == 304 || status == 429 || status == 431) return Detail::status;
  if (is_refused_status(status) && !route.ttl_by_status.contains(status)) return Detail::status;
  return Detail::none;
}

/// RFC 9111 3.5. What also has a directive that forbids sharing contradicts itself: the route may ignore that
/// directive, but nothing has been permitted. s-maxage=0 (so is a malformed one) permits no use without validation.
bool permits_authorization(const ResponseDirectives& d) noexcept {
  return !d.no_store && !d.private_ && (d.public_ || d.must_revalidate || d.s_maxage > 0);
}

bool permits_cookie(const ResponseMeta& meta) noexcept {
  return !meta.directives.no_store && !meta.directives.private_ && explicit_lifetime(meta).ms > 0;
}

/// RFC 9111 4.1: `*` never matches; and what can't be made a variant's key in reason.
bool has_unusable_vary(Fields fields) noexcept {
  std::size_t names = 0;
  for (const Field& field : fields) {
    if (field.id != Name::vary) continue;
    std::string_view list = field.value;
    while (const auto member = next_member(list))
      if (*member == "*" || !is_token(*member) || ++names > max_vary_fields) return true;
  }
  return false;
}

/// RFC 9111 3, last condition: something says that it may be stored, be it the definition of the status (RFC
/// 9110 15.1).
bool may_be_stored_unasked(const ResponseMeta& meta, const config::Route& route) noexcept {
  switch (meta.status) {
    case 200:
    case 203:
    case 204:
    case 300:
    case 301:
    case 308:
    case 404:
    case 405:
    case 410:
      return true;
    default:
      return meta.directives.public_ || explicit_lifetime(meta).is_explicit() ||
             route.ttl_by_status.contains(meta.status);
  }
}

/// Whether storing it can be of any use: it will be fresh for a moment, can be validated (RFC 9111 3, last note), or
/// may be used while stale (RFC 5861).
Detail refused_as_useless(const ResponseMeta& meta, PersonalParts personal, const config::Route& route) noexcept {
  const Lifetime lifetime = permitted_lifetime(meta, personal, route);
  const bool always_validated = meta.directives.no_cache && !route.ignore_no_cache;
  if (always_validated) {
    if (!may_be_stored_unasked(meta, route)) return Detail::no_lifetime;
    return meta.has_validator ? Detail::none : Detail::no_cache;
  }
  const bool said = lifetime.is_explicit() || lifetime.ms > 0;
  if (!said) return Detail::no_lifetime;
  const StaleWindows stale = stale_windows(meta, route);
  const std::int64_t usable_ms = lifetime.ms + std::max(stale.while_revalidate_ms, stale.if_error_ms);
  const bool useful = usable_ms > current_age_ms(meta, {0, meta.received_mono_ms}) || meta.has_validator;
  return useful ? Detail::none : Detail::no_lifetime;
}

}  // namespace

RequestFacts facts_of(const RequestHead& request) noexcept {
  RequestFacts facts;
  facts.method = request.method;
  facts.has_authorization = find(request.fields, Name::authorization) != nullptr;
  facts.has_cookie = find(request.fields, Name::cookie) != nullptr;
  facts.has_range = find(request.fields, Name::range) != nullptr;
  facts.directives = parse_request_directives(request.fields);
  return facts;
}

PersonalParts personal_parts(const RequestFacts& facts, const config::Route& route) noexcept {
  return {facts.has_authorization && route.personal_authorization == config::Personal::careful,
          facts.has_cookie && route.personal_cookies == config::Personal::careful};
}

PersonalParts personal_parts(const ResponseMeta& meta, const config::Route& route) noexcept {
  RequestFacts fetched;
  fetched.has_authorization = meta.request_had_authorization;
  fetched.has_cookie = meta.request_had_cookie;
  return personal_parts(fetched, route);
}

Detail refused_by(const ResponseMeta& meta, PersonalParts personal, const config::Route& route) noexcept {
  const ResponseDirectives& d = meta.directives;
  if (route.cache == config::CacheMode::off) return Detail::cache_off;
  if (const Detail detail = refused_status(meta.status, route); detail != Detail::none) return detail;
  if (d.must_understand && !is_understood(meta.status)) return Detail::must_understand;
  // RFC 9111 5.2.2.3: who understands the status ought to ignore the no-store that comes with must-understand.
  if (d.no_store && !d.must_understand && !route.ignore_no_store) return Detail::no_store;
  if (d.private_ && !route.ignore_private) return Detail::private_;
  if (meta.had_set_cookie && route.set_cookie == config::SetCookie::refuse) return Detail::set_cookie;
  if (personal.authorization && !permits_authorization(d)) return Detail::authorization;
  if (personal.cookie && !permits_cookie(meta)) return Detail::cookie;
  return Detail::none;
}

Lifetime permitted_lifetime(const ResponseMeta& meta, PersonalParts personal, const config::Route& route) noexcept {
  const Lifetime lifetime = lifetime_of(meta, route);
  const Lifetime own = explicit_lifetime(meta);
  // Authorization may be permitted without a lifetime (`public`, RFC 9111 3.5); what lifetime there is binds.
  const bool bound = personal.cookie || (personal.authorization && own.is_explicit());
  return bound && own.ms < lifetime.ms ? jittered(own, meta, route) : lifetime;
}

StoreDecision may_store(const RequestFacts& facts, const ResponseMeta& meta, Fields response_fields,
                        const config::Route& route) noexcept {
  if (route.cache == config::CacheMode::off) return {false, Detail::cache_off};
  if (facts.method != Method::get) return {false, Detail::method};
  if (facts.directives.no_store) return {false, Detail::request_no_store};  // RFC 9111 5.2.1.5
  const PersonalParts now = personal_parts(facts, route);
  const PersonalParts recorded = personal_parts(meta, route);
  const PersonalParts personal{now.authorization || recorded.authorization, now.cookie || recorded.cookie};
  Detail reason = refused_by(meta, personal, route);
  if (reason == Detail::none && has_unusable_vary(response_fields)) reason = Detail::vary_star;
  if (reason == Detail::none) reason = refused_as_useless(meta, personal, route);
  return {reason == Detail::none, reason};
}

}  // namespace pillion
