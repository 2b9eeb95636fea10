#include "flow/hit_counts.hpp"

namespace pillion {

namespace {

constexpr unsigned count_bits = 24, response_bits = 20;
constexpr std::uint64_t count_mask = (std::uint64_t{1} << count_bits) - 1;
constexpr auto relaxed = std::memory_order_relaxed;

std::uint64_t place_of(std::uint64_t slot) noexcept { return slot >> (count_bits + response_bits); }

std::uint64_t mark_of(const Hash128& place, const ResponseMeta& response) noexcept {
  const std::uint64_t mixed = static_cast<std::uint64_t>(response.received_wall_ms) * 0x9e3779b97f4a7c15;
  const std::uint64_t which = mixed >> (64 - response_bits);
  return (place.high >> (64 - 20)) << (count_bits + response_bits) | which << count_bits;
}

}  // namespace

std::uint32_t HitCounts::add(const Hash128& place, const ResponseMeta& response) noexcept {
  const std::uint64_t mark = mark_of(place, response);
  std::atomic<std::uint64_t>* set = slots_.get() + (place.low % sets) * ways;
  std::atomic<std::uint64_t>* least = set;
  std::uint64_t least_slot = ~std::uint64_t{0};
  for (std::size_t i = 0; i < ways; ++i) {
    const std::uint64_t slot = set[i].load(relaxed);
    if (slot != 0 && place_of(slot) == place_of(mark)) {
      // Another response at the same place begins anew.
      const std::uint64_t count = (slot & ~count_mask) == mark ? slot & count_mask : 0;
      const std::uint64_t next = count < most ? count + 1 : count;
      set[i].store(mark | next, relaxed);
      return static_cast<std::uint32_t>(next);
    }
    if (least_slot == ~std::uint64_t{0} || (slot & count_mask) < (least_slot & count_mask)) {
      least = set + i;
      least_slot = slot;
    }
  }
  // What was hot once doesn't keep its slot for ever: with each newcomer the others fade by a sixteenth, and the one
  // that was asked for least gives way by halves.
  for (std::size_t i = 0; i < ways; ++i) {
    const std::uint64_t slot = set[i].load(relaxed);
    set[i].store(slot - ((slot & count_mask) >> 4), relaxed);
  }
  const std::uint64_t left = (least_slot & count_mask) / 2;
  least->store(left == 0 ? mark | 1 : (least_slot & ~count_mask) | left, relaxed);
  return left == 0 ? 1 : 0;
}

std::uint32_t HitCounts::get(const Hash128& place, const ResponseMeta& response) const noexcept {
  const std::uint64_t mark = mark_of(place, response);
  const std::atomic<std::uint64_t>* set = slots_.get() + (place.low % sets) * ways;
  for (std::size_t i = 0; i < ways; ++i) {
    const std::uint64_t slot = set[i].load(relaxed);
    if (slot != 0 && (slot & ~count_mask) == mark) return static_cast<std::uint32_t>(slot & count_mask);
  }
  return 0;
}

}  // namespace pillion
