// Lifetime and age (RFC 9111 4.2). See freshness.hpp.
#include "core/freshness.hpp"

#include <algorithm>
#include <limits>
#include <optional>

#include "core/compressible.hpp"
#include "core/hash.hpp"
#include "core/http_date.hpp"
#include "core/validation.hpp"

namespace pillion {
namespace {

constexpr std::int64_t max_i32 = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t max_i64 = std::numeric_limits<std::int64_t>::max();

/// Older than any lifetime that a response can have, in milliseconds (RFC 9111 1.2.2: 2^31 seconds).
constexpr std::int64_t oldest_ms = (max_i32 + 1) * 1000;

std::int64_t saturating_add(std::int64_t a, std::int64_t b) noexcept {
  std::int64_t sum = 0;
  if (!__builtin_add_overflow(a, b, &sum)) return sum;
  return a < 0 ? std::numeric_limits<std::int64_t>::min() : max_i64;
}

std::int64_t saturating_sub(std::int64_t a, std::int64_t b) noexcept {
  std::int64_t difference = 0;
  if (!__builtin_sub_overflow(a, b, &difference)) return difference;
  return a < 0 ? std::numeric_limits<std::int64_t>::min() : max_i64;
}

std::int64_t floor_seconds(std::int64_t ms) noexcept { return ms / 1000 - (ms % 1000 < 0); }

/// The one date of that field; nullopt where it is absent, repeated or no date.
std::optional<std::int64_t> date_of(Fields fields, Name id, std::int64_t now_s) noexcept {
  if (count(fields, id) != 1) return std::nullopt;
  return parse_http_date(find(fields, id)->value, now_s);
}

/// RFC 9111 5.3: an invalid Expires, `0` above all, is in the past. Repeated: stale as well (4.2.1).
std::int32_t expires_after(Fields fields, std::int64_t date_s, std::int64_t now_s) noexcept {
  if (count(fields, Name::expires) == 0) return no_delta;
  const auto expires = date_of(fields, Name::expires, now_s);
  return expires ? static_cast<std::int32_t>(std::clamp<std::int64_t>(*expires - date_s, 0, max_i32)) : 0;
}

/// corrected_initial_age of RFC 9111 4.2.3. Date has whole seconds, so apparent_age is counted in whole seconds.
std::int32_t initial_age_ms(Fields fields, std::int64_t date_s, std::int64_t request_mono_ms, Now now) noexcept {
  const std::int64_t apparent_age_s = std::clamp<std::int64_t>(floor_seconds(now.wall_ms) - date_s, 0, max_i32);
  const std::int64_t response_delay_ms = std::max<std::int64_t>(0, saturating_sub(now.mono_ms, request_mono_ms));
  const std::int64_t age_value_s = std::max<std::int64_t>(0, parse_age(fields));
  const std::int64_t corrected_age_ms = saturating_add(age_value_s * 1000, response_delay_ms);
  return static_cast<std::int32_t>(std::min(std::max(apparent_age_s * 1000, corrected_age_ms), max_i32));
}

/// Which statuses `ttl` serves (product contract): those that may be kept without being asked to be (RFC 9110 15.1),
/// less errors but 410.
bool ttl_serves(unsigned status) noexcept {
  switch (status) {
    case 200:
    case 203:
    case 204:
    case 300:
    case 301:
    case 308:
    case 410:
      return true;
    default:
      return false;
  }
}

/// RFC 9110 15.1, less 206 and what is never stored.
bool is_heuristically_cacheable(unsigned status) noexcept {
  return ttl_serves(status) || status == 404 || status == 405;
}

std::optional<Lifetime> route_lifetime(const ResponseMeta& meta, const config::Route& route) noexcept {
  const auto bounded = [](config::Milliseconds ms) { return std::clamp<std::int64_t>(ms.count(), 0, max_i32 * 1000); };
  const auto own = route.ttl_by_status.find(meta.status);
  if (own != route.ttl_by_status.end()) return Lifetime{bounded(own->second), LifetimeFrom::ttl_by_status};
  if (route.ttl && ttl_serves(meta.status)) return Lifetime{bounded(*route.ttl), LifetimeFrom::ttl};
  return std::nullopt;
}

/// RFC 9111 4.2.2. At most a day: what was last changed ten years ago may still change tomorrow.
std::optional<Lifetime> heuristic_lifetime(const ResponseMeta& meta, const config::Route& route) noexcept {
  if (!route.heuristic || meta.last_modified_s < 0) return std::nullopt;
  if (!is_heuristically_cacheable(meta.status) && !meta.directives.public_) return std::nullopt;
  const std::int64_t unchanged_s =
      std::clamp<std::int64_t>(saturating_sub(meta.date_s, meta.last_modified_s), 0, max_i32);
  const double ms = static_cast<double>(unchanged_s) * 1000.0 * *route.heuristic;
  const double bounded = ms > 0 ? std::min(ms, static_cast<double>(max_heuristic_ms)) : 0;
  return Lifetime{static_cast<std::int64_t>(bounded), LifetimeFrom::heuristic};
}

/// `chosen` as it is without `adaptive`, which is on; `own`: explicit_lifetime().
[[gnu::noinline]] Lifetime adapted(Lifetime chosen, const Lifetime& own, const ResponseMeta& meta,
                                   const config::Route& route) noexcept {
  if (chosen.from == LifetimeFrom::none || chosen.from == LifetimeFrom::ttl_by_status) return chosen;
  const std::int64_t longest = own.is_explicit() ? std::max(own.ms, chosen.ms) : max_i64;
  const std::int64_t max = route.adaptive.max.count();
  const std::int64_t learned = meta.learned == 0 ? std::min(chosen.ms, max)
                                                 : std::clamp(unpack_lifetime(static_cast<std::uint16_t>(meta.learned)),
                                                              std::min(route.adaptive.min.count(), max), max);
  chosen.ms = std::min(learned, longest);
  return chosen;
}

/// Without `adaptive` and jitter. `own`: explicit_lifetime().
Lifetime plain_lifetime(const Lifetime& own, const ResponseMeta& meta, const config::Route& route) noexcept {
  const auto ours = route.freshness == config::FreshnessFrom::origin ? std::nullopt : route_lifetime(meta, route);
  if (ours && (route.freshness == config::FreshnessFrom::route || !own.is_explicit())) return *ours;
  if (own.is_explicit()) return own;
  return heuristic_lifetime(meta, route).value_or(Lifetime{});
}

}  // namespace

std::string_view to_string(LifetimeFrom from) noexcept {
  switch (from) {
    case LifetimeFrom::none:
      return "";
    case LifetimeFrom::s_maxage:
      return "s-maxage";
    case LifetimeFrom::max_age:
      return "max-age";
    case LifetimeFrom::expires:
      return "expires";
    case LifetimeFrom::ttl:
      return "ttl";
    case LifetimeFrom::ttl_by_status:
      return "ttl_by_status";
    case LifetimeFrom::heuristic:
      return "heuristic";
  }
  return "";
}

ResponseMeta make_meta(const ResponseHead& head, std::int64_t request_mono_ms, Now now) {
  const std::int64_t now_s = floor_seconds(now.wall_ms);
  ResponseMeta meta;
  meta.status = std::min(head.status, 1023u);
  meta.directives = parse_response_directives(head.fields);
  meta.date_s = date_of(head.fields, Name::date, now_s).value_or(now_s);  // RFC 9110 6.6.1
  // A targeted field decides alone (RFC 9213 2.2).
  meta.expires_s = meta.directives.targeted ? no_delta : expires_after(head.fields, meta.date_s, now_s);
  meta.last_modified_s = std::max<std::int64_t>(-1, date_of(head.fields, Name::last_modified, now_s).value_or(-1));
  meta.initial_age_ms = initial_age_ms(head.fields, meta.date_s, request_mono_ms, now);
  meta.received_mono_ms = now.mono_ms;
  meta.received_wall_ms = now.wall_ms;
  meta.had_set_cookie = find(head.fields, Name::set_cookie) != nullptr;
  const std::string_view etag = entity_tag_of(head.fields);
  meta.has_strong_etag = is_strong(etag);
  meta.has_validator = !etag.empty() || meta.last_modified_s >= 0;
  describe_coding(head.fields, meta);
  return meta;
}

// RFC 9111 4.2.1: the first that is there, in this order, for a shared cache.
Lifetime explicit_lifetime(const ResponseMeta& meta) noexcept {
  const ResponseDirectives& d = meta.directives;
  if (d.s_maxage != no_delta) return {std::int64_t{d.s_maxage} * 1000, LifetimeFrom::s_maxage};
  if (d.max_age != no_delta) return {std::int64_t{d.max_age} * 1000, LifetimeFrom::max_age};
  if (meta.expires_s != no_delta) return {std::int64_t{meta.expires_s} * 1000, LifetimeFrom::expires};
  return {};
}

std::uint8_t lifetime_draw(std::string_view primary_key, std::int64_t received_wall_ms) noexcept {
  return static_cast<std::uint8_t>(hash64(primary_key, static_cast<std::uint64_t>(received_wall_ms)) >> 57);
}

[[gnu::noinline]] Lifetime jittered(Lifetime lifetime, const ResponseMeta& meta, const config::Route& route) noexcept {
  if (route.refresh.jitter <= 0) return lifetime;
  const double share = route.refresh.jitter * static_cast<double>(meta.draw) / 128;
  lifetime.ms -= static_cast<std::int64_t>(static_cast<double>(lifetime.ms) * share);
  return lifetime;
}

Lifetime lifetime_of(const ResponseMeta& meta, const config::Route& route) noexcept {
  const Lifetime own = explicit_lifetime(meta);
  const Lifetime plain = plain_lifetime(own, meta, route);
  if (!route.adaptive.is_on() && route.refresh.jitter <= 0) [[likely]]
    return plain;
  return jittered(route.adaptive.is_on() ? adapted(plain, own, meta, route) : plain, meta, route);
}

bool forbids_stale(const ResponseDirectives& d) noexcept {
  return d.must_revalidate || d.proxy_revalidate || d.s_maxage != no_delta;
}

StaleWindows stale_windows(const ResponseMeta& meta, const config::Route& route) noexcept {
  const ResponseDirectives& d = meta.directives;
  if (forbids_stale(d) || (d.no_cache && !route.ignore_no_cache)) return {};
  const auto window = [&](std::int32_t said, const std::optional<config::Milliseconds>& ours) {
    const bool route_decides = ours && (route.freshness == config::FreshnessFrom::route || said == no_delta);
    if (route_decides) return std::clamp<std::int64_t>(ours->count(), 0, max_i32 * 1000);
    return said == no_delta ? 0 : std::int64_t{said} * 1000;
  };
  return {window(d.stale_while_revalidate, route.stale_while_revalidate),
          window(d.stale_if_error, route.stale_if_error)};
}

bool is_more_recent(const ResponseMeta& a, const ResponseMeta& b) noexcept {
  if (a.date_s != b.date_s) return a.date_s > b.date_s;
  return a.received_wall_ms > b.received_wall_ms;
}

std::int64_t current_age_ms(const ResponseMeta& meta, Now now) noexcept {
  if (meta.initial_age_ms == max_i32) return oldest_ms;  // how old is not known: see initial_age_ms
  const std::int64_t resident_ms = std::max<std::int64_t>(0, saturating_sub(now.mono_ms, meta.received_mono_ms));
  return std::clamp<std::int64_t>(saturating_add(meta.initial_age_ms, resident_ms), 0, oldest_ms);
}

}  // namespace pillion
