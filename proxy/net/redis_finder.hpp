// Who looks for the masters of Redis, on the control executor. For redis_topology.cpp alone.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>

#include "net/async.hpp"
#include "net/redis_topology.hpp"
#include "telemetry/log.hpp"

namespace pillion {

/// What it finds it gives to RedisTopology::publish(). All on the control executor.
class RedisFinder {
 public:
  virtual ~RedisFinder() = default;
  virtual void start() = 0;
  /// Nothing is published after it.
  virtual void stop() = 0;
  /// Looks again soon. `ask_first` may know best; unset where nobody does.
  virtual void hurry(const config::Address& ask_first) = 0;
};

std::shared_ptr<RedisFinder> make_sentinel_finder(asio::any_io_executor control, RedisTopology& topology, Log& log);
std::shared_ptr<RedisFinder> make_cluster_finder(asio::any_io_executor control, RedisTopology& topology, Log& log);

/// How long the servers may take for an answer; it is nobody's request that waits.
inline constexpr std::chrono::milliseconds finder_patience{500};

/// The pause between two looks.
class FinderPause {
 public:
  static constexpr std::chrono::milliseconds shortest{100};  ///< however often somebody is in a hurry

  FinderPause(asio::any_io_executor executor, std::chrono::milliseconds length)
      : timer_(std::move(executor)), rest_(length - shortest) {}
  /// Returns after its length, or earlier where hurry() was called since the last pause, and at once after stop().
  awaitable<void> wait() {
    if (stopped_) co_return;
    timer_.expires_after(shortest);
    co_await timer_.async_wait(no_throw);
    if (!hurried_ && !stopped_) {
      resting_ = true;
      timer_.expires_after(rest_);
      co_await timer_.async_wait(no_throw);
      resting_ = false;
    }
    hurried_ = false;
  }
  void hurry() {
    hurried_ = true;
    if (resting_) timer_.cancel();
  }
  void stop() {
    stopped_ = true;
    timer_.cancel();
  }

 private:
  asio::steady_timer timer_;
  std::chrono::milliseconds rest_;
  bool hurried_ = false, resting_ = false, stopped_ = false;
};

}  // namespace pillion
