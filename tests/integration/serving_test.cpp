// Serving: connections, methods, and messages that pass through whole (product contract, sections 3 and 9).
#include <sys/stat.h>

#include <csignal>

#include "integration.hpp"

namespace {

std::string pass_through(const Endpoint& upstream, std::string_view more = {}) {
  return config_for(upstream, "routes:\n  - name: rest\n    path: /**\n    cache: off\n" + std::string(more));
}

}  // namespace

TEST_CASE("serving: several requests share a client's connection and an upstream's") {
  ScriptedUpstream upstream;
  Pillion proxy(pass_through(upstream.endpoint()));
  HttpClient client = proxy.connect();
  for (std::string target : {"/a", "/b?x=1&y=%20", "/c;d/%2e"}) {
    Response response = client.get(target);
    CHECK(response.status == 200);
    CHECK(response.body == target);
  }
  CHECK(upstream.count() == 3);
  CHECK(upstream.connections() == 1);
}

TEST_CASE("serving: pipelined requests are answered in order, a slow one first") {
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  upstream.answer("/slow", [&](Exchange& exchange) {
    gate.wait();
    exchange.respond(200, {}, "slow");
  });
  Pillion proxy(pass_through(upstream.endpoint()));
  HttpClient client = proxy.connect();
  client.send(request_bytes("GET", "/slow") + request_bytes("POST", "/two", {}, "body") +
              request_bytes("GET", "/three"));
  REQUIRE(upstream.wait_for_requests("/slow", 1));
  gate.open();
  CHECK(client.read_response().body == "slow");
  CHECK(client.read_response("POST").body == "/two");
  CHECK(client.read_response().body == "/three");
}

TEST_CASE("serving: pipelined hits come in order") {
  ScriptedUpstream upstream(cacheable("kept"));
  Pillion proxy(caching_config(upstream.endpoint()));
  HttpClient client = proxy.connect();
  CHECK(client.get("/").body == "kept");
  std::string many;
  for (int i = 0; i < 100; ++i) many += request_bytes("GET", "/");
  client.send(many);
  for (int i = 0; i < 100; ++i) CHECK(outcome(client.read_response()) == "hit");
  CHECK(upstream.count() == 1);
}

TEST_CASE("serving: an empty line behind a request doesn't hold its answer up") {
  ScriptedUpstream upstream(cacheable("kept"));
  Pillion proxy(caching_config(upstream.endpoint()));
  HttpClient client = proxy.connect();
  CHECK(client.get("/").body == "kept");
  const std::string request = request_bytes("GET", "/");
  std::string sent;
  for (int count = 1; count <= 60; ++count) {
    sent += request;
    if (sent.size() > 4000) break;  // one read takes them all
    client.send("\r\n" + sent + "\r\n");
    for (int i = 0; i < count; ++i) CHECK(outcome(client.read_response()) == "hit");
  }
  client.send(request + "\r");
  CHECK(outcome(client.read_response()) == "hit");
  client.send("\n" + request);
  CHECK(outcome(client.read_response()) == "hit");
}

TEST_CASE("serving: a client that ends its side together with its request gets the answer, and then the end") {
  ScriptedUpstream upstream(cacheable("kept"));
  Pillion proxy(caching_config(upstream.endpoint()));
  CHECK(proxy.get("/").body == "kept");
  std::string target;
  SUBCASE("a hit") { target = "/"; }
  SUBCASE("a miss") { target = "/other"; }
  SUBCASE("part of a head") {}
  // Some have asked before, the others are accepted with all that they say.
  std::vector<HttpClient> clients;
  for (int i = 0; i < 4; ++i) {
    clients.push_back(proxy.connect());
    if (i % 2 == 0) CHECK(clients.back().get("/").body == "kept");
  }
  proxy.process().signal(SIGSTOP);
  for (HttpClient& client : clients) {
    client.send(target.empty() ? "GET / HTTP/1.1\r\nHo" : request_bytes("GET", target));
    client.stream().shutdown_write();
  }
  proxy.process().signal(SIGCONT);
  for (HttpClient& client : clients) {
    if (!target.empty()) CHECK(client.read_response().body == "kept");
    CHECK(client.closes());
  }
}

TEST_CASE("serving: HTTP/1.0 clients get a body without chunks, and the connection closes unless they ask") {
  ScriptedUpstream upstream;
  upstream.answer("/chunked", [](Exchange& exchange) {
    exchange.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk("part one, ") + chunk("part two"));
    exchange.write(last_chunk());
  });
  Pillion proxy(pass_through(upstream.endpoint()));
  SUBCASE("closing") {
    HttpClient client = proxy.connect();
    client.send("GET /plain HTTP/1.0\r\nHost: app.test\r\n\r\n");
    CHECK(client.read_response().body == "/plain");
    CHECK(client.closes());
  }
  SUBCASE("chunked upstream") {
    HttpClient client = proxy.connect();
    client.send("GET /chunked HTTP/1.0\r\nHost: app.test\r\n\r\n");
    Response response = client.read_response();
    CHECK_FALSE(response.fields.has("Transfer-Encoding"));
    CHECK(response.body == "part one, part two");
    CHECK(client.closes());
  }
  SUBCASE("keep-alive asked for") {
    HttpClient client = proxy.connect();
    for (int i = 0; i < 2; ++i) {
      client.send("GET /plain HTTP/1.0\r\nHost: app.test\r\nConnection: keep-alive\r\n\r\n");
      CHECK(client.read_response().body == "/plain");
    }
  }
}

TEST_CASE("serving: Connection: close is honoured and announced") {
  ScriptedUpstream upstream;
  Pillion proxy(pass_through(upstream.endpoint()));
  HttpClient client = proxy.connect();
  Response response = client.get("/", {{"Connection", "close"}});
  CHECK(lower(response["Connection"]) == "close");
  CHECK(client.closes());
}

TEST_CASE("serving: HEAD passes with the length and without a body") {
  ScriptedUpstream upstream;
  Pillion proxy(pass_through(upstream.endpoint()));
  HttpClient client = proxy.connect();
  Response response = client.request("HEAD", "/twelve-bytes");
  CHECK(response.status == 200);
  CHECK(response["Content-Length"] == "13");
  CHECK(client.get("/after").body == "/after");
}

TEST_CASE("serving: a Unix socket is a listener too, with the mode asked for") {
  ScriptedUpstream upstream;
  TempDir folder;
  std::string path = folder / "client.sock";
  Pillion proxy("listeners:\n  - address: unix:" + path + "\n    mode: \"0600\"\n  - address: 127.0.0.1:0\nadmin:\n" +
                "  address: 127.0.0.1:0\nupstreams:\n  app: " + upstream.url() + "\n");
  Endpoint socket;
  socket.unix_path = path;
  CHECK(fetch(socket, "GET", "/over-unix").body == "/over-unix");
  struct stat info{};
  REQUIRE(::stat(path.c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0600);
  proxy.stop();
  CHECK(::stat(path.c_str(), &info) != 0);
}

TEST_CASE("serving: `serve --upstream` needs no file") {
  ScriptedUpstream upstream(numbered({{"Cache-Control", "max-age=60"}}));
  upstream.answer("/silent", numbered({}));
  PillionOptions options;
  options.arguments = {"serve", "--upstream", upstream.url(), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"};
  SUBCASE("explicit lifetimes only") {
    Pillion proxy("", options);
    CHECK(outcome(proxy.get("/a")) == "uri-miss stored");
    CHECK(outcome(proxy.get("/a")) == "hit");
    CHECK(proxy.get("/silent").body == "1");
    CHECK(proxy.get("/silent").body == "2");
  }
  SUBCASE("--ttl") {
    options.arguments.insert(options.arguments.end(), {"--ttl", "60s"});
    Pillion proxy("", options);
    CHECK(proxy.get("/silent").body == "1");
    CHECK(proxy.get("/silent").body == "1");
  }
  SUBCASE("--redis") {
    RedisServer redis;
    options.arguments.insert(options.arguments.end(), {"--redis", redis.url()});
    Pillion proxy("", options);
    CHECK(proxy.get("/a").status == 200);
    CHECK(eventually([&] { return redis.keys("api:all:*").size() == 1; }));
  }
}

TEST_CASE("serving: a response streams before it is whole") {
  for (std::string cache : {"off", "on"}) {
    CAPTURE(cache);
    ScriptedUpstream upstream;
    Gate& gate = upstream.gate();
    upstream.answer([&](Exchange& exchange) {
      exchange.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n" +
                     chunk("early"));
      gate.wait();
      exchange.write(chunk("late") + last_chunk());
    });
    Pillion proxy(config_for(upstream.endpoint(), "routes:\n  - name: r\n    path: /**\n    cache: " + cache + "\n"));
    HttpClient client = proxy.connect();
    client.send_request("GET", "/");
    Response response = client.read_head();
    CHECK(client.read_body(5) == "early");
    gate.open();
    client.finish(response);
    CHECK(response.body == "late");
    CHECK(response.complete);
  }
}

TEST_CASE("serving: a client that doesn't read holds the upstream back, then gets every byte") {
  constexpr std::size_t total = 96u << 20;
  Counter stalled;
  ScriptedUpstream upstream;
  std::atomic<std::size_t> written{0};
  upstream.answer([&](Exchange& exchange) {
    std::string piece(256u << 10, 'x');
    exchange.write("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(total) + "\r\n\r\n");
    while (written < total) {
      std::size_t n = exchange.stream().write_some(std::string_view(piece).substr(0, total - written));
      written += n;
      if (n == 0 && !exchange.stream().wait_writable(Deadline(1s))) {
        stalled.add();
        if (!exchange.stream().wait_writable(Deadline())) return;
      }
    }
  });
  Pillion proxy(pass_through(upstream.endpoint()));
  HttpClient client(proxy.client(), 64 << 10);
  client.send_request("GET", "/");
  REQUIRE(stalled.wait_for(1));
  CHECK(written < 64u << 20);
  CHECK(proxy.process().resident() < 256u << 20);
  client.read_head();
  std::size_t read = 0;
  for (std::string piece = client.read_some(); !piece.empty(); piece = client.read_some()) read += piece.size();
  CHECK(read == total);
}

TEST_CASE("serving: an upstream that doesn't read holds the client back, then gets every byte") {
  constexpr std::size_t total = 96u << 20;
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    gate.wait();
    exchange.read_body();
    exchange.respond(200);
  });
  Pillion proxy(pass_through(upstream.endpoint()));
  HttpClient client = proxy.connect();
  client.send_request("PUT", "/", {{"Content-Length", std::to_string(total)}});
  REQUIRE(upstream.wait_for_requests(1));
  std::string piece(256u << 10, 'y');
  std::size_t sent = 0;
  while (sent < total) {
    std::size_t n = client.stream().write_some(std::string_view(piece).substr(0, total - sent));
    sent += n;
    if (n == 0 && !client.stream().wait_writable(Deadline(gate.is_open() ? 15s : 1s))) {
      REQUIRE_FALSE(gate.is_open());
      CHECK(sent < 64u << 20);
      gate.open();
    }
  }
  CHECK(gate.is_open());
  CHECK(client.read_response("PUT").status == 200);
  CHECK(upstream.requests()[0].body_bytes == total);
}

TEST_CASE("serving: a chunked request reaches the upstream whole, without the client's chunk extensions") {
  ScriptedUpstream upstream;
  Pillion proxy(pass_through(upstream.endpoint()));
  HttpClient client = proxy.connect();
  client.send(request_bytes("POST", "/up", {{"Transfer-Encoding", "chunked"}}));
  client.send("5;ext=1;q=\"a b\"\r\nhello\r\n");
  client.send("00006\r\n world\r\n0\r\n\r\n");
  CHECK(client.read_response("POST").status == 200);
  auto requests = upstream.requests("/up");
  REQUIRE(requests.size() == 1);
  CHECK(requests[0].body == "hello world");
  CHECK(requests[0].complete);
  CHECK(client.get("/next").body == "/next");
}

TEST_CASE("serving: trailers of a response reach a client that accepts them") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n" + chunk("data") +
                   last_chunk({{"X-Sum", "4"}}));
  });
  Pillion proxy(pass_through(upstream.endpoint()));
  Response response = proxy.get("/", {{"TE", "trailers"}, {"Connection", "TE"}});
  CHECK(response.body == "data");
  CHECK(response.trailers["X-Sum"] == "4");
}

TEST_CASE("serving: Expect: 100-continue travels to the upstream and back") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    if (exchange.request().target == "/no") {
      exchange.respond(403, {{"Connection", "close"}}, "no");
      exchange.close();
      return;
    }
    exchange.write("HTTP/1.1 100 Continue\r\n\r\n");
    exchange.read_body();
    exchange.respond(200, {}, exchange.request().body);
  });
  Pillion proxy(pass_through(upstream.endpoint()));
  Fields fields{{"Expect", "100-continue"}, {"Content-Length", "4"}};
  SUBCASE("wanted") {
    HttpClient client = proxy.connect();
    client.send_request("POST", "/yes", fields);
    CHECK(client.stream().read_until("\r\n\r\n").starts_with("HTTP/1.1 100 "));
    client.send("body");
    CHECK(client.read_response("POST").body == "body");
  }
  SUBCASE("refused: the connection can't carry another request") {
    HttpClient client = proxy.connect();
    client.send_request("POST", "/no", fields);
    CHECK(client.read_response("POST").status == 403);
    CHECK(client.closes());
  }
}

TEST_CASE("serving: early hints pass") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.write("HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\n\r\n");
    exchange.respond(200, {}, "page");
  });
  Pillion proxy(pass_through(upstream.endpoint()));
  Response response = proxy.get("/");
  CHECK(response.body == "page");
  REQUIRE(response.interim.size() == 1);
  CHECK(response.interim[0].status == 103);
  CHECK(response.interim[0]["Link"] == "</style.css>; rel=preload");
}

TEST_CASE("serving: CONNECT and TRACE are refused with 405") {
  ScriptedUpstream upstream;
  Pillion proxy(pass_through(upstream.endpoint()));
  CHECK(proxy.request("TRACE", "/").status == 405);
  HttpClient client = proxy.connect();
  client.send("CONNECT app.test:443 HTTP/1.1\r\nHost: app.test:443\r\n\r\n");
  CHECK(client.read_response().status == 405);
  CHECK(upstream.count() == 0);
}

TEST_CASE("serving: methods that no cache knows pass with their bodies") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  for (std::string method : {"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "X-Odd"}) {
    CAPTURE(method);
    Response response = proxy.request(method, "/thing", {{"Content-Type", "a/b"}}, "payload");
    CHECK(response.status == 200);
    CHECK(outcome(response) == "method");
    CHECK(upstream.requests().back().method == method);
    CHECK(upstream.requests().back().body == "payload");
  }
}

TEST_CASE("serving: named listeners serve their own routes, and a rewrite changes the path sent") {
  ScriptedUpstream app([](Exchange& exchange) { exchange.respond(200, {}, "app " + exchange.request().target); });
  ScriptedUpstream images([](Exchange& exchange) { exchange.respond(200, {}, "images " + exchange.request().target); });
  TempDir folder;
  folder.write("token", "Bearer s3cret\n");
  Pillion proxy(
      "listeners:\n  - address: 127.0.0.1:0\n  - name: egress\n    address: 127.0.0.1:0\nadmin:\n  address: "
      "127.0.0.1:0\n"
      "upstreams:\n  app: " +
      app.url() + "\n  images:\n    url: " + images.url() +
      "\n    host: upstream\n    request_headers: { Authorization: { file: " + (folder / "token") + " } }\n" +
      "routes:\n  - name: samplers\n    listener: egress\n    path: /comfyui/samplers\n    upstream: images\n"
      "    rewrite: /object_info/KSampler\n  - name: rest\n    path: /**\n    cache: off\n");
  CHECK(fetch(proxy.client(1), "GET", "/comfyui/samplers").body == "images /object_info/KSampler");
  auto sent = images.requests().at(0);
  CHECK(sent.fields["Host"] == images.endpoint().to_string());
  CHECK(sent.fields["Authorization"] == "Bearer s3cret");
  CHECK(proxy.get("/comfyui/samplers").body == "app /comfyui/samplers");
}
