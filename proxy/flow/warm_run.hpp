// A list of URLs that is being warmed: who fetches how many at a time, what is tried again, and what came of each. All
// on one executor, which serves no requests; each URL is fetched on a worker's.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "flow/warm_fetch.hpp"

namespace pillion {

/// How many fetches all runs together may have under way. On the executor of its runs.
class WarmSlots {
 public:
  WarmSlots(asio::any_io_executor executor, std::size_t most)
      : most_(most), freed_(executor, asio::steady_timer::time_point::max()) {}
  void set_most(std::size_t most);
  std::size_t most() const noexcept { return most_; }
  /// Waits until there is one, and takes it; wake() lets everyone look whether `stopped`. False: stopped.
  awaitable<bool> take(const bool& stopped);
  void give_back();
  void wake() { freed_.cancel(); }

 private:
  std::size_t most_, taken_ = 0;
  asio::steady_timer freed_;
};

class WarmRun : public std::enable_shared_from_this<WarmRun> {
 public:
  using Clock = std::chrono::steady_clock;

  /// `retry_until`: until then a URL is tried again where the upstream can't be reached or isn't ready.
  WarmRun(asio::any_io_executor executor, Shared& shared, WarmSlots& slots, std::vector<WarmTarget> targets,
          Clock::time_point retry_until);
  WarmRun(const WarmRun&) = delete;

  void start();
  /// The next one that is done, in the order in which they end; nullopt once each has been told. One caller at a time.
  awaitable<std::optional<WarmedUrl>> next();
  /// Nothing more is begun; what wasn't begun is told as stopped.
  void stop();
  bool is_stopped() const noexcept { return stopped_; }
  std::size_t size() const noexcept { return targets_.size(); }

 private:
  awaitable<void> lane(std::size_t worker);
  awaitable<Warmed> attempt(const WarmTarget& target, std::size_t worker);
  awaitable<void> look_at_redis();
  void finish(WarmTarget target, Warmed warmed);
  void drop_rest(WarmResult result);

  asio::any_io_executor executor_;
  Shared& shared_;
  WarmSlots& slots_;
  std::vector<WarmTarget> targets_;
  const Clock::time_point retry_until_;
  std::size_t next_ = 0, told_ = 0, without_room_ = 0, begun_ = 0;
  std::deque<WarmedUrl> done_;
  asio::steady_timer wake_;               // of next()
  std::set<asio::steady_timer*> pauses_;  // of those who are to try again
  bool stopped_ = false;
};

}  // namespace pillion
