// What others change in Redis, on whichever of its masters: each notice makes the copies in memory of that key suspect
// (core/local_order.hpp). Control executor, but for what says otherwise.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/local_order.hpp"
#include "flow/change_watch.hpp"
#include "flow/notice_board.hpp"
#include "net/redis_topology.hpp"
#include "net/shared_slot.hpp"

namespace pillion {

class RedisWatch {
 public:
  /// All have to outlive this object; `counters` and `log` are not used after stop().
  RedisWatch(asio::any_io_executor control, RedisTopology& topology, LocalOrder& order, WorkerCounters& counters,
             Log& log);
  ~RedisWatch();
  RedisWatch(const RedisWatch&) = delete;

  /// Watches keys with these beginnings from now on (core/watched_prefixes.hpp); none: nothing.
  void watch(std::vector<std::string> prefixes);
  void stop();

  // --- from any thread; keys without namespace ---
  /// Woken at each change of a key, and when changes are no longer heard of.
  NoticeBoard& board() noexcept { return board_; }
  Hearing hearing(std::string_view readable_key) const;
  /// Every master's changes are heard of; true where nothing is to be watched.
  bool is_up() const;
  /// Of a value that is gone from Redis, and was first noticed to have changed at that local position: whether it is
  /// known that it made room, so that a copy of it is still good. Completes on the caller's executor.
  awaitable<bool> was_evicted(std::string_view readable_key, std::uint64_t noticed) const;

 private:
  struct Node {
    config::Address address;
    std::shared_ptr<ChangeWatch> watch;
  };
  using Nodes = std::vector<Node>;
  void follow();
  std::shared_ptr<ChangeWatch> watch_of(std::string_view readable_key) const;

  asio::any_io_executor control_;
  RedisTopology& topology_;
  LocalOrder& order_;
  NoticeBoard board_;
  WorkerCounters& counters_;
  Log& log_;
  const std::string namespace_;
  std::vector<std::string> prefixes_;
  SharedSlot<const Nodes> nodes_{std::make_shared<const Nodes>()};
  RedisTopology::Subscription subscription_;
  bool stopped_ = false;
};

}  // namespace pillion
