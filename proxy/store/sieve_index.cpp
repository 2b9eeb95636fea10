// The shard's index: chained buckets and the SIEVE queue, both over numbered slots that never move.
#include "store/sieve_index.hpp"

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <new>
#include <utility>

namespace pillion {

void SieveIndex::Free::operator()(Slot* p) const noexcept { std::free(p); }

SieveIndex::SieveIndex(std::size_t expected) { rebucket(expected); }

std::size_t SieveIndex::cost(const StoredResponse& response) { return (response.footprint() + overhead + 15) & ~15ul; }

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
  if (!has_key(*e.response, primary_key, match)) return nullptr;
  e.visited = 1;
  return e.response;
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
                                     std::size_t& replaced_cost) {
  const auto units = static_cast<std::uint32_t>(cost / 16);
  replaced_cost = 0;
  if (const Slot s = lookup(hash.low); s != none) {
    Entry& e = entry(s);
    replaced_cost = std::size_t{e.units} * 16;
    std::swap(e.response, response);
    e.units = units & 0x7fffffff;
    e.visited = 1;  // it was asked for again, or nobody had fetched it
    return response;
  }
  const Slot s = take_free_slot();
  Entry& e = entry(s);
  e.response = std::move(response);
  e.hash = hash.low;
  e.units = units & 0x7fffffff;
  e.visited = 0;
  Slot& head = bucket(hash.low);
  e.next = head - 1;
  head = s + 1;
  e.newer = none;
  e.older = newest_;
  if (newest_ != none) entry(newest_).newer = s;
  newest_ = s;
  if (oldest_ == none) oldest_ = s;
  ++size_;
  return nullptr;
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
  freed = std::size_t{e.units} * 16;
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

void SieveIndex::rebucket(std::size_t expected) {
  const std::size_t count = std::bit_ceil(std::clamp<std::size_t>(expected, 16, std::size_t{1} << 31));
  auto* fresh = static_cast<Slot*>(std::calloc(count, sizeof(Slot)));
  if (!fresh) throw std::bad_alloc();
  buckets_.reset(fresh);
  bucket_mask_ = count - 1;
  for (Slot s = oldest_; s != none; s = entry(s).newer) {
    Slot& head = bucket(entry(s).hash);
    entry(s).next = head - 1;
    head = s + 1;
  }
}

}  // namespace pillion
