// Looking for values, waiting for them, and leases.
#include "flow/query_cache.hpp"

#include <algorithm>
#include <utility>

#include "core/freshness.hpp"
#include "flow/keeper.hpp"
#include "flow/redis_watch.hpp"
#include "flow/suspects.hpp"

namespace pillion {

namespace {

using Clock = std::chrono::steady_clock;

bool is_fresh(const StoredResponse& value, const config::Route& type, Now at) {
  return lifetime_of(value.meta(), type).ms > current_age_ms(value.meta(), at);
}

}  // namespace

// What came of looking where other replicas look, too: the value, or the lease, or until when somebody else has it.
struct QueryCache::Sought {
  StoredResponsePtr value;
  QueryLeases::Lease lease;
  Time until = Time::max();
};

// Whoever waits for a seek learns of its end, however it ends.
class QueryCache::Seeking {
 public:
  Seeking(QueryLeases& leases, const Hash128& key, std::shared_ptr<QueryLeases::Seek> seek)
      : leases_(leases), key_(key), seek_(std::move(seek)) {}
  ~Seeking() { settle(nullptr); }
  Seeking(const Seeking&) = delete;
  void settle(StoredResponsePtr found) { leases_.settle(key_, seek_, std::move(found)); }
  void grant(QueryLeases::Lease lease) { leases_.grant(key_, seek_, std::move(lease)); }

 private:
  QueryLeases& leases_;
  const Hash128 key_;
  const std::shared_ptr<QueryLeases::Seek> seek_;
};

QueryCache::QueryCache(WorkerContext& context) : context_(context) {
  if (context.redis_client) {
    store_.emplace(*context.redis_client, context.snapshot->config->redis, context.shared.invalidations.clock());
  }
}

NoticeBoard& QueryCache::board() const {
  return context_.shared.watch ? context_.shared.watch->board() : context_.shared.query_board;
}

bool QueryCache::uses_redis(const Query& query) const {
  return context_.redis && context_.redis->is_up(query.key.readable) && context_.shared.invalidations.redis_ready();
}

bool QueryCache::can_keep(const Query& query) const {
  return context_.shared.memory.max_object() > 0 || uses_redis(query);
}

std::string QueryCache::lease_name(const Query& query) const {
  return query_lease_name(lease_prefix, query.snapshot->config->redis.key_namespace, query.key.readable);
}

FleetLease QueryCache::fleet_lease(const Query& query) const {
  return FleetLease(context_.executor, *context_.redis_client, query.snapshot->config->redis.key_namespace,
                    lease_name(query));
}

// Whoever waits for another replica is woken by what changes there; where that isn't heard each replica goes by itself.
bool QueryCache::hears(const Query& query) const {
  const RedisWatch* watch = context_.shared.watch;
  return watch && watch->hearing(query.key.readable) == Hearing::up && watch->hearing(lease_name(query)) == Hearing::up;
}

// ---- looking

QueryAnswer QueryCache::find_now(const Query& query, Now at) const {
  QueryAnswer answer;
  answer.at = at;
  StoredResponsePtr stored = context_.shared.memory.find(query.key.hash, query.key.primary_key);
  if (!stored || !context_.shared.invalidations.order().is_good(*stored)) return answer;
  if (!is_fresh(*stored, query.type->settings, at)) return answer;
  answer.value = std::move(stored);
  answer.tier = Detail::memory;
  answer.unsure = context_.shared.invalidations.is_unsure(at);
  return answer;
}

// A copy whose key has changed in Redis is compared before it is used.
awaitable<QueryAnswer> QueryCache::find_in_memory(const Query& query) const {
  const LocalOrder& order = context_.shared.invalidations.order();
  QueryAnswer answer;
  // What turns out to be gone is taken out, and something else may have taken its place.
  for (int i = 0; i < 3; ++i) {
    answer.at = now();
    StoredResponsePtr stored = context_.shared.memory.find(query.key.hash, query.key.primary_key);
    if (!stored) break;
    const Standing standing = order.standing(*stored);
    if (standing.is_touched() || !is_fresh(*stored, query.type->settings, answer.at)) break;
    if (standing.suspect && !co_await is_still_good(context_, query.type->settings, query.key.hash, stored, answer.at))
      continue;
    answer.value = std::move(stored);
    answer.tier = Detail::memory;
    answer.unsure = context_.shared.invalidations.is_unsure(answer.at);
    break;
  }
  co_return answer;
}

awaitable<StoredResponsePtr> QueryCache::find_in_redis(const Query& query, InRedis& seen) const {
  const InvalidationLog& invalidations = context_.shared.invalidations;
  const Now at = now();
  // The fence of what is read is taken before it is read: an invalidation in between finds it.
  const std::uint64_t position = invalidations.fence().local;
  StoredResponsePtr stored =
      co_await context_.redis->find(query.key.readable, query.key.primary_key, at, position, KeyMatch::whole, &seen);
  if (!stored) co_return nullptr;
  seen.until_ms = expires_in_redis_ms(*stored, query.type->settings, at);
  const bool touched =
      invalidations.standing_in_redis(*stored).is_touched() || invalidations.order().standing(*stored).is_touched();
  if (touched || !is_fresh(*stored, query.type->settings, at)) co_return nullptr;
  keep_in_memory(query, stored);
  co_return stored;
}

awaitable<QueryAnswer> QueryCache::peek(Query query) {
  QueryAnswer answer = co_await find_in_memory(query);
  InRedis seen;
  if (answer.value || !uses_redis(query)) co_return answer;
  answer.value = co_await find_in_redis(query, seen);
  answer.tier = answer.value ? Detail::redis : Detail::none;
  co_return answer;
}

awaitable<QueryAnswer> QueryCache::get(Query query, std::chrono::milliseconds wait, QueryCaller& caller) {
  const Time until = Clock::now() + wait;
  QueryAnswer answer = co_await find_in_memory(query);
  if (answer.value) co_return answer;
  // What proved too large is loaded by everyone for himself, and so is what there is no place for.
  if (!can_keep(query) || context_.shared.collapser.is_uncacheable(query.key.hash, answer.at.mono_ms)) co_return answer;
  // From here on, so that nothing is missed.
  NoticeBoard::Waiter waiter(board(), context_.executor, {lease_name(query), query.key.readable});
  caller.waiting = &waiter;
  waiting_.insert(&waiter);
  answer = co_await wait_or_lead(query, until, caller, waiter);
  waiting_.erase(&waiter);
  caller.waiting = nullptr;
  co_return answer;
}

// After waiting, for a seek of another's perhaps.
awaitable<QueryAnswer> QueryCache::look_again(const Query& query, std::shared_ptr<QueryLeases::Seek> seek) const {
  QueryAnswer answer = co_await find_in_memory(query);
  answer.waited = true;
  if (answer.value || !seek) co_return answer;
  answer.value = context_.shared.query_leases.found(*seek);
  // It may have been found before an invalidation that came before this caller.
  if (answer.value && context_.shared.invalidations.order().standing(*answer.value).is_touched())
    answer.value = nullptr;
  answer.tier = answer.value ? Detail::redis : Detail::none;
  co_return answer;
}

awaitable<QueryAnswer> QueryCache::wait_or_lead(const Query& query, Time until, QueryCaller& caller,
                                                NoticeBoard::Waiter& waiter) {
  QueryLeases& leases = context_.shared.query_leases;
  const auto voids = [&](const Fence& fence) { return is_void(query, fence, false); };
  const bool patient = Clock::now() < until;
  QueryAnswer answer;
  for (;;) {
    const QueryLeases::Claim claim = leases.claim(query.key.hash, Clock::now(), voids);
    Time next = std::min(until, claim.until);
    answer.at = now();
    if (claim.turn == QueryLeases::Turn::full) {
      context_.counters.limits[static_cast<std::size_t>(Limit::query_leases)].add();
      co_return answer;
    }
    if (claim.turn == QueryLeases::Turn::wait && uses_redis(query)) {
      // A write, here or elsewhere, waits for nobody's lease; and whoever doesn't wait may look all the same.
      const bool changed = context_.shared.invalidations.order().noticed_since(claim.since, query.key.readable) > 0;
      InRedis seen;
      if (claim.seek ? !patient : changed) answer.value = co_await find_in_redis(query, seen);
      answer.tier = answer.value ? Detail::redis : Detail::none;
      if (answer.value) co_return answer;
    }
    if (claim.turn == QueryLeases::Turn::seek) {
      Seeking seeking(leases, query.key.hash, claim.seek);
      // Whoever had the lease may have stored the value, and ended it, since this one looked.
      const bool waited = answer.waited;
      answer = co_await find_in_memory(query);
      answer.waited = waited;
      if (answer.value) {
        seeking.settle(answer.value);
        board().changed(query.key.readable);
        co_return answer;
      }
      Sought sought = co_await seek(query);
      const bool given = !sought.lease.token.empty();
      if (sought.value || given) {
        answer.value = sought.value;
        answer.tier = given ? Detail::none : Detail::redis;
        answer.lease = sought.lease.token;
        if (given) seeking.grant(std::move(sought.lease));
        seeking.settle(answer.value);
        if (answer.value) board().changed(query.key.readable);
        co_return answer;
      }
      next = std::min(until, sought.until);
    } else if (claim.seek) {
      // Should whoever looks leave, and nothing be heard of the lease that it found: no lease lasts longer.
      next = std::min(until, Clock::now() + query.snapshot->config->query_cache->lease);
    }
    if (caller.gone || finishing_ || !waiter.is_told()) co_return answer;
    co_await waiter.wait(next);
    answer = co_await look_again(query, claim.turn == QueryLeases::Turn::wait ? claim.seek : nullptr);
    if (answer.value || caller.gone || finishing_) co_return answer;
    const bool late = Clock::now() >= until;
    if (late && patient) context_.counters.limits[static_cast<std::size_t>(Limit::collapse_wait)].add();
    if (late || !can_keep(query) || context_.shared.collapser.is_uncacheable(query.key.hash, answer.at.mono_ms))
      co_return answer;
  }
}

// ---- leases

// What is loaded under that fence would be invalidated already. Tags that come with the value aren't known yet.
bool QueryCache::is_void(const Query& query, const Fence& fence, bool in_redis) const {
  const InvalidationLog& invalidations = context_.shared.invalidations;
  const auto selectors = query_selectors(query.type_name, query.key.readable, {});
  if (!in_redis) return invalidations.order().invalidated_since(fence.local, selectors, query.key.readable);
  StoredParts parts;
  parts.readable_key = query.key.readable;
  parts.selectors = selectors;
  parts.shared_position = fence.shared;
  parts.epoch = fence.epoch;
  return invalidations.standing_in_redis(*StoredResponse::make(parts)).is_touched();
}

awaitable<QueryCache::Sought> QueryCache::seek(const Query& query) const {
  const InvalidationLog& invalidations = context_.shared.invalidations;
  const std::chrono::milliseconds time = query.snapshot->config->query_cache->lease;
  Sought sought;
  InRedis seen;
  if (uses_redis(query) && (sought.value = co_await find_in_redis(query, seen))) co_return sought;

  // The fence before the lease is told to anybody: what it allows to load is no older.
  Fence fence = invalidations.fence();
  const Time asked = Clock::now();
  if (fence.epoch != 0 && uses_redis(query) && hears(query)) {
    FleetLease lease = fleet_lease(query);
    FleetLease::Taken taken = co_await lease.take(fence, time);
    if (taken == FleetLease::Taken::held && lease.held_by() && is_void(query, *lease.held_by(), true))
      taken = co_await lease.take_over(fence, time);
    if (taken == FleetLease::Taken::held) {
      const auto left = co_await lease.left();
      if (left) sought.until = Clock::now() + *left;
      if (!left) co_await lease.end_if_endless(time);
      co_return sought;
    }
    if (taken == FleetLease::Taken::granted) {
      // Another may have stored it, and have let go of the lease, since it was looked for.
      const InRedis there = co_await context_.redis->peek(query.key.readable);
      const bool changed =
          there.state == InRedis::State::present && (seen.state != InRedis::State::present || seen.id != there.id);
      if (changed && (sought.value = co_await find_in_redis(query, seen))) co_return sought;
      sought.lease = {lease.keep(), fence, seen, true, asked + time};
      co_return sought;
    }
    // It may have been granted all the same: let go of by itself.
  }
  sought.lease = {lease_text({}), fence, seen, false, asked + time};
  co_return sought;
}

void QueryCache::give_back(const Query& query, const std::string& lease) {
  const auto known = context_.shared.query_leases.begin_store(query.key.hash, lease, Clock::now());
  if (!known) return;
  if (known->in_redis) {
    FleetLease held = fleet_lease(query);
    held.resume(lease, known->until);
  }
  context_.shared.query_leases.end(query.key.hash, lease);
  board().changed(query.key.readable);
}

void QueryCache::too_large(const Query& query, const std::string& lease) {
  context_.shared.collapser.mark_uncacheable(query.key.hash, now().mono_ms);
  auto& limits = context_.counters.limits;
  if (context_.shared.memory.max_object() > 0) limits[static_cast<std::size_t>(Limit::object_memory)].add();
  if (context_.redis) limits[static_cast<std::size_t>(Limit::object_redis)].add();
  give_back(query, lease);
}

void QueryCache::finish_soon() {
  finishing_ = true;
  for (NoticeBoard::Waiter* waiter : waiting_) waiter->wake();
}

}  // namespace pillion
