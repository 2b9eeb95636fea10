// Gives back the memory of responses in Redis that an invalidation has made useless: a slow walk by SCAN over every
// master, by one replica at a time, over a connection of its own. On the executor it was made with.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "flow/invalidation_log.hpp"
#include "net/async.hpp"
#include "net/redis_client.hpp"
#include "telemetry/counters.hpp"
#include "telemetry/log.hpp"

namespace pillion {

/// Looks at names formed as those of responses, reads the beginning of each value, and removes those that no replica
/// can use any more. What is stored anew between the look and the removal is lost, which costs a fetch: the two follow
/// each other at once. Values of the query cache are looked at too where there is one; they have names that anybody
/// might give, so look and removal are one step there. Which replica sweeps stands in `pillion:sweep`, up to which
/// invalidation in `pillion:swept`.
class RedisSweep {
 public:
  RedisSweep(asio::any_io_executor executor, RedisTopology& redis, InvalidationLog& invalidations, Counters& counters,
             Log& log, bool query_cache);
  ~RedisSweep();

  void start();
  /// On the executor, or when nothing runs there any more.
  void stop();

 private:
  awaitable<void> run();
  awaitable<bool> attempt();
  bool is_due(const Fence& last) const noexcept;
  awaitable<void> read_swept();
  awaitable<bool> take_lease();
  awaitable<bool> hold_lease(std::chrono::milliseconds time);
  awaitable<bool> walk(config::Address master);
  awaitable<bool> look_at(std::string name);
  awaitable<RedisReply> remove(std::string name, std::string_view front);
  awaitable<std::string> front_of(const std::string& name);
  awaitable<RedisReply> command(std::vector<std::string> arguments);
  awaitable<void> pause(std::chrono::milliseconds time);

  asio::any_io_executor executor_;
  RedisTopology& redis_;
  InvalidationLog& invalidations_;
  Counters& counters_;
  Log& log_;
  WorkerCounters own_;  // of this connection alone: not among those that tell whether requests have Redis
  std::unique_ptr<RedisClient> client_;  // from the first time on that there is something to do
  asio::steady_timer timer_;
  const std::string namespace_, lease_key_, swept_key_, token_;
  const bool query_cache_;
  Fence swept_;  // the last invalidation in the log when the last round began, here or elsewhere
  bool stopped_ = false;
};

}  // namespace pillion
