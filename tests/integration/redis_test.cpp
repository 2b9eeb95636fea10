// Redis as second tier: readable keys and lifetimes, and every way in which it can be absent or wrong (product
// contract, sections 2 and 9; faults R1 to R13).
#include "integration.hpp"

namespace {

std::string routes() {
  return R"(routes:
  - name: character
    path: /api/characters/{character_id}
    ttl: 5m
    key: "character:{character_id}"
  - name: status
    path: /api/status
    ttl: 1m
  - name: memory_only
    path: /memory/**
    ttl: 1m
    store: [memory]
  - name: all
    path: /**
    ttl: 1m
)";
}

std::string config(const Endpoint& upstream, const RedisServer& redis, std::string_view more = {}) {
  return config_for(upstream, routes() + redis_store(redis.settings()) + std::string(more));
}

/// With the time that it has by default, past which requests go on without it.
std::string with_default_time(const Endpoint& upstream, const RedisServer& redis) {
  return config_for(upstream, routes() + redis_store(redis.settings(), "", ""));
}

/// Redis as the only tier.
std::string without_memory(const Endpoint& upstream, const RedisServer& redis) {
  return config_for(upstream,
                    "routes:\n  - name: all\n    path: /**\n    ttl: 1m\n" + redis_store(redis.settings(), "off"));
}

bool is_hash(std::string_view text) {
  return text.size() == 32 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::string only_key(const RedisServer& redis, const std::string& pattern) {
  eventually([&] { return redis.keys(pattern).size() == 1; });
  auto keys = redis.keys(pattern);
  REQUIRE(keys.size() == 1);
  return keys[0];
}

/// Until a new URL is stored there again.
bool in_use_again(Pillion& proxy, const RedisServer& redis) {
  int n = 0;
  return eventually([&] {
    proxy.get("/probe" + std::to_string(n++));
    try {
      return !redis.keys("api:all:*").empty();
    } catch (const std::exception&) {
      return false;
    }
  });
}

}  // namespace

TEST_CASE("redis: keys are readable and their expiry is the lifetime") {
  RedisServer redis;
  ScriptedUpstream upstream;
  Pillion proxy(config(upstream.endpoint(), redis));
  proxy.get("/api/characters/char_123");
  proxy.get("/api/status");
  proxy.get("/memory/thing");
  std::string character = only_key(redis, "character:char_123:*");
  std::string status = only_key(redis, "api:status:*");
  CHECK(is_hash(character.substr(std::string("character:char_123:").size())));
  CHECK(is_hash(status.substr(std::string("api:status:").size())));
  auto ttl = [&](const std::string& key) { return redis.command({"TTL", key}).integer; };
  CHECK(ttl(character) > 290);
  CHECK(ttl(character) <= 301);
  CHECK(ttl(status) > 50);
  CHECK(ttl(status) <= 61);
  CHECK(redis.keys("*memory*").empty());
}

TEST_CASE("redis: parameters can't break out of their place in a key") {
  RedisServer redis;
  ScriptedUpstream upstream;
  Pillion proxy(config(upstream.endpoint(), redis));
  proxy.get("/api/characters/a:b*c");
  CHECK(redis.keys("character:a:b*").empty());
  CHECK(only_key(redis, "character:a%3Ab%2Ac:*").size() > 32);
  proxy.get("/api/characters/" + std::string(300, 'x'));
  CHECK(eventually([&] { return redis.keys("character:*").size() == 2; }));
  for (const auto& key : redis.keys("character:*")) CHECK(key.size() < 150);
}

TEST_CASE("redis: a namespace stands before every key") {
  RedisServer redis;
  ScriptedUpstream upstream;
  Pillion proxy(config(upstream.endpoint(), redis, "    namespace: \"app1:\"\n"));
  proxy.get("/api/status");
  only_key(redis, "app1:api:status:*");
  for (const auto& key : redis.keys()) CHECK(key.starts_with("app1:"));
}

TEST_CASE("redis: the database of the URL is used, and a password") {
  RedisServer redis({{"--requirepass", "s3cret"}, false});
  ScriptedUpstream upstream;
  std::string url = "redis://:s3cret@127.0.0.1:" + std::to_string(redis.port()) + "/3";
  Pillion proxy(config_for(upstream.endpoint(), routes() + redis_store("    url: " + url + "\n")));
  proxy.get("/api/status");
  RedisClient client(redis.endpoint());
  client.command({"AUTH", "s3cret"});
  client.command({"SELECT", "3"});
  CHECK(eventually([&] { return client.keys("api:status:*").size() == 1; }));
  CHECK(proxy.process().err().find("s3cret") == std::string::npos);
  CHECK(proxy.admin_get("/config").body.find("s3cret") == std::string::npos);
}

TEST_CASE("redis: found in memory, then in Redis, then fetched") {
  RedisServer redis;
  ScriptedUpstream upstream(numbered({{"ETag", "\"v\""}, {"X-Own", "1"}}));
  Pillion proxy(config(upstream.endpoint(), redis));
  CHECK(outcome(proxy.get("/")) == "uri-miss stored");
  CHECK(detailed(proxy.get("/")) == "hit memory");
  only_key(redis, "api:all:*");
  proxy.restart();
  Response from_redis = proxy.get("/");
  CHECK(detailed(from_redis) == "hit redis");
  CHECK(from_redis.body == "1");
  CHECK(from_redis["X-Own"] == "1");
  CHECK(from_redis.fields.has("Age"));
  CHECK(*cache_status(from_redis).ttl <= 60);
  CHECK(detailed(proxy.get("/")) == "hit memory");
  CHECK(upstream.count() == 1);
}

TEST_CASE("redis: with memory off it is the only tier") {
  RedisServer redis;
  ScriptedUpstream upstream(numbered({}));
  Pillion proxy(without_memory(upstream.endpoint(), redis));
  proxy.get("/");
  CHECK(eventually([&] { return detailed(proxy.get("/")) == "hit redis"; }));
  CHECK(detailed(proxy.get("/")) == "hit redis");
  CHECK(upstream.count() == 1);
}

TEST_CASE("redis: large and binary bodies come back byte for byte") {
  RedisServer redis;
  std::string body(900u << 10, '\0');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>(i * 31 + (i >> 8));
  ScriptedUpstream upstream(cacheable(body));
  Pillion proxy(config(upstream.endpoint(), redis));
  proxy.get("/");
  only_key(redis, "api:all:*");
  proxy.restart();
  Response response = proxy.get("/");
  CHECK(cache_status(response).hit);
  CHECK((response.body == body));
}

TEST_CASE("redis: values of a wrong type, cut, changed, of another key or version are misses") {
  RedisServer redis;
  ScriptedUpstream upstream(numbered({}));
  Pillion proxy(without_memory(upstream.endpoint(), redis));
  proxy.get("/other");
  std::string other = redis.command({"GET", only_key(redis, "api:all:*")}).text;
  redis.command({"FLUSHALL"});
  std::string body = proxy.get("/").body;
  std::string key = only_key(redis, "api:all:*");
  std::string value = redis.command({"GET", key}).text;
  REQUIRE(value.size() > 20);
  std::vector<std::pair<std::string, std::vector<std::string>>> damage = {
      {"a list", {"LPUSH", key, "x"}},
      {"a hash", {"HSET", key, "a", "b"}},
      {"empty", {"SET", key, ""}},
      {"text", {"SET", key, "hello"}},
      {"cut by one byte", {"SET", key, value.substr(0, value.size() - 1)}},
      {"cut to a half", {"SET", key, value.substr(0, value.size() / 2)}},
      {"a byte more", {"SET", key, value + "x"}},
      {"another key's value", {"SET", key, other}},
      {"zeros", {"SET", key, std::string(value.size(), '\0')}},
  };
  for (std::size_t at = 0; at < value.size(); at += 1 + value.size() / 23) {
    std::string flipped = value;
    flipped[at] = static_cast<char>(flipped[at] ^ 0x10);
    damage.push_back({"a flipped bit in byte " + std::to_string(at), {"SET", key, flipped}});
  }
  for (const auto& [why, command] : damage) {
    CAPTURE(why);
    redis.command({"DEL", key});
    REQUIRE_FALSE(redis.command(command).is_error());
    Response response;
    CHECK(eventually([&] {  // in the moment in which it is stored, a request joins the fetch before
      response = proxy.get("/");
      return !cache_status(response).collapsed;
    }));
    CHECK(response.status == 200);
    CHECK_FALSE(cache_status(response).hit);
    CHECK(response.body != body);
    body = response.body;
    const std::string damaged = command.size() == 3 ? command[2] : "";
    REQUIRE(eventually([&] {
      RedisReply now = redis.command({"GET", key});
      return !now.is_error() && !now.is_null() && now.text != damaged;
    }));
  }
}

TEST_CASE("redis: absent at the start, it is used by itself once it comes") {
  RedisServer redis;
  redis.stop();
  ScriptedUpstream upstream;
  PillionOptions options;
  options.wait_for_redis = false;
  Pillion proxy(with_default_time(upstream.endpoint(), redis), options);
  CHECK(proxy.get("/a").status == 200);
  CHECK(detailed(proxy.get("/a")) == "hit memory");
  CHECK(proxy.metric("pillion_redis_up") == 0);
  CHECK(proxy.admin_get("/readyz").status == 200);
  redis.start();
  CHECK(in_use_again(proxy, redis));
  CHECK(eventually([&] { return proxy.metric("pillion_redis_up") == 1; }));
}

TEST_CASE("redis: killed, paused and started again under load: every request is answered, within the budget") {
  RedisServer redis;
  ScriptedUpstream upstream;
  Pillion proxy(with_default_time(upstream.endpoint(), redis));
  std::atomic<bool> stop{false};
  std::atomic<int> answered{0}, wrong{0};
  std::atomic<long> slowest_ms{0};
  std::thread load([&] {
    in_parallel(4, [&](int worker) {
      HttpClient client(proxy.client());
      for (int i = 0; !stop; ++i) {
        std::string target = "/" + std::to_string(worker) + "/" + std::to_string(i % 500);
        auto from = Clock::now();
        Response response = client.get(target);
        long ms = std::chrono::duration_cast<Milliseconds>(Clock::now() - from).count();
        long slowest = slowest_ms;
        while (ms > slowest && !slowest_ms.compare_exchange_weak(slowest, ms)) {
        }
        if (response.status != 200 || response.body != target) ++wrong;
        ++answered;
      }
    });
  });
  auto go_on = [&] {
    int from = answered;
    CHECK(eventually([&] { return answered >= from + 1000; }));
  };
  go_on();
  redis.pause();
  go_on();
  redis.resume();
  go_on();
  redis.kill();
  go_on();
  redis.start();
  go_on();
  CHECK(in_use_again(proxy, redis));
  stop = true;
  load.join();
  CHECK(wrong == 0);
  // 200 ms to connect, 50 ms a command, and a busy machine's share: far from how long Redis was away.
  CHECK(slowest_ms < 10'000);
}

TEST_CASE("redis: paused, a request costs its budget and no more, and soon nothing") {
  RedisServer redis;
  ScriptedUpstream upstream;
  Pillion proxy(with_default_time(upstream.endpoint(), redis));
  proxy.get("/warm");
  redis.pause();
  HttpClient client = proxy.connect();
  for (int i = 0; i < 20; ++i) client.get("/first" + std::to_string(i));
  // The breaker is open: but for a probe now and then nobody waits.
  auto waited = [&] { return proxy.metric("pillion_redis_failures_total{kind=\"timeout\"}"); };
  const double before = waited();
  CHECK(before > 0);
  for (int i = 0; i < 100; ++i) CHECK(client.get("/then" + std::to_string(i)).status == 200);
  CHECK(waited() - before < 50);
  redis.resume();
  CHECK(in_use_again(proxy, redis));
}

TEST_CASE("redis: out of memory it stores nothing, and requests go on") {
  RedisServer redis({{"--maxmemory", "1mb", "--maxmemory-policy", "noeviction"}, false});
  ScriptedUpstream upstream(cacheable(std::string(100000, 'x')));
  Pillion proxy(with_default_time(upstream.endpoint(), redis), {.wait_for_redis = false});
  for (int i = 0; i < 50; ++i) CHECK(proxy.get("/" + std::to_string(i)).status == 200);
  CHECK(detailed(proxy.get("/49")) == "hit memory");
}

TEST_CASE("redis: a wrong password is a miss and a line that doesn't show it") {
  RedisServer redis({{"--requirepass", "right"}, false});
  ScriptedUpstream upstream;
  std::string url = "redis://:wr0ngpass@127.0.0.1:" + std::to_string(redis.port()) + "/0";
  PillionOptions options;
  options.wait_for_redis = false;
  Pillion proxy(config_for(upstream.endpoint(), routes() + "store:\n  redis:\n    url: " + url + "\n"), options);
  CHECK(proxy.get("/").status == 200);
  CHECK(detailed(proxy.get("/")) == "hit memory");
  CHECK(proxy.process().err().find("wr0ngpass") == std::string::npos);
}

TEST_CASE("redis: something that isn't Redis, answers garbage or cuts off in a reply, is a miss") {
  ScriptedUpstream upstream;
  for (const std::string& reply : {std::string("HTTP/1.1 400 Bad Request\r\n\r\n"), std::string("$9999999999999\r\nx"),
                                   std::string("*1\r\n*1\r\n*1\r\n"), std::string("$100\r\npart"),
                                   std::string("\0\0\0\0\r\n", 6), std::string(":12\r\n:13\r\n:14\r\n")}) {
    CAPTURE(reply);
    ScriptedUpstream fake;
    fake.answer_connections([&](Stream& stream) {
      while (stream.fill()) {
        stream.buffer().clear();
        stream.write(reply);
      }
    });
    PillionOptions options;
    options.wait_for_redis = false;
    Pillion proxy(config_for(upstream.endpoint(),
                             routes() + "store:\n  redis:\n    url: redis://" + fake.endpoint().to_string() + "/0\n"),
                  options);
    for (int i = 0; i < 10; ++i) CHECK(proxy.get("/" + std::to_string(i)).status == 200);
    CHECK(detailed(proxy.get("/9")) == "hit memory");
    CHECK(proxy.process().resident() < 512u << 20);
  }
}

TEST_CASE("redis: a value that somebody deletes is fetched anew") {
  RedisServer redis;
  ScriptedUpstream upstream(numbered({}));
  Pillion proxy(without_memory(upstream.endpoint(), redis));
  CHECK(proxy.get("/").body == "1");
  std::string key = only_key(redis, "api:all:*");
  CHECK(eventually([&] { return detailed(proxy.get("/")) == "hit redis"; }));
  CHECK(proxy.get("/").body == "1");
  redis.command({"DEL", key});
  CHECK(proxy.get("/").body == "2");
}

TEST_CASE("redis: where it is the only store and out of reach, answers say that nothing is stored") {
  RedisServer redis;
  ScriptedUpstream upstream(cacheable("body"));
  Pillion proxy(without_memory(upstream.endpoint(), redis));
  CHECK(outcome(proxy.get("/")) == "uri-miss stored");
  redis.stop();
  CHECK(eventually([&] { return detailed(proxy.get("/again")) == "uri-miss store-unavailable"; }));
}
