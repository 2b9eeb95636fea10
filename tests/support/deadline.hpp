// How long a test waits at most, and the one way to poll. For tests; any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stdexcept>
#include <string>

namespace pillion::support {

using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;
using namespace std::chrono_literals;

/// Long enough that only a fault meets it, sanitizers and a busy machine included.
inline constexpr Milliseconds patience{40000};

/// A point in time that a wait may not pass.
class Deadline {
 public:
  Deadline(Milliseconds from_now = patience) : at_(Clock::now() + from_now) {}
  bool passed() const { return Clock::now() >= at_; }
  /// Milliseconds left for poll(2): 0 where it has passed.
  int left() const {
    auto ms = std::chrono::ceil<Milliseconds>(at_ - Clock::now()).count();
    return ms > 0 ? static_cast<int>(ms) : 0;
  }
  Clock::time_point at() const { return at_; }

 private:
  Clock::time_point at_;
};

/// Asks `condition` every few milliseconds until it holds; false once the deadline has passed. Only for what the
/// product gives no event for; where there is a line, a request or a closed socket to wait for, wait for that.
template <class Condition>
bool eventually(Condition condition, Deadline deadline = {}) {
  std::mutex mutex;
  std::condition_variable never;
  for (;;) {
    if (condition()) return true;
    if (deadline.passed()) return false;
    std::unique_lock lock(mutex);
    never.wait_for(lock, 5ms);
  }
}

/// Opens once, for everyone. Waiting is bounded, so that a failed test ends.
class Gate {
 public:
  void open() {
    std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  bool is_open() const {
    std::lock_guard lock(mutex_);
    return open_;
  }
  /// Throws std::runtime_error where nobody opens it in time.
  void wait(Deadline deadline = {}) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_until(lock, deadline.at(), [&] { return open_; }))
      throw std::runtime_error("a gate stayed shut");
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

/// Counts up; others wait for a number to be reached.
class Counter {
 public:
  void add(int n = 1) {
    std::lock_guard lock(mutex_);
    value_ += n;
    changed_.notify_all();
  }
  int value() const {
    std::lock_guard lock(mutex_);
    return value_;
  }
  bool wait_for(int n, Deadline deadline = {}) {
    std::unique_lock lock(mutex_);
    return changed_.wait_until(lock, deadline.at(), [&] { return value_ >= n; });
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int value_ = 0;
};

}  // namespace pillion::support
