// The last positions of the selectors that were invalidated most recently, told apart by their whole hashes. Pure; of
// fixed size, and what was never written takes no memory. One thread writes at a time (the caller's lock), any read
// meanwhile. For the invalidation tables alone.
//
// Each hash may stand in two buckets of `ways` entries and goes into the emptier one, so that six tenths of the places
// fill before one has to make room (Azar et al., "Balanced Allocations", 1994). Nothing moves from bucket to bucket: a
// reader could miss it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>

namespace pillion {

struct Freed {
  void operator()(void* memory) const noexcept { std::free(memory); }
};
template <typename T>
using Zeroed = std::unique_ptr<T[], Freed>;

/// Zeroes, as pages that the system hands out when they are first written.
template <typename T>
Zeroed<T> make_zeroed(std::size_t n) {
  static_assert(std::is_trivially_copyable_v<T> && std::is_trivially_destructible_v<T>);
  auto* memory = static_cast<T*>(std::calloc(n, sizeof(T)));
  if (!memory) throw std::bad_alloc();
  return Zeroed<T>(memory);
}

class RecentSelectors {
 public:
  static constexpr std::size_t ways = 5;

  /// A power of two, 2^16 at most; 64 bytes each.
  explicit RecentSelectors(std::size_t buckets) : mask_(buckets - 1), buckets_(make_zeroed<Bucket>(buckets)) {}

  struct Entry {
    std::uint32_t hash = 0;
    std::uint64_t position = 0;
    std::size_t place = 0;
  };

  // --- the writer ---
  std::size_t places() const noexcept { return (mask_ + 1) * ways; }
  /// It was invalidated at that position, above 0 and not below those before; returns its place, below places().
  /// Where nothing is free, the one of its buckets that was noted longest ago makes room, and `make_room(const Entry&)`
  /// is called before it is forgotten: whoever doesn't find it here any more sees what that has written.
  template <typename F>
  std::size_t note(std::uint32_t hash, std::uint64_t position, F&& make_room) {
    if (const auto place = place_of(hash)) {
      raise(at(*place), position);
      return *place;
    }
    const Entry oldest = place_for(hash);
    if (oldest.position != 0) make_room(oldest);
    const Cell cell = at(oldest.place);
    cell.hash.store(hash, std::memory_order_release);
    raise(cell, position);
    return oldest.place;
  }
  std::optional<std::size_t> place_of(std::uint32_t hash) const noexcept;

  // --- any thread ---
  bool has_after(std::uint32_t hash, std::uint64_t since) const noexcept;

 private:
  struct Bucket {
    std::array<std::uint64_t, ways> positions;  // 0: free
    std::array<std::uint32_t, ways> hashes;
    std::uint32_t unused;
  };
  struct Cell {
    std::atomic_ref<std::uint64_t> position;
    std::atomic_ref<std::uint32_t> hash;
  };
  static void raise(const Cell& cell, std::uint64_t position) noexcept {
    if (cell.position.load(std::memory_order_relaxed) < position)
      cell.position.store(position, std::memory_order_release);
  }
  std::array<std::size_t, 2> buckets_of(std::uint32_t hash) const noexcept {
    return {hash & mask_, (hash >> 16) & mask_};
  }
  Cell at(std::size_t place) const noexcept {
    Bucket& bucket = buckets_[place / ways];
    return {std::atomic_ref(bucket.positions[place % ways]), std::atomic_ref(bucket.hashes[place % ways])};
  }
  Entry place_for(std::uint32_t hash) const noexcept;

  const std::size_t mask_;
  const Zeroed<Bucket> buckets_;
};

}  // namespace pillion
