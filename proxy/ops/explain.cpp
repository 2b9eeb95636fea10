#include "ops/explain.hpp"

#include <algorithm>

#include "core/cache_key.hpp"
#include "core/freshness.hpp"
#include "core/invalidation.hpp"
#include "core/reuse.hpp"
#include "core/validation.hpp"
#include "flow/exchange.hpp"

namespace pillion {
namespace {

/// Why a request is not cacheable: the word of its Cache-Status, and a sentence. Empty where it is.
struct Refused {
  std::string_view word;
  std::string_view because;
};

bool has_body(Fields fields) {
  const Field* length = find(fields, Name::content_length);
  return find(fields, Name::transfer_encoding) || (length && length->value != "0");
}

/// Why a request is not even looked up, in words.
Refused not_looked_up(const RequestHead& request, const config::Route& route) {
  const NotLookedUp reason = why_not_looked_up(request, route, has_body(request.fields));
  if (reason.forward == Forward::none) return {};
  if (reason.forward == Forward::method)
    return {to_string(Forward::method), "only GET and HEAD are looked up; a success of an unsafe method invalidates"};
  if (reason.forward == Forward::request)
    return {to_string(Forward::request), "If-Match and If-Unmodified-Since are the application's to judge"};
  switch (reason.why) {
    case Detail::cache_off:
      return {to_string(reason.why), "the route has neither ttl nor freshness, or says cache: off"};
    case Detail::upgrade:
      return {to_string(reason.why), "the request asks for another protocol"};
    case Detail::shadow:
      return {to_string(reason.why),
              "the route says cache: shadow: it is stored and compared, and the application answers"};
    case Detail::request_body:
      return {to_string(reason.why), "a GET with a body passes through"};
    default:
      return {to_string(reason.why), "dot segments, encoded slashes, `//` and encoded control characters pass through"};
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
  const PersonalParts personal = personal_parts(facts, route);
  const Lifetime lifetime = permitted_lifetime(silent, personal, route);
  if (lifetime.from != LifetimeFrom::none && refused_by(silent, personal, route) == Detail::none) {
    out.ttl = config::Milliseconds(lifetime.ms);
    out.ttl_from = to_string(lifetime.from);
    out.ttl_by_status = route.ttl_by_status;
    out.reason = "ttl";
    out.because = route.freshness == config::FreshnessFrom::route
                      ? "the route's lifetime wins over the response's, though never over no-store or private"
                      : "the route's lifetime serves where the response says none; an explicit one wins";
    return;
  }
  out.ttl_from = "response";
  out.reason = "origin";
  if (personal.authorization || personal.cookie) {
    out.because = std::string("the request has ") + (personal.authorization ? "Authorization" : "Cookie") +
                  ": only what the response allows explicitly is stored; see `personal:`";
  } else {
    out.because = "the response decides: it is stored for as long as its Cache-Control or Expires says";
    if (route.freshness != config::FreshnessFrom::origin) out.ttl_by_status = route.ttl_by_status;
  }
}

/// Keys, stores and tags of a request that is looked up.
void explain_place(const config::Config& config, const RequestHead& request, const RouteMatch& match,
                   Explanation& out) {
  const config::Route& route = match.route->settings;
  std::string primary;
  append_primary_key(request, match, route.upstream, primary);
  out.key = printable(primary);
  out.readable_key = readable_key(match, hash128(primary));
  out.redis_key = config.redis.key_namespace + out.readable_key;
  out.compresses = match.route->compresses;
  if (route.store_memory && config.memory.enabled) out.stores.push_back("memory");
  if (route.store_redis && config.redis.enabled) out.stores.push_back("redis");
  for (const Template& tag : match.route->tags) out.tags.push_back(tag.fill(match.parameters, Template::Encode::raw));
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

RouteMatch match_for_explain(const RouteTable& routes, const RequestHead& request, std::string_view listener) {
  RouteMatch match;
  routes.match(listener, request.host, request.path, match);
  return match;
}

std::string_view usual_listener(const config::Config& config) {
  for (const config::Listener& listener : config.listeners) {
    if (listener.name.empty()) return {};
  }
  return config.listeners.empty() ? std::string_view{} : std::string_view(config.listeners.front().name);
}

bool has_listener(const config::Config& config, std::string_view name) {
  return std::any_of(config.listeners.begin(), config.listeners.end(),
                     [name](const auto& listener) { return listener.name == name; });
}

bool listener_has_tls(const config::Config& config, std::string_view name) {
  const auto listener = std::find_if(config.listeners.begin(), config.listeners.end(),
                                     [name](const auto& one) { return one.name == name; });
  return listener != config.listeners.end() && listener->tls.enabled();
}

Explanation explain(const config::Config& config, const RouteTable& routes, const RequestHead& request,
                    std::string_view listener) {
  Explanation out;
  out.method = request.method_name;
  out.target = request.target;
  out.host = request.host;
  const RouteMatch match = match_for_explain(routes, request, listener);
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
  if (const Refused refused = not_looked_up(request, route); !refused.word.empty()) {
    out.reason = refused.word;
    out.because = refused.because;
    if (route.cache == config::CacheMode::shadow && out.reason == to_string(Detail::shadow))
      explain_place(config, request, match, out);
    return out;
  }
  explain_place(config, request, match, out);
  out.stale_while_revalidate = route.stale_while_revalidate;
  out.stale_if_error = route.stale_if_error;
  out.refresh = route.refresh;
  out.adaptive = route.adaptive;
  const RequestFacts facts = facts_for(request, route);
  if (facts.directives.no_store) {
    out.reason = to_string(Detail::request_no_store);
    out.because =
        "the request says Cache-Control: no-store: its answer is not stored, though a stored one may serve it";
    return out;
  }
  out.cacheable = true;
  explain_lifetime(route, facts, out);
  return out;
}

ExplainedStored explain_stored(const StoredResponse& response, Detail tier, const RequestHead& request,
                               const config::Route& route, Now now) {
  const ReuseDecision decision = may_reuse(facts_for(request, route), response.meta(), route, now);
  ExplainedStored out;
  out.age_ms = current_age_ms(response.meta(), now);
  const PersonalParts personal = personal_parts(response.meta(), route);
  const Lifetime lifetime = permitted_lifetime(response.meta(), personal, route);
  out.lifetime_ms = lifetime.ms;
  out.ttl_ms = lifetime.ms - out.age_ms;
  out.learned = route.adaptive.is_on() && response.meta().learned != 0 && lifetime.from != LifetimeFrom::ttl_by_status;
  out.between_changes_ms = static_cast<std::int64_t>(response.history().between_changes_ms());
  out.tier = tier;
  out.size = response.body().size();
  out.status = response.meta().status;
  out.key = response.readable_key();
  for (std::size_t i = 0; i < coding_count; ++i) {
    const auto coding = static_cast<Coding>(i);
    if (const EncodedForm* form = response.forms().find(coding)) out.encoded.emplace_back(coding, form->body().size());
  }
  out.invalidated = tier == Detail::none;
  if (out.invalidated) {
    out.ttl_ms = 0;
    out.reuse = "validate";
    return out;
  }
  switch (decision.reuse) {
    case Reuse::fresh:
      out.reuse = "fresh";
      break;
    case Reuse::behind:
      out.reuse = to_string(Detail::stale_while_revalidate);
      break;
    case Reuse::validate:
      out.reuse = "validate";
      break;
    case Reuse::refuse:
      out.reuse = "refuse";
      break;
  }
  return out;
}

}  // namespace pillion
