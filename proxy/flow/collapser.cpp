#include "flow/collapser.hpp"

namespace pillion {

namespace {
constexpr std::int64_t remember_s = 60;
std::uint32_t mark_of(const Hash128& hash) noexcept { return static_cast<std::uint32_t>(hash.high); }
}  // namespace

Collapser::Joined Collapser::join(const Hash128& hash, std::string_view key, std::uint64_t fence,
                                  const std::function<bool(std::uint64_t)>& may_join, std::size_t window) {
  Shard& shard = shards_[hash.high % shard_count];
  std::lock_guard lock(shard.mutex);
  const auto found = shard.flights.find(hash);
  if (found != shard.flights.end() && found->second.key == key && may_join(found->second.flight->fence())) {
    return {found->second.flight, false};
  }
  auto flight = std::make_shared<Flight>(fence, window);
  if (found != shard.flights.end()) {
    found->second = {std::string(key), flight};
  } else if (shard.flights.size() < max_flights) {
    shard.flights.emplace(hash, Entry{std::string(key), flight});
  }
  return {flight, true};
}

bool Collapser::is_under_way(const Hash128& hash, std::string_view key) {
  Shard& shard = shards_[hash.high % shard_count];
  std::lock_guard lock(shard.mutex);
  const auto found = shard.flights.find(hash);
  return found != shard.flights.end() && found->second.key == key;
}

void Collapser::leave(const Hash128& hash, const Flight* flight) {
  Shard& shard = shards_[hash.high % shard_count];
  std::lock_guard lock(shard.mutex);
  const auto found = shard.flights.find(hash);
  if (found != shard.flights.end() && found->second.flight.get() == flight) shard.flights.erase(found);
}

void Collapser::mark_uncacheable(const Hash128& hash, std::int64_t mono_ms) noexcept {
  const auto until = static_cast<std::uint32_t>(mono_ms / 1000 + remember_s);
  uncacheable_[hash.low % memory].store(std::uint64_t{mark_of(hash)} << 32 | until, std::memory_order_relaxed);
}

void Collapser::mark_cacheable(const Hash128& hash) noexcept {
  auto& slot = uncacheable_[hash.low % memory];
  if (slot.load(std::memory_order_relaxed) >> 32 == mark_of(hash)) slot.store(0, std::memory_order_relaxed);
}

bool Collapser::is_uncacheable(const Hash128& hash, std::int64_t mono_ms) const noexcept {
  const std::uint64_t slot = uncacheable_[hash.low % memory].load(std::memory_order_relaxed);
  return slot >> 32 == mark_of(hash) && static_cast<std::uint32_t>(slot) > static_cast<std::uint32_t>(mono_ms / 1000);
}

void Collapser::mark_failing(const Hash128& hash, std::int64_t mono_ms) noexcept {
  const auto until = static_cast<std::uint32_t>(mono_ms / 64 + 16);
  failing_[hash.low % memory].store(std::uint64_t{mark_of(hash)} << 32 | until, std::memory_order_relaxed);
}

void Collapser::mark_stored(const Hash128& hash, std::uint64_t store_id, std::int64_t mono_ms) noexcept {
  const auto when = static_cast<std::uint32_t>(mono_ms);
  store_ids_[hash.low % memory].store(store_id, std::memory_order_relaxed);
  stored_[hash.low % memory].store(std::uint64_t{mark_of(hash)} << 32 | when, std::memory_order_release);
}

bool Collapser::has_stored_another(const Hash128& hash, std::uint64_t store_id, std::int64_t mono_ms) const noexcept {
  const std::uint64_t slot = stored_[hash.low % memory].load(std::memory_order_acquire);
  if (slot >> 32 != mark_of(hash) || store_ids_[hash.low % memory].load(std::memory_order_relaxed) == store_id)
    return false;
  // The difference, since 32 bits come round after seven weeks.
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(slot) - static_cast<std::uint32_t>(mono_ms)) >= 0;
}

bool Collapser::is_failing(const Hash128& hash, std::int64_t mono_ms) const noexcept {
  const std::uint64_t slot = failing_[hash.low % memory].load(std::memory_order_relaxed);
  return slot >> 32 == mark_of(hash) && static_cast<std::uint32_t>(slot) > static_cast<std::uint32_t>(mono_ms / 64);
}

}  // namespace pillion
