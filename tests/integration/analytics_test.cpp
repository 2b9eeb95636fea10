// What the figures say: /stats beyond the counters, and /advice (product contract, section 5).
#include "integration.hpp"

namespace {

std::string config(const Endpoint& upstream, std::string_view more = {}) {
  return config_for(upstream,
                    "routes:\n  - name: thing\n    path: /things/{id}\n    ttl: 60s\n    key: \"thing:{id}\"\n"
                    "  - name: brief\n    path: /brief/{id}\n    ttl: 1ms\n"
                    "  - name: rest\n    path: /**\n    cache: off\n" +
                        std::string(more));
}

Json stats(Pillion& proxy) { return Json::parse(proxy.admin_get("/stats").body); }

/// The advice of that kind for that route, if there is any.
std::optional<Json> advice(Pillion& proxy, std::string_view route, std::string_view kind) {
  Response response = proxy.admin_get("/advice");
  REQUIRE(response.status == 200);
  const std::vector<Json> all = Json::parse(response.body)["advice"].array;
  for (const Json& one : all)
    if (one["route"].string == route && one["kind"].string == kind) return one;
  return std::nullopt;
}

}  // namespace

TEST_CASE("analytics: what the cache saved, and why requests missed") {
  ScriptedUpstream upstream;
  upstream.answer(cacheable(std::string(1000, 'x')));
  Pillion proxy(config(upstream.endpoint()));
  proxy.get("/things/1");
  for (int i = 0; i < 9; ++i) proxy.get("/things/1");
  proxy.get("/things/1", {{"Cache-Control", "no-cache"}});
  const Json route = stats(proxy)["routes"]["thing"];
  CHECK(route["requests"].number == 11);
  CHECK(route["stored"].number == 2);
  CHECK(route["forwards"]["uri-miss"].number == 1);
  CHECK(route["forwards"]["request"].number == 1);
  CHECK(route["saved"]["requests"].number == 9);
  CHECK(route["saved"]["bytes"].number == 9000);
  CHECK(route["saved"]["upstream_seconds"].number > 0);
  CHECK(stats(proxy)["totals"]["saved"]["bytes"].number == 9000);
}

TEST_CASE("analytics: the hottest keys are named with their figures, whatever else is asked for") {
  ScriptedUpstream upstream(cacheable("0123456789"));
  Pillion proxy(config(upstream.endpoint()));
  HttpClient a = proxy.connect(), b = proxy.connect();
  for (int i = 0; i < 400; ++i) {
    (i % 2 == 0 ? a : b).get("/things/hot");
    if (i % 4 == 0) (i % 8 == 0 ? a : b).get("/things/warm");
    a.get("/things/cold" + std::to_string(i));
  }
  const std::vector<Json> hottest = stats(proxy)["hottest"].array;
  REQUIRE(hottest.size() == 2);  // what is asked for once isn't hot
  CHECK(hottest[0]["key"].string.starts_with("thing:hot:"));
  CHECK(hottest[1]["key"].string.starts_with("thing:warm:"));
  // One of eight hits is counted, for eight.
  CHECK(hottest[0]["requests"].number - hottest[0]["error"].number > 250);
  CHECK(hottest[0]["requests"].number - hottest[0]["error"].number < 550);
  CHECK(hottest[0]["hits"].number > 200);
  CHECK(hottest[0]["bytes"].number > 2000);
  const Json stored = Json::parse(proxy.admin_get("/explain?url=http://app.test/things/hot").body)["stored"];
  CHECK(stored["hits"].number > 200);
  CHECK(stored["size"].number == 10);
  CHECK(stored["ttl"].number > 0);
}

TEST_CASE("analytics: Redis's own figures are asked for, and one that is gone says so") {
  ScriptedUpstream upstream(cacheable("x"));
  RedisServer redis;
  Pillion proxy(config(upstream.endpoint(), redis_store(redis.settings())));
  proxy.get("/things/1");
  CHECK(eventually([&] {
    const Json stats_now = stats(proxy);
    return stats_now["redis"].array.size() == 1 && stats_now["redis"].array[0]["reachable"].boolean;
  }));
  const Json server = stats(proxy)["redis"].array.at(0);
  CHECK(server["memory_bytes"].number > 100'000);
  CHECK(server.has("evicted"));
  CHECK(server.has("hit_ratio"));
  CHECK(server["policy"].string == "noeviction");
  redis.stop();
  CHECK(eventually([&] { return !stats(proxy)["redis"].array.at(0)["reachable"].boolean; }));
}

TEST_CASE("analytics: advice names an uncached route whose answers repeat, and not one whose answers differ") {
  ScriptedUpstream upstream;
  upstream.answer("/repeats", cacheable("always the same"));
  Pillion proxy(config(upstream.endpoint()));
  HttpClient client = proxy.connect();
  for (int i = 0; i < 60; ++i) client.get("/repeats");
  const auto found = advice(proxy, "rest", "cache-it");
  REQUIRE(found.has_value());
  CHECK((*found)["figures"]["answers"].number == 60);
  CHECK((*found)["figures"]["same"].number == 59);
  CHECK((*found)["text"].string.find("of 60 answers that were looked at, 59 (98.3 %)") != std::string::npos);

  ScriptedUpstream changing(numbered({}));
  Pillion second(config(changing.endpoint()));
  HttpClient again = second.connect();
  for (int i = 0; i < 60; ++i) again.get("/changes");
  CHECK_FALSE(advice(second, "rest", "cache-it").has_value());
  CHECK(second.admin_get("/advice").body.find("\"advice\":[]") != std::string::npos);
}

TEST_CASE("analytics: advice tells lifetimes that are too short from those that are too long") {
  if (skipped_in({Stores::redis}, "what expires at once is gone from Redis")) return;
  ScriptedUpstream upstream;
  upstream.answer("/brief/same", [](Exchange& e) { e.respond(200, {}, "always"); });
  Pillion proxy(config(upstream.endpoint()));
  HttpClient client = proxy.connect();
  CHECK(eventually([&] {
    client.get("/brief/same");
    return advice(proxy, "brief", "ttl-too-short").has_value();
  }));
  CHECK_FALSE(advice(proxy, "brief", "ttl-too-long").has_value());

  ScriptedUpstream changing(numbered({}));
  Pillion second(config(changing.endpoint()));
  HttpClient again = second.connect();
  CHECK(eventually([&] {
    again.get("/brief/changes");
    return advice(second, "brief", "ttl-too-long").has_value();
  }));
  CHECK_FALSE(advice(second, "brief", "ttl-too-short").has_value());
}

TEST_CASE("analytics: advice names a cached route that hardly hits") {
  ScriptedUpstream upstream(cacheable("x"));
  Pillion proxy(config(upstream.endpoint()));
  HttpClient client = proxy.connect();
  for (int i = 0; i < 220; ++i) client.get("/things/" + std::to_string(i));
  const auto found = advice(proxy, "thing", "does-not-pay");
  REQUIRE(found.has_value());
  CHECK((*found)["figures"]["answered"].number == 0);
  CHECK((*found)["figures"]["stored"].number == 220);
}

TEST_CASE("analytics: advice names the request header that changes the answer, and only that one") {
  ScriptedUpstream upstream;
  upstream.answer(
      [](Exchange& exchange) { exchange.respond(200, {}, "for " + exchange.request().fields["X-Tenant"]); });
  Pillion proxy(config(upstream.endpoint()));
  HttpClient client = proxy.connect();
  for (int i = 0; i < 60; ++i) {
    const Fields fields{{"X-Tenant", std::to_string(i / 2 % 2)}, {"User-Agent", "agent " + std::to_string(i % 3)}};
    client.request("GET", "/page", fields);
  }
  const auto found = advice(proxy, "rest", "header-matters");
  REQUIRE(found.has_value());
  CHECK((*found)["header"].string == "x-tenant");
  const std::string all = proxy.admin_get("/advice").body;
  CHECK(all.find("user-agent") == std::string::npos);
  // Once the application says so itself it is part of the key.
  ScriptedUpstream honest;
  honest.answer([](Exchange& exchange) {
    exchange.respond(200, {{"Vary", "X-Tenant"}}, "for " + exchange.request().fields["X-Tenant"]);
  });
  Pillion second(config(honest.endpoint()));
  HttpClient again = second.connect();
  for (int i = 0; i < 60; ++i) again.request("GET", "/page", {{"X-Tenant", std::to_string(i / 2 % 2)}});
  CHECK_FALSE(advice(second, "rest", "header-matters").has_value());
}

TEST_CASE("analytics: advice says what shadow has measured") {
  ScriptedUpstream upstream(cacheable("x"));
  Pillion proxy(one_route(upstream.endpoint(), "    cache: shadow\n    ttl: 60s\n"));
  HttpClient client = proxy.connect();
  for (int i = 0; i < 60; ++i) client.get("/a");
  const auto found = advice(proxy, "all", "shadow-is-right");
  REQUIRE(found.has_value());
  CHECK((*found)["figures"]["same"].number == 59);
}

TEST_CASE("analytics: advice and recent decisions need the token where there is one") {
  if (skipped_in({Stores::redis, Stores::both}, "waiting for Redis asks for metrics without the token")) return;
  ScriptedUpstream upstream(cacheable("x"));
  TempDir folder;
  folder.write("token", "s3cret\n");
  std::string text = config(upstream.endpoint());
  const std::string admin = "admin:\n  address: 127.0.0.1:0\n";
  text.replace(text.find(admin), admin.size(), admin + "  token_file: " + (folder / "token") + "\n");
  Pillion proxy(text);
  for (std::string target : {"/advice", "/recent", "/stats"}) {
    CHECK(proxy.admin_get(target).status == 401);
    CHECK(proxy.admin_get(target, {{"Authorization", "Bearer s3cret"}}).status == 200);
  }
  CHECK(proxy.admin_post("/bypass", R"({"for": "1m"})").status == 401);
}

TEST_CASE("analytics: top shows the routes that have had requests") {
  ScriptedUpstream upstream(cacheable("x"));
  Pillion proxy(config(upstream.endpoint()));
  proxy.get("/things/1");
  Finished top = run_pillion({"top", "--admin", "http://" + proxy.admin().to_string(), "--count", "1"});
  CHECK(top.exit.code == 0);
  CHECK(top.out.find("ROUTE") == 0);
  CHECK(top.out.find("\nthing ") != std::string::npos);
  CHECK(top.out.find("\nall ") != std::string::npos);
  CHECK(top.out.find("\nrest ") == std::string::npos);
  upstream.stop();
  Finished nobody = run_pillion({"top", "--admin", "http://127.0.0.1:1", "--count", "1"});
  CHECK(nobody.exit.code == 1);
  CHECK(nobody.err.find("--admin") != std::string::npos);
}
