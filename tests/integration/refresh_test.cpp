// Refreshing ahead and jitter (`refresh:` of a route). Responses come with an Age near their lifetime, so that they are
// in its last part from the start: all but one in some thousand lots of a process are due then.
#include "integration.hpp"
#include "support/fleet.hpp"

namespace {

constexpr std::string_view ahead = "    cache: on\n    refresh: { ahead: 50% }\n";

/// Fresh for another 100 seconds of twelve days.
Handler nearly_over(const Fields& more = {}) {
  return [more](Exchange& exchange) {
    Fields fields = caching("max-age=1000000", {{"Age", "999900"}, {"ETag", "\"v1\""}});
    for (const auto& [name, value] : more) fields.add(name, value);
    exchange.respond(200, fields, "first");
  };
}

void check_fresh(const Response& response) {
  CHECK(response.body == "first");
  CHECK(outcome(response) == "hit");
  CHECK(cache_status(response).ttl.value_or(-1) > 0);
}

}  // namespace

TEST_CASE("refresh: what is asked for often is fetched anew behind a fresh answer, once") {
  ScriptedUpstream upstream(nearly_over());
  Pillion proxy(one_route(upstream.endpoint(), ahead));
  CHECK(proxy.get("/").body == "first");
  Gate& gate = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    gate.wait();
    exchange.respond(200, caching("max-age=60"), "second");
  });
  for (int i = 0; i < 4; ++i) check_fresh(proxy.get("/"));
  REQUIRE(upstream.wait_for_requests(2));
  CHECK(upstream.requests()[1].fields["If-None-Match"] == "\"v1\"");
  in_parallel(10, [&](int) { check_fresh(proxy.get("/")); });
  CHECK(upstream.count() == 2);
  gate.open();
  CHECK(eventually([&] { return proxy.get("/").body == "second"; }));
  CHECK(detailed(proxy.get("/")) == stored_hit());
  CHECK(upstream.count() == 2);
  CHECK(proxy.metric("pillion_refreshed_ahead_total{route=\"all\"}") == 1);
  const Json stats = Json::parse(proxy.admin_get("/stats").body);
  CHECK(stats["routes"]["all"]["refreshed_ahead"].number == 1);
  CHECK(stats["routes"]["all"]["misses"].number == 1);
}

TEST_CASE("refresh: one that comes back unchanged freshens what is stored") {
  ScriptedUpstream upstream(nearly_over());
  Pillion proxy(one_route(upstream.endpoint(), ahead));
  proxy.get("/");
  upstream.answer([](Exchange& exchange) { exchange.respond(304, caching("max-age=60", {{"ETag", "\"v1\""}})); });
  CHECK(eventually([&] {
    Response response = proxy.get("/");
    check_fresh(response);
    return cache_status(response).ttl.value_or(1000) <= 60;
  }));
  CHECK(upstream.count() == 2);
}

TEST_CASE("refresh: what is asked for seldom is left to expire, and so is what has time left") {
  ScriptedUpstream upstream(nearly_over());
  Pillion proxy(one_route(upstream.endpoint(), ahead));
  proxy.get("/cold");
  for (int i = 0; i < 3; ++i) check_fresh(proxy.get("/cold"));
  upstream.answer("/early", cacheable("early"));
  for (int i = 0; i < 20; ++i) proxy.get("/early");
  // When a later one was refreshed, these would have been.
  proxy.get("/hot");
  CHECK(eventually([&] {
    proxy.get("/hot");
    return upstream.count("/hot") > 1;
  }));
  CHECK(upstream.count("/cold") == 1);
  CHECK(upstream.count("/early") == 1);
}

TEST_CASE("refresh: without the setting nothing is fetched ahead") {
  ScriptedUpstream upstream(nearly_over());
  Pillion proxy(one_route(upstream.endpoint(), "    cache: on\n    refresh: { jitter: 0.0001% }\n"));
  proxy.get("/");
  for (int i = 0; i < 20; ++i) proxy.get("/");
  CHECK(upstream.count() == 1);
}

TEST_CASE("refresh: one that fails leaves the fresh answer, and another is tried") {
  for (const bool answers : {true, false}) {
    CAPTURE(answers);
    ScriptedUpstream upstream(nearly_over());
    Pillion proxy(one_route(upstream.endpoint(),
                            "    cache: on\n    refresh: { ahead: 50% }\n"
                            "    ttl_by_status: { 503: 1h }\n"));
    proxy.get("/");
    upstream.answer([&](Exchange& exchange) {
      if (!answers) return exchange.reset();
      exchange.respond(503, caching("max-age=60"), "broken");
    });
    CHECK(eventually([&] {
      check_fresh(proxy.get("/"));
      return upstream.count() > 2;
    }));
    check_fresh(proxy.get("/"));
  }
}

TEST_CASE("refresh: an invalidation while it is under way isn't lost") {
  ScriptedUpstream upstream(nearly_over());
  Pillion proxy(one_route(upstream.endpoint(), ahead));
  proxy.get("/");
  Gate& gate = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    gate.wait();
    exchange.respond(200, caching("max-age=60"), "old");
  });
  CHECK(eventually([&] {
    check_fresh(proxy.get("/"));
    return upstream.count() == 2;
  }));
  proxy.invalidate(R"({"all": true})");
  upstream.answer(cacheable("new"));
  CHECK(proxy.get("/").body == "new");
  gate.open();
  for (int i = 0; i < 10; ++i) CHECK(proxy.get("/").body == "new");
}

TEST_CASE("refresh: each variant of a URL is refreshed by itself") {
  ScriptedUpstream upstream(nearly_over({{"Vary", "Accept-Language"}}));
  Pillion proxy(one_route(upstream.endpoint(), ahead));
  const Fields de{{"Accept-Language", "de"}}, en{{"Accept-Language", "en"}};
  proxy.get("/", de);
  proxy.get("/", en);
  upstream.answer([](Exchange& exchange) {
    exchange.respond(200, caching("max-age=60", {{"Vary", "Accept-Language"}}),
                     exchange.request().fields["Accept-Language"]);
  });
  CHECK(eventually([&] { return proxy.get("/", de).body == "de"; }));
  CHECK(proxy.get("/", en).body == "first");
  CHECK(upstream.count() == 3);
}

TEST_CASE("refresh: of replicas that share a Redis one fetches for all") {
  if (skipped_in({Stores::redis, Stores::both}, "it starts its own Redis")) return;
  RedisServer redis;
  ScriptedUpstream upstream(nearly_over());
  FleetOptions options;
  options.routes =
      "routes:\n  - name: all\n    path: /**\n    cache: on\n    collapse: fleet\n    refresh: { ahead: 50% }\n";
  Fleet fleet(upstream.endpoint(), redis.settings(), options);
  for (int i = 0; i < fleet.size(); ++i) REQUIRE(eventually([&] { return fleet[i].metric("pillion_watch_up") == 1; }));
  fleet[0].get("/");
  Gate& gate = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    gate.wait();
    exchange.respond(200, caching("max-age=60"), "second");
  });
  for (int round = 0; round < 6; ++round)
    for (int i = 0; i < fleet.size(); ++i) check_fresh(fleet[i].get("/"));
  REQUIRE(upstream.wait_for_requests(2));
  for (int i = 0; i < fleet.size(); ++i) check_fresh(fleet[i].get("/"));
  CHECK(upstream.count() == 2);
  gate.open();
  for (int i = 0; i < fleet.size(); ++i) CHECK(eventually([&] { return fleet[i].get("/").body == "second"; }));
  CHECK(upstream.count() == 2);
}

TEST_CASE("refresh: lifetimes stored together differ, none is longer than it may be, and replicas agree on each") {
  if (skipped_in({Stores::redis, Stores::both}, "it starts its own Redis")) return;
  RedisServer redis;
  ScriptedUpstream upstream(cacheable("x"));
  upstream.answer([](Exchange& exchange) { exchange.respond(200, caching("max-age=10000"), "x"); });
  FleetOptions options;
  options.replicas = 2;
  options.routes = "routes:\n  - name: all\n    path: /**\n    cache: on\n    refresh: { jitter: 20% }\n";
  Fleet fleet(upstream.endpoint(), redis.settings(), options);
  long least = 10'000, most = 0;
  for (int n = 0; n < 30; ++n) {
    const std::string target = "/" + std::to_string(n);
    fleet[0].get(target);
    REQUIRE(eventually([&] { return detailed(fleet[1].get(target)).starts_with("hit"); }));
    const Response one = fleet[0].get(target), other = fleet[1].get(target);
    const long ttl = cache_status(one).ttl.value_or(0);
    CHECK(ttl <= 10'000);
    CHECK(ttl >= 7'900);
    CHECK(std::abs(ttl - cache_status(other).ttl.value_or(0)) <= 60);  // as far as the clocks of a busy machine go
    CHECK(one["Cache-Control"] == "max-age=10000");
    least = std::min(least, ttl);
    most = std::max(most, ttl);
  }
  CHECK(most - least > 500);
}
