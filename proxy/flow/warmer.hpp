// Warming: what is fetched into the cache at start, lists that somebody asks for while it runs, and what is remembered
// for the next start. On one executor, which serves no requests.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "flow/context.hpp"
#include "flow/warm_run.hpp"

namespace pillion {

class Warmer {
 public:
  /// Lists that may be under way at a time, and pages of a sitemap.
  static constexpr std::size_t max_runs = 16, max_pages = 10'000;

  Warmer(asio::any_io_executor executor, Shared& shared, std::shared_ptr<const config::Config> config);
  Warmer(const Warmer&) = delete;

  /// Begins with what the configuration wants warmed, and calls once that is done, or ready_after is over; at once
  /// where it wants nothing. From then on the hottest URLs are kept, each minute.
  void start(std::function<void()> when_ready);
  /// Another configuration. What is warmed at start ends where its settings of that are others.
  void use(std::shared_ptr<const config::Config> config);
  /// Begins to warm a list; nullptr where too many are under way, or all is ending.
  std::shared_ptr<WarmRun> begin(std::vector<WarmTarget> targets);
  /// Draining: nothing more is begun.
  void stop();
  /// After stop(): keeps the hottest URLs a last time.
  awaitable<void> finish();

 private:
  using Clock = std::chrono::steady_clock;
  struct Tally {
    std::size_t results[warm_result_count] = {};
    std::size_t told = 0;  ///< failures in the log
  };
  awaitable<void> warm_at_start();
  awaitable<void> wait_for_redis();
  awaitable<void> warm_all(std::vector<WarmTarget> targets);
  awaitable<void> warm_hottest();
  awaitable<void> warm_pages();
  awaitable<void> pause(std::chrono::milliseconds time);
  awaitable<void> keep_hottest();
  awaitable<void> keep_hottest_now();
  bool may_go_on() const noexcept { return !stopped_ && !start_ended_; }
  void be_ready();
  void end_start();
  void note(const WarmedUrl& url);
  std::string summary() const;

  asio::any_io_executor executor_;
  Shared& shared_;
  std::shared_ptr<const config::Config> config_;
  WarmSlots slots_;
  std::vector<std::weak_ptr<WarmRun>> runs_;
  // At start.
  std::function<void()> when_ready_;
  std::shared_ptr<WarmRun> start_run_;
  std::set<WarmTarget> seen_;
  Tally tally_;
  Clock::time_point begun_, until_;
  asio::steady_timer ready_timer_, pause_, keep_timer_;
  bool start_ended_ = false, stopped_ = false, keeping_failed_ = false;
};

}  // namespace pillion
