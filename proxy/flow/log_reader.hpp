// Reads the invalidation log as it is written, on a connection of its own: it waits there in XREAD BLOCK, so that a
// record is applied as soon as Redis has it. At each connection, after each cut and when it is told to, it finds out
// whether the log is still the one it knows, and begins another epoch where it isn't. On the control thread alone, but
// for the atomics. For flow/invalidation_log.cpp.
#pragma once

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "flow/log_follower.hpp"
#include "net/async.hpp"
#include "net/redis_client.hpp"
#include "telemetry/counters.hpp"
#include "telemetry/log.hpp"

namespace pillion {

/// Through one connection: Redis's clock; how the log stands there, and which of those records are in it.
using LogCommand = std::function<awaitable<RedisReply>(std::vector<std::string>)>;
/// Which copy of the data it is (copy_of()); 0 where that isn't said.
awaitable<std::uint64_t> learn_copy(LogCommand command);
awaitable<void> learn_clock(LogCommand command, RedisClock& clock);
awaitable<LogLook> look_at_log(LogCommand command, std::string key, std::vector<KnownRecord> known);

class LogReader {
 public:
  struct Events {
    std::function<void()> live;                     ///< read to its end, and listened to from now on
    std::function<void()> applied;                  ///< some records were applied
    std::function<void(const LogRecord&)> foreign;  ///< each that another process wrote, but at the first reading
  };

  /// What is given has to outlive this object.
  LogReader(asio::any_io_executor executor, RedisTopology& redis, LogFollower& follower, RedisClock& clock,
            Counters& counters, Log& log);
  void start(Events events);
  void stop();

  /// The log is being heard: what stands in Redis may be used. From any thread.
  bool is_live() const noexcept { return live_.load(std::memory_order_acquire); }
  /// When what was heard last was asked for, in milliseconds of the steady clock: up to then nothing is unknown. From
  /// any thread.
  std::int64_t heard_at_ms() const noexcept { return heard_at_ms_.load(std::memory_order_relaxed); }
  /// Where it isn't live, it soon will be.
  bool is_connected() const noexcept { return connection_ && connection_->is_up(); }
  /// Something is wrong with the log, or with what is heard of it: it is read on a new connection, after another look.
  void look_again();

 private:
  using Time = std::chrono::steady_clock::time_point;
  enum class Step { on, behind, failed };
  awaitable<void> run();
  awaitable<bool> catch_up();
  /// When the read was sent that found its end; nullopt where Redis didn't answer.
  awaitable<std::optional<Time>> read_to_end();
  std::string cursor() const { return follower_.position() == 0 ? "0-0" : follower_.last_read().id; }
  awaitable<Step> read_on();
  /// The next records, batch_ at most; nullopt where Redis didn't say, or said too much.
  std::optional<std::vector<LogRecord>> records_in(const RedisReply& reply);
  awaitable<bool> mend(LogVerdict verdict, const LogInfo& info, bool alone);
  awaitable<RedisReply> command(std::vector<std::string> arguments, std::chrono::milliseconds budget);
  /// False where another log turns out to stand in the place of the known one.
  bool apply(std::span<const LogRecord> records);
  void read_anew(const std::string& why);
  void connect();
  void set_live(bool live, bool tell);

  asio::any_io_executor executor_;
  RedisTopology& redis_;
  const std::string key_;
  LogFollower& follower_;
  RedisClock& clock_;
  Counters& counters_;
  Log& log_;
  WorkerCounters own_counters_;  // the time it waits is no command's
  Events events_;
  std::unique_ptr<RedisClient> connection_;
  std::uint64_t generation_ = 0;  // of the connection
  asio::steady_timer pause_;
  std::size_t batch_;       // records that are asked for at once: one after a reply that was too large
  bool too_large_ = false;  // a single record is, or what is said of the log
  std::atomic<bool> live_{false};
  std::atomic<std::int64_t> heard_at_ms_;
  bool stopped_ = false, told_ = false;
};

}  // namespace pillion
