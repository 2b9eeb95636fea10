#include "flow/shared_fetch.hpp"

#include "core/cache_key.hpp"
#include "core/validation.hpp"
#include "flow/compose.hpp"
#include "flow/keeper.hpp"
#include "flow/look_up.hpp"
#include "flow/respond.hpp"

namespace pillion {

namespace {

// How far a fetch that isn't kept may run ahead of its slowest reader.
constexpr std::size_t stream_window = 256u << 10;

// Of a response found in memory, what it is in Redis: who refreshes it ahead of its time has not looked there.
void note_in_redis(const Found& found, const config::Route& route, Now at, Place& place) {
  const auto seen_of = [&](const StoredResponse& stored) {
    return InRedis{InRedis::State::present, stored.store_id(), expires_in_redis_ms(stored, route, at)};
  };
  if (!found.response->stands_in_redis() || found.tier != Detail::memory) return;
  if (!found.varies) {
    place.seen = seen_of(*found.response);
    return;
  }
  if (found.marker && found.marker->stands_in_redis()) place.seen = seen_of(*found.marker);
  place.seen_variant = seen_of(*found.response);
  place.seen_variant_key = found.response->readable_key();
}

bool is_same_value(const StoredResponse& a, const StoredResponse& b) {
  return a.store_id() == b.store_id() && a.meta().received_wall_ms == b.meta().received_wall_ms &&
         a.meta().date_s == b.meta().date_s;
}

}  // namespace

std::shared_ptr<FetchJob> SharedFetch::make_job(const RequestHead& request, const ClientOrigin& origin,
                                                const Plan& plan, const Found& found, const SnapshotPtr& snapshot,
                                                std::string_view request_id) {
  auto job = std::make_shared<FetchJob>();
  job->place.snapshot = snapshot;
  job->place.route = plan.route;
  job->place.primary_key = plan.primary_key;
  job->place.primary_hash = plan.hash;
  job->place.readable_key = readable_key(plan.match, plan.hash);
  job->place.marker = found.marker;
  job->place.fence = context_.shared.invalidations.fence();
  job->place.seen = found.seen;
  job->place.seen_variant = found.seen_variant;
  job->place.seen_variant_key = found.seen_variant_key;
  job->upstream = plan.upstream;
  job->request.copy(request.fields);
  job->facts = plan.facts;
  job->facts.method = Method::get;
  job->key = found.key.empty() ? plan.primary_key : found.key;
  job->hash = found.hash;
  job->plan_hash = plan.hash;
  job->search_rule = plan.search_rule;
  if (plan.search_rule.empty()) {
    job->exact_key = plan.primary_key;
  } else {
    append_primary_key(request, plan.match, plan.upstream->name, job->exact_key);
  }
  job->path_key =
      request.has_query ? path_key_of(request, plan.match, plan.upstream->name) : std::string(job->exact_key);
  for (const Template& tag : plan.route->tags)
    job->tags.push_back(tag.fill(plan.match.parameters, Template::Encode::raw));
  job->scheme = request.scheme;
  job->host = request.host;
  job->path = request.path;
  job->query = request.query;
  job->has_query = request.has_query;
  // The fence was taken before: what is invalidated from here on is told by it.
  const LocalOrder& order = context_.shared.invalidations.order();
  job->strong_only = found.response && (found.strong_only || order.standing(*found.response).is_touched());
  job->stale = found.response;
  if (!found.response) job->learned_from = found.learned_from;
  if (!job->strong_only || found.response->meta().has_strong_etag) job->validating = found.response;
  const bool serves = found.serves_error() || found.answers_behind() || found.is_fresh();
  job->serves_error = serves && !order.is_invalidated(*found.response);

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
  to_send.peer_address = origin.peer_address;
  to_send.peer_trusted = origin.peer_trusted;
  to_send.request_id = request_id;
  to_send.shared = true;
  if (job->validating) job->validators = validation_fields(*job->validating, job->strong_only);
  to_send.validators = job->validators;
  job->wire = compose_request(to_send);
  if (job->validators.empty()) job->validating.reset();
  return job;
}

// One refresh at a time for a key, whatever the route says of collapsing; its answer goes to nobody (RFC 5861 3).
bool SharedFetch::refresh(ClientSession& session, const Plan& plan, const Found& found, Now looked_up,
                          const SnapshotPtr& snapshot, std::string_view request_id) {
  Collapser& collapser = context_.shared.collapser;
  const bool ahead = found.is_fresh();
  const Now at = now();
  if (collapser.is_failing(plan.hash, at.mono_ms)) return false;
  // While one is under way each hit comes by here.
  if (ahead && collapser.is_under_way(found.hash, found.key.empty() ? plan.primary_key : found.key)) return false;
  // Another refresh may have ended since (while Redis was asked). What it stored is suspect until it is compared.
  const auto look_again = [&] {
    Found found_now = look_up_memory(context_, session.request(), plan, now());
    if (!found_now.response || found_now.decision.reuse != Reuse::fresh) return StoredResponsePtr();
    return ahead && is_same_value(*found_now.response, *found.response) ? StoredResponsePtr() : found_now.response;
  };
  if (look_again()) return false;
  // Where the upstream has all that it may have, it isn't asked for what nobody waits for.
  auto in_flight = context_.upstreams.try_begin(*plan.upstream);
  if (!in_flight) return false;
  auto job = make_job(session.request(), session.origin(), plan, found, snapshot, request_id);
  job->in_flight = std::move(*in_flight);
  if (ahead) note_in_redis(found, plan.route->settings, at, job->place);
  const auto join = [&] {
    return collapser.join(
        job->hash, job->key, job->place.fence.local, [](std::uint64_t) { return true; }, stream_window);
  };
  Collapser::Joined joined = join();
  if (!joined.leader && found.response->store_id() != 0 && joined.flight->store_id() == found.response->store_id()) {
    // That brought what is to be refreshed, and has only to hear from Redis that it stands there.
    collapser.leave(job->hash, joined.flight.get());
    joined = join();
  }
  if (!joined.leader) return false;
  // Nor is it fetched twice where another ended between the two, or while Redis was asked: what was found there may be
  // what stood there before it. Whoever has joined meanwhile looks for themselves what the stale one is to them.
  StoredResponsePtr stored = look_again();
  if (stored || collapser.has_stored_another(job->hash, found.response->store_id(), looked_up.mono_ms)) {
    collapser.leave(job->hash, joined.flight.get());
    joined.flight->settle(stored ? std::move(stored) : found.response, {}, true, true);
    return false;
  }
  job->flight = joined.flight;
  job->collapsing = true;
  if (shares_with_fleet(plan)) job->fleet = FetchJob::Fleet::refresh;
  fetcher_.start(std::move(job));
  return true;
}

awaitable<void> SharedFetch::answer(ClientSession& session, const Plan& plan, const Found& found,
                                    const SnapshotPtr& snapshot, std::string_view request_id, Outcome& outcome) {
  outcome.result = Result::miss;
  CacheStatus status;
  status.forward = found.forward;
  if (found.decision.detail == Detail::unsure) status.detail = Detail::unsure;
  bool collapse = plan.route->settings.collapse != config::Collapse::off &&
                  !context_.shared.collapser.is_uncacheable(plan.hash, now().mono_ms);
  bool retried = false;
  for (;;) {
    auto job = make_job(session.request(), session.origin(), plan, found, snapshot, request_id);
    bool leader = true;
    if (collapse) {
      leader = join(*job, plan);
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

bool SharedFetch::join(FetchJob& job, const Plan& plan) {
  const auto& selectors = job.own_selectors();
  auto joined = context_.shared.collapser.join(
      job.hash, job.key, job.place.fence.local,
      [&](std::uint64_t fence) {
        return !context_.shared.invalidations.order().invalidated_since(fence, selectors, job.place.readable_key);
      },
      stream_window);
  job.flight = std::move(joined.flight);
  job.collapsing = joined.leader;
  if (shares_with_fleet(plan)) job.fleet = FetchJob::Fleet::wait;
  return joined.leader;
}

// Who wants an answer fresher than what another fetches is given none of it.
bool SharedFetch::shares_with_fleet(const Plan& plan) const {
  const config::Route& route = plan.route->settings;
  const RequestDirectives& wants = plan.facts.directives;
  return route.collapse == config::Collapse::fleet && route.store_redis && route.collapse_wait.count() > 0 &&
         !wants.no_cache && !wants.no_store && wants.max_age == no_delta && wants.min_fresh == no_delta;
}

// It may have been invalidated while the upstream was asked.
bool SharedFetch::may_serve_error(const Found& found) const {
  return found.serves_error() && !context_.shared.invalidations.order().is_invalidated(*found.response);
}

// Waits for the head, where the first wait ended with `phase`; what comes before it goes on at once.
awaitable<Flight::Phase> SharedFetch::wait_head(ClientSession& session, Flight::Reader& reader,
                                                config::Milliseconds patience, Flight::Phase phase) {
  auto left = patience;
  for (;; phase = co_await reader.wait_head(left)) {
    if (phase == Flight::Phase::waiting && patience.count() > 0) {
      // While another replica was waited for the fetch here hadn't begun: whoever came meanwhile has patience from
      // then.
      const auto passed = std::chrono::steady_clock::now() - reader.begun().value_or(std::chrono::steady_clock::now());
      left = patience - std::chrono::floor<config::Milliseconds>(passed);
      if (left.count() > 0) continue;
    }
    if (phase != Flight::Phase::interim) co_return phase;
    const Flight::Interim interim = reader.take_interim();
    // A client that has left is noticed with the answer.
    co_await session.send_interim(interim.status, interim.reason, interim.fields);
  }
}

awaitable<SharedFetch::Reading> SharedFetch::read_flight(ClientSession& session, const Plan& plan, const Found& found,
                                                         Flight::Reader& reader, CacheStatus status, Outcome& outcome) {
  const bool first = reader.is_first();
  const auto patience = first ? config::Milliseconds(0) : plan.route->settings.collapse_wait;
  Flight::Phase phase = co_await reader.wait_head(patience);
  if (phase == Flight::Phase::waiting || phase == Flight::Phase::interim)
    phase = co_await wait_head(session, reader, patience, phase);
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

// What a 304 has freshened, or another replica has fetched.
SharedFetch::Reading SharedFetch::put_settled(ClientSession& session, const Plan& plan, Flight::Reader& reader,
                                              CacheStatus status, Outcome& outcome) {
  const Now at = now();
  const StoredResponsePtr stored = reader.stored();
  const ReuseDecision decision = may_reuse(plan.facts, stored->meta(), plan.route->settings, at);
  if (!reader.is_first() && (!reader.is_settled_for_all() || decision.reuse != Reuse::fresh ||
                             context_.shared.invalidations.order().standing(*stored).is_touched()))
    return Reading::alone;
  if (reader.is_fetched_elsewhere()) {
    if (!reader.is_first() && !is_selected(plan, *stored, session)) return Reading::alone;
    status.collapsed = outcome.collapsed = true;
    status.forward_status = stored->meta().status;
    status.has_ttl = true;
    status.ttl_s = whole_seconds(decision.ttl_ms);
    status.detail = outcome.tier = Detail::redis;
    put_stored(session, stored, *plan.route, at, status, outcome);
    return Reading::answered;
  }
  status.forward_status = outcome.upstream_status = 304;
  status.has_ttl = true;
  status.ttl_s = whole_seconds(decision.ttl_ms);
  status.detail = Detail::revalidated;
  outcome.result = Result::revalidated;
  put_stored(session, stored, *plan.route, at, status, outcome, reader.set_cookies());
  return Reading::answered;
}

// Whether a stored response is the one that this request selects.
bool SharedFetch::is_selected(const Plan& plan, const StoredResponse& stored, const ClientSession& session) const {
  if (!stored.primary_key().starts_with(plan.primary_key)) return false;
  const std::string_view variant = stored.primary_key().substr(plan.primary_key.size());
  const auto vary = canonical_vary(Fields(fields_of_head(stored.head())));
  if (!vary || vary->empty()) return vary && variant.empty();
  return variant_key(*vary, session.request().fields, plan.route->settings.accept_language) == variant;
}

// The leader's answer is another's unless it may be shared, is allowed to this request, selects the same variant, and
// was not invalidated by what its own fields name before this request came.
bool SharedFetch::may_share(const Plan& plan, const Flight::Reader& reader, const ClientSession& session,
                            Now at) const {
  const auto head = reader.head();
  if (!head->storing || may_reuse(plan.facts, head->meta, plan.route->settings, at).reuse != Reuse::fresh) return false;
  if (!head->vary.empty() &&
      variant_key(head->vary, session.request().fields, plan.route->settings.accept_language) != head->variant)
    return false;
  // Requests with different queries were put together by a rule that this answer may not have.
  if (!plan.search_rule.empty() && head->search_rule != plan.search_rule) return false;
  return !context_.shared.invalidations.order().invalidated_since(reader.fence(), head->selectors,
                                                                  readable_key(plan.match, plan.hash));
}

}  // namespace pillion
