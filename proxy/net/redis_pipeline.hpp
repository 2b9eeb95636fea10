// The commands of one connection to Redis: which may be sent, whose reply is whose, how long each is waited for, and
// what the connection learns from it. Worker-local; for net/redis_connection.cpp, which connects.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "net/async.hpp"
#include "net/redis_health.hpp"
#include "net/redis_link.hpp"
#include "net/redis_node.hpp"
#include "net/redis_reply.hpp"
#include "net/redis_report.hpp"
#include "net/redis_waiters.hpp"

namespace pillion {

/// Made with make_shared. The rules are RedisConnection::command()'s.
class RedisPipeline : public std::enable_shared_from_this<RedisPipeline> {
 public:
  RedisPipeline(asio::any_io_executor executor, RedisNode node, WorkerCounters& counters, Log& log);

  /// The link's handshake is done; its replies come to answered() from here on.
  void connected(std::shared_ptr<RedisLink> link);
  void answered(RedisReply reply);
  /// The link has ended, or could not be made: whoever waits gets `unavailable`.
  void lost(const std::string& why);
  /// For good. `counters` and `log` are not used any more.
  void stop();

  /// Why this can't be sent now; null where it can.
  const char* why_not(const std::vector<std::string>& arguments) const;
  /// The reply to what isn't sent.
  RedisReply skipped(const char* why);
  /// Sends it, only where why_not() is null. The handler is called on the executor with the reply, or cancelled by its
  /// slot.
  void start(RedisWaiters::Handler handler, const std::vector<std::string>& arguments, config::Milliseconds budget,
             bool asking);

  RedisHealth& health() noexcept { return health_; }
  /// As RedisConnection has them.
  std::uint64_t copy() const noexcept { return link_ ? copy_ : 0; }
  void ask_copy();

 private:
  using Time = RedisHealth::Time;

  void refused(RedisReply& reply);
  struct Completion {
    RedisWaiters::Handler handler;
    RedisReply reply;
  };
  void complete(RedisWaiters::Handler handler, RedisReply reply);
  void post_completions();
  void run_completions();
  void hand_over_completions();
  void fail_all(const char* why);
  void on_timer();
  void probe_if_due(Time now);
  void arm(Time at);
  void arm_for_next();
  /// The last sign of life that counts while replies are outstanding.
  Time last_progress() const noexcept { return std::max(waiting_since_, link_->last_read()); }

  asio::any_io_executor executor_;
  RedisNode node_;
  WorkerCounters& counters_;  // counters and report: not after stop()
  RedisReport report_;
  RedisHealth health_;
  std::shared_ptr<RedisLink> link_;  // once its handshake is done
  std::uint64_t copy_ = 0;
  bool asking_copy_ = false;
  Time connected_since_{};
  RedisWaiters waiters_;
  std::deque<Completion> completions_;  // to be called by what is posted
  bool completions_posted_ = false;
  Time waiting_since_{};      // since when some reply has been outstanding
  asio::steady_timer timer_;  // the earliest of all deadlines
  Time armed_for_ = Time::max();
  bool stopped_ = false;
};

}  // namespace pillion
