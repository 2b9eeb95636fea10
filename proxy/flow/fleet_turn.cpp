#include "flow/fleet_turn.hpp"

#include <algorithm>

#include "flow/look_up.hpp"
#include "flow/redis_watch.hpp"

namespace pillion {

namespace {

using Clock = std::chrono::steady_clock;

bool hears(const WorkerContext& context, const std::vector<std::string>& keys) {
  return std::ranges::all_of(keys,
                             [&](const std::string& key) { return context.shared.watch->hearing(key) == Hearing::up; });
}

// Whether the fetch under way began before something that invalidates what it brings: no use in waiting for it.
bool is_outdated(const WorkerContext& context, const FetchJob& job, const Fence& fence) {
  bool ignored = true;
  const auto selectors = job.selectors({}, ignored);
  StoredParts parts;
  parts.readable_key = job.place.readable_key;
  parts.selectors = selectors;
  parts.shared_position = fence.shared;
  parts.epoch = fence.epoch;
  const StoredResponsePtr fetched = StoredResponse::make(parts);
  return context.shared.invalidations.standing_in_redis(*fetched).is_touched();
}

// The fetch begins now, unless that would hide that what it asks about was invalidated meanwhile.
void begin_now(const WorkerContext& context, FetchJob& job) {
  const Fence fence = context.shared.invalidations.fence();
  const bool hides =
      job.validating && !job.strong_only && context.shared.invalidations.order().standing(*job.validating).is_touched();
  if (!hides) job.place.fence = fence;
}

awaitable<bool> has_changed(WorkerContext& context, const FetchJob& job) {
  const auto differs = [](const InRedis& now, const InRedis& before) {
    return now.state == InRedis::State::present && (before.state != InRedis::State::present || now.id != before.id);
  };
  if (differs(co_await context.redis->peek(job.place.readable_key), job.place.seen)) co_return true;
  if (job.place.seen_variant_key.empty()) co_return false;
  co_return differs(co_await context.redis->peek(job.place.seen_variant_key), job.place.seen_variant);
}

// Until it is there, or the lease is gone without it, or the time is over.
awaitable<StoredResponsePtr> wait_for_another(WorkerContext& context, FetchJob& job, FleetLease& lease,
                                              NoticeBoard::Waiter& waiter, const std::vector<std::string>& keys) {
  const auto until = Clock::now() + job.place.route->settings.collapse_wait;
  for (;;) {
    const bool changed = co_await waiter.wait(until);
    if (!changed) context.counters.limits[static_cast<std::size_t>(Limit::collapse_wait)].add();
    // The lease first: who released it has stored before.
    const bool held = changed && hears(context, keys) && (co_await lease.is_held()).value_or(false);
    if (StoredResponsePtr found = co_await find_fetched(context, job)) co_return found;
    if (!changed) co_await lease.end_if_endless(job.place.route->settings.collapse_wait);
    if (!held) co_return nullptr;
  }
}

}  // namespace

awaitable<FleetTurn> wait_turn(WorkerContext& context, FetchJob& job) {
  const config::Route& route = job.place.route->settings;
  if (!context.shared.watch || !context.redis_client || job.place.fence.epoch == 0) co_return FleetTurn{};
  auto lease = std::make_unique<FleetLease>(context.executor, *context.redis_client,
                                            job.place.snapshot->config->redis.key_namespace, job.hash);
  std::vector<std::string> keys{lease->name(), job.place.readable_key};
  if (!job.place.seen_variant_key.empty()) keys.push_back(job.place.seen_variant_key);
  if (!hears(context, keys)) co_return FleetTurn{};
  // From here on, so that nothing is missed.
  NoticeBoard::Waiter waiter(context.shared.watch->board(), context.executor, keys);
  if (!waiter.is_told()) co_return FleetTurn{};
  const FleetLease::Taken taken = co_await lease->take(job.place.fence, route.collapse_wait);
  StoredResponsePtr found;
  if (taken == FleetLease::Taken::granted) {
    // Another may have stored it, and have let go of the lease, since it was looked for.
    if (co_await has_changed(context, job)) found = co_await find_fetched(context, job);
    if (!found) job.lease = std::move(lease);
  } else if (taken == FleetLease::Taken::unavailable) {
    job.lease = std::move(lease);  // it may be ours
  } else if (taken == FleetLease::Taken::held) {
    if (job.fleet == FetchJob::Fleet::refresh) {
      co_await lease->end_if_endless(route.collapse_wait);
      co_return FleetTurn{Turn::skip, nullptr};
    }
    if (!lease->held_by() || !is_outdated(context, job, *lease->held_by()))
      found = co_await wait_for_another(context, job, *lease, waiter, keys);
  }
  if (found) co_return FleetTurn{Turn::answered, std::move(found)};
  begin_now(context, job);
  co_return FleetTurn{};
}

}  // namespace pillion
