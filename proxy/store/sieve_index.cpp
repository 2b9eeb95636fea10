// The shard's index: chained buckets and the SIEVE queue, both over numbered slots that never move.
#include "store/sieve_index.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <new>
#include <utility>

namespace pillion {
namespace {

constexpr std::size_t least_buckets = 16;

}  // namespace

void SieveIndex::Free::operator()(Slot* p) const noexcept { std::free(p); }

SieveIndex::SieveIndex(std::size_t expected) { rebucket(expected); }

std::size_t SieveIndex::cost(const StoredResponse& response) { return (response.footprint() + overhead + 7) & ~7ul; }

SieveIndex::Slot SieveIndex::lookup(std::uint64_t hash) noexcept {
  // A bucket holds slot + 1; its chain goes on in Entry::next with plain slots.
  for (Slot s = bucket(hash) - 1; s != none; s = entry(s).next) {
    if (entry(s).hash == hash) return s;
  }
  return none;
}

StoredResponsePtr SieveIndex::find(const Hash128& hash, std::string_view primary_key, KeyMatch match) noexcept {
  const Slot s = lookup(hash.low);
  if (s == none) return nullptr;
  Entry& e = entry(s);
  e.response->prefetch();
  if (!has_key(*e.response, primary_key, match)) return nullptr;
  e.visited = 1;
  return e.response;
}

bool SieveIndex::add_cost(const Hash128& hash, const StoredResponse* response, std::size_t more) noexcept {
  const Slot s = lookup(hash.low);
  if (s == none || entry(s).response.get() != response) return false;
  entry(s).units = (entry(s).units + more / 8) & 0x7fffffff;
  return true;
}

StoredResponsePtr SieveIndex::peek(const Hash128& hash, std::string_view primary_key, KeyMatch match) noexcept {
  const Slot s = lookup(hash.low);
  return s != none && has_key(*entry(s).response, primary_key, match) ? entry(s).response : nullptr;
}

SieveIndex::Slot SieveIndex::take_free_slot() {
  if (free_ == none) {
    if (slot_count() + block_size >= none) throw std::bad_alloc();
    const auto first = static_cast<Slot>(slot_count());
    blocks_.push_back(std::make_unique<Entry[]>(block_size));
    for (std::size_t i = block_size; i-- > 0;) {
      const Slot s = first + static_cast<Slot>(i);
      entry(s).next = free_;
      free_ = s;
    }
  }
  const Slot s = free_;
  free_ = entry(s).next;
  return s;
}

StoredResponsePtr SieveIndex::insert(const Hash128& hash, StoredResponsePtr response, std::size_t cost,
                                     std::size_t& replaced_cost, bool cold) {
  const auto units = static_cast<std::uint32_t>(cost / 8);
  replaced_cost = 0;
  if (const Slot s = lookup(hash.low); s != none) {
    Entry& e = entry(s);
    replaced_cost = std::size_t{e.units} * 8;
    std::swap(e.response, response);
    e.units = units & 0x7fffffff;
    if (!cold) e.visited = 1;  // it was asked for again, or nobody had fetched it
    return response;
  }
  const Slot s = take_free_slot();
  Entry& e = entry(s);
  e.response = std::move(response);
  e.hash = hash.low;
  e.units = units & 0x7fffffff;
  e.visited = 0;
  if (size_ >= bucket_count_ && bucket_count_ < bucket_room_) split_one_bucket();
  put_into_bucket(s);
  if (cold) {
    link_at_hand(s);
  } else {
    link_newest(s);
  }
  ++size_;
  return nullptr;
}

void SieveIndex::link_newest(Slot s) noexcept {
  Entry& e = entry(s);
  e.newer = none;
  e.older = newest_;
  if (newest_ != none) entry(newest_).newer = s;
  newest_ = s;
  if (oldest_ == none) oldest_ = s;
}

void SieveIndex::link_at_hand(Slot s) noexcept {
  const Slot after = hand_ == none ? oldest_ : hand_;
  if (after == none) return link_newest(s);
  Entry& e = entry(s);
  e.newer = after;
  e.older = entry(after).older;
  entry(after).older = s;
  (e.older == none ? oldest_ : entry(e.older).newer) = s;
  if (hand_ != none) hand_ = s;
}

StoredResponsePtr SieveIndex::remove(Slot s, std::size_t& freed) noexcept {
  Entry& e = entry(s);
  Slot before = none;
  for (Slot at = bucket(e.hash) - 1; at != s; at = entry(at).next) before = at;
  if (before == none) {
    bucket(e.hash) = e.next + 1;
  } else {
    entry(before).next = e.next;
  }
  (e.newer == none ? newest_ : entry(e.newer).older) = e.older;
  (e.older == none ? oldest_ : entry(e.older).newer) = e.newer;
  if (hand_ == s) hand_ = e.newer;
  if (cold_hand_ == s) cold_hand_ = e.newer;
  freed = std::size_t{e.units} * 8;
  e.next = free_;
  free_ = s;
  --size_;
  return std::move(e.response);
}

StoredResponsePtr SieveIndex::erase(const Hash128& hash, const StoredResponse* response, std::size_t& freed) {
  freed = 0;
  const Slot s = lookup(hash.low);
  if (s == none || entry(s).response.get() != response) return nullptr;
  return remove(s, freed);
}

StoredResponsePtr SieveIndex::erase_at(std::size_t slot, const StoredResponse* response, std::size_t& freed) noexcept {
  freed = 0;
  if (!response || at(slot).get() != response) return nullptr;
  return remove(static_cast<Slot>(slot), freed);
}

StoredResponsePtr SieveIndex::evict(std::size_t& freed) noexcept {
  freed = 0;
  if (oldest_ == none) return nullptr;
  Slot s = hand_ == none ? oldest_ : hand_;
  while (entry(s).visited) {  // ends: one round clears every bit
    entry(s).visited = 0;
    s = entry(s).newer == none ? oldest_ : entry(s).newer;
  }
  hand_ = entry(s).newer;
  return remove(s, freed);
}

StoredResponsePtr SieveIndex::evict_cold(std::int64_t received_before_ms, std::size_t steps,
                                         std::size_t& freed) noexcept {
  freed = 0;
  Slot s = cold_hand_;
  for (; steps > 0; --steps) {
    if (s == none) s = oldest_;
    if (s == none) break;
    const Entry& e = entry(s);
    if (!e.visited && e.response->meta().received_mono_ms < received_before_ms) {
      cold_hand_ = e.newer;
      return remove(s, freed);
    }
    s = e.newer;
  }
  cold_hand_ = s;
  return nullptr;
}

void SieveIndex::put_into_bucket(Slot slot) noexcept {
  Slot& head = bucket(entry(slot).hash);
  entry(slot).next = head - 1;
  head = slot + 1;
}

/// Takes one more bucket into use: of those that stood in the bucket half the table before it, it gets what its number
/// fits.
void SieveIndex::split_one_bucket() noexcept {
  const std::size_t added = bucket_count_++;
  if (added > bucket_mask_) bucket_mask_ = bucket_mask_ * 2 + 1;
  Slot& from = buckets_[added & (bucket_mask_ >> 1)];
  Slot next = from - 1;
  from = 0;
  while (next != none) {
    const Slot moved = next;
    next = entry(moved).next;
    put_into_bucket(moved);
  }
}

void SieveIndex::rebucket(std::size_t expected) {
  bucket_room_ = std::clamp<std::size_t>(expected, least_buckets, std::size_t{1} << 31);
  auto* fresh = static_cast<Slot*>(std::calloc(bucket_room_, sizeof(Slot)));
  if (!fresh) throw std::bad_alloc();
  buckets_.reset(fresh);
  bucket_count_ = std::clamp(size_, least_buckets, bucket_room_);
  bucket_mask_ = std::bit_ceil(bucket_count_) - 1;
  for (Slot s = oldest_; s != none; s = entry(s).newer) put_into_bucket(s);
}

}  // namespace pillion
