// The store in this process: bounded by bytes, scan-resistant (SIEVE), sharded. Shared between workers, locks inside;
// nothing is awaited under a lock.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string_view>
#include <vector>

#include "core/hash.hpp"
#include "core/stored_response.hpp"

namespace pillion {

class MemoryStore {
 public:
  /// `capacity` in bytes over all shards, all overhead counted; an object over `max_object` (head and body) is not
  /// taken. The number of shards follows from this first capacity (1 below 8 MiB, up to 16).
  MemoryStore(std::size_t capacity, std::size_t max_object);
  ~MemoryStore();

  /// The entry of that hash whose primary key is `primary_key` (or begins with it), or nullptr. A hit marks it as
  /// visited.
  StoredResponsePtr find(const Hash128& hash, std::string_view primary_key, KeyMatch match = KeyMatch::whole) const;
  /// The same, marking nothing: whoever looks has not been asked for it.
  StoredResponsePtr peek(const Hash128& hash, std::string_view primary_key, KeyMatch match = KeyMatch::whole) const;
  /// Puts it in place of what stood there. False where it is too large. Shards share one budget, so an object may be
  /// as large as the whole capacity.
  bool store(const Hash128& hash, StoredResponsePtr response);
  /// The same of what nobody has asked for yet. It takes free room, or that of what came over cold_age ago and hasn't
  /// been asked for since (as far as SIEVE knows); it is the first to make room itself. False where there is none, or
  /// it is too large.
  bool store_cold(const Hash128& hash, StoredResponsePtr response, std::int64_t now_mono_ms);
  static constexpr std::int64_t cold_age_ms = 600'000;
  /// Counts `more` bytes for the entry, if it is still this very one and there is room or room can be made; they go
  /// with it. False where not. With 0 it only says whether the entry stands there.
  bool grow(const Hash128& hash, const StoredResponse* response, std::size_t more);
  /// Removes the entry if it is still this very one. What that frees, bytes.
  std::size_t erase(const Hash128& hash, const StoredResponse* response);
  void clear();
  /// Whether anything stands under that hash: no use is made of it, so nothing is marked as visited.
  bool contains(const Hash128& hash) const;

  /// Where a sweep is.
  struct Cursor {
    std::size_t shard = 0, slot = 0;
  };
  struct Swept {
    std::size_t entries = 0, bytes = 0;
  };
  /// Looks at the next places, `places` of them or a few more, and removes the entries of which `is_useless` says so
  /// (asked without a lock). False once every place has been looked at. What is stored meanwhile may not be seen.
  bool sweep(Cursor& cursor, std::size_t places, const std::function<bool(const StoredResponsePtr&)>& is_useless,
             Swept& swept);

  struct Figures {
    std::size_t bytes = 0, entries = 0;
    std::uint64_t evictions = 0;
  };
  Figures figures() const;
  std::size_t max_object() const { return max_object_.load(std::memory_order_relaxed); }
  /// New bounds after a reload; evicts at once what no longer fits.
  void resize(std::size_t capacity, std::size_t max_object);

  /// Calls `f` for every entry, shard by shard, without holding a lock during the calls. For counting and dry runs.
  /// What is stored or removed meanwhile may or may not be seen.
  void for_each(const std::function<void(const StoredResponsePtr&)>& f) const;

 private:
  struct Shard;
  Shard& shard_of(const Hash128& hash) const noexcept;
  void put(Shard& shard, const Hash128& hash, StoredResponsePtr response, std::size_t cost, bool cold);
  // `make_room` is called until there is some, or it says false.
  template <typename MakeRoom>
  bool reserve(std::size_t bytes, MakeRoom&& make_room);
  bool evict_one(Shard& preferred);
  bool evict_cold(Shard& preferred, std::int64_t received_before_ms);
  Shard& fullest() const noexcept;
  void drop(Shard& shard, std::size_t freed) noexcept;
  std::vector<std::unique_ptr<Shard>> shards_;
  std::atomic<std::size_t> max_object_;
  std::atomic<std::size_t> capacity_;
  std::atomic<std::size_t> used_{0};  // what is stored, and what a store() under way has reserved
};

}  // namespace pillion
