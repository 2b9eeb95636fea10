#include "flow/exchange.hpp"

#include "core/validation.hpp"

namespace pillion {

namespace {

void pass(Plan& plan, Forward forward, Detail why) {
  plan.forward = forward;
  plan.why = why;
}

bool asks_upgrade(const RequestHead& request) {
  return request.minor >= 1 && find(request.fields, Name::upgrade) &&
         list_has(request.fields, Name::connection, "upgrade") && !list_has(request.fields, Name::upgrade, "h2c");
}

}  // namespace

void make_plan(const RequestHead& request, const std::string& listener, bool has_body, const Snapshot& snapshot,
               Plan& plan) {
  snapshot.routes->match(listener, request.host, request.path, plan.match);
  plan.route = plan.match.route ? plan.match.route : &snapshot.unmatched;
  const bool known = plan.match.route || snapshot.has_default_upstream;
  plan.upstream = known ? &snapshot.config->upstreams[plan.route->upstream] : nullptr;
  plan.look_up = false;
  plan.forward = Forward::none;
  plan.why = Detail::none;
  plan.facts = facts_of(request);
  plan.upgrade = plan.route->settings.upgrade && asks_upgrade(request);

  if (request.method != Method::get && request.method != Method::head) return pass(plan, Forward::method, Detail::none);
  if (plan.route->settings.cache == config::CacheMode::off) return pass(plan, Forward::bypass, Detail::cache_off);
  if (plan.upgrade) return pass(plan, Forward::bypass, Detail::upgrade);
  if (has_body) return pass(plan, Forward::bypass, Detail::request_body);
  if (!is_keyable_path(request.path)) return pass(plan, Forward::bypass, Detail::path);
  if (has_write_precondition(request.fields)) return pass(plan, Forward::request, Detail::none);
  plan.look_up = true;
  plan.primary_key.clear();
  append_primary_key(request, plan.match, plan.upstream->name, plan.primary_key);
  plan.hash = hash128(plan.primary_key);
}

}  // namespace pillion
