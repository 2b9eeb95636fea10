#include "flow/fetcher.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "core/cache_key.hpp"
#include "core/freshness.hpp"
#include "core/no_vary_search.hpp"
#include "core/validation.hpp"
#include "core/vary_marker.hpp"
#include "flow/compose.hpp"
#include "flow/fleet_turn.hpp"
#include "flow/freshen.hpp"
#include "flow/learning.hpp"
#include "flow/observe.hpp"
#include "flow/suspects.hpp"
#include "store/store_id.hpp"

namespace pillion {

void Fetcher::start(std::shared_ptr<FetchJob> job) {
  asio::co_spawn(context_.executor, run(std::move(job)), asio::detached);
}

namespace {

// Whatever way a fetch ends, nobody waits for it any longer.
class Landing {
 public:
  Landing(Collapser& collapser, std::shared_ptr<FetchJob> job) : collapser_(collapser), job_(std::move(job)) {}
  ~Landing() {
    leave();
    if (!landed_) job_->flight->fail({Detail::connection_reset, false});
  }
  void leave() {
    if (std::exchange(joined_, false) && job_->collapsing) collapser_.leave(job_->hash, job_->flight.get());
  }
  void landed() noexcept { landed_ = true; }

 private:
  Collapser& collapser_;
  std::shared_ptr<FetchJob> job_;
  bool joined_ = true, landed_ = false;
};

// Why a response wasn't stored, where that says nothing about the next one of the same key.
bool is_of_request(Detail reason) {
  return reason == Detail::request_no_store || reason == Detail::cookie || reason == Detail::authorization ||
         reason == Detail::store_unavailable;
}

// Fields that this proxy writes anew for each request: what the client sent doesn't tell the variants apart.
bool varies_by_our_own(std::string_view vary) {
  while (const auto name = next_member(vary)) {
    const Name id = name_of(*name);
    if (id == Name::x_forwarded_for || id == Name::x_request_id || id == Name::via) return true;
  }
  return false;
}

bool answers_condition(const FetchJob& job, const ResponseHead& head) {
  if (!job.validating) return false;
  return job.strong_only ? same_strong_validator(*job.validating, head.fields)
                         : speaks_of(*job.validating, head.fields);
}

// Whether an answer that isn't stored says that what is stored doesn't hold any more: it speaks of the resource, to
// everybody.
bool supersedes(unsigned status, Detail reason) {
  if (is_of_request(reason) || reason == Detail::set_cookie) return false;
  return status < 400 || status == 404 || status == 410;
}

Freshening freshening_of(const FetchJob& job, Now asked, std::optional<std::uint64_t> requests) {
  return {asked, job.place.fence, job.facts, &job.place.route->settings, job.scheme, job.host, requests};
}

// Whether an answer is kept until it is known to be whole although it isn't stored: a stale one would serve in place of
// one that breaks off.
bool holds_back(const FetchJob& job, const FlightHead& head) {
  return job.serves_error && head.status < 500 && !head.events && head.reason != Detail::too_large;
}

}  // namespace

awaitable<void> Fetcher::run(std::shared_ptr<FetchJob> job) {
  Landing landing(context_.shared.collapser, job);
  if (job->fleet != FetchJob::Fleet::no && !co_await is_ours(*job)) {
    landing.landed();
    co_return;
  }
  job->flight->begin(std::chrono::steady_clock::now());
  const Now asked = now();
  Connection connection;
  if (const UpstreamError error = co_await ask(*job, connection)) {
    note_failure(*job);
    landing.leave();
    job->flight->fail(error);
    landing.landed();
    co_return;
  }
  const auto index = static_cast<std::size_t>(job->upstream - job->place.snapshot->config->upstreams.data());
  (*job->place.snapshot->upstream_counters[index])[context_.index]->observe_us(
      static_cast<std::uint64_t>(std::max<std::int64_t>(0, now().mono_ms - asked.mono_ms)) * 1000);
  Kept kept;
  bool whole = true;
  OwnedFields not_modified;
  if (connection->head().status == 304) {
    not_modified.copy(connection->head().fields);
    observe_unchanged(context_, *job);
    co_await settle(*job, Fields(not_modified.fields), asked, kept);
  } else {
    End end = co_await receive(*job, *connection, asked, kept);
    whole = end.whole;
    if (kept.response) observe_fetch(context_, *job, *kept.response, asked);
    // Whoever has read it to its end finds it in memory.
    const bool in_memory = job->place.route->settings.store_memory;
    if (in_memory && keeper_.uses_redis(job->place)) co_await keeper_.drop_overtaken(job->place, kept);
    if (in_memory) put(*job, kept);
    if (kept.response) job->flight->set_store_id(kept.response->store_id());
    job->flight->finish(whole, std::move(end.trailers));
    if (!in_memory) co_await keep(*job, kept);
  }
  landing.landed();
  if (whole) context_.upstreams.release(std::move(connection));
  connection.reset();
  // Until Redis has it too, those who come may still read the flight: with Redis alone they would find nothing else.
  if (keeper_.uses_redis(job->place)) co_await keeper_.put_in_redis(job->place, kept);
  job->lease.reset();
  if (kept.response) context_.shared.collapser.mark_stored(job->hash, kept.response->store_id(), now().mono_ms);
  landing.leave();
  if (!not_modified.fields.empty()) co_await freshen_others(*job, not_modified, asked, kept.variant);
}

// False where another replica makes the fetch, or has made it.
awaitable<bool> Fetcher::is_ours(FetchJob& job) {
  FleetTurn turn = co_await wait_turn(context_, job);
  if (turn.turn == Turn::answered) job.flight->settle(std::move(turn.found), {}, true, true);
  if (turn.turn == Turn::skip) {
    note_failure(job);  // not again for a moment
    job.flight->fail({Detail::connection_reset, false});
  }
  co_return turn.turn == Turn::fetch;
}

awaitable<void> Fetcher::keep(FetchJob& job, Kept& kept) {
  co_await keeper_.drop_overtaken(job.place, kept);
  put(job, kept);
}

void Fetcher::put(FetchJob& job, Kept& kept) {
  // What a client has come for meanwhile is as hot as any.
  if (job.place.cold && job.flight->was_joined()) job.place.cold = false;
  keeper_.put(job.place, kept);
}

// A background refresh isn't tried again at once.
void Fetcher::note_failure(const FetchJob& job) {
  context_.shared.collapser.mark_failing(job.plan_hash, now().mono_ms);
}

// Sends the request and reads the final head. A safe request is sent once more, on a new connection, where a pooled one
// turns out to have been closed before any byte of an answer (RFC 9112 9.3.1).
awaitable<UpstreamError> Fetcher::ask(FetchJob& job, Connection& connection) {
  for (bool again = false;; again = true) {
    // Never more than twice: the second time is on a new connection and without a condition to misread.
    UpstreamPool::Wanted wanted;
    wanted.fresh = again;
    wanted.in_flight = connection ? connection->take_in_flight() : std::move(job.in_flight);
    connection.reset();  // and its permit with it
    // Each step is tried without waiting first: a coroutine more costs more than the step.
    connection = context_.upstreams.acquire_now(*job.upstream, wanted);
    if (!connection) {
      auto acquired =
          co_await context_.upstreams.acquire(*job.upstream, job.place.snapshot->config->limits, std::move(wanted));
      if (acquired.error) co_return acquired.error;
      connection = std::move(acquired.connection);
    }
    connection->begin(false);
    UpstreamError error;
    std::string_view unsent = job.wire;
    if (!connection->send_now(unsent) && co_await connection->send(unsent)) {
      error = {Detail::connection_reset, true};
    } else {
      error = co_await connection->read_head(job.upstream->response_timeout);
      if (!error && connection->head().status < 200 && connection->head().status != 101)
        error = co_await pass_interim(job, *connection);
    }
    if (!error && connection->head().status == 101) error = {Detail::bad_response, false};
    if (!error && connection->head().status == 304 && !answers_condition(job, connection->head())) {
      // A 304 that speaks of something else says nothing: all of it is asked for (RFC 9111 4.3.3).
      if (!job.validating) co_return UpstreamError{Detail::bad_response, false};
      job.wire.erase(job.wire.rfind(job.validators), job.validators.size());
      job.validating.reset();
      continue;
    }
    if (!error) co_return error;
    if (again || !error.untouched || !connection->is_reused()) co_return error;
  }
}

// Interim answers go on as they arrive, to the client for whom the fetch began (RFC 9110 15.2). Returns with the final
// head; the first of them has been read.
awaitable<UpstreamError> Fetcher::pass_interim(FetchJob& job, UpstreamConnection& connection) {
  for (;;) {
    const ResponseHead& head = connection.head();
    std::string fields;
    append_response_head(head, false, fields);
    fields.erase(0, fields.find('\n') + 1);
    job.flight->pass_interim({head.status, std::string(head.reason), std::move(fields)});
    const UpstreamError error = co_await connection.read_head(job.upstream->response_timeout);
    if (error || head.status >= 200 || head.status == 101) co_return error;
  }
}

std::shared_ptr<FlightHead> Fetcher::judge(const FetchJob& job, UpstreamConnection& connection, Now asked) const {
  const ResponseHead& response = connection.head();
  const Now came = now();
  auto head = std::make_shared<FlightHead>();
  head->status = response.status;
  head->wire.reserve(512);
  append_response_head(response, true, head->wire);
  append_missing_date(response.fields, came.wall_ms / 1000, head->wire);
  append_set_cookies(response.fields, head->set_cookies);
  append_upstream_cache_status(response.fields, head->first_only);
  head->meta = make_meta(response, asked.mono_ms, came);
  head->meta.request_had_cookie = job.facts.has_cookie;
  head->meta.request_had_authorization = job.facts.has_authorization;
  head->etag = entity_tag_of(response.fields);
  const Framing framing = connection.framing();
  if (framing == Framing::length || (framing == Framing::none && find(response.fields, Name::content_length))) {
    head->length = connection.length();
  } else if (framing == Framing::none && response.status != 204 && response.status != 304) {
    head->length = 0;
  }
  const StoreDecision decision = may_store(job.facts, head->meta, response.fields, job.place.route->settings);
  head->storing = decision.store;
  head->reason = decision.reason;
  head->events = is_event_stream(response.fields);
  head->search_rule = search_rule(response.fields);
  head->had_age = find(response.fields, Name::age) != nullptr;
  const auto vary = canonical_vary(response.fields);
  if (vary && !vary->empty()) {
    head->vary = *vary;
    head->variant = variant_key(*vary, Fields(job.request.fields), job.place.route->settings.accept_language);
  }
  const auto refuse = [&](Detail why) {
    if (head->storing) head->reason = why;
    head->storing = false;
  };
  if (!vary || varies_by_our_own(*vary)) refuse(Detail::vary_star);
  if (head->events) refuse(Detail::event_stream);
  // Only an announced length or a last chunk proves that nothing is missing.
  if (framing == Framing::until_close) refuse(Detail::close_delimited);
  if (job.serves_error && response.status >= 500) refuse(Detail::status);
  if (const Detail why = keeper_.cannot_keep(job.place, head->meta); why != Detail::none) refuse(why);
  if (head->length.value_or(0) + head->wire.size() > keeper_.largest(job.place)) {
    if (head->storing) keeper_.count_too_large(job.place);
    refuse(Detail::too_large);
  }
  // Parts of what is stored can be had here, whether the upstream knows ranges or not (RFC 9110 14.3).
  if (head->storing && response.status == 200 && !find(response.fields, Name::accept_ranges))
    head->wire += "Accept-Ranges: bytes\r\n";
  if (head->storing && job.place.route->settings.set_cookie == config::SetCookie::store) {
    head->stored_only = std::exchange(head->set_cookies, {});
  }
  return head;
}

// Once it is known that an answer can't be shared, nobody may join; those who have joined learn it with the head.
awaitable<Fetcher::End> Fetcher::receive(FetchJob& job, UpstreamConnection& connection, Now asked, Kept& kept) {
  auto head = judge(job, connection, asked);
  bool all_tags = true;
  head->selectors = job.selectors(connection.head().fields, all_tags);
  if (head->events) connection.end_in_flight();
  if (head->storing && !all_tags) {
    head->storing = false;
    head->reason = Detail::too_large;
  }
  bool storing = head->storing;
  Collapser& collapser = context_.shared.collapser;
  if (storing) {
    collapser.mark_cacheable(job.plan_hash);
    context_.shared.search_rules.learn(hash128(job.path_key), head->search_rule);
    // Under another rule it stands under another key: what stands where it was looked for is out of date.
    if (head->search_rule != job.search_rule && job.stale) co_await keeper_.forget(job.place, job.stale);
    job.use_rule(head->search_rule);
    job.flight->set_head(head);
  } else {
    if (head->status < 500 && !is_of_request(head->reason)) {
      collapser.mark_uncacheable(job.plan_hash, now().mono_ms);
    }
    if (job.collapsing) collapser.leave(job.hash, job.flight.get());
    job.lease.reset();
    job.flight->release(head, holds_back(job, *head));
  }
  End end;
  const bool holding = !storing && holds_back(job, *head);
  const auto first = connection.buffered_body();
  const bool whole = first && first->end && !first->error;
  if (whole && ((!storing && !holding) || first->data.size() <= keeper_.largest(job.place))) {
    if (!first->data.empty()) job.flight->append(first->data);
    end.trailers = first->trailers;
  } else {
    // An upstream that says nothing for long, as event streams do, isn't read for nobody.
    const auto target = std::make_shared<UpstreamConnection*>(&connection);
    job.flight->when_abandoned(context_.executor, [target] {
      if (*target) (*target)->stream().close();
    });
    end = co_await receive_body(job, connection, first, storing, holding);
    *target = nullptr;
    job.flight->when_abandoned(context_.executor, {});
  }
  const bool superseded = !storing && (head->storing || supersedes(head->status, head->reason));
  if (!end.whole || (!storing && !superseded)) note_failure(job);
  if (end.whole && superseded && job.stale) co_await keeper_.forget(job.place, job.stale);
  if (end.whole && storing) kept = pack(job, *head, *job.flight->body());
  co_return end;
}

// `part`: what has been taken of it already. `storing` turns false where it grows too large to be kept.
awaitable<Fetcher::End> Fetcher::receive_body(FetchJob& job, UpstreamConnection& connection,
                                              std::optional<UpstreamConnection::Body> part, bool& storing,
                                              bool holding) {
  const std::size_t largest = keeper_.largest(job.place);
  const bool events = is_event_stream(connection.head().fields);
  std::size_t size = 0;
  for (;; part.reset()) {
    if (!part) part = co_await connection.read_body(events ? config::Milliseconds(0) : job.upstream->silence_timeout);
    const UpstreamConnection::Body& body = *part;
    if (body.error) {
      if (body.error.detail == Detail::response_timeout)
        context_.counters.limits[static_cast<std::size_t>(Limit::silence_timeout)].add();
      co_return End{false, {}};
    }
    size += body.data.size();
    if (holding && size > largest) {
      holding = false;
      job.flight->stop_keeping();
    }
    if (storing && size > largest) {
      storing = false;
      keeper_.count_too_large(job.place);
      context_.shared.collapser.mark_uncacheable(job.plan_hash, now().mono_ms);
      if (job.collapsing) context_.shared.collapser.leave(job.hash, job.flight.get());
      job.lease.reset();
      job.flight->stop_keeping();
    }
    if (!body.data.empty()) job.flight->append(body.data);
    if (body.end) co_return End{true, std::string(body.trailers)};
    if (!storing && !holding && !co_await job.flight->wait_for_room()) {
      connection.spoil();
      co_return End{false, {}};
    }
  }
}

Kept Fetcher::pack(const FetchJob& job, const FlightHead& head, std::string_view body) const {
  Kept kept;
  std::string wire;
  wire.reserve(head.wire.size() + head.stored_only.size() + 40);  // and what append_length() adds
  wire.append(head.wire).append(head.stored_only);
  if (head.status != 204) append_length(body.size(), wire);
  StoredParts parts;
  parts.meta = head.meta;
  parts.selectors = head.selectors;
  parts.position = job.place.fence.local;
  parts.shared_position = job.place.fence.shared;
  parts.epoch = job.place.fence.epoch;
  if (parts.epoch != 0) parts.store_id = new_store_id();
  parts.primary_key = job.place.primary_key;
  parts.readable_key = job.place.readable_key;
  std::string key, readable;
  if (!head.vary.empty()) {
    kept.vary = head.vary;
    kept.variant = hash128(head.variant);
    key = job.place.primary_key + head.variant;
    readable = job.place.readable_key + '.';
    append_hex(kept.variant, readable);
    parts.primary_key = key;
    parts.readable_key = readable;
  }
  parts.head = wire;
  parts.etag = head.etag;
  parts.body = body;
  Beside beside;
  const StoredResponsePtr& old = job.stale ? job.stale : job.learned_from;
  if (old && old->primary_key() == parts.primary_key) {
    beside.old = old.get();
    if (const auto requests = asked_for(job, *old)) {
      beside.requests = *requests;
      beside.same = old->meta().status == parts.meta.status && old->body() == body;
    }
  }
  take_over(beside, job.place.route->settings, parts);
  kept.response = StoredResponse::make(parts);
  count_learned(job, beside.old, kept.response.get());
  return kept;
}

// What was invalidated says nothing of lifetimes: nobody would have been given it.
std::optional<std::uint64_t> Fetcher::asked_for(const FetchJob& job, const StoredResponse& stored) const {
  if (job.strong_only || !job.stale || !job.place.route->settings.adaptive.is_on()) return std::nullopt;
  const std::string_view variant = stored.primary_key().substr(job.place.primary_key.size());
  const Hash128 place =
      variant.empty() ? job.place.primary_hash : variant_place(job.place.primary_hash, hash128(variant));
  return context_.shared.hits.get(place, stored.meta());
}

void Fetcher::count_learned(const FetchJob& job, const StoredResponse* old, const StoredResponse* fresh) const {
  if (!old || !fresh) return;
  const auto lesson = lesson_of(*old, *fresh, job.place.route->settings);
  if (!lesson) return;
  RouteCounters& counters = context_.route_counters(*job.place.snapshot, *job.place.route);
  counters.learned.add();
  counters.learned_ms.add(static_cast<std::uint64_t>(lesson->after_ms));
  if (lesson->after_ms > lesson->before_ms) counters.lengthened.add();
  if (lesson->after_ms < lesson->before_ms) counters.shortened.add();
}

// A 304: the stored body with the new fields and a new age (RFC 9111 4.3.4). What may not be kept answers the client
// that asked alone.
awaitable<void> Fetcher::settle(FetchJob& job, Fields not_modified, Now asked, Kept& kept) {
  Freshened fresh = freshen(*job.validating, not_modified, freshening_of(job, asked, asked_for(job, *job.validating)));
  const std::string_view variant = job.validating->primary_key().substr(job.place.primary_key.size());
  if (!variant.empty()) kept.variant = hash128(variant);
  if (fresh.may_keep && keeper_.still_stands(job.place, *job.validating)) {
    kept.response = fresh.response;
    if (!variant.empty()) kept.vary = canonical_vary(Fields(fields_of_head(fresh.response->head()))).value_or("");
    count_learned(job, job.validating.get(), fresh.response.get());
    co_await keep(job, kept);
    if (kept.response) job.flight->set_store_id(kept.response->store_id());
  }
  std::string set_cookies;
  append_set_cookies(not_modified, set_cookies);
  job.flight->settle(std::move(fresh.response), std::move(set_cookies), fresh.may_keep);
}

// A strong entity tag names one representation: what other variants have it hold as well (RFC 9111 4.3.4). Not those
// that were invalidated: nobody has asked for them since.
awaitable<void> Fetcher::freshen_others(FetchJob& job, const OwnedFields& not_modified, Now asked, Hash128 own) {
  const Fields fields(not_modified.fields);
  StoredResponsePtr marker = context_.shared.memory.peek(job.place.primary_hash, job.place.primary_key);
  if (!marker || !marker->is_vary_marker()) marker = job.place.marker;
  if (!marker || !is_strong(entity_tag_of(fields))) co_return;
  const bool in_redis = keeper_.uses_redis(job.place);
  for (const VaryMarker::Variant& variant : read_marker(marker.get()).variants) {
    if (variant.hash == own) continue;
    const Hash128 hash = variant_place(job.place.primary_hash, variant.hash);
    StoredResponsePtr other = context_.shared.memory.peek(hash, job.place.primary_key, KeyMatch::prefix);
    if (!other && in_redis) {
      std::string name = job.place.readable_key + '.' + to_hex(variant.hash);
      other = co_await context_.redis->find(std::move(name), job.place.primary_key, now(), job.place.fence.local,
                                            KeyMatch::prefix);
      if (other && !context_.shared.invalidations.standing_in_redis(*other).is_good()) continue;
    }
    if (!other || !same_strong_validator(*other, fields)) continue;
    const Standing standing = context_.shared.invalidations.order().standing(*other);
    if (standing.is_touched()) continue;
    const config::Route& route = job.place.route->settings;
    if (standing.suspect && !co_await is_still_good(context_, route, hash, other, now())) continue;
    Freshened fresh = freshen(*other, fields, freshening_of(job, asked, asked_for(job, *other)));
    if (fresh.may_keep) co_await keeper_.replace(job.place, std::move(other), std::move(fresh.response));
  }
}

}  // namespace pillion
