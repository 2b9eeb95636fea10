// Redis, whatever its shape: one server, the master that sentinels name, or a cluster in which each key has its node.
// Worker-local: all calls and completions on the executor it was made with. It keeps one RedisConnection a master, made
// when it is first needed, follows the topology's changes, and never holds a caller longer than its budget.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "net/redis_connection.hpp"
#include "net/redis_reply.hpp"
#include "net/redis_topology.hpp"

namespace pillion {

class RedisClient {
 public:
  static constexpr int max_redirections = 3;

  /// `home_key`: what has no key of its own (PING, PUBLISH, WAIT) goes to the master that has this one, and is_up() and
  /// on_up() speak of it. The rest as for RedisConnection. The topology has to outlive this object.
  RedisClient(boost::asio::any_io_executor executor, RedisTopology& topology, std::size_t max_reply,
              WorkerCounters& counters, Log& log, std::string home_key);
  ~RedisClient();

  /// As RedisConnection::command(), sent to the master of its key (net/redis_slots.hpp says which argument that is;
  /// there must be one key at most). In a cluster a redirection is followed, three at most and all within the one
  /// budget.
  boost::asio::awaitable<RedisReply> command(std::vector<std::string> arguments,
                                             std::optional<config::Milliseconds> budget = {});
  /// The same to one master of RedisTopology::view(), whatever the keys: for SCAN, which sees one node's. No
  /// redirection is followed.
  boost::asio::awaitable<RedisReply> command_at(const config::Address& master, std::vector<std::string> arguments,
                                                std::optional<config::Milliseconds> budget = {});

  /// The home key's master is known and up (as RedisConnection::is_up()).
  bool is_up() const noexcept;
  /// Whether asking for this key has any use now: its master is up, or nobody has tried yet.
  bool is_up(std::string_view key) const noexcept;
  /// Whether a reply, or the home key's master as it is now, speaks of the copy of the data that RedisTopology::copy()
  /// names, as far as both are known. Where it doesn't, its master is asked again. In a cluster, where the log has a
  /// node of its own, that concerns the home key alone.
  bool is_same_copy(const RedisReply& reply);
  bool is_same_copy();
  /// Called on the executor each time is_up() turns true, and when another master that is up takes over the home key.
  void on_up(std::function<void()> callback);
  /// Cancels everything; callers get `unavailable`. The destructor does so too.
  void stop();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace pillion
