// An upstream that fails: 502 or 504 with a problem+json of one line and Cache-Status, or a cut that shows; nothing of
// it is stored (product contract, sections 3 and 9; faults U1 to U11).
#include "integration.hpp"

namespace {

std::string with_timeouts(const Endpoint& upstream, std::string_view timeouts) {
  return "listeners:\n  - address: 127.0.0.1:0\nadmin:\n  address: 127.0.0.1:0\nupstreams:\n  app:\n    url: " +
         upstream.url() + "\n    timeouts: " + std::string(timeouts) +
         "\nroutes:\n  - name: all\n    path: /**\n    cache: on\n";
}

void check_problem(const Response& response, int status) {
  CHECK(response.status == status);
  CHECK(response["Content-Type"] == "application/problem+json");
  CHECK(response.complete);
  CHECK(cache_status(response).cache == "pillion");
  CHECK_FALSE(cache_status(response).hit);
  std::string body = response.body;
  if (body.ends_with("\n")) body.pop_back();
  CHECK(body.find('\n') == std::string::npos);
  try {
    Json problem = Json::parse(body);
    CHECK(problem["status"].number == status);
    CHECK(problem.has("title"));
  } catch (const std::runtime_error& e) {
    FAIL_CHECK(e.what());
  }
}

struct BadAnswer {
  std::string why;
  std::string bytes;
};

std::string ok_with(std::string_view lines, std::string_view rest = {}) {
  return "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n" + std::string(lines) + "\r\n" + std::string(rest);
}

std::vector<BadAnswer> unreadable_heads() {
  std::string many_fields;
  for (int i = 0; i < 205; ++i) many_fields += "X-" + std::to_string(i) + ": 1\r\n";
  return {
      {"garbage", "\x01\x02\x03garbage\r\n\r\n"},
      {"another protocol", "SSH-2.0-OpenSSH_9.2\r\n\r\n"},
      {"HTTP/0.9", "<html>hello</html>"},
      {"nothing at all", ""},
      {"half a head", "HTTP/1.1 200 OK\r\nContent-Le"},
      {"a version of another kind", "HTTP/3.7 200 OK\r\nContent-Length: 0\r\n\r\n"},
      {"a status of two digits", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n"},
      {"a status of four digits", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"},
      {"a status below 100", "HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n"},
      {"a status in letters", "HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n"},
      {"length and chunked", ok_with("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")},
      {"two lengths", ok_with("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!")},
      {"a negative length", ok_with("Content-Length: -5\r\n", "hello")},
      {"a length with a sign", ok_with("Content-Length: +5\r\n", "hello")},
      {"a length beyond 64 bits", ok_with("Content-Length: 99999999999999999999\r\n", "hello")},
      {"an unknown coding", ok_with("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n")},
      {"chunked twice", ok_with("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n")},
      {"a space before a colon", ok_with("X : y\r\nContent-Length: 5\r\n", "hello")},
      {"a folded field", ok_with("X: y\r\n z\r\nContent-Length: 5\r\n", "hello")},
      {"a NUL in a value", ok_with(std::string("X: \0\r\nContent-Length: 5\r\n", 25), "hello")},
      {"a bare LF", ok_with("X: y\nContent-Length: 5\r\n", "hello")},
      {"a head of 70 KiB", ok_with("X: " + std::string(70u << 10, 'x') + "\r\nContent-Length: 5\r\n", "hello")},
      {"205 fields", ok_with(many_fields + "Content-Length: 5\r\n", "hello")},
      {"a 101 that nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"},
  };
}

}  // namespace

TEST_CASE("upstream faults: refused is 502, and stored fresh answers go on") {
  ScriptedUpstream upstream(cacheable("kept"));
  Pillion proxy(caching_config(upstream.endpoint()));
  CHECK(proxy.get("/kept").status == 200);
  upstream.stop();
  CHECK(outcome(proxy.get("/kept")) == "hit");
  check_problem(proxy.get("/other"), 502);
  check_problem(proxy.request("POST", "/other", {}, "x"), 502);
  upstream.start();
  CHECK(proxy.get("/other").body == "kept");
}

TEST_CASE("upstream faults: one that never accepts is 504 within the connect limit") {
  SilentPort silent;
  Pillion proxy(with_timeouts(silent.endpoint(), "{ connect: 200ms }"));
  auto from = Clock::now();
  check_problem(proxy.get("/"), 504);
  CHECK(Clock::now() - from >= 200ms);
  CHECK(Clock::now() - from < 5s);
}

TEST_CASE("upstream faults: one that never answers is 504") {
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  upstream.answer("/head", [&](Exchange&) { gate.wait(); });
  upstream.answer("/half", [&](Exchange& exchange) {
    exchange.write("HTTP/1.1 200 OK\r\nContent-");
    gate.wait();
  });
  Pillion proxy(with_timeouts(upstream.endpoint(), "{ response: 300ms }"));
  check_problem(proxy.get("/head"), 504);
  check_problem(proxy.get("/half"), 504);
  check_problem(proxy.request("POST", "/head", {}, "x"), 504);
  CHECK(upstream.count("/head") == 2);
  gate.open();
}

TEST_CASE("upstream faults: what can't be read is 502, not stored, and the connection not used again") {
  std::map<std::string, std::string> answers;
  ScriptedUpstream upstream;
  upstream.answer("/bad", [&](Exchange& exchange) {
    exchange.write(answers.at(exchange.request().target));
    exchange.close();
  });
  int n = 0;
  auto rows = unreadable_heads();
  for (const auto& row : rows) answers["/bad" + std::to_string(n++)] = row.bytes;
  Pillion proxy(caching_config(upstream.endpoint()));
  n = 0;
  for (const auto& row : rows) {
    CAPTURE(row.why);
    std::string target = "/bad" + std::to_string(n++);
    check_problem(proxy.get(target), 502);
    check_problem(proxy.request("POST", target, {}, "x"), 502);
    CHECK(upstream.count(target) <= 3);  // a safe request may be tried once more
  }
  CHECK(proxy.get("/good").body == "/good");
}

TEST_CASE("upstream faults: resets before an answer are 502") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.read_body();
    exchange.reset();
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  check_problem(proxy.get("/"), 502);
  check_problem(proxy.request("POST", "/", {}, "x"), 502);
}

TEST_CASE("upstream faults: a body that is cut is cut for the client too, and never stored") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    const std::string& how = exchange.request().target;
    if (how.ends_with("length")) exchange.write(ok_with("Content-Length: 100\r\n", "only this"));
    if (how.ends_with("chunk")) exchange.write(ok_with("Transfer-Encoding: chunked\r\n", chunk("only this")));
    if (how.ends_with("half-chunk")) exchange.write(ok_with("Transfer-Encoding: chunked\r\n", "20\r\nonly this"));
    if (how.ends_with("bad-chunk"))
      exchange.write(ok_with("Transfer-Encoding: chunked\r\n", chunk("only this") + "zz\r\n"));
    if (how.ends_with("bad-trailer")) {
      exchange.write(ok_with("Transfer-Encoding: chunked\r\n", chunk("only this") + "0\r\nX : y\r\n\r\n"));
    }
    if (how.ends_with("long-trailer")) {
      exchange.write(ok_with("Transfer-Encoding: chunked\r\n",
                             chunk("only this") + "0\r\nX: " + std::string(20000, 'x') + "\r\n\r\n"));
    }
    if (how.ends_with("long-extension")) {
      exchange.write(ok_with("Transfer-Encoding: chunked\r\n",
                             chunk("only this") + "1;" + std::string(20000, 'x') + "\r\na\r\n0\r\n\r\n"));
    }
    how.starts_with("/reset") ? exchange.reset() : exchange.close();
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  for (std::string end : {"/close", "/reset"}) {
    for (std::string how :
         {"-length", "-chunk", "-half-chunk", "-bad-chunk", "-bad-trailer", "-long-trailer", "-long-extension"}) {
      std::string target = std::string(end) + how;
      CAPTURE(target);
      for (int i = 0; i < 2; ++i) {
        HttpClient client = proxy.connect();
        client.send_request("GET", target);
        Response response = client.read_response();
        // A reset may overtake the head on its way to the proxy.
        CHECK((response.status == 200 || (response.status == 502 && end == std::string("/reset"))));
        if (response.status == 200) CHECK_FALSE(response.complete);
        CHECK_FALSE(cache_status(response).hit);
      }
      CHECK(upstream.count(target) >= 2);
    }
  }
}

TEST_CASE("upstream faults: an upstream that falls silent in a body is cut after the limit") {
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    exchange.write(ok_with("Content-Length: 100\r\n", "a beginning"));
    gate.wait();
  });
  Pillion proxy(with_timeouts(upstream.endpoint(), "{ silence: 300ms }"));
  Response response = proxy.get("/");
  CHECK(response.status == 200);
  CHECK(response.body == "a beginning");
  CHECK_FALSE(response.complete);
}

TEST_CASE("upstream faults: bytes after an answer never become the next one") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    std::string poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    const std::string& how = exchange.request().target;
    if (how.starts_with("/surplus")) exchange.write(response_bytes(200, {}, "right") + poison);
    if (how.starts_with("/no-content")) exchange.write("HTTP/1.1 204 No Content\r\n\r\n" + poison);
    if (how.starts_with("/head")) exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nright" + poison);
    if (how.starts_with("/plain")) exchange.respond(200, {}, "right");
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  HttpClient client = proxy.connect();
  CHECK(client.get("/surplus").body == "right");
  CHECK(client.get("/plain/1").body == "right");
  CHECK(client.get("/no-content").status == 204);
  CHECK(client.get("/plain/2").body == "right");
  CHECK(client.request("HEAD", "/head").status == 200);
  CHECK(client.get("/plain/3").body == "right");
}

TEST_CASE("upstream faults: endless interim answers are 502 at the limit") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    for (int i = 0; i < 20; ++i) exchange.write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    exchange.respond(200, {}, "at last");
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  Response response = proxy.get("/");
  CHECK(response.status == 502);
  CHECK(response.interim.size() <= 8);
}

TEST_CASE("upstream faults: a body ended by closing passes whole and its end is a clean one") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.write("HTTP/1.0 200 OK\r\nCache-Control: max-age=60\r\n\r\nolder servers do this");
    exchange.close();
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  Response response = proxy.get("/");
  CHECK(response.body == "older servers do this");
  CHECK(response.complete);
}

TEST_CASE("upstream faults: errors of the proxy's own making are not stored") {
  ScriptedUpstream upstream;
  std::atomic<bool> broken{true};
  upstream.answer([&](Exchange& exchange) {
    if (broken) return exchange.write("garbage\r\n\r\n"), exchange.close();
    exchange.respond(200, {{"Cache-Control", "max-age=60"}}, "well again");
  });
  Pillion proxy(caching_config(upstream.endpoint(), nullptr, "defaults:\n  ttl_by_status: { 404: 10s }\n"));
  CHECK(proxy.get("/").status == 502);
  broken = false;
  CHECK(proxy.get("/").body == "well again");
}
