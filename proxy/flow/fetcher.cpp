#include "flow/fetcher.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "core/freshness.hpp"
#include "core/validation.hpp"
#include "flow/compose.hpp"

namespace pillion {

void FetchJob::copy_fields(Fields from) {
  std::size_t size = 0;
  for (const Field& field : from) size += field.name.size() + field.value.size();
  head_bytes.reserve(size);  // so that views into it stay
  fields.reserve(from.size());
  for (const Field& field : from) {
    const char* name = head_bytes.data() + head_bytes.size();
    head_bytes.append(field.name).append(field.value);
    fields.push_back({{name, field.name.size()}, {name + field.name.size(), field.value.size()}, field.id});
  }
}

std::vector<std::uint32_t> FetchJob::selectors(Fields response_fields, bool& complete) const {
  std::vector<std::string> all = tags;
  complete = append_response_tags(response_fields, all);
  std::vector<std::uint32_t> selectors = selectors_of(all, scheme, host, path, query, has_query);
  if (route->settings.query.changes_nothing() || !has_query) return selectors;
  // Under the query as the key has it, too: other spellings of it are this very entry.
  const std::string kept = apply_query_rule(query, route->settings.query);
  const auto more = selectors_of({}, scheme, host, path, kept, !kept.empty());
  selectors.insert(selectors.end(), more.begin(), more.end());
  return selectors;
}

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
  return reason == Detail::request_no_store || reason == Detail::cookie || reason == Detail::authorization;
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
  return job.validating && speaks_of(*job.validating, head.fields);
}

// How long an entry is worth its place in Redis: its lifetime, and `keep` where it can be validated.
std::int64_t redis_ttl_ms(const ResponseMeta& meta, const config::Route& route) {
  const std::int64_t left = std::max<std::int64_t>(0, lifetime_of(meta, route).ms - current_age_ms(meta, now()));
  return left + (meta.has_validator ? route.keep.count() : 0);
}

}  // namespace

awaitable<void> Fetcher::run(std::shared_ptr<FetchJob> job) {
  Landing landing(context_.shared.collapser, job);
  const Now asked = now();
  Connection connection;
  if (const UpstreamError error = co_await ask(*job, connection)) {
    landing.leave();
    job->flight->fail(error);
    landing.landed();
    co_return;
  }
  const auto index = static_cast<std::size_t>(job->upstream - job->snapshot->config->upstreams.data());
  (*job->snapshot->upstream_counters[index])[context_.index]->observe_us(
      static_cast<std::uint64_t>(std::max<std::int64_t>(0, now().mono_ms - asked.mono_ms)) * 1000);
  Kept kept;
  bool whole = true;
  if (connection->head().status == 304) {
    StoredResponsePtr fresh;
    kept = freshen(*job, *connection, asked, fresh);
    keep_in_memory(*job, kept);
    std::string set_cookies;
    append_set_cookies(connection->head().fields, set_cookies);
    job->flight->settle(std::move(fresh), std::move(set_cookies));
  } else {
    co_await receive(*job, *connection, asked, kept, whole);
    keep_in_memory(*job, kept);
    job->flight->finish(whole);
  }
  landing.landed();
  if (whole) context_.upstreams.release(std::move(connection));
  // Until Redis has it too, those who come may still read the flight: with Redis alone they would find nothing else.
  co_await keep_in_redis(*job, kept);
}

// Sends the request and reads the final head. A safe request is sent once more, on a new connection, where a pooled one
// turns out to have been closed before any byte of an answer (RFC 9112 9.3.1).
awaitable<UpstreamError> Fetcher::ask(FetchJob& job, Connection& connection) {
  for (bool again = false;; again = true) {
    // Never more than twice: the second time is on a new connection and without a condition to misread.
    connection.reset();  // and its permit with it
    auto acquired = co_await context_.upstreams.acquire(*job.upstream, job.snapshot->config->limits, false, again);
    if (acquired.error) co_return acquired.error;
    connection = std::move(acquired.connection);
    connection->begin(false);
    UpstreamError error;
    if (co_await connection->send(job.wire)) {
      error = {Detail::connection_reset, true};
    } else {
      // Interim responses concern one client's request; a shared fetch drops them (RFC 9110 15.2 lets it).
      do {
        error = co_await connection->read_head(job.upstream->response_timeout);
      } while (!error && connection->head().status < 200 && connection->head().status != 101);
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

bool Fetcher::uses_redis(const FetchJob& job) const {
  return context_.redis && job.route->settings.store_redis && job.fence.epoch != 0;
}

std::size_t Fetcher::largest_storable(const FetchJob& job) const {
  std::size_t largest = 0;
  if (job.route->settings.store_memory) largest = context_.shared.memory.max_object();
  if (uses_redis(job)) largest = std::max(largest, job.snapshot->config->redis.max_object);
  return largest;
}

void Fetcher::count_too_large(const FetchJob& job) const {
  if (job.route->settings.store_memory) context_.counters.limits[static_cast<std::size_t>(Limit::object_memory)].add();
  if (uses_redis(job)) context_.counters.limits[static_cast<std::size_t>(Limit::object_redis)].add();
}

std::shared_ptr<FlightHead> Fetcher::judge(const FetchJob& job, UpstreamConnection& connection, Now asked) const {
  const ResponseHead& response = connection.head();
  const Now came = now();
  auto head = std::make_shared<FlightHead>();
  head->status = response.status;
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
  const StoreDecision decision = may_store(job.facts, head->meta, response.fields, job.route->settings);
  head->storing = decision.store;
  head->reason = decision.reason;
  head->events = is_event_stream(response.fields);
  const auto vary = canonical_vary(response.fields);
  if (vary && !vary->empty()) {
    head->vary = *vary;
    head->variant = variant_key(*vary, Fields(job.fields));
  }
  const auto refuse = [&](Detail why) {
    if (head->storing) head->reason = why;
    head->storing = false;
  };
  if (!vary || varies_by_our_own(*vary)) refuse(Detail::vary_star);
  // Only an announced length or a last chunk proves that nothing is missing.
  if (framing == Framing::until_close) refuse(Detail::close_delimited);
  if (head->length.value_or(0) + head->wire.size() > largest_storable(job)) {
    if (head->storing) count_too_large(job);
    refuse(Detail::too_large);
  }
  if (head->storing && job.route->settings.set_cookie == config::SetCookie::store) {
    head->stored_only = std::exchange(head->set_cookies, {});
  }
  return head;
}

// Once it is known that an answer can't be shared, nobody may join; those who have joined learn it with the head.
awaitable<void> Fetcher::receive(FetchJob& job, UpstreamConnection& connection, Now asked, Kept& kept, bool& whole) {
  auto head = judge(job, connection, asked);
  bool all_tags = true;
  head->selectors = job.selectors(connection.head().fields, all_tags);
  if (head->storing && !all_tags) {
    head->storing = false;
    head->reason = Detail::too_large;
  }
  bool storing = head->storing;
  Collapser& collapser = context_.shared.collapser;
  if (storing) {
    collapser.mark_cacheable(job.primary_hash);
    job.flight->set_head(head);
  } else {
    if (head->status < 500 && !is_of_request(head->reason)) collapser.mark_uncacheable(job.primary_hash, now().mono_ms);
    if (job.collapsing) collapser.leave(job.hash, job.flight.get());
    job.flight->release(head);
  }
  // An upstream that says nothing for long, as event streams do, isn't read for nobody.
  const auto target = std::make_shared<UpstreamConnection*>(&connection);
  job.flight->when_abandoned(context_.executor, [target] {
    if (*target) (*target)->stream().close();
  });
  whole = co_await receive_body(job, connection, storing);
  *target = nullptr;
  job.flight->when_abandoned(context_.executor, {});
  if (whole && storing) kept = pack(job, *head, job.flight->body());
}

// True where the body came to its proven end. `storing` turns false where it grows too large to be kept.
awaitable<bool> Fetcher::receive_body(FetchJob& job, UpstreamConnection& connection, bool& storing) {
  const std::size_t largest = largest_storable(job);
  const bool events = is_event_stream(connection.head().fields);
  std::size_t size = 0;
  for (;;) {
    const auto body = co_await connection.read_body(events ? config::Milliseconds(0) : job.upstream->silence_timeout);
    if (body.error) {
      if (body.error.detail == Detail::response_timeout)
        context_.counters.limits[static_cast<std::size_t>(Limit::silence_timeout)].add();
      co_return false;
    }
    size += body.data.size();
    if (storing && size > largest) {
      storing = false;
      count_too_large(job);
      context_.shared.collapser.mark_uncacheable(job.primary_hash, now().mono_ms);
      if (job.collapsing) context_.shared.collapser.leave(job.hash, job.flight.get());
      job.flight->stop_keeping();
    }
    if (!body.data.empty()) job.flight->append(body.data);
    if (body.end) co_return true;
    if (!storing && !co_await job.flight->wait_for_room()) {
      connection.spoil();
      co_return false;
    }
  }
}

Fetcher::Kept Fetcher::pack(const FetchJob& job, const FlightHead& head, std::string_view body) const {
  Kept kept;
  std::string wire = head.wire + head.stored_only;
  if (head.status != 204) append_length(body.size(), wire);
  StoredParts parts;
  parts.meta = head.meta;
  parts.selectors = head.selectors;
  parts.position = job.fence.local;
  parts.shared_position = job.fence.shared;
  parts.epoch = job.fence.epoch;
  std::string key = job.primary_key, readable = job.readable_key;
  kept.hash = job.primary_hash;
  if (!head.vary.empty()) {
    parts.primary_key = job.primary_key;
    parts.readable_key = job.readable_key;
    parts.head = head.vary;
    parts.vary_marker = true;
    kept.marker = StoredResponse::make(parts);
    key += head.variant;
    readable += '.';
    append_hex(hash128(head.variant), readable);
    kept.hash = hash128(key);
    parts.vary_marker = false;
  }
  parts.primary_key = key;
  parts.readable_key = readable;
  parts.head = wire;
  parts.etag = head.etag;
  parts.body = body;
  kept.response = StoredResponse::make(parts);
  kept.redis_ttl_ms = redis_ttl_ms(head.meta, job.route->settings);
  return kept;
}

// A 304: the stored body with the new fields and a new age (RFC 9111 4.3.4). It may forbid what the stored response
// allowed: then `fresh` answers those who may have it, and nothing is kept.
Fetcher::Kept Fetcher::freshen(const FetchJob& job, UpstreamConnection& connection, Now asked,
                               StoredResponsePtr& fresh) const {
  const StoredResponse& old = *job.validating;
  const Fields not_modified = connection.head().fields;
  const Now came = now();
  std::string wire = freshened_head(old, not_modified);
  append_missing_date(fields_of_head(wire), came.wall_ms / 1000, wire);
  std::vector<Field> fields = fields_of_head(wire);
  const std::string etag(entity_tag_of(fields));
  // Age and Set-Cookie are of this exchange: what is stored has none, and yet they count.
  for (const Field& field : not_modified) {
    if (field.id == Name::age || field.id == Name::set_cookie) fields.push_back(field);
  }
  const ResponseHead head{old.meta().status, {}, 1, Fields(fields)};
  StoredParts parts;
  parts.meta = make_meta(head, asked.mono_ms, came);
  parts.meta.request_had_cookie = old.meta().request_had_cookie || job.facts.has_cookie;
  parts.meta.request_had_authorization = old.meta().request_had_authorization || job.facts.has_authorization;
  parts.meta.had_set_cookie = parts.meta.had_set_cookie || old.meta().had_set_cookie;
  parts.selectors = old.selectors();
  parts.position = job.fence.local;
  parts.shared_position = job.fence.shared;
  parts.epoch = job.fence.epoch;
  parts.primary_key = old.primary_key();
  parts.readable_key = old.readable_key();
  parts.head = wire;
  parts.etag = etag;
  parts.body = old.body();
  fresh = StoredResponse::make(parts);
  Kept kept;
  if (!may_store(job.facts, parts.meta, head.fields, job.route->settings).store) return kept;
  kept.response = fresh;
  kept.hash = job.hash;
  kept.redis_ttl_ms = redis_ttl_ms(parts.meta, job.route->settings);
  return kept;
}

void Fetcher::keep_in_memory(const FetchJob& job, const Kept& kept) {
  if (!kept.response || !job.route->settings.store_memory) return;
  if (kept.marker) context_.shared.memory.store(job.primary_hash, kept.marker);
  context_.shared.memory.store(kept.hash, kept.response);
}

awaitable<void> Fetcher::keep_in_redis(const FetchJob& job, const Kept& kept) {
  if (!kept.response || kept.redis_ttl_ms <= 0 || !uses_redis(job)) co_return;
  // The marker first: a variant without it would never be found.
  if (kept.marker && !co_await context_.redis->store(kept.marker, kept.redis_ttl_ms)) co_return;
  co_await context_.redis->store(kept.response, kept.redis_ttl_ms);
}

}  // namespace pillion
