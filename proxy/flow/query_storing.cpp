// Storing values of the query cache, and invalidating them.
#include <algorithm>
#include <utility>

#include "core/freshness.hpp"
#include "core/http_date.hpp"
#include "flow/keeper.hpp"
#include "flow/query_cache.hpp"
#include "flow/suspects.hpp"
#include "store/store_id.hpp"

namespace pillion {

namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

// Whoever stores has the lease no longer, whatever comes of it.
class QueryCache::Ending {
 public:
  Ending(QueryLeases& leases, const Query& query, const std::string& token)
      : leases_(leases), query_(query), token_(token) {}
  ~Ending() { leases_.end(query_.key.hash, token_); }
  Ending(const Ending&) = delete;

 private:
  QueryLeases& leases_;
  const Query& query_;
  const std::string& token_;
};

std::size_t QueryCache::largest(const Snapshot& snapshot) const {
  const std::size_t in_redis = context_.redis ? snapshot.config->redis.max_object : 0;
  return std::max(context_.shared.memory.max_object(), in_redis);
}

StoredResponsePtr QueryCache::make_value(const Query& query, const QueryValue& value, const Fence& fence) const {
  const Now at = now();
  char date[http_date_size];
  write_http_date(at.wall_ms / 1000, date);
  std::string head = "HTTP/1.1 200 OK\r\nDate: ";
  head.append(date, sizeof date).append("\r\n").append(value.head);
  head += "Cache-Control: no-store\r\nContent-Length: " + std::to_string(value.body.size()) + "\r\n";
  const auto selectors = query_selectors(query.type_name, query.key.readable, value.tags);
  StoredParts parts;
  parts.meta.status = 200;
  parts.meta.directives.max_age = value.max_age;
  parts.meta.date_s = at.wall_ms / 1000;
  parts.meta.received_mono_ms = at.mono_ms;
  parts.meta.received_wall_ms = at.wall_ms;
  parts.primary_key = query.key.primary_key;
  parts.readable_key = query.key.readable;
  parts.head = head;
  parts.body = value.body;
  parts.selectors = selectors;
  parts.position = fence.local;
  parts.shared_position = fence.shared;
  parts.epoch = fence.epoch;
  parts.store_id = new_store_id();
  return StoredResponse::make(parts);
}

// What memory doesn't take must not leave an older one there.
void QueryCache::keep_in_memory(const Query& query, const StoredResponsePtr& value) const {
  MemoryStore& memory = context_.shared.memory;
  if (memory.store(query.key.hash, value)) return;
  if (const auto old = memory.find(query.key.hash, query.key.primary_key)) memory.erase(query.key.hash, old.get());
}

awaitable<QueryPut> QueryCache::put(Query query, std::string token, QueryValue value) {
  QueryLeases& leases = context_.shared.query_leases;
  const auto lease = leases.begin_store(query.key.hash, token, Clock::now());
  // Given by another replica, or by this one before it was started anew: what stands in Redis tells whether it holds.
  std::optional<Fence> fence;
  if (lease) {
    fence = lease->fence;
  } else if (uses_redis(query)) {
    fence = fence_of_lease(token);
    if (fence) fence->local = context_.shared.invalidations.fence().local;
  }
  QueryPut outcome = QueryPut::lost;
  if (lease) {
    const Ending ending(leases, query, token);
    StoredResponsePtr made = make_value(query, value, *fence);
    outcome = uses_redis(query) && fence->epoch != 0 ? co_await put_in_redis(query, lease, token, std::move(made))
                                                     : co_await put_here(query, *lease, std::move(made));
  } else if (fence && fence->epoch != 0) {
    outcome = co_await put_in_redis(query, lease, token, make_value(query, value, *fence));
  }
  if (outcome == QueryPut::stored) context_.shared.collapser.mark_cacheable(query.key.hash);
  board().changed(query.key.readable);
  co_return outcome;
}

awaitable<QueryPut> QueryCache::put_here(const Query& query, const QueryLeases::Lease& lease, StoredResponsePtr value) {
  if (lease.in_redis) fleet_lease(query).resume(lease.token, lease.until);
  if (context_.shared.invalidations.order().standing(*value).is_touched()) co_return QueryPut::voided;
  if (redis_ttl_ms(value->meta(), query.type->settings, now()) > 0) keep_in_memory(query, value);
  co_return QueryPut::stored;
}

awaitable<QueryPut> QueryCache::put_in_redis(const Query& query, const std::optional<QueryLeases::Lease>& lease,
                                             std::string token, StoredResponsePtr value) {
  const InvalidationLog& invalidations = context_.shared.invalidations;
  FleetLease held = fleet_lease(query);
  // Whatever comes of it, and whoever has it by then.
  const bool in_redis = !lease || lease->in_redis;
  if (in_redis) held.resume(token, lease ? lease->until : Clock::now() + query.snapshot->config->query_cache->lease);
  const auto touched = [&] {
    return invalidations.standing_in_redis(*value).is_touched() || invalidations.order().standing(*value).is_touched();
  };
  if (touched() || (lease && co_await is_overtaken_since(query, *lease))) co_return QueryPut::voided;
  const std::int64_t ttl_ms = redis_ttl_ms(value->meta(), query.type->settings, now());
  if (ttl_ms <= 0) {
    std::optional<bool> own = true;
    if (in_redis) own = co_await held.is_own();
    co_return own.value_or(lease.has_value()) ? QueryPut::stored : QueryPut::lost;
  }
  if (!in_redis) token.clear();
  const QueryStore::Stored stored = co_await store_->store(value, ttl_ms, lease_name(query), token);
  if (stored == QueryStore::Stored::lost) co_return QueryPut::lost;
  const bool verified = stored == QueryStore::Stored::yes || stored == QueryStore::Stored::foreign;
  if (verified) held.keep();  // it is over
  // Without an answer from Redis a lease that isn't ours can't be told from one that never was.
  if (!verified && !lease) co_return QueryPut::lost;
  if (invalidations.order().standing(*value).is_touched()) co_return QueryPut::voided;
  keep_in_memory(query, value);
  co_return QueryPut::stored;
}

// Whether somebody has removed or replaced what stood in Redis when the lease was given: he has the last word.
awaitable<bool> QueryCache::is_overtaken_since(const Query& query, const QueryLeases::Lease& lease) const {
  const LocalOrder& order = context_.shared.invalidations.order();
  const Noticed noticed{order.noticed_since(lease.fence.local, query.key.readable),
                        order.last_notice_ms(query.key.readable)};
  if (noticed.times == 0 || lease.seen.state == InRedis::State::unknown) co_return false;
  co_return is_overtaken(noticed, lease.seen, co_await context_.redis->peek(query.key.readable));
}

awaitable<QueryPut> QueryCache::write(Query query, QueryValue value) {
  InvalidationLog& invalidations = context_.shared.invalidations;
  const std::uint64_t epoch = invalidations.fence().epoch;
  // Between the invalidation and the value nobody is told to load one.
  const std::string token = "write " + std::to_string(new_store_id());
  context_.shared.query_leases.begin_write(query.key.hash, token, invalidations.fence());
  const Ending ending(context_.shared.query_leases, query, token);
  std::vector<Selector> selectors{query_selector(query.type_name, query.key.readable)};
  const InvalidationLog::Outcome done = co_await invalidations.invalidate(std::move(selectors));
  // As recent as its own invalidation, and no more: another's that comes after it counts.
  Fence fence{done.local, 0, 0};
  if (!done.pending && done.record.position != 0 && invalidations.fence().epoch == epoch) {
    fence.shared = done.record.position;
    fence.epoch = epoch;
  }
  StoredResponsePtr made = make_value(query, value, fence);
  const std::int64_t ttl_ms = redis_ttl_ms(made->meta(), query.type->settings, now());
  if (ttl_ms > 0) {
    if (fence.epoch != 0 && uses_redis(query)) co_await store_->store(made, ttl_ms, lease_name(query), {});
    keep_in_memory(query, made);
  }
  context_.shared.collapser.mark_cacheable(query.key.hash);
  context_.shared.query_leases.end(query.key.hash, token);
  board().changed(query.key.readable);
  co_return done.pending ? QueryPut::pending : QueryPut::stored;
}

awaitable<bool> QueryCache::invalidate(Selector selector, const QueryKey* key) {
  std::vector<Selector> selectors{std::move(selector)};
  const InvalidationLog::Outcome done = co_await context_.shared.invalidations.invalidate(std::move(selectors));
  if (key) board().changed(key->readable);
  co_return !done.pending;
}

}  // namespace pillion
