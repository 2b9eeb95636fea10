// Puts the invalidations made here into the log, and keeps those that it can't deliver until it can. On the control
// thread alone, but for pending(). For flow/invalidation_log.cpp.
#pragma once

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <vector>

#include "flow/log_follower.hpp"
#include "flow/log_reader.hpp"
#include "flow/log_view.hpp"
#include "net/async.hpp"
#include "net/redis_client.hpp"
#include "telemetry/counters.hpp"
#include "telemetry/log.hpp"

namespace pillion {

/// One invalidation on its way to the log.
struct OutgoingInvalidation {
  std::vector<Selector> selectors;
  Strength strength = Strength::hard;
  std::int64_t mono_ms = 0;  ///< when it was made, by the steady clock
  std::uint64_t ticket = 0;  ///< of UnsentInvalidations
};

class LogWriter {
 public:
  using Time = std::chrono::steady_clock::time_point;
  /// Undelivered invalidations that are kept one by one, and their selectors; beyond it they become a single `all`.
  static constexpr std::size_t max_pending = 1000, max_pending_selectors = 20000;

  /// What is given has to outlive this object.
  LogWriter(asio::any_io_executor executor, const config::RedisSettings& settings, RedisClient& connection,
            LogFollower& follower, LogReader& reader, UnsentInvalidations& unsent, Counters& counters, Log& log);
  void stop();

  /// Writes it, and returns its (last) record; none where that wasn't possible until then: it is kept, and delivered as
  /// soon as Redis is back, behind what waits already.
  awaitable<KnownRecord> publish(OutgoingInvalidation invalidation, Time until);
  /// Delivers what is kept, in order, as far as possible now.
  awaitable<void> deliver();
  /// The same until nothing is left, for a bounded time.
  awaitable<void> deliver_last();
  /// From any thread.
  std::uint64_t pending() const noexcept { return pending_count_.load(std::memory_order_relaxed); }

 private:
  awaitable<bool> may_write(Time until);
  awaitable<KnownRecord> send(const OutgoingInvalidation& invalidation, Time until);
  awaitable<KnownRecord> send_record(LogRecord record, std::int64_t mono_ms, Time until);
  void keep(OutgoingInvalidation invalidation);
  void give_up_details();
  void retry_later();
  void count_pending();

  asio::any_io_executor executor_;
  const std::string key_;
  RedisClient& connection_;
  LogFollower& follower_;
  LogReader& reader_;
  UnsentInvalidations& unsent_;
  Counters& counters_;
  Log& log_;
  std::deque<OutgoingInvalidation> pending_;
  std::size_t pending_selectors_ = 0;
  std::atomic<std::uint64_t> pending_count_{0};
  asio::steady_timer retry_;
  bool delivering_ = false, retry_armed_ = false, stopped_ = false;
};

}  // namespace pillion
