#include "net/redis_waiters.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace pillion;
using namespace std::chrono_literals;

namespace {

RedisWaiters::Time at(std::chrono::milliseconds ms) { return RedisWaiters::Time{} + 1h + ms; }

RedisReply reply(const char* text) {
  RedisReply r;
  r.type = RedisReply::Type::string;
  r.text = text;
  return r;
}

struct Bench {
  RedisWaiters waiters;
  std::string got;
  RedisWaiters::Handler note(char who) {
    return [this, who](RedisReply r) { got += who + r.text + ' '; };
  }
  std::uint64_t push(char who, std::chrono::milliseconds deadline) {
    return waiters.push(note(who), at(0ms), at(deadline));
  }
  void answer(const char* text) {
    auto waiter = waiters.pop();
    if (waiter.handler) std::move(waiter.handler)(reply(text));
  }
  void expire(std::chrono::milliseconds now, bool begun = false) {
    for (auto& handler : waiters.expire(at(now), begun)) {
      if (handler)
        std::move(handler)(reply("late"));
      else
        got += "probe ";
    }
  }
};

}  // namespace

TEST_CASE("a late reply is dropped in order and never given to a later command") {
  Bench b;
  b.push('a', 50ms);
  b.push('b', 200ms);
  CHECK(b.waiters.next_deadline(false) == at(50ms));
  b.expire(49ms);
  CHECK(b.got == "");
  b.expire(50ms);
  CHECK(b.got == "alate ");
  CHECK(b.waiters.size() == 2);
  CHECK(b.waiters.next_deadline(false) == at(200ms));
  b.answer("1");
  b.answer("2");
  CHECK(b.got == "alate b2 ");
  CHECK(b.waiters.empty());
}

TEST_CASE("whose reply has begun to arrive is not given up, those behind are") {
  Bench b;
  b.push('a', 50ms);
  b.push('b', 50ms);
  CHECK(b.waiters.next_deadline(true) == at(50ms));
  b.expire(1000ms, true);
  CHECK(b.got == "blate ");
  CHECK(b.waiters.next_deadline(true) == RedisWaiters::Time::max());
  b.answer("1");
  CHECK(b.got == "blate a1 ");
}

TEST_CASE("a cancelled one is answered once; tickets stay true while others come and go") {
  Bench b;
  const auto a = b.push('a', 50ms);
  const auto c = b.push('c', 50ms);
  b.answer("1");
  CHECK(!b.waiters.cancel(a));
  auto handler = b.waiters.cancel(c);
  REQUIRE(handler);
  std::move(handler)(reply("cancelled"));
  CHECK(!b.waiters.cancel(c));
  b.expire(100ms);
  b.answer("2");
  CHECK(!b.waiters.cancel(c));
  CHECK(!b.waiters.cancel(99));
  CHECK(b.got == "a1 ccancelled ");
}

TEST_CASE("probes wait in line without a handler") {
  Bench b;
  b.waiters.push_probe(at(0ms), at(50ms));
  b.push('a', 100ms);
  b.expire(60ms);
  CHECK(b.got == "probe ");
  b.expire(70ms);
  const auto probe = b.waiters.pop();
  CHECK(probe.probe);
  CHECK(probe.over);
  b.answer("1");
  CHECK(b.got == "probe a1 ");
}

TEST_CASE("taking all leaves nobody, and those given up are not told twice") {
  Bench b;
  b.push('a', 50ms);
  const auto ticket = b.push('b', 100ms);
  b.waiters.push_probe(at(0ms), at(100ms));
  b.expire(60ms);
  for (auto& handler : b.waiters.take_all()) std::move(handler)(reply("lost"));
  CHECK(b.got == "alate blost ");
  CHECK(b.waiters.empty());
  CHECK(!b.waiters.cancel(ticket));
  const auto next = b.push('c', 50ms);
  CHECK(next > ticket);
  CHECK(b.waiters.cancel(next));
}
