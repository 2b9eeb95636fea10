// Redis fails under load, in each of its shapes: no request fails, nothing old is served, and all is well again by
// itself (threats, section 6: R1, R2, R5, R14; product contract, sections 4 and 9). How long answers took is printed.
//
// PILLION_HISTORY_SEED runs one again; PILLION_HISTORY_SECONDS says for how long each goes on; PILLION_LONG=1 adds
// those that take long.
#include <algorithm>
#include <csignal>
#include <cstdio>

#include "integration.hpp"
#include "support/netns.hpp"
#include "support/redis_cluster.hpp"
#include "support/redis_sentinel.hpp"
#include "support/world.hpp"

namespace {

/// Once, and again until the time is over.
void until_the_end(const std::function<void()>& fault) {
  Deadline end(history_time(0ms));
  do fault();
  while (!end.passed());
}

/// Ends the load, judges, and prints the figures.
void judge_and_print(const std::string& name, std::uint64_t seed, World& world) {
  World::Outcome outcome = world.finish();
  Totals totals;
  totals.add(outcome);
  totals.print(name);
  judge(name, seed, outcome);
}

/// Requests one after another on one connection, each of which must come about as `expected` says.
class Series {
 public:
  explicit Series(Pillion& proxy) : client_(proxy.connect()) {}
  void get(const std::string& target, const std::string& expected) {
    auto begun = Clock::now();
    Response response = client_.get(target);
    took_.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begun).count());
    CAPTURE(target);
    CHECK(response.status == 200);
    CHECK(outcome(response) == expected);
  }
  /// Median and p99, in milliseconds.
  std::string figures() {
    std::sort(took_.begin(), took_.end());
    auto share = [&](double p) { return took_[static_cast<std::size_t>(p * double(took_.size() - 1))]; };
    char text[80];
    std::snprintf(text, sizeof text, "%.2f ms (median), %.2f ms (p99)", share(0.5), share(0.99));
    return text;
  }

 private:
  HttpClient client_;
  std::vector<double> took_;
};

}  // namespace

TEST_CASE("faults: with Redis paused memory goes on, misses are fetched, and soon Redis is asked no more") {
  RedisServer redis;
  ScriptedUpstream upstream(cacheable("x"));
  Fleet fleet(upstream.endpoint(), redis, {.replicas = 1, .time = ""});
  Pillion& proxy = fleet[0];
  proxy.get("/hot");
  auto hits = [&] {
    Series series(proxy);
    for (int i = 0; i < 2000; ++i) series.get("/hot", "hit");
    return series.figures();
  };
  int next = 0;
  auto misses = [&](int n) {
    Series series(proxy);
    for (int i = 0; i < n; ++i) series.get("/" + std::to_string(next++), "uri-miss stored");
    return series.figures();
  };
  std::string hits_before = hits();
  std::uint64_t sent = fleet.relay(0).request_bytes();
  std::string misses_before = misses(200);
  std::uint64_t sent_for_200 = fleet.relay(0).request_bytes() - sent;
  redis.pause();
  std::string misses_at_first = misses(20);
  CHECK(eventually([&] { return proxy.metric("pillion_redis_up") == 0; }));
  // What is in flight now runs out, and nothing more is asked: else it would take five to open another breaker.
  auto timeouts = [&] { return proxy.metric("pillion_redis_failures_total{kind=\"timeout\"}"); };
  double before = timeouts();
  sent = fleet.relay(0).request_bytes();
  std::string misses_later = misses(200);
  CHECK(fleet.relay(0).request_bytes() - sent < sent_for_200 / 4);
  // Whichever worker has the connection.
  {
    std::vector<HttpClient> clients;
    for (int i = 0; i < 8; ++i) clients.push_back(proxy.connect());
    for (int i = 0; i < 200; ++i)
      CHECK(outcome(clients[std::size_t(i % 8)].get("/" + std::to_string(next++))) == "uri-miss stored");
  }
  CHECK(timeouts() - before < 4);
  std::string hits_meanwhile = hits();
  std::printf("FIGURES | faults: Redis paused, hits in memory | %s; before %s |\n", hits_meanwhile.c_str(),
              hits_before.c_str());
  std::printf("FIGURES | faults: Redis paused, misses | %s at first, %s with the breaker open; before %s |\n",
              misses_at_first.c_str(), misses_later.c_str(), misses_before.c_str());
  redis.resume();
  std::size_t stored = redis.keys("api:all:*").size();
  HttpClient client = proxy.connect();
  CHECK(eventually([&] {
    client.get("/" + std::to_string(next++));
    return redis.keys("api:all:*").size() > stored;
  }));
}

TEST_CASE("faults: Redis killed, and started again empty, under load") {
  std::uint64_t seed = history_seed();
  RedisServer redis;
  World world(redis.settings(), {.seed = seed});
  until_the_end([&] {
    world.let_some_pass();
    redis.kill();
    world.let_pass(500);
    redis.start();
    world.let_some_pass();
  });
  judge_and_print("faults: killed", seed, world);
}

TEST_CASE("faults: Redis killed, and started again with what it had, under load") {
  std::uint64_t seed = history_seed();
  RedisServer redis({.arguments = {}, .persistent = true});
  World world(redis.settings(), {.seed = seed});
  until_the_end([&] {
    world.let_some_pass();
    redis.kill();
    world.let_pass(500);
    redis.start();
    world.let_some_pass();
  });
  judge_and_print("faults: killed, nothing lost", seed, world);
}

TEST_CASE("faults: Redis paused under load") {
  std::uint64_t seed = history_seed();
  RedisServer redis;
  World world(redis.settings(), {.seed = seed});
  until_the_end([&] {
    world.let_some_pass();
    redis.pause();
    world.let_pass(1000);
    redis.resume();
    world.let_some_pass();
  });
  judge_and_print("faults: paused", seed, world);
}

TEST_CASE("faults: one replica cut off from Redis under load") {
  std::uint64_t seed = history_seed();
  RedisServer redis;
  World world(redis, {.seed = seed});
  until_the_end([&] {
    world.let_some_pass();
    world.cut_off(1, true, [&] { world.let_pass(1000); });
    world.let_some_pass();
  });
  judge_and_print("faults: cut off", seed, world);
}

TEST_CASE("faults: Redis so slow that nothing comes in time, under load") {
  std::uint64_t seed = history_seed();
  RedisServer redis;
  World world(redis, {.seed = seed});
  until_the_end([&] {
    for (int i = 0; i < 3; ++i) world.fleet().relay(i).delay(Milliseconds(20 + world.below(200)));
    world.let_pass(1000);
    for (int i = 0; i < 3; ++i) world.fleet().relay(i).delay(0ms);
    world.let_some_pass();
  });
  judge_and_print("faults: slow", seed, world);
}

TEST_CASE("faults: replies of Redis cut in their middle, under load") {
  std::uint64_t seed = history_seed();
  RedisServer redis;
  World world(redis, {.seed = seed});
  until_the_end([&] {
    for (int i = 0; i < 3; ++i) {
      world.fleet().relay(i).limit_replies(static_cast<std::size_t>(100 + world.below(50'000)));
      world.let_some_pass();
      world.fleet().relay(i).limit_replies(0);
    }
  });
  judge_and_print("faults: cut replies", seed, world);
}

TEST_CASE("faults: Sentinel fails over, on demand and since the master died, under load") {
  std::uint64_t seed = history_seed();
  RedisSentinel redis;
  World world(redis.settings(), {.seed = seed});
  until_the_end([&] {
    world.let_some_pass();
    world.losing([&] { redis.failover(); });
    world.let_some_pass();
    if (!redis.wait_until_in_step()) throw std::runtime_error("the replica is not in step");
    Endpoint old = redis.master();
    RedisServer& dying = redis.master_server();
    world.losing([&] {
      dying.kill();
      if (!redis.wait_for_new_master(old, Deadline(60s))) throw std::runtime_error("no new master");
    });
    world.let_some_pass();
    dying.start();
    if (!redis.wait_until_in_step()) throw std::runtime_error("the old master does not follow");
  });
  judge_and_print("faults: Sentinel", seed, world);
}

TEST_CASE("faults: a Cluster moves slots, fails over and loses a node, under load") {
  std::uint64_t seed = history_seed();
  RedisCluster redis;
  World world(redis.settings(), {.seed = seed});
  until_the_end([&] {
    world.let_some_pass();
    std::set<int> slots;
    for (const auto& key : redis.keys()) slots.insert(slot_of(key));
    CHECK_FALSE(slots.empty());
    for (int slot : slots) redis.move_slot(slot, redis.masters().at(static_cast<std::size_t>(world.below(3))));
    world.let_some_pass();
    world.losing([&] { redis.failover(redis.masters()[0]); });
    world.let_some_pass();
    int dying = redis.masters()[1];
    world.losing([&] { redis.kill_and_fail_over(dying); });
    world.let_some_pass();
    redis.restart(dying);
    world.let_some_pass();
  });
  judge_and_print("faults: Cluster", seed, world);
}

TEST_CASE("faults: the master of a Sentinel is paused until another is elected, and wakes up as the old one") {
  if (skipped_unless_long("takes long")) return;
  std::uint64_t seed = history_seed();
  RedisSentinel redis;
  World world(redis.settings(), {.seed = seed});
  until_the_end([&] {
    world.let_some_pass();
    Endpoint old = redis.master();
    RedisServer& paused = redis.master_server();
    // Until the old one follows, who hasn't heard yet writes to it, and in vain.
    world.losing([&] {
      paused.pause();
      bool elected = redis.wait_for_new_master(old, Deadline(60s));
      paused.resume();
      if (!elected) throw std::runtime_error("no new master");
      world.let_some_pass();
      if (!redis.wait_until_in_step()) throw std::runtime_error("the old master does not follow");
    });
  });
  judge_and_print("faults: paused master", seed, world);
}

TEST_CASE("faults: a cable between one replica and Redis is pulled, and plugged in again, under load") {
  if (!RedisBehindCables::is_possible()) {
    skipped_in({stores_under_test()}, "no network namespaces here");
    return;
  }
  std::uint64_t seed = history_seed();
  RedisBehindCables redis(3);
  World world(std::vector<std::string>{redis.settings(0), redis.settings(1), redis.settings(2)}, {.seed = seed});
  until_the_end([&] {
    world.let_some_pass();
    int victim = world.below(3);
    // Until it has noticed: connections survive this, and what is on its way arrives when the cable is back.
    world.cut_off(
        victim, [&] { redis.pull(victim); },
        [&] { CHECK(eventually([&] { return world.fleet()[victim].metric("pillion_log_up") == 0; })); },
        [&] { redis.plug_in(victim); });
    CHECK(eventually([&] { return world.fleet()[victim].metric("pillion_log_up") == 1; }, Deadline(60s)));
    world.let_some_pass();
  });
  judge_and_print("faults: a cable", seed, world);
}
