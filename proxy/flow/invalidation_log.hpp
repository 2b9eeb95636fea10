// Invalidations in order: applied here at once, written to the log in Redis, read back from it at every (re)connection,
// so that what stands in Redis stays invalidated over a restart of the proxy. Thread-safe; its own work runs on the
// executor it was given.
#pragma once

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/invalidation.hpp"
#include "core/local_order.hpp"
#include "core/stored_response.hpp"
#include "net/async.hpp"
#include "net/redis_client.hpp"
#include "net/shared_slot.hpp"
#include "telemetry/counters.hpp"
#include "telemetry/log.hpp"

namespace pillion {

/// What a fetch that begins now has to carry. Positions of the log in Redis are stream ids packed into 64 bits.
struct Fence {
  std::uint64_t local = 0;
  std::uint64_t shared = 0;
  std::uint64_t epoch = 0;  ///< 0: the log in Redis is not known; what is fetched must not go there
};

class InvalidationLog {
 public:
  InvalidationLog(asio::any_io_executor executor, Counters& counters, Log& log);
  ~InvalidationLog();

  /// With a Redis: begins to read the log. Called once, on the executor; `on_ready` when it has been read for the first
  /// time.
  void connect(RedisTopology& redis, WorkerCounters& counters, std::function<void()> on_ready);
  /// On the executor.
  void stop();
  /// Tries once more to deliver what is pending, for a bounded time. On the executor, before stop().
  awaitable<void> deliver_last();

  struct Outcome {
    std::string position;
    bool pending = false;  ///< Redis is configured, and has not got it yet
  };
  /// Applies here before it returns for the first time; then waits for Redis within its budget. From any executor. What
  /// can't be delivered is kept and delivered as soon as Redis is back.
  awaitable<Outcome> invalidate(std::vector<Selector> selectors);

  Fence fence() const;
  /// What this process has heard, in one order.
  LocalOrder& order() noexcept { return local_; }
  const LocalOrder& order() const noexcept { return local_; }
  /// Of a response just read from Redis. Invalidated also where its epoch is not the log's; never suspect.
  Standing standing_in_redis(const StoredResponse& response) const;
  /// The log has been read: what stands in Redis may be used.
  bool redis_ready() const noexcept { return ready_.load(std::memory_order_acquire); }
  std::uint64_t pending() const noexcept { return pending_count_.load(std::memory_order_relaxed); }

 private:
  // What is known of one epoch of the log. Replaced as a whole when the epoch changes.
  struct View {
    std::uint64_t epoch = 0;
    InvalidationTable table;
    std::atomic<std::uint64_t> known{0};  // the last id seen
    std::string cursor = "0-0";           // read up to here
  };
  awaitable<std::string> publish(std::vector<Selector> selectors);
  awaitable<bool> send(const std::vector<Selector>& selectors, std::string& id);
  awaitable<void> synchronise();
  awaitable<bool> read_epoch(std::string& epoch, bool& lost);
  awaitable<bool> begin_epoch(bool only_if_absent, std::string& epoch);
  awaitable<bool> read_log(View& view, bool& older);
  awaitable<bool> send_record(std::span<const Selector> selectors, std::string& id);
  awaitable<bool> begin_lost_epoch();
  awaitable<bool> deliver_pending();
  awaitable<void> watch_epoch();
  void adopt(const std::string& epoch);
  void keep_pending(std::vector<Selector> selectors);
  void retry_later();
  awaitable<RedisReply> command(std::vector<std::string> arguments);

  asio::any_io_executor executor_;
  Counters& counters_;
  Log& log_;
  LocalOrder local_;
  SharedSlot<View> view_;
  std::atomic<bool> ready_{false};
  std::atomic<std::uint64_t> pending_count_{0};
  // On the executor alone:
  std::unique_ptr<RedisClient> redis_;
  std::function<void()> on_ready_;
  std::string log_key_, epoch_key_;
  config::Milliseconds patience_{1000};
  std::deque<std::vector<Selector>> pending_;
  asio::steady_timer retry_;
  asio::steady_timer watch_;
  bool synchronising_ = false, again_ = false, stopped_ = false, retry_armed_ = false;
};

}  // namespace pillion
