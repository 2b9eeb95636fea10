#include "flow/request_handler.hpp"

#include <algorithm>
#include <random>

#include "core/cache_status.hpp"
#include "core/refresh_ahead.hpp"
#include "core/validation.hpp"
#include "flow/compose.hpp"
#include "flow/h2c.hpp"
#include "flow/look_up.hpp"
#include "flow/observe.hpp"
#include "flow/respond.hpp"

namespace pillion {

namespace {

// Passed on although the route caches: not looked up, or looked up and missed (HEAD; a GET of a part). Else it could
// never have been cached.
Result result_of_passing(const Plan& plan) {
  if (plan.look_up) return plan.facts.method == Method::get ? Result::bypass : Result::miss;
  const bool cacheable = plan.forward == Forward::bypass || plan.forward == Forward::request;
  return cacheable && plan.why != Detail::cache_off ? Result::bypass : Result::pass;
}

std::string_view trace_id_of(Fields fields) {
  // traceparent = version "-" trace-id "-" ... (W3C Trace Context)
  const Field* field = find(fields, Name::traceparent);
  return field && field->value.size() >= 55 ? field->value.substr(3, 32) : std::string_view{};
}

}  // namespace

RequestHandler::Names RequestHandler::names_of(const RequestHead& request) {
  const Field* id = find(request.fields, Name::x_request_id);
  return {std::string(request.method_name),
          std::string(request.target),
          id && is_sane_request_id(id->value) ? std::string(id->value) : make_request_id(),
          std::string(trace_id_of(request.fields)),
          {},
          std::string(request.host),
          request.scheme == "https"};
}

bool RequestHandler::answer_now(ClientSession& session) {
  if (context_.shared.bypass.any()) return false;
  const Snapshot& snapshot = *context_.snapshot;
  const RequestHead& request = session.request();
  make_plan(request, session.origin().listener, session.has_request_body(), snapshot, context_.shared.search_rules,
            scratch_);
  if (!scratch_.look_up) return false;
  const Now at = now_at(session.started());
  const Found found = look_up_memory(context_, request, scratch_, at);
  if (!found.is_fresh()) return false;
  Outcome outcome;
  put_hit(session, scratch_, found, at, outcome);
  if (scratch_.route->counts_hits) [[unlikely]]
    outcome.ahead = refresh_ahead(session, scratch_, found, at, context_.snapshot, {});
  finish(session, snapshot, *scratch_.route, &scratch_, outcome, nullptr);
  return true;
}

awaitable<void> RequestHandler::handle(ClientSession& session) {
  const SnapshotPtr snapshot = context_.snapshot;
  const RequestHead& request = session.request();
  Plan plan;
  make_plan(request, session.origin().listener, session.has_request_body(), *snapshot, context_.shared.search_rules,
            plan);

  Names names = names_of(request);
  Outcome outcome;
  outcome.trail = &names.trail;
  Found found;
  const Now at = now();
  if (plan.has_key() && context_.shared.bypass.covers(plan.route->settings.name, at.mono_ms)) {
    plan.look_up = false;
    plan.forward = Forward::bypass;
    plan.why = Detail::switched_off;
  }
  names.trail.forward = plan.forward;
  names.trail.why = plan.why;
  if (plan.look_up) {
    found = co_await look_up(context_, request, plan, at);
    note_look_up(context_, plan, found, names.trail);
  }
  // A part of what isn't stored is had from the upstream as it is; where something is stored, all of it is fetched.
  const bool part = plan.facts.has_range && !found.response;
  // Where answers can't be shared the client's condition is the only one that can save it a body (RFC 9111 4.3.2).
  const bool own = !found.response && has_client_condition(request.fields) &&
                   context_.shared.collapser.is_uncacheable(plan.hash, at.mono_ms);
  const bool fetchable = plan.look_up && request.method == Method::get && !part && !own;

  if (!plan.upstream) {
    put_upstream_error(session, {Detail::no_route_upstream, true}, *plan.route, {}, outcome);
  } else if (found.is_fresh()) {
    put_hit(session, plan, found, at, outcome);
    if (plan.route->counts_hits) outcome.ahead = refresh_ahead(session, plan, found, at, snapshot, names.request_id);
  } else if (found.answers_behind()) {
    put_hit(session, plan, found, at, outcome);
    names.trail.refreshing = true;
    if (plan.route->counts_hits) context_.shared.hits.add(found.hash, found.response->meta());
    shared_fetch_.refresh(session, plan, found, at, snapshot, names.request_id);
  } else if (plan.look_up && plan.facts.directives.only_if_cached) {
    put_only_if_cached(session, plan, outcome);
  } else if (fetchable) {
    co_await shared_fetch_.answer(session, plan, found, snapshot, names.request_id, outcome);
  } else if (plan.why == Detail::shadow) {
    co_await shadow_.answer(session, plan, snapshot, names.request_id, outcome);
  } else {
    CacheStatus status;
    const bool range = plan.look_up && part && request.method == Method::get;
    status.forward = plan.look_up ? (range ? Forward::bypass : found.forward) : plan.forward;
    status.detail = range ? Detail::range : plan.why;
    outcome.result = own ? Result::miss : result_of_passing(plan);
    outcome.detail = status.detail;
    const std::unique_ptr<PassWatch> watch = watch_pass(session, plan, *snapshot);
    co_await forwarder_.forward(session, plan, found, snapshot, names.request_id, status, outcome, watch.get());
  }
  finish(session, *snapshot, *plan.route, &plan, outcome, &names);
}

// Null where this answer isn't looked at.
std::unique_ptr<PassWatch> RequestHandler::watch_pass(ClientSession& session, const Plan& plan,
                                                      const Snapshot& snapshot) {
  const RequestHead& request = session.request();
  if (!PassWatch::wants(request, plan, session.has_request_body()) ||
      !context_.insights.may_look(session.started().time_since_epoch() / std::chrono::milliseconds(1)))
    return nullptr;
  return std::make_unique<PassWatch>(context_, request, plan, context_.route_counters(snapshot, *plan.route));
}

void RequestHandler::put_hit(ClientSession& session, const Plan& plan, const Found& found, Now at, Outcome& outcome) {
  CacheStatus status;
  status.hit = true;
  status.has_ttl = true;
  const bool behind = found.decision.reuse == Reuse::behind;
  status.ttl_s = whole_seconds(found.decision.ttl_ms);
  status.detail = behind ? Detail::stale_while_revalidate : found.tier;
  outcome.result = behind ? Result::stale : Result::hit;
  outcome.tier = found.tier;
  outcome.unsure = found.unsure;
  outcome.ttl_ms = found.decision.ttl_ms;
  put_stored(session, found.response, *plan.route, at, status, outcome);
  if (outcome.wished != Coding::identity && !behind && found.response->forms().note_wish(outcome.wished))
    context_.shared.compressor.ask(found.response, found.hash, outcome.wished);
}

// Counts a fresh answer from the store; what is hot and near its end is fetched anew behind it. `request_id`: empty for
// one to be made. Whether a fetch has begun.
bool RequestHandler::refresh_ahead(ClientSession& session, const Plan& plan, const Found& found, Now at,
                                   const SnapshotPtr& snapshot, std::string_view request_id) {
  const ResponseMeta& stored = found.response->meta();
  const std::uint32_t hits = context_.shared.hits.add(found.hash, stored);
  const double ahead = plan.route->settings.refresh.ahead;
  const ReuseDecision& decision = found.decision;
  // The cheap question first: it is mostly too early.
  if (static_cast<double>(decision.ttl_ms) > ahead * static_cast<double>(decision.ttl_ms + decision.age_ms))
    return false;
  const std::uint64_t words[] = {context_.shared.lot, found.hash.low,
                                 static_cast<std::uint64_t>(stored.received_wall_ms)};
  const std::uint64_t draw = hash64({reinterpret_cast<const char*>(words), sizeof words});
  if (!is_due_ahead(decision.ttl_ms, decision.ttl_ms + decision.age_ms, ahead, hits, draw)) return false;
  const std::string made = request_id.empty() ? names_of(session.request()).request_id : std::string();
  const bool begun = shared_fetch_.refresh(session, plan, found, at, snapshot,
                                           request_id.empty() ? std::string_view(made) : request_id);
  if (begun) context_.route_counters(*snapshot, *plan.route).refreshed_ahead.add();
  return begun;
}

// RFC 9111 5.2.1.7. Nothing was forwarded, so nothing says why it was.
void RequestHandler::put_only_if_cached(ClientSession& session, const Plan& plan, Outcome& outcome) {
  CacheStatus status;
  status.detail = outcome.detail = Detail::only_if_cached;
  std::string value;
  if (plan.route->settings.cache_status != config::CacheStatusMode::off) append_cache_status(status, value);
  outcome.status = 504;
  outcome.result = Result::miss;
  session.put_problem(504, "Nothing fresh is stored, and only-if-cached forbids asking the upstream.", value);
}

awaitable<void> RequestHandler::tunnel_http2(ClientSession& session) {
  const SnapshotPtr snapshot = context_.snapshot;
  const Outcome outcome = co_await pillion::tunnel_http2(context_, session, *snapshot);
  finish(session, *snapshot, snapshot->unmatched, nullptr, outcome, nullptr);
}

void RequestHandler::note_own_answer(ClientSession& session, unsigned status) {
  Outcome outcome;
  outcome.status = status;
  if (status >= 400) {
    outcome.result = Result::error;
    outcome.detail = Detail::bad_request;
  }
  finish(session, *context_.snapshot, context_.snapshot->unmatched, nullptr, outcome, nullptr);
}

void RequestHandler::finish(ClientSession& session, const Snapshot& snapshot, const CompiledRoute& route,
                            const Plan* plan, const Outcome& outcome, Names* names) {
  RouteCounters& counters = context_.route_counters(snapshot, route);
  const auto finished = std::chrono::steady_clock::now();
  const auto spent = finished - session.started();
  const auto us = static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::microseconds>(spent).count()));
  const auto result = static_cast<std::size_t>(outcome.result);
  counters.results[result].add();
  counters.seconds[result].observe_us(us);
  counters.bytes.add(session.body_bytes());
  const bool hit = outcome.result == Result::hit;
  if (hit && outcome.tier == Detail::memory) counters.hits_memory.add();
  if (hit && outcome.tier == Detail::redis) counters.hits_redis.add();
  if (outcome.collapsed) counters.collapsed.add();
  if (outcome.unsure) counters.unsure.add();
  if (outcome.coding != Coding::identity) {
    counters.encoded.add();
    counters.encoded_saved.add(outcome.saved_bytes);
  }
  if (outcome.stored && !outcome.collapsed) counters.stored.add();
  if (outcome.detail != Detail::none) counters.details[static_cast<std::size_t>(outcome.detail)].add();
  if (!hit) {
    if (outcome.compared != Compared::no)
      (outcome.compared == Compared::same ? counters.shadow_same : counters.shadow_other).add();
    observe_miss(context_, counters, outcome, session.body_bytes());
  }
  if (!context_.shared.log.wants_access(outcome.status)) {
    remember(session, counters, plan, outcome, finished, us, names, {});
    return;
  }

  const RequestHead& request = session.request();
  AccessRecord record;
  record.time_ms = now().wall_ms;
  record.method = names ? std::string_view(names->method) : request.method_name;
  const std::string_view target = names ? std::string_view(names->target) : request.target;
  record.path = target.substr(0, target.find('?'));
  record.route = route.settings.name;
  record.status = outcome.status;
  record.result = to_string(outcome.result);
  record.tier = to_string(outcome.tier);
  if (outcome.coding != Coding::identity) record.coding = to_string(outcome.coding);
  record.bytes = session.body_bytes();
  record.duration_us = us;
  record.upstream_us = outcome.upstream_us;
  std::string made;
  if (names) {
    record.request_id = names->request_id;
    record.trace_id = names->trace_id;
  } else {
    const Field* id = find(request.fields, Name::x_request_id);
    made = id && is_sane_request_id(id->value) ? std::string(id->value) : make_request_id();
    record.request_id = made;
    record.trace_id = trace_id_of(request.fields);
  }
  context_.shared.log.access(record);
  remember(session, counters, plan, outcome, finished, us, names, made);
}

// For `why` and for the hottest keys. Each hit comes by here: a few stores, and a hash in one of eight.
void RequestHandler::remember(ClientSession& session, const RouteCounters& counters, const Plan* plan,
                              const Outcome& outcome, std::chrono::steady_clock::time_point finished, std::uint64_t us,
                              Names* names, std::string_view made_id) {
  Insights& insights = context_.insights;
  const bool in_memory = !names && plan;
  const bool keyed = plan && plan->has_key();
  Decision& decision = insights.decisions.next();
  decision.finished_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(finished.time_since_epoch()).count();
  decision.ttl_ms = outcome.ttl_ms;
  decision.bytes = session.body_bytes();
  decision.route = &counters;
  decision.key = keyed ? plan->hash : Hash128{};
  decision.us = static_cast<std::uint32_t>(std::min<std::uint64_t>(us, 0xffffffff));
  decision.status = static_cast<std::uint16_t>(outcome.status);
  decision.result = outcome.result;
  decision.tier = outcome.tier;
  decision.detail = outcome.detail;
  decision.coding = outcome.coding;
  decision.ahead = outcome.ahead;
  decision.flags = keyed ? Decision::keyed : 0;
  if (names && !plan) {
    decision.method = method_of(names->method);
    decision.set_text(names->request_id, names->target);
  } else if (names) {
    decision.method = Method::other;  // its name stands in the trail
    decision.set_text(names->request_id, names->target);
    Trail& trail = insights.decisions.trail_of(decision);
    static_cast<TrailFacts&>(trail) = names->trail;
    // Copied: what the older one had room for is used again.
    trail.method.assign(names->method, 0, 32);
    trail.target.assign(names->target, 0, Trail::max_target);
    trail.invalidated.swap(names->trail.invalidated);
    trail.upstream_status = static_cast<std::uint16_t>(outcome.upstream_status);
    trail.upstream_us = static_cast<std::uint32_t>(std::min<std::uint64_t>(outcome.upstream_us, 0xffffffff));
    trail.collapsed = outcome.collapsed;
    trail.stored = outcome.stored;
    trail.compared = outcome.compared;
  } else {
    const RequestHead& request = session.request();
    const Field* id = made_id.empty() ? find(request.fields, Name::x_request_id) : nullptr;
    decision.method = request.method;
    decision.set_text(id && is_sane_request_id(id->value) ? id->value : made_id, request.target);
  }
  if (!keyed) return;
  const std::string_view listener = session.origin().listener;
  if (!in_memory) {
    observe_key(context_, *plan, outcome, session.body_bytes(), 1,
                {names->https ? "https" : "http", names->host, names->target, listener});
  } else if (insights.samples_hit()) {
    const RequestHead& request = session.request();
    observe_key(context_, *plan, outcome, session.body_bytes(), insights.take_weight(),
                {request.scheme, request.host, request.target, listener});
  }
}

std::string RequestHandler::make_request_id() {
  if (id_seed_ == 0) {
    std::random_device device;
    id_seed_ = (std::uint64_t{device()} << 32 | device()) | 1;
  }
  // A counter through a mixing function: ids don't repeat, and one says nothing of the next to who doesn't know the
  // seed.
  const std::uint64_t words[] = {id_seed_, ++next_id_};
  return to_hex(hash128({reinterpret_cast<const char*>(words), sizeof words}));
}

}  // namespace pillion
