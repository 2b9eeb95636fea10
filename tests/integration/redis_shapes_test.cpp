// Redis in every shape before the real binary: TLS, users, a Unix socket, a database, Sentinel and Cluster, with their
// failovers and moving slots under load, and the user that it needs (product contract, sections 2 and 4).
#include <csignal>
#include <random>

#include "integration.hpp"
#include "support/redis_cluster.hpp"
#include "support/redis_sentinel.hpp"
#include "support/redis_tls.hpp"

namespace {

/// Redis alone, so that each request asks it.
std::string in_redis_alone(const Endpoint& upstream, const std::string& redis, std::string_view time = unhurried) {
  return config_for(upstream, "routes:\n  - name: all\n    path: /**\n    cache: on\n    tags: [all]\n" +
                                  redis_store(redis, "off", time));
}

/// In memory, too.
std::string in_both(const Endpoint& upstream, const std::string& redis) {
  return config_for(upstream,
                    "routes:\n  - name: all\n    path: /**\n    ttl: 1h\n    tags: [all]\n" + redis_store(redis));
}

/// With Pillion's own user, whose password stands in a file.
std::string with_user(const std::string& redis, const TempDir& folder) {
  return redis + "    user: pillion\n    password_file: " + folder.write("password", "s3cret\n") + "\n";
}

std::vector<std::string> user_arguments(std::vector<std::string> more_rules = {}) {
  RedisUser user = pillion_user();
  user.rules.insert(user.rules.end(), more_rules.begin(), more_rules.end());
  return user.arguments();
}

/// A response is stored in Redis and found there again by another process.
void check_it_serves(Pillion& proxy, ScriptedUpstream& upstream) {
  upstream.answer(cacheable("kept"));
  REQUIRE(eventually([&] { return outcome(proxy.get("/kept")) == "hit"; }));
  const auto before = upstream.count("/kept");
  proxy.restart();
  CHECK(detailed(proxy.get("/kept")) == "hit redis");
  CHECK(upstream.count("/kept") == before);
  proxy.invalidate(R"({"tags": ["all"]})");
  CHECK(outcome(proxy.get("/kept")) != "hit");
}

/// Clients that ask without a pause for some URLs, whose answers begin with their path. What isn't a 200 with the right
/// body is a failure.
class Load {
 public:
  Load(const Endpoint& proxy, int clients, int urls) {
    for (int i = 0; i < clients; ++i) {
      threads_.emplace_back([this, proxy, urls, i] { run(proxy, urls, static_cast<unsigned>(i)); });
    }
  }
  ~Load() { stop(); }
  void stop() {
    stop_ = true;
    for (auto& thread : threads_) thread.join();
    threads_.clear();
  }
  /// So many more answers have come, each of the given outcome where there is one.
  bool wait_for_more(int n, const char* wanted = nullptr) {
    auto& counter = wanted == nullptr ? answers_ : hits_;
    return counter.wait_for(counter.value() + n);
  }
  /// Empty where nothing failed.
  std::string failures() const {
    std::lock_guard lock(mutex_);
    std::string out;
    for (const auto& failure : failures_) out += failure + "\n";
    return out;
  }
  int answers() const { return answers_.value(); }
  Milliseconds worst() const { return Milliseconds(worst_); }

 private:
  void run(const Endpoint& proxy, int urls, unsigned seed) {
    std::minstd_rand random(seed + 1);
    std::optional<HttpClient> client;
    while (!stop_) {
      const std::string target = "/load/" + std::to_string(random() % static_cast<unsigned>(urls)) + ".";
      const auto began = Clock::now();
      try {
        if (!client) client.emplace(proxy);
        const Response response = client->get(target);
        if (response.status != 200 || !response.complete || !response.body.starts_with(target))
          fail(target + ": " + std::to_string(response.status) + " " + response.body.substr(0, 100));
        if (outcome(response) == "hit") hits_.add();
      } catch (const std::exception& error) {
        fail(target + ": " + error.what());
        client.reset();
      }
      const auto took = std::chrono::duration_cast<Milliseconds>(Clock::now() - began).count();
      std::lock_guard lock(mutex_);
      worst_ = std::max<std::int64_t>(worst_, took);
      answers_.add();
    }
  }
  void fail(std::string what) {
    std::lock_guard lock(mutex_);
    if (failures_.size() < 10) failures_.push_back(std::move(what));
  }

  std::atomic<bool> stop_{false};
  Counter answers_, hits_;
  mutable std::mutex mutex_;
  std::vector<std::string> failures_;
  std::int64_t worst_ = 0;
  std::vector<std::thread> threads_;
};

/// The target and a body of a few hundred bytes, to be kept for a second: misses go on all the time.
Handler load_answer() {
  return [](Exchange& exchange) {
    exchange.read_body();
    exchange.respond(200, {{"Cache-Control", "max-age=1"}}, exchange.request().target + std::string(300, 'x'));
  };
}

void report(const std::string& what, const Load& load) {
  MESSAGE(what << ": " << load.answers() << " answers, the slowest in " << load.worst().count() << " ms");
}

}  // namespace

TEST_CASE("redis_shapes: behind TLS with a certificate of our own and a user of our own") {
  TlsFiles files;
  TempDir folder;
  std::uint16_t port = free_port();
  auto arguments = files.redis_arguments(port, true);
  for (auto& argument : user_arguments()) arguments.push_back(std::move(argument));
  RedisServer redis({.arguments = arguments});
  ScriptedUpstream upstream;
  Pillion proxy(in_redis_alone(upstream.endpoint(),
                               "    url: rediss://pillion@localhost:" + std::to_string(port) +
                                   "/0\n    password_file: " + folder.write("password", "s3cret\n") +
                                   "\n    tls: { ca: " + files.ca() + ", certificate: " + files.client_certificate() +
                                   ", key: " + files.client_key() + " }\n"));
  check_it_serves(proxy, upstream);
  CHECK(redis.command({"ACL", "LOG"}).elements.empty());
  CHECK(proxy.admin_get("/config").body.find("s3cret") == std::string::npos);
  CHECK(proxy.process().err().find("s3cret") == std::string::npos);
}

TEST_CASE("redis_shapes: a server whose certificate isn't good is not used, and requests go on without it") {
  TlsFiles files;
  std::uint16_t port = free_port();
  // 127.0.0.2 is this machine too, and not what its certificate is for.
  RedisServer redis({.arguments = files.redis_arguments(port, false)});
  REQUIRE(redis.command({"CONFIG", "SET", "bind", "127.0.0.1 127.0.0.2"}).text == "OK");
  ScriptedUpstream upstream(cacheable("fresh"));
  const auto at = [&](const std::string& host, const std::string& tls, std::string_view time = unhurried) {
    return in_redis_alone(upstream.endpoint(),
                          "    url: rediss://" + host + ":" + std::to_string(port) + "\n    tls: { " + tls + " }\n",
                          time);
  };
  const std::pair<const char*, std::string> bad[] = {{"127.0.0.1", "ca: " + files.foreign_ca()},
                                                     {"127.0.0.2", "ca: " + files.ca()}};
  for (const auto& [host, tls] : bad) {
    CAPTURE(host);
    Pillion proxy(at(host, tls, ""), {.wait_for_redis = false});
    proxy.process().wait_for_err_line("certificate verify failed");
    CHECK(detailed(proxy.get("/a")) == "uri-miss store-unavailable");
    CHECK(proxy.metric("pillion_redis_up") == 0);
  }
  Pillion trusting(at("127.0.0.2", "verify: false"));
  check_it_serves(trusting, upstream);
}

TEST_CASE("redis_shapes: files of TLS that can't be used end the start with a sentence") {
  TlsFiles files;
  ScriptedUpstream upstream;
  TempDir folder;
  const std::string file = folder.write(
      "proxy.yaml",
      in_redis_alone(upstream.endpoint(), "    url: rediss://h\n    tls: { certificate: " + files.client_certificate() +
                                              ", key: " + files.server_key() + " }\n"));
  const Finished serve = run_pillion({"serve", "--config", file});
  CHECK(serve.exit.code == 1);
  CHECK(serve.err.find("store.redis.tls.key: " + files.server_key()) != std::string::npos);
}

TEST_CASE("redis_shapes: a Unix socket, a user of our own and a database of its own") {
  TempDir folder;
  RedisServer redis({.arguments = user_arguments({"+select"}), .unix_socket = true});
  ScriptedUpstream upstream;
  Pillion proxy(
      in_redis_alone(upstream.endpoint(), "    url: \"unix://pillion:s3cret@" + redis.unix_path() + "?db=5\"\n"));
  check_it_serves(proxy, upstream);
  CHECK(redis.keys().empty());
  RedisClient client(redis.endpoint());
  client.command({"SELECT", "5"});
  CHECK(!client.keys("api:all:*").empty());
  CHECK(redis.command({"ACL", "LOG"}).elements.empty());
}

TEST_CASE("redis_shapes: a user whose keys and channels are those of a namespace alone") {
  TempDir folder;
  RedisUser user = pillion_user("shop:");
  RedisServer redis({.arguments = user.arguments()});
  ScriptedUpstream upstream;
  Pillion proxy(in_redis_alone(upstream.endpoint(), "    url: redis://pillion:s3cret@127.0.0.1:" +
                                                        std::to_string(redis.port()) + "\n    namespace: \"shop:\"\n"));
  check_it_serves(proxy, upstream);
  for (const auto& key : redis.keys()) CHECK(key.starts_with("shop:"));
  CHECK(redis.command({"ACL", "LOG"}).elements.empty());
}

TEST_CASE("redis_shapes: the sentinels' master, through an ordered failover and a death, under load") {
  TempDir folder;
  RedisSentinel redis({.down_after = 1000ms, .redis_arguments = user_arguments({"+role"})});
  ScriptedUpstream upstream;
  Pillion proxy(in_redis_alone(upstream.endpoint(), with_user(redis.settings(), folder)));
  check_it_serves(proxy, upstream);
  upstream.answer(load_answer());
  Load load(proxy.client(), 4, 50);
  REQUIRE(load.wait_for_more(200, "hit"));
  redis.failover();
  REQUIRE(load.wait_for_more(200, "hit"));
  const Endpoint second = redis.master();
  REQUIRE(redis.wait_until_in_step());
  redis.master_server().kill();
  REQUIRE(redis.wait_for_new_master(second, Deadline(60s)));  // an election may take several rounds
  REQUIRE(load.wait_for_more(200, "hit"));
  load.stop();
  CHECK(load.failures() == "");
  report("two failovers of Sentinel", load);
  CHECK(eventually([&] { return proxy.metric("pillion_redis_up") == 1; }));
  CHECK(redis.master_server().command({"ACL", "LOG"}).elements.empty());
  // What is invalidated now is so at the new master.
  upstream.answer(cacheable("new"));
  REQUIRE(eventually([&] { return outcome(proxy.get("/after")) == "hit"; }));
  proxy.invalidate(R"({"all": true})");
  CHECK(outcome(proxy.get("/after")) != "hit");
}

TEST_CASE("redis_shapes: a cluster through moving slots, an ordered failover and a death, under load") {
  TempDir folder;
  RedisCluster redis(user_arguments({"+asking", "+cluster|slots", "+cluster|info"}));
  ScriptedUpstream upstream;
  Pillion proxy(in_redis_alone(upstream.endpoint(), with_user(redis.settings(), folder)));
  check_it_serves(proxy, upstream);
  upstream.answer(load_answer());
  Load load(proxy.client(), 4, 50);
  REQUIRE(load.wait_for_more(200, "hit"));
  // The slots that are in use, from each node to the next, while they are in use.
  for (const auto& key : redis.keys("api:all:*")) {
    const int slot = slot_of(key);
    redis.move_slot(slot, (redis.owner(slot) + 1) % 3);
  }
  const int log = redis.owner(slot_of("pillion:log"));
  redis.move_slot(slot_of("pillion:log"), (log + 1) % 3);
  REQUIRE(load.wait_for_more(200, "hit"));
  redis.failover(0);
  REQUIRE(load.wait_for_more(200, "hit"));
  REQUIRE(redis.wait_until_in_step());
  redis.kill_and_fail_over(1);
  REQUIRE(load.wait_for_more(200, "hit"));
  load.stop();
  CHECK(load.failures() == "");
  report("moved slots and two failovers of a cluster", load);
  CHECK(eventually([&] { return proxy.metric("pillion_redis_up") == 1; }));
  for (int node : redis.masters()) CHECK(redis.node(node).command({"ACL", "LOG"}).elements.empty());
  upstream.answer(cacheable("new"));
  REQUIRE(eventually([&] { return outcome(proxy.get("/after")) == "hit"; }));
  proxy.invalidate(R"({"all": true})");
  CHECK(outcome(proxy.get("/after")) != "hit");
}

TEST_CASE("redis_shapes: what is stored in a cluster lies on all of its nodes, variants too, and goes with one word") {
  RedisCluster redis;
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.read_body();
    exchange.respond(200, {{"Cache-Control", "max-age=60"}, {"Vary", "X-Kind"}},
                     exchange.request().target + exchange.request().fields["X-Kind"]);
  });
  Pillion proxy(in_redis_alone(upstream.endpoint(), redis.settings()));
  for (int i = 0; i < 20; ++i) {
    for (const char* kind : {"a", "b", "c"}) {
      const std::string target = "/v/" + std::to_string(i);
      REQUIRE(eventually([&] { return outcome(proxy.get(target, {{"X-Kind", kind}})) == "hit"; }));
      CHECK(proxy.get(target, {{"X-Kind", kind}}).body == target + kind);
    }
  }
  CHECK(redis.keys("api:all:*").size() == 20 * 4);
  for (int node : redis.masters()) CHECK(!redis.node(node).keys("api:all:*").empty());
  proxy.invalidate(R"({"all": true})");
  CHECK(outcome(proxy.get("/v/1", {{"X-Kind", "a"}})) != "hit");
}

namespace {

bool hears(Pillion& proxy) {
  return eventually([&] { return proxy.metric("pillion_watch_up") == 1 && proxy.metric("pillion_redis_up") == 1; });
}

struct Stored {
  std::string target, key, body;
};

/// Stores a response in Redis and in the memory of both. What a Redis that is just failing over doesn't take stands in
/// memory alone, so each try asks for something else.
Stored store(Pillion& one, Pillion& two, const std::string& name,
             const std::function<std::vector<std::string>()>& keys) {
  Stored stored;
  int tries = 0;
  REQUIRE(eventually([&] {
    const auto before = keys();
    stored.target = name + "?try=" + std::to_string(++tries);
    one.get(stored.target);
    return eventually(
        [&] {
          for (const auto& now : keys()) {
            if (std::find(before.begin(), before.end(), now) == before.end()) stored.key = now;
          }
          return !stored.key.empty();
        },
        1000ms);
  }));
  for (Pillion* proxy : {&one, &two}) {
    CHECK(eventually([&] { return detailed(proxy->get(stored.target)) == "hit memory"; }));
  }
  stored.body = one.get(stored.target).body;
  return stored;
}

}  // namespace

TEST_CASE(
    "redis_shapes: what others delete in a cluster reaches all memories, before and after slots and masters move") {
  RedisCluster redis;
  ScriptedUpstream upstream(numbered({}));
  Pillion one(in_both(upstream.endpoint(), redis.settings())), two(in_both(upstream.endpoint(), redis.settings()));
  REQUIRE(hears(one));
  REQUIRE(hears(two));
  int n = 0;
  const auto check = [&] {
    // On each node.
    for (int i = 0; i < 6; ++i) {
      const auto [target, key, body] =
          store(one, two, "/c/" + std::to_string(n++), [&] { return redis.keys("api:all:*"); });
      REQUIRE(redis.command({"DEL", key}).integer == 1);
      CHECK(eventually([&] { return one.get(target).body != body; }));
      CHECK(eventually([&] { return two.get(target).body != body; }));
    }
  };
  check();
  const auto [target, key, body] = store(one, two, "/moved", [&] { return redis.keys("api:all:*"); });
  const int slot = slot_of(key);
  redis.move_slot(slot, (redis.owner(slot) + 1) % 3);
  // It is as it was, and whoever deletes it where it is now is heard.
  CHECK(eventually([&] { return one.get(target).body == body && two.get(target).body == body; }));
  REQUIRE(redis.command({"DEL", key}).integer == 1);
  CHECK(eventually([&] { return one.get(target).body != body; }));
  CHECK(eventually([&] { return two.get(target).body != body; }));
  redis.failover(0);
  REQUIRE(hears(one));
  REQUIRE(hears(two));
  check();
}

TEST_CASE("redis_shapes: what others delete at the sentinels' new master reaches all memories") {
  RedisSentinel redis({.down_after = 2000ms});
  ScriptedUpstream upstream(numbered({}));
  Pillion one(in_both(upstream.endpoint(), redis.settings())), two(in_both(upstream.endpoint(), redis.settings()));
  const auto keys = [&] { return redis.master_server().keys("api:all:*"); };
  for (int round = 0; round < 2; ++round) {
    REQUIRE(hears(one));
    REQUIRE(hears(two));
    const auto [target, key, body] = store(one, two, "/s/" + std::to_string(round), keys);
    REQUIRE(redis.master_server().command({"DEL", key}).integer == 1);
    CHECK(eventually([&] { return one.get(target).body != body; }));
    CHECK(eventually([&] { return two.get(target).body != body; }));
    if (round == 0) redis.failover();
  }
}

TEST_CASE("redis_shapes: the README's user is refused nothing, and needs all that it is given") {
  RedisUser user = pillion_user();
  RedisServer redis({.arguments = user.arguments()});
  // Something else stands where the log should: it has to make way.
  redis.command({"APPEND", "pillion:log", "x"});
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.read_body();
    exchange.respond(200, {{"Vary", "X-Kind"}}, "body");
  });
  const std::string settings = "    url: redis://pillion:s3cret@127.0.0.1:" + std::to_string(redis.port()) + "\n";
  const std::string config = in_both(upstream.endpoint(), settings) + "limits: { variants: 1 }\ndrain: { delay: 0s }\n";
  Pillion one(config), two(config);
  REQUIRE(hears(one));
  const auto used = [&](const std::string& rule) {
    const std::string statistics = redis.command({"INFO", "commandstats"}).text;
    return statistics.find("cmdstat_" + rule.substr(1) + ":calls=") != std::string::npos;
  };
  int n = 0;
  for (const std::string& rule : user.rules) {
    if (!rule.starts_with('+')) continue;
    CAPTURE(rule);
    CHECK(eventually([&] {
      const std::string target = "/u/" + std::to_string(n++ % 20);
      for (const char* kind : {"a", "b"}) one.get(target, {{"X-Kind", kind}});
      for (const auto& key : redis.keys("api:all:*")) redis.command({"UNLINK", key});
      one.get(target, {{"X-Kind", "b"}});
      one.invalidate(R"({"tags": ["all"], "wait": "1s"})");
      if (rule == "+xrange" || rule == "+hdel") two.process().signal(SIGTERM), two.process().wait(), two.restart();
      return used(rule);
    }));
  }
  CHECK(redis.command({"ACL", "LOG"}).to_string() == "[]");
}
