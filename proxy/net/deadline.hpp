// Deadlines of connections: set by storing a number, checked by one timer a worker. Worker-local.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>

#include "net/async.hpp"

namespace pillion {

class Deadlines;

/// One wait that must end. Setting and clearing it costs a store each, so every read and write may have one. When it
/// passes, `expired()` turns true and `on_expire` is called, which cancels what is being waited for. Accurate to
/// Deadlines::tick.
class Deadline {
 public:
  using Action = void (*)(void* context);
  Deadline(Deadlines& owner, Action on_expire, void* context);
  ~Deadline();
  Deadline(const Deadline&) = delete;
  Deadline& operator=(const Deadline&) = delete;

  void expires_after(std::chrono::milliseconds time) noexcept;
  void clear() noexcept { at_ms_ = never; }
  bool expired() const noexcept { return expired_; }
  /// Makes it usable again after it has expired.
  void reset() noexcept {
    expired_ = false;
    at_ms_ = never;
  }

 private:
  friend class Deadlines;
  static constexpr std::int64_t never = INT64_MAX;
  Deadlines& owner_;
  Action on_expire_;
  void* context_;
  std::int64_t at_ms_ = never;
  bool expired_ = false;
  Deadline* previous_ = nullptr;
  Deadline* next_ = nullptr;
};

/// All deadlines of one worker. The timer runs only while there is some connection.
class Deadlines {
 public:
  static constexpr std::chrono::milliseconds tick{50};
  explicit Deadlines(asio::any_io_executor executor);
  ~Deadlines();
  /// Milliseconds of the steady clock, right to less than a tick.
  std::int64_t now_ms() const noexcept;

 private:
  friend class Deadline;
  void add(Deadline& deadline);
  void remove(Deadline& deadline) noexcept;
  void arm();
  void check();

  asio::steady_timer timer_;
  Deadline* first_ = nullptr;
  Deadline* cursor_ = nullptr;  // next to visit while check() runs: an action may remove any deadline
  bool armed_ = false;
};

}  // namespace pillion
