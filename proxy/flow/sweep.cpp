#include "flow/sweep.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

namespace pillion {

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

// Half a millisecond of work at a time, and a fiftieth of one thread's time while a round lasts.
constexpr std::size_t places_a_step = 512;
constexpr std::chrono::milliseconds between_steps{25};
constexpr std::chrono::milliseconds look_every{100};  // whether there is something to do
constexpr std::chrono::milliseconds least_rest{1s};   // after a round; or as long as that took

}  // namespace

Sweep::Sweep(asio::any_io_executor executor, Shared& shared, bool query_cache)
    : executor_(executor),
      shared_(shared),
      memory_(shared.memory, shared.invalidations.order(), shared.variant_locks),
      timer_(executor) {
  if (shared.redis) {
    redis_ = std::make_unique<RedisSweep>(executor, *shared.redis, shared.invalidations, shared.counters, shared.log,
                                          query_cache);
  }
}

void Sweep::start() {
  asio::co_spawn(executor_, walk_memory(), asio::detached);
  if (redis_) redis_->start();
}

void Sweep::stop() {
  stopped_ = true;
  timer_.cancel();
  if (redis_) redis_->stop();
}

awaitable<void> Sweep::pause(std::chrono::milliseconds time) {
  if (stopped_) co_return;
  timer_.expires_after(time);
  co_await timer_.async_wait(no_throw);
}

awaitable<void> Sweep::walk_memory() {
  while (!stopped_) {
    co_await pause(look_every);
    if (stopped_ || !memory_.is_due()) continue;
    const auto begun = Clock::now();
    for (bool more = true; more && !stopped_;) {
      MemoryStore::Swept swept;
      more = memory_.step(places_a_step, swept);
      shared_.counters.swept_memory.add(swept.entries);
      if (more) co_await pause(between_steps);
    }
    const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begun);
    co_await pause(std::max(least_rest, took));
  }
}

}  // namespace pillion
