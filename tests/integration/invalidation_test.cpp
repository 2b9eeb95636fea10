// Invalidation: by unsafe requests, by routes' rules, by the API and the command; in memory and in Redis, and for
// fetches that began before it (product contract, section 4).
#include "integration.hpp"
#include "support/unhurried.hpp"

namespace {

/// Characters with tags, a list beside them, and rules for updates: the application's own case.
std::string characters(const Endpoint& upstream, const RedisServer* redis = nullptr) {
  std::string config = config_for(upstream, R"(routes:
  - name: characters
    path: /api/characters
    ttl: 60s
    tags: [characters]
    key: "api:characters"
  - name: character
    path: /api/characters/{character_id}
    ttl: 60s
    key: "character:{character_id}"
    tags: ["character:{character_id}", "everyone"]
    invalidate:
      - methods: [PUT, PATCH, DELETE]
        tags: ["character:{character_id}"]
        patterns: ["api:characters:*"]
  - name: profile
    path: /api/profiles/{character_id}
    ttl: 60s
    key: "profile:{character_id}"
    tags: ["character:{character_id}"]
  - name: other
    path: /**
    ttl: 60s
)");
  if (redis != nullptr) config += "store:\n  redis:\n    url: " + redis->url() + "\n" + unhurried;
  return config;
}

void fill(Pillion& proxy, std::initializer_list<std::string> targets) {
  for (const std::string& target : targets) {
    proxy.get(target);
    CAPTURE(target);
    CHECK(outcome(proxy.get(target)) == "hit");
  }
}

}  // namespace

TEST_CASE("invalidation: a successful unsafe request invalidates its own URL, under every host") {
  ScriptedUpstream upstream(numbered({{"Cache-Control", "max-age=60"}}));
  Pillion proxy(caching_config(upstream.endpoint()));
  for (std::string method : {"POST", "PUT", "PATCH", "DELETE", "X-UNKNOWN"}) {
    CAPTURE(method);
    proxy.get("/thing");
    proxy.get("/thing", {{"Host", "other.test"}});
    proxy.get("/untouched");
    CHECK(outcome(proxy.get("/thing")) == "hit");
    proxy.request(method, "/thing", {}, "x");
    CHECK(outcome(proxy.get("/thing")) != "hit");
    CHECK(outcome(proxy.get("/thing", {{"Host", "other.test"}})) != "hit");
    CHECK(outcome(proxy.get("/untouched")) == "hit");
  }
}

TEST_CASE("invalidation: what only asks, or fails, invalidates nothing") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.read_body();
    exchange.respond(exchange.request().method == "PUT" ? 409 : 200, {{"Cache-Control", "max-age=60"}}, "x");
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  fill(proxy, {"/thing"});
  proxy.request("OPTIONS", "/thing");
  proxy.request("HEAD", "/thing");
  CHECK(proxy.request("PUT", "/thing", {}, "x").status == 409);
  CHECK(outcome(proxy.get("/thing")) == "hit");
}

TEST_CASE("invalidation: a write whose outcome can't be known counts as done") {
  ScriptedUpstream upstream(cacheable("x"));
  Pillion proxy(caching_config(upstream.endpoint()));
  fill(proxy, {"/reset", "/left"});
  upstream.answer([](Exchange& exchange) {
    exchange.read_body();
    if (exchange.request().method == "PUT") return exchange.reset();
    exchange.respond(200, {{"Cache-Control", "max-age=60"}}, "new");
  });
  CHECK(proxy.request("PUT", "/reset", {}, "x").status == 502);
  CHECK(outcome(proxy.get("/reset")) != "hit");

  Gate& gate = upstream.gate();
  upstream.answer("/left", [&](Exchange& exchange) {
    exchange.read_body();
    if (exchange.request().method == "PUT") gate.wait();
    exchange.respond(200, {{"Cache-Control", "max-age=60"}}, "new");
  });
  {
    HttpClient client = proxy.connect();
    client.send_request("PUT", "/left", {}, "x");
    REQUIRE(upstream.wait_for_requests("/left", 2));
    client.stream().reset();
  }
  gate.open();  // whether it waits for the answer or breaks off: the write was forwarded
  CHECK(eventually([&] { return outcome(proxy.get("/left")) != "hit"; }));
}

TEST_CASE("invalidation: Location and Content-Location of the same origin are invalidated, others not") {
  ScriptedUpstream upstream;
  upstream.answer([](Exchange& exchange) {
    exchange.read_body();
    if (exchange.request().method == "POST") {
      return exchange.respond(201, {{"Location", "/created"}, {"Content-Location", "http://app.test/list"}});
    }
    if (exchange.request().method == "PUT")
      return exchange.respond(201, {{"Location", "http://elsewhere.test/foreign"}});
    exchange.respond(200, {{"Cache-Control", "max-age=60"}}, "x");
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  fill(proxy, {"/created", "/list", "/foreign"});
  CHECK(proxy.request("POST", "/form", {}, "x").status == 201);
  CHECK(outcome(proxy.get("/created")) != "hit");
  CHECK(outcome(proxy.get("/list")) != "hit");
  proxy.request("PUT", "/form", {}, "x");
  CHECK(outcome(proxy.get("/foreign")) == "hit");
}

TEST_CASE("invalidation: a route's rules: an update of a character drops what shows it, and nothing else") {
  ScriptedUpstream upstream;
  Pillion proxy(characters(upstream.endpoint()));
  fill(proxy, {"/api/characters", "/api/characters?page=2", "/api/characters/char_1", "/api/characters/char_2",
               "/api/profiles/char_1", "/api/profiles/char_2", "/else"});
  CHECK(proxy.request("PUT", "/api/characters/char_1", {}, "x").status == 200);
  for (std::string gone :
       {"/api/characters", "/api/characters?page=2", "/api/characters/char_1", "/api/profiles/char_1"}) {
    CAPTURE(gone);
    CHECK(outcome(proxy.get(gone)) != "hit");
  }
  for (std::string stays : {"/api/characters/char_2", "/api/profiles/char_2", "/else"}) {
    CAPTURE(stays);
    CHECK(outcome(proxy.get(stays)) == "hit");
  }
}

TEST_CASE("invalidation: a rule holds for its methods only, the URL itself always") {
  ScriptedUpstream upstream;
  Pillion proxy(characters(upstream.endpoint()));
  fill(proxy, {"/api/characters/char_1", "/api/profiles/char_1"});
  proxy.request("POST", "/api/characters/char_1", {}, "x");
  CHECK(outcome(proxy.get("/api/profiles/char_1")) == "hit");
  CHECK(outcome(proxy.get("/api/characters/char_1")) != "hit");
}

TEST_CASE("invalidation: it holds before the answer of the write reaches the client") {
  ScriptedUpstream upstream;
  Pillion proxy(characters(upstream.endpoint()));
  HttpClient writer = proxy.connect();
  HttpClient reader = proxy.connect();
  for (int i = 0; i < 50; ++i) {
    reader.get("/api/characters/char_1");
    writer.request("PATCH", "/api/characters/char_1", {}, "x");
    CHECK(outcome(reader.get("/api/characters/char_1")) != "hit");
  }
}

TEST_CASE("invalidation: the API takes tags, patterns, URLs and all") {
  struct Row {
    std::string body;
    std::vector<std::string> gone, stays;
  };
  const Row rows[] = {
      {R"({"tags": ["character:char_1"]})",
       {"/api/characters/char_1", "/api/profiles/char_1"},
       {"/api/characters/char_2", "/api/characters"}},
      {R"({"tags": ["characters", "character:char_2"]})",
       {"/api/characters", "/api/characters/char_2"},
       {"/api/characters/char_1"}},
      {R"({"patterns": ["character:*"]})",
       {"/api/characters/char_1", "/api/characters/char_2"},
       {"/api/characters", "/api/profiles/char_1"}},
      {R"({"patterns": ["*:char_?:*"]})", {"/api/characters/char_1", "/api/profiles/char_1"}, {}},
      {R"({"patterns": ["api:characters:*"]})",
       {"/api/characters", "/api/characters?page=2"},
       {"/api/characters/char_1"}},
      {R"({"patterns": ["nothing:*"]})", {}, {"/api/characters", "/api/characters/char_1"}},
      {R"({"urls": ["/api/characters?page=2"]})",
       {"/api/characters?page=2"},
       {"/api/characters", "/api/characters/char_1"}},
      {R"({"urls": ["http://app.test/api/characters"]})", {"/api/characters"}, {"/api/characters?page=2"}},
      {R"({"urls": ["http://elsewhere.test/api/characters"]})", {}, {"/api/characters"}},
      {R"({"all": true})", {"/api/characters", "/api/characters/char_1", "/api/profiles/char_1"}, {}},
  };
  ScriptedUpstream upstream;
  for (const Row& row : rows) {
    CAPTURE(row.body);
    Pillion proxy(characters(upstream.endpoint()));
    fill(proxy, {"/api/characters", "/api/characters?page=2", "/api/characters/char_1", "/api/characters/char_2",
                 "/api/profiles/char_1"});
    Json receipt = proxy.invalidate(row.body);
    CHECK_FALSE(receipt["position"].string.empty());
    for (const auto& target : row.gone) {
      CAPTURE(target);
      CHECK(outcome(proxy.get(target)) != "hit");
    }
    for (const auto& target : row.stays) {
      CAPTURE(target);
      CHECK(outcome(proxy.get(target)) == "hit");
    }
  }
}

TEST_CASE("invalidation: all variants of a URL go") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.respond(200, {{"Cache-Control", "max-age=60"}, {"Vary", "X-V"}}, exchange.request().fields["X-V"]);
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  for (std::string v : {"1", "2"}) proxy.get("/", {{"X-V", v}});
  proxy.invalidate(R"({"urls": ["/"]})");
  for (std::string v : {"1", "2"}) CHECK(outcome(proxy.get("/", {{"X-V", v}})) != "hit");
}

TEST_CASE("invalidation: a dry run counts, lists, and changes nothing; a count tells how many matched") {
  if (skipped_in({Stores::redis}, "counts are of what stands in memory")) return;
  ScriptedUpstream upstream;
  Pillion proxy(characters(upstream.endpoint()));
  fill(proxy, {"/api/characters/char_1", "/api/characters/char_2", "/api/characters"});
  Json dry = proxy.invalidate(R"({"patterns": ["character:*"], "dry_run": true})");
  CHECK(dry["matched"].number == 2);
  CHECK(outcome(proxy.get("/api/characters/char_1")) == "hit");
  Json real = proxy.invalidate(R"({"tags": ["everyone"], "count": true})");
  CHECK(real["matched"].number == 2);
  CHECK(real["replicas"]["acknowledged"].array.size() == 1);
  CHECK(real["replicas"]["waiting"].array.empty());
  CHECK(outcome(proxy.get("/api/characters/char_1")) != "hit");
}

TEST_CASE("invalidation: positions rise") {
  ScriptedUpstream upstream;
  Pillion proxy(characters(upstream.endpoint()));
  std::string one = proxy.invalidate(R"({"tags": ["a"]})")["position"].string;
  std::string two = proxy.invalidate(R"({"tags": ["a"]})")["position"].string;
  CHECK(one != two);
}

TEST_CASE("invalidation: a slow fetch that began before it can't put the old answer back, nor serve later comers") {
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  Counter begun;
  std::atomic<int> turn{0};
  upstream.answer("/api/characters/char_1", [&](Exchange& exchange) {
    exchange.read_body();
    if (exchange.request().method != "GET") return exchange.respond(200);
    int mine = ++turn;
    begun.add();
    if (mine == 1) gate.wait();
    exchange.respond(200, {}, mine == 1 ? "old" : "new");
  });
  auto check = [&](auto invalidate) {
    Pillion proxy(characters(upstream.endpoint()));
    HttpClient slow = proxy.connect();
    slow.send_request("GET", "/api/characters/char_1");
    REQUIRE(begun.wait_for(1));
    invalidate(proxy);
    // A request after it doesn't join the fetch from before it.
    CHECK(proxy.get("/api/characters/char_1").body == "new");
    gate.open();
    CHECK(slow.read_response().body == "old");
    for (int i = 0; i < 3; ++i) CHECK(proxy.get("/api/characters/char_1").body == "new");
  };
  SUBCASE("by tag") {
    check([](Pillion& proxy) { proxy.invalidate(R"({"tags": ["character:char_1"]})"); });
  }
  SUBCASE("by pattern") {
    check([](Pillion& proxy) { proxy.invalidate(R"({"patterns": ["character:*"]})"); });
  }
  SUBCASE("by URL") {
    check([](Pillion& proxy) { proxy.invalidate(R"({"urls": ["/api/characters/char_1"]})"); });
  }
  SUBCASE("all") {
    check([](Pillion& proxy) { proxy.invalidate(R"({"all": true})"); });
  }
  SUBCASE("by a write") {
    check([](Pillion& proxy) { proxy.request("PUT", "/api/characters/char_1", {}, "x"); });
  }
}

TEST_CASE("invalidation: it holds for what stands in Redis, after a restart of the proxy too") {
  RedisServer redis;
  ScriptedUpstream upstream;
  Pillion proxy(characters(upstream.endpoint(), &redis));
  auto refill = [&] {
    for (std::string target : {"/api/characters/char_1", "/api/characters/char_2", "/api/characters", "/else"})
      proxy.get(target);
    REQUIRE(eventually([&] { return redis.keys("*:*:????????????????????????????????").size() == 4; }));
  };
  struct Row {
    std::string body;
    std::vector<std::string> gone, stays;
  };
  const Row rows[] = {
      {R"({"tags": ["character:char_1"]})", {"/api/characters/char_1"}, {"/api/characters/char_2", "/else"}},
      {R"({"patterns": ["character:*"]})",
       {"/api/characters/char_1", "/api/characters/char_2"},
       {"/api/characters", "/else"}},
      {R"({"patterns": ["*char_1*"]})", {"/api/characters/char_1"}, {}},
      {R"({"urls": ["/api/characters"]})", {"/api/characters"}, {"/api/characters/char_1", "/else"}},
      {R"({"all": true})", {"/api/characters", "/api/characters/char_1", "/else"}, {}},
  };
  for (const Row& row : rows) {
    for (bool restart_after : {false, true}) {
      CAPTURE(row.body);
      CAPTURE(restart_after);
      redis.command({"FLUSHALL"});
      proxy.restart();
      refill();
      if (restart_after) {
        proxy.invalidate(row.body);
        proxy.restart();
      } else {
        proxy.restart();  // its memory is empty: all it could answer with stands in Redis
        proxy.invalidate(row.body);
      }
      for (const auto& target : row.gone) {
        CAPTURE(target);
        CHECK(outcome(proxy.get(target)) != "hit");
      }
      for (const auto& target : row.stays) {
        CAPTURE(target);
        CHECK(detailed(proxy.get(target)) == "hit redis");
      }
    }
  }
}

TEST_CASE("invalidation: a write's rules hold in Redis after a restart") {
  RedisServer redis;
  ScriptedUpstream upstream;
  Pillion proxy(characters(upstream.endpoint(), &redis));
  for (std::string target : {"/api/characters/char_1", "/api/profiles/char_1", "/else"}) proxy.get(target);
  REQUIRE(eventually([&] { return redis.keys("*:*:????????????????????????????????").size() == 3; }));
  proxy.restart();
  proxy.request("DELETE", "/api/characters/char_1");
  proxy.restart();
  CHECK(outcome(proxy.get("/api/characters/char_1")) != "hit");
  CHECK(outcome(proxy.get("/api/profiles/char_1")) != "hit");
  CHECK(detailed(proxy.get("/else")) == "hit redis");
}

TEST_CASE("invalidation: with Redis out of reach it is applied here and said to be pending") {
  RedisServer redis;
  ScriptedUpstream upstream;
  Pillion proxy(characters(upstream.endpoint(), &redis));
  fill(proxy, {"/api/characters/char_1"});
  redis.stop();
  Response response = proxy.admin_post("/invalidate", R"({"tags": ["character:char_1"]})");
  CHECK(response.status == 503);
  Json body = Json::parse(response.body);
  CHECK(body["scope"].string == "local");
  CHECK(body["pending"].boolean);
  CHECK(outcome(proxy.get("/api/characters/char_1")) != "hit");
}

TEST_CASE("invalidation: the command asks the running proxy and prints the receipt") {
  ScriptedUpstream upstream;
  Pillion proxy(characters(upstream.endpoint()));
  std::string admin = proxy.admin().url();
  auto drop = [&](std::vector<std::string> selectors) {
    std::vector<std::string> arguments{"invalidate", "--admin", admin};
    arguments.insert(arguments.end(), selectors.begin(), selectors.end());
    return run_pillion(arguments);
  };
  struct Row {
    std::vector<std::string> selectors;
    std::string gone;
  };
  const Row rows[] = {{{"--tag", "character:char_1"}, "/api/characters/char_1"},
                      {{"--pattern", "api:*"}, "/api/characters"},
                      {{"--url", "/else"}, "/else"},
                      {{"--tag", "none", "--url", "/else"}, "/else"},
                      {{"--all"}, "/api/characters"}};
  for (const Row& row : rows) {
    CAPTURE(row.selectors[0]);
    fill(proxy, {row.gone});
    Finished dry = drop([&] {
      auto selectors = row.selectors;
      selectors.push_back("--dry-run");
      return selectors;
    }());
    CHECK(dry.exit.code == 0);
    CHECK(outcome(proxy.get(row.gone)) == "hit");
    Finished done = drop(row.selectors);
    CHECK(done.exit.code == 0);
    CHECK_FALSE(done.out.empty());
    CHECK(outcome(proxy.get(row.gone)) != "hit");
  }
  CHECK(drop({}).exit.code == 2);
  proxy.stop();
  Finished nobody = drop({"--all"});
  CHECK(nobody.exit.code == 1);
  CHECK_FALSE(nobody.err.empty());
}
