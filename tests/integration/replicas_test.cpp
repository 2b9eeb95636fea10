// Several replicas that share one Redis: what one is told all do, receipts say who has done it, and who is cut off or
// loses the log trusts nothing older (product contract, section 4).
//
// PILLION_LONG=1 (tests/run.sh --long) sends 10,000 invalidations instead of hundreds.
#include <algorithm>
#include <csignal>
#include <cstdio>

#include "integration.hpp"
#include "support/fleet.hpp"

namespace {

std::string routes() {
  return R"(routes:
  - name: thing
    path: /things/{id}
    ttl: 600s
    key: "thing:{id}"
    tags: ["thing:{id}", things]
    stale: { while_revalidate: 300s }
  - name: other
    path: /**
    ttl: 600s
)";
}

/// Every answer is the number of commits so far; a PUT commits.
class Number {
 public:
  Handler handler() {
    return [this](Exchange& exchange) {
      exchange.read_body();
      if (exchange.request().method != "GET") {
        ++value_;
        return exchange.respond(200, {}, "done");
      }
      std::string body = std::to_string(value_.load());
      std::string tag = "\"" + body + "\"";
      bool same = exchange.request().fields["If-None-Match"] == tag;
      same ? exchange.respond(304, {{"ETag", tag}}) : exchange.respond(200, {{"ETag", tag}}, body);
    };
  }
  void commit() { ++value_; }
  int value() const { return value_; }

 private:
  std::atomic<int> value_{0};
};

FleetOptions options() { return {.replicas = 3, .routes = routes()}; }

/// Every replica holds it in memory, and it stands in Redis.
void fill(Fleet& fleet, const std::string& target) {
  for (int i = 0; i < fleet.size(); ++i) {
    CAPTURE(i);
    CAPTURE(target);
    REQUIRE(eventually([&] { return detailed(fleet[i].get(target)) == "hit memory"; }));
  }
}

std::set<std::string> names_in(const Json& list) {
  std::set<std::string> out;
  for (const Json& name : list.array) out.insert(name.string);
  return out;
}

std::set<std::string> names_of(const Fleet& fleet, std::initializer_list<int> which) {
  std::set<std::string> out;
  for (int i : which) out.insert(fleet.name(i));
  return out;
}

}  // namespace

TEST_CASE("replicas: an invalidation through one holds at all that its receipt names, whatever it selects") {
  RedisServer redis;
  Number number;
  ScriptedUpstream upstream(number.handler());
  Fleet fleet(upstream.endpoint(), redis.settings(), options());
  REQUIRE(fleet.wait_until_in_step());
  struct Row {
    std::string selector;
    bool other_too;  // another thing than the one that it is about
  };
  const Row rows[] = {{R"({"tags": ["thing:1"]})", false},
                      {R"({"tags": ["none", "things"]})", true},
                      {R"({"patterns": ["thing:1:*"]})", false},
                      {R"({"patterns": ["thing:*"]})", true},
                      {R"({"patterns": ["*g:1:*"]})", false},
                      {R"({"patterns": ["thing:?:*"]})", true},
                      {R"({"urls": ["/things/1"]})", false},
                      {R"({"urls": ["http://app.test/things/1"]})", false},
                      {R"({"all": true})", true}};
  int turn = 0;
  for (const Row& row : rows) {
    CAPTURE(row.selector);
    fill(fleet, "/things/1");
    fill(fleet, "/things/2");
    number.commit();
    Json receipt = fleet.invalidate(turn++ % 3, row.selector);
    CHECK(names_in(receipt["replicas"]["acknowledged"]) == names_of(fleet, {0, 1, 2}));
    CHECK(receipt["replicas"]["waiting"].array.empty());
    for (int i = 0; i < 3; ++i) {
      CAPTURE(i);
      CHECK(fleet[i].get("/things/1").body == std::to_string(number.value()));
      if (!row.other_too) CHECK(detailed(fleet[i].get("/things/2")) == "hit memory");
      if (row.other_too) CHECK(fleet[i].get("/things/2").body == std::to_string(number.value()));
    }
  }
}

TEST_CASE("replicas: a write through one is followed by the others, with what its route and its answer say") {
  RedisServer redis;
  Number number;
  ScriptedUpstream upstream(number.handler());
  Fleet fleet(upstream.endpoint(), redis.settings(), options());
  for (int round = 0; round < 5; ++round) {
    fill(fleet, "/things/1");
    CHECK(fleet[round % 3].request("PUT", "/things/1", {}, "x").status == 200);
    std::string now = std::to_string(number.value());
    CHECK(fleet[round % 3].get("/things/1").body == now);
    for (int i = 0; i < 3; ++i) {
      CAPTURE(i);
      CHECK(eventually([&] { return fleet[i].get("/things/1").body == now; }));
    }
  }
}

TEST_CASE(
    "replicas: a receipt tells who has not heard it; who is silent for long doesn't count; a new process has a new "
    "name") {
  RedisServer redis;
  Number number;
  ScriptedUpstream upstream(number.handler());
  Fleet fleet(upstream.endpoint(), redis, options());
  REQUIRE(fleet.wait_until_in_step());
  fleet.relay(2).blackhole();
  Json receipt = fleet.invalidate(0, R"({"tags": ["a"]})", "200ms");
  CHECK(names_in(receipt["replicas"]["acknowledged"]) == names_of(fleet, {0, 1}));
  CHECK(names_in(receipt["replicas"]["waiting"]) == names_of(fleet, {2}));
  fleet.crash(1);
  // Neither who is cut off nor who has died holds up a receipt for ever.
  CHECK(eventually([&] {
    Json later = fleet.invalidate(0, R"({"tags": ["a"]})", "0s");
    return names_in(later["replicas"]["acknowledged"]) == names_of(fleet, {0}) &&
           later["replicas"]["waiting"].array.empty();
  }));
  std::string dead = fleet.name(1);
  fleet.restart(1);
  CHECK(fleet.name(1) != dead);
  fleet.relay(2).heal();
  CHECK(fleet.wait_until_in_step());
  Json all = fleet.invalidate(1, R"({"tags": ["a"]})");
  CHECK(names_in(all["replicas"]["acknowledged"]) == names_of(fleet, {0, 1, 2}));
}

TEST_CASE("replicas: the command waits for them and names them") {
  RedisServer redis;
  ScriptedUpstream upstream(cacheable("x"));
  Fleet fleet(upstream.endpoint(), redis.settings(), options());
  REQUIRE(fleet.wait_until_in_step());
  Finished done = run_pillion({"invalidate", "--admin", fleet[1].admin().url(), "--tag", "a", "--wait", "10s"});
  CHECK(done.exit.code == 0);
  for (int i = 0; i < 3; ++i) CHECK(done.out.find(fleet.name(i)) != std::string::npos);
}

TEST_CASE("replicas: a soft invalidation is one at all of them; a dry run is none at any") {
  RedisServer redis;
  Number number;
  ScriptedUpstream upstream(number.handler());
  Fleet fleet(upstream.endpoint(), redis.settings(), options());
  fill(fleet, "/things/1");
  number.commit();
  Json dry = fleet.invalidate(0, R"({"tags": ["thing:1"], "dry_run": true})", "1s");
  CHECK(dry["matched"].number >= 1);
  for (int i = 0; i < 3; ++i) CHECK(detailed(fleet[i].get("/things/1")) == "hit memory");
  Json soft = fleet.invalidate(0, R"({"tags": ["thing:1"], "soft": true})");
  CHECK(names_in(soft["replicas"]["acknowledged"]) == names_of(fleet, {0, 1, 2}));
  for (int i = 0; i < 3; ++i) {
    CAPTURE(i);
    // Stale, and marked so, or new already: never fresh and old.
    Response next = fleet[i].get("/things/1");
    bool is_new = next.body == std::to_string(number.value());
    CHECK((is_new || cache_status(next).detail == "stale-while-revalidate"));
    CHECK(eventually([&] { return fleet[i].get("/things/1").body == std::to_string(number.value()); }));
  }
}

TEST_CASE("replicas: hundreds of invalidations, each seen by all the others") {
  RedisServer redis;
  Number number;
  ScriptedUpstream upstream(number.handler());
  Fleet fleet(upstream.endpoint(), redis.settings(), options());
  fill(fleet, "/things/1");
  const int n = long_run() ? 10000 : 500;
  std::vector<double> milliseconds;
  std::vector<HttpClient> readers, admins;
  for (int i = 0; i < 3; ++i) {
    readers.emplace_back(fleet[i].client());
    admins.emplace_back(fleet[i].admin());
  }
  auto sees = [&](std::size_t replica, const std::string& what) {
    Deadline deadline;
    while (!deadline.passed()) {
      if (readers[replica].get("/things/1").body == what) return true;
    }
    return false;
  };
  for (std::size_t round = 0; round < static_cast<std::size_t>(n); ++round) {
    number.commit();
    std::string now = std::to_string(number.value());
    Response answer = admins[round % 3].request("POST", "/invalidate", {{"Content-Type", "application/json"}},
                                                R"({"tags": ["thing:1"]})");
    REQUIRE(answer.status == 200);
    auto answered = Clock::now();
    // One of the others is asked without a pause, so that nothing but it is measured; then all.
    REQUIRE(sees((round + 1 + round / 3 % 2) % 3, now));
    milliseconds.push_back(std::chrono::duration<double, std::milli>(Clock::now() - answered).count());
    for (std::size_t i = 0; i < 3; ++i) REQUIRE(sees(i, now));
  }
  std::sort(milliseconds.begin(), milliseconds.end());
  auto share = [&](double p) { return milliseconds[static_cast<std::size_t>(p * double(milliseconds.size() - 1))]; };
  std::printf(
      "FIGURES | %d invalidations, until another replica serves what is new | %.2f ms (median), %.2f ms (p99), %.2f ms "
      "(longest) |\n",
      n, share(0.5), share(0.99), share(1));
}

TEST_CASE("replicas: whoever loses the log, in any way, makes all of them distrust what they have") {
  struct Way {
    std::string name;
    std::function<void(RedisServer&)> lose;
  };
  std::string old_log;
  const Way ways[] = {
      {"flushed", [](RedisServer& redis) { redis.command({"FLUSHALL"}); }},
      {"its database flushed", [](RedisServer& redis) { redis.command({"FLUSHDB", "ASYNC"}); }},
      {"the log deleted", [](RedisServer& redis) { redis.command({"UNLINK", "pillion:log"}); }},
      {"another's value in its place",
       [](RedisServer& redis) { redis.command({"SET", "pillion:log", "something else"}); }},
      {"restarted empty",
       [](RedisServer& redis) {
         redis.kill();
         redis.start();
       }},
      {"an older log put back",
       [&](RedisServer& redis) { redis.command({"RESTORE", "pillion:log", "0", old_log, "REPLACE"}); }},
  };
  for (const Way& way : ways) {
    CAPTURE(way.name);
    RedisServer redis;
    Number number;
    ScriptedUpstream upstream(number.handler());
    Fleet fleet(upstream.endpoint(), redis.settings(), options());
    fill(fleet, "/things/1");
    old_log = redis.command({"DUMP", "pillion:log"}).text;
    fleet.invalidate(0, R"({"tags": ["elsewhere"]})");
    fill(fleet, "/things/1");
    number.commit();  // nobody is told: only distrust can bring it to light
    way.lose(redis);
    for (int i = 0; i < 3; ++i) {
      CAPTURE(i);
      CHECK(eventually([&] { return fleet[i].get("/things/1").body == std::to_string(number.value()); }));
    }
    // And all is as it was: stored, invalidated, acknowledged.
    CHECK(fleet.wait_until_in_step());
    fill(fleet, "/things/1");
    number.commit();
    CHECK(names_in(fleet.invalidate(1, R"({"tags": ["thing:1"]})")["replicas"]["acknowledged"]) ==
          names_of(fleet, {0, 1, 2}));
    for (int i = 0; i < 3; ++i) CHECK(fleet[i].get("/things/1").body == std::to_string(number.value()));
  }
}

TEST_CASE("replicas: as many as 1,000 tags on one response, in three fields; each of them reaches all replicas") {
  RedisServer redis;
  std::atomic<int> value{0};
  std::string keys, tags, groups;
  for (int i = 0; i < 400; ++i) keys += (i > 0 ? " " : "") + ("s" + std::to_string(i));
  for (int i = 0; i < 400; ++i) tags += (i > 0 ? "," : "") + ("t" + std::to_string(i));
  for (int i = 0; i < 200; ++i) groups += (i > 0 ? ", " : "") + ("\"g" + std::to_string(i) + "\"");
  ScriptedUpstream upstream([&](Exchange& exchange) {
    exchange.read_body();
    if (exchange.request().method != "GET") {
      ++value;
      return exchange.respond(200, {{"Cache-Group-Invalidation", "\"g199\""}}, "done");
    }
    exchange.respond(200, {{"Surrogate-Key", keys}, {"Cache-Tag", tags}, {"Cache-Groups", groups}},
                     std::to_string(value));
  });
  Fleet fleet(upstream.endpoint(), redis.settings(),
              {.replicas = 2, .routes = "routes:\n  - name: all\n    path: /**\n    ttl: 600s\n"});
  for (std::string tag : {"s0", "s399", "t0", "t399", "t123"}) {
    CAPTURE(tag);
    fill(fleet, "/thing");
    ++value;
    fleet.invalidate(0, R"({"tags": [")" + tag + "\"]}");
    for (int i = 0; i < 2; ++i) CHECK(fleet[i].get("/thing").body == std::to_string(value));
  }
  fill(fleet, "/thing");
  fleet.invalidate(0, R"({"tags": ["s400", "t400", "s", "elsewhere"]})");
  for (int i = 0; i < 2; ++i) CHECK(detailed(fleet[i].get("/thing")) == "hit memory");
  fleet[1].request("POST", "/other", {}, "x");
  for (int i = 0; i < 2; ++i) CHECK(eventually([&] { return fleet[i].get("/thing").body == std::to_string(value); }));
}

TEST_CASE("replicas: no KEYS ever, and whoever reads and writes responses never SCANs") {
  RedisServer redis;
  Number number;
  ScriptedUpstream upstream(number.handler());
  Fleet fleet(upstream.endpoint(), redis.settings(), options());
  REQUIRE(fleet.wait_until_in_step());
  redis.command({"CONFIG", "RESETSTAT"});
  RedisClient monitor(redis.endpoint());
  monitor.command({"MONITOR"});
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 3; ++i) {
      for (int thing = 0; thing < 5; ++thing) fleet[i].get("/things/" + std::to_string(thing));
    }
    static constexpr const char* selectors[] = {R"({"patterns": ["*g:1:*"]})", R"({"patterns": ["thing:*"]})",
                                                R"({"tags": ["things"]})", R"({"all": true})",
                                                R"({"urls": ["/things/3"]})"};
    fleet.invalidate(round % 3, selectors[round % 5], "0s");
    fleet[round % 3].request("PUT", "/things/2", {}, "x");
  }
  redis.command({"ECHO", "the end"});
  std::set<std::string> with_responses, scanning;
  for (;;) {
    std::string line = lower(monitor.read().text);  // 1700000000.123456 [0 127.0.0.1:40000] "get" "thing:1:..."
    if (line.find("\"echo\" \"the end\"") != std::string::npos) break;
    auto open = line.find('['), close = line.find(']');
    if (close == std::string::npos) continue;
    std::string who = line.substr(open, close - open);
    std::string command = line.substr(std::min(close + 2, line.size()));
    CHECK_FALSE(command.starts_with("\"keys\""));
    if (command.starts_with("\"scan\"")) scanning.insert(who);
    if (command.find("\"thing:") != std::string::npos && !command.starts_with("\"unlink\"")) with_responses.insert(who);
  }
  CHECK_FALSE(with_responses.empty());
  for (const auto& who : scanning) CHECK_FALSE(with_responses.contains(who));
  CHECK(redis.command({"INFO", "commandstats"}).text.find("cmdstat_keys:") == std::string::npos);
}

TEST_CASE("replicas: one that was cut off while the log was trimmed trusts nothing it had") {
  for (std::string left : {"2", "1", "0"}) {
    CAPTURE(left);
    RedisServer redis;
    Number number;
    ScriptedUpstream upstream(number.handler());
    Fleet fleet(upstream.endpoint(), redis, options());
    fill(fleet, "/things/1");
    REQUIRE(fleet.wait_until_in_step());
    fleet.relay(1).cut();
    number.commit();
    for (const char* tag : {"thing:1", "elsewhere", "elsewhere too"})
      fleet.invalidate(0, R"({"tags": [")" + std::string(tag) + "\"]}", "0s");
    CHECK(redis.command({"XTRIM", "pillion:log", "MAXLEN", left}).integer > 0);
    fleet.relay(1).resume();
    CHECK(eventually([&] { return fleet[1].get("/things/1").body == std::to_string(number.value()); }));
    CHECK(fleet.wait_until_in_step());
    fill(fleet, "/things/1");
  }
}

TEST_CASE("replicas: a new process doesn't use what stands in Redis if the log that would tell was trimmed") {
  for (std::string left : {"2", "1", "0"}) {
    CAPTURE(left);
    RedisServer redis;
    Number number;
    ScriptedUpstream upstream(number.handler());
    Fleet fleet(upstream.endpoint(), redis.settings(), options());
    fill(fleet, "/things/1");
    number.commit();
    for (const char* tag : {"thing:1", "elsewhere", "elsewhere too"})
      fleet.invalidate(0, R"({"tags": [")" + std::string(tag) + "\"]}");
    redis.command({"XTRIM", "pillion:log", "MAXLEN", left});
    fleet.crash(2);
    fleet.restart(2);
    CHECK(fleet[2].get("/things/1").body == std::to_string(number.value()));
    CHECK(fleet.wait_until_in_step());
  }
}

TEST_CASE("replicas: one that was cut off while a record was deleted from the log trusts nothing it had") {
  RedisServer redis;
  Number number;
  ScriptedUpstream upstream(number.handler());
  Fleet fleet(upstream.endpoint(), redis, options());
  fill(fleet, "/things/1");
  REQUIRE(fleet.wait_until_in_step());
  fleet.relay(1).cut();
  number.commit();
  fleet.invalidate(0, R"({"tags": ["thing:1"]})", "0s");
  RedisReply last = redis.command({"XREVRANGE", "pillion:log", "+", "-", "COUNT", "1"});
  CHECK(redis.command({"XDEL", "pillion:log", last.elements.at(0).elements.at(0).text}).integer == 1);
  fleet.invalidate(0, R"({"tags": ["elsewhere"]})", "0s");
  fleet.relay(1).resume();
  CHECK(eventually([&] { return fleet[1].get("/things/1").body == std::to_string(number.value()); }));
  CHECK(fleet.wait_until_in_step());
}
