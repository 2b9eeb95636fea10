// How many of a thing the process may have: the queue of those who wait, over several event loops.
#include "net/concurrency_limit.hpp"

#include <doctest/doctest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <limits>
#include <memory>
#include <optional>
#include <vector>

using namespace pillion;
using namespace std::chrono_literals;

namespace {

/// Somebody who asks for one and keeps what it gets.
struct Asker {
  std::optional<PermitPtr> got;  // nothing: still waiting
  bool full = false;

  void ask(asio::io_context& loop, const std::shared_ptr<ConcurrencyLimit>& limit, std::chrono::milliseconds time) {
    asio::co_spawn(
        loop,
        [](Asker& self, std::shared_ptr<ConcurrencyLimit> from, std::chrono::milliseconds t) -> awaitable<void> {
          self.got = co_await from->acquire(t, self.full);
        }(*this, limit, time),
        [](std::exception_ptr) {});
    run(loop);
  }
  /// What can be done without waiting.
  static void run(asio::io_context& loop) {
    loop.restart();
    while (loop.poll() > 0) {
    }
  }
  bool has_one() const { return got && *got; }
};

}  // namespace

TEST_CASE("concurrency limit: so many and no more, and one that goes makes room") {
  const auto limit = std::make_shared<ConcurrencyLimit>(2, 10);
  PermitPtr one = limit->try_acquire(), two = limit->try_acquire();
  CHECK(one);
  CHECK(two);
  CHECK_FALSE(limit->try_acquire());
  one.reset();
  CHECK(limit->try_acquire());
}

TEST_CASE("concurrency limit: those who wait are served in their order, whatever loop they run on") {
  const auto limit = std::make_shared<ConcurrencyLimit>(1, 10);
  asio::io_context loops[3];
  PermitPtr held = limit->try_acquire();
  std::vector<Asker> askers(6);
  for (std::size_t i = 0; i < askers.size(); ++i) askers[i].ask(loops[i % 3], limit, 1h);
  for (std::size_t i = 0; i < askers.size(); ++i) {
    CAPTURE(i);
    // Whoever comes later doesn't get in between.
    CHECK_FALSE(limit->try_acquire());
    if (i == 0) {
      held.reset();
    } else {
      askers[i - 1].got->reset();
    }
    for (asio::io_context& loop : loops) Asker::run(loop);
    for (std::size_t j = 0; j < askers.size(); ++j) CHECK(askers[j].has_one() == (i == j));
  }
  CHECK_FALSE(limit->has_waiters());
}

TEST_CASE("concurrency limit: the queue is bounded") {
  const auto limit = std::make_shared<ConcurrencyLimit>(1, 1);
  asio::io_context loop;
  PermitPtr held = limit->try_acquire();
  Asker first, second;
  first.ask(loop, limit, 1h);
  second.ask(loop, limit, 1h);
  CHECK_FALSE(first.got.has_value());
  REQUIRE(second.got.has_value());
  CHECK(*second.got == nullptr);
  CHECK(second.full);
  held.reset();
  Asker::run(loop);
  CHECK(first.has_one());
  CHECK_FALSE(first.full);
}

TEST_CASE("concurrency limit: whose time is over leaves the queue, and takes nothing with it") {
  const auto limit = std::make_shared<ConcurrencyLimit>(1, 10);
  asio::io_context loop;
  PermitPtr held = limit->try_acquire();
  Asker impatient, patient;
  impatient.ask(loop, limit, 0ms);
  patient.ask(loop, limit, 1h);
  loop.restart();
  while (!impatient.got) loop.run_one();
  CHECK(*impatient.got == nullptr);
  CHECK_FALSE(impatient.full);
  held.reset();
  Asker::run(loop);
  CHECK(patient.has_one());
}

TEST_CASE("concurrency limit: bounds that change hold from then on, and let in who waits") {
  const auto limit = std::make_shared<ConcurrencyLimit>(1, 10);
  asio::io_context loop;
  PermitPtr held = limit->try_acquire();
  Asker one, two, three;
  for (Asker* asker : {&one, &two, &three}) asker->ask(loop, limit, 1h);
  limit->configure(3, 10);
  Asker::run(loop);
  CHECK(one.has_one());
  CHECK(two.has_one());
  CHECK_FALSE(three.got.has_value());
  // Lowered again: what is out stays out, and comes back without being given on.
  limit->configure(1, 10);
  one.got->reset();
  two.got->reset();
  Asker::run(loop);
  CHECK_FALSE(three.got.has_value());
  held.reset();
  Asker::run(loop);
  CHECK(three.has_one());
  limit->configure(std::numeric_limits<std::size_t>::max(), 0);
  CHECK(limit->try_acquire());
}
