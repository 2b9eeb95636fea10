#include "flow/keeper.hpp"

#include <algorithm>

#include "core/freshness.hpp"
#include "core/vary_marker.hpp"
#include "flow/suspects.hpp"
#include "store/store_id.hpp"

namespace pillion {

namespace {

StoredResponsePtr make_marker(const Place& place, const VaryMarker& marker, std::int64_t ttl_ms, Now at) {
  const MarkerBytes bytes = write_marker(marker);
  StoredParts parts;
  parts.meta.received_mono_ms = at.mono_ms;
  parts.meta.received_wall_ms = at.wall_ms;
  parts.meta.directives.max_age =
      static_cast<std::int32_t>(std::clamp<std::int64_t>((ttl_ms + 999) / 1000, 0, 0x7fffffff));
  parts.primary_key = place.primary_key;
  parts.readable_key = place.readable_key;
  parts.head = bytes.head;
  parts.body = bytes.body;
  parts.position = place.fence.local;
  parts.shared_position = place.fence.shared;
  parts.epoch = place.fence.epoch;
  if (parts.epoch != 0) parts.store_id = new_store_id();
  parts.vary_marker = true;
  return StoredResponse::make(parts);
}

// Where in memory a response of that URL stands.
Hash128 place_of(const Place& place, const StoredResponse& stored) {
  const std::string_view variant = stored.primary_key().substr(place.primary_key.size());
  return variant.empty() ? place.primary_hash : variant_place(place.primary_hash, hash128(variant));
}

std::string variant_name(const Place& place, const Hash128& variant) {
  return place.readable_key + '.' + to_hex(variant);
}

}  // namespace

// Its own lifetime stands in its max-age.
std::int64_t marker_left_ms(const StoredResponse* marker, Now at) {
  if (!marker || !marker->is_vary_marker()) return 0;
  const std::int64_t whole = std::int64_t{marker->meta().directives.max_age} * 1000;
  return std::max<std::int64_t>(0, whole - std::max<std::int64_t>(0, at.mono_ms - marker->meta().received_mono_ms));
}

std::int64_t redis_ttl_ms(const ResponseMeta& meta, const config::Route& route, Now now) {
  const StaleWindows windows = stale_windows(meta, route);
  const std::int64_t use = lifetime_of(meta, route).ms + std::max(windows.while_revalidate_ms, windows.if_error_ms);
  const std::int64_t left = std::max<std::int64_t>(0, use - current_age_ms(meta, now));
  return left + (meta.has_validator ? route.keep.count() : 0);
}

std::int64_t expires_in_redis_ms(const StoredResponse& stored, const config::Route& route, Now at) {
  const std::int64_t left =
      stored.is_vary_marker() ? marker_left_ms(&stored, at) : redis_ttl_ms(stored.meta(), route, at);
  return at.mono_ms + std::min(left, std::int64_t{1} << 50);
}

bool Keeper::uses_redis(const Place& place) const {
  return context_.redis && place.route->settings.store_redis && place.fence.epoch != 0;
}

std::size_t Keeper::largest(const Place& place) const {
  std::size_t largest = 0;
  if (place.route->settings.store_memory) largest = context_.shared.memory.max_object();
  if (uses_redis(place)) largest = std::max(largest, place.snapshot->config->redis.max_object);
  return largest;
}

void Keeper::count_too_large(const Place& place) const {
  auto& limits = context_.counters.limits;
  if (place.route->settings.store_memory) limits[static_cast<std::size_t>(Limit::object_memory)].add();
  if (uses_redis(place)) limits[static_cast<std::size_t>(Limit::object_redis)].add();
}

Detail Keeper::cannot_keep(const Place& place, const ResponseMeta& meta) const {
  if (place.route->settings.store_memory && context_.shared.memory.max_object() > 0) return Detail::none;
  if (!uses_redis(place) || !context_.redis->is_up(place.readable_key)) return Detail::store_unavailable;
  return redis_ttl_ms(meta, place.route->settings, now()) > 0 ? Detail::none : Detail::no_lifetime;
}

// Under the lock of that URL: two variants that are stored at once must both be in the marker, or the bound wouldn't
// hold.
void Keeper::put(const Place& place, Kept& kept) {
  if (!kept.response) return;
  MemoryStore& memory = context_.shared.memory;
  const bool in_memory = place.route->settings.store_memory;
  std::lock_guard lock(context_.shared.variant_locks[place.primary_hash.high % context_.shared.variant_locks.size()]);
  StoredResponsePtr old;
  if (in_memory)
    old = place.cold ? memory.peek(place.primary_hash, place.primary_key)
                     : memory.find(place.primary_hash, place.primary_key);
  // One that is suspect was read anew before (drop_overtaken()).
  if (!old || !old->is_vary_marker() || context_.shared.invalidations.order().standing(*old).suspect)
    old = place.marker;
  VaryMarker marker = read_marker(old.get());
  if (kept.vary.empty()) {
    // It matches every request and is the most recent: what stood beside it will not be chosen again (RFC 9111 4.1).
    for (const auto& variant : marker.variants) kept.dropped.push_back(variant.hash);
    if (in_memory) store_in_memory(place, place.primary_hash, kept.response);
  } else {
    const Now at = now();
    if (marker.family == 0) marker.family = new_store_id();
    kept.dropped = note_variant(marker, kept.vary, kept.variant, place.snapshot->config->limits.variants);
    context_.counters.limits[static_cast<std::size_t>(Limit::variants)].add(kept.dropped.size());
    kept.marker_ttl_ms =
        std::max(redis_ttl_ms(kept.response->meta(), place.route->settings, at), marker_left_ms(old.get(), at));
    kept.marker = make_marker(place, marker, kept.marker_ttl_ms, at);
    if (in_memory && (take_in_memory(place, place.primary_hash, kept.marker) || !place.cold)) {
      store_in_memory(place, variant_place(place.primary_hash, kept.variant), kept.response);
    }
  }
  if (in_memory) drop_in_memory(place, kept.dropped);
}

bool Keeper::take_in_memory(const Place& place, const Hash128& hash, const StoredResponsePtr& response) {
  MemoryStore& memory = context_.shared.memory;
  return place.cold ? memory.store_cold(hash, response, now().mono_ms) : memory.store(hash, response);
}

// What memory doesn't take must not leave an older one there.
void Keeper::store_in_memory(const Place& place, const Hash128& hash, StoredResponsePtr response) {
  if (take_in_memory(place, hash, response)) return;
  MemoryStore& memory = context_.shared.memory;
  const auto old = memory.peek(hash, place.primary_key, KeyMatch::prefix);
  if (!old) return;
  memory.erase(hash, old.get());
  // There may have been no room beside it.
  if (place.cold) take_in_memory(place, hash, response);
}

// The same of Redis.
awaitable<void> Keeper::store_in_redis(StoredResponsePtr response, std::int64_t ttl_ms) {
  if (co_await context_.redis->store(response, ttl_ms) == RedisStore::Stored::yes) co_return;
  std::vector<std::string> names{response->readable_key()};
  co_await context_.redis->erase(std::move(names));
}

void Keeper::drop_in_memory(const Place& place, const std::vector<Hash128>& variants) {
  MemoryStore& memory = context_.shared.memory;
  for (const Hash128& variant : variants) {
    const Hash128 hash = variant_place(place.primary_hash, variant);
    if (const auto stored = memory.find(hash, place.primary_key, KeyMatch::prefix)) memory.erase(hash, stored.get());
  }
}

awaitable<void> Keeper::put_in_redis(const Place& place, const Kept& kept) {
  if (!kept.response || !uses_redis(place)) co_return;
  // Whatever Redis would evict for it has been asked for since it was stored, or may have been.
  if (place.cold && context_.shared.redis_full.load(std::memory_order_relaxed)) co_return;
  const std::int64_t ttl_ms = redis_ttl_ms(kept.response->meta(), place.route->settings, now());
  // The marker first: a variant without it would never be found.
  if (kept.marker) co_await store_in_redis(kept.marker, kept.marker_ttl_ms);
  co_await store_in_redis(kept.response, ttl_ms);
  if (kept.dropped.empty()) co_return;
  std::vector<std::string> dropped;
  for (const Hash128& variant : kept.dropped) dropped.push_back(variant_name(place, variant));
  co_await context_.redis->erase(std::move(dropped));
}

awaitable<void> Keeper::drop_overtaken(Place& place, Kept& kept) {
  if (!kept.response || !uses_redis(place)) co_return;
  if (co_await is_overtaken(context_, place, *kept.response, !kept.vary.empty())) kept.response.reset();
}

bool Keeper::still_stands(const Place& place, const StoredResponse& stored) const {
  if (!place.route->settings.store_memory || context_.shared.memory.max_object() == 0) return true;
  const StoredResponsePtr now_there = context_.shared.memory.peek(place_of(place, stored), stored.primary_key());
  if (!now_there || now_there.get() == &stored) return true;
  return !now_there->is_vary_marker() && !is_more_recent(now_there->meta(), stored.meta());
}

awaitable<void> Keeper::replace(const Place& place, StoredResponsePtr old, StoredResponsePtr fresh) {
  const std::string key = old->readable_key();
  const bool in_redis = uses_redis(place);
  InRedis seen;
  StoredResponsePtr there;
  const bool noticed = in_redis && context_.shared.invalidations.order().noticed_since(place.fence.local, key) > 0;
  const bool in_memory = place.route->settings.store_memory && context_.shared.memory.max_object() > 0;
  if (in_redis) {
    // With Redis alone nothing else tells whether it is still what was asked about.
    there = co_await context_.redis->find(key, std::string(old->primary_key()), now(), place.fence.local,
                                          KeyMatch::whole, &seen);
    if (noticed && !seen.is(old->store_id())) co_return;
  }
  if (in_memory) {
    std::lock_guard lock(context_.shared.variant_locks[place.primary_hash.high % context_.shared.variant_locks.size()]);
    if (!still_stands(place, *old)) co_return;
    store_in_memory(place, place_of(place, *old), fresh);
  }
  if (!in_redis || (there && (there->is_vary_marker() || is_more_recent(there->meta(), old->meta())))) co_return;
  const std::int64_t ttl_ms = redis_ttl_ms(fresh->meta(), place.route->settings, now());
  co_await store_in_redis(std::move(fresh), ttl_ms);
}

awaitable<void> Keeper::forget(const Place& place, StoredResponsePtr stored) {
  // It may be a copy of what stands there, read from Redis.
  const Hash128 hash = place_of(place, *stored);
  const StoredResponsePtr there = context_.shared.memory.peek(hash, stored->primary_key());
  if (there && still_stands(place, *stored)) context_.shared.memory.erase(hash, there.get());
  if (!uses_redis(place)) co_return;
  std::vector<std::string> names{stored->readable_key()};
  co_await context_.redis->erase(std::move(names));
}

}  // namespace pillion
