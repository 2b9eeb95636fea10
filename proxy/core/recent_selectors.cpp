// Buckets of a few entries each; see recent_selectors.hpp.
#include "core/recent_selectors.hpp"

namespace pillion {

std::optional<std::size_t> RecentSelectors::place_of(std::uint32_t hash) const noexcept {
  for (const std::size_t bucket : buckets_of(hash)) {
    for (std::size_t place = bucket * ways; place < (bucket + 1) * ways; ++place) {
      const Cell cell = at(place);
      if (cell.position.load(std::memory_order_relaxed) != 0 && cell.hash.load(std::memory_order_relaxed) == hash)
        return place;
    }
  }
  return std::nullopt;
}

// A free place in the bucket that has more of them; else that of the oldest entry of both.
RecentSelectors::Entry RecentSelectors::place_for(std::uint32_t hash) const noexcept {
  Entry best;
  std::size_t most_free = 0;
  bool first = true;
  for (const std::size_t bucket : buckets_of(hash)) {
    std::size_t free = 0;
    Entry oldest;
    for (std::size_t place = bucket * ways; place < (bucket + 1) * ways; ++place) {
      const Cell cell = at(place);
      const std::uint64_t position = cell.position.load(std::memory_order_relaxed);
      free += position == 0 ? 1 : 0;
      if (place == bucket * ways || position < oldest.position)
        oldest = {cell.hash.load(std::memory_order_relaxed), position, place};
    }
    const bool better = free != most_free ? free > most_free : oldest.position < best.position;
    if (first || better) best = oldest, most_free = free;
    first = false;
  }
  return best;
}

// A place is given to another hash first and a position then: who reads a position later than `since` and another hash
// sees what make_room() has written. A new hash with the position of the old one costs a miss, for a moment.
bool RecentSelectors::has_after(std::uint32_t hash, std::uint64_t since) const noexcept {
  for (const std::size_t bucket : buckets_of(hash)) {
    for (std::size_t place = bucket * ways; place < (bucket + 1) * ways; ++place) {
      const Cell cell = at(place);
      if (cell.position.load(std::memory_order_acquire) > since && cell.hash.load(std::memory_order_acquire) == hash)
        return true;
    }
  }
  return false;
}

}  // namespace pillion
