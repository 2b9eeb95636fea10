// Messages as they pass (RFC 9110 7, 10, 15; RFC 9112): interim responses, trailers, framing, hop-by-hop fields, old
// versions, forms of targets, unknown statuses; on a route that caches, unless a test says otherwise.
#include "integration.hpp"

namespace {

/// The next head from the connection, an interim one too.
Head next_head(HttpClient& client) { return Head::parse(client.stream().read_until("\r\n\r\n")); }

}  // namespace

TEST_CASE("interim: 100-continue is the upstream's to give, and the body waits for it") {
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    gate.wait();
    exchange.write("HTTP/1.1 100 Continue\r\n\r\n");
    exchange.read_body();
    exchange.respond(200, {}, exchange.request().body);
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  HttpClient client = proxy.connect();
  client.send_request("POST", "/", {{"Expect", "100-continue"}, {"Content-Length", "4"}});
  REQUIRE(upstream.wait_for_requests(1));
  CHECK(lower(upstream.requests()[0].fields["Expect"]) == "100-continue");
  CHECK(client.stream().stays_silent(200ms));
  gate.open();
  CHECK(next_head(client).first_line.starts_with("HTTP/1.1 100"));
  client.send("body");
  CHECK(client.read_response("POST").body == "body");
}

TEST_CASE("interim: an upstream that refuses instead of 100-continue is heard without a body") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.respond(417, {{"Connection", "close"}}, "no");
    exchange.close();
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  HttpClient client = proxy.connect();
  client.send_request("PUT", "/", {{"Expect", "100-continue"}, {"Content-Length", "4"}});
  Response response = client.read_response("PUT");
  CHECK(response.status == 417);
  CHECK(response.interim.empty());
  CHECK(response.body == "no");
}

TEST_CASE("interim: 102 and 103 pass as they arrive, before the answer is known, with their fields") {
  for (std::string method : {"GET", "HEAD", "POST"}) {
    CAPTURE(method);
    ScriptedUpstream upstream;
    Gate& gate = upstream.gate();
    upstream.answer([&](Exchange& exchange) {
      exchange.read_body();
      exchange.write("HTTP/1.1 102 Processing\r\n\r\n");
      exchange.write(
          "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n");
      gate.wait();
      exchange.respond(200, caching("max-age=60"), "page");
    });
    Pillion proxy(caching_config(upstream.endpoint()));
    HttpClient client = proxy.connect();
    client.send_request(method, "/");
    CHECK(next_head(client).first_line.starts_with("HTTP/1.1 102"));
    Head hints = next_head(client);
    CHECK(hints.first_line.starts_with("HTTP/1.1 103"));
    CHECK(hints.fields["Link"] == "</a.css>; rel=preload");
    CHECK_FALSE(hints.fields.has("X-Hop"));
    gate.open();
    CHECK(client.read_response(method).status == 200);
  }
}

TEST_CASE("interim: a stored response comes without the interim ones before it, and old clients get none") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.write("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
    exchange.respond(200, caching("max-age=60"), "page");
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  HttpClient old = proxy.connect();
  old.send("GET /old HTTP/1.0\r\nHost: app.test\r\n\r\n");
  Response to_old = old.read_response();
  CHECK(to_old.status == 200);
  CHECK(to_old.interim.empty());
  CHECK(proxy.get("/").interim.size() == 1);
  Response hit = proxy.get("/");
  CHECK(outcome(hit) == "hit");
  CHECK(hit.interim.empty());
  CHECK(hit.body == "page");
}

TEST_CASE("interim: trailers of a response pass to those who accept them, and to nobody else") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" + chunk("data") +
                   last_chunk({{"X-Sum", "4"}}));
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  for (std::string method : {"GET", "POST"}) {
    CAPTURE(method);
    Response with = proxy.request(method, "/", {{"TE", "trailers"}, {"Connection", "TE"}});
    CHECK(with.body == "data");
    CHECK(with.trailers["X-Sum"] == "4");
    Response without = proxy.request(method, "/");
    CHECK(without.body == "data");
    CHECK(without.trailers.size() == 0);
  }
}

TEST_CASE("interim: a stored response keeps its body whatever its trailers were, and they don't become fields") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n" +
                   chunk("data") + last_chunk({{"X-Sum", "4"}, {"Cache-Control", "no-store"}, {"ETag", "\"late\""}}));
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  Response hit = proxy.get("/");
  CHECK(outcome(hit) == "hit");
  CHECK(hit.body == "data");
  CHECK(hit.complete);
  CHECK_FALSE(hit.fields.has("X-Sum"));
  CHECK_FALSE(hit.fields.has("ETag"));
  CHECK(hit["Cache-Control"] == "max-age=60");
}

TEST_CASE("interim: trailers of a request reach the upstream") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  HttpClient client = proxy.connect();
  client.send(request_bytes("POST", "/", {{"Transfer-Encoding", "chunked"}, {"Trailer", "X-Sum"}}) + chunk("data") +
              last_chunk({{"X-Sum", "4"}}));
  CHECK(client.read_response("POST").status == 200);
  REQUIRE(upstream.count() == 1);
  CHECK(upstream.requests()[0].body == "data");
  CHECK(upstream.requests()[0].trailers["X-Sum"] == "4");
}

TEST_CASE("interim: what Connection names stops here, both ways, and isn't stored") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.respond(200,
                     caching("max-age=60", {{"Connection", "X-One, keep-alive"},
                                            {"Connection", "x-two"},
                                            {"X-One", "1"},
                                            {"X-Two", "2"},
                                            {"Keep-Alive", "timeout=5"},
                                            {"Proxy-Connection", "keep-alive"},
                                            {"X-End", "to end"}}),
                     "x");
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  Fields request{{"Connection", "X-Mine , x-other"}, {"X-Mine", "1"},    {"X-Other", "2"}, {"Keep-Alive", "timeout=5"},
                 {"Proxy-Connection", "close"},      {"X-End", "to end"}};
  const std::pair<std::string, Response> answers[] = {
      {"a miss", proxy.get("/", request)},
      {"a hit", proxy.get("/", request)},
      {"HEAD", proxy.request("HEAD", "/", request)},
      {"another method", proxy.request("POST", "/", request)},
  };
  for (const auto& [why, response] : answers) {
    CAPTURE(why);
    CHECK(response["X-End"] == "to end");
    for (std::string name : {"X-One", "X-Two", "Proxy-Connection"}) CHECK_FALSE(response.fields.has(name));
    CHECK(lower(response["Connection"]).find("x-one") == std::string::npos);
  }
  CHECK(upstream.count() == 2);
  for (const auto& got : upstream.requests()) {
    CHECK(got.fields["X-End"] == "to end");
    for (std::string name : {"X-Mine", "X-Other", "Keep-Alive", "Proxy-Connection"}) CHECK_FALSE(got.fields.has(name));
  }
}

TEST_CASE("interim: TE says no more to the upstream than trailers") {
  ScriptedUpstream upstream;  // which refuses any other TE
  Pillion proxy(caching_config(upstream.endpoint()));
  for (std::string te : {"trailers", "gzip, trailers;q=0.5", "deflate", ""}) {
    CAPTURE(te);
    CHECK(proxy.get("/", {{"TE", te}, {"Connection", "TE"}}).status == 200);
  }
}

TEST_CASE("interim: Via says by what version each request came, and keeps what others said") {
  ScriptedUpstream upstream(cacheable("x", {{"Via", "1.0 inner"}}));
  Pillion proxy(caching_config(upstream.endpoint()));
  Response miss = proxy.get("/", {{"Via", "1.0 outer"}});
  Response hit = proxy.get("/");
  for (const Response* response : {&miss, &hit}) CHECK((*response)["Via"].starts_with("1.0 inner"));
  CHECK(upstream.requests()[0].fields["Via"] == "1.0 outer, 1.1 pillion");
  HttpClient old = proxy.connect();
  old.send("GET /old HTTP/1.0\r\nHost: app.test\r\n\r\n");
  CHECK(old.read_response().status == 200);
  CHECK(upstream.requests().back().fields["Via"] == "1.0 pillion");
}

TEST_CASE("interim: an upstream of HTTP/1.0") {
  ScriptedUpstream upstream;
  auto old = [](std::string fields) {
    return [fields = std::move(fields)](Exchange& exchange) {
      exchange.read_body();
      exchange.write("HTTP/1.0 200 OK\r\n" + fields + "\r\nold body");
      exchange.close();
    };
  };
  upstream.answer("/kept", old("Cache-Control: max-age=60\r\nContent-Length: 8\r\n"));
  upstream.answer("/closed", old("Cache-Control: max-age=60\r\n"));
  upstream.answer("/expires", old("Expires: " + http_date(600) + "\r\nContent-Length: 8\r\n"));
  Pillion proxy(caching_config(upstream.endpoint()));
  for (std::string target : {"/kept", "/closed", "/expires"}) {
    CAPTURE(target);
    HttpClient client = proxy.connect();
    Response response = client.get(target);
    CHECK(response.version == "HTTP/1.1");
    CHECK(response.body == "old body");
    CHECK(response.complete);
  }
  for (std::string target : {"/kept", "/expires"}) {
    CAPTURE(target);
    CHECK(eventually([&] { return outcome(proxy.get(target)) == "hit"; }));
  }
  CHECK(outcome(proxy.get("/closed")) != "hit");
  CHECK(proxy.request("POST", "/closed", {}, "x").body == "old body");
}

TEST_CASE("interim: clients of HTTP/1.0 get hits, with a length, and a connection that closes") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n" +
                   chunk("part ") + chunk("by part") + last_chunk());
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  HttpClient client = proxy.connect();
  client.send("GET / HTTP/1.0\r\nHost: app.test\r\n\r\n");
  Response response = client.read_response();
  CHECK(outcome(response) == "hit");
  CHECK(response.body == "part by part");
  CHECK_FALSE(response.fields.has("Transfer-Encoding"));
  CHECK(response["Content-Length"] == "12");
  CHECK(client.closes());
}

TEST_CASE("interim: an absolute target is the same as its path, and its host the one that counts") {
  ScriptedUpstream upstream(turns(caching("max-age=60")));
  Pillion proxy(caching_config(upstream.endpoint()));
  CHECK(proxy.get("http://app.test/x?y=1")["X-Turn"] == "1");
  auto first = upstream.requests().at(0);
  CHECK(first.target == "/x?y=1");
  CHECK(first.fields["Host"] == "app.test");
  CHECK(outcome(proxy.get("/x?y=1")) == "hit");
  CHECK(outcome(proxy.get("http://app.test/x?y=1", {{"Host", "other.test"}})) == "hit");
  CHECK(outcome(proxy.get("HTTP://APP.test/x?y=1")) == "hit");
  CHECK(proxy.get("http://other.test/x?y=1")["X-Turn"] == "2");
  CHECK(upstream.requests().at(1).fields["Host"] == "other.test");
  CHECK(proxy.get("http://app.test")["X-Turn"] == "3");
  CHECK(upstream.requests().at(2).target == "/");
  CHECK(outcome(proxy.get("/")) == "hit");
}

TEST_CASE("interim: the target of a star is for OPTIONS alone") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  CHECK(proxy.request("OPTIONS", "*").status == 200);
  CHECK(upstream.requests().at(0).target == "*");
  CHECK(upstream.requests().at(0).method == "OPTIONS");
  for (std::string method : {"GET", "POST", "HEAD"}) {
    CAPTURE(method);
    CHECK(proxy.request(method, "*").status == 400);
  }
  CHECK(upstream.count() == 1);
}

TEST_CASE("interim: statuses that nobody knows pass as they are, with their words") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  for (int status : {218, 299, 399, 420, 499, 530, 599}) {
    for (std::string method : {"GET", "POST"}) {
      CAPTURE(status);
      CAPTURE(method);
      std::string target = "/" + method + std::to_string(status);
      upstream.answer(target, [status](Exchange& exchange) {
        exchange.read_body();
        exchange.write("HTTP/1.1 " + std::to_string(status) + " A Word Of Its Own\r\nContent-Length: 4\r\n\r\nbody");
      });
      Response response = proxy.request(method, target);
      CHECK(response.status == status);
      CHECK(response.reason == "A Word Of Its Own");
      CHECK(response.body == "body");
    }
  }
}

TEST_CASE("interim: a status of three digits may come without words") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.write("HTTP/1.1 200 \r\nCache-Control: max-age=60\r\nContent-Length: 4\r\n\r\nbody");
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  for (int i = 0; i < 2; ++i) {
    Response response = proxy.get("/");
    CHECK(response.status == 200);
    CHECK(response.body == "body");
  }
  CHECK(upstream.count() == 1);
}
