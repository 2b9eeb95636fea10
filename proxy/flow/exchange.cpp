#include "flow/exchange.hpp"

#include "core/no_vary_search.hpp"
#include "core/validation.hpp"

namespace pillion {

namespace {

bool asks_upgrade(const RequestHead& request) {
  return request.minor >= 1 && find(request.fields, Name::upgrade) &&
         list_has(request.fields, Name::connection, "upgrade") && !list_has(request.fields, Name::upgrade, "h2c");
}

}  // namespace

NotLookedUp why_not_looked_up(const RequestHead& request, const config::Route& route, bool has_body) {
  if (request.method != Method::get && request.method != Method::head) return {Forward::method, Detail::none};
  if (route.cache == config::CacheMode::off) return {Forward::bypass, Detail::cache_off};
  if (route.upgrade && asks_upgrade(request)) return {Forward::bypass, Detail::upgrade};
  if (has_body) return {Forward::bypass, Detail::request_body};
  if (!is_keyable_path(request.path)) return {Forward::bypass, Detail::path};
  if (has_write_precondition(request.fields)) return {Forward::request, Detail::none};
  if (route.cache == config::CacheMode::shadow) return {Forward::bypass, Detail::shadow};
  return {};
}

RequestFacts facts_for(const RequestHead& request, const config::Route& route) noexcept {
  RequestFacts facts = facts_of(request);
  if (!route.request_directives) facts.directives = {};
  return facts;
}

void make_plan(const RequestHead& request, const std::string& listener, bool has_body, const Snapshot& snapshot,
               const SearchRules& search_rules, Plan& plan) {
  snapshot.routes->match(listener, request.host, request.path, plan.match);
  plan.route = plan.match.route ? plan.match.route : &snapshot.unmatched;
  const bool known = plan.match.route || snapshot.has_default_upstream;
  plan.upstream = known ? &snapshot.config->upstreams[plan.route->upstream] : nullptr;
  plan.look_up = false;
  plan.facts = facts_for(request, plan.route->settings);
  plan.upgrade = plan.route->settings.upgrade && asks_upgrade(request);

  const NotLookedUp reason = why_not_looked_up(request, plan.route->settings, has_body);
  plan.forward = reason.forward;
  plan.why = reason.why;
  // A shadow route's request has a key, although it isn't answered from there.
  if (reason.forward != Forward::none && reason.why != Detail::shadow) return;
  plan.look_up = reason.forward == Forward::none;
  plan.primary_key.clear();
  plan.search_rule.clear();
  if (search_rules.any()) {
    const std::string path_key = path_key_of(request, plan.match, plan.upstream->name);
    plan.search_rule = search_rules.find(hash128(path_key));
    if (!plan.search_rule.empty()) plan.primary_key = search_key_of(request, plan.match, path_key, plan.search_rule);
  }
  if (plan.search_rule.empty()) append_primary_key(request, plan.match, plan.upstream->name, plan.primary_key);
  plan.hash = hash128(plan.primary_key);
}

std::string path_key_of(const RequestHead& request, const RouteMatch& match, std::string_view upstream_name) {
  RequestHead path = request;
  path.has_query = false;
  std::string key;
  append_primary_key(path, match, upstream_name, key);
  return key;
}

std::string search_key_of(const RequestHead& request, const RouteMatch& match, std::string_view path_key,
                          std::string_view rule) {
  const std::string query = !request.has_query ? std::string()
                            : match.route      ? apply_query_rule(request.query, match.route->settings.query)
                                               : std::string(request.query);
  std::string key(path_key);
  append_search(rule, canonical_search(query, rule), key);
  return key;
}

}  // namespace pillion
