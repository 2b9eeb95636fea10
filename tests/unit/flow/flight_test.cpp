// Flights and the collapser: outcomes, readers, bounds. Coroutines on an event loop of the test's own; no sockets.
#include "flow/flight.hpp"

#include <doctest/doctest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <thread>

#include "flow/collapser.hpp"

using namespace pillion;
using Phase = Flight::Phase;

namespace {

constexpr std::chrono::milliseconds no_end{0};

std::shared_ptr<FlightHead> head_of(bool storing) {
  auto head = std::make_shared<FlightHead>();
  head->status = 200;
  head->storing = storing;
  return head;
}

// Reads a flight to its end.
awaitable<void> read_all(std::shared_ptr<Flight> flight, bool first, Phase& head, Phase& end, std::string& body) {
  Flight::Reader reader(flight, co_await asio::this_coro::executor, first);
  head = co_await reader.wait_head(no_end);
  if (head != Phase::streaming && head != Phase::complete && head != Phase::cut) co_return;
  for (;;) {
    const auto part = co_await reader.next();
    if (part.data) body += *part.data;
    end = part.phase;
    if (part.last || !part.data) co_return;
  }
}

}  // namespace

TEST_CASE("readers on other threads stream what the leader appends") {
  asio::io_context leader(1), follower(1);
  auto flight = std::make_shared<Flight>(0, 1024);
  Phase head{}, end{};
  std::string body, other_body;
  Phase other_head{}, other_end{};
  asio::co_spawn(leader, read_all(flight, true, head, end, body), asio::detached);
  asio::co_spawn(follower, read_all(flight, false, other_head, other_end, other_body), asio::detached);
  std::thread thread([&] { follower.run(); });
  asio::post(leader, [&] {
    flight->set_head(head_of(true));
    for (int i = 0; i < 1000; ++i) flight->append("0123456789");
    flight->finish(true);
  });
  leader.run();
  thread.join();
  CHECK(body.size() == 10000);
  CHECK(body == other_body);
  CHECK(end == Phase::complete);
  CHECK(other_end == Phase::complete);
  CHECK(*flight->body() == body);
}

TEST_CASE("what may not be shared lets everyone but the first go") {
  asio::io_context loop(1);
  auto flight = std::make_shared<Flight>(0, 1024);
  Phase head{}, end{}, other_head{}, other_end{};
  std::string body, other_body;
  asio::co_spawn(loop, read_all(flight, true, head, end, body), asio::detached);
  asio::co_spawn(loop, read_all(flight, false, other_head, other_end, other_body), asio::detached);
  asio::post(loop, [&] {
    flight->release(head_of(false));
    flight->append("secret");
    flight->finish(true);
  });
  loop.run();
  CHECK(body == "secret");
  CHECK(end == Phase::complete);
  CHECK(other_head == Phase::released);
  CHECK(other_body.empty());
}

TEST_CASE("a body that breaks off is never complete") {
  asio::io_context loop(1);
  auto flight = std::make_shared<Flight>(0, 1024);
  Phase head{}, end{};
  std::string body;
  asio::co_spawn(loop, read_all(flight, true, head, end, body), asio::detached);
  asio::post(loop, [&] {
    flight->set_head(head_of(true));
    flight->append("half");
    flight->finish(false);
  });
  loop.run();
  CHECK(body == "half");
  CHECK(end == Phase::cut);
}

TEST_CASE("a follower's patience ends while the head is awaited") {
  asio::io_context loop(1);
  auto flight = std::make_shared<Flight>(0, 1024);
  Phase phase{};
  asio::co_spawn(
      loop,
      [&]() -> awaitable<void> {
        Flight::Reader reader(flight, loop.get_executor(), false);
        phase = co_await reader.wait_head(std::chrono::milliseconds(1));
      },
      asio::detached);
  loop.run();
  CHECK(phase == Phase::waiting);
}

TEST_CASE("what is not kept runs no further ahead of its slowest reader than the window") {
  asio::io_context loop(1);
  auto flight = std::make_shared<Flight>(0, 100);
  std::size_t produced = 0, consumed = 0, furthest = 0;
  asio::co_spawn(
      loop,
      [&]() -> awaitable<void> {
        Flight::Reader reader(flight, loop.get_executor(), true);
        co_await reader.wait_head(no_end);
        for (;;) {
          const auto part = co_await reader.next();
          if (!part.data) co_return;
          consumed += part.data->size();
          furthest = std::max(furthest, produced - consumed);
        }
      },
      asio::detached);
  asio::co_spawn(
      loop,
      [&]() -> awaitable<void> {
        flight->release(head_of(false));
        for (int i = 0; i < 100; ++i) {
          flight->append(std::string(60, 'x'));
          produced += 60;
          if (!co_await flight->wait_for_room()) break;
        }
        flight->finish(true);
      },
      asio::detached);
  loop.run();
  CHECK(consumed == 6000);
  CHECK(furthest <= 160);
}

TEST_CASE("when every reader has left, the leader of what isn't kept learns it") {
  asio::io_context loop(1);
  auto flight = std::make_shared<Flight>(0, 10);
  bool room = true;
  asio::co_spawn(
      loop,
      [&]() -> awaitable<void> {
        flight->release(head_of(false));
        flight->append(std::string(100, 'x'));
        room = co_await flight->wait_for_room();
      },
      asio::detached);
  loop.run();
  CHECK_FALSE(room);
}

TEST_CASE("one flight a key, until it is left or an invalidation lies between") {
  Collapser collapser;
  const Hash128 hash = hash128("key");
  const auto any = [](std::uint64_t) { return true; };
  const auto none = [](std::uint64_t) { return false; };
  const auto first = collapser.join(hash, "key", 1, any, 10);
  CHECK(first.leader);
  const auto second = collapser.join(hash, "key", 1, any, 10);
  CHECK_FALSE(second.leader);
  CHECK(second.flight == first.flight);
  CHECK(collapser.join(hash, "another key of that hash", 1, any, 10).leader);
  const auto third = collapser.join(hash, "key", 5, none, 10);
  CHECK(third.leader);
  collapser.leave(hash, first.flight.get());
  CHECK_FALSE(collapser.join(hash, "key", 5, any, 10).leader);
  collapser.leave(hash, third.flight.get());
  CHECK(collapser.join(hash, "key", 5, any, 10).leader);
}

TEST_CASE("keys that proved not to be shareable are remembered for a while") {
  Collapser collapser;
  const Hash128 hash = hash128("key");
  CHECK_FALSE(collapser.is_uncacheable(hash, 1000));
  collapser.mark_uncacheable(hash, 1000);
  CHECK(collapser.is_uncacheable(hash, 1000));
  CHECK(collapser.is_uncacheable(hash, 60000));
  CHECK_FALSE(collapser.is_uncacheable(hash, 61000));
  CHECK_FALSE(collapser.is_uncacheable(hash128("other"), 1000));
  collapser.mark_cacheable(hash);
  CHECK_FALSE(collapser.is_uncacheable(hash, 1000));
}

TEST_CASE("interim answers go to the first reader, in their order, before the head") {
  asio::io_context io(1);
  auto flight = std::make_shared<Flight>(0, 1024);
  flight->pass_interim({103, "Early Hints", "Link: </a>\r\n"});
  std::string seen, other;
  asio::co_spawn(
      io,
      [&]() -> awaitable<void> {
        Flight::Reader reader(flight, co_await asio::this_coro::executor, true);
        for (;;) {
          const Phase phase = co_await reader.wait_head(no_end);
          if (phase != Phase::interim) break;
          seen += std::to_string(reader.take_interim().status) + " ";
        }
        seen += std::to_string(reader.head()->status);
      },
      asio::detached);
  asio::co_spawn(
      io,
      [&]() -> awaitable<void> {
        Flight::Reader reader(flight, co_await asio::this_coro::executor, false);
        other = co_await reader.wait_head(no_end) == Phase::streaming ? "head" : "something else";
      },
      asio::detached);
  asio::post(io, [&] {
    flight->pass_interim({102, "Processing", ""});
    asio::post(io, [&] { flight->set_head(head_of(true)); });
  });
  io.run();
  CHECK(seen == "103 102 200");
  CHECK(other == "head");
}

TEST_CASE("who waits for the whole learns of its end, of a cut, and that it grew too large") {
  struct Row {
    const char* what;
    std::function<void(Flight&)> then;
    Phase phase;
  };
  const Row rows[] = {{"whole", [](Flight& f) { f.finish(true); }, Phase::complete},
                      {"cut", [](Flight& f) { f.finish(false); }, Phase::cut},
                      {"too large", [](Flight& f) { f.stop_keeping(); }, Phase::streaming}};
  for (const Row& row : rows) {
    CAPTURE(row.what);
    asio::io_context io(1);
    auto flight = std::make_shared<Flight>(0, 1024);
    flight->set_head(head_of(true));
    Phase phase{};
    asio::co_spawn(
        io,
        [&]() -> awaitable<void> {
          Flight::Reader reader(flight, co_await asio::this_coro::executor, true);
          phase = co_await reader.wait_whole();
        },
        asio::detached);
    asio::post(io, [&] {
      flight->append("something");
      asio::post(io, [&] { row.then(*flight); });
    });
    io.run();
    CHECK(phase == row.phase);
  }
}

TEST_CASE("a key whose upstream failed is remembered for a second") {
  Collapser collapser;
  const Hash128 hash{7, 9};
  CHECK(!collapser.is_failing(hash, 100'000));
  collapser.mark_failing(hash, 100'000);
  CHECK(collapser.is_failing(hash, 100'500));
  CHECK(!collapser.is_failing(hash, 101'100));
  CHECK(!collapser.is_failing({8, 9}, 100'500));
}

TEST_CASE("what was looked up before a fetch of the key stored another is known to be of before") {
  Collapser collapser;
  const Hash128 hash{7, 9};
  const std::int64_t long_up = (std::int64_t{1} << 32) - 5;  // where 32 bits of it come round
  CHECK(!collapser.has_stored_another(hash, 1, 100'000));
  for (const std::int64_t stored : {std::int64_t{100'000}, long_up}) {
    CAPTURE(stored);
    collapser.mark_stored(hash, 2, stored);
    CHECK(collapser.has_stored_another(hash, 1, stored - 500));
    CHECK(collapser.has_stored_another(hash, 1, stored));
    CHECK(!collapser.has_stored_another(hash, 2, stored - 500));
    CHECK(!collapser.has_stored_another(hash, 1, stored + 1));
    CHECK(!collapser.has_stored_another(hash, 1, stored + 10));
    CHECK(!collapser.has_stored_another({8, 9}, 1, stored - 500));
  }
}

TEST_CASE("a flight knows whether anybody has come beside the one for whom it began") {
  asio::io_context context(1);
  auto flight = std::make_shared<Flight>(0, 1024);
  {
    const Flight::Reader first(flight, context.get_executor(), true);
    CHECK_FALSE(flight->was_joined());
    {
      const Flight::Reader second(flight, context.get_executor(), false);
    }
  }
  CHECK(flight->was_joined());  // gone since, but it has asked
}
