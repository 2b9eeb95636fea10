// `cache: shadow`: decides, stores and compares, and the application answers (product contract, section 2).
#include "integration.hpp"

namespace {

std::string config(const Endpoint& upstream, std::string_view settings = {}) {
  return one_route(upstream, "    cache: shadow\n    ttl: 60s\n    key: \"s\"\n" + std::string(settings));
}

double same(Pillion& proxy) { return proxy.metric("pillion_shadow_total{route=\"all\",same=\"true\"}"); }
double other(Pillion& proxy) { return proxy.metric("pillion_shadow_total{route=\"all\",same=\"false\"}"); }

}  // namespace

TEST_CASE("shadow: the application answers each request, and what a cache would have said is compared") {
  ScriptedUpstream upstream;
  upstream.answer("/same", cacheable("always"));
  upstream.answer("/other", numbered({}));
  Pillion proxy(config(upstream.endpoint()));
  CHECK(detailed(proxy.get("/same")) == "bypass stored shadow");
  for (int i = 0; i < 3; ++i) CHECK(detailed(proxy.get("/same")) == "bypass shadow");
  CHECK(upstream.count() == 4);
  CHECK(eventually([&] { return same(proxy) == 3; }));
  CHECK(other(proxy) == 0);
  for (int i = 1; i <= 4; ++i) CHECK(proxy.get("/other").body == std::to_string(i));
  // The first one stays the stored one, as it would for a minute in a cache.
  CHECK(same(proxy) == 3);
  CHECK(eventually([&] { return other(proxy) == 3; }));
  CHECK(proxy.metric("pillion_requests_total{route=\"all\",result=\"shadow\"}") == 8);
  const Json route = Json::parse(proxy.admin_get("/stats").body)["routes"]["all"];
  CHECK(route["shadow"]["requests"].number == 8);
  CHECK(route["shadow"]["same"].number == 3);
  CHECK(route["shadow"]["other"].number == 3);
}

TEST_CASE("shadow: status and content type count, dates and validators don't") {
  ScriptedUpstream upstream;
  Pillion proxy(config(upstream.endpoint(), "    ttl_by_status: { 404: 60s }\n"));
  struct Row {
    std::string target;
    int status;
    Fields fields;
    std::string body;
    bool is_same;
  };
  const Row rows[] = {{"/etag", 200, {{"Content-Type", "a/b"}, {"ETag", "\"2\""}}, "x", true},
                      {"/status", 404, {{"Content-Type", "a/b"}}, "x", false},
                      {"/type", 200, {{"Content-Type", "a/c"}}, "x", false},
                      {"/length", 200, {{"Content-Type", "a/b"}}, "xx", false}};
  for (const Row& row : rows) {
    CAPTURE(row.target);
    upstream.answer(row.target, [](Exchange& e) { e.respond(200, {{"Content-Type", "a/b"}, {"ETag", "\"1\""}}, "x"); });
    proxy.get(row.target);
    upstream.answer(row.target, [row](Exchange& e) { e.respond(row.status, row.fields, row.body); });
    const double before = same(proxy), before_other = other(proxy);
    CHECK(proxy.get(row.target).status == row.status);
    CHECK(eventually([&] { return same(proxy) - before == (row.is_same ? 1 : 0); }));
    CHECK(eventually([&] { return other(proxy) - before_other == (row.is_same ? 0 : 1); }));
  }
}

TEST_CASE("shadow: the application sees the request as the client sent it, and a key that leaves out too much shows") {
  ScriptedUpstream upstream;
  upstream.answer([](Exchange& exchange) { exchange.respond(200, {}, exchange.request().target); });
  Pillion proxy(config(upstream.endpoint(), "    query: { ignore: [page] }\n"));
  CHECK(proxy.get("/list?page=1").body == "/list?page=1");
  CHECK(proxy.get("/list?page=2").body == "/list?page=2");
  CHECK(eventually([&] { return other(proxy) == 1; }));
  Response part = proxy.get("/list?page=1", {{"Range", "bytes=0-1"}, {"If-None-Match", "\"x\""}});
  CHECK(part.status == 200);
  CHECK(upstream.requests().back().fields["Range"] == "bytes=0-1");
  CHECK(upstream.requests().back().fields["If-None-Match"] == "\"x\"");
}

TEST_CASE("shadow: writes invalidate, so what is stored is the new answer") {
  ScriptedUpstream upstream;
  upstream.answer("/a", numbered({}));
  Pillion proxy(config(upstream.endpoint()));
  proxy.get("/a");
  CHECK(proxy.request("PUT", "/a", {}, "x").status == 200);
  CHECK(outcome(proxy.get("/a")) == "bypass stored");
  CHECK(other(proxy) == 0);
  proxy.invalidate(R"({"all": true})");
  CHECK(outcome(proxy.get("/a")) == "bypass stored");
}

TEST_CASE("shadow: what a cache wouldn't store isn't stored, and nothing serves in place of an error") {
  ScriptedUpstream upstream;
  upstream.answer("/private", numbered(caching("private")));
  upstream.answer("/broken", cacheable("x"));
  Pillion proxy(config(upstream.endpoint(), "    stale: { if_error: 10m }\n"));
  for (int i = 0; i < 2; ++i) CHECK(detailed(proxy.get("/private")) == "bypass shadow");
  CHECK(same(proxy) + other(proxy) == 0);
  CHECK(proxy.metric("pillion_store_entries{tier=\"memory\"}") == 0);
  proxy.get("/broken");
  upstream.answer("/broken", [](Exchange& exchange) { exchange.respond(500, {}, "no"); });
  Response error = proxy.get("/broken");
  CHECK(error.status == 500);
  CHECK(error.body == "no");
  upstream.answer("/broken", [](Exchange& exchange) { exchange.reset(); });
  CHECK(proxy.get("/broken").status == 502);
}

TEST_CASE("shadow: large and endless bodies stream through as without a cache") {
  ScriptedUpstream upstream;
  Gate& rest = upstream.gate();
  upstream.answer("/slow", [&](Exchange& exchange) {
    exchange.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk("early "));
    rest.wait();
    exchange.write(chunk("late") + last_chunk());
  });
  upstream.answer("/large", cacheable(std::string(3u << 20, 'x')));
  Pillion proxy(config(upstream.endpoint()));
  HttpClient client = proxy.connect();
  client.send_request("GET", "/slow");
  Response response = client.read_head();
  CHECK(client.read_body(6) == "early ");
  rest.open();
  client.finish(response);
  CHECK(response.body == "late");
  CHECK(
      eventually([&] { return outcome(proxy.get("/slow")) == "bypass"; }));  // it was stored, and would have been a hit
  for (int i = 0; i < 2; ++i) CHECK(proxy.get("/large").body.size() == 3u << 20);
  CHECK(outcome(proxy.get("/large")) == "bypass");
  CHECK(same(proxy) >= 1);
  CHECK(other(proxy) == 0);
}

TEST_CASE("shadow: variants are told apart as a cache would") {
  ScriptedUpstream upstream;
  upstream.answer([](Exchange& exchange) {
    exchange.respond(200, {{"Vary", "Accept-Language"}}, exchange.request().fields["Accept-Language"]);
  });
  Pillion proxy(config(upstream.endpoint()));
  for (int i = 0; i < 2; ++i)
    for (std::string language : {"de", "fr"}) CHECK(proxy.get("/", {{"Accept-Language", language}}).body == language);
  CHECK(eventually([&] { return same(proxy) == 2; }));
  CHECK(other(proxy) == 0);
}

TEST_CASE("shadow: explain tells the key and what is stored") {
  ScriptedUpstream upstream(cacheable("x"));
  Pillion proxy(config(upstream.endpoint()));
  proxy.get("/a");
  const Json explained = Json::parse(proxy.admin_get("/explain?url=http://app.test/a").body);
  CHECK(explained["reason"].string == "shadow");
  CHECK(explained["redis_key"].string.starts_with("s:"));
  CHECK(explained["stored"]["status"].number == 200);
}

TEST_CASE("shadow: why says what the comparison found") {
  ScriptedUpstream upstream(numbered({}));
  Pillion proxy(config(upstream.endpoint()));
  proxy.get("/a", {{"X-Request-Id", "1"}});
  proxy.get("/a", {{"X-Request-Id", "2"}});
  std::vector<Json> all;
  REQUIRE(eventually([&] {
    all.clear();
    for (std::string id : {"2", "1"}) {
      const Json found = Json::parse(proxy.admin_get("/recent?id=" + id).body);
      for (const Json& one : found["decisions"].array) all.push_back(one);
    }
    return all.size() == 2;
  }));
  const auto has = [](const Json& decision, std::string_view step, std::string_view reason) {
    for (const Json& one : decision["steps"].array)
      if (one["step"].string == step && one["reason"].string == reason) return true;
    return false;
  };
  CHECK(has(all[0], "compare", "other"));
  CHECK(has(all[1], "store", "stored"));
  CHECK(all[0]["result"].string == "shadow");
}

TEST_CASE("shadow: a reload turns it on, with what is stored already") {
  ScriptedUpstream upstream(numbered({}));
  Pillion proxy(config(upstream.endpoint()));
  proxy.get("/a");
  std::string text = read_file(proxy.config_file());
  const std::size_t at = text.find("cache: shadow");
  REQUIRE(at != std::string::npos);
  write_file(proxy.config_file(), text.replace(at, 13, "cache: on"));
  CHECK(eventually([&] { return outcome(proxy.get("/a")) == "hit"; }));
  CHECK(proxy.get("/a").body == "1");
}
