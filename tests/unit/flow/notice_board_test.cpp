// Waiting for a key to change: by event, and for so long at most.
#include "flow/notice_board.hpp"

#include <doctest/doctest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>
#include <thread>

using namespace pillion;
using Clock = std::chrono::steady_clock;

namespace {

constexpr auto for_ever = Clock::time_point::max();

/// What one waiter's wait() says; `act` is called once it waits.
template <typename F>
bool waited(NoticeBoard& board, std::vector<std::string> keys, Clock::time_point until, F act) {
  asio::io_context io(1);
  std::optional<bool> result;
  NoticeBoard::Waiter waiter(board, io.get_executor(), std::move(keys));
  asio::co_spawn(io, [&]() -> awaitable<void> { result = co_await waiter.wait(until); }, asio::detached);
  io.poll();
  act();
  io.run();
  return result.value();
}

}  // namespace

TEST_CASE("notice board: a change of one of the keys ends the waiting") {
  NoticeBoard board;
  CHECK(waited(board, {"a", "b"}, for_ever, [&] { board.changed("b"); }));
  CHECK(waited(board, {"a"}, for_ever, [&] { board.all_changed(); }));
  CHECK(waited(board, {"a"}, for_ever, [&] { std::jthread([&] { board.changed("a"); }); }));
}

TEST_CASE("notice board: other keys don't, and the time does") {
  NoticeBoard board;
  CHECK_FALSE(waited(board, {"a"}, Clock::now(), [&] { board.changed("b"); }));
  CHECK_FALSE(waited(board, {}, Clock::now(), [&] { board.changed("a"); }));
}

TEST_CASE("notice board: what changed before the waiting, and since the waiter was made, counts once") {
  NoticeBoard board;
  asio::io_context io(1);
  board.changed("a");
  NoticeBoard::Waiter waiter(board, io.get_executor(), {"a"});
  board.changed("a");
  io.run();
  std::vector<bool> results;
  asio::co_spawn(
      io,
      [&]() -> awaitable<void> {
        results.push_back(co_await waiter.wait(for_ever));
        results.push_back(co_await waiter.wait(Clock::now()));
      },
      asio::detached);
  io.restart();
  io.run();
  CHECK(results == std::vector<bool>{true, false});
}

TEST_CASE("notice board: several wait for one key, and who left isn't woken") {
  NoticeBoard board;
  asio::io_context io(1);
  int woken = 0;
  const auto wait = [&](NoticeBoard::Waiter& waiter) {
    asio::co_spawn(io, [&]() -> awaitable<void> { woken += co_await waiter.wait(for_ever) ? 1 : 0; }, asio::detached);
  };
  NoticeBoard::Waiter one(board, io.get_executor(), {"a"}), two(board, io.get_executor(), {"a", "a"});
  {
    NoticeBoard::Waiter left(board, io.get_executor(), {"a"});
  }
  wait(one);
  wait(two);
  io.poll();
  CHECK(woken == 0);
  board.changed("a");
  io.restart();
  io.run();
  CHECK(woken == 2);
}

TEST_CASE("notice board: only so many keys are waited for at a time") {
  NoticeBoard board;
  asio::io_context io(1);
  {
    const NoticeBoard::Waiter many(board, io.get_executor(),
                                   std::vector<std::string>(NoticeBoard::max_waiting - 1, "a"));
    CHECK(many.is_told());
    CHECK_FALSE(NoticeBoard::Waiter(board, io.get_executor(), {"b", "c"}).is_told());
    CHECK(NoticeBoard::Waiter(board, io.get_executor(), {"b"}).is_told());
  }
  CHECK(NoticeBoard::Waiter(board, io.get_executor(), {"b", "c"}).is_told());
}
