// What memory does while the invalidations of other replicas aren't heard: `when_unsure`, past `max_silence` (product
// contract, sections 2 and 4).
#include "integration.hpp"
#include "query.hpp"
#include "support/fleet.hpp"

namespace {

std::string config(const Endpoint& upstream, const RedisServer& redis, std::string_view when_unsure) {
  return one_route(upstream, "    ttl: 1h\n    when_unsure: " + std::string(when_unsure) + "\n",
                   redis_store(redis.settings() + "    max_silence: 1s\n", "", not_in_haste));
}

void fill(Pillion& proxy, const RedisServer& redis) {
  proxy.get("/thing");
  CHECK(eventually([&] { return !redis.keys("api:*").empty(); }));
  CHECK(eventually([&] { return detailed(proxy.get("/thing")) == "hit memory"; }));
}

}  // namespace

TEST_CASE("unsure: memory goes on, and it is counted") {
  RedisServer redis;
  ScriptedUpstream upstream(numbered({}));
  Pillion proxy(config(upstream.endpoint(), redis, "serve"));
  fill(proxy, redis);
  CHECK(proxy.metric("pillion_unsure_total") == 0);
  redis.pause();
  CHECK(eventually([&] {
    CHECK(detailed(proxy.get("/thing")) == "hit memory");
    return proxy.metric("pillion_unsure_total{route=\"all\"}") > 0;
  }));
  CHECK(upstream.count() == 1);
  redis.resume();
  CHECK(eventually([&] {
    const double before = proxy.metric("pillion_unsure_total");
    CHECK(detailed(proxy.get("/thing")) == "hit memory");
    return proxy.metric("pillion_unsure_total") == before;
  }));
}

TEST_CASE("unsure: a route that would rather fetch asks the upstream until they are heard again") {
  RedisServer redis;
  ScriptedUpstream upstream(numbered({}));
  Pillion proxy(config(upstream.endpoint(), redis, "fetch"));
  fill(proxy, redis);
  redis.kill();
  CHECK(eventually([&] { return detailed(proxy.get("/thing")) == "stale stored unsure"; }));
  const std::string body = proxy.get("/thing").body;
  CHECK(proxy.get("/thing").body != body);
  CHECK(proxy.metric("pillion_unsure_total") == 0);
  redis.start();
  CHECK(eventually([&] { return detailed(proxy.connect().request("GET", "/thing")) == "hit memory"; }));
}

TEST_CASE("unsure: what has a strong entity tag is validated, and nothing weaker is") {
  RedisServer redis;
  ScriptedUpstream upstream([](Exchange& exchange) {
    const std::string tag = exchange.request().target == "/strong" ? "\"v\"" : "W/\"v\"";
    if (!exchange.request().fields["If-None-Match"].empty()) return exchange.respond(304, {{"ETag", tag}});
    exchange.respond(200, {{"ETag", tag}}, "body");
  });
  Pillion proxy(config(upstream.endpoint(), redis, "fetch"));
  for (const std::string target : {"/strong", "/weak"}) CHECK(proxy.get(target).status == 200);
  redis.kill();
  CHECK(eventually([&] { return detailed(proxy.get("/strong")) == "stale revalidated"; }));
  CHECK(detailed(proxy.get("/weak")) == "stale stored unsure");
  CHECK(proxy.get("/weak").body == "body");
}

TEST_CASE("unsure: values of the query cache are loaded anew where defaults say so, once for those who wait") {
  for (const std::string word : {"serve", "fetch"}) {
    CAPTURE(word);
    RedisServer redis;
    ScriptedUpstream upstream;
    Pillion proxy(
        config_for(upstream.endpoint(), std::string(query_settings) + "defaults: { when_unsure: " + word + " }\n" +
                                            redis_store(redis.settings() + "    max_silence: 1s\n", "", not_in_haste)));
    const std::string target = "/query/character/1";
    CHECK(proxy.query("PUT", target, {}, "old").status == 204);
    CHECK(eventually([&] { return detailed(proxy.query("GET", target)) == "hit memory"; }));
    redis.kill();
    if (word == "serve") {
      CHECK(eventually([&] {
        CHECK(proxy.query("GET", target).body == "old");
        return proxy.metric("pillion_unsure_total{route=\"query:character\"}") > 0;
      }));
      continue;
    }
    // Nobody waits, so that the one that notices gets the lease.
    Response missed;
    CHECK(eventually([&] { return (missed = proxy.query("GET", target)).status == 404; }));
    CHECK(cache_status(missed).detail == "unsure");
    CHECK(proxy.query("HEAD", target).status == 404);
    // Whoever came before it was stored is given it. One who happens to come after is to load it himself.
    std::string lease = missed["Lease"];
    CHECK(eventually([&] {
      QueryAsking waiting(proxy, target + "?wait=30s");
      CHECK(proxy.query("PUT", target, {{"Lease", lease}}, "new").status == 204);
      const Response answer = waiting.answer();
      lease = answer["Lease"];
      return answer.body == "new";
    }));
    CHECK_FALSE(lease_of(proxy, target).empty());
    CHECK(proxy.metric("pillion_unsure_total") == 0);
    redis.start();
    CHECK(eventually([&] {
      if (detailed(proxy.query("GET", target)) == "hit memory") return true;
      proxy.query("PUT", target, {}, "newest");
      return false;
    }));
  }
}

TEST_CASE("unsure: a replica that is cut off from Redis, while another invalidates") {
  for (const std::string word : {"serve", "fetch"}) {
    CAPTURE(word);
    RedisServer redis;
    ScriptedUpstream upstream(numbered({{"ETag", "\"all\""}}));
    FleetOptions options;
    options.replicas = 2;
    options.routes = "routes:\n  - { name: all, path: /**, ttl: 1h, tags: [all], when_unsure: " + word + " }\n";
    options.redis = "    max_silence: 1s\n";
    options.time = not_in_haste;
    Fleet fleet(upstream.endpoint(), redis, options);
    const auto ask = [&](int i) { return fleet[i].connect().request("GET", "/thing"); };
    REQUIRE(eventually([&] { return detailed(ask(1)) == "hit memory"; }));
    const std::string old = ask(1).body;
    const auto asked = upstream.count();
    fleet.relay(1).blackhole();
    fleet.invalidate(0, R"({"tags": ["all"]})", "0s");
    if (word == "serve") {
      CHECK(eventually([&] {
        CHECK(ask(1).body == old);
        return fleet[1].metric("pillion_unsure_total") > 0;
      }));
      CHECK(upstream.count() == asked);
    } else {
      CHECK(eventually([&] { return ask(1).body != old; }));
      CHECK(detailed(ask(1)).ends_with("unsure"));
      CHECK(upstream.requests().back().fields["If-None-Match"] == "\"all\"");
      CHECK(fleet[1].metric("pillion_unsure_total") == 0);
    }
    CHECK(fleet[0].metric("pillion_unsure_total") == 0);
    fleet.relay(1).heal();
    // What it missed is applied, and then it is sure again: a moment later, when it knows that this was the log's end,
    // and that it is the log it knew; and but for a busy machine's hiccups, since hearing is two blocks of 400 ms old
    // at most.
    CHECK(eventually([&] { return ask(1).body != old; }));
    CHECK(eventually([&] {
      const double counted = fleet[1].metric("pillion_unsure_total");
      return detailed(ask(1)) == "hit memory" && fleet[1].metric("pillion_unsure_total") == counted;
    }));
  }
}

TEST_CASE("unsure: with memory alone there is nobody to hear") {
  ScriptedUpstream upstream(numbered({}));
  Pillion proxy(
      one_route(upstream.endpoint(), "    ttl: 1h\n    when_unsure: fetch\n    collapse: fleet\n", "store: {}\n"));
  CHECK(proxy.get("/thing").status == 200);
  CHECK(detailed(proxy.get("/thing")) == "hit memory");
  CHECK(proxy.metric("pillion_unsure_total") == 0);
}
