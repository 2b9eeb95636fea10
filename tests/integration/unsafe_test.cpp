// What requests that change something invalidate (RFC 9111 4.4; product contract, section 4).
#include "integration.hpp"

namespace {

/// Stores the targets, each of which must be a hit then.
void fill(Pillion& proxy, const std::vector<std::string>& targets) {
  for (const std::string& target : targets) {
    CAPTURE(target);
    proxy.get(target);
    CHECK(outcome(proxy.get(target)) == "hit");
  }
}

/// GET and HEAD are answered with a minute's lifetime, the rest with `status` and `fields`.
Handler writes(int status, const Fields& fields = {}) {
  return [=](Exchange& exchange) {
    exchange.read_body();
    bool safe = exchange.request().method == "GET" || exchange.request().method == "HEAD";
    exchange.respond(safe ? 200 : status, safe ? caching("max-age=60") : fields, status == 204 && !safe ? "" : "x");
  };
}

}  // namespace

TEST_CASE("unsafe: every method that isn't known to be safe invalidates, where it succeeds") {
  ScriptedUpstream upstream(writes(200));
  Pillion proxy(caching_config(upstream.endpoint()));
  for (std::string method : {"POST", "PUT", "DELETE", "PATCH", "M-SEARCH", "FOO", "MKCOL", "post", "get"}) {
    CAPTURE(method);
    std::string target = "/" + method;
    fill(proxy, {target});
    CHECK(proxy.request(method, target, {}, "x").status == 200);
    CHECK(outcome(proxy.get(target)) != "hit");
  }
  for (std::string method : {"HEAD", "OPTIONS"}) {
    CAPTURE(method);
    std::string target = "/" + method;
    fill(proxy, {target});
    CHECK(proxy.request(method, target).status == 200);
    CHECK(outcome(proxy.get(target)) == "hit");
  }
}

TEST_CASE("unsafe: 2xx and 3xx are success, other statuses aren't") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  const std::pair<int, bool> rows[] = {
      {200, true},  {201, true},  {204, true},  {299, true},  {301, true},  {302, true},  {303, true},  {399, true},
      {400, false}, {403, false}, {404, false}, {409, false}, {499, false}, {500, false}, {503, false}, {599, false}};
  for (auto [status, invalidates] : rows) {
    for (std::string method : {"POST", "M-SEARCH"}) {
      CAPTURE(status);
      CAPTURE(method);
      std::string target = "/" + method + std::to_string(status);
      upstream.answer(target, writes(status));
      fill(proxy, {target});
      CHECK(proxy.request(method, target, {}, "x").status == status);
      CHECK((outcome(proxy.get(target)) != "hit") == invalidates);
    }
  }
}

TEST_CASE("unsafe: an outcome that can't be known counts as done") {
  ScriptedUpstream upstream;
  std::string config = one_route(upstream.endpoint(), "    cache: on\n");
  std::string url = "app: " + upstream.url();
  config.replace(config.find(url), url.size(), "app: { url: " + upstream.url() + ", timeouts: { response: 300ms } }");
  Pillion proxy(config);
  Gate& gate = upstream.gate();
  const std::pair<std::string, std::function<void(Exchange&)>> rows[] = {
      {"/reset", [](Exchange& exchange) { exchange.reset(); }},
      {"/closed", [](Exchange& exchange) { exchange.close(); }},
      {"/silent", [&](Exchange&) { gate.wait(); }},
      {"/nonsense",
       [](Exchange& exchange) {
         exchange.write("what?\r\n\r\n");
         exchange.close();
       }},
  };
  for (const auto& [target, fail] : rows) {
    CAPTURE(target);
    upstream.answer(target, [break_off = fail](Exchange& exchange) {
      exchange.read_body();
      if (exchange.request().method == "POST") return break_off(exchange);
      exchange.respond(200, caching("max-age=60"), "x");
    });
    fill(proxy, {target});
    CHECK(proxy.request("POST", target, {}, "x").status >= 502);
    CHECK(outcome(proxy.get(target)) != "hit");
  }
  gate.open();
}

TEST_CASE("unsafe: a write that never reached the upstream has changed nothing") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.respond(200, caching("max-age=60", {{"Connection", "close"}}),
                     "x");  // no connection is kept for the write
    exchange.close();
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  fill(proxy, {"/"});
  upstream.stop();
  CHECK(proxy.request("POST", "/", {}, "x").status == 502);
  CHECK(outcome(proxy.get("/")) == "hit");
}

TEST_CASE("unsafe: the URL itself, its variants and its other hosts, and no other") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.read_body();
    exchange.respond(200, caching("max-age=60", {{"Vary", "X-V"}}), "x");
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  fill(proxy, {"/thing?a=1", "/thing/more", "/", "/Thing"});
  proxy.get("/thing?a=1", {{"X-V", "2"}});
  proxy.get("/thing?a=1", {{"Host", "other.test"}});
  CHECK(proxy.request("PUT", "/thing?a=1", {}, "x").status == 200);
  CHECK(outcome(proxy.get("/thing?a=1")) != "hit");
  CHECK(outcome(proxy.get("/thing?a=1", {{"X-V", "2"}})) != "hit");
  CHECK(outcome(proxy.get("/thing?a=1", {{"Host", "other.test"}})) != "hit");
  for (std::string target : {"/thing/more", "/", "/Thing"}) CHECK(outcome(proxy.get(target)) == "hit");
}

TEST_CASE("unsafe: Location and Content-Location of the same origin, in any form of reference") {
  ScriptedUpstream upstream(writes(200));
  Pillion proxy(caching_config(upstream.endpoint()));
  struct Row {
    std::string reference, target;
    bool invalidates;
  };
  const Row rows[] = {
      {"/named", "/named", true},
      {"/named?page=2", "/named?page=2", true},
      {"http://app.test/named", "/named", true},
      {"http://APP.test/named", "/named", true},
      {"HTTP://app.test/named", "/named", true},
      {"http://app.test:80/named", "/named", true},
      {"//app.test/named", "/named", true},
      {"other", "/dir/other", true},
      {"./other", "/dir/other", true},
      {"../other", "/other", true},
      {"?q=1", "/dir/form?q=1", true},
      {"/named#part", "/named", true},
      {"http://elsewhere.test/named", "/named", false},
      {"http://app.test:8080/named", "/named", false},
      {"http://app.test.evil.test/named", "/named", false},
      {"http://app.test@evil.test/named", "/named", false},
      {"//elsewhere.test/named", "/named", false},
      {"https://app.test/named", "/named", false},
      {"mailto:app.test/named", "/named", false},
      {"/name", "/named", false},
      {"", "/named", false},
  };
  for (std::string field : {"Location", "Content-Location"}) {
    for (const Row& row : rows) {
      CAPTURE(field);
      CAPTURE(row.reference);
      upstream.answer("/dir/form", writes(201, {{field, row.reference}}));
      fill(proxy, {row.target});
      CHECK(proxy.request("POST", "/dir/form", {}, "x").status == 201);
      CHECK((outcome(proxy.get(row.target)) != "hit") == row.invalidates);
    }
  }
}

TEST_CASE("unsafe: both fields at once, and neither where the request failed or was safe") {
  const Fields both{{"Location", "/one"}, {"Content-Location", "/two"}};
  ScriptedUpstream upstream(writes(200));
  upstream.answer("/failed", writes(500, both));
  upstream.answer("/moved", writes(302, both));
  upstream.answer("/read", [&](Exchange& exchange) { exchange.respond(200, both, "x"); });
  Pillion proxy(caching_config(upstream.endpoint()));
  fill(proxy, {"/one", "/two"});
  CHECK(proxy.request("POST", "/failed", {}, "x").status == 500);
  CHECK(proxy.request("GET", "/read").status == 200);
  CHECK(proxy.request("HEAD", "/read").status == 200);
  CHECK(proxy.request("OPTIONS", "/read").status == 200);
  for (std::string target : {"/one", "/two"}) CHECK(outcome(proxy.get(target)) == "hit");
  CHECK(proxy.request("POST", "/moved", {}, "x").status == 302);
  for (std::string target : {"/one", "/two"}) CHECK(outcome(proxy.get(target)) != "hit");
}

TEST_CASE("unsafe: a write on a route that isn't cached invalidates what another route stored of its URL") {
  ScriptedUpstream upstream(writes(200));
  Pillion proxy(config_for(upstream.endpoint(), R"(routes:
  - name: kept
    path: /kept/**
    cache: on
  - name: rest
    path: /**
    cache: off
)"));
  fill(proxy, {"/kept/1"});
  upstream.answer("/form", writes(303, {{"Location", "/kept/1"}}));
  CHECK(proxy.request("POST", "/form", {}, "x").status == 303);
  CHECK(outcome(proxy.get("/kept/1")) != "hit");
}
