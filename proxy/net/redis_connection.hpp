// One pipelined connection to Redis: hiredis as the codec, Asio as the transport. Worker-local: all calls and
// completions on the executor it was made with. It reconnects by itself and never holds a caller longer than its
// budget.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/model.hpp"
#include "net/redis_node.hpp"
#include "net/redis_reply.hpp"
#include "telemetry/counters.hpp"
#include "telemetry/log.hpp"

namespace pillion {

class RedisConnection {
 public:
  static constexpr std::size_t max_in_flight = 1024;           ///< commands without a reply; above it: unavailable
  static constexpr std::size_t max_unsent = 16u << 20;         ///< bytes of commands that wait to be written; likewise
  static constexpr config::Milliseconds no_progress{2000};     ///< outstanding replies and no byte for so long: closed
  static constexpr config::Milliseconds longest_reply{10000};  ///< from its first to its last byte; else closed

  /// `max_reply` bounds one reply's bytes: beyond it the connection is closed. Starts connecting at once. `counters`
  /// and `log` are not used after stop(), the executor has to outlive this object.
  RedisConnection(boost::asio::any_io_executor executor, RedisNode node, std::size_t max_reply,
                  WorkerCounters& counters, Log& log);
  ~RedisConnection();

  /// Sends one command as an array of binary-safe arguments. Commands of concurrent callers share one write. The budget
  /// (settings.timeout unless given) runs to the first byte of the reply; a late reply is dropped in order and the
  /// connection stays; no progress for 2 s with replies outstanding closes it. Never throws on a Redis fault. Five
  /// failures within a second open a breaker (net/circuit_breaker.hpp), and that of another connection to this server
  /// puts this one in doubt (net/redis_siblings.hpp): commands then are not sent at all until a PING of the
  /// connection's own has been answered. Per-operation cancellation gives `unavailable` at once.
  boost::asio::awaitable<RedisReply> command(std::vector<std::string> arguments,
                                             std::optional<config::Milliseconds> budget = {});
  /// The same for arguments that are needed again should the reply ask for it: they have to stay until the reply is
  /// there. `asking` puts ASKING before it: a slot that is just coming to this node serves what is here already.
  boost::asio::awaitable<RedisReply> command_of(const std::vector<std::string>& arguments, config::Milliseconds budget,
                                                bool asking = false);
  /// Returns when the first attempt to connect has ended, or after `time`; at once later on.
  boost::asio::awaitable<void> first_attempt(config::Milliseconds time);
  /// It is under way, and waiting for it has any use: no other connection found that the server is silent.
  bool is_first_attempt() const noexcept;

  /// Connected, authenticated, database selected, breaker closed.
  bool is_up() const noexcept;
  /// Which copy of the data the server has (copy_of() in net/redis_discovery.hpp), as it said last; 0 where it hasn't,
  /// or isn't asked (RedisNode::tells_copy). Each reply says it too: of the time when the server sent it, at most one
  /// question ago.
  std::uint64_t copy() const noexcept;
  /// Asks it again, where nobody does at the moment: for whoever sees that it should be another.
  void ask_copy();
  /// Called on the executor each time is_up() turns true: first connect, every reconnect, the breaker closing. Several
  /// may be registered.
  void on_up(std::function<void()> callback);
  /// Called on the executor each time an attempt to connect failed, the connection was lost, or the server said that it
  /// is not, or no longer, what it was taken for. One at most; not after stop().
  void on_trouble(std::function<void()> callback);
  /// Cancels everything; callers get `unavailable`. The destructor does so too.
  void stop();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace pillion
