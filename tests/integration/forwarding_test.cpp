// What is added to, kept in and taken from messages on their way (product contract, section 3), and how connections
// to the upstream are kept (section 9).
#include "integration.hpp"

namespace {

std::string routed(const Endpoint& upstream, std::string_view settings = "cache: off", std::string_view more = {}) {
  return config_for(upstream,
                    "routes:\n  - name: rest\n    path: /**\n    " + std::string(settings) + "\n" + std::string(more));
}

}  // namespace

TEST_CASE("forwarding: Host is kept, Via and X-Forwarded-* tell where a request came from") {
  ScriptedUpstream upstream;
  Pillion proxy(routed(upstream.endpoint()));
  proxy.get("/", {{"Host", "shop.example:8080"}});
  auto sent = upstream.requests().at(0).fields;
  CHECK(sent["Host"] == "shop.example:8080");
  CHECK(sent["X-Forwarded-For"] == "127.0.0.1");
  CHECK(sent["X-Forwarded-Proto"] == "http");
  CHECK(sent["X-Forwarded-Host"] == "shop.example:8080");
  CHECK(sent["Via"].find("1.1 ") != std::string::npos);
}

TEST_CASE("forwarding: what a trusted peer said of the client is kept, the address appended") {
  ScriptedUpstream upstream;
  Fields said{{"X-Forwarded-For", "192.0.2.7"}, {"X-Forwarded-Proto", "https"}, {"X-Forwarded-Host", "outer.example"}};
  SUBCASE("trusted by default: loopback") {
    Pillion proxy(routed(upstream.endpoint()));
    proxy.get("/", said);
    auto sent = upstream.requests().at(0).fields;
    CHECK(sent["X-Forwarded-For"] == "192.0.2.7, 127.0.0.1");
    CHECK(sent["X-Forwarded-Proto"] == "https");
    CHECK(sent["X-Forwarded-Host"] == "outer.example");
  }
  SUBCASE("not trusted") {
    Pillion proxy(routed(upstream.endpoint(), "cache: off", "trusted_proxies: [192.0.2.0/24]\n"));
    proxy.get("/", said);
    auto sent = upstream.requests().at(0).fields;
    CHECK(sent["X-Forwarded-Proto"] == "http");
    CHECK(sent["X-Forwarded-Host"] == "app.test");
  }
  SUBCASE("forwarded: off leaves all three alone") {
    Pillion proxy(routed(upstream.endpoint(), "forwarded: off"));
    proxy.get("/", said);
    auto sent = upstream.requests().at(0).fields;
    CHECK(sent["X-Forwarded-For"] == "192.0.2.7");
    CHECK(sent["X-Forwarded-Proto"] == "https");
    CHECK(sent["X-Forwarded-Host"] == "outer.example");
    proxy.get("/");
    CHECK_FALSE(upstream.requests().at(1).fields.has("X-Forwarded-For"));
  }
}

TEST_CASE("forwarding: hop-by-hop fields and those that Connection names stop here, both ways") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.respond(200,
                     {{"Connection", "X-Secret, keep-alive"},
                      {"X-Secret", "1"},
                      {"Keep-Alive", "timeout=5"},
                      {"Proxy-Authenticate", "Basic"},
                      {"X-Open", "2"}},
                     "body");
  });
  for (std::string cache : {"cache: off", "ttl: 60s"}) {
    CAPTURE(cache);
    Pillion proxy(routed(upstream.endpoint(), cache));
    for (int i = 0; i < 2; ++i) {
      Response response = proxy.get("/", {{"Connection", "X-Mine"},
                                          {"X-Mine", "1"},
                                          {"Keep-Alive", "300"},
                                          {"Proxy-Connection", "keep-alive"},
                                          {"TE", "deflate"},
                                          {"X-Other", "3"}});
      for (std::string gone : {"X-Secret", "Keep-Alive", "Proxy-Authenticate"}) {
        CAPTURE(gone);
        CHECK_FALSE(response.fields.has(gone));
      }
      CHECK(response["X-Open"] == "2");
      CHECK(response.body == "body");
    }
    for (const auto& request : upstream.requests()) {
      CHECK_FALSE(request.fields.has("X-Mine"));
      CHECK(request.fields["X-Other"] == "3");
    }
  }
}

TEST_CASE("forwarding: an application's field that Connection may not name away stays") {
  // Naming Host or Cache-Control in Connection must not let a client strip what the application or the key rests on.
  ScriptedUpstream upstream;
  Pillion proxy(routed(upstream.endpoint()));
  HttpClient client = proxy.connect();
  client.send("GET / HTTP/1.1\r\nHost: app.test\r\nConnection: Host\r\n\r\n");
  Response response = client.read_response();
  if (response.status == 200) {
    CHECK(upstream.requests().at(0).fields["Host"] == "app.test");
  } else {
    CHECK(response.status == 400);
  }
}

TEST_CASE("forwarding: a request id is kept where sane and made otherwise; traceparent passes") {
  ScriptedUpstream upstream;
  Pillion proxy(routed(upstream.endpoint()));
  std::string trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  proxy.get("/", {{"X-Request-Id", "abc-123"}, {"traceparent", trace}});
  proxy.get("/");
  proxy.get("/", {{"X-Request-Id", "a \"quote\" and <more>" + std::string(500, 'x')}});
  auto requests = upstream.requests();
  CHECK(requests.at(0).fields["X-Request-Id"] == "abc-123");
  CHECK(requests.at(0).fields["traceparent"] == trace);
  CHECK_FALSE(requests.at(1).fields["X-Request-Id"].empty());
  CHECK(requests.at(2).fields.count("X-Request-Id") == 1);
  CHECK(requests.at(2).fields["X-Request-Id"].find('"') == std::string::npos);
}

TEST_CASE("forwarding: the upstream's status, fields and order of equal fields arrive as they were") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.respond(418,
                     {{"Set-Cookie", "a=1"}, {"Set-Cookie", "b=2"}, {"X-Utf8", "gr\xc3\xbc\xc3\x9f"}, {"X-Empty", ""}},
                     "teapot");
  });
  Pillion proxy(routed(upstream.endpoint()));
  Response response = proxy.get("/");
  CHECK(response.status == 418);
  CHECK(response.fields.all("Set-Cookie") == std::vector<std::string>{"a=1", "b=2"});
  CHECK(response["X-Utf8"] == "gr\xc3\xbc\xc3\x9f");
  CHECK(response.fields.has("X-Empty"));
  CHECK(response.body == "teapot");
  CHECK(cache_status(response).forward_status == 418);
}

TEST_CASE("forwarding: Cache-Status can be turned off, or show the key") {
  ScriptedUpstream upstream(cacheable("x"));
  {
    Pillion proxy(routed(upstream.endpoint(), "cache: on\n    cache_status: off"));
    CHECK(outcome(proxy.get("/")) == "none");
  }
  Pillion proxy(routed(upstream.endpoint(), "cache: on\n    cache_status: key"));
  proxy.get("/");
  CHECK_FALSE(cache_status(proxy.get("/")).key.empty());
}

TEST_CASE("forwarding: an upstream that names itself in Cache-Status keeps its member, ours last") {
  ScriptedUpstream upstream(cacheable("x", {{"Cache-Status", "inner; hit"}}));
  Pillion proxy(caching_config(upstream.endpoint()));
  Response response = proxy.get("/");
  CAPTURE(response["Cache-Status"]);
  CHECK(response["Cache-Status"].starts_with("inner; hit, pillion; fwd=uri-miss"));
}

TEST_CASE("forwarding: a pooled connection that the upstream closed meanwhile costs the client nothing") {
  ScriptedUpstream upstream;
  Pillion proxy(routed(upstream.endpoint()));
  CHECK(proxy.get("/one").status == 200);
  upstream.close_idle();
  CHECK(proxy.get("/two").body == "/two");
  upstream.close_idle();
  CHECK(proxy.request("POST", "/three", {}, "x").body == "/three");
}

TEST_CASE("forwarding: a safe request whose pooled connection dies unanswered is sent once more, an unsafe one never") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.read_body();
    if (exchange.number_on_connection() > 1) return exchange.reset();
    exchange.respond(200, {}, "fresh");
  });
  Pillion proxy(routed(upstream.endpoint()));
  HttpClient client = proxy.connect();  // one connection: one worker, and its pool
  CHECK(client.get("/warm").status == 200);
  CHECK(client.get("/safe").body == "fresh");
  CHECK(upstream.count("/safe") == 2);
  CHECK(client.get("/warm").status == 200);
  int status = client.request("POST", "/unsafe", {}, "pay").status;
  CHECK(upstream.count("/unsafe") == 1);
  CHECK((status == 502 || status == 200));  // 200 where a new connection was taken for it
}

TEST_CASE("forwarding: idle upstream connections close before a server's own five seconds") {
  ScriptedUpstream upstream;
  Pillion proxy(routed(upstream.endpoint()));
  CHECK(proxy.get("/").status == 200);
  auto from = Clock::now();
  CHECK(upstream.wait_for_open_connections(0));
  auto idle = Clock::now() - from;
  CHECK(idle > 1s);
  CHECK(idle < 5s);
}

TEST_CASE("forwarding: an upstream that says Keep-Alive: timeout is believed") {
  ScriptedUpstream upstream([](Exchange& exchange) { exchange.respond(200, {{"Keep-Alive", "timeout=2"}}, "x"); });
  Pillion proxy(routed(upstream.endpoint()));
  CHECK(proxy.get("/").status == 200);
  auto from = Clock::now();
  CHECK(upstream.wait_for_open_connections(0));
  CHECK(Clock::now() - from < 3s);
}
