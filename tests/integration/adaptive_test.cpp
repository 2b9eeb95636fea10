// Learned lifetimes (`adaptive:` of a route). The first response of a URL comes with an Age beyond its lifetime: it is
// stale from the start, and its contents count as that old.
#include "integration.hpp"
#include "support/fleet.hpp"

namespace {

constexpr std::string_view learning = "    ttl: 1000s\n    adaptive: { min: 100s, max: 4000s }\n";

/// An hour and more old, with "first" as its body; then what `refreshed` answers.
Handler old_once(Handler refreshed, const Fields& more = {}) {
  auto count = std::make_shared<std::atomic<int>>(0);
  return [refreshed = std::move(refreshed), more, count](Exchange& exchange) {
    if ((*count)++ > 0) return refreshed(exchange);
    Fields fields{{"Age", "5000"}, {"ETag", "\"v1\""}};
    for (const auto& [name, value] : more) fields.add(name, value);
    exchange.respond(200, fields, "first");
  };
}

Handler unchanged(const Fields& more = {}) {
  return [more](Exchange& exchange) {
    Fields fields{{"ETag", "\"v1\""}};
    for (const auto& [name, value] : more) fields.add(name, value);
    exchange.respond(304, fields);
  };
}

Handler with_body(std::string body, std::string etag) {
  return [=](Exchange& exchange) { exchange.respond(200, {{"ETag", etag}}, body); };
}

long ttl_of(const Response& response) { return cache_status(response).ttl.value_or(-1); }

Json stored_at(Pillion& proxy, const std::string& target) {
  return Json::parse(proxy.admin_get("/explain?method=GET&url=http://app.test" + target).body)["stored"];
}

}  // namespace

TEST_CASE("adaptive: what comes back unchanged is kept longer, what changes shorter, and both can be seen") {
  ScriptedUpstream upstream;
  upstream.answer("/confirmed", old_once(unchanged()));
  upstream.answer("/equal", old_once(with_body("first", "\"v2\"")));
  upstream.answer("/other", old_once(with_body("second", "\"v2\"")));
  Pillion proxy(one_route(upstream.endpoint(), learning));
  for (const std::string target : {"/confirmed", "/equal"}) {
    CAPTURE(target);
    proxy.get(target);
    proxy.get(target);
    const Response longer = proxy.get(target);
    CHECK(detailed(longer) == stored_hit());
    CHECK(ttl_of(longer) > 1900);
    CHECK(ttl_of(longer) <= 2044);
    const Json stored = stored_at(proxy, target);
    CHECK(stored["learned"].boolean);
    CHECK(stored["lifetime"].number >= 2000);
    CHECK(stored["lifetime"].number <= 2044);
    CHECK(stored["between_changes"].number >= 7000);
  }
  proxy.get("/other");
  CHECK(proxy.get("/other").body == "second");
  const Response shorter = proxy.get("/other");
  CHECK(ttl_of(shorter) > 800);
  CHECK(ttl_of(shorter) <= 895);
  CHECK(upstream.count() == 6);
  const Json adaptive = Json::parse(proxy.admin_get("/stats").body)["routes"]["all"]["adaptive"];
  CHECK(adaptive["refreshes"].number == 3);
  CHECK(adaptive["lengthened"].number == 2);
  CHECK(adaptive["shortened"].number == 1);
  CHECK(adaptive["mean_lifetime"].number > 1600);
  CHECK(adaptive["mean_lifetime"].number < 1700);
  CHECK(proxy.metric("pillion_lifetimes_changed_total{route=\"all\",to=\"longer\"}") == 2);
}

TEST_CASE("adaptive: an explicit lifetime of the response is never gone past") {
  ScriptedUpstream upstream(
      old_once(unchanged({{"Cache-Control", "max-age=500"}}), {{"Cache-Control", "max-age=500"}}));
  Pillion proxy(one_route(upstream.endpoint(), learning));
  proxy.get("/");
  proxy.get("/");
  const Response response = proxy.get("/");
  CHECK(ttl_of(response) > 400);
  CHECK(ttl_of(response) <= 500);
  CHECK(stored_at(proxy, "/")["lifetime"].number == 500);
}

TEST_CASE("adaptive: what was invalidated teaches nothing, and what was learned holds") {
  ScriptedUpstream upstream(old_once(unchanged()));
  Pillion proxy(one_route(upstream.endpoint(), learning));
  proxy.get("/");
  proxy.get("/");
  REQUIRE(ttl_of(proxy.get("/")) > 1900);
  // With a strong entity tag, and then without one.
  for (const std::string body : {"second", "third"}) {
    CAPTURE(body);
    proxy.invalidate(R"({"all": true})");
    upstream.answer([&](Exchange& exchange) {
      Fields fields;
      if (body == "second") fields.add("ETag", "\"v2\"");
      exchange.respond(200, fields, body);
    });
    CHECK(proxy.get("/").body == body);
    CHECK(ttl_of(proxy.get("/")) > 1900);
  }
  proxy.invalidate(R"({"all": true})");
  upstream.answer([](Exchange& exchange) { exchange.respond(200, {}, "fourth"); });
  CHECK(proxy.get("/").body == "fourth");
  CHECK(ttl_of(proxy.get("/")) > 1900);
  CHECK(Json::parse(proxy.admin_get("/stats").body)["routes"]["all"]["adaptive"]["refreshes"].number == 1);
}

TEST_CASE("adaptive: without it, lifetimes stay as they are") {
  ScriptedUpstream upstream(old_once(unchanged()));
  Pillion proxy(one_route(upstream.endpoint(), "    ttl: 1000s\n"));
  proxy.get("/");
  proxy.get("/");
  CHECK(ttl_of(proxy.get("/")) <= 1000);
  CHECK_FALSE(stored_at(proxy, "/")["learned"].boolean);
}

TEST_CASE("adaptive: what one replica has learned the others know, and it outlasts them") {
  if (skipped_in({Stores::redis, Stores::both}, "it starts its own Redis")) return;
  RedisServer redis;
  ScriptedUpstream upstream(old_once(unchanged()));
  FleetOptions options;
  options.replicas = 2;
  options.routes = "routes:\n  - name: all\n    path: /**\n    keep: 1h\n" + std::string(learning);
  Fleet fleet(upstream.endpoint(), redis.settings(), options);
  fleet[0].get("/");
  fleet[0].get("/");
  REQUIRE(ttl_of(fleet[0].get("/")) > 1900);
  CHECK(eventually([&] { return ttl_of(fleet[1].get("/")) > 1900; }));
  CHECK(stored_at(fleet[1], "/")["learned"].boolean);
  fleet.restart(0);
  CHECK(eventually([&] { return ttl_of(fleet[0].get("/")) > 1900; }));
  CHECK(upstream.count() == 2);
}
