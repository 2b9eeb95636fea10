// What may answer from the store (RFC 9111 4). See reuse.hpp.
#include "core/reuse.hpp"

#include <algorithm>

namespace pillion {
namespace {

std::int64_t ms_of(std::int32_t seconds) noexcept { return std::int64_t{seconds} * 1000; }

/// RFC 9111 5.2.1.2. Just stale, at ttl 0, is stale: fresh is what has some lifetime left (4.2).
bool client_accepts_stale(const RequestDirectives& d, std::int64_t ttl_ms) noexcept {
  return d.max_stale_any || (d.max_stale != no_delta && -ttl_ms <= ms_of(d.max_stale));
}

/// Whether this request wants a stored response of that age checked first, however fresh (RFC 9111 5.2.1).
bool wants_validation(const RequestDirectives& d, std::int64_t age_ms, std::int64_t ttl_ms) noexcept {
  if (d.no_cache) return true;  // 5.2.1.4
  // 5.2.1.1. max-age=0 is how clients say 'reload': not even a response of this very millisecond will do.
  if (d.max_age != no_delta && (d.max_age == 0 || age_ms > ms_of(d.max_age))) return true;
  return d.min_fresh != no_delta && ttl_ms < ms_of(d.min_fresh);  // 5.2.1.3
}

/// What is left of a lifetime that ended then: 0 or less.
std::int64_t since_ms(std::int64_t ended_mono_ms, Now now) noexcept {
  constexpr std::uint64_t longest_ms = std::uint64_t{1} << 50;
  if (ended_mono_ms >= now.mono_ms) return 0;
  const std::uint64_t passed = static_cast<std::uint64_t>(now.mono_ms) - static_cast<std::uint64_t>(ended_mono_ms);
  return -static_cast<std::int64_t>(std::min(passed, longest_ms));
}

PersonalParts either(PersonalParts a, PersonalParts b) noexcept {
  return {a.authorization || b.authorization, a.cookie || b.cookie};
}

}  // namespace

ReuseDecision may_reuse(const RequestFacts& facts, const ResponseMeta& meta, const config::Route& route, Now now,
                        std::optional<std::int64_t> stale_since_ms) noexcept {
  ReuseDecision decision;
  const auto refuse = [&](Forward forward, Detail detail) {
    decision.reuse = Reuse::refuse;
    decision.forward = forward;
    decision.detail = detail;
    return decision;
  };
  const StaleWindows windows = stale_windows(meta, route);
  const auto validate = [&](Forward forward) {
    decision.reuse = Reuse::validate;
    decision.forward = forward;
    decision.serves_error =
        windows.if_error_ms > 0 && -decision.ttl_ms <= windows.if_error_ms && !facts.directives.no_cache;
    if (stale_since_ms && !decision.serves_error) decision.detail = Detail::invalidated;
    return decision;
  };

  if (route.cache == config::CacheMode::off) return refuse(Forward::bypass, Detail::cache_off);

  // Would it be stored today, by the request that fetched it? And may this request have it?
  const PersonalParts fetched = personal_parts(meta, route);
  const PersonalParts personal = either(fetched, personal_parts(facts, route));
  if (const Detail why = refused_by(meta, fetched, route); why != Detail::none) return refuse(Forward::miss, why);
  if (const Detail why = refused_by(meta, personal, route); why != Detail::none) return refuse(Forward::request, why);

  const Lifetime lifetime = permitted_lifetime(meta, personal, route);
  const bool always_validated = meta.directives.no_cache && !route.ignore_no_cache;
  decision.age_ms = current_age_ms(meta, now);
  decision.ttl_ms = lifetime.ms - decision.age_ms;
  if (stale_since_ms) decision.ttl_ms = std::min(decision.ttl_ms, since_ms(*stale_since_ms, now));
  if (always_validated) return validate(Forward::stale);  // RFC 9111 5.2.2.4
  if (lifetime.from == LifetimeFrom::none) return refuse(Forward::miss, Detail::no_lifetime);

  const bool fresh = decision.ttl_ms > 0;  // RFC 9111 4.2
  const bool accepted =
      !stale_since_ms && !forbids_stale(meta.directives) && client_accepts_stale(facts.directives, decision.ttl_ms);
  // A client that says how stale an answer may be has said it (RFC 9111 5.2.1.2).
  const bool behind = !fresh && !accepted && facts.directives.max_stale == no_delta &&
                      windows.while_revalidate_ms > 0 && -decision.ttl_ms <= windows.while_revalidate_ms;
  if (!fresh && !accepted && !behind) return validate(Forward::stale);
  if (wants_validation(facts.directives, decision.age_ms, decision.ttl_ms))
    return validate(behind ? Forward::stale : Forward::request);
  decision.reuse = behind ? Reuse::behind : Reuse::fresh;
  return decision;
}

}  // namespace pillion
