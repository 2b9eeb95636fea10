// What hostile, odd or unlucky traffic once broke, each defect with the smallest traffic that shows it (without Redis;
// robustness_redis_test.cpp has the others).
#include <csignal>

#include "integration.hpp"

namespace {

/// One worker, so that consecutive connections share what a worker keeps; `settings` of the upstream and of the one
/// route, which matches everything.
std::string one_worker(const Endpoint& upstream, std::string_view upstream_settings, std::string_view route,
                       std::string_view more = {}) {
  return "listeners:\n  - address: 127.0.0.1:0\nadmin:\n  address: 127.0.0.1:0\nworkers: 1\nupstreams:\n  app: { url: "
         "\"" +
         upstream.url() + "\"" + std::string(upstream_settings) + " }\nroutes:\n  - { name: r, path: /**, " +
         std::string(route) + " }\n" + std::string(more);
}

std::vector<Json> access_lines(const std::string& out) {
  std::vector<Json> lines;
  for (std::size_t at = 0; at < out.size();) {
    auto end = out.find('\n', at);
    if (end == std::string::npos) break;
    lines.push_back(Json::parse(out.substr(at, end - at)));
    at = end + 1;
  }
  return lines;
}

/// Reads to the end of the stream; true where that is a reset, false where it is an orderly end.
bool ends_with_reset(Stream& stream) {
  try {
    while (stream.fill()) stream.buffer().clear();
    return false;
  } catch (const ConnectionClosed& closed) {
    return closed.reset;
  }
}

}  // namespace

TEST_CASE("robustness: what is refused before it is read has nothing of the request before it") {
  struct Row {
    std::string why;
    std::string bytes;
    int status;
  };
  const Row rows[] = {
      {"a bare line feed", "GET /second HTTP/1.1\r\nHost: x\r\nX: " + std::string(9000, 'b') + "\n\r\n", 400},
      {"a head that doesn't come to its end", "GET /second HTTP/1.1\r\nHost: x\r\n", 408},
      {"a target too long", "GET /second" + std::string(20000, 'c') + " HTTP/1.1\r\nHost: x\r\n\r\n", 414},
      {"a head too large", "GET /second HTTP/1.1\r\nHost: x\r\nX: " + std::string(40000, 'd') + "\r\n\r\n", 431},
  };
  ScriptedUpstream upstream(cacheable("hello"));
  for (const Row& row : rows) {
    for (std::string method : {"GET", "HEAD"}) {
      CAPTURE(row.why);
      CAPTURE(method);
      Pillion proxy(caching_config(upstream.endpoint(), nullptr, "timeouts: { head: 500ms }\n"));
      HttpClient client = proxy.connect();
      // A long head before it: what is left of that must not show.
      CHECK(client.request(method, "/first/secret", {{"X-Pad", std::string(3000, 'a')}}).status == 200);
      client.send(row.bytes);
      Response refused = client.read_response();  // strictly: the body has to be as long as it says
      CHECK(refused.status == row.status);
      CHECK(refused.complete);
      CHECK_FALSE(refused.body.empty());
      CHECK(client.closes());
      proxy.process().wait_for_out_line("\"status\":" + std::to_string(row.status));
      auto lines = access_lines(proxy.process().out());
      REQUIRE(lines.size() == 2);
      CHECK(lines[0]["path"].string == "/first/secret");
      std::string logged = lines[1]["method"].string;
      std::string path = lines[1]["path"].string;
      CAPTURE(logged);
      CAPTURE(path);
      CHECK((logged.empty() || logged == "-" || logged == "GET"));
      CHECK((path.empty() || path == "-" || path.starts_with("/second")));
    }
  }
}

TEST_CASE("robustness: no request joins a fetch begun before an invalidation by a tag that only the response names") {
  for (std::string field : {"Surrogate-Key", "Cache-Tag"}) {
    for (bool mid_body : {false, true}) {
      CAPTURE(field);
      CAPTURE(mid_body);
      std::atomic<int> turn{0};
      ScriptedUpstream upstream;
      Gate& gate = upstream.gate();
      upstream.answer([&](Exchange& exchange) {
        Fields fields{{"Cache-Control", "max-age=60"}, {field, "foo"}};
        if (++turn > 1) return exchange.respond(200, fields, "new");
        if (!mid_body) gate.wait();
        exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n" + fields.to_string() + "\r\nol");
        gate.wait();
        exchange.write("d...");
      });
      Pillion proxy(caching_config(upstream.endpoint()));
      HttpClient before = proxy.connect();
      before.send_request("GET", "/");
      REQUIRE(upstream.wait_for_requests(1));
      Response first;
      if (mid_body) first = before.read_head();
      proxy.invalidate(R"({"tags": ["foo"]})");
      HttpClient after = proxy.connect();
      after.send_request("GET", "/");
      // Before the response's head nobody can know its tags: the request may wait for them, and not longer.
      if (!mid_body) upstream.wait_for_requests(2, Deadline(300ms));
      if (mid_body) CHECK(after.read_response().body == "new");  // while the one before is held back
      gate.open();
      if (!mid_body) {
        CHECK(after.read_response().body == "new");
        first = before.read_head();
      }
      before.finish(first);
      CHECK(first.body == "old...");
      // Nor may the old fetch's end put its answer back.
      CHECK(proxy.get("/").body == "new");
    }
  }
}

TEST_CASE("robustness: fields that Connection names select neither a variant nor a key") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    const Fields& fields = exchange.request().fields;
    exchange.respond(200, {{"Cache-Control", "max-age=60"}, {"Vary", "Accept-Language"}},
                     "language=" + fields["Accept-Language"] + " tenant=" + fields["X-Tenant"]);
  });
  Pillion proxy(config_for(upstream.endpoint(),
                           "routes:\n  - name: r\n    path: /**\n    cache: on\n    key_headers: [X-Tenant]\n"));
  const Fields french{{"Accept-Language", "fr"}, {"X-Tenant", "b"}};
  for (std::string named : {"accept-language, x-tenant", "Accept-Language", "X-Tenant"}) {
    CAPTURE(named);
    std::string target = "/" + std::to_string(named.size());
    Fields nominating = french;
    nominating.add("Connection", "keep-alive, " + named);
    proxy.get(target, nominating);
    Response honest = proxy.get(target, french);
    CHECK(honest.body == "language=fr tenant=b");
    CHECK(outcome(honest) != "hit");
    Response again = proxy.get(target, french);
    CHECK(outcome(again) == "hit");
    CHECK(again.body == honest.body);
  }
  // What is left of the first request is that of one without these fields, and shared with such.
  Response bare = proxy.get("/25");
  CHECK(bare.body == "language= tenant=");
  CHECK(outcome(bare) == "hit");
}

TEST_CASE("robustness: where the key leaves the host out, no field brings it to the upstream") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    const Fields& fields = exchange.request().fields;
    std::string host = fields["X-Forwarded-Host"];
    exchange.respond(200, {{"Cache-Control", "max-age=60"}}, "http://" + (host.empty() ? fields["Host"] : host));
  });
  Pillion proxy(config_for(
      upstream.endpoint(),
      "canonical_host: app.example.com\nroutes:\n  - name: r\n    path: /**\n    ttl: 60s\n    ignore_host: true\n"));
  proxy.get("/a", {{"Host", "evil.example"}});
  // This peer is a trusted one: what it says is the effective host.
  proxy.get("/b", {{"Host", "app.example.com"}, {"X-Forwarded-Host", "evil.example"}});
  for (std::string target : {"/a", "/b"}) {
    CAPTURE(target);
    Response response = proxy.get(target, {{"Host", "app.example.com"}});
    CHECK(outcome(response) == "hit");
    CHECK(response.body == "http://app.example.com");
  }
  for (const auto& request : upstream.requests()) CHECK(request.head.find("evil") == std::string::npos);
}

TEST_CASE("robustness: a listener to events that sent a byte too many is missed when it leaves") {
  for (std::string route : {"cache: off", "ttl: 60s"}) {
    for (bool late : {false, true}) {
      CAPTURE(route);
      CAPTURE(late);
      Counter left;
      ScriptedUpstream upstream;
      upstream.answer([&](Exchange& exchange) {
        exchange.write(
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\nTransfer-Encoding: "
            "chunked\r\n\r\n" +
            chunk("data: one\n\n"));
        if (exchange.wait_for_close()) left.add();
      });
      Pillion proxy(one_worker(upstream.endpoint(), ", connections: { max: 1 }", route));
      {
        HttpClient client = proxy.connect();
        client.send(request_bytes("GET", "/events") + (late ? "" : "G"));
        client.read_head();
        CHECK(client.read_body(11) == "data: one\n\n");
        if (late) client.send("G");
      }
      CHECK(left.wait_for(1));
      upstream.answer(cacheable("x"));
      CHECK(proxy.get("/other").status == 200);  // over the only connection that there may be
    }
  }
}

TEST_CASE("robustness: a retry on a fresh connection doesn't wait for the place of the dead one it replaces") {
  for (std::string route : {"cache: off", "ttl: 60s"}) {
    CAPTURE(route);
    ScriptedUpstream upstream([](Exchange& exchange) {
      if (exchange.number_on_connection() > 1) return exchange.close();
      exchange.respond(200, {}, "fine");
    });
    Pillion proxy(one_worker(upstream.endpoint(), ", connections: { max: 1 }", route));
    CHECK(proxy.get("/a").status == 200);
    for (std::string target : {"/b", "/c"}) {
      Response response = proxy.get(target);
      CHECK(response.status == 200);
      CHECK(response.body == "fine");
    }
  }
}

TEST_CASE("robustness: an answer without a length that is cut ends with a reset for a client of HTTP/1.0") {
  Counter gone;
  ScriptedUpstream upstream;
  std::string config = one_worker(upstream.endpoint(), "", "cache: off",
                                  "timeouts: { body: 500ms }\ndrain: { delay: 0s, timeout: 20s }\n");
  SUBCASE("by the upstream") {
    upstream.answer([](Exchange& exchange) {
      exchange.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk("some"));
      exchange.close();
    });
    Pillion proxy(config);
    HttpClient client = proxy.connect();
    client.send("GET / HTTP/1.0\r\nHost: x\r\n\r\n");
    CHECK(ends_with_reset(client.stream()));
  }
  SUBCASE("by nobody") {
    upstream.answer([](Exchange& exchange) {
      exchange.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk("some") + last_chunk());
    });
    Pillion proxy(config);
    HttpClient client = proxy.connect();
    client.send("GET / HTTP/1.0\r\nHost: x\r\n\r\n");
    CHECK_FALSE(ends_with_reset(client.stream()));
  }
  SUBCASE("because the client doesn't read, or because the proxy ends") {
    // Written until the proxy doesn't want more of it.
    upstream.answer([&](Exchange& exchange) {
      try {
        exchange.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        std::string piece = chunk(std::string(64u << 10, 'x'));
        for (;;) exchange.write(piece);
      } catch (const ConnectionClosed&) {
        gone.add();
        throw;
      }
    });
    Pillion proxy(config);
    HttpClient idle(proxy.client(), 64 << 10);
    idle.send("GET / HTTP/1.0\r\nHost: x\r\n\r\n");
    CHECK(gone.wait_for(1));
    CHECK(ends_with_reset(idle.stream()));

    HttpClient reading(proxy.client(), 64 << 10);
    reading.send("GET / HTTP/1.0\r\nHost: x\r\n\r\n");
    reading.stream().read_until("\r\n\r\n");
    proxy.process().signal(SIGTERM);
    proxy.process().signal(SIGTERM);
    CHECK(proxy.process().wait().has_value());
    CHECK(ends_with_reset(reading.stream()));
  }
}

TEST_CASE("robustness: a reload that bounds the connections to an upstream holds for it at once") {
  Counter running;
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  upstream.answer("/slow", [&](Exchange& exchange) {
    running.add();
    gate.wait();
    exchange.respond(200, {}, "x");
  });
  Pillion proxy(one_worker(upstream.endpoint(), "", "cache: off"));
  proxy.get("/probe");
  write_file(proxy.config_file(), one_worker(upstream.endpoint(), ", connections: { max: 2 }", "ttl: 60s"));
  proxy.process().signal(SIGHUP);
  REQUIRE(eventually([&] { return outcome(proxy.get("/probe")) == "hit"; }));
  std::vector<std::unique_ptr<HttpClient>> clients;
  for (int i = 0; i < 6; ++i) {
    clients.push_back(std::make_unique<HttpClient>(proxy.client()));
    clients.back()->send_request("GET", "/slow" + std::to_string(i));
  }
  CHECK(running.wait_for(2));
  CHECK_FALSE(running.wait_for(3, Deadline(300ms)));
  gate.open();
  for (auto& client : clients) CHECK(client->read_response().status == 200);
}

TEST_CASE("robustness: one request that may not be stored doesn't end collapsing for the others") {
  ScriptedUpstream upstream;
  Pillion proxy(config_for(upstream.endpoint(), "routes:\n  - name: r\n    path: /**\n    ttl: 60s\n"));
  const Fields odd[] = {{{"Cache-Control", "no-store"}}, {{"Cookie", "a=b"}}, {{"Authorization", "Basic eDp5"}}};
  for (const Fields& fields : odd) {
    CAPTURE(fields.to_string());
    std::string target = "/" + std::to_string(fields.to_string().size());
    upstream.answer([](Exchange& exchange) { exchange.respond(200, {}, "x"); });
    CHECK(proxy.get(target, fields).status == 200);
    Gate& gate = upstream.gate();
    upstream.answer([&gate](Exchange& exchange) {
      gate.wait();
      exchange.respond(200, {}, "x");
    });
    std::size_t before = upstream.count();
    std::vector<std::unique_ptr<HttpClient>> clients;
    for (int i = 0; i < 8; ++i) {
      clients.push_back(std::make_unique<HttpClient>(proxy.client()));
      clients.back()->send_request("GET", target);
    }
    CHECK(upstream.wait_for_requests(before + 1));
    CHECK_FALSE(upstream.wait_for_requests(before + 2, Deadline(300ms)));
    gate.open();
    for (auto& client : clients) CHECK(client->read_response().status == 200);
  }
}

TEST_CASE("robustness: a cookie comes with the 304 that a client's own condition makes of an answer") {
  ScriptedUpstream upstream(numbered({{"ETag", "\"a\""}, {"Set-Cookie", "s=1"}, {"Cache-Control", "max-age=60"}}));
  Pillion proxy(caching_config(upstream.endpoint()));
  Response response = proxy.get("/", {{"If-None-Match", "\"a\""}});
  CHECK(response.status == 304);
  CHECK(response["Set-Cookie"] == "s=1");
  CHECK(response["ETag"] == "\"a\"");
  CHECK_FALSE(cache_status(response).stored);
}

TEST_CASE("robustness: a request that makes the upstream break off doesn't fail those that wait for its answer") {
  for (bool garbage : {false, true}) {
    CAPTURE(garbage);
    ScriptedUpstream upstream;
    Gate& gate = upstream.gate();
    upstream.answer([&](Exchange& exchange) {
      if (!exchange.request().fields.has("X-Bad"))
        return exchange.respond(200, {{"Cache-Control", "max-age=60"}}, "good");
      gate.wait();
      if (garbage) exchange.write("nonsense\r\n\r\n");
      garbage ? exchange.close() : exchange.reset();
    });
    Pillion proxy(caching_config(upstream.endpoint()));
    HttpClient leader = proxy.connect();
    leader.send_request("GET", "/hot", {{"X-Bad", "1"}});
    REQUIRE(upstream.wait_for_requests(1));
    std::vector<std::unique_ptr<HttpClient>> followers;
    for (int i = 0; i < 5; ++i) {
      followers.push_back(std::make_unique<HttpClient>(proxy.client()));
      followers.back()->send_request("GET", "/hot");
    }
    CHECK_FALSE(upstream.wait_for_requests(2, Deadline(300ms)));  // they wait for the first one's answer
    gate.open();
    CHECK(leader.read_response().status == 502);
    for (auto& follower : followers) {
      Response response = follower->read_response();
      CHECK(response.status == 200);
      CHECK(response.body == "good");
    }
    // A GET over a pooled connection may be tried twice; those let down fetch once, together.
    CHECK(upstream.count("/hot") <= 3);
  }
}
