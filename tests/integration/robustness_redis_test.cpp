// What a pause, a loss or an overflow of Redis once broke for good, each defect with the smallest course of events that
// shows it (robustness_test.cpp has those without Redis).
#include <csignal>

#include "integration.hpp"
#include "support/unhurried.hpp"

namespace {

std::string config(const Endpoint& upstream, const RedisServer& redis) {
  return config_for(upstream,
                    "routes:\n  - name: all\n    path: /**\n    cache: on\ndrain: { delay: 0s, timeout: 5s }\nstore:\n"
                    "  redis:\n    url: " +
                        redis.url() + "\n");
}

/// For tests that are not about how long Redis takes.
std::string patient_config(const Endpoint& upstream, const RedisServer& redis) {
  return config(upstream, redis) + unhurried;
}

/// Serves what was PUT there last, "old" before; every other unsafe method changes nothing.
class Pages {
 public:
  Handler handler() {
    return [this](Exchange& exchange) {
      exchange.read_body();
      std::string target = exchange.request().target;
      std::lock_guard lock(mutex_);
      if (exchange.request().method == "PUT") pages_[target] = exchange.request().body;
      auto page = pages_.find(target);
      exchange.respond(200, {{"Cache-Control", "max-age=600"}}, page == pages_.end() ? "old" : page->second);
    };
  }

 private:
  std::mutex mutex_;
  std::map<std::string, std::string> pages_;
};

long log_length(const RedisServer& redis) { return redis.command({"XLEN", "pillion:log"}).integer; }

bool is_stored(const RedisServer& redis) {
  return eventually([&] { return !redis.keys("api:all:*").empty(); });
}

/// As a rollout does it: a drain, then a new process.
void roll_over(Pillion& proxy) {
  proxy.process().signal(SIGTERM);
  auto exit = proxy.process().wait();
  REQUIRE(exit.has_value());
  CHECK(exit->to_string() == "exit code 0");
  proxy.restart();
}

/// What is stored outlives a restart.
bool outlives_restart(Pillion& proxy, const std::string& target) {
  proxy.get(target);
  proxy.get(target);
  // The entry is written behind the answer: look until it is found.
  return eventually(
      [&] {
        proxy.restart();
        return detailed(proxy.get(target)) == "hit redis";
      },
      Deadline(5s));
}

}  // namespace

TEST_CASE("robustness: steady writes don't keep pending invalidations from Redis after a short pause of it") {
  RedisServer redis;
  Pages pages;
  ScriptedUpstream upstream(pages.handler());
  Pillion proxy(config(upstream.endpoint(), redis));
  CHECK(proxy.get("/victim").body == "old");
  REQUIRE(is_stored(redis));
  proxy.request("PUT", "/w", {}, "1");
  long before = log_length(redis);
  redis.pause();
  proxy.request("PUT", "/w", {}, "2");  // answered within the budget, and pending
  redis.resume();
  int writes = 0;
  CHECK(eventually([&] {
    proxy.request("PUT", "/w" + std::to_string(++writes % 5), {}, "x");
    return log_length(redis) >= before + 3;
  }));
  CHECK(eventually([&] {
    proxy.request("PUT", "/w", {}, "x");
    return proxy.admin_post("/invalidate", R"({"tags": ["zz"]})").status == 200;
  }));
  proxy.request("PUT", "/victim", {}, "new");
  roll_over(proxy);
  Response after = proxy.get("/victim");
  CHECK(after.body == "new");
  CHECK(outcome(after) != "hit");
}

TEST_CASE("robustness: an invalidation still pending at SIGTERM reaches a Redis that is well again") {
  RedisServer redis;
  Pages pages;
  ScriptedUpstream upstream(pages.handler());
  Pillion proxy(config(upstream.endpoint(), redis));
  CHECK(proxy.get("/victim").body == "old");
  REQUIRE(is_stored(redis));
  redis.pause();
  // The first is on its way already and only unanswered; those after it aren't even sent.
  for (std::string target : {"/w", "/w", "/victim"}) proxy.request("PUT", target, {}, "new");
  redis.resume();
  roll_over(proxy);
  CHECK(proxy.get("/victim").body == "new");
}

TEST_CASE("robustness: long paths of unsafe requests don't make a log that nobody can read") {
  RedisServer redis;
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.read_body();
    exchange.respond(200, {{"Cache-Control", "max-age=600"}}, "x");
  });
  Pillion proxy(patient_config(upstream.endpoint(), redis));
  HttpClient client = proxy.connect();
  // More in all than one reply of Redis may hold.
  constexpr int batches = 13;
  constexpr int in_batch = 50;
  for (int b = 0; b < batches; ++b) {
    std::string bytes;
    for (int i = 0; i < in_batch; ++i) {
      bytes += "POST /" + std::to_string(b * in_batch + i) + "/" + std::string(14000, 'a') +
               " HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\n\r\n";
    }
    client.send(bytes);
    int answered = 0;
    for (int i = 0; i < in_batch; ++i) answered += client.read_response("POST").status == 200 ? 1 : 0;
    REQUIRE(answered == in_batch);
  }
  CHECK(log_length(redis) >= batches * in_batch);
  // Short in the log, and as good as whole: the last path's own entry is gone.
  CHECK(redis.command({"MEMORY", "USAGE", "pillion:log"}).integer < 1 << 20);
  std::string last = "/long/" + std::string(14000, 'b');
  proxy.get(last);
  REQUIRE(is_stored(redis));
  proxy.request("POST", last);
  proxy.get("/a");
  proxy.restart();
  CHECK(outcome(proxy.get(last)) != "hit");
  CHECK(outlives_restart(proxy, "/a"));
}

TEST_CASE("robustness: a log that couldn't be begun because Redis was full is begun once there is room") {
  RedisServer redis({{"--maxmemory", "1"}, false});
  ScriptedUpstream upstream;
  upstream.answer(cacheable("x"));
  PillionOptions options;
  options.wait_for_redis = false;
  Pillion proxy(config(upstream.endpoint(), redis), options);
  // It has tried, and was refused.
  REQUIRE(eventually(
      [&] { return redis.command({"INFO", "errorstats"}).text.find("errorstat_OOM") != std::string::npos; }));
  CHECK(proxy.get("/").status == 200);
  CHECK(redis.keys().empty());
  REQUIRE_FALSE(redis.command({"CONFIG", "SET", "maxmemory", "0"}).is_error());
  int n = 0;
  CHECK(eventually([&] {
    proxy.get("/probe" + std::to_string(n++));
    return !redis.keys("api:all:*").empty();
  }));
}

TEST_CASE("robustness: a FLUSHALL over a connection that stays is noticed, and Redis isn't cold for good") {
  RedisServer redis;
  ScriptedUpstream upstream(numbered({{"Cache-Control", "max-age=600"}}));
  Pillion proxy(patient_config(upstream.endpoint(), redis));
  proxy.get("/before");
  REQUIRE(is_stored(redis));
  CHECK(detailed(proxy.get("/before")) == "hit memory");
  redis.command({"FLUSHALL"});
  // What was lost may have invalidated it.
  SUBCASE("by itself") {
    CHECK(eventually([&] { return proxy.get("/before").body != "1"; }));
  }
  SUBCASE("by a write that comes first") {}
  proxy.request("PUT", "/w", {}, "x");
  CHECK(eventually([&] { return proxy.get("/before").body != "1"; }));
  for (int i = 0; i < 2; ++i) CHECK(outlives_restart(proxy, "/a" + std::to_string(i)));
}

TEST_CASE("robustness: a Redis that comes back with an older dump serves nothing that was invalidated since") {
  RedisServer redis;
  Pages pages;
  ScriptedUpstream upstream(pages.handler());
  Pillion proxy(patient_config(upstream.endpoint(), redis));
  CHECK(proxy.get("/victim").body == "old");
  REQUIRE(is_stored(redis));
  REQUIRE_FALSE(redis.command({"SAVE"}).is_error());
  std::string epoch = redis.command({"GET", "pillion:epoch"}).text;
  proxy.request("PUT", "/victim", {}, "new");
  redis.kill();
  redis.start();
  REQUIRE(redis.keys("api:all:*").size() == 1);  // the old page is back
  CHECK(eventually([&] { return redis.command({"GET", "pillion:epoch"}).text != epoch; }));
  roll_over(proxy);
  CHECK(proxy.get("/victim").body == "new");
}

TEST_CASE(
    "robustness: a log that was trimmed isn't a lost one; only what is older than what is left of it is distrusted") {
  RedisServer redis;
  Pages pages;
  ScriptedUpstream upstream(pages.handler());
  Pillion proxy(patient_config(upstream.endpoint(), redis));
  const auto stored = [&](std::size_t n) { return eventually([&] { return redis.keys("api:all:*").size() == n; }); };
  proxy.get("/before");
  REQUIRE(stored(1));
  for (int i = 0; i < 5; ++i) CHECK(proxy.request("PUT", "/other", {}, "x").status == 200);
  proxy.get("/after");
  REQUIRE(stored(2));
  redis.command({"XTRIM", "pillion:log", "MAXLEN", "2"});
  for (int i = 0; i < 2; ++i) {
    proxy.restart();
    CHECK(detailed(proxy.get("/after")) == "hit redis");
  }
  CHECK(proxy.get("/before").fields["Cache-Status"].find("hit") == std::string::npos);
}

TEST_CASE("robustness: more invalidations than are kept one by one still reach a Redis that was away") {
  RedisServer redis;
  Pages pages;
  ScriptedUpstream upstream(pages.handler());
  Pillion proxy(config(upstream.endpoint(), redis));
  proxy.get("/victim");
  REQUIRE(is_stored(redis));
  redis.pause();
  HttpClient client = proxy.connect();
  for (int i = 0; i < 1100; ++i) CHECK(client.request("POST", "/other", {}, "x").status == 200);
  CHECK(client.request("PUT", "/victim", {}, "new").status == 200);
  redis.resume();
  CHECK(eventually([&] { return proxy.admin_post("/invalidate", R"({"tags": ["t"]})").status == 200; }));
  roll_over(proxy);
  CHECK(proxy.get("/victim").body == "new");
}

TEST_CASE("redis: what has a validator stays for `keep` past its use") {
  RedisServer redis;
  ScriptedUpstream upstream(
      [](Exchange& exchange) { exchange.respond(200, {{"Cache-Control", "max-age=10"}, {"ETag", "\"a\""}}, "kept"); });
  Pillion proxy(config_for(upstream.endpoint(),
                           "routes:\n  - { name: all, path: /**, cache: on, keep: 100s }\nstore:\n  redis:\n    url: " +
                               redis.url() + "\n" + unhurried));
  proxy.get("/a");
  REQUIRE(is_stored(redis));
  const long left = redis.command({"PTTL", redis.keys("api:all:*").front()}).integer;
  CHECK(left > 100000);
  CHECK(left <= 110000);
}
