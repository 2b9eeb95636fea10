// What is known of one epoch of the invalidation log, for whoever reads a response from Redis; and the invalidations
// made here that the log has not given an id yet. Shared, locks inside. flow/log_follower.cpp and
// flow/invalidation_log.cpp write, the latter alone is asked.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "core/invalidation.hpp"
#include "core/local_order.hpp"

namespace pillion {

/// Replaced as a whole when another epoch begins. Positions are packed stream ids.
struct LogView {
  std::string epoch_name;
  std::uint64_t epoch = 0;  ///< epoch_number() of it; both are as they are once the view is shared
  InvalidationTable table;
  std::atomic<std::uint64_t> known{0};      ///< the last id seen, read or given to us: the fence of a fetch
  std::atomic<std::uint64_t> last_hard{0};  ///< the id of the last hard invalidation of this epoch that is known

  /// `mono_ms`: when it happened, by the steady clock; counts for a soft one.
  void apply(std::span<const Selector> selectors, Strength strength, std::uint64_t position, std::int64_t mono_ms) {
    if (strength == Strength::soft) {
      table.apply_soft(selectors, position, mono_ms);
    } else {
      table.apply(selectors, position);
      raise(last_hard, position);
    }
    note(position);
  }
  void note(std::uint64_t position) noexcept { raise(known, position); }

 private:
  /// Only ever upwards.
  static void raise(std::atomic<std::uint64_t>& number, std::uint64_t position) noexcept {
    std::uint64_t before = number.load(std::memory_order_relaxed);
    while (before < position && !number.compare_exchange_weak(before, position, std::memory_order_release)) {
    }
  }
};

/// Invalidations that were made here and have no id: they stand behind everything in Redis, whatever its fence. Of
/// fixed size but for a number for each that is on its way.
class UnsentInvalidations {
 public:
  /// Before the invalidation gets its local position. The ticket is for done().
  std::uint64_t add(std::span<const Selector> selectors);
  /// It has an id, and stands in the view; or another that stays covers it.
  void done(std::uint64_t ticket);
  /// Whether one of them names the response. To be asked before the view: what leaves here stands there already.
  bool name(std::span<const std::uint32_t> selectors, std::string_view readable_key) const {
    const std::uint64_t settled = settled_.load(std::memory_order_acquire);
    return table_.latest() != settled && table_.invalidated_since(settled, selectors, readable_key);
  }

 private:
  InvalidationTable table_{1u << 10};      // few are on their way at a time
  std::atomic<std::uint64_t> settled_{0};  // no ticket up to this one is outstanding
  std::mutex mutex_;
  std::set<std::uint64_t> outstanding_;
};

}  // namespace pillion
