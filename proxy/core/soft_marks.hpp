// When something was softly invalidated: since when a response counts as stale. Pure; the caller locks, but for
// may_have(). For the invalidation table alone.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "core/invalidation.hpp"
#include "core/pattern_marks.hpp"
#include "core/recent_selectors.hpp"

namespace pillion {

/// The soft invalidations of one selector, of which there may be many: the last one, and since when they came one
/// shortly after the other. With that the first one after a response was fetched is known, or that it was fetched
/// before others that are forgotten.
struct SoftStreak {
  static constexpr std::int64_t longest_ms = 60'000;  ///< from the first to the last of one streak
  std::uint64_t last = 0, begin = 0, before = 0;      ///< positions; `before`: the last one before the streak
  std::int64_t begin_ms = 0;

  void note(std::uint64_t position, std::int64_t mono_ms) noexcept;
  /// Takes in another selector's, at the price of knowing less.
  void absorb(const SoftStreak& other) noexcept;
  /// The steady time of the first one after that position; long_ago where that isn't known; nullopt where there is
  /// none.
  static constexpr std::int64_t long_ago = std::numeric_limits<std::int64_t>::min();
  std::optional<std::int64_t> first_after(std::uint64_t position) const noexcept;
};

class SoftMarks {
 public:
  static constexpr std::size_t recent_buckets = 1u << 13;  ///< of RecentSelectors: some 25,000 selectors
  static constexpr std::size_t slot_count = 1u << 12;      ///< of those before them, whichever fall together

  SoftMarks();
  void apply(std::span<const Selector> selectors, std::uint64_t position, std::int64_t mono_ms);
  /// Without a lock: false only where first_after() would find nothing.
  bool may_have(std::uint64_t since, std::span<const std::uint32_t> selectors) const noexcept;
  /// The earliest that SoftStreak::first_after() says for all that matches.
  std::optional<std::int64_t> first_after(std::uint64_t since, std::span<const std::uint32_t> selectors,
                                          std::string_view readable_key) const;

 private:
  /// `last` once more, to be read without the lock.
  struct Slot {
    std::atomic<std::uint64_t> last{0};
    SoftStreak streak;
  };
  void note(Slot& slot, std::uint64_t position, std::int64_t mono_ms);
  void note(std::uint32_t hash, std::uint64_t position, std::int64_t mono_ms);
  void apply_pattern(std::string_view pattern, std::uint64_t position, std::int64_t mono_ms);

  RecentSelectors recent_{recent_buckets};
  Zeroed<SoftStreak> streaks_;  // by place in recent_
  std::unique_ptr<Slot[]> slots_;
  std::atomic<std::uint64_t> last_of_slots_{0};
  Slot floor_;
  std::atomic<std::uint64_t> last_pattern_{0};
  PatternMarks<SoftStreak> patterns_;
};

}  // namespace pillion
