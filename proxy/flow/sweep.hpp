// The background sweep: after invalidations, and slowly, the memory of what they have made useless is given back, here
// and in Redis. On the executor it was made with, which serves no requests.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <memory>

#include "flow/context.hpp"
#include "flow/memory_sweep.hpp"
#include "flow/redis_sweep.hpp"

namespace pillion {

class Sweep {
 public:
  /// `query_cache`: there is one.
  Sweep(asio::any_io_executor executor, Shared& shared, bool query_cache);

  void start();
  /// On the executor, or when nothing runs there any more.
  void stop();

 private:
  awaitable<void> walk_memory();
  awaitable<void> pause(std::chrono::milliseconds time);

  asio::any_io_executor executor_;
  Shared& shared_;
  MemorySweep memory_;
  std::unique_ptr<RedisSweep> redis_;  // none without Redis
  asio::steady_timer timer_;
  bool stopped_ = false;
};

}  // namespace pillion
