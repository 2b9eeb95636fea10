// How many requests stored responses have answered since they came, whatever store they stand in: for `refresh` and
// `adaptive`, whose routes alone count here. Bounded; what is asked for most stays. Shared between workers without
// locks: two that count at the same moment may count one, which is good enough for what it decides.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "core/hash.hpp"
#include "core/stored_response.hpp"

namespace pillion {

class HitCounts {
 public:
  static constexpr std::size_t sets = 2048, ways = 8;  ///< one set is one cache line
  static constexpr std::uint32_t most = 0xffffff;

  HitCounts() : slots_(new std::atomic<std::uint64_t>[sets * ways]()) {}

  /// One more for what stands at that place; how many there are now. 0 where no room was made for it yet.
  std::uint32_t add(const Hash128& place, const ResponseMeta& response) noexcept;
  /// How many there are; 0 where none is known.
  std::uint32_t get(const Hash128& place, const ResponseMeta& response) const noexcept;

 private:
  // Each: 20 bits of the place, 20 of the response there (by when it was received), 24 of the count. 0: empty.
  std::unique_ptr<std::atomic<std::uint64_t>[]> slots_;
};

}  // namespace pillion
