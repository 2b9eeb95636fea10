#include "flow/look_up.hpp"

namespace pillion {

namespace {

// What a stored response means to this request.
void judge(const WorkerContext& context, const Plan& plan, Now at, Found& found, StoredResponsePtr stored,
           Detail tier) {
  if (context.shared.invalidations.is_invalidated(*stored)) {
    // It may still tell whether what the upstream has is the same, if its ETag is strong: a date can't tell two writes
    // of one second.
    found.forward = Forward::stale;
    if (!stored->meta().has_strong_etag) return;
    found.decision = {Reuse::validate, Forward::stale, Detail::invalidated, 0, 0};
    found.response = std::move(stored);
    return;
  }
  found.decision = may_reuse(plan.facts, stored->meta(), plan.route->settings, at);
  if (found.decision.reuse == Reuse::refuse) {
    found.forward = found.decision.forward == Forward::none ? Forward::miss : found.decision.forward;
    return;
  }
  found.forward = found.decision.forward == Forward::none ? Forward::stale : found.decision.forward;
  found.response = std::move(stored);
  found.tier = tier;
}

// The variant's key, where the URL varies.
void follow_marker(const StoredResponse& marker, const RequestHead& request, const Plan& plan, Found& found) {
  const std::string variant = variant_key(marker.head(), request.fields);
  found.varies = true;
  found.variant = hash128(variant);
  found.key = plan.primary_key + variant;
  found.hash = hash128(found.key);
}

}  // namespace

Found look_up_memory(const WorkerContext& context, const RequestHead& request, const Plan& plan, Now at) {
  Found found;
  found.hash = plan.hash;
  if (!plan.route->settings.store_memory) return found;
  StoredResponsePtr stored = context.shared.memory.find(plan.hash, plan.primary_key);
  if (!stored) return found;
  if (stored->is_vary_marker()) {
    follow_marker(*stored, request, plan, found);
    stored = context.shared.memory.find(found.hash, found.key);
    if (!stored) {
      found.forward = Forward::vary_miss;
      return found;
    }
  }
  judge(context, plan, at, found, std::move(stored), Detail::memory);
  return found;
}

awaitable<Found> look_up(WorkerContext& context, const RequestHead& request, const Plan& plan, Now at) {
  Found found = look_up_memory(context, request, plan, at);
  if (found.is_fresh() || !context.redis || !plan.route->settings.store_redis) co_return found;
  if (!context.redis->is_up() || !context.shared.invalidations.redis_ready()) co_return found;

  // The fence of what is read is taken before it is read: an invalidation in between finds it.
  const std::uint64_t position = context.shared.invalidations.fence().local;
  const std::string readable = readable_key(plan.match, plan.hash);
  Found in_redis;
  in_redis.hash = plan.hash;
  StoredResponsePtr stored = co_await context.redis->find(readable, plan.primary_key, at, position);
  StoredResponsePtr marker;
  if (stored && stored->is_vary_marker()) {
    marker = std::move(stored);
    follow_marker(*marker, request, plan, in_redis);
    stored = co_await context.redis->find(readable + '.' + to_hex(in_redis.variant), in_redis.key, at, position);
    if (!stored) in_redis.forward = Forward::vary_miss;
  }
  if (stored && context.shared.invalidations.is_invalidated_in_redis(*stored)) {
    if (in_redis.varies) in_redis.forward = Forward::stale;
    stored.reset();
  }
  if (!stored) {
    if (!found.response && in_redis.varies) co_return in_redis;
    co_return found;
  }
  if (plan.route->settings.store_memory) {
    if (marker) context.shared.memory.store(plan.hash, marker);
    context.shared.memory.store(in_redis.hash, stored);
  }
  judge(context, plan, at, in_redis, std::move(stored), Detail::redis);
  co_return in_redis;
}

}  // namespace pillion
