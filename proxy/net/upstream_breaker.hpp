// When to stop asking an upstream that doesn't answer, and when to try again. Shared, without locks.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace pillion {

/// Closed: every request passes. It opens when `failures` in a row have come without an answer between them. Open:
/// nothing passes, but one request each `open` as a probe. Any answer closes it.
class UpstreamBreaker {
 public:
  using Clock = std::chrono::steady_clock;
  /// 0 failures: it never opens.
  void configure(unsigned failures, std::chrono::milliseconds open) noexcept;
  /// Whether a request may go to the upstream; true where it is the probe.
  bool lets_pass(Clock::time_point now) noexcept;
  /// No connection, no answer in time, or the connection ended before one. True where this opened it.
  bool failed(Clock::time_point now) noexcept;
  /// It answered, whatever. True where this closed it.
  bool answered() noexcept;
  bool is_open() const noexcept { return probe_at_.load(std::memory_order_relaxed) != never; }

 private:
  using Rep = Clock::duration::rep;
  static constexpr Rep never = INT64_MIN;
  std::atomic<unsigned> limit_{0}, in_a_row_{0};
  std::atomic<Rep> open_for_{0};
  std::atomic<Rep> probe_at_{never};  // when the next probe is due; never: it is closed
};

}  // namespace pillion
