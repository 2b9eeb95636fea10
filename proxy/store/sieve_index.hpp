// One shard's index: entries by hash, in SIEVE order (Zhang et al., NSDI 2024). Not thread-safe; for memory_store.cpp
// alone, which locks around it. Nothing here destroys a response: what leaves the index is handed to the caller.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "core/hash.hpp"
#include "core/stored_response.hpp"

namespace pillion {

/// A new entry goes to the head of a queue and never moves. A hit sets one bit. The hand walks from the tail to the
/// head and takes the first entry without the bit, clearing the bits it meets: what a single scan brings in is taken
/// before what is asked for again.
class SieveIndex {
 public:
  /// What an entry costs besides its response: its slot and its share of the buckets, bytes.
  static constexpr std::size_t overhead = 40;

  /// Buckets are laid out for about `expected` entries. Those that so few entries don't need are never touched, so that
  /// their pages are not resident.
  explicit SieveIndex(std::size_t expected);

  /// What the entry of `response` counts for, bytes; a multiple of 8.
  static std::size_t cost(const StoredResponse& response);

  /// The entry of that hash if its primary key is this one (or begins so), else nullptr. Marks it as visited.
  StoredResponsePtr find(const Hash128& hash, std::string_view primary_key, KeyMatch match = KeyMatch::whole) noexcept;
  /// The same, marking nothing: nobody has asked for it.
  StoredResponsePtr peek(const Hash128& hash, std::string_view primary_key, KeyMatch match = KeyMatch::whole) noexcept;
  /// Puts it in; what stood under that hash comes back and its place in the queue goes to the new one.
  /// `cold`: nobody has asked for it yet. It stands where the hand is, so that it is the next to make room, the last
  /// one first; what it replaces stays as visited as it was.
  StoredResponsePtr insert(const Hash128& hash, StoredResponsePtr response, std::size_t cost,
                           std::size_t& replaced_cost, bool cold = false);
  /// Removes the entry if it is this very response; else nullptr.
  StoredResponsePtr erase(const Hash128& hash, const StoredResponse* response, std::size_t& freed);
  /// The same of what stands in that slot. `slot` < slot_count().
  StoredResponsePtr erase_at(std::size_t slot, const StoredResponse* response, std::size_t& freed) noexcept;
  /// Counts `more` bytes, a multiple of 8, for the entry if it is this very response. False where it isn't.
  bool add_cost(const Hash128& hash, const StoredResponse* response, std::size_t more) noexcept;
  /// Whether anything stands under that hash. Marks nothing.
  bool contains(const Hash128& hash) noexcept { return lookup(hash.low) != none; }
  /// Removes the entry that SIEVE gives up; nullptr where there is none.
  StoredResponsePtr evict(std::size_t& freed) noexcept;
  /// Removes an entry that isn't visited and was received before `received_before_ms`, looking at `steps` entries at
  /// most, from where the last such search ended. Clears no bits, and the hand stays. nullptr where it found none.
  StoredResponsePtr evict_cold(std::int64_t received_before_ms, std::size_t steps, std::size_t& freed) noexcept;
  /// Lays out the buckets anew.
  void rebucket(std::size_t expected);

  std::size_t size() const noexcept { return size_; }
  /// Slots ever used; entries stand anywhere among them and stay where they are.
  std::size_t slot_count() const noexcept { return blocks_.size() * block_size; }
  /// The response in that slot, or nullptr. `slot` < slot_count().
  const StoredResponsePtr& at(std::size_t slot) const noexcept {
    return blocks_[slot / block_size][slot % block_size].response;
  }

 private:
  using Slot = std::uint32_t;
  static constexpr Slot none = 0xffffffff;
  static constexpr std::size_t block_size = 128;

  struct Entry {
    StoredResponsePtr response;
    std::uint64_t hash = 0;
    Slot newer = none, older = none;  // in the queue
    Slot next = none;                 // in the bucket, or of the free list
    std::uint32_t units : 31 = 0;     // cost / 8
    std::uint32_t visited : 1 = 0;
  };
  static_assert(sizeof(Entry) == 32);
  struct Free {
    void operator()(Slot* p) const noexcept;
  };

  Entry& entry(Slot slot) const noexcept { return blocks_[slot / block_size][slot % block_size]; }
  Slot& bucket(std::uint64_t hash) noexcept {
    const std::size_t whole = hash & bucket_mask_;
    return buckets_[whole < bucket_count_ ? whole : hash & (bucket_mask_ >> 1)];
  }
  void put_into_bucket(Slot slot) noexcept;
  void split_one_bucket() noexcept;
  Slot lookup(std::uint64_t hash) noexcept;
  Slot take_free_slot();
  StoredResponsePtr remove(Slot slot, std::size_t& freed) noexcept;

  // calloc'ed, so that untouched pages cost nothing: holds slot + 1, 0 where empty. As many of them are in use as there
  // were ever entries: one more is split with each (linear hashing), so that no insertion has to wait for all.
  std::unique_ptr<Slot[], Free> buckets_;
  std::size_t bucket_count_ = 0, bucket_room_ = 0;
  std::uint64_t bucket_mask_ = 0;  // the next power of two, less one
  std::vector<std::unique_ptr<Entry[]>> blocks_;
  Slot free_ = none;
  void link_newest(Slot slot) noexcept;
  void link_at_hand(Slot slot) noexcept;
  Slot newest_ = none, oldest_ = none, hand_ = none;
  Slot cold_hand_ = none;  // of evict_cold()
  std::size_t size_ = 0;
};

}  // namespace pillion
