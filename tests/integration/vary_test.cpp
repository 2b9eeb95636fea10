// Several variants of one URL (RFC 9111 4.1; threat 13).
#include "integration.hpp"

namespace {

Handler by_language() {
  return [](Exchange& exchange) {
    exchange.respond(200, {{"Cache-Control", "max-age=60"}, {"Vary", "Accept-Language"}},
                     "for " + exchange.request().fields["Accept-Language"]);
  };
}

}  // namespace

TEST_CASE("vary: each variant is kept and found again") {
  ScriptedUpstream upstream(by_language());
  Pillion proxy(caching_config(upstream.endpoint()));
  CHECK(outcome(proxy.get("/", {{"Accept-Language", "de"}})) == "uri-miss stored");
  CHECK(outcome(proxy.get("/", {{"Accept-Language", "en"}})) == "vary-miss stored");
  CHECK(outcome(proxy.get("/")) == "vary-miss stored");
  for (int i = 0; i < 2; ++i) {
    Response german = proxy.get("/", {{"Accept-Language", "de"}});
    CHECK(outcome(german) == "hit");
    CHECK(german.body == "for de");
    Response english = proxy.get("/", {{"Accept-Language", "en"}});
    CHECK(outcome(english) == "hit");
    CHECK(english.body == "for en");
    CHECK(outcome(proxy.get("/")) == "hit");
  }
  CHECK(upstream.count() == 3);
}

TEST_CASE("vary: absent is not empty, and values may not run into each other") {
  ScriptedUpstream upstream(numbered({{"Cache-Control", "max-age=60"}, {"Vary", "X-A, X-B"}}));
  Pillion proxy(caching_config(upstream.endpoint()));
  const Fields requests[] = {
      {}, {{"X-A", ""}}, {{"X-A", "1"}, {"X-B", "23"}}, {{"X-A", "12"}, {"X-B", "3"}}, {{"X-B", "1"}}, {{"X-A", "1"}}};
  std::vector<std::string> bodies;
  for (const auto& fields : requests) bodies.push_back(proxy.get("/", fields).body);
  for (std::size_t i = 0; i < bodies.size(); ++i) {
    CAPTURE(i);
    Response again = proxy.get("/", requests[i]);
    CHECK(outcome(again) == "hit");
    CHECK(again.body == bodies[i]);
    for (std::size_t j = 0; j < i; ++j) {
      bool empty_or_absent = i == 1 && j == 0;
      if (!empty_or_absent) CHECK(bodies[i] != bodies[j]);
    }
  }
}

TEST_CASE("vary: several lines of a field are the same as one list") {
  ScriptedUpstream upstream(numbered({{"Cache-Control", "max-age=60"}, {"Vary", "X-A"}}));
  Pillion proxy(caching_config(upstream.endpoint()));
  std::string body = proxy.get("/", {{"X-A", "1"}, {"X-A", "2"}}).body;
  CHECK(proxy.get("/", {{"X-A", "1, 2"}}).body == body);
  CHECK(proxy.get("/", {{"X-A", "2, 1"}}).body != body);
}

TEST_CASE("vary: more names than anyone needs are not stored") {
  std::string names = "X-0";
  for (int i = 1; i < 40; ++i) names += ", X-" + std::to_string(i);
  ScriptedUpstream upstream(numbered({{"Cache-Control", "max-age=60"}, {"Vary", names}}));
  Pillion proxy(caching_config(upstream.endpoint()));
  CHECK(proxy.get("/").body == "1");
  CHECK(proxy.get("/").body == "2");
}

TEST_CASE("vary: variants stand in Redis as one entry and its variants, and survive a restart of the proxy") {
  RedisServer redis;
  ScriptedUpstream upstream(by_language());
  Pillion proxy(caching_config(upstream.endpoint(), &redis));
  proxy.get("/", {{"Accept-Language", "de"}});
  proxy.get("/", {{"Accept-Language", "en"}});
  REQUIRE(eventually([&] { return redis.keys("api:all:*").size() == 3; }));
  auto keys = redis.keys("api:all:*");
  CHECK(keys[1].starts_with(keys[0] + "."));
  CHECK(keys[2].starts_with(keys[0] + "."));
  proxy.restart();
  Response english = proxy.get("/", {{"Accept-Language", "en"}});
  CHECK(detailed(english) == "hit redis");
  CHECK(english.body == "for en");
  CHECK(proxy.get("/", {{"Accept-Language", "de"}}).body == "for de");
  CHECK(upstream.count() == 2);
}

TEST_CASE("vary: a new Vary of the same URL is followed, the old variants are not mixed in") {
  std::atomic<bool> later{false};
  ScriptedUpstream upstream([&](Exchange& exchange) {
    const auto& fields = exchange.request().fields;
    exchange.respond(200, {{"Cache-Control", "max-age=60"}, {"Vary", later ? "X-B" : "X-A"}},
                     (later ? "b " + fields["X-B"] : "a " + fields["X-A"]));
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  CHECK(proxy.get("/", {{"X-A", "1"}, {"X-B", "1"}}).body == "a 1");
  later = true;
  CHECK(proxy.get("/", {{"X-A", "2"}, {"X-B", "2"}}).body == "b 2");
  CHECK(proxy.get("/", {{"X-A", "2"}, {"X-B", "3"}}).body == "b 3");
}

TEST_CASE("vary: a request header repeated in HEAD selects like GET") {
  ScriptedUpstream upstream(by_language());
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/", {{"Accept-Language", "de"}});
  CHECK(outcome(proxy.request("HEAD", "/", {{"Accept-Language", "de"}})) == "hit");
  CHECK(outcome(proxy.request("HEAD", "/", {{"Accept-Language", "fr"}})) != "hit");
}
