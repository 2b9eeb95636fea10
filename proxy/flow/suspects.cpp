#include "flow/suspects.hpp"

#include "core/vary_marker.hpp"
#include "flow/redis_watch.hpp"

namespace pillion {

namespace {

bool can_ask(const WorkerContext& context, Hearing hearing, std::string_view readable_key) {
  return hearing != Hearing::deaf && context.redis && context.redis->is_up(readable_key);
}

}  // namespace

awaitable<bool> is_still_good(WorkerContext& context, const config::Route& route, const Hash128& place,
                              StoredResponsePtr copy, Now at) {
  const LocalOrder& order = context.shared.invalidations.order();
  const RedisWatch* watch = context.shared.watch;
  const std::string key = copy->readable_key();
  const Hearing hearing = watch ? watch->hearing(key) : Hearing::deaf;
  if (!can_ask(context, hearing, key)) co_return true;
  // Before it is asked: what is noticed from here on makes the copy suspect again.
  const std::uint64_t position = order.latest();
  const std::uint64_t noticed = order.first_notice_after(std::max(copy->position(), copy->checked_position()), key);
  const InRedis there = co_await context.redis->peek(key);
  if (there.state == InRedis::State::unknown) co_return true;
  context.counters.suspects_compared.add();
  bool good = there.is(copy->store_id());
  if (there.state == InRedis::State::absent)
    good = expires_in_redis_ms(*copy, route, at) <= at.mono_ms || co_await watch->was_evicted(key, noticed);
  if (!good) {
    context.counters.suspects_dropped.add();
    context.shared.memory.erase(place, copy.get());
    co_return false;
  }
  const Standing standing = order.standing(*copy);
  // While nothing is heard of changes it is compared at each use.
  if (hearing == Hearing::up && !standing.is_touched()) copy->mark_checked(position);
  co_return true;
}

bool is_overtaken(const Noticed& noticed, const InRedis& before, const InRedis& after) noexcept {
  using State = InRedis::State;
  if (noticed.times == 0) return false;
  if (before.state == State::unknown || after.state == State::unknown) return true;
  // Nothing stood there and nothing does: one notice is that of a removal before, which came late.
  if (before.state == State::absent) return after.state == State::present || noticed.times > 1;
  // Its time was over when it went.
  if (after.state == State::absent && noticed.times == 1 && noticed.last_ms >= before.until_ms) return false;
  // The same value as before: what was noticed was noticed late, or only its expiry was changed.
  return !after.is(before.id);
}

namespace {

Noticed noticed_of(const LocalOrder& order, const Place& place, std::string_view readable_key) {
  return {order.noticed_since(place.fence.local, readable_key), order.last_notice_ms(readable_key)};
}

// Of a marker. Many fetches of one URL write it, each a variant; one family of them is as good as the same value.
awaitable<bool> is_marker_overtaken(WorkerContext& context, Place& place, Noticed noticed) {
  InRedis after;
  const StoredResponsePtr there = co_await context.redis->find(place.readable_key, place.primary_key, now(),
                                                               place.fence.local, KeyMatch::whole, &after);
  const bool is_marker = there && there->is_vary_marker();
  const InRedis before = place.seen;
  const std::uint64_t family = place.marker ? family_of(*place.marker) : 0;
  place.marker = is_marker ? there : nullptr;
  if (noticed.times == 0) co_return false;
  if (is_marker && before.state == InRedis::State::absent) co_return false;  // another has found out that it varies
  if (is_marker && before.state == InRedis::State::present && family != 0) co_return family_of(*there) != family;
  co_return is_overtaken(noticed, before, after);
}

}  // namespace

awaitable<bool> is_overtaken(WorkerContext& context, Place& place, const StoredResponse& response, bool varies) {
  const LocalOrder& order = context.shared.invalidations.order();
  const std::string key = response.readable_key();
  const Noticed noticed = noticed_of(order, place, key);
  if (!varies) {
    if (noticed.times == 0) co_return false;
    co_return is_overtaken(noticed, place.seen, co_await context.redis->peek(key));
  }
  // Without a copy that is known to be good its marker is read in any case, so that no variant of another is lost.
  const bool knows_marker = place.route->settings.store_memory && context.shared.watch &&
                            context.shared.watch->hearing(place.readable_key) == Hearing::up;
  const Noticed of_marker = noticed_of(order, place, place.readable_key);
  if ((of_marker.times > 0 || !knows_marker) && co_await is_marker_overtaken(context, place, of_marker)) co_return true;
  if (noticed.times == 0) co_return false;
  const bool was_seen = place.seen_variant_key == key;
  co_return is_overtaken(noticed, was_seen ? place.seen_variant : InRedis{}, co_await context.redis->peek(key));
}

}  // namespace pillion
