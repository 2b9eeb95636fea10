// The memory store: which shard, whose lock, and one budget of bytes over all shards. Eviction order: sieve_index.cpp.
#include "store/memory_store.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <thread>
#include <utility>

#include "store/sieve_index.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace pillion {
namespace {

constexpr std::size_t max_shards = 16;
constexpr std::size_t least_shard =
    4u << 20;  // bytes: a smaller shard would sort too few entries to know hot from cold
constexpr std::size_t bytes_per_bucket = 512;  // of capacity: enough for responses of next to nothing
constexpr std::size_t batch_size = 128;        // of entries that a walk holds at a time
constexpr std::size_t cold_steps = 32;         // that a search for cold ones looks at under one lock
constexpr int cold_looks = 16;

void pause() noexcept {
#if defined(__x86_64__)
  _mm_pause();
#endif
}

/// Held for a few instructions. After a while of spinning it gives way: its holder may have lost the CPU.
class SpinLock {
 public:
  void lock() noexcept {
    for (unsigned spins = 0; flag_.exchange(true, std::memory_order_acquire); ++spins) {
      while (flag_.load(std::memory_order_relaxed)) {
        if (++spins < 64) {
          pause();
        } else {
          std::this_thread::yield();
        }
      }
    }
  }
  void unlock() noexcept { flag_.store(false, std::memory_order_release); }

 private:
  std::atomic<bool> flag_{false};
};

}  // namespace

struct alignas(64) MemoryStore::Shard {
  explicit Shard(std::size_t expected) : index(expected) {}
  SpinLock lock;
  SieveIndex index;
  std::atomic<std::size_t> bytes{0};  // written under the lock, read without
  std::atomic<std::size_t> entries{0};
  std::atomic<std::uint64_t> evictions{0};
};

MemoryStore::MemoryStore(std::size_t capacity, std::size_t max_object) : max_object_(max_object), capacity_(capacity) {
  const std::size_t count = std::bit_floor(std::clamp<std::size_t>(capacity / least_shard, 1, max_shards));
  for (std::size_t i = 0; i < count; ++i)
    shards_.push_back(std::make_unique<Shard>(capacity / count / bytes_per_bucket));
}

MemoryStore::~MemoryStore() = default;

MemoryStore::Shard& MemoryStore::shard_of(const Hash128& hash) const noexcept {
  return *shards_[(hash.high >> 48) & (shards_.size() - 1)];
}

StoredResponsePtr MemoryStore::find(const Hash128& hash, std::string_view primary_key, KeyMatch match) const {
  Shard& shard = shard_of(hash);
  std::lock_guard guard(shard.lock);
  return shard.index.find(hash, primary_key, match);
}

StoredResponsePtr MemoryStore::peek(const Hash128& hash, std::string_view primary_key, KeyMatch match) const {
  Shard& shard = shard_of(hash);
  std::lock_guard guard(shard.lock);
  return shard.index.peek(hash, primary_key, match);
}

bool MemoryStore::store(const Hash128& hash, StoredResponsePtr response) {
  if (!response || response->head().size() + response->body().size() > max_object()) return false;
  const std::size_t cost = SieveIndex::cost(*response);
  Shard& shard = shard_of(hash);
  if (!reserve(cost, [&] { return evict_one(shard); })) return false;
  put(shard, hash, std::move(response), cost, false);
  return true;
}

bool MemoryStore::store_cold(const Hash128& hash, StoredResponsePtr response, std::int64_t now_mono_ms) {
  if (!response || response->head().size() + response->body().size() > max_object()) return false;
  const std::size_t cost = SieveIndex::cost(*response);
  Shard& shard = shard_of(hash);
  if (!reserve(cost, [&] { return evict_cold(shard, now_mono_ms - cold_age_ms); })) return false;
  put(shard, hash, std::move(response), cost, true);
  return true;
}

void MemoryStore::put(Shard& shard, const Hash128& hash, StoredResponsePtr response, std::size_t cost, bool cold) {
  std::size_t replaced_cost = 0;
  StoredResponsePtr replaced;  // outlives the lock: destroying a large body takes its time
  {
    std::lock_guard guard(shard.lock);
    replaced = shard.index.insert(hash, std::move(response), cost, replaced_cost, cold);
    shard.bytes.store(shard.bytes.load(std::memory_order_relaxed) + cost - replaced_cost, std::memory_order_relaxed);
    shard.entries.store(shard.index.size(), std::memory_order_relaxed);
  }
  used_.fetch_sub(replaced_cost, std::memory_order_relaxed);
}

bool MemoryStore::grow(const Hash128& hash, const StoredResponse* response, std::size_t more) {
  const std::size_t cost = (more + 7) & ~std::size_t{7};
  Shard& shard = shard_of(hash);
  if (cost > 0 && !reserve(cost, [&] { return evict_one(shard); })) return false;
  {
    std::lock_guard guard(shard.lock);
    if (shard.index.add_cost(hash, response, cost)) {
      shard.bytes.store(shard.bytes.load(std::memory_order_relaxed) + cost, std::memory_order_relaxed);
      return true;
    }
  }
  used_.fetch_sub(cost, std::memory_order_relaxed);
  return false;
}

template <typename MakeRoom>
bool MemoryStore::reserve(std::size_t bytes, MakeRoom&& make_room) {
  const std::size_t capacity = capacity_.load(std::memory_order_relaxed);
  if (bytes > capacity) return false;
  std::size_t used = used_.load(std::memory_order_relaxed);
  for (;;) {
    if (used <= capacity - bytes) {
      if (used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed)) return true;
    } else if (make_room()) {
      used = used_.load(std::memory_order_relaxed);
    } else {
      return false;  // the rest is reserved by others for entries that are not in yet, or isn't to be taken
    }
  }
}

MemoryStore::Shard& MemoryStore::fullest() const noexcept {
  return **std::max_element(shards_.begin(), shards_.end(), [](const auto& a, const auto& b) {
    return a->bytes.load(std::memory_order_relaxed) < b->bytes.load(std::memory_order_relaxed);
  });
}

// One entry has been evicted from the shard, whose lock is held.
void MemoryStore::drop(Shard& shard, std::size_t freed) noexcept {
  shard.bytes.store(shard.bytes.load(std::memory_order_relaxed) - freed, std::memory_order_relaxed);
  shard.entries.store(shard.index.size(), std::memory_order_relaxed);
  shard.evictions.store(shard.evictions.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
}

bool MemoryStore::evict_one(Shard& preferred) {
  // From the own shard while it holds its share; else from the fullest one, which then holds more than its share.
  const std::size_t share = used_.load(std::memory_order_relaxed) / shards_.size();
  Shard& shard = preferred.bytes.load(std::memory_order_relaxed) < share ? fullest() : preferred;
  std::size_t freed = 0;
  StoredResponsePtr evicted;  // outlives the lock
  {
    std::lock_guard guard(shard.lock);
    evicted = shard.index.evict(freed);
    if (!evicted) return false;
    drop(shard, freed);
  }
  used_.fetch_sub(freed, std::memory_order_relaxed);
  return true;
}

// Looks at a few hundred entries at most, and never holds the lock for more than a few dozen.
bool MemoryStore::evict_cold(Shard& preferred, std::int64_t received_before_ms) {
  for (int look = 0; look < cold_looks; ++look) {
    Shard& shard = look % 2 == 0 ? preferred : fullest();
    std::size_t freed = 0;
    StoredResponsePtr evicted;  // outlives the lock
    {
      std::lock_guard guard(shard.lock);
      evicted = shard.index.evict_cold(received_before_ms, cold_steps, freed);
      if (!evicted) continue;
      drop(shard, freed);
    }
    used_.fetch_sub(freed, std::memory_order_relaxed);
    return true;
  }
  return false;
}

std::size_t MemoryStore::erase(const Hash128& hash, const StoredResponse* response) {
  Shard& shard = shard_of(hash);
  std::size_t freed = 0;
  StoredResponsePtr erased;  // outlives the lock
  {
    std::lock_guard guard(shard.lock);
    erased = shard.index.erase(hash, response, freed);
    if (!erased) return 0;
    shard.bytes.store(shard.bytes.load(std::memory_order_relaxed) - freed, std::memory_order_relaxed);
    shard.entries.store(shard.index.size(), std::memory_order_relaxed);
  }
  used_.fetch_sub(freed, std::memory_order_relaxed);
  return freed;
}

void MemoryStore::clear() {
  for (const auto& shard : shards_) {
    for (bool more = true; more;) {
      std::array<StoredResponsePtr, batch_size> batch;  // destroyed after the lock
      std::size_t total = 0;
      {
        std::lock_guard guard(shard->lock);
        for (StoredResponsePtr& response : batch) {
          std::size_t freed = 0;
          response = shard->index.evict(freed);
          more = response != nullptr;
          if (!more) break;
          total += freed;
        }
        shard->bytes.store(shard->bytes.load(std::memory_order_relaxed) - total, std::memory_order_relaxed);
        shard->entries.store(shard->index.size(), std::memory_order_relaxed);
      }
      used_.fetch_sub(total, std::memory_order_relaxed);
    }
  }
}

bool MemoryStore::contains(const Hash128& hash) const {
  Shard& shard = shard_of(hash);
  std::lock_guard guard(shard.lock);
  return shard.index.contains(hash);
}

bool MemoryStore::sweep(Cursor& cursor, std::size_t places,
                        const std::function<bool(const StoredResponsePtr&)>& is_useless, Swept& swept) {
  for (std::size_t looked_at = 0; looked_at < places && cursor.shard < shards_.size();) {
    Shard& shard = *shards_[cursor.shard];
    std::array<StoredResponsePtr, batch_size> batch;  // keeps what is removed until the lock is gone
    const std::size_t first = cursor.slot;
    std::size_t count = 0;
    {
      std::lock_guard guard(shard.lock);
      count = std::min(batch.size(), shard.index.slot_count() - first);
      for (std::size_t i = 0; i < count; ++i) batch[i] = shard.index.at(first + i);
    }
    for (StoredResponsePtr& response : batch) {
      if (response && !is_useless(response)) response.reset();
    }
    std::size_t removed = 0, total = 0;
    {
      std::lock_guard guard(shard.lock);
      for (std::size_t i = 0; i < count; ++i) {
        std::size_t freed = 0;
        if (shard.index.erase_at(first + i, batch[i].get(), freed)) ++removed;
        total += freed;
      }
      shard.bytes.store(shard.bytes.load(std::memory_order_relaxed) - total, std::memory_order_relaxed);
      shard.entries.store(shard.index.size(), std::memory_order_relaxed);
    }
    used_.fetch_sub(total, std::memory_order_relaxed);
    swept.entries += removed;
    swept.bytes += total;
    looked_at += count;
    cursor = count < batch.size() ? Cursor{cursor.shard + 1, 0} : Cursor{cursor.shard, first + count};
  }
  return cursor.shard < shards_.size();
}

MemoryStore::Figures MemoryStore::figures() const {
  Figures figures;
  figures.bytes = used_.load(std::memory_order_relaxed);
  for (const auto& shard : shards_) {
    figures.entries += shard->entries.load(std::memory_order_relaxed);
    figures.evictions += shard->evictions.load(std::memory_order_relaxed);
  }
  return figures;
}

void MemoryStore::resize(std::size_t capacity, std::size_t max_object) {
  max_object_.store(max_object, std::memory_order_relaxed);
  const std::size_t before = capacity_.exchange(capacity, std::memory_order_relaxed);
  while (used_.load(std::memory_order_relaxed) > capacity && evict_one(*shards_.front())) {
  }
  if (before == capacity) return;
  for (const auto& shard : shards_) {
    std::lock_guard guard(shard->lock);
    shard->index.rebucket(capacity / shards_.size() / bytes_per_bucket);
  }
}

void MemoryStore::for_each(const std::function<void(const StoredResponsePtr&)>& f) const {
  for (const auto& shard : shards_) {
    std::size_t next = 0;
    for (bool more = true; more;) {
      std::array<StoredResponsePtr, batch_size> batch;
      std::size_t found = 0;
      {
        std::lock_guard guard(shard->lock);
        const std::size_t end = std::min(next + batch.size(), shard->index.slot_count());
        for (; next < end; ++next) {
          if (const auto& response = shard->index.at(next)) batch[found++] = response;
        }
        more = next < shard->index.slot_count();
      }
      for (std::size_t i = 0; i < found; ++i) f(batch[i]);
    }
  }
}

}  // namespace pillion
