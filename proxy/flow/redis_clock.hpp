// Redis's clock, as far as its replies to TIME tell it. Pure; used on the control thread alone, but for what shared()
// says.
#pragma once

#include <cstdint>
#include <optional>

#include "core/shared_clock.hpp"
#include "net/redis_reply.hpp"

namespace pillion {

/// Told by a steady clock, so no jump of this machine's moves it; one of Redis's counts from the next reply on.
class RedisClock {
 public:
  /// `sent_us` and `received_us` by the steady clock. A reply that took long tells little: it counts where nothing
  /// better is known.
  void learn(const RedisReply& time, std::int64_t sent_us, std::int64_t received_us);
  /// Microseconds since 1970 at that steady time.
  std::optional<std::int64_t> at_us(std::int64_t steady_us) const;
  /// The same for any thread.
  const SharedClock& shared() const noexcept { return shared_; }
  /// The steady time in milliseconds, of that of Redis.
  std::optional<std::int64_t> steady_ms(std::int64_t redis_ms) const;

 private:
  std::optional<std::int64_t> offset_us_;
  SharedClock shared_;
};

}  // namespace pillion
