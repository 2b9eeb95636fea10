// Invalidations in order: applied here at once, written to the log in Redis, and read from it as other processes write
// it. Thread-safe; its own work runs on the executor it was given.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/invalidation.hpp"
#include "core/local_order.hpp"
#include "core/shared_clock.hpp"
#include "core/stored_response.hpp"
#include "core/time.hpp"
#include "flow/replica_table.hpp"
#include "net/async.hpp"
#include "net/redis_topology.hpp"
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
  /// Made before the executor runs; `redis` is null without one. `connection_counters` are those of the connection that
  /// writes.
  InvalidationLog(asio::any_io_executor executor, RedisTopology* redis, WorkerCounters& connection_counters,
                  Counters& counters, Log& log);
  ~InvalidationLog();

  /// With a Redis: begins to read the log. Called once, on the executor; `on_ready` when it has been read to its end
  /// for the first time.
  void start(std::function<void()> on_ready);
  /// On the executor.
  void stop();
  /// Tries once more to deliver what is pending, for a bounded time, and signs off from the other replicas. On the
  /// executor, before stop().
  awaitable<void> sign_off();

  struct Outcome {
    std::string position;
    bool pending = false;     ///< Redis is configured, and has not got it yet
    KnownRecord record;       ///< in the log; none without Redis or while pending
    std::uint64_t local = 0;  ///< its place in order()
  };
  /// Applies here before it returns for the first time; then waits for Redis within its budget. From any executor. What
  /// can't be delivered is kept and delivered as soon as Redis is back.
  awaitable<Outcome> invalidate(std::vector<Selector> selectors, Strength strength = Strength::hard);
  /// Which replicas have applied it, this one among them, and which of those that are alive have not, after waiting for
  /// them for so long at most. From any executor.
  awaitable<ReplicasAt> applied_by(KnownRecord record, std::chrono::milliseconds wait);
  /// The last hard invalidation in the log, as far as it was heard. Its `local` means nothing; `shared` is 0 where
  /// there was none in this epoch.
  Fence last_in_log() const;
  /// This process among the replicas: the host and a number.
  const std::string& replica() const noexcept { return replica_; }

  /// Redis's, where the log stands: what replicas tell each other times by. Only with a Redis.
  const SharedClock& clock() const noexcept;

  Fence fence() const;
  /// What this process has heard, in one order.
  LocalOrder& order() noexcept { return local_; }
  const LocalOrder& order() const noexcept { return local_; }
  /// Of a response just read from Redis. Invalidated also where its epoch is not the log's, or the log isn't heard;
  /// never suspect.
  Standing standing_in_redis(const StoredResponse& response) const;
  /// The log is being heard, to its end: what stands in Redis may be used.
  bool redis_ready() const noexcept;
  /// There is a log, and it was not heard for longer than `store.redis.max_silence`: what other replicas invalidated
  /// since may still stand in memory.
  bool is_unsure(Now now) const noexcept;
  /// Invalidations that Redis has not got yet.
  std::uint64_t pending() const noexcept;

 private:
  struct Parts;

  Counters& counters_;
  const std::string replica_;
  LocalOrder local_;
  std::unique_ptr<Parts> parts_;  // none without a Redis
};

}  // namespace pillion
