// The clock by which replicas tell each other when a response was received: Redis's, since their own may differ. Pure,
// but for one atomic; thread-safe.
#pragma once

#include <atomic>
#include <cstdint>
#include <limits>
#include <optional>

#include "core/time.hpp"

namespace pillion {

/// What is known of it: by how much it is ahead of this process's steady clock.
class SharedClock {
 public:
  /// Milliseconds; its time is one since 1970-01-01 UTC.
  void set(std::int64_t offset_ms) noexcept { offset_ms_.store(offset_ms, std::memory_order_relaxed); }
  /// nullopt until it was told.
  std::optional<std::int64_t> offset_ms() const noexcept {
    const std::int64_t offset = offset_ms_.load(std::memory_order_relaxed);
    return offset == unknown ? std::nullopt : std::optional(offset);
  }

 private:
  static constexpr std::int64_t unknown = std::numeric_limits<std::int64_t>::min();
  std::atomic<std::int64_t> offset_ms_{unknown};
};

/// A moment here, and the shared clock's offset then; without one this machine's wall clock stands in for it.
struct SharedNow {
  // Implicit: where the shared clock is not known a moment is all there is.
  SharedNow(Now at, std::optional<std::int64_t> offset = {}) : now(at), offset_ms(offset) {}
  Now now;
  std::optional<std::int64_t> offset_ms;
};

}  // namespace pillion
