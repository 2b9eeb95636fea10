// An invalidation log that was lost, replaced, trimmed, or went on elsewhere: what replicas make of it (product
// contract, section 4).
#include "log_fleet.hpp"
#include "support/redis_cluster.hpp"
#include "support/redis_sentinel.hpp"

TEST_CASE("log loss: a FLUSHALL is noticed by itself, distrusts every memory, and one epoch begins") {
  RedisServer redis;
  ScriptedUpstream upstream(counting());
  Fleet fleet(upstream.endpoint(), redis, fleet_of(3));
  REQUIRE(fleet.wait_until_in_step());
  fill(fleet, {"/things/1", "/here/1"});
  redis.command({"FLUSHALL"});
  for (int i = 0; i < 3; ++i) CHECK(eventually([&] { return fleet[i].metric("pillion_log_lost_total") == 1; }));
  CHECK(epochs(redis).size() == 1);
  for (int i = 0; i < 3; ++i) CHECK(eventually([&] { return log_is_up(fleet[i]); }));
  CHECK(fleet.wait_until_in_step());
  CHECK(fetched(upstream, "/things/1", 1));
  for (int i = 0; i < 3; ++i) CHECK_FALSE(in_memory(fleet[i], "/things/1"));
  // That one Redis knows nothing of, so that no notice of its own could tell.
  for (int i = 0; i < 3; ++i) CHECK_FALSE(in_memory(fleet[i], "/here/1"));
}

TEST_CASE("log loss: an invalidation that finds the log gone is not lost with it") {
  RedisServer redis;
  ScriptedUpstream upstream(counting());
  Fleet fleet(upstream.endpoint(), redis, fleet_of(2));
  REQUIRE(fleet.wait_until_in_step());
  fill(fleet, {"/things/1"});
  redis.command({"DEL", "pillion:log"});
  Response response = fleet[0].admin_post("/invalidate", of_thing("1"));
  CHECK((response.status == 200 || response.status == 503));
  CHECK(eventually([&] { return !in_memory(fleet[1], "/things/1"); }));
  CHECK(fleet.wait_until_in_step());
}

TEST_CASE("log loss: a Redis that comes back empty, or as it was before, is distrusted by all, and then used again") {
  RedisServer redis;
  ScriptedUpstream upstream(counting());
  Fleet fleet(upstream.endpoint(), redis, fleet_of(2));
  REQUIRE(fleet.wait_until_in_step());
  SUBCASE("empty") {}
  SUBCASE("an older copy") { REQUIRE_FALSE(redis.command({"SAVE"}).is_error()); }
  CHECK(fleet.wait_until_in_step());
  fill(fleet, {"/things/1"});
  redis.kill();
  redis.start();
  CHECK(fleet.wait_until_in_step());
  for (int i = 0; i < 2; ++i) CHECK_FALSE(in_memory(fleet[i], "/things/1"));
  CHECK(epochs(redis).size() <= 2);
  fleet[0].get("/things/9");
  CHECK(eventually([&] { return detailed(fleet[1].get("/things/9")).starts_with("hit"); }));
}

TEST_CASE("log loss: a copy that went on without the last records is found out though its ids are higher") {
  RedisServer redis;
  ScriptedUpstream upstream(counting());
  Fleet fleet(upstream.endpoint(), redis, fleet_of(2));
  REQUIRE(fleet.wait_until_in_step());
  REQUIRE_FALSE(redis.command({"SAVE"}).is_error());
  // Lost in the failover: only these two have heard of it.
  CHECK(fleet.acknowledged(fleet.invalidate(0, of_thing("lost"))).size() == 2);
  fill(fleet, {"/things/1"});
  for (int i = 0; i < 2; ++i) fleet.relay(i).cut();
  redis.kill();
  redis.start();
  const std::size_t before = epochs(redis).size();
  const std::string epoch = epochs(redis).back();
  redis.command({"XADD", "pillion:log", "*", "by", "third-1", "in", epoch, "tag", "unrelated"});
  for (int i = 0; i < 2; ++i) fleet.relay(i).heal();
  CHECK(fleet.wait_until_in_step());
  CHECK(epochs(redis).size() == before + 1);
  for (int i = 0; i < 2; ++i) CHECK_FALSE(in_memory(fleet[i], "/things/1"));
}

TEST_CASE("log loss: trimmed past a replica that was cut off, it distrusts what that replica has in memory, alone") {
  RedisServer redis;
  ScriptedUpstream upstream(counting());
  Fleet fleet(upstream.endpoint(), redis, fleet_of(2));
  REQUIRE(fleet.wait_until_in_step());
  fill(fleet, {"/things/1"});
  fleet.relay(1).cut();
  CHECK(eventually([&] { return !log_is_up(fleet[1]); }));
  for (int i = 0; i < 5; ++i) fleet[0].invalidate(of_thing("other"));
  redis.command({"XTRIM", "pillion:log", "MAXLEN", "2"});
  fleet.relay(1).heal();
  CHECK(fleet.wait_until_in_step());
  CHECK(in_memory(fleet[0], "/things/1"));
  CHECK_FALSE(in_memory(fleet[1], "/things/1"));
  CHECK(fleet[1].metric("pillion_log_lost_total") == 1);
  CHECK(fleet[0].metric("pillion_log_lost_total") == 0);
  // It is the same epoch: what the other one stores now is good for both.
  int next = 0;
  CHECK(eventually([&] {
    std::string target = "/things/new" + std::to_string(++next);
    fleet[0].get(target);
    CHECK(eventually([&] { return !redis.keys("thing:new" + std::to_string(next) + ":*").empty(); }));
    return detailed(fleet[1].get(target)) == "hit redis";
  }));
}

TEST_CASE("log loss: something else in its place, or ids without end, is replaced by a new log") {
  RedisServer redis;
  ScriptedUpstream upstream(counting());
  Fleet fleet(upstream.endpoint(), redis, fleet_of(2));
  REQUIRE(fleet.wait_until_in_step());
  fill(fleet, {"/things/1"});
  SUBCASE("another type") { redis.command({"SET", "pillion:log", "x"}); }
  SUBCASE("the highest id there is") {
    redis.command({"XADD", "pillion:log", "18446744073709551615-18446744073709551615", "tag", "x"});
  }
  for (int i = 0; i < 2; ++i) CHECK(eventually([&] { return fleet[i].metric("pillion_log_lost_total") >= 1; }));
  CHECK(fleet.wait_until_in_step());
  for (int i = 0; i < 2; ++i) CHECK_FALSE(in_memory(fleet[i], "/things/1"));
  // Of one epoch again: what one stores is good for the other.
  CHECK(eventually([&] {
    fleet[0].get("/things/new");
    return detailed(fleet[1].get("/things/new")) == "hit redis";
  }));
}

TEST_CASE("log loss: a record that is too large to be read makes another log begin") {
  RedisServer redis;
  ScriptedUpstream upstream(counting());
  Fleet fleet(upstream.endpoint(), redis, fleet_of(2));
  REQUIRE(fleet.wait_until_in_step());
  fill(fleet, {"/things/1"});
  SUBCASE("in bytes") { redis.command({"XADD", "pillion:log", "*", "tag", std::string(9'000'000, 'x')}); }
  SUBCASE("in values") {
    std::vector<std::string> words{"XADD", "pillion:log", "*"};
    words.resize(70'003, "tag");
    REQUIRE_FALSE(redis.command(words).is_error());
  }
  SUBCASE("two that are too large together") {
    redis.command({"EVAL", "for i = 1, 2 do redis.call('XADD', KEYS[1], '*', 'tag', string.rep('x', 5000000)) end", "1",
                   "pillion:log"});
    redis.command({"XTRIM", "pillion:log", "MAXLEN", "2"});
  }
  for (int i = 0; i < 2; ++i) CHECK(eventually([&] { return fleet[i].metric("pillion_log_lost_total") >= 1; }));
  CHECK(fleet.wait_until_in_step());
  for (int i = 0; i < 2; ++i) CHECK_FALSE(in_memory(fleet[i], "/things/1"));
}

TEST_CASE("log loss: records that are too large together are read one by one, and nothing is lost") {
  RedisServer redis;
  ScriptedUpstream upstream(counting());
  Fleet fleet(upstream.endpoint(), redis, fleet_of(2));
  REQUIRE(fleet.wait_until_in_step());
  fill(fleet, {"/things/1", "/things/2"});
  redis.command({"EVAL",
                 "local words = {} for i = 1, 300 do words[2 * i - 1] = 'tag' words[2 * i] = 'thing:1' end "
                 "for i = 1, 250 do redis.call('XADD', KEYS[1], '*', unpack(words)) end",
                 "1", "pillion:log"});
  CHECK(fleet.wait_until_in_step());
  for (int i = 0; i < 2; ++i) CHECK_FALSE(in_memory(fleet[i], "/things/1"));
  for (int i = 0; i < 2; ++i) CHECK(in_memory(fleet[i], "/things/2"));
  for (int i = 0; i < 2; ++i) CHECK(fleet[i].metric("pillion_log_lost_total") == 0);
}

TEST_CASE("log loss: a record that this version doesn't understand invalidates everything") {
  RedisServer redis;
  ScriptedUpstream upstream(counting());
  Fleet fleet(upstream.endpoint(), redis, fleet_of(2));
  REQUIRE(fleet.wait_until_in_step());
  fill(fleet, {"/things/1"});
  redis.command({"XADD", "pillion:log", "*", "of-tomorrow", "x"});
  for (int i = 0; i < 2; ++i) CHECK(eventually([&] { return !in_memory(fleet[i], "/things/1"); }));
}

TEST_CASE("log loss: with nothing left in the log it goes on, and a new process begins another epoch at once") {
  RedisServer redis;
  ScriptedUpstream upstream(counting());
  Fleet fleet(upstream.endpoint(), redis, fleet_of(2));
  REQUIRE(fleet.wait_until_in_step());
  fill(fleet, {"/things/1"});
  SUBCASE("trimmed") { redis.command({"XTRIM", "pillion:log", "MAXLEN", "0"}); }
  SUBCASE("deleted, what came last, and then all") {
    for (int n = 0; n < 2; ++n) {
      for (const auto& record : redis.command({"XRANGE", "pillion:log", "-", "+"}).elements)
        redis.command({"XDEL", "pillion:log", record.elements[0].text});
    }
  }
  fleet.crash(1);
  fleet.restart(1);
  CHECK(eventually([&] { return log_is_up(fleet[1]); }, Deadline(3s)));
  CHECK(fleet.wait_until_in_step());
  CHECK(fleet[1].admin_post("/invalidate", of_thing("1")).status == 200);
  fleet[0].get("/things/9");
  CHECK(eventually([&] { return detailed(fleet[1].get("/things/9")).starts_with("hit"); }));
}

namespace {

/// For a server that others copy.
const std::vector<std::string> at_once{"--repl-diskless-sync-delay", "0"};

/// Two copies of one Redis that have parted: replicas use the old one until they are moved.
struct Copies {
  explicit Copies(const ScriptedUpstream& upstream)
      : promoted({.arguments = {"--replicaof", "127.0.0.1", std::to_string(given_up.port())}}),
        fleet(upstream.endpoint(), given_up, fleet_of(2)) {
    REQUIRE(fleet.wait_until_in_step());
    REQUIRE(given_up.wait_for_replicas(1, 10s));
    REQUIRE_FALSE(promoted.command({"REPLICAOF", "NO", "ONE"}).is_error());
  }
  void move(int i) {
    fleet.relay(i).aim_at(promoted.endpoint());
    fleet.relay(i).drop_connections();
  }
  /// Moves it, and returns a thing that it has stored there.
  std::string move_and_store(int i) {
    move(i);
    int thing = 0;
    REQUIRE(eventually([&] {
      fleet[i].get("/things/" + std::to_string(++thing));
      return eventually([&] { return !promoted.keys("thing:*").empty(); }, Deadline(50ms));
    }));
    std::string key = promoted.keys("thing:*")[0];
    return key.substr(6, key.find(':', 6) - 6);
  }
  /// Until the second one uses what the first has stored.
  void wait_until_shared() {
    int probe = 0;
    CHECK(eventually([&] {
      std::string target = "/things/probe" + std::to_string(++probe);
      fleet[0].get(target);
      eventually([&] { return !promoted.keys("thing:probe" + std::to_string(probe) + ":*").empty(); }, Deadline(50ms));
      return detailed(fleet[1].get(target)) == "hit redis";
    }));
  }
  RedisServer given_up{{.arguments = at_once}}, promoted;
  Fleet fleet;
};

}  // namespace

TEST_CASE("log loss: what one invalidated in a copy of Redis that was given up holds once it uses the other copy") {
  for (bool other_has_lost_something : {false, true}) {
    for (std::string how : {"hard", "soft", "PUT"}) {
      CAPTURE(other_has_lost_something);
      CAPTURE(how);
      ScriptedUpstream upstream(counting());
      Copies copies(upstream);
      // Then the first one begins another epoch in the copy that it moves to.
      if (other_has_lost_something) copies.fleet.invalidate(0, of_thing("elsewhere"), "0s");
      std::string id = copies.move_and_store(0), target = "/things/" + id;
      CHECK((epochs(copies.promoted).size() > 1) == other_has_lost_something);
      std::string old = copies.fleet[0].get(target).body;
      if (how == "PUT") CHECK(copies.fleet[1].request("PUT", target, {}, "x").status == 200);
      if (how == "hard") copies.fleet.invalidate(1, of_thing(id), "0s");
      if (how == "soft") copies.fleet.invalidate(1, R"({"tags": ["thing:)" + id + R"("], "soft": true})", "0s");
      // The other copy has gone on: its last position is the higher one.
      if (other_has_lost_something) copies.fleet.invalidate(0, of_thing("elsewhere"), "0s");
      copies.move(1);
      // It may be asked at once, or first when it uses what stands in the other copy.
      if (other_has_lost_something) copies.wait_until_shared();
      std::string answer;
      for (int n = 0; n < 300 && answer != old; ++n) answer = copies.fleet[1].get(target).body;
      CHECK(answer != old);
      // It is heard by the other one too.
      CHECK(copies.fleet.wait_until_in_step());
      CHECK(copies.fleet[0].get(target).body != old);
    }
  }
}

TEST_CASE("log loss: a receipt names nobody who has moved to another copy of the log") {
  ScriptedUpstream upstream(counting());
  Copies copies(upstream);
  std::string id = copies.move_and_store(1), target = "/things/" + id;
  // Its position there lies past those of the old copy.
  for (int n = 0; n < 3; ++n) copies.fleet.invalidate(1, of_thing("elsewhere"), "0s");
  CHECK(copies.fleet.acknowledged(copies.fleet.invalidate(0, of_thing(id), "500ms")) == std::set<int>{0});
  std::string old = copies.fleet[1].get(target).body;
  copies.move(0);
  CHECK(copies.fleet.wait_until_in_step());
  for (int i = 0; i < 2; ++i) CHECK(copies.fleet[i].get(target).body != old);
}

TEST_CASE("log loss: a server that becomes another's replica, or its own master, under its connections goes on") {
  RedisServer redis, other({.arguments = at_once});
  ScriptedUpstream upstream(counting());
  Fleet fleet(upstream.endpoint(), redis, fleet_of(2));
  REQUIRE(fleet.wait_until_in_step());
  fill(fleet, {"/things/1"});
  redis.command({"REPLICAOF", "127.0.0.1", std::to_string(other.port())});
  REQUIRE(other.wait_for_replicas(1, 10s));
  redis.command({"REPLICAOF", "NO", "ONE"});
  CHECK(fleet.wait_until_in_step());
  for (int i = 0; i < 2; ++i) CHECK_FALSE(in_memory(fleet[i], "/things/1"));
  // Nobody takes it for another copy for good.
  CHECK(eventually([&] {
    fleet[0].invalidate(of_thing("2"));
    fleet[0].get("/things/2");
    return detailed(fleet[1].get("/things/2")) == "hit redis";
  }));
}

TEST_CASE("log loss: a failover by Sentinel that loses nothing costs no memory") {
  RedisSentinel redis;
  ScriptedUpstream upstream(counting());
  Fleet fleet(upstream.endpoint(), redis.settings(), fleet_of(2));
  REQUIRE(fleet.wait_until_in_step());
  fill(fleet, {"/things/1", "/things/2"});
  REQUIRE(redis.wait_until_in_step());
  redis.failover();
  CHECK(fleet.wait_until_in_step());
  CHECK(fleet.acknowledged(fleet.invalidate(0, of_thing("1"))).size() == 2);
  for (int i = 0; i < 2; ++i) {
    CHECK(fleet[i].metric("pillion_log_lost_total") == 0);
    CHECK(in_memory(fleet[i], "/things/2"));
    CHECK_FALSE(in_memory(fleet[i], "/things/1"));
  }
}

TEST_CASE("log loss: a failover that loses acknowledged invalidations distrusts everything older") {
  RedisSentinel redis;
  ScriptedUpstream upstream(counting());
  Fleet fleet(upstream.endpoint(), redis.settings(), fleet_of(2));
  REQUIRE(fleet.wait_until_in_step());
  const Endpoint master = redis.master();
  RedisServer& old = redis.master_server();
  REQUIRE(redis.wait_until_in_step());
  // From now on its heir gets nothing more.
  REQUIRE_FALSE(old.command({"ACL", "SETUSER", "default", "-psync", "-sync"}).is_error());
  REQUIRE(old.command({"CLIENT", "KILL", "TYPE", "replica"}).integer == 1);
  CHECK(fleet.acknowledged(fleet.invalidate(0, of_thing("lost"))).size() == 2);
  fill(fleet, {"/things/1"});
  old.kill();
  REQUIRE(redis.wait_for_new_master(master));
  CHECK(fleet.wait_until_in_step());
  for (int i = 0; i < 2; ++i) {
    CHECK(fleet[i].metric("pillion_log_lost_total") >= 1);
    CHECK_FALSE(in_memory(fleet[i], "/things/1"));
  }
}

TEST_CASE("log loss: in a cluster the log goes on when its node fails over, and when its slot moves") {
  RedisCluster redis;
  ScriptedUpstream upstream(counting());
  Fleet fleet(upstream.endpoint(), redis.settings(), fleet_of(2));
  REQUIRE(fleet.wait_until_in_step());
  fill(fleet, {"/things/1"});
  const int slot = slot_of("pillion:log");
  // Receipts depend on it (flow/replicas.cpp).
  CHECK(slot_of("pillion:replicas:{pillion:log}") == slot);
  CHECK(redis.command({"HLEN", "pillion:replicas:{pillion:log}"}).integer == 2);

  REQUIRE(redis.wait_until_in_step());
  redis.failover(redis.owner(slot));
  CHECK(fleet.wait_until_in_step());
  const int from = redis.owner(slot);
  int to = -1;
  for (const int master : redis.masters()) to = master == from ? to : master;
  redis.move_slot(slot, to);
  CHECK(fleet.wait_until_in_step());
  for (int i = 0; i < 2; ++i) CHECK(fleet[i].metric("pillion_log_lost_total") == 0);
  CHECK(fleet.acknowledged(fleet.invalidate(0, of_thing("1"))).size() == 2);
  for (int i = 0; i < 2; ++i) CHECK_FALSE(in_memory(fleet[i], "/things/1"));
}
