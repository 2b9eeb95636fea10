// The query cache among replicas on one Redis: one loads for all, invalidations void leases wherever they were given,
// Redis fails, and what stands there under values' names.
#include "integration.hpp"
#include "query.hpp"
#include "support/fleet.hpp"
#include "support/redis_cluster.hpp"

namespace {

FleetOptions options(int replicas, std::string_view settings = query_settings) {
  FleetOptions options;
  options.replicas = replicas;
  options.routes = settings;
  return options;
}

void wait_until_all_hear(Fleet& fleet) {
  for (int i = 0; i < fleet.size(); ++i) REQUIRE(eventually([&] { return fleet[i].metric("pillion_watch_up") == 1; }));
}

std::string settings_with(const std::string& query_cache) {
  return "query_cache: { address: 127.0.0.1:0" + query_cache + " }\nttl: { character: 1h, list: 1h, brief: 100ms }\n";
}

/// A proxy with both tiers on that Redis.
struct One {
  explicit One(const std::string& redis, const std::string& settings = std::string(query_settings),
               std::string_view time = unhurried, const std::string& more = {})
      : proxy(config_for(upstream.endpoint(), settings + redis_store(redis, "{ size: 8MiB }", time) + more)) {
    REQUIRE(eventually([&] { return proxy.metric("pillion_watch_up") == 1; }));
  }
  ScriptedUpstream upstream;
  Pillion proxy;
};

std::string string_at(const RedisServer& redis, const std::string& key) { return redis.command({"GET", key}).text; }

}  // namespace

TEST_CASE("query: 500 callers on three replicas of one missing value make one load") {
  for (const std::string store : {"  memory: { size: 8MiB }\n", "  memory: off\n"}) {
    CAPTURE(store);
    RedisServer redis;
    ScriptedUpstream upstream;
    FleetOptions fleet_options = options(3, settings_with(", lease: 60s"));
    fleet_options.store = store;
    Fleet fleet(upstream.endpoint(), redis.settings(), fleet_options);
    wait_until_all_hear(fleet);
    constexpr int callers = 500;
    std::atomic<int> asked{0}, loads{0}, right{0};
    in_parallel(callers, [&](int i) {
      Pillion& mine = fleet[i % 3];
      HttpClient client(mine.queries());
      client.send_request("GET", "/query/character/42?wait=30s", {{"Host", "localhost"}});
      ++asked;
      Response answer = client.read_response("GET", Deadline(60s));
      if (answer.fields.has("Lease")) {
        ++loads;
        // A slow query: all others have asked by then.
        if (!eventually([&] { return asked == callers; })) return;
        answer = mine.query("PUT", "/query/character/42", {{"Lease", answer["Lease"]}}, "loaded");
        right += answer.status == 204 ? 1 : 0;
      } else {
        right += answer.status == 200 && answer.body == "loaded" ? 1 : 0;
      }
    });
    CHECK(loads == 1);
    CHECK(right == callers);
    CHECK(redis.keys("*pillion:lease:*").empty());
  }
}

TEST_CASE("query: 500 callers of one replica without Redis make one load") {
  ScriptedUpstream upstream;
  Pillion proxy(config_for(upstream.endpoint(), settings_with(", lease: 60s") + "store:\n  memory: { size: 8MiB }\n"));
  std::atomic<int> asked{0}, loads{0}, right{0};
  constexpr int callers = 500;
  in_parallel(callers, [&](int) {
    HttpClient client(proxy.queries());
    client.send_request("GET", "/query/character/42?wait=30s", {{"Host", "localhost"}});
    ++asked;
    Response answer = client.read_response("GET", Deadline(60s));
    if (answer.fields.has("Lease")) {
      ++loads;
      if (!eventually([&] { return asked == callers; })) return;
      right += proxy.query("PUT", "/query/character/42", {{"Lease", answer["Lease"]}}, "loaded").status == 204 ? 1 : 0;
    } else {
      right += answer.status == 200 && answer.body == "loaded" ? 1 : 0;
    }
  });
  CHECK(loads == 1);
  CHECK(right == callers);
}

TEST_CASE("query: a loader that dies is replaced after its lease, on whichever replica somebody waits") {
  RedisServer redis;
  ScriptedUpstream upstream;
  Fleet fleet(upstream.endpoint(), redis.settings(), options(3, settings_with(", lease: 1s")));
  wait_until_all_hear(fleet);
  const std::string dead = lease_of(fleet[0], "/query/character/1");
  QueryAsking second(fleet[1], "/query/character/1?wait=30s"), third(fleet[2], "/query/character/1?wait=30s");
  CHECK(eventually([&] { return redis.keys("*pillion:lease:*").size() == 1; }));
  // One of them gets the next lease, and its process dies with it: the other gets the one after it.
  Response answers[2];
  std::atomic<int> leases{0};
  in_parallel(2, [&](int i) {
    answers[i] = (i == 0 ? second : third).answer();
    if (answers[i].fields.has("Lease")) ++leases;
  });
  CHECK(leases == 2);
  CHECK(fleet[0].query("PUT", "/query/character/1", {{"Lease", dead}}, "late").status == 409);
  CHECK(answers[0]["Lease"] != answers[1]["Lease"]);
}

TEST_CASE("query: what one replica stores the others find, and a lease holds with each of them") {
  RedisServer redis;
  ScriptedUpstream upstream;
  Fleet fleet(upstream.endpoint(), redis.settings(), options(3));
  wait_until_all_hear(fleet);
  const std::string lease = lease_of(fleet[0], "/query/character/1");
  CHECK_FALSE(fleet[1].query("GET", "/query/character/1?wait=0s").fields.has("Lease"));
  CHECK(fleet[1].query("PUT", "/query/character/1", {{"Lease", lease}}, "v").status == 204);
  CHECK(fleet[0].query("PUT", "/query/character/1", {{"Lease", lease}}, "again").status == 409);
  for (int i = 0; i < 3; ++i) CHECK(fleet[i].query("GET", "/query/character/1").body == "v");
  CHECK(detailed(fleet[2].query("GET", "/query/character/1")) == "hit memory");
  // The process that gave a lease need not be there any more.
  const std::string other = lease_of(fleet[0], "/query/character/2");
  fleet.crash(0);
  fleet.restart(0);
  wait_until_all_hear(fleet);
  CHECK(fleet[0].query("PUT", "/query/character/2", {{"Lease", other}}, "w").status == 204);
  CHECK(fleet[2].query("GET", "/query/character/2").body == "w");
  fleet.crash(2);
  fleet.restart(2);
  CHECK(detailed(fleet[2].query("GET", "/query/character/2")) == "hit redis");
}

TEST_CASE("query: a lease is given up by whoever has it, on any replica, and by nobody else") {
  RedisServer redis;
  ScriptedUpstream upstream;
  Fleet fleet(upstream.endpoint(), redis.settings(), options(2));
  wait_until_all_hear(fleet);
  const auto give_up = [&](int i, const std::string& lease) {
    return fleet[i].query("PUT", "/query/character/1", {{"Lease", lease}, {"Cache-Control", "max-age=0"}}).status;
  };
  const std::string lease = lease_of(fleet[0], "/query/character/1");
  std::string another = lease;
  another.back() = another.back() == '0' ? '1' : '0';  // of the same epoch and position
  for (int i = 0; i < 2; ++i) {
    CHECK(give_up(i, another) == 409);
    CHECK_FALSE(fleet[i].query("GET", "/query/character/1?wait=0s").fields.has("Lease"));
  }
  CHECK(give_up(1, lease) == 204);
  CHECK(give_up(1, lease) == 409);
  const std::string next = lease_of(fleet[1], "/query/character/1");
  CHECK(give_up(0, lease) == 409);
  CHECK(give_up(0, next) == 204);
}

TEST_CASE("query: a value loaded before an invalidation by another replica can't be stored after it, on either") {
  RedisServer redis;
  ScriptedUpstream upstream;
  Fleet fleet(upstream.endpoint(), redis.settings(), options(2));
  wait_until_all_hear(fleet);
  const std::pair<const char*, std::function<void()>> rows[] = {
      {"tag", [&] { fleet.invalidate(1, R"({"tags": ["character:1"]})"); }},
      {"pattern", [&] { fleet.invalidate(1, R"({"patterns": ["character:*"]})"); }},
      {"all", [&] { fleet.invalidate(1, R"({"all": true})"); }},
      {"delete", [&] { CHECK(fleet[1].query("DELETE", "/query/character/1").status == 204); }},
      {"delete type", [&] { CHECK(fleet[1].query("DELETE", "/query/character").status == 204); }},
      {"write", [&] { CHECK(fleet[1].query("PUT", "/query/character/1", {}, "written").status == 204); }}};
  for (const auto& [name, invalidate] : rows) {
    for (const int teller : {0, 1}) {
      CAPTURE(name);
      CAPTURE(teller);
      fleet.invalidate(0, R"({"tags": ["character:1"]})");
      const std::string lease = lease_of(fleet[0], "/query/character/1");
      invalidate();
      REQUIRE(fleet.wait_until_in_step());
      CHECK(fleet[teller].query("PUT", "/query/character/1", {{"Lease", lease}}, "old").status == 409);
      for (int i = 0; i < 2; ++i) {
        const Response answer = fleet[i].query("GET", "/query/character/1?wait=0s");
        CHECK(answer.body != "old");
        CHECK((answer.status == 200) == (std::string_view(name) == "write"));
      }
    }
  }
}

TEST_CASE("query: a deleted value is gone on every replica, and so is one that anybody deletes in Redis") {
  RedisServer redis;
  ScriptedUpstream upstream;
  Fleet fleet(upstream.endpoint(), redis.settings(), options(2));
  wait_until_all_hear(fleet);
  CHECK(fleet[0].query("PUT", "/query/character/1", {}, "v").status == 204);
  CHECK(fleet[1].query("GET", "/query/character/1").body == "v");
  CHECK(fleet[0].query("DELETE", "/query/character").status == 204);
  REQUIRE(fleet.wait_until_in_step());
  CHECK(fleet[1].query("HEAD", "/query/character/1").status == 404);
  CHECK(eventually([&] { return redis.keys("character:*").empty(); }, Deadline(60s)));  // swept
  CHECK(fleet[0].query("PUT", "/query/character/1", {}, "v").status == 204);
  CHECK(fleet[1].query("GET", "/query/character/1").body == "v");
  CHECK(redis.command({"DEL", "character:1"}).integer == 1);
  for (int i = 0; i < 2; ++i)
    CHECK(eventually([&] { return fleet[i].query("HEAD", "/query/character/1").status == 404; }));
}

TEST_CASE("query: in Redis a value is called TYPE:ID, lasts as long as it does here, and outlives the process") {
  RedisServer redis;
  One one(redis.settings() + "    namespace: \"app:\"\n");
  const std::pair<const char*, const char*> rows[] = {
      {"/query/character/char_123", "app:character:char_123"},
      {"/query/character/a%20b:c*", "app:character:a%20b%3Ac%2A"},
      {"/query/list/0123456789abcdef0123456789abcdef", "app:list:0123456789abcdef0123456789abcdef"}};
  for (const auto& [target, key] : rows) {
    CAPTURE(target);
    const std::string lease = lease_of(one.proxy, target);
    CHECK(redis.keys("app:pillion:lease:{" + std::string(key) + "}").size() == 1);
    CHECK(one.proxy.query("PUT", target, {{"Lease", lease}}, target).status == 204);
    CHECK(redis.keys("app:pillion:lease:*").empty());
    CHECK(redis.command({"EXISTS", key}).integer == 1);
    const auto left = redis.command({"PTTL", key}).integer;
    CHECK(left <= 3'600'000);
    CHECK(left > 3'500'000);
  }
  CHECK(one.proxy.query("PUT", "/query/character/" + std::string(300, 'x'), {}, "long").status == 204);
  CHECK(redis.keys("app:character:????????????????????????????????").size() == 1);
  one.proxy.restart();
  for (const auto& [target, key] : rows) CHECK(one.proxy.query("GET", target).body == target);
  CHECK(detailed(one.proxy.query("GET", "/query/character/" + std::string(300, 'x'))) == "hit redis");
}

TEST_CASE("query: what stands under a value's name and isn't Pillion's is a miss, and stays") {
  RedisServer redis;
  One one(redis.settings());
  redis.command({"SET", "character:1", "theirs"});
  redis.command({"SET", "character:2", ""});
  redis.command({"RPUSH", "character:3", "theirs"});
  redis.command({"SET", "character:4", "PL"});
  for (const std::string id : {"1", "2", "3", "4"}) {
    CAPTURE(id);
    const std::string target = "/query/character/" + id;
    const std::string lease = lease_of(one.proxy, target);
    CHECK(one.proxy.query("PUT", target, {{"Lease", lease}}, "ours").status == 204);
    CHECK(detailed(one.proxy.query("GET", target)) == "hit memory");
    CHECK(one.proxy.query("PUT", target, {}, "written").status == 204);
    CHECK(one.proxy.query("GET", target).body == "written");
    CHECK(one.proxy.query("DELETE", target).status == 204);
    CHECK(one.proxy.query("HEAD", target).status == 404);
  }
  CHECK(string_at(redis, "character:1") == "theirs");
  CHECK(string_at(redis, "character:2").empty());
  CHECK(redis.command({"EXISTS", "character:2"}).integer == 1);
  CHECK(redis.command({"LLEN", "character:3"}).integer == 1);
  CHECK(string_at(redis, "character:4") == "PL");
  CHECK(redis.keys("*pillion:lease:*").empty());
}

TEST_CASE("query: without Redis each replica goes on by itself, and says what others don't hear of") {
  RedisServer redis;
  One one(redis.settings(), std::string(query_settings), not_in_haste);
  Pillion& proxy = one.proxy;
  CHECK(proxy.query("PUT", "/query/character/0", {}, "before").status == 204);
  const std::string lease = lease_of(proxy, "/query/character/1");
  redis.kill();
  CHECK(eventually([&] { return proxy.metric("pillion_log_up") == 0; }));
  CHECK(proxy.query("PUT", "/query/character/1", {{"Lease", lease}}, "v").status == 204);
  CHECK(proxy.query("GET", "/query/character/1").body == "v");
  CHECK(proxy.query("GET", "/query/character/0").body == "before");
  const std::string next = lease_of(proxy, "/query/character/2");
  QueryAsking waiting(proxy, "/query/character/2?wait=30s");
  CHECK(proxy.query("PUT", "/query/character/2", {{"Lease", next}}, "w").status == 204);
  CHECK(waiting.answer().body == "w");
  CHECK(proxy.query("DELETE", "/query/character/2").status == 503);
  CHECK(proxy.query("HEAD", "/query/character/2").status == 404);
  CHECK(proxy.query("PUT", "/query/character/3", {}, "x").status == 503);
  CHECK(proxy.query("GET", "/query/character/3").body == "x");
  // A lease of a log that is lost with that Redis is void.
  const std::string old = lease_of(proxy, "/query/character/4");
  redis.start();
  CHECK(eventually([&] { return proxy.metric("pillion_log_up") == 1 && proxy.metric("pillion_watch_up") == 1; }));
  CHECK(eventually([&] { return proxy.metric("pillion_invalidations_pending") == 0; }));
  CHECK(proxy.query("PUT", "/query/character/4", {{"Lease", old}}, "old").status == 409);
  const std::string fresh = lease_of(proxy, "/query/character/1");
  CHECK(proxy.query("PUT", "/query/character/1", {{"Lease", fresh}}, "y").status == 204);
  CHECK(redis.keys("character:1").size() == 1);
}

TEST_CASE("query: a Redis that pauses holds nobody up for longer than its budget, and loses no lease") {
  RedisServer redis;
  One one(redis.settings(), std::string(query_settings), not_in_haste);
  Pillion& proxy = one.proxy;
  const std::string lease = lease_of(proxy, "/query/character/1");
  redis.pause();
  CHECK(proxy.query("PUT", "/query/character/1", {{"Lease", lease}}, "v").status == 204);
  CHECK(proxy.query("GET", "/query/character/1").body == "v");
  const std::string next = lease_of(proxy, "/query/character/2");
  CHECK(proxy.query("PUT", "/query/character/2", {{"Lease", next}}, "w").status == 204);
  CHECK(proxy.query("GET", "/query/character/2").body == "w");
  redis.resume();
  CHECK(eventually([&] { return proxy.metric("pillion_log_up") == 1 && proxy.metric("pillion_watch_up") == 1; }));
  CHECK(proxy.query("GET", "/query/character/1").body == "v");
  CHECK(eventually([&] { return redis.keys("*pillion:lease:*").empty(); }));
}

TEST_CASE("query: in a cluster a value and its lease lie together") {
  RedisCluster cluster;
  One one(cluster.settings());
  for (int i = 0; i < 20; ++i) {
    const std::string target = "/query/character/" + std::to_string(i);
    const std::string lease = lease_of(one.proxy, target);
    CHECK(one.proxy.query("PUT", target, {{"Lease", lease}}, "v").status == 204);
  }
  one.proxy.restart();
  int found = 0;
  for (int i = 0; i < 20; ++i)
    found += detailed(one.proxy.query("GET", "/query/character/" + std::to_string(i))) == "hit redis" ? 1 : 0;
  CHECK(found == 20);
}

TEST_CASE("query: the user that the README gives suffices") {
  RedisOptions with_user;
  with_user.user = pillion_user_for("with `collapse: fleet` or `query_cache`");
  RedisServer redis(with_user);
  One one(redis.settings());
  const std::string lease = lease_of(one.proxy, "/query/character/1");
  CHECK(redis.keys("*pillion:lease:*").size() == 1);
  CHECK_FALSE(one.proxy.query("GET", "/query/character/1?wait=0s").fields.has("Lease"));
  CHECK(one.proxy.query("PUT", "/query/character/1", {{"Lease", lease}}, "v").status == 204);
  CHECK(redis.keys("character:1").size() == 1);
}
