// One Redis server tells which keys have changed, by whomever: broadcast tracking, redirected to the very connection
// that subscribes, so that the two live and die together (RESP2). On the control executor, but for hearing().
#pragma once

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "flow/removal_history.hpp"
#include "net/async.hpp"
#include "net/redis_connection.hpp"
#include "net/redis_link.hpp"
#include "telemetry/counters.hpp"
#include "telemetry/log.hpp"

namespace pillion {

/// What a copy of something in Redis is worth.
enum class Hearing : std::uint8_t {
  up,    ///< its changes are heard of
  lost,  ///< the connection ended: every copy is to be compared at every use until there is one again
  deaf,  ///< Redis is silent, or doesn't allow it, or hasn't been reached yet: nothing can be compared either
};

class ChangeWatch {
 public:
  static constexpr std::chrono::milliseconds beat{1000};  ///< a server that is silent for so long counts as gone

  /// Called on the executor.
  struct Told {
    std::function<void(std::string_view key)> changed;  ///< with its namespace
    std::function<void()> all;                          ///< any may have
    std::function<void()> deaf;                         ///< nothing is heard any more
    std::function<std::uint64_t()> position;            ///< of what was told last
  };
  /// Starts at once. `prefixes`: as Redis takes them, each the beginning of no other; an empty one means every key.
  /// `counters` and `log` are not used after stop().
  ChangeWatch(asio::any_io_executor executor, const RedisNode& node, std::vector<std::string> prefixes, Told told,
              WorkerCounters& counters, Log& log);
  ~ChangeWatch();
  ChangeWatch(const ChangeWatch&) = delete;

  void stop();
  /// Other prefixes: on a new connection, so all is told as at the loss of one.
  void use(std::vector<std::string> prefixes);

  /// From any thread.
  Hearing hearing() const noexcept;
  /// Of a value that is gone, of which the first notice came at `noticed`: whether it is known to have been evicted.
  /// Asks the server, within its budget and so often only.
  awaitable<bool> was_evicted(std::uint64_t noticed);

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace pillion
