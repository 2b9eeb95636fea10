// Lines on their way to a file descriptor, written by a thread of its own in batches. For log.cpp alone. Thread-safe.
// spdlog's asynchronous logger wakes its thread and calls write() once a line, which costs a busy worker more than the
// answer from memory that the line is about; here a wake-up and a write serve all lines of some milliseconds.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace pillion {

class AccessQueue {
 public:
  static constexpr std::size_t max_queued = 1u << 20;         ///< bytes
  static constexpr std::chrono::milliseconds gather{20};      ///< how long a line may wait for others
  static constexpr std::chrono::milliseconds farewell{1000};  ///< how long the destructor waits for a reader

  /// `fd` stays the caller's; it may block, be closed or break at any time.
  explicit AccessQueue(int fd);
  /// Writes what is queued; gives up after `farewell` where nobody reads.
  ~AccessQueue();
  AccessQueue(const AccessQueue&) = delete;

  /// `line` ends in a line feed. Never waits for the descriptor: a line that doesn't fit is dropped.
  void push(std::string_view line);
  /// Lines that were never written, or not known to have been.
  std::uint64_t dropped() const noexcept { return dropped_.load(std::memory_order_relaxed); }

 private:
  void run();
  void write_out(std::string_view lines);
  bool wait_writable();

  const int fd_;
  std::atomic<std::uint64_t> dropped_{0};
  std::mutex mutex_;
  std::condition_variable wake_;
  std::string queued_;
  bool stopping_ = false;
  std::chrono::steady_clock::time_point give_up_;  // set before stopping_
  std::thread writer_;
};

}  // namespace pillion
