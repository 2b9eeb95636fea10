// Soft invalidations: what they name is stale from that moment, and may serve as what is stale may (product contract,
// section 4).
#include "integration.hpp"

namespace {

std::string route(const Endpoint& upstream, std::string_view settings) {
  return one_route(upstream, "    ttl: 1h\n    tags: [all]\n" + std::string(settings));
}

constexpr std::string_view soft = R"({"tags": ["all"], "soft": true})";
constexpr std::string_view lenient = "    stale: { while_revalidate: 1h, if_error: 1h }\n";

/// Stores it, and sees it answered from the store.
void fill(Pillion& proxy, const std::string& target = "/thing") {
  proxy.get(target);
  CHECK(outcome(proxy.get(target)) == "hit");
}

}  // namespace

TEST_CASE("soft: what it names answers once more, stale, while it is fetched anew in the background") {
  ScriptedUpstream upstream(numbered({}));
  Pillion proxy(route(upstream.endpoint(), lenient));
  fill(proxy);
  CHECK(proxy.invalidate(soft)["soft"].boolean);
  const Response stale = proxy.get("/thing");
  CHECK(stale.body == "1");
  CHECK(detailed(stale) == "hit stale-while-revalidate");
  CHECK(cache_status(stale).ttl.value_or(1) <= 0);
  CHECK(eventually([&] { return proxy.get("/thing").body != "1"; }));
  CHECK(eventually([&] { return outcome(proxy.get("/thing")) == "hit"; }));
  CHECK(upstream.count() <= 3);  // who looked just before it was stored may ask once more
}

TEST_CASE("soft: by each kind of selector, and nothing that it doesn't name") {
  ScriptedUpstream upstream(numbered({}));
  Pillion proxy(route(upstream.endpoint(), lenient));
  for (const std::string selector :
       {R"("tags": ["all"])", R"("patterns": ["api:*"])", R"("urls": ["/thing"])", R"("all": true)"}) {
    CAPTURE(selector);
    fill(proxy);
    const std::string before = proxy.get("/thing").body;
    proxy.invalidate("{" + selector + R"(, "soft": true})");
    CHECK(proxy.get("/thing").body == before);
    CHECK(eventually([&] { return proxy.get("/thing").body != before; }));
  }
  fill(proxy);
  proxy.invalidate(R"({"tags": ["other"], "patterns": ["x*"], "urls": ["/others"], "soft": true})");
  CHECK(detailed(proxy.get("/thing")) == stored_hit());
}

TEST_CASE("soft: it serves where the upstream fails, in the window that began with it") {
  ScriptedUpstream upstream(numbered({}));
  Pillion proxy(route(upstream.endpoint(), "    stale: { if_error: 1h }\n"));
  fill(proxy);
  proxy.invalidate(soft);
  upstream.stop();
  const Response stale = proxy.get("/thing");
  CHECK(stale.body == "1");
  CHECK(detailed(stale) == "stale stale-if-error");
  upstream.start();
  CHECK(eventually([&] { return proxy.get("/thing").body == "2"; }));
}

TEST_CASE("soft: the window of a response that is fresh for long counts from the invalidation, and ends") {
  ScriptedUpstream upstream(numbered({{"Cache-Control", "max-age=3600, stale-while-revalidate=1, stale-if-error=1"}}));
  Pillion proxy(route(upstream.endpoint(), ""));
  fill(proxy);
  proxy.invalidate(soft);
  upstream.stop();
  CHECK(proxy.get("/thing").body == "1");
  CHECK(eventually([&] { return proxy.get("/thing").status >= 500; }));
  // Another one begins no new window for what was stale already.
  proxy.invalidate(soft);
  CHECK(proxy.get("/thing").status >= 500);
}

TEST_CASE("soft: without a window, or where the response forbids stale answers, it is as good as a hard one") {
  struct Row {
    const char* settings;
    Fields response;
  };
  const Row rows[] = {{"", {}},
                      {lenient.data(), {{"Cache-Control", "max-age=3600, must-revalidate"}}},
                      {lenient.data(), {{"Cache-Control", "s-maxage=3600"}}}};
  for (const Row& row : rows) {
    CAPTURE(row.settings);
    ScriptedUpstream upstream(numbered(row.response));
    Pillion proxy(route(upstream.endpoint(), row.settings));
    fill(proxy);
    proxy.invalidate(soft);
    CHECK(proxy.get("/thing").body == "2");
    proxy.invalidate(soft);
    upstream.stop();
    CHECK(proxy.get("/thing").status >= 500);
  }
}

TEST_CASE("soft: it is validated by a strong entity tag, and by nothing weaker") {
  ScriptedUpstream upstream;
  const auto validated = [](const std::string& name, const std::string& value, const std::string& condition) {
    return [=](Exchange& exchange) {
      if (!exchange.request().fields[condition].empty()) return exchange.respond(304, {{name, value}});
      exchange.respond(200, {{name, value}}, "body");
    };
  };
  upstream.answer("/strong", validated("ETag", "\"v\"", "If-None-Match"));
  upstream.answer("/weak", validated("ETag", "W/\"v\"", "If-None-Match"));
  upstream.answer("/date", validated("Last-Modified", http_date(-1000), "If-Modified-Since"));
  Pillion proxy(route(upstream.endpoint(), ""));
  for (const std::string target : {"/strong", "/weak", "/date"}) fill(proxy, target);
  proxy.invalidate(soft);
  CHECK(detailed(proxy.get("/strong")) == "stale revalidated");
  CHECK(outcome(proxy.get("/strong")) == "hit");
  for (const std::string target : {"/weak", "/date"}) {
    CAPTURE(target);
    const Response response = proxy.get(target);
    CHECK(response.body == "body");
    CHECK(cache_status(response).forward_status == 200);
  }
}

TEST_CASE("soft: a client that accepts stale answers isn't given what was called untrue") {
  ScriptedUpstream upstream(numbered({}));
  Pillion proxy(route(upstream.endpoint(), ""));
  fill(proxy);
  proxy.invalidate(soft);
  CHECK(proxy.get("/thing", {{"Cache-Control", "max-stale"}}).body == "2");
}

TEST_CASE("soft: a hard one after it takes the stale answer away, a soft one after a hard one gives nothing back") {
  ScriptedUpstream upstream(numbered({}));
  Pillion proxy(route(upstream.endpoint(), lenient));
  fill(proxy);
  proxy.invalidate(soft);
  proxy.invalidate(R"({"tags": ["all"]})");
  CHECK(proxy.get("/thing").body == "2");
  CHECK(outcome(proxy.get("/thing")) == "hit");
  proxy.invalidate(R"({"tags": ["all"]})");
  proxy.invalidate(soft);
  CHECK(proxy.get("/thing").body == "3");
}

TEST_CASE("soft: a fetch that began before it brings what is stale") {
  ScriptedUpstream upstream;
  auto& gate = upstream.gate();
  std::atomic<int> number{0};
  upstream.answer([&](Exchange& exchange) {
    const int n = ++number;
    if (n == 1) gate.wait();
    exchange.respond(200, {}, std::to_string(n));
  });
  Pillion proxy(route(upstream.endpoint(), lenient));
  HttpClient client(proxy.client());
  client.send_request("GET", "/thing");
  REQUIRE(upstream.wait_for_requests(1));
  proxy.invalidate(soft);
  gate.open();
  CHECK(client.read_response().body == "1");
  CHECK(eventually([&] { return proxy.get("/thing").body == "2"; }));
}

TEST_CASE("soft: it holds over a restart, for what stands in Redis") {
  RedisServer redis;
  ScriptedUpstream upstream(numbered({}));
  Pillion proxy(route(upstream.endpoint(), lenient) + redis_store(redis.settings()));
  fill(proxy);
  CHECK(eventually([&] { return !redis.keys("api:*").empty(); }));
  proxy.invalidate(soft);
  proxy.restart();
  const Response stale = proxy.get("/thing");
  CHECK(stale.body == "1");
  CHECK(detailed(stale) == "hit stale-while-revalidate");
  CHECK(eventually([&] { return proxy.get("/thing").body == "2"; }));
}
