// The invalidation log that replicas share: who hears what, what a cut does, who has acknowledged (product contract,
// section 4). Several real replicas on one Redis, each behind a relay of its own.
#include <atomic>
#include <csignal>
#include <thread>

#include "log_fleet.hpp"

TEST_CASE("log: an acknowledged invalidation holds in the memory of every replica that is named") {
  RedisServer redis;
  ScriptedUpstream upstream(counting());
  Fleet fleet(upstream.endpoint(), redis, fleet_of(3));
  REQUIRE(fleet.wait_until_in_step());
  for (int round = 0; round < 10; ++round) {
    fill(fleet, {"/things/1", "/things/2"});
    const int by = round % 3;
    Json receipt = fleet.invalidate(by, of_thing("1"));
    CHECK(fleet.acknowledged(receipt).size() == 3);
    CHECK(receipt["replicas"]["waiting"].array.empty());
    CHECK(receipt["replicas"]["acknowledged"].array[0].string == fleet.name(by));
    for (int i = 0; i < 3; ++i) {
      CHECK(in_memory(fleet[i], "/things/2"));
      CHECK_FALSE(in_memory(fleet[i], "/things/1"));
    }
  }
}

TEST_CASE("log: by pattern, URL and everything, others follow too") {
  RedisServer redis;
  ScriptedUpstream upstream(counting());
  Fleet fleet(upstream.endpoint(), redis, fleet_of(2));
  REQUIRE(fleet.wait_until_in_step());
  for (const char* body : {R"({"patterns": ["thing:1:*"]})", R"({"urls": ["/things/1"]})", R"({"all": true})"}) {
    CAPTURE(body);
    fill(fleet, {"/things/1"});
    fleet.invalidate(0, body);
    CHECK_FALSE(in_memory(fleet[1], "/things/1"));
  }
  fill(fleet, {"/things/1"});
  fleet[0].request("PUT", "/things/1", {}, "x");
  CHECK(eventually([&] { return !in_memory(fleet[1], "/things/1"); }));
}

TEST_CASE("log: without waiting a receipt names who has applied it for certain, and the others that are alive") {
  RedisServer redis;
  ScriptedUpstream upstream(counting());
  Fleet fleet(upstream.endpoint(), redis, fleet_of(3));
  REQUIRE(fleet.wait_until_in_step());
  Json receipt = fleet[1].invalidate(of_thing("1"));
  CHECK(receipt["replicas"]["acknowledged"].array.size() == 1);
  CHECK(has_name(receipt["replicas"]["acknowledged"], fleet.name(1)));
  CHECK(has_name(receipt["replicas"]["waiting"], fleet.name(0)));
  CHECK(has_name(receipt["replicas"]["waiting"], fleet.name(2)));
}

TEST_CASE("log: a fetch that began before another replica's invalidation serves nobody after it, from any tier") {
  RedisServer redis;
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  Counter begun;
  std::atomic<int> turn{0};
  upstream.answer("/things/1", [&](Exchange& exchange) {
    const int mine = ++turn;
    begun.add();
    if (mine == 1) gate.wait();
    exchange.respond(200, {}, mine == 1 ? "old" : "new");
  });
  Fleet fleet(upstream.endpoint(), redis, fleet_of(2));
  REQUIRE(fleet.wait_until_in_step());
  HttpClient slow = fleet[1].connect();
  slow.send_request("GET", "/things/1");
  REQUIRE(begun.wait_for(1));
  CHECK(fleet.acknowledged(fleet.invalidate(0, of_thing("1"))).size() == 2);
  gate.open();
  CHECK(slow.read_response().body == "old");
  // What it stored in Redis, if it did, is known by its fence.
  CHECK(fleet[1].get("/things/1").body == "new");
  CHECK(fleet[0].get("/things/1").body == "new");
}

TEST_CASE("log: one's own record doesn't undo what was fetched after it") {
  RedisServer redis;
  ScriptedUpstream upstream(counting());
  Fleet fleet(upstream.endpoint(), redis, fleet_of(1));
  HttpClient client = fleet[0].connect();
  for (int i = 0; i < 100; ++i) {
    const std::string target = "/things/" + std::to_string(i);
    client.request("PUT", target, {}, "x");
    client.get(target);
  }
  // The log's end has been read by now.
  CHECK(fleet.wait_until_in_step());
  for (int i = 0; i < 100; ++i) CHECK(in_memory(fleet[0], "/things/" + std::to_string(i)));
}

TEST_CASE("log: after a cut what was missed is applied, nothing else is lost, and Redis is used only then") {
  RedisServer redis;
  ScriptedUpstream upstream(counting());
  Fleet fleet(upstream.endpoint(), redis, fleet_of(2));
  REQUIRE(fleet.wait_until_in_step());
  fill(fleet, {"/things/1", "/things/2", "/things/3"});
  SUBCASE("with connections reset") { fleet.relay(1).cut(); }
  SUBCASE("with every packet lost") { fleet.relay(1).blackhole(); }
  Json receipt = fleet.invalidate(0, of_thing("1"), "50ms");
  CHECK(fleet.acknowledged(receipt) == std::set<int>{0});
  CHECK(has_name(receipt["replicas"]["waiting"], fleet.name(1)));
  CHECK(eventually([&] { return !log_is_up(fleet[1]); }));
  CHECK(in_memory(fleet[1], "/things/2"));
  fleet.relay(1).heal();
  CHECK(eventually([&] { return log_is_up(fleet[1]); }));
  CHECK_FALSE(in_memory(fleet[1], "/things/1"));
  CHECK(fetched(upstream, "/things/2", 1));
  CHECK(in_memory(fleet[1], "/things/2"));
  CHECK(fetched(upstream, "/things/3", 1));
  fleet[1].process().wait_for_err_line("the invalidation log in Redis is heard again");
}

TEST_CASE("log: what a replica invalidates while it is cut off reaches the others once it is back, in order") {
  RedisServer redis;
  ScriptedUpstream upstream(counting());
  Fleet fleet(upstream.endpoint(), redis, fleet_of(2));
  REQUIRE(fleet.wait_until_in_step());
  fill(fleet, {"/things/1", "/things/2"});
  fleet.relay(1).cut();
  CHECK(eventually([&] { return !log_is_up(fleet[1]); }));
  for (const char* id : {"1", "first", "second"}) {
    Response response = fleet[1].admin_post("/invalidate", of_thing(id));
    CHECK(response.status == 503);
    Json receipt = Json::parse(response.body);
    CHECK(receipt["pending"].boolean);
    CHECK(receipt["scope"].string == "local");
    CHECK(has_name(receipt["replicas"]["acknowledged"], fleet.name(1)));
  }
  CHECK(fleet[1].metric("pillion_invalidations_pending") == 3);
  CHECK_FALSE(in_memory(fleet[1], "/things/1"));
  CHECK(in_memory(fleet[0], "/things/1"));
  fleet.relay(1).heal();
  CHECK(eventually([&] { return fleet[1].metric("pillion_invalidations_pending") == 0; }));
  CHECK(eventually([&] { return !in_memory(fleet[0], "/things/1"); }));
  CHECK(in_memory(fleet[0], "/things/2"));
  std::vector<std::string> order;
  for (const auto& record : redis.command({"XREVRANGE", "pillion:log", "+", "-", "COUNT", "2"}).elements)
    order.push_back(record.elements[1].elements.back().text);
  CHECK(order == std::vector<std::string>{"thing:second", "thing:first"});
}

TEST_CASE("log: what was fetched while the log wasn't heard stays out of Redis") {
  RedisServer redis;
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  upstream.answer("/things/slow", [&](Exchange& exchange) {
    gate.wait();
    exchange.respond(200, {}, "x");
  });
  Fleet fleet(upstream.endpoint(), redis, fleet_of(1));
  REQUIRE(fleet.wait_until_in_step());
  fleet.relay(0).cut();
  CHECK(eventually([&] { return !log_is_up(fleet[0]); }));
  HttpClient slow = fleet[0].connect();
  slow.send_request("GET", "/things/slow");
  REQUIRE(upstream.wait_for_requests("/things/slow", 1));
  fleet.relay(0).heal();
  CHECK(eventually([&] { return log_is_up(fleet[0]) && fleet[0].metric("pillion_redis_up") == 1; }));
  gate.open();
  CHECK(slow.read_response().status == 200);
  // What the same worker stores after it is there. Redis's notices may come back a moment later than the log, and what
  // is fetched meanwhile stays out too.
  int last = 0;
  CHECK(eventually([&] {
    slow.get("/things/last" + std::to_string(++last));
    return !redis.keys("thing:last*").empty();
  }));
  CHECK(redis.keys("thing:slow:*").empty());
}

TEST_CASE("log: a soft invalidation leaves every replica a stale answer, while it is fetched anew") {
  RedisServer redis;
  ScriptedUpstream upstream(counting());
  Fleet fleet(upstream.endpoint(), redis, fleet_of(2));
  REQUIRE(fleet.wait_until_in_step());
  fill(fleet, {"/swr/1", "/things/1"});
  Json receipt = fleet.invalidate(0, R"({"tags": ["swr", "thing:1"], "soft": true})");
  CHECK(receipt["soft"].boolean);
  CHECK(fleet.acknowledged(receipt).size() == 2);
  CHECK(detailed(fleet[1].get("/swr/1")) == "hit stale-while-revalidate");
  CHECK_FALSE(in_memory(fleet[1], "/things/1"));
  // A replica that comes later hears of it from the log, and knows what stands in Redis by it.
  fleet.restart(1);
  CHECK(eventually([&] { return fleet[1].get("/swr/1").body != "1"; }));
}

TEST_CASE("log: a replica that ends signs off; one that is killed no longer counts after a while") {
  RedisServer redis;
  ScriptedUpstream upstream(counting());
  Fleet fleet(upstream.endpoint(), redis, fleet_of(3));
  REQUIRE(fleet.wait_until_in_step());
  fleet[2].process().signal(SIGTERM);
  REQUIRE(fleet[2].process().wait().has_value());
  CHECK(
      eventually([&] { return !has_name(fleet[0].invalidate(of_thing("1"))["replicas"]["waiting"], fleet.name(2)); }));
  fleet.crash(1);
  Json receipt = fleet.invalidate(0, of_thing("1"), "10s");
  CHECK(fleet.acknowledged(receipt) == std::set<int>{0});
  CHECK(receipt["replicas"]["waiting"].array.empty());
}

TEST_CASE("log: entries of replicas that are long gone are taken out, and nonsense is passed over") {
  RedisServer redis;
  ScriptedUpstream upstream(counting());
  redis.command({"HSET", "pillion:replicas", "ghost-1", "5-0 1000 1", "bad\x1b[2J", "5-0 99999999999999 1", "ghost-2",
                 "5-0 99999999999999 1", "x", "y"});
  Fleet fleet(upstream.endpoint(), redis, fleet_of(2));
  CHECK(eventually([&] { return redis.command({"HEXISTS", "pillion:replicas", "ghost-1"}).integer == 0; }));
  CHECK(eventually([&] { return redis.command({"HEXISTS", "pillion:replicas", "ghost-2"}).integer == 0; }));
  Json receipt = fleet.invalidate(0, of_thing("1"));
  CHECK(receipt["replicas"]["acknowledged"].array.size() == 2);
  CHECK(receipt["replicas"]["waiting"].array.empty());
  CHECK(eventually([&] { return redis.command({"HLEN", "pillion:replicas"}).integer == 2; }));
}

TEST_CASE("log: whatever stands among the replicas stops no invalidation") {
  RedisServer redis;
  ScriptedUpstream upstream(counting());
  Fleet fleet(upstream.endpoint(), redis, fleet_of(2));
  REQUIRE(fleet.wait_until_in_step());
  const char* const junk =
      "for i = 1, tonumber(ARGV[1]) do redis.call('HSET', KEYS[1], 'junk-' .. i, "
      "string.rep('x', tonumber(ARGV[2]))) end";
  SUBCASE("more than there can be") { redis.command({"EVAL", junk, "1", "pillion:replicas", "200000", "1"}); }
  SUBCASE("more than a reply may hold") { redis.command({"EVAL", junk, "1", "pillion:replicas", "10", "1000000"}); }
  SUBCASE("another type") { redis.command({"SET", "pillion:replicas", "x"}); }
  CHECK(eventually([&] {
    const auto left = redis.command({"HLEN", "pillion:replicas"});
    return !left.is_error() && left.integer == 2;
  }));
  CHECK(eventually([&] { return fleet[0].admin_post("/invalidate", of_thing("1")).status == 200; }));
  CHECK(fleet.wait_until_in_step());
}

namespace {

/// Puts a replica there that is alive for the next seconds, but never applies anything; the first of the fleet knows
/// it.
void add_deaf_replica(const RedisServer& redis, Fleet& fleet) {
  const long ms = std::stol(redis.command({"TIME"}).elements[0].text) * 1000 + 4000;
  redis.command({"HSET", "pillion:replicas", "deaf-1", "0-0 " + std::to_string(ms) + " 1"});
  CHECK(
      eventually([&] { return has_name(fleet.invalidate(0, of_thing("2"), "0s")["replicas"]["waiting"], "deaf-1"); }));
}

long records(const RedisServer& redis) { return redis.command({"XLEN", "pillion:log"}).integer; }

}  // namespace

TEST_CASE("log: who waits for a receipt when the replica ends gets it") {
  RedisServer redis;
  ScriptedUpstream upstream(counting());
  Fleet fleet(upstream.endpoint(), redis, fleet_of(1));
  add_deaf_replica(redis, fleet);
  const long before = records(redis);
  Json receipt;
  std::thread waiter([&] { in_parallel(1, [&](int) { receipt = fleet.invalidate(0, of_thing("1"), "30s"); }); });
  CHECK(eventually([&] { return records(redis) > before; }));
  fleet[0].process().signal(SIGTERM);
  auto exit = fleet[0].process().wait();
  waiter.join();
  REQUIRE(exit.has_value());
  CHECK(exit->to_string() == "exit code 0");
  CHECK(has_name(receipt["replicas"]["acknowledged"], fleet.name(0)));
  CHECK(has_name(receipt["replicas"]["waiting"], "deaf-1"));
}

TEST_CASE("log: however many wait for receipts, health is told") {
  RedisServer redis;
  ScriptedUpstream upstream(counting());
  Fleet fleet(upstream.endpoint(), redis, fleet_of(1));
  constexpr int many = 80;
  add_deaf_replica(redis, fleet);
  const long before = records(redis);
  std::atomic<int> done{0};
  std::thread waiters([&] {
    in_parallel(many, [&](int) {
      fleet.invalidate(0, of_thing("1"), "30s");
      ++done;
    });
  });
  CHECK(eventually([&] { return records(redis) >= before + many; }));
  CHECK(fleet[0].admin_get("/readyz").status == 200);
  CHECK(done == 0);
  redis.command({"HDEL", "pillion:replicas", "deaf-1"});
  waiters.join();
}

TEST_CASE("log: metrics say whether it is heard, what is pending, and how long others' invalidations took") {
  RedisServer redis;
  ScriptedUpstream upstream(counting());
  Fleet fleet(upstream.endpoint(), redis, fleet_of(2));
  REQUIRE(fleet.wait_until_in_step());
  const double before = fleet[1].metric("pillion_invalidation_lag_seconds_count");
  for (int i = 0; i < 5; ++i) fleet.invalidate(0, of_thing("1"));
  fleet.invalidate(1, of_thing("1"));
  CHECK(fleet[1].metric("pillion_invalidation_lag_seconds_count") == before + 5);
  CHECK(fleet[1].metric("pillion_log_up") == 1);
  CHECK(fleet[1].metric("pillion_invalidations_pending") == 0);
  redis.stop();
  CHECK(eventually([&] { return fleet[1].metric("pillion_log_up") == 0; }));
  fleet[1].admin_post("/invalidate", of_thing("1"));
  CHECK(fleet[1].metric("pillion_invalidations_pending") == 1);
}

TEST_CASE("log: the command says who has applied it and who not; its exit code is who asked to wait's") {
  RedisServer redis;
  ScriptedUpstream upstream(counting());
  Fleet fleet(upstream.endpoint(), redis, fleet_of(2));
  REQUIRE(fleet.wait_until_in_step());
  const auto command = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments{"invalidate", "--admin", fleet[0].admin().url(), "--tag", "thing:1"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_pillion(arguments);
  };
  Finished done = command({});
  CHECK(done.exit.code == 0);
  CHECK(done.out.find("acknowledged: " + fleet.name(0) + " " + fleet.name(1)) != std::string::npos);
  CHECK(done.out.find("waiting") == std::string::npos);
  CHECK(done.err.empty());
  done = command({"--soft", "--wait", "10s"});
  CHECK(done.exit.code == 0);
  CHECK(done.out.find("softly invalidated") != std::string::npos);
  CHECK(Json::parse(command({"--json"}).out)["replicas"]["acknowledged"].array.size() == 2);
  CHECK(command({"--wait", "31s"}).exit.code == 2);
  CHECK(command({"--wait", "soon"}).exit.code == 2);

  fleet.relay(1).blackhole();
  CHECK(command({"--wait", "0s"}).exit.code == 0);
  done = command({"--wait", "10ms"});
  CHECK(done.exit.code == 1);
  CHECK(done.out.find("waiting: " + fleet.name(1)) != std::string::npos);
  CHECK(done.err.find("1 replica had not applied it after 10ms") != std::string::npos);
  // Who didn't ask is told, and has done what was to be done.
  done = command({});
  CHECK(done.exit.code == 0);
  CHECK(done.err.find("1 replica had not applied it after 2s") != std::string::npos);
}
