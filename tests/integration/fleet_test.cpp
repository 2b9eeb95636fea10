// One fetch for all replicas on one Redis (`collapse: fleet`): who makes it, who waits for how long, and who doesn't
// (product contract, section 3).
#include "support/fleet.hpp"

#include "integration.hpp"
#include "support/redis_cluster.hpp"
#include "support/redis_sentinel.hpp"

namespace {

FleetOptions options(int replicas, std::string_view settings = {}) {
  FleetOptions options;
  options.replicas = replicas;
  options.routes = "routes:\n  - name: all\n    path: /**\n    collapse: fleet\n";
  if (settings.find("ttl:") == std::string_view::npos) options.routes += "    ttl: 1h\n";
  if (settings.find("collapse_wait:") == std::string_view::npos) options.routes += "    collapse_wait: 10s\n";
  options.routes += settings;
  return options;
}

bool all_hear(Fleet& fleet) {
  for (int i = 0; i < fleet.size(); ++i) {
    if (!eventually([&] { return fleet[i].metric("pillion_watch_up") == 1; })) return false;
  }
  return true;
}

/// Who asks for a lease, as Redis sees it.
class Leases {
 public:
  explicit Leases(const RedisServer& redis) : client_(redis.endpoint()) { client_.command({"MONITOR"}); }
  /// Until so many attempts to take one were seen, those of earlier calls included.
  bool wait_for_attempts(int n) {
    for (const Deadline deadline; attempts_ < n;) {
      if (deadline.passed()) return false;
      const std::string line = client_.read(deadline).text;
      const bool attempt = line.find("pillion:lease:") != std::string::npos && line.find("\"NX\"") != std::string::npos;
      attempts_ += attempt ? 1 : 0;
    }
    return true;
  }

 private:
  RedisClient client_;
  int attempts_ = 0;
};

bool has_lease(const RedisServer& redis) { return !redis.keys("*pillion:lease:*").empty(); }

std::string the_lease(const RedisServer& redis) {
  const auto keys = redis.keys("*pillion:lease:*");
  REQUIRE(keys.size() == 1);
  return keys[0];
}

/// Times that somebody's patience came to its end.
double out_of_patience(Fleet& fleet) {
  double sum = 0;
  for (int i = 0; i < fleet.size(); ++i) sum += fleet[i].metric("pillion_limits_total{limit=\"collapse_wait\"}");
  return sum;
}

/// Answers "1", "2"... in the order of the requests, the first of them when the gate opens.
Handler first_held(Gate& gate, const Fields& fields = {}) {
  auto count = std::make_shared<std::atomic<int>>(0);
  return [&gate, fields, count](Exchange& exchange) {
    const int n = ++*count;
    if (n == 1) gate.wait();
    exchange.respond(200, fields, std::to_string(n));
  };
}

/// A request under way.
class Asking {
 public:
  explicit Asking(Pillion& proxy, const Fields& fields = {}, const std::string& target = "/thing")
      : client_(proxy.client()) {
    client_.send_request("GET", target, fields);
  }
  Response answer() { return client_.read_response(); }

 private:
  HttpClient client_;
};

}  // namespace

TEST_CASE("fleet: three replicas that are asked for one missing key make one fetch") {
  for (const std::string store : {"", "    store: [redis]\n"}) {
    CAPTURE(store);
    RedisServer redis;
    ScriptedUpstream upstream;
    auto& gate = upstream.gate();
    upstream.answer(first_held(gate));
    Fleet fleet(upstream.endpoint(), redis.settings(), options(3, store));
    REQUIRE(all_hear(fleet));
    Leases leases(redis);
    Asking first(fleet[0]);
    REQUIRE(upstream.wait_for_requests(1));
    CHECK(has_lease(redis));
    Asking second(fleet[1]), third(fleet[2]);
    REQUIRE(leases.wait_for_attempts(3));
    Asking beside(fleet[2]);
    gate.open();
    const Response fetched = first.answer();
    CHECK(fetched.body == "1");
    CHECK(outcome(fetched) == "uri-miss stored");
    for (Asking* waiting : {&second, &third, &beside}) CHECK(waiting->answer().body == "1");
    CHECK(upstream.count() == 1);
    CHECK(out_of_patience(fleet) == 0);
    CHECK(eventually([&] { return !has_lease(redis); }));
    CHECK(detailed(fleet[1].get("/thing")) == (store.empty() ? "hit memory" : "hit redis"));
  }
}

TEST_CASE("fleet: many requests for one missing key, at all replicas at once, make one fetch") {
  RedisServer redis;
  ScriptedUpstream upstream;
  auto& gate = upstream.gate();
  upstream.answer(first_held(gate));
  Fleet fleet(upstream.endpoint(), redis.settings(), options(3));
  REQUIRE(all_hear(fleet));
  Leases leases(redis);
  std::vector<std::unique_ptr<Asking>> asking;
  for (int i = 0; i < 60; ++i) asking.push_back(std::make_unique<Asking>(fleet[i % 3]));
  REQUIRE(leases.wait_for_attempts(3));
  REQUIRE(upstream.wait_for_requests(1));
  gate.open();
  for (auto& one : asking) CHECK(one->answer().body == "1");
  CHECK(upstream.count() == 1);
  CHECK(out_of_patience(fleet) == 0);
}

TEST_CASE("fleet: who waited says so") {
  RedisServer redis;
  ScriptedUpstream upstream;
  auto& gate = upstream.gate();
  upstream.answer(first_held(gate));
  Fleet fleet(upstream.endpoint(), redis.settings(), options(2));
  REQUIRE(all_hear(fleet));
  Leases leases(redis);
  Asking first(fleet[0]);
  REQUIRE(upstream.wait_for_requests(1));
  Asking second(fleet[1]);
  REQUIRE(leases.wait_for_attempts(2));
  gate.open();
  const Response waited = second.answer();
  CHECK(detailed(waited) == "uri-miss collapsed redis");
  CHECK(cache_status(waited).forward_status == 200);
  CHECK(cache_status(waited).ttl.value_or(0) > 3000);
  CHECK(fleet[1].metric("pillion_collapsed_total") == 1);
}

TEST_CASE("fleet: what may not be shared lets the other replicas go at once, in parallel") {
  for (const std::string word : {"private", "no-store"}) {
    CAPTURE(word);
    RedisServer redis;
    ScriptedUpstream upstream;
    auto &gate = upstream.gate(), &rest = upstream.gate();
    std::atomic<int> number{0};
    upstream.answer([&](Exchange& exchange) {
      const int n = ++number;
      if (n == 1) {
        gate.wait();
        exchange.write("HTTP/1.1 200 OK\r\nCache-Control: " + word + "\r\nContent-Length: 1\r\n\r\n");
      }
      rest.wait();
      if (n == 1) return exchange.write("1");
      exchange.respond(200, {{"Cache-Control", word}}, std::to_string(n));
    });
    Fleet fleet(upstream.endpoint(), redis.settings(), options(3));
    REQUIRE(all_hear(fleet));
    Leases leases(redis);
    Asking first(fleet[0]);
    REQUIRE(upstream.wait_for_requests(1));
    Asking second(fleet[1]), third(fleet[2]);
    REQUIRE(leases.wait_for_attempts(3));
    CHECK(upstream.count() == 1);
    gate.open();
    CHECK(upstream.wait_for_requests(3, Deadline(5s)));  // neither waits for the other
    rest.open();
    CHECK(first.answer().body == "1");
    CHECK(second.answer().body != third.answer().body);
    CHECK(out_of_patience(fleet) == 0);
  }
}

TEST_CASE("fleet: a lease without an end is ended by whoever waited for it, or would refresh") {
  RedisServer redis;
  ScriptedUpstream upstream;
  auto& gate = upstream.gate();
  std::atomic<int> number{0};
  upstream.answer([&](Exchange& exchange) {
    const int n = ++number;
    if (n == 1) gate.wait();
    if (n == 1) return exchange.respond(503, {}, "no");
    exchange.respond(200, {{"Cache-Control", n == 2 ? "max-age=1" : "max-age=3600"}}, std::to_string(n));
  });
  Fleet fleet(upstream.endpoint(), redis.settings(),
              options(1, "    collapse_wait: 1s\n    stale: { while_revalidate: 1h }\n"));
  REQUIRE(all_hear(fleet));
  Asking first(fleet[0]);
  REQUIRE(upstream.wait_for_requests(1));
  const std::string lease = the_lease(redis);
  gate.open();
  CHECK(first.answer().body == "no");
  REQUIRE(eventually([&] { return !has_lease(redis); }));
  redis.command({"SET", lease, "x"});
  CHECK(fleet[0].get("/thing").body == "2");
  CHECK(eventually([&] { return !has_lease(redis); }));
  redis.command({"SET", lease, "x"});
  CHECK(eventually([&] { return fleet[0].get("/thing").body == "3"; }));
  CHECK(eventually([&] { return !has_lease(redis); }));
}

TEST_CASE("fleet: what is too large for Redis lets the other replicas go") {
  for (const bool has_length : {true, false}) {
    CAPTURE(has_length);
    RedisServer redis;
    ScriptedUpstream upstream;
    auto& gate = upstream.gate();
    std::atomic<int> number{0};
    upstream.answer([&](Exchange& exchange) {
      if (++number == 1) gate.wait();
      const std::string body(64 << 10, 'x');
      if (has_length) return exchange.respond(200, {}, body);
      exchange.write("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + body);
      exchange.close();
    });
    FleetOptions mine = options(2);
    mine.redis += "    max_object: 16KiB\n";
    Fleet fleet(upstream.endpoint(), redis.settings(), mine);
    REQUIRE(all_hear(fleet));
    Leases leases(redis);
    Asking first(fleet[0]);
    REQUIRE(upstream.wait_for_requests(1));
    Asking second(fleet[1]);
    REQUIRE(leases.wait_for_attempts(2));
    gate.open();
    CHECK(second.answer().body.size() == 64 << 10);
    CHECK(first.answer().body.size() == 64 << 10);
    CHECK(upstream.count() == 2);
    CHECK(out_of_patience(fleet) == 0);
  }
}

TEST_CASE("fleet: a lease lasts for collapse_wait at most, and past it the others fetch") {
  RedisServer redis;
  ScriptedUpstream upstream;
  auto& gate = upstream.gate();
  upstream.answer(first_held(gate));
  Fleet fleet(upstream.endpoint(), redis.settings(), options(2, "    collapse_wait: 1s\n"));
  REQUIRE(all_hear(fleet));
  Leases leases(redis);
  Asking first(fleet[0]);
  REQUIRE(upstream.wait_for_requests(1));
  const auto left = redis.command({"PTTL", the_lease(redis)}).integer;
  CHECK(left > 0);
  CHECK(left <= 1000);
  Asking second(fleet[1]);
  REQUIRE(leases.wait_for_attempts(2));
  CHECK(second.answer().body == "2");
  gate.open();
  CHECK(first.answer().body == "1");
}

TEST_CASE("fleet: who is done leaves a lease alone that has become another's") {
  RedisServer redis;
  ScriptedUpstream upstream;
  auto& gate = upstream.gate();
  upstream.answer(first_held(gate));
  Fleet fleet(upstream.endpoint(), redis.settings(), options(1));
  REQUIRE(all_hear(fleet));
  Asking first(fleet[0]);
  REQUIRE(upstream.wait_for_requests(1));
  const std::string lease = the_lease(redis);
  redis.command({"SET", lease, "another's"});
  RedisClient monitor(redis.endpoint());
  monitor.command({"MONITOR"});
  gate.open();
  CHECK(first.answer().body == "1");
  // It has tried, ...
  for (const Deadline deadline; monitor.read(deadline).text.find("\"EVAL\" ") == std::string::npos;)
    REQUIRE_FALSE(deadline.passed());
  CHECK(redis.command({"GET", lease}).text == "another's");
}

TEST_CASE("fleet: the README's user of Redis is refused nothing") {
  RedisServer redis({.arguments = {}, .user = pillion_user_for("with `collapse: fleet`")});
  ScriptedUpstream upstream;
  auto& gate = upstream.gate();
  upstream.answer(first_held(gate));
  Fleet fleet(upstream.endpoint(), redis.settings(), options(2, "    collapse_wait: 1s\n"));
  REQUIRE(all_hear(fleet));
  Asking first(fleet[0]);
  REQUIRE(upstream.wait_for_requests(1));
  const std::string lease = the_lease(redis);
  gate.open();
  CHECK(first.answer().body == "1");
  CHECK(eventually([&] { return detailed(fleet[1].get("/thing")).starts_with("hit"); }));
  CHECK(eventually([&] { return !has_lease(redis); }));
  // Nor is who ends a lease that somebody else wrote.
  redis.command({"SET", lease, "x"});
  fleet.invalidate(1, R"({"all": true})");
  CHECK(fleet[1].get("/thing").body == "2");
  CHECK(eventually([&] { return !has_lease(redis); }));
  CHECK(redis.command({"ACL", "LOG"}).to_string() == "[]");
}

TEST_CASE("fleet: in a Cluster and behind sentinels it is one fetch too") {
  ScriptedUpstream upstream;
  const auto check = [&](const std::string& settings, const std::vector<RedisServer*>& masters) {
    auto& gate = upstream.gate();
    const std::size_t before = upstream.count();
    upstream.answer(first_held(gate));
    Fleet fleet(upstream.endpoint(), settings, options(3));
    REQUIRE(all_hear(fleet));
    Asking first(fleet[0]);
    REQUIRE(upstream.wait_for_requests(before + 1));
    RedisServer* holder = nullptr;
    for (RedisServer* server : masters) holder = has_lease(*server) ? server : holder;
    REQUIRE(holder);
    Leases leases(*holder);
    Asking second(fleet[1]), third(fleet[2]);
    REQUIRE(leases.wait_for_attempts(2));
    gate.open();
    for (Asking* one : {&first, &second, &third}) CHECK(one->answer().body == "1");
    CHECK(upstream.count() == before + 1);
    CHECK(out_of_patience(fleet) == 0);
    CHECK(eventually([&] { return !has_lease(*holder); }));
  };
  {
    RedisCluster redis;
    std::vector<RedisServer*> masters;
    for (const int i : redis.masters()) masters.push_back(&redis.node(i));
    check(redis.settings(), masters);
  }
  RedisSentinel redis;
  check(redis.settings(), {&redis.master_server()});
}

TEST_CASE("fleet: a fetch that fails lets the others go at once") {
  RedisServer redis;
  ScriptedUpstream upstream;
  auto& gate = upstream.gate();
  std::atomic<int> number{0};
  upstream.answer([&](Exchange& exchange) {
    if (++number > 1) return exchange.respond(200, {}, "yes");
    gate.wait();
    exchange.respond(503, {}, "no");
  });
  Fleet fleet(upstream.endpoint(), redis.settings(), options(2));
  REQUIRE(all_hear(fleet));
  Leases leases(redis);
  Asking first(fleet[0]);
  REQUIRE(upstream.wait_for_requests(1));
  Asking second(fleet[1]);
  REQUIRE(leases.wait_for_attempts(2));
  gate.open();
  CHECK(first.answer().status == 503);
  CHECK(second.answer().body == "yes");
  CHECK(fleet[1].metric("pillion_limits_total{limit=\"collapse_wait\"}") == 0);
}

TEST_CASE("fleet: a leader that crashes delays nobody for longer than collapse_wait") {
  RedisServer redis;
  ScriptedUpstream upstream;
  auto& gate = upstream.gate();
  upstream.answer(first_held(gate));
  Fleet fleet(upstream.endpoint(), redis.settings(), options(2, "    collapse_wait: 1s\n"));
  REQUIRE(all_hear(fleet));
  Leases leases(redis);
  Asking first(fleet[0]);
  REQUIRE(upstream.wait_for_requests(1));
  fleet.crash(0);
  Asking second(fleet[1]);
  REQUIRE(leases.wait_for_attempts(2));
  CHECK(upstream.wait_for_requests(2, Deadline(5s)));
  CHECK(second.answer().body == "2");
}

TEST_CASE("fleet: nobody is given, or waits for, what was invalidated since its fetch began") {
  RedisServer redis;
  ScriptedUpstream upstream;
  auto& gate = upstream.gate();
  upstream.answer(first_held(gate));
  Fleet fleet(upstream.endpoint(), redis.settings(), options(3, "    tags: [all]\n"));
  REQUIRE(all_hear(fleet));
  Leases leases(redis);
  Asking first(fleet[0]);
  REQUIRE(upstream.wait_for_requests(1));
  Asking second(fleet[1]);
  REQUIRE(leases.wait_for_attempts(2));
  fleet.invalidate(1, R"({"tags": ["all"]})");
  // Who comes now knows that the fetch under way is of no use; who waited is woken by what that one stores.
  CHECK(fleet[2].get("/thing").body != "1");
  CHECK(second.answer().body != "1");
  CHECK(out_of_patience(fleet) == 0);
  gate.open();
  CHECK(first.answer().body == "1");
  for (int i = 0; i < 3; ++i) CHECK(fleet[i].get("/thing").body != "1");
}

TEST_CASE("fleet: each variant goes to who selects it") {
  RedisServer redis;
  ScriptedUpstream upstream;
  auto& gate = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    gate.wait();
    exchange.respond(200, {{"Vary", "X-Kind"}}, exchange.request().fields["X-Kind"]);
  });
  Fleet fleet(upstream.endpoint(), redis.settings(), options(2));
  REQUIRE(all_hear(fleet));
  Leases leases(redis);
  Asking first(fleet[0], {{"X-Kind", "a"}});
  REQUIRE(upstream.wait_for_requests(1));
  Asking same(fleet[1], {{"X-Kind", "a"}});
  REQUIRE(leases.wait_for_attempts(2));
  Asking other(fleet[1], {{"X-Kind", "b"}});
  gate.open();
  CHECK(first.answer().body == "a");
  CHECK(same.answer().body == "a");
  CHECK(other.answer().body == "b");
  CHECK(upstream.count() == 2);
}

TEST_CASE("fleet: a stale answer is refreshed by one replica, in the background") {
  RedisServer redis;
  ScriptedUpstream upstream;
  auto& gate = upstream.gate();
  std::atomic<int> number{0};
  upstream.answer([&](Exchange& exchange) {
    const int n = ++number;
    if (n == 2) gate.wait();
    exchange.respond(200, {{"Cache-Control", n == 1 ? "max-age=1" : "max-age=3600"}}, std::to_string(n));
  });
  Fleet fleet(upstream.endpoint(), redis.settings(), options(3, "    stale: { while_revalidate: 1h }\n"));
  REQUIRE(all_hear(fleet));
  for (int i = 0; i < 3; ++i) CHECK(fleet[i].get("/thing").body == "1");
  Leases leases(redis);
  CHECK(eventually([&] { return detailed(fleet[0].get("/thing")) == "hit stale-while-revalidate"; }));
  REQUIRE(upstream.wait_for_requests(2));
  for (int i = 1; i < 3; ++i)
    CHECK(eventually([&] { return detailed(fleet[i].get("/thing")) == "hit stale-while-revalidate"; }));
  REQUIRE(leases.wait_for_attempts(3));
  gate.open();
  for (int i = 0; i < 3; ++i) CHECK(eventually([&] { return fleet[i].get("/thing").body != "1"; }));
  CHECK(upstream.count() <= 3);  // who looked just before it was stored may ask once more
}

TEST_CASE("fleet: a request that wants a new answer waits for nobody's") {
  RedisServer redis;
  ScriptedUpstream upstream;
  auto& gate = upstream.gate();
  upstream.answer(first_held(gate));
  Fleet fleet(upstream.endpoint(), redis.settings(), options(2));
  REQUIRE(all_hear(fleet));
  Asking first(fleet[0]);
  REQUIRE(upstream.wait_for_requests(1));
  CHECK(fleet[1].get("/thing", {{"Cache-Control", "no-cache"}}).body == "2");
  gate.open();
  CHECK(first.answer().body == "1");
}

TEST_CASE("fleet: without Redis each replica fetches for itself") {
  RedisServer redis;
  ScriptedUpstream upstream(numbered({}));
  Fleet fleet(upstream.endpoint(), redis.settings(), options(2));
  REQUIRE(all_hear(fleet));
  redis.kill();
  CHECK(fleet[0].get("/thing").status == 200);
  CHECK(fleet[1].get("/thing").status == 200);
  CHECK(upstream.count() == 2);
  CHECK(outcome(fleet[0].get("/thing")) == "hit");
}

TEST_CASE("fleet: with a Redis that has stopped answering each replica makes one fetch") {
  RedisServer redis;
  ScriptedUpstream upstream;
  auto& gate = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    gate.wait();
    exchange.respond(200, {}, "body");
  });
  FleetOptions mine = options(2);
  mine.time = not_in_haste;
  Fleet fleet(upstream.endpoint(), redis.settings(), mine);
  REQUIRE(all_hear(fleet));
  redis.pause();
  std::vector<std::unique_ptr<Asking>> asking;
  for (int i = 0; i < 10; ++i) asking.push_back(std::make_unique<Asking>(fleet[i % 2]));
  REQUIRE(upstream.wait_for_requests(2));
  gate.open();
  for (auto& one : asking) CHECK(one->answer().body == "body");
  CHECK(upstream.count() == 2);
  redis.resume();
}

TEST_CASE("fleet: a connection that is lost while another is waited for ends the waiting") {
  RedisServer redis;
  ScriptedUpstream upstream;
  auto& gate = upstream.gate();
  upstream.answer(first_held(gate));
  Fleet fleet(upstream.endpoint(), redis, options(2));
  REQUIRE(all_hear(fleet));
  Leases leases(redis);
  Asking first(fleet[0]);
  REQUIRE(upstream.wait_for_requests(1));
  Asking second(fleet[1]);
  REQUIRE(leases.wait_for_attempts(2));
  fleet.relay(1).cut();
  CHECK(second.answer().body == "2");
  CHECK(out_of_patience(fleet) == 0);
  gate.open();
  CHECK(first.answer().body == "1");
}
