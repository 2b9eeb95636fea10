#include "ops/explain.hpp"

#include <algorithm>

#include "core/cache_key.hpp"
#include "core/freshness.hpp"
#include "core/invalidation.hpp"
#include "core/reuse.hpp"

namespace pillion {
namespace {

/// Why a request is not looked up, or none. In the order in which the request handler asks.
Detail not_looked_up(const RequestHead& request, const config::Route& route) {
  if (route.cache == config::CacheMode::off) return Detail::cache_off;
  if (request.method != Method::get && request.method != Method::head) return Detail::method;
  if (find(request.fields, Name::upgrade)) return Detail::upgrade;
  const Field* length = find(request.fields, Name::content_length);
  if (find(request.fields, Name::transfer_encoding) || (length && length->value != "0")) return Detail::request_body;
  if (!is_keyable_path(request.path)) return Detail::path;
  const RequestFacts facts = facts_of(request);
  if (facts.has_range) return Detail::range;
  if (facts.directives.no_store) return Detail::request_no_store;
  return Detail::none;
}

std::string sentence_of(Detail detail) {
  switch (detail) {
    case Detail::cache_off:
      return "the route has neither ttl nor freshness, or says cache: off";
    case Detail::method:
      return "only GET and HEAD are looked up; a success of an unsafe method invalidates";
    case Detail::upgrade:
      return "the request asks for another protocol";
    case Detail::request_body:
      return "a GET with a body passes through";
    case Detail::path:
      return "dot segments, encoded slashes, `//` and encoded control characters are never stored";
    case Detail::range:
      return "a request for a range passes through";
    case Detail::request_no_store:
      return "the request itself says Cache-Control: no-store";
    default:
      return std::string(to_string(detail));
  }
}

std::string printable(std::string_view bytes) {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(bytes.size());
  for (unsigned char c : bytes) {
    if (c >= 0x20 && c <= 0x7e) {
      out += static_cast<char>(c);
    } else {
      out += '%';
      out += digits[c >> 4];
      out += digits[c & 15];
    }
  }
  return out;
}

/// The lifetime of a 200 that says nothing itself, and who gives it.
void explain_lifetime(const config::Route& route, const RequestFacts& facts, Explanation& out) {
  ResponseMeta silent;
  silent.status = 200;
  const Lifetime lifetime = lifetime_of(silent, route);
  out.ttl_by_status =
      route.freshness == config::FreshnessFrom::origin ? decltype(out.ttl_by_status){} : route.ttl_by_status;
  const PersonalParts personal = personal_parts(facts, route);
  if (personal.authorization || personal.cookie) {
    out.ttl_from = "response";
    out.reason = "origin";
    out.because = std::string("the request has ") + (personal.authorization ? "Authorization" : "Cookie") +
                  ": only what the response allows explicitly is stored; see `personal:`";
    return;
  }
  if (lifetime.from == LifetimeFrom::none) {
    out.ttl_from = "response";
    out.reason = "origin";
    out.because = "the response decides: it is stored for as long as its Cache-Control or Expires says";
    return;
  }
  out.ttl = config::Milliseconds(lifetime.ms);
  out.ttl_from = to_string(lifetime.from);
  out.reason = "ttl";
  out.because = route.freshness == config::FreshnessFrom::route
                    ? "the route's lifetime wins over the response's, though never over no-store or private"
                    : "the route's lifetime serves where the response says none; an explicit one wins";
}

void explain_invalidations(const RequestHead& request, const RouteMatch& match, Explanation& out) {
  if (is_safe(request.method) || !match.route) {
    out.invalidates.push_back({});
  } else {
    out.invalidates.push_back({{std::string(request.method_name)}, {}, {}, {}, {}});
  }
  out.invalidates.back().paths.push_back(normalised_path(request.path));
  if (!match.route) return;
  for (const CompiledRoute::Invalidate& rule : match.route->invalidate) {
    const bool applies = is_safe(request.method) || rule.methods.empty() ||
                         std::find(rule.methods.begin(), rule.methods.end(), request.method_name) != rule.methods.end();
    if (!applies) continue;
    ExplainedInvalidation item;
    item.methods = rule.methods;
    for (const Template& t : rule.tags) item.tags.push_back(t.fill(match.parameters, Template::Encode::raw));
    for (const Template& t : rule.patterns) item.patterns.push_back(t.fill(match.parameters, Template::Encode::key));
    for (const Template& t : rule.urls) item.urls.push_back(t.fill(match.parameters, Template::Encode::raw));
    out.invalidates.push_back(std::move(item));
  }
}

const config::Upstream* upstream_without_route(const config::Config& config) {
  if (config.upstreams.size() == 1) return &config.upstreams.front();
  for (const config::Upstream& upstream : config.upstreams)
    if (upstream.name == "app") return &upstream;
  return nullptr;
}

}  // namespace

RouteMatch match_for_explain(const config::Config& config, const RouteTable& routes, const RequestHead& request) {
  RouteMatch best;
  for (const config::Listener& listener : config.listeners) {
    RouteMatch match;
    routes.match(listener.name, request.host, request.path, match);
    if (match.route && (!best.route || match.route->index < best.route->index)) best = std::move(match);
  }
  return best;
}

Explanation explain(const config::Config& config, const RouteTable& routes, const RequestHead& request) {
  Explanation out;
  out.method = request.method_name;
  out.target = request.target;
  out.host = request.host;
  const RouteMatch match = match_for_explain(config, routes, request);
  explain_invalidations(request, match, out);
  if (!match.route) {
    const config::Upstream* upstream = upstream_without_route(config);
    out.upstream = upstream ? upstream->name : "";
    out.forwarded_target = request.target;
    out.reason = "no-route";
    out.because = "no route matches: the request passes through uncached";
    return out;
  }

  const config::Route& route = match.route->settings;
  out.route = route.name;
  out.upstream = route.upstream;
  out.forwarded_target = forwarded_target(request, match);
  if (const Detail detail = not_looked_up(request, route); detail != Detail::none) {
    out.reason = to_string(detail);
    out.because = sentence_of(detail);
    return out;
  }
  out.cacheable = true;
  explain_lifetime(route, facts_of(request), out);
  std::string primary;
  append_primary_key(request, match, route.upstream, primary);
  out.key = printable(primary);
  out.readable_key = readable_key(match, hash128(primary));
  out.redis_key = config.redis.key_namespace + out.readable_key;
  if (route.store_memory && config.memory.enabled) out.stores.push_back("memory");
  if (route.store_redis && config.redis.enabled) out.stores.push_back("redis");
  for (const Template& tag : match.route->tags) out.tags.push_back(tag.fill(match.parameters, Template::Encode::raw));
  return out;
}

ExplainedStored explain_stored(const StoredResponse& response, Detail tier, const RequestHead& request,
                               const config::Route& route, Now now) {
  const ReuseDecision decision = may_reuse(facts_of(request), response.meta(), route, now);
  ExplainedStored out;
  out.age_ms = current_age_ms(response.meta(), now);
  out.ttl_ms = lifetime_of(response.meta(), route).ms - out.age_ms;
  out.tier = tier;
  out.size = response.body().size();
  out.status = response.meta().status;
  out.reuse = decision.reuse == Reuse::fresh ? "fresh" : decision.reuse == Reuse::validate ? "validate" : "refuse";
  return out;
}

}  // namespace pillion
