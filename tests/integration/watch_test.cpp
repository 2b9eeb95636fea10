// What others do to keys in Redis reaches the copies in memory of every replica; what Redis itself does to make room
// doesn't (product contract, section 4).
#include "integration.hpp"

namespace {

/// `redis` is the lines below `redis:` that say where it is.
std::string config(const Endpoint& upstream, const std::string& redis, std::string_view routes = {},
                   std::string_view time = unhurried) {
  const std::string_view all =
      "routes:\n"
      "  - name: here\n    path: /here/**\n    ttl: 1h\n    store: [memory]\n"
      "  - name: all\n    path: /**\n    ttl: 1h\n";
  return config_for(upstream, std::string(routes.empty() ? all : routes) + redis_store(redis, "", time));
}

bool hears(Pillion& proxy) {
  return eventually([&] { return proxy.metric("pillion_watch_up") == 1; });
}

/// Stores the target's response, waits for Redis to have it, and returns its key: a variant's where it varies.
std::string store(Pillion& proxy, const RedisServer& redis, const std::string& target, const Fields& fields = {},
                  bool varies = false) {
  const auto before = redis.keys("api:*");
  CHECK(proxy.get(target, fields).status == 200);
  std::string key;
  CHECK(eventually([&] {
    for (const std::string& now : redis.keys("api:*")) {
      const bool is_new = std::find(before.begin(), before.end(), now) == before.end();
      if (is_new && (now.find('.') != std::string::npos) == varies) key = now;
    }
    return !key.empty();
  }));
  CHECK(eventually([&] { return detailed(proxy.get(target, fields)) == "hit memory"; }));
  return key;
}

/// Until what Redis has told before this is heard: a copy of the test's own is deleted and isn't used any more.
void catch_up(Pillion& proxy, const RedisServer& redis) {
  static std::atomic<int> number{0};
  const std::string target = "/catch-up" + std::to_string(number++);
  const std::string key = store(proxy, redis, target);
  redis.command({"DEL", key});
  CHECK(eventually([&] { return outcome(proxy.get(target)) != "hit"; }));
}

double compared(Pillion& proxy) { return proxy.metric("pillion_suspects_total{outcome=\"compared\"}"); }
double dropped(Pillion& proxy) { return proxy.metric("pillion_suspects_total{outcome=\"dropped\"}"); }

}  // namespace

TEST_CASE("watch: whatever removes or replaces a response in Redis ends its use in memory") {
  RedisServer redis;
  ScriptedUpstream upstream(numbered({}));
  Pillion one(config(upstream.endpoint(), redis.settings()));
  Pillion two(config(upstream.endpoint(), redis.settings()));
  REQUIRE(hears(one));
  REQUIRE(hears(two));
  const std::vector<std::vector<std::string>> ways{
      {"DEL", ""},    {"UNLINK", ""},      {"SET", "", "mine"}, {"RENAME", "", "elsewhere"},
      {"GETDEL", ""}, {"EXPIRE", "", "0"}, {"PEXPIRE", "", "1"}};
  for (auto way : ways) {
    CAPTURE(way[0]);
    const std::string target = "/by/" + way[0];
    way[1] = store(one, redis, target);
    CHECK(eventually([&] { return detailed(two.get(target)) == "hit memory"; }));
    const std::string body = one.get(target).body;
    CHECK_FALSE(redis.command(way).is_error());
    CHECK(eventually([&] { return one.get(target).body != body; }));
    CHECK(eventually([&] { return two.get(target).body != body; }));
  }
}

TEST_CASE("watch: what changes nothing is compared and stays") {
  RedisServer redis;
  ScriptedUpstream upstream(numbered({}));
  Pillion proxy(config(upstream.endpoint(), redis.settings()));
  REQUIRE(hears(proxy));
  const std::string key = store(proxy, redis, "/thing");
  const std::size_t asked = upstream.count();
  for (const std::vector<std::string>& way : {std::vector<std::string>{"EXPIRE", key, "1000"}, {"PERSIST", key}}) {
    CAPTURE(way[0]);
    const double before = compared(proxy);
    CHECK(redis.command(way).integer == 1);
    CHECK(eventually([&] {
      CHECK(detailed(proxy.get("/thing")) == "hit memory");
      return compared(proxy) > before;
    }));
  }
  CHECK(upstream.count() == asked);
  CHECK(dropped(proxy) == 0);
}

TEST_CASE("watch: a flush of another database concerns nothing here, but it can't be told from one that does") {
  RedisServer redis;
  ScriptedUpstream upstream(numbered({}));
  Pillion proxy(config(upstream.endpoint(), "    url: " + redis.url(1) + "\n"));
  REQUIRE(hears(proxy));
  proxy.get("/thing");
  CHECK(eventually([&] { return detailed(proxy.get("/thing")) == "hit memory" && compared(proxy) > 0; }));
  const double before = compared(proxy);
  redis.command({"FLUSHDB"});
  CHECK(eventually([&] {
    CHECK(detailed(proxy.get("/thing")) == "hit memory");
    return compared(proxy) > before;
  }));
  CHECK(upstream.count() == 1);
}

TEST_CASE("watch: a flush of the own database ends the use of everything") {
  for (const std::string flush : {"FLUSHDB", "FLUSHALL"}) {
    CAPTURE(flush);
    RedisServer redis;
    ScriptedUpstream upstream(numbered({}));
    Pillion proxy(config(upstream.endpoint(), redis.settings()));
    REQUIRE(hears(proxy));
    store(proxy, redis, "/thing");
    redis.command({flush});
    CHECK(eventually([&] { return proxy.get("/thing").body == "2"; }));
  }
}

TEST_CASE("watch: what doesn't stand in Redis is nobody else's to remove") {
  RedisServer redis;
  ScriptedUpstream upstream(numbered({}));
  Pillion proxy(config(upstream.endpoint(), redis.settings()));
  REQUIRE(hears(proxy));
  CHECK(proxy.get("/here/thing").body == "1");
  redis.command({"CLIENT", "KILL", "TYPE", "pubsub"});
  CHECK(eventually([&] { return proxy.process().err().find("changes are not heard of") != std::string::npos; }));
  REQUIRE(hears(proxy));
  CHECK(detailed(proxy.get("/here/thing")) == "hit memory");
  CHECK(compared(proxy) == 0);
}

TEST_CASE("watch: deleting the key of a URL that varies loses all its variants, deleting a variant's key that one") {
  RedisServer redis;
  ScriptedUpstream upstream(numbered({{"Vary", "X-Kind"}}));
  Pillion one(config(upstream.endpoint(), redis.settings()));
  Pillion two(config(upstream.endpoint(), redis.settings()));
  REQUIRE(hears(one));
  REQUIRE(hears(two));
  const Fields a{{"X-Kind", "a"}}, b{{"X-Kind", "b"}};
  const std::string key_a = store(one, redis, "/thing", a, true), key_b = store(one, redis, "/thing", b, true);
  REQUIRE(key_a != key_b);
  for (Pillion* proxy : {&one, &two})
    for (const Fields& kind : {a, b})
      CHECK(eventually([&] { return detailed(proxy->get("/thing", kind)) == "hit memory"; }));
  // An answer may come before it stands in Redis, where the other one finds it.
  const auto value = [&](const std::string& key) { return redis.command({"GET", key}).text; };
  const auto replaced = [&](const std::string& key, const std::string& before) {
    return eventually([&] { return !value(key).empty() && value(key) != before; });
  };
  redis.command({"DEL", key_a});
  CHECK(eventually([&] { return one.get("/thing", a).body == "3"; }));
  REQUIRE(replaced(key_a, ""));
  CHECK(eventually([&] { return two.get("/thing", a).body == "3"; }));
  CHECK(one.get("/thing", b).body == "2");
  CHECK(two.get("/thing", b).body == "2");

  const std::string marker = key_a.substr(0, key_a.find('.')), before_a = value(key_a), before_b = value(key_b);
  CHECK(redis.command({"DEL", marker}).integer == 1);
  CHECK(eventually([&] { return one.get("/thing", a).body == "4"; }));
  CHECK(one.get("/thing", b).body == "5");
  REQUIRE(replaced(marker, ""));
  REQUIRE(replaced(key_a, before_a));
  REQUIRE(replaced(key_b, before_b));
  CHECK(eventually([&] { return two.get("/thing", a).body == "4"; }));
  CHECK(eventually([&] { return two.get("/thing", b).body == "5"; }));
  CHECK(upstream.count() == 5);
}

TEST_CASE("watch: a fetch under way when what stood there is deleted doesn't put it back") {
  RedisServer redis;
  ScriptedUpstream upstream;
  auto& gate = upstream.gate();
  std::atomic<int> number{0};
  upstream.answer("/slow", [&](Exchange& exchange) {
    const int n = ++number;
    if (n == 2) gate.wait();
    exchange.respond(200, {{"Cache-Control", "max-age=1"}, {"ETag", '"' + std::to_string(n) + '"'}}, std::to_string(n));
  });
  Pillion proxy(config(upstream.endpoint(), redis.settings()) + "defaults: { keep: 1h }\n");
  REQUIRE(hears(proxy));
  CHECK(proxy.get("/slow").body == "1");
  CHECK(eventually([&] { return redis.keys("api:*").size() == 1; }));
  const std::string key = redis.keys("api:*").at(0);
  HttpClient client(proxy.client());
  CHECK(eventually([&] {  // until it is stale, and asked for
    client.send_request("GET", "/slow");
    return upstream.wait_for_requests("/slow", 2, Milliseconds(300)) || (client.read_response(), false);
  }));
  CHECK(redis.command({"DEL", key}).integer == 1);
  catch_up(proxy, redis);
  gate.open();
  CHECK(client.read_response().body == "2");
  CHECK(proxy.get("/slow").body == "3");
  CHECK(number == 3);
}

TEST_CASE("watch: a fetch that found nothing is stored although a key that had expired is told late") {
  RedisServer redis;
  ScriptedUpstream upstream(numbered({{"Cache-Control", "max-age=1"}}));
  Pillion proxy(config(upstream.endpoint(), redis.settings()));
  REQUIRE(hears(proxy));
  // Each is asked for at once when it has expired: Redis removes it then, and tells it while the upstream is asked.
  for (int n = 1; n <= 3; ++n) {
    CHECK(eventually([&] { return proxy.get("/thing").body == std::to_string(n); }));
    CHECK(outcome(proxy.get("/thing")) == "hit");
  }
}

TEST_CASE("watch: variants fetched at once are all stored") {
  RedisServer redis;
  ScriptedUpstream upstream;
  auto& gate = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    gate.wait();
    exchange.respond(200, {{"Cache-Control", "max-age=60"}, {"Vary", "X-Kind"}}, exchange.request().fields["X-Kind"]);
  });
  Pillion proxy(config(upstream.endpoint(), redis.settings()));
  REQUIRE(hears(proxy));
  const int kinds = 8;
  std::thread opener([&] {
    CHECK(upstream.wait_for_requests(1));
    CHECK(upstream.wait_for_requests(kinds, Milliseconds(500)) == false);  // they wait for the first: it may serve them
    gate.open();
  });
  in_parallel(kinds, [&](int i) { proxy.get("/thing", {{"X-Kind", std::to_string(i)}}); });
  opener.join();
  CHECK(eventually([&] {
    for (int i = 0; i < kinds; ++i)
      if (detailed(proxy.get("/thing", {{"X-Kind", std::to_string(i)}})) != "hit memory") return false;
    return true;
  }));
}

TEST_CASE("watch: what was deleted while the connection was lost is noticed") {
  RedisServer redis;
  ScriptedUpstream upstream(numbered({}));
  Pillion proxy(config(upstream.endpoint(), redis.settings()));
  REQUIRE(hears(proxy));
  const std::string gone = store(proxy, redis, "/gone");
  store(proxy, redis, "/stays");
  // In one go, so that no notice of the deletion can be sent.
  RedisClient other(redis.endpoint());
  other.command({"MULTI"});
  other.command({"CLIENT", "KILL", "TYPE", "pubsub"});
  other.command({"DEL", gone});
  CHECK(other.command({"EXEC"}).elements.at(1).integer == 1);
  CHECK(eventually([&] { return proxy.get("/gone").body == "3"; }));
  CHECK(detailed(proxy.get("/stays")) == "hit memory");
  CHECK(proxy.get("/stays").body == "2");
  REQUIRE(hears(proxy));
  CHECK(detailed(proxy.get("/stays")) == "hit memory");
}

TEST_CASE("watch: a Redis that is silent keeps nobody from memory") {
  RedisServer redis;
  ScriptedUpstream upstream(numbered({}));
  Pillion proxy(config(upstream.endpoint(), redis.settings(), "", not_in_haste));
  REQUIRE(hears(proxy));
  const std::string key = store(proxy, redis, "/thing");
  redis.pause();
  CHECK(eventually([&] { return proxy.metric("pillion_watch_up") == 0; }));
  const double before = compared(proxy);
  for (int i = 0; i < 20; ++i) CHECK(detailed(proxy.get("/thing")) == "hit memory");
  CHECK(compared(proxy) == before);
  redis.resume();
  redis.command({"DEL", key});
  CHECK(eventually([&] { return proxy.get("/thing").body == "2"; }));
}

TEST_CASE("watch: eviction in Redis leaves memory as it is, and a deletion amid it counts all the same") {
  for (const std::string events : {"", "Ee"}) {
    CAPTURE(events);
    RedisServer redis({.arguments = {"--maxmemory-policy", "volatile-ttl", "--notify-keyspace-events", events}});
    ScriptedUpstream upstream(numbered({}));
    Pillion proxy(config(upstream.endpoint(), redis.settings()));
    REQUIRE(hears(proxy));
    std::vector<std::string> keys;
    for (int i = 0; i < 10; ++i) keys.push_back(store(proxy, redis, "/thing" + std::to_string(i)));
    // Their expiry is later than that of what is made room for: they are not the first to go.
    const std::string deleted = keys.back();
    redis.command({"PERSIST", deleted});
    redis.command({"CONFIG", "SET", "maxmemory", "4mb"});
    const std::string filler(100'000, 'x');
    CHECK(eventually([&] {
      static int n = 0;
      redis.command({"SET", "filler" + std::to_string(n++), filler, "EX", "100000"});
      return redis.keys("api:*").size() == 1;
    }));
    const std::size_t asked = upstream.count();
    for (int i = 0; i < 9; ++i) CHECK(detailed(proxy.get("/thing" + std::to_string(i))) == "hit memory");
    CHECK(upstream.count() == asked);
    redis.command({"DEL", deleted});
    CHECK(eventually([&] { return outcome(proxy.get("/thing9")) != "hit"; }));
    CHECK(proxy.metric("pillion_suspects_total{outcome=\"dropped\"}") == 1);
  }
}

TEST_CASE("watch: the keys of a route that a reload brings are watched too") {
  RedisServer redis;
  ScriptedUpstream upstream(numbered({}));
  const std::string route = "routes:\n  - { name: all, path: /**, ttl: 1h, key: \"KEY\" }\n";
  const auto with_key = [&](const std::string& key) {
    std::string routes = route;
    return config(upstream.endpoint(), redis.settings(), routes.replace(routes.find("KEY"), 3, key));
  };
  Pillion proxy(with_key("first"));
  REQUIRE(hears(proxy));
  write_file(proxy.config_file(), with_key("api:second"));
  REQUIRE(!proxy.process().wait_for_err_line("reloaded").empty());
  REQUIRE(hears(proxy));
  const std::string key = store(proxy, redis, "/thing");
  CHECK(key.starts_with("api:second:"));
  redis.command({"DEL", key});
  CHECK(eventually([&] { return proxy.get("/thing").body == "2"; }));
}

TEST_CASE("watch: under a namespace, with more routes than prefixes can be watched") {
  RedisServer redis;
  ScriptedUpstream upstream(numbered({}));
  std::string routes = "routes:\n";
  for (int i = 0; i < 70; ++i) {
    const std::string n = std::to_string(i);
    routes += "  - { name: r" + n + ", path: /" + n + ", ttl: 1h, key: \"k" + n + "\" }\n";
  }
  Pillion proxy(config(upstream.endpoint(), redis.settings(), routes) + "    namespace: \"ours:\"\n");
  REQUIRE(hears(proxy));
  CHECK(proxy.get("/69").body == "1");
  CHECK(eventually([&] { return redis.keys("ours:k69:*").size() == 1 && detailed(proxy.get("/69")) == "hit memory"; }));
  redis.command({"DEL", redis.keys("ours:k69:*").at(0)});
  CHECK(eventually([&] { return proxy.get("/69").body == "2"; }));
}

TEST_CASE("watch: a user who may not listen has a memory that works, and is told") {
  RedisServer redis({.arguments = {"--user", "deaf", "on", ">pw", "~*", "&*", "+@all", "-client|tracking"}});
  ScriptedUpstream upstream(numbered({}));
  Pillion proxy(
      config(upstream.endpoint(), "    url: redis://deaf:pw@127.0.0.1:" + std::to_string(redis.port()) + "/0\n"));
  REQUIRE(!proxy.process().wait_for_err_line("doesn't let us hear of changes").empty());
  CHECK(proxy.get("/thing").body == "1");
  CHECK(eventually([&] { return !redis.keys("api:*").empty(); }));
  CHECK(detailed(proxy.get("/thing")) == "hit memory");
  CHECK(proxy.metric("pillion_watch_up") == 0);
  CHECK(compared(proxy) == 0);
}
