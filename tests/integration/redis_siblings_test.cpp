// Several connections of one process to one Redis: what one of them finds out costs the requests of no other anything.
#include <doctest/doctest.h>

#include "integration/redis_worker.hpp"

using namespace redis_tests;

namespace {

/// Two clients of one process, as two of its workers have them.
struct TwoClients : ClientWorker {
  explicit TwoClients(const config::RedisSettings& settings) : ClientWorker(settings) {
    other.emplace(io.get_executor(), topology, 1u << 20, other_counters, log, "home");
    other->on_up([this] { ++other_ups; });
  }
  ~TwoClients() { other.reset(); }
  bool both_up() {
    return until([&] { return connection->is_up() && other->is_up(); });
  }
  RedisReply ask_other(std::vector<std::string> arguments, std::optional<config::Milliseconds> budget = {}) {
    return result(other->command(std::move(arguments), budget));
  }

  WorkerCounters other_counters;
  int other_ups = 0;
  std::optional<RedisClient> other;
};

std::int64_t calls(const RedisServer& redis, const std::string& command) {
  const std::string stats = redis.command({"INFO", "commandstats"}).text;
  const std::string name = "cmdstat_" + command + ":calls=";
  const auto at = stats.find(name);
  return at == std::string::npos ? 0 : std::stoll(stats.substr(at + name.size()));
}

}  // namespace

TEST_CASE("siblings: once one finds Redis silent none sends a command until its own PING was answered") {
  RedisServer redis;
  TwoClients clients(settings_for(redis.endpoint()));
  REQUIRE(clients.both_up());
  redis.pause();
  for (int i = 0; i < 5; ++i) CHECK(clients.ask({"GET", "k"}).type == Type::unavailable);
  REQUIRE(clients.until([&] { return !clients.connection->is_up() && !clients.other->is_up(); }));
  for (int i = 0; i < 100; ++i) {
    CHECK(clients.ask({"GET", "k"}).type == Type::unavailable);
    CHECK(clients.ask_other({"GET", "k"}).type == Type::unavailable);
  }
  CHECK(clients.counters.redis_timeouts.get() == 5);
  CHECK(clients.other_counters.redis_timeouts.get() == 0);
  CHECK(clients.other_counters.redis_skipped.get() == 100);
  redis.resume();
  REQUIRE(clients.both_up());
  CHECK(clients.other_ups == 2);
  CHECK(clients.ask_other({"GET", "k"}, 5000ms).type == Type::nil);
  // What was sent while it was paused it has done by now, unless the connection was closed.
  CHECK(calls(redis, "get") <= 6);
}

TEST_CASE("siblings: where one connection alone is stuck the others go on, and say nothing of it") {
  support::Gate end;
  AnsweringRedis redis([&](const std::vector<std::string>& command) {
    if (command.at(1) == "stuck") end.wait();
    return std::string("+OK\r\n");
  });
  StderrCapture err;
  TwoClients clients(settings_for(redis.endpoint()));
  REQUIRE(clients.both_up());
  for (int i = 0; i < 5; ++i) CHECK(clients.ask({"GET", "stuck"}, 10ms).type == Type::unavailable);
  REQUIRE(clients.until([&] { return clients.other_ups == 2; }));
  CHECK(clients.ask_other({"GET", "k"}, 5000ms).text == "OK");
  CHECK(!clients.connection->is_up());
  CHECK(err.lines_with(": down") == 1);
  end.open();
}

TEST_CASE("siblings: a connection that is made while Redis is known to be silent is not waited for") {
  RedisServer redis;
  auto settings = settings_for(redis.endpoint());
  TwoClients clients(settings);
  REQUIRE(clients.both_up());
  redis.pause();
  for (int i = 0; i < 5; ++i) CHECK(clients.ask({"GET", "k"}).type == Type::unavailable);
  RedisConnection late(clients.io.get_executor(), clients.topology.node(settings.address), 1u << 20, clients.counters,
                       clients.log);
  CHECK(!late.is_first_attempt());
  redis.resume();
  CHECK(clients.until([&] { return late.is_up(); }));
  late.stop();
}
