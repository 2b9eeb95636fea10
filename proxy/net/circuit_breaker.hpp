// When to stop asking a server that doesn't answer, and when to try again. Pure: the caller brings the time.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>

namespace pillion {

/// Closed: everything passes. It opens at the fifth failure within a second. Open: nothing passes, but one probe a
/// second. A probe that succeeds closes it. In doubt it opens at once, and so does the time for a probe.
class CircuitBreaker {
 public:
  using Time = std::chrono::steady_clock::time_point;
  static constexpr std::size_t failures_to_open = 5;
  static constexpr std::chrono::milliseconds window{1000};
  static constexpr std::chrono::milliseconds probe_interval{1000};

  bool is_open() const noexcept { return open_; }
  /// A time limit passed or the connection failed. True where this opened it.
  bool failed(Time now) noexcept;
  /// Somebody else found that the server doesn't answer: open, until a probe that is due now. False where it was open.
  bool doubt(Time now) noexcept;
  /// The server has shown that it answers. True where this closed it; past failures are forgotten.
  bool succeeded() noexcept;
  /// When the next probe is due; Time::max() while closed.
  Time next_probe() const noexcept { return open_ ? next_probe_ : Time::max(); }
  /// Whether to send a probe now; the next one is due a second later.
  bool take_probe(Time now) noexcept;

 private:
  std::array<Time, failures_to_open> last_{};  // a ring: the oldest at at_
  std::size_t at_ = 0, count_ = 0;
  bool open_ = false;
  Time next_probe_{};
};

}  // namespace pillion
