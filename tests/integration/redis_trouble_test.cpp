// A Redis that can't, won't or mustn't: full, read-only, busy, without its master, loading, with other users (product
// contract, sections 2 and 9; faults R6, R7 and R12).
#include <random>

#include "integration.hpp"

namespace {

/// Redis alone, so that each request asks it.
std::string in_redis_alone(const Endpoint& upstream, const std::string& redis, std::string_view time = unhurried) {
  return config_for(upstream, "routes:\n  - name: all\n    path: /**\n    cache: on\n    tags: [all]\n" +
                                  redis_store(redis, "off", time));
}

}  // namespace

TEST_CASE("redis_trouble: a full Redis that evicts goes on being used, and the log stays") {
  RedisServer redis({.arguments = {"--maxmemory", "3mb", "--maxmemory-policy", "volatile-lru"}});
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.read_body();
    std::string body = exchange.request().target;
    std::minstd_rand random(1);
    while (body.size() < 50'000) body += static_cast<char>(random() % 256);
    exchange.respond(200, {{"Cache-Control", "max-age=60"}, {"Content-Type", "image/jpeg"}}, body);
  });
  Pillion proxy(in_redis_alone(upstream.endpoint(), redis.settings()));
  for (int i = 0; i < 100; ++i) CHECK(proxy.get("/big/" + std::to_string(i)).status == 200);
  CHECK(redis.command({"INFO", "stats"}).text.find("evicted_keys:0\r\n") == std::string::npos);
  REQUIRE(eventually([&] { return outcome(proxy.get("/big/last")) == "hit"; }));
  CHECK(redis.keys("pillion:log").size() == 1);
  proxy.invalidate(R"({"all": true})");
  CHECK(outcome(proxy.get("/big/last")) != "hit");
  CHECK(proxy.process().err().find("lost the invalidation log") == std::string::npos);
}

TEST_CASE("redis_trouble: from a read-only replica hits go on, what is new isn't stored, and nobody is told it was") {
  RedisServer master({.arguments = {"--repl-diskless-sync-delay", "0"}});
  ScriptedUpstream upstream(cacheable("kept"));
  Pillion writer(in_redis_alone(upstream.endpoint(), master.settings()));
  REQUIRE(eventually([&] { return outcome(writer.get("/kept")) == "hit"; }));
  RedisServer replica({.arguments = {"--replicaof", "127.0.0.1", std::to_string(master.port())}});
  REQUIRE(master.wait_for_replicas(1));
  Pillion reader(in_redis_alone(upstream.endpoint(), replica.settings()));
  CHECK(detailed(reader.get("/kept")) == "hit redis");
  CHECK(reader.get("/new").status == 200);
  reader.process().wait_for_err_line("READONLY");
  CHECK(master.keys("*").size() == replica.keys("*").size());
  const Response receipt = reader.admin_post("/invalidate", R"({"all": true})");
  CHECK(receipt.status == 503);
  CHECK(outcome(reader.get("/kept")) != "hit");
}

TEST_CASE("redis_trouble: one that is busy, has lost its master or mayn't answer us costs little, and is used again") {
  ScriptedUpstream upstream(cacheable("fresh"));
  SUBCASE("busy with a script") {
    RedisServer redis({.arguments = {"--busy-reply-threshold", "1"}});
    Pillion proxy(in_redis_alone(upstream.endpoint(), redis.settings(), ""));
    REQUIRE(eventually([&] { return outcome(proxy.get("/a")) == "hit"; }));
    std::thread script([&] { redis.command({"EVAL", "while true do end", "0"}); });
    REQUIRE(eventually([&] { return redis.command({"PING"}).text.starts_with("BUSY"); }));
    CHECK(eventually([&] {
      CHECK(proxy.get("/a").status == 200);
      return proxy.metric("pillion_redis_up") == 0;
    }));
    CHECK(redis.command({"SCRIPT", "KILL"}).text == "OK");
    script.join();
    CHECK(eventually([&] { return outcome(proxy.get("/a")) == "hit"; }));
  }
  SUBCASE("a replica without its master, that serves nothing stale") {
    RedisServer master({.arguments = {"--repl-diskless-sync-delay", "0"}});
    RedisServer redis(
        {.arguments = {"--replicaof", "127.0.0.1", std::to_string(master.port()), "--replica-serve-stale-data", "no"}});
    REQUIRE(master.wait_for_replicas(1));
    Pillion proxy(in_redis_alone(upstream.endpoint(), redis.settings(), ""), {.wait_for_redis = false});
    master.kill();
    proxy.process().wait_for_err_line("MASTERDOWN");
    CHECK(proxy.get("/a").status == 200);
    redis.command({"REPLICAOF", "NO", "ONE"});
    CHECK(eventually([&] { return outcome(proxy.get("/a")) == "hit"; }));
  }
  SUBCASE("a user without what it needs") {
    RedisServer redis({.arguments = RedisUser{"pillion", "s3cret", {"~*", "&*", "+@all", "-set"}}.arguments()});
    Pillion proxy(
        in_redis_alone(upstream.endpoint(),
                       "    url: redis://pillion:s3cret@127.0.0.1:" + std::to_string(redis.port()) + "\n", ""),
        {.wait_for_redis = false});
    CHECK(proxy.get("/a").status == 200);
    proxy.process().wait_for_err_line("NOPERM");
    redis.command({"ACL", "SETUSER", "pillion", "+set"});
    CHECK(eventually([&] { return outcome(proxy.get("/a")) == "hit"; }));
  }
  SUBCASE("a password that isn't known there yet") {
    RedisServer redis;
    Pillion proxy(
        in_redis_alone(upstream.endpoint(),
                       "    url: redis://pillion:s3cret@127.0.0.1:" + std::to_string(redis.port()) + "\n", ""),
        {.wait_for_redis = false});
    proxy.process().wait_for_err_line("AUTH refused: WRONGPASS");
    CHECK(proxy.get("/a").status == 200);
    auto rules = pillion_user().rules;
    rules.insert(rules.begin(), {"ACL", "SETUSER", "pillion", "on", ">s3cret"});
    redis.command(rules);
    CHECK(eventually([&] { return outcome(proxy.get("/a")) == "hit"; }));
    CHECK(proxy.process().err().find("s3cret") == std::string::npos);
  }
  SUBCASE("reading its data from disk") {
    RedisServer redis({.arguments = {"--loading-process-events-interval-bytes", "1024", "--rdbcompression", "no",
                                     "--enable-debug-command", "yes"}});
    Pillion proxy(in_redis_alone(upstream.endpoint(), redis.settings(), ""));
    REQUIRE(eventually([&] { return outcome(proxy.get("/a")) == "hit"; }));
    for (int i = 0; i < 200; ++i) redis.command({"SET", "k" + std::to_string(i), std::string(2000, 'x')});
    redis.command({"CONFIG", "SET", "key-load-delay", "10000"});
    std::thread reload([&] { redis.command({"DEBUG", "RELOAD"}); });
    CHECK(eventually([&] { return redis.command({"GET", "k"}).text.starts_with("LOADING"); }));
    CHECK(proxy.get("/b").status == 200);
    reload.join();
    CHECK(eventually([&] { return outcome(proxy.get("/b")) == "hit"; }));
  }
}
