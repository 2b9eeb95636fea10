#include "flow/request_handler.hpp"

#include <random>

#include "core/cache_status.hpp"
#include "core/validation.hpp"
#include "flow/compose.hpp"
#include "flow/h2c.hpp"
#include "flow/look_up.hpp"
#include "flow/respond.hpp"

namespace pillion {

namespace {

// How far a fetch that isn't kept may run ahead of its slowest reader.
constexpr std::size_t stream_window = 256u << 10;

// Passed on although the route caches: not looked up, or looked up and missed (HEAD; a GET of a part). Else it could
// never have been cached.
Result result_of_passing(const Plan& plan) {
  if (plan.look_up) return plan.facts.method == Method::get ? Result::bypass : Result::miss;
  const bool cacheable = plan.forward == Forward::bypass || plan.forward == Forward::request;
  return cacheable && plan.why != Detail::cache_off ? Result::bypass : Result::pass;
}

// Rounded down, so that what is stale by a part of a second has a negative ttl (RFC 9211 2.6).
std::int64_t whole_seconds(std::int64_t ms) { return ms / 1000 - (ms % 1000 < 0 ? 1 : 0); }

std::string_view trace_id_of(Fields fields) {
  // traceparent = version "-" trace-id "-" ... (W3C Trace Context)
  const Field* field = find(fields, Name::traceparent);
  return field && field->value.size() >= 55 ? field->value.substr(3, 32) : std::string_view{};
}

}  // namespace

// What the access log says of a request, kept for when its head is gone.
struct RequestHandler::Names {
  std::string method, path, request_id, trace_id;
};

bool RequestHandler::answer_now(ClientSession& session) {
  const Snapshot& snapshot = *context_.snapshot;
  const RequestHead& request = session.request();
  make_plan(request, session.origin().listener, session.has_request_body(), snapshot, context_.shared.search_rules,
            scratch_);
  if (!scratch_.look_up) return false;
  const Now at = now();
  const Found found = look_up_memory(context_, request, scratch_, at);
  if (!found.is_fresh()) return false;
  Outcome outcome;
  put_hit(session, scratch_, found, at, outcome);
  finish(session, snapshot, *scratch_.route, outcome, nullptr);
  return true;
}

awaitable<void> RequestHandler::handle(ClientSession& session) {
  const SnapshotPtr snapshot = context_.snapshot;
  const RequestHead& request = session.request();
  Plan plan;
  make_plan(request, session.origin().listener, session.has_request_body(), *snapshot, context_.shared.search_rules,
            plan);

  Names names{
      std::string(request.method_name), std::string(request.path), {}, std::string(trace_id_of(request.fields))};
  const Field* id = find(request.fields, Name::x_request_id);
  names.request_id = id && is_sane_request_id(id->value) ? std::string(id->value) : make_request_id();

  Outcome outcome;
  Found found;
  const Now at = now();
  if (plan.look_up) found = co_await look_up(context_, request, plan, at);
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
  } else if (found.answers_behind()) {
    put_hit(session, plan, found, at, outcome);
    refresh(session, plan, found, snapshot, names.request_id);
  } else if (plan.look_up && plan.facts.directives.only_if_cached) {
    put_only_if_cached(session, plan, found, outcome);
  } else if (fetchable) {
    co_await fetch(session, plan, found, snapshot, names.request_id, outcome);
  } else {
    CacheStatus status;
    const bool range = plan.look_up && part && request.method == Method::get;
    status.forward = plan.look_up ? (range ? Forward::bypass : found.forward) : plan.forward;
    status.detail = range ? Detail::range : plan.why;
    outcome.result = own ? Result::miss : result_of_passing(plan);
    outcome.detail = status.detail;
    co_await forwarder_.forward(session, plan, found, snapshot, names.request_id, status, outcome);
  }
  finish(session, *snapshot, *plan.route, outcome, &names);
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
  put_stored(session, found.response, *plan.route, at, status, outcome);
}

std::shared_ptr<FetchJob> RequestHandler::make_job(ClientSession& session, const Plan& plan, const Found& found,
                                                   const SnapshotPtr& snapshot, std::string_view request_id) {
  const RequestHead& request = session.request();
  auto job = std::make_shared<FetchJob>();
  job->place.snapshot = snapshot;
  job->place.route = plan.route;
  job->place.primary_key = plan.primary_key;
  job->place.primary_hash = plan.hash;
  job->place.readable_key = readable_key(plan.match, plan.hash);
  job->place.marker = found.marker;
  job->place.fence = context_.shared.invalidations.fence();
  job->upstream = plan.upstream;
  job->request.copy(request.fields);
  job->facts = plan.facts;
  job->facts.method = Method::get;
  job->key = found.key.empty() ? plan.primary_key : found.key;
  job->hash = found.hash;
  job->plan_hash = plan.hash;
  job->path_key = path_key_of(request, plan.match, plan.upstream->name);
  job->search_rule = plan.search_rule;
  if (plan.search_rule.empty()) {
    job->exact_key = plan.primary_key;
  } else {
    append_primary_key(request, plan.match, plan.upstream->name, job->exact_key);
  }
  for (const Template& tag : plan.route->tags)
    job->tags.push_back(tag.fill(plan.match.parameters, Template::Encode::raw));
  job->scheme = request.scheme;
  job->host = request.host;
  job->path = request.path;
  job->query = request.query;
  job->has_query = request.has_query;
  // The fence was taken before: what is invalidated from here on is told by it.
  job->strong_only = found.response && context_.shared.invalidations.is_invalidated(*found.response);
  job->stale = found.response;
  if (!job->strong_only || found.response->meta().has_strong_etag) job->validating = found.response;
  job->serves_error = (found.serves_error() || found.answers_behind()) && !job->strong_only;

  // It is fetched for all: a HEAD that finds a stale response refreshes the whole of it.
  RequestHead whole = request;
  whole.method = Method::get;
  whole.method_name = "GET";
  RequestToSend to_send;
  to_send.head = &whole;
  to_send.route = plan.route;
  to_send.upstream = plan.upstream;
  const std::string target = forwarded_target(request, plan.match);
  to_send.target = target;
  to_send.canonical_host = snapshot->config->canonical_host;
  to_send.peer_address = session.origin().peer_address;
  to_send.peer_trusted = session.origin().peer_trusted;
  to_send.request_id = request_id;
  to_send.shared = true;
  if (job->validating) job->validators = validation_fields(*job->validating, job->strong_only);
  to_send.validators = job->validators;
  job->wire = compose_request(to_send);
  if (job->validators.empty()) job->validating.reset();
  return job;
}

// One refresh at a time for a key, whatever the route says of collapsing; its answer goes to nobody (RFC 5861 3).
void RequestHandler::refresh(ClientSession& session, const Plan& plan, const Found& found, const SnapshotPtr& snapshot,
                             std::string_view request_id) {
  Collapser& collapser = context_.shared.collapser;
  if (collapser.is_failing(plan.hash, now().mono_ms)) return;
  // While Redis was asked another refresh may have ended.
  if (look_up_memory(context_, session.request(), plan, now()).is_fresh()) return;
  auto job = make_job(session, plan, found, snapshot, request_id);
  const auto joined =
      collapser.join(job->hash, job->key, job->place.fence.local, [](std::uint64_t) { return true; }, stream_window);
  if (!joined.leader) return;
  job->flight = joined.flight;
  job->collapsing = true;
  fetcher_.start(std::move(job));
}

awaitable<void> RequestHandler::fetch(ClientSession& session, const Plan& plan, const Found& found,
                                      const SnapshotPtr& snapshot, std::string_view request_id, Outcome& outcome) {
  outcome.result = Result::miss;
  CacheStatus status;
  status.forward = found.forward;
  bool collapse = plan.route->settings.collapse && !context_.shared.collapser.is_uncacheable(plan.hash, now().mono_ms);
  bool retried = false;
  for (;;) {
    auto job = make_job(session, plan, found, snapshot, request_id);
    bool leader = true;
    if (collapse) {
      bool ignored = true;
      const auto selectors = job->selectors({}, ignored);
      auto joined = context_.shared.collapser.join(
          job->hash, job->key, job->place.fence.local,
          [&](std::uint64_t fence) {
            return !context_.shared.invalidations.invalidated_since(fence, selectors, job->place.readable_key);
          },
          stream_window);
      job->flight = std::move(joined.flight);
      job->collapsing = leader = joined.leader;
    } else {
      job->flight = std::make_shared<Flight>(job->place.fence.local, stream_window);
    }
    Flight::Reader reader(job->flight, context_.executor, leader);
    if (leader) fetcher_.start(std::move(job));
    status.collapsed = !leader;
    outcome.collapsed = !leader;
    const Reading reading = co_await read_flight(session, plan, found, reader, status, outcome);
    if (reading == Reading::answered) co_return;
    // Again once at most, and then together with the others that were let down.
    if (reading == Reading::alone || std::exchange(retried, true)) collapse = false;
  }
}

// It may have been invalidated while the upstream was asked.
bool RequestHandler::may_serve_error(const Found& found) const {
  return found.serves_error() && !context_.shared.invalidations.is_invalidated(*found.response);
}

// Waits for the head; what comes before it goes on at once.
awaitable<Flight::Phase> RequestHandler::wait_head(ClientSession& session, const Plan& plan, Flight::Reader& reader) {
  const auto patience = reader.is_first() ? config::Milliseconds(0) : plan.route->settings.collapse_wait;
  for (;;) {
    const Flight::Phase phase = co_await reader.wait_head(patience);
    if (phase != Flight::Phase::interim) co_return phase;
    const Flight::Interim interim = reader.take_interim();
    // A client that has left is noticed with the answer.
    co_await session.send_interim(interim.status, interim.reason, interim.fields);
  }
}

awaitable<RequestHandler::Reading> RequestHandler::read_flight(ClientSession& session, const Plan& plan,
                                                               const Found& found, Flight::Reader& reader,
                                                               CacheStatus status, Outcome& outcome) {
  const bool first = reader.is_first();
  const Flight::Phase phase = co_await wait_head(session, plan, reader);
  if (first) {
    outcome.upstream_us = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - session.started())
            .count());
  }
  switch (phase) {
    case Flight::Phase::waiting:
      context_.counters.limits[static_cast<std::size_t>(Limit::collapse_wait)].add();
      co_return Reading::alone;
    case Flight::Phase::released:
      if (const auto head = reader.head(); head && head->status >= 500 && may_serve_error(found)) {
        put_stale_if_error(session, found, *plan.route, head->status, status, outcome);
        co_return Reading::answered;
      }
      co_return Reading::alone;
    case Flight::Phase::failed:
      if (may_serve_error(found)) {
        put_stale_if_error(session, found, *plan.route, 0, status, outcome);
        co_return Reading::answered;
      }
      if (!first &&
          (reader.error().detail == Detail::connection_reset || reader.error().detail == Detail::bad_response)) {
        co_return Reading::again;
      }
      put_upstream_error(session, reader.error(), *plan.route, status, outcome);
      co_return Reading::answered;
    case Flight::Phase::settled:
      co_return put_settled(session, plan, reader, status, outcome);
    default:
      break;
  }
  if (!first && !may_share(plan, reader, session, now())) co_return Reading::alone;
  if (may_serve_error(found)) {
    const auto head = reader.head();
    const bool failed = head->status >= 500 || co_await reader.wait_whole() == Flight::Phase::cut;
    if (failed && may_serve_error(found)) {
      put_stale_if_error(session, found, *plan.route, head->status, status, outcome);
      co_return Reading::answered;
    }
  }
  co_await stream_flight(session, reader, *plan.route, status, outcome);
  co_return Reading::answered;
}

// What a 304 has freshened.
RequestHandler::Reading RequestHandler::put_settled(ClientSession& session, const Plan& plan, Flight::Reader& reader,
                                                    CacheStatus status, Outcome& outcome) {
  const Now at = now();
  const StoredResponsePtr stored = reader.stored();
  const ReuseDecision decision = may_reuse(plan.facts, stored->meta(), plan.route->settings, at);
  if (!reader.is_first() && (!reader.is_settled_for_all() || decision.reuse != Reuse::fresh ||
                             context_.shared.invalidations.is_invalidated(*stored)))
    return Reading::alone;
  status.forward_status = 304;
  status.has_ttl = true;
  status.ttl_s = whole_seconds(decision.ttl_ms);
  status.detail = Detail::revalidated;
  outcome.result = Result::revalidated;
  put_stored(session, stored, *plan.route, at, status, outcome, reader.set_cookies());
  return Reading::answered;
}

// The leader's answer is another's unless it may be shared, is allowed to this request, selects the same variant, and
// was not invalidated by what its own fields name before this request came.
bool RequestHandler::may_share(const Plan& plan, const Flight::Reader& reader, const ClientSession& session,
                               Now at) const {
  const auto head = reader.head();
  if (!head->storing || may_reuse(plan.facts, head->meta, plan.route->settings, at).reuse != Reuse::fresh) return false;
  if (!head->vary.empty() &&
      variant_key(head->vary, session.request().fields, plan.route->settings.accept_language) != head->variant)
    return false;
  // Requests with different queries were put together by a rule that this answer may not have.
  if (!plan.search_rule.empty() && head->search_rule != plan.search_rule) return false;
  return !context_.shared.invalidations.invalidated_since(reader.fence(), head->selectors,
                                                          readable_key(plan.match, plan.hash));
}

// RFC 9111 5.2.1.7.
void RequestHandler::put_only_if_cached(ClientSession& session, const Plan& plan, const Found& found,
                                        Outcome& outcome) {
  CacheStatus status;
  status.forward = found.forward;
  std::string value;
  if (plan.route->settings.cache_status != config::CacheStatusMode::off) append_cache_status(status, value);
  outcome.status = 504;
  outcome.result = Result::miss;
  session.put_problem(504, "Nothing fresh is stored, and only-if-cached forbids asking the upstream.", value);
}

awaitable<void> RequestHandler::tunnel_http2(ClientSession& session) {
  const SnapshotPtr snapshot = context_.snapshot;
  const Outcome outcome = co_await pillion::tunnel_http2(context_, session, *snapshot);
  finish(session, *snapshot, snapshot->unmatched, outcome, nullptr);
}

void RequestHandler::note_own_answer(ClientSession& session, unsigned status) {
  Outcome outcome;
  outcome.status = status;
  if (status >= 400) {
    outcome.result = Result::error;
    outcome.detail = Detail::bad_request;
  }
  finish(session, *context_.snapshot, context_.snapshot->unmatched, outcome, nullptr);
}

void RequestHandler::finish(ClientSession& session, const Snapshot& snapshot, const CompiledRoute& route,
                            const Outcome& outcome, const Names* names) {
  RouteCounters& counters = context_.route_counters(snapshot, route);
  const auto spent = std::chrono::steady_clock::now() - session.started();
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
  if (outcome.stored && !outcome.collapsed) counters.stored.add();
  if (outcome.detail != Detail::none) counters.details[static_cast<std::size_t>(outcome.detail)].add();
  if (!context_.shared.log.wants_access(outcome.status)) return;

  const RequestHead& request = session.request();
  AccessRecord record;
  record.time_ms = now().wall_ms;
  record.method = names ? std::string_view(names->method) : request.method_name;
  record.path = names ? std::string_view(names->path) : request.path;
  record.route = route.settings.name;
  record.status = outcome.status;
  record.result = to_string(outcome.result);
  record.tier = to_string(outcome.tier);
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
