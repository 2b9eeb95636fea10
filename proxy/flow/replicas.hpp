// Says in Redis what this process has applied of the invalidation log, and learns who else has applied what. On the
// control thread alone. For flow/invalidation_log.cpp.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "flow/log_follower.hpp"
#include "flow/replica_table.hpp"
#include "net/async.hpp"
#include "net/redis_client.hpp"

namespace pillion {

class Replicas {
 public:
  /// `name` names this process to users. The rest has to outlive this object.
  Replicas(asio::any_io_executor executor, const config::RedisSettings& settings, std::string name,
           RedisClient& connection, const LogFollower& follower, const RedisClock& clock);

  const std::string& name() const noexcept { return name_; }
  /// Says what has been applied. What is applied while that is on its way goes with the next one.
  void announce();
  /// At least each second: announces, learns who is there, takes out who is long gone.
  awaitable<void> tick();
  /// Takes itself out: nobody has to wait for a process that ends, and nobody waits in it any more.
  awaitable<void> leave();

  /// Who has applied the record, this process among them, and who of those that count has not. Waits until `until` at
  /// most for all to have done so. A record without an id is one that the log has not got.
  awaitable<ReplicasAt> applied_by(KnownRecord record, std::chrono::steady_clock::time_point until);

 private:
  awaitable<void> announce_now();
  /// What stands there, as of some moment after the call. False where Redis didn't say, or it made no sense.
  awaitable<bool> refresh();
  awaitable<bool> read();
  awaitable<void> begin_anew();
  awaitable<bool> stands(KnownRecord record);
  std::optional<std::int64_t> redis_ms() const;

  asio::any_io_executor executor_;
  const std::string name_, key_, log_key_;
  RedisClient& connection_;
  const LogFollower& follower_;
  const RedisClock& clock_;
  std::vector<Replica> replicas_;
  std::vector<std::string> senseless_;  // fields
  asio::steady_timer refreshed_;        // cancelled when a refresh has ended
  bool announcing_ = false, again_ = false, refreshing_ = false, readable_ = false, senseless_hash_ = false,
       left_ = false;
};

}  // namespace pillion
