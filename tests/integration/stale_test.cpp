// Stale answers (RFC 5861; RFC 9111 4.2.4): while a refresh runs, and where the upstream fails. Responses come with an
// Age beyond their lifetime, so that they are stale from the start.
#include "integration.hpp"

namespace {

/// Ten seconds past its lifetime, with "first" as its body.
Handler stale(const std::string& more, const Fields& fields = {}) {
  return [=](Exchange& exchange) {
    Fields all = caching("max-age=10" + more, {{"Age", "20"}, {"ETag", "\"v1\""}});
    for (const auto& [name, value] : fields) all.add(name, value);
    exchange.respond(200, all, "first");
  };
}

void check_stale_while_revalidate(const Response& response) {
  CacheStatus status = cache_status(response);
  CHECK(response.status == 200);
  CHECK(status.hit);
  CHECK(status.detail == "stale-while-revalidate");
  CHECK(status.ttl.value_or(0) <= -10);
  CHECK(status.ttl.value_or(0) > -60);
  CHECK(std::stol(response["Age"]) >= 20);
}

void check_stale_if_error(const Response& response, std::optional<int> forward_status) {
  CacheStatus status = cache_status(response);
  CHECK(response.status == 200);
  CHECK_FALSE(status.hit);
  CHECK(status.forward == "stale");
  CHECK(status.detail == "stale-if-error");
  CHECK(status.forward_status == forward_status);
}

constexpr const char* forbidding[] = {", must-revalidate", ", proxy-revalidate", ", s-maxage=10", ", no-cache",
                                      ", Must-Revalidate"};

}  // namespace

TEST_CASE("stale: while one refresh runs in the background, everybody is served at once") {
  ScriptedUpstream upstream(stale(", stale-while-revalidate=600"));
  Pillion proxy(caching_config(upstream.endpoint()));
  CHECK(proxy.get("/").body == "first");
  Gate& gate = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    gate.wait();
    exchange.respond(200, caching("max-age=60"), "second");
  });
  Response stale_one = proxy.get("/");
  CHECK(stale_one.body == "first");
  check_stale_while_revalidate(stale_one);
  REQUIRE(upstream.wait_for_requests(2));
  CHECK(upstream.requests()[1].fields["If-None-Match"] == "\"v1\"");
  in_parallel(10, [&](int) {
    Response response = proxy.get("/");
    CHECK(response.body == "first");
    check_stale_while_revalidate(response);
  });
  CHECK(upstream.count() == 2);
  gate.open();
  CHECK(eventually([&] { return proxy.get("/").body == "second"; }));
  Response fresh = proxy.get("/");
  CHECK(detailed(fresh) == stored_hit());
  CHECK(upstream.count() == 2);
}

TEST_CASE("stale: a refresh that is confirmed freshens what is stored") {
  ScriptedUpstream upstream(stale(", stale-while-revalidate=600"));
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  upstream.answer([](Exchange& exchange) { exchange.respond(304, caching("max-age=60", {{"ETag", "\"v1\""}})); });
  check_stale_while_revalidate(proxy.get("/"));
  CHECK(eventually([&] { return detailed(proxy.get("/")) == stored_hit(); }));
  CHECK(proxy.get("/").body == "first");
  CHECK(upstream.count() == 2);
}

TEST_CASE("stale: a refresh that fails leaves what is stored as it is, and another is tried") {
  ScriptedUpstream upstream(stale(", stale-while-revalidate=600"));
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  upstream.answer([](Exchange& exchange) {
    if (exchange.number_on_connection() % 2 == 0) return exchange.reset();
    exchange.respond(503, {}, "broken");
  });
  std::size_t tries = 1;
  for (int i = 0; i < 3; ++i) {
    // Until the failed refresh is over, requests join no other.
    CHECK(eventually([&] {
      Response response = proxy.get("/");
      CHECK(response.body == "first");
      check_stale_while_revalidate(response);
      return upstream.count() > tries;
    }));
    tries = upstream.count();
  }
}

TEST_CASE("stale: the window while it may be served is the response's, or else the route's") {
  struct Row {
    std::string why, control, age;
    bool plain, routed;  ///< whether it is served, without and with a window of the route
  };
  const Row rows[] = {
      {"within the response's", "max-age=10, stale-while-revalidate=600", "20", true, true},
      {"in another spelling", "max-age=10, Stale-While-Revalidate=\"600\"", "20", true, true},
      {"beyond the response's", "max-age=10, stale-while-revalidate=5", "20", false, false},
      {"none in the response", "max-age=10, stale-while-revalidate=0", "20", false, false},
      {"within the route's", "max-age=10", "20", false, true},
      {"beyond the route's", "max-age=10", "100", false, false},
      {"within the response's, beyond the route's", "max-age=10, stale-while-revalidate=600", "100", true, true},
  };
  ScriptedUpstream upstream;
  Pillion plain(caching_config(upstream.endpoint()));
  Pillion routed(one_route(upstream.endpoint(), "    cache: on\n    stale: { while_revalidate: 30s }\n"));
  int n = 0;
  for (const Row& row : rows) {
    for (Pillion* proxy : {&plain, &routed}) {
      bool served = proxy == &plain ? row.plain : row.routed;
      CAPTURE(row.why);
      CAPTURE((proxy == &routed));
      std::string target = "/" + std::to_string(n++) + "/";
      upstream.answer(target, turns(caching(row.control, {{"Age", row.age}, {"ETag", "\"v1\""}})));
      proxy->get(target);
      Response second = proxy->get(target);
      CHECK(second["X-Turn"] == (served ? "1" : "2"));
      CHECK(cache_status(second).hit == served);
      if (served) CHECK(cache_status(second).detail == "stale-while-revalidate");
    }
  }
}

TEST_CASE("stale: words that forbid it hold while a refresh would run, whoever gave the window") {
  ScriptedUpstream upstream;
  Pillion plain(caching_config(upstream.endpoint()));
  Pillion routed(
      one_route(upstream.endpoint(), "    cache: on\n    stale: { while_revalidate: 10m, if_error: 10m }\n"));
  int n = 0;
  for (std::string word : forbidding) {
    for (Pillion* proxy : {&plain, &routed}) {
      CAPTURE(word);
      std::string target = "/" + std::to_string(n++) + "/";
      std::string window = proxy == &plain ? ", stale-while-revalidate=600, stale-if-error=600" : "";
      upstream.answer(target, turns(caching("max-age=10" + window + word, {{"Age", "20"}, {"ETag", "\"v1\""}})));
      proxy->get(target);
      Response second = proxy->get(target);
      CHECK(second["X-Turn"] == "2");
      CHECK_FALSE(cache_status(second).hit);
    }
  }
}

TEST_CASE("stale: a client that asks for better isn't served stale") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  for (std::string control : {"no-cache", "max-age=0", "max-age=15", "min-fresh=1"}) {
    CAPTURE(control);
    std::string target = "/" + control;
    upstream.answer(target, turns(caching("max-age=10, stale-while-revalidate=600", {{"Age", "20"}})));
    proxy.get(target);
    CHECK(proxy.get(target, caching(control))["X-Turn"] == "2");
  }
}

TEST_CASE("stale: HEAD, ranges and conditions are answered while a refresh runs too") {
  ScriptedUpstream upstream(stale(", stale-while-revalidate=600"));
  Pillion proxy(caching_config(upstream.endpoint()));
  Gate& gate = upstream.gate();
  proxy.get("/");
  upstream.answer([&](Exchange& exchange) {
    gate.wait();
    exchange.respond(200, caching("max-age=60"), "second");
  });
  Response head = proxy.request("HEAD", "/");
  check_stale_while_revalidate(head);
  CHECK(head["Content-Length"] == "5");
  Response part = proxy.get("/", {{"Range", "bytes=0-1"}});
  CHECK(part.status == 206);
  CHECK(part.body == "fi");
  CHECK(cache_status(part).detail == "stale-while-revalidate");
  CHECK(proxy.get("/", {{"If-None-Match", "\"v1\""}}).status == 304);
  REQUIRE(upstream.wait_for_requests(2));
  CHECK(upstream.count() == 2);
  CHECK(upstream.requests()[1].method == "GET");
  CHECK_FALSE(upstream.requests()[1].fields.has("Range"));
  gate.open();
  CHECK(eventually([&] { return proxy.get("/").body == "second"; }));
}

TEST_CASE("stale: the refresh is nobody's own: what the client alone said isn't in it") {
  ScriptedUpstream upstream(stale(", stale-while-revalidate=600"));
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  proxy.get("/", {{"If-Modified-Since", "Sun, 06 Nov 1994 08:49:37 GMT"}, {"If-None-Match", "\"other\""}});
  REQUIRE(upstream.wait_for_requests(2));
  CHECK(upstream.requests()[1].fields["If-None-Match"] == "\"v1\"");
}

TEST_CASE("stale: where the upstream fails, within the window that the response or the route gives") {
  for (bool by_route : {false, true}) {
    CAPTURE(by_route);
    ScriptedUpstream upstream(stale(by_route ? "" : ", stale-if-error=600"));
    Pillion proxy(one_route(upstream.endpoint(),
                            std::string("    cache: on\n") + (by_route ? "    stale: { if_error: 10m }\n" : "")));
    for (int status : {500, 502, 503, 504}) {
      CAPTURE(status);
      std::string target = "/" + std::to_string(status);
      proxy.get(target);
      upstream.answer(target, numbered({}, status));
      for (int i = 0; i < 2; ++i) {
        Response response = proxy.get(target);
        CHECK(response.body == "first");
        check_stale_if_error(response, status);
        CHECK(std::stol(response["Age"]) >= 20);
      }
      CHECK(upstream.count(target) == 3);
    }
    upstream.answer("/404", stale(by_route ? "" : ", stale-if-error=600"));
    proxy.get("/404");
    upstream.answer("/404", numbered({}, 404));
    CHECK(proxy.get("/404").status == 404);
  }
}

TEST_CASE("stale: an error that would be stored doesn't take the place of what is served for it") {
  ScriptedUpstream upstream;
  Pillion proxy(one_route(upstream.endpoint(), "    cache: on\n    ttl_by_status: { 503: 60s }\n"));
  const std::pair<int, Fields> errors[] = {{503, {}}, {599, caching("max-age=60")}};
  for (const auto& [status, fields] : errors) {
    CAPTURE(status);
    const std::string name = "/" + std::to_string(status);
    upstream.answer(name, stale(", stale-if-error=600"));
    proxy.get(name);
    upstream.answer(name, numbered(fields, status));
    for (int i = 0; i < 2; ++i) {
      Response response = proxy.get(name);
      CHECK(response.body == "first");
      check_stale_if_error(response, status);
    }
    CHECK(upstream.count(name) == 3);

    const std::string alone = name + "/alone";  // where nothing may be served for it, it is stored
    upstream.answer(alone, stale(""));
    proxy.get(alone);
    upstream.answer(alone, numbered(fields, status));
    CHECK(proxy.get(alone).status == status);
    CHECK(outcome(proxy.get(alone)) == "hit");
    CHECK(upstream.count(alone) == 2);
  }
}

TEST_CASE("stale: an error that would be stored isn't what a refresh in the background leaves") {
  ScriptedUpstream upstream(stale(", stale-while-revalidate=600"));
  Pillion proxy(one_route(upstream.endpoint(), "    cache: on\n    ttl_by_status: { 503: 60s }\n"));
  proxy.get("/");
  upstream.answer(numbered({}, 503));
  // The first refresh is over when another begins.
  CHECK(eventually([&] {
    Response response = proxy.get("/");
    REQUIRE(response.body == "first");
    check_stale_while_revalidate(response);
    return upstream.count() > 2;
  }));
}

TEST_CASE("stale: an upstream that refuses, breaks off, says nonsense or nothing has failed too") {
  ScriptedUpstream upstream(stale(", stale-if-error=600"));
  std::string config = one_route(upstream.endpoint(), "    cache: on\n");
  std::string url = "app: " + upstream.url();
  config.replace(config.find(url), url.size(), "app: { url: " + upstream.url() + ", timeouts: { response: 300ms } }");
  Pillion proxy(config);
  for (std::string target : {"/reset", "/closed", "/head", "/nonsense", "/silent", "/refused"}) proxy.get(target);
  upstream.answer("/reset", [](Exchange& exchange) { exchange.reset(); });
  upstream.answer("/closed", [](Exchange& exchange) { exchange.close(); });
  upstream.answer("/head", [](Exchange& exchange) {
    exchange.write("HTTP/1.1 200 OK\r\nContent-Len");
    exchange.close();
  });
  upstream.answer("/nonsense", [](Exchange& exchange) {
    exchange.write("220 mail.test ESMTP\r\n\r\n");
    exchange.close();
  });
  Gate& gate = upstream.gate();
  upstream.answer("/silent", [&](Exchange&) { gate.wait(); });
  for (std::string target : {"/reset", "/closed", "/head", "/nonsense", "/silent"}) {
    CAPTURE(target);
    Response response = proxy.get(target);
    CHECK(response.body == "first");
    check_stale_if_error(response, std::nullopt);
  }
  gate.open();
  upstream.stop();
  Response refused = proxy.get("/refused");
  CHECK(refused.body == "first");
  check_stale_if_error(refused, std::nullopt);
}

TEST_CASE("stale: an upstream that is cut in its body is never taken for whole") {
  ScriptedUpstream upstream(stale(", stale-if-error=600"));
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  upstream.answer([](Exchange& exchange) {
    exchange.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 100\r\n\r\nsome");
    exchange.close();
  });
  for (int i = 0; i < 2; ++i) {
    Response response = proxy.get("/");
    if (response.complete) CHECK(response.body == "first");
    if (!response.complete) CHECK(response.body == "some");
  }
  upstream.stop();
  Response after = proxy.get("/");  // what was stored before the cut is still there
  CHECK(after.body == "first");
  check_stale_if_error(after, std::nullopt);
}

TEST_CASE("stale: without a window, beyond it, or where a word forbids it, the error is the answer") {
  ScriptedUpstream upstream;
  Pillion plain(caching_config(upstream.endpoint()));
  Pillion routed(one_route(upstream.endpoint(), "    cache: on\n    stale: { if_error: 30s }\n"));
  struct Row {
    Pillion* proxy;
    std::string control, age;
  };
  std::vector<Row> rows = {
      {&plain, "max-age=10", "20"},
      {&plain, "max-age=10, stale-if-error=5", "20"},
      {&plain, "max-age=10, stale-if-error=0", "20"},
      {&plain, "max-age=10, stale-if-error=x", "20"},
      {&plain, "max-age=10, stale-while-revalidate=5", "20"},
      {&routed, "max-age=10", "100"},
      {&routed, "max-age=10, stale-if-error=0", "20"},
  };
  for (std::string word : forbidding) {
    rows.push_back({&plain, "max-age=10, stale-if-error=600" + word, "20"});
    rows.push_back({&routed, "max-age=10" + word, "20"});
  }
  int n = 0;
  for (const Row& row : rows) {
    CAPTURE(row.control);
    CAPTURE((row.proxy == &routed));
    for (bool answered : {true, false}) {
      std::string target = "/" + std::to_string(n++) + "/";
      upstream.answer(target, numbered(caching(row.control, {{"Age", row.age}, {"ETag", "\"v1\""}})));
      row.proxy->get(target);
      upstream.answer(target, [answered](Exchange& exchange) {
        if (!answered) return exchange.reset();
        exchange.respond(503, {}, "broken");
      });
      Response response = row.proxy->get(target);
      CHECK(response.status == (answered ? 503 : 502));
      if (answered) CHECK(response.body == "broken");
    }
  }
}

TEST_CASE("stale: HEAD, ranges and conditions are answered where the upstream fails too") {
  ScriptedUpstream upstream(stale(", stale-if-error=600"));
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  upstream.answer(numbered({}, 503));
  Response head = proxy.request("HEAD", "/");
  check_stale_if_error(head, 503);
  CHECK(head["Content-Length"] == "5");
  Response part = proxy.get("/", {{"Range", "bytes=0-1"}});
  CHECK(part.status == 206);
  CHECK(part.body == "fi");
  CHECK(cache_status(part).detail == "stale-if-error");
  Response same = proxy.get("/", {{"If-None-Match", "\"v1\""}});
  CHECK(same.status == 304);
  CHECK(cache_status(same).detail == "stale-if-error");
}

TEST_CASE("stale: what was invalidated is served neither while a refresh runs nor where the upstream fails") {
  ScriptedUpstream upstream(stale(", stale-while-revalidate=600, stale-if-error=600"));
  Pillion proxy(caching_config(upstream.endpoint()));
  upstream.answer("/written", [](Exchange& exchange) {
    exchange.read_body();
    if (exchange.request().method == "PUT") return exchange.respond(204);
    stale(", stale-while-revalidate=600, stale-if-error=600")(exchange);
  });
  for (std::string target : {"/written", "/named", "/all"}) proxy.get(target);
  CHECK(proxy.request("PUT", "/written", {}, "x").status == 204);
  proxy.invalidate(R"({"urls": ["/named"]})");
  auto check_broken = [&](const std::string& target) {
    CAPTURE(target);
    upstream.answer(target, numbered({}, 503));
    CHECK(proxy.get(target).status == 503);
    CHECK(proxy.request("HEAD", target).status == 503);
    upstream.answer(target, [](Exchange& exchange) { exchange.reset(); });
    CHECK(proxy.get(target).status == 502);
  };
  check_broken("/written");
  check_broken("/named");
  proxy.get("/all");
  proxy.invalidate(R"({"all": true})");
  check_broken("/all");
}

TEST_CASE("stale: an answer that breaks off isn't seen, though it wouldn't be stored, and leaves what is stored") {
  for (const std::string fields : {"Cache-Control: no-store\r\n", "X-Silent: 1\r\n"}) {
    CAPTURE(fields);
    ScriptedUpstream upstream(stale(", stale-if-error=600"));
    Pillion proxy(caching_config(upstream.endpoint()));
    proxy.get("/");
    upstream.answer([&](Exchange& exchange) {
      exchange.write("HTTP/1.1 200 OK\r\n" + fields + "Content-Length: 100\r\n\r\nonly a part of it");
      exchange.close();
    });
    for (int i = 0; i < 3; ++i) {
      Response response = proxy.get("/");
      CHECK(response.body == "first");
      check_stale_if_error(response, 200);
    }
    upstream.answer([&](Exchange& exchange) { exchange.respond(200, caching("no-store"), "whole"); });
    CHECK(proxy.get("/").body == "whole");
    upstream.answer([](Exchange& exchange) { exchange.respond(503, {}, "down"); });
    CHECK(proxy.get("/").status == 503);  // what is stored was superseded
  }
}

TEST_CASE("stale: a refresh that is refused isn't tried again at once") {
  ScriptedUpstream upstream(stale(", stale-while-revalidate=600"));
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  upstream.answer([](Exchange& exchange) { exchange.respond(429, {}, "slower"); });
  proxy.get("/");
  REQUIRE(upstream.wait_for_requests(2));
  std::size_t answered = 0;
  for (int i = 0; i < 30; ++i) answered += proxy.get("/").body == "first";
  CHECK(answered == 30);
  CHECK(upstream.count() < 10);
}
