// The tests' own tools against each other: what they promise must hold before they may judge the proxy.
#include <doctest/doctest.h>

#include <csignal>
#include <set>

#include "support/http.hpp"
#include "support/json.hpp"
#include "support/process.hpp"
#include "support/redis_server.hpp"
#include "support/scripted_upstream.hpp"

using namespace pillion::support;

TEST_CASE("the client reads what the scripted upstream answers, several requests a connection") {
  ScriptedUpstream upstream;
  HttpClient client(upstream.endpoint());
  CHECK(client.get("/one").body == "/one");
  CHECK(client.get("/two").body == "/two");
  CHECK(client.request("HEAD", "/three").body.empty());
  CHECK(client.request("POST", "/four", {}, "some bytes").status == 200);
  CHECK(upstream.connections() == 1);
  auto posted = upstream.requests("/four");
  REQUIRE(posted.size() == 1);
  CHECK(posted[0].body == "some bytes");
  CHECK(posted[0].complete);
}

TEST_CASE("pipelined answers are told apart, and a chunked body with trailers is read") {
  ScriptedUpstream upstream;
  upstream.answer("/chunked", [](Exchange& exchange) {
    exchange.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    exchange.write(chunk("first ") + chunk("second"));
    exchange.write(last_chunk({{"X-Sum", "42"}}));
  });
  HttpClient client(upstream.endpoint());
  client.send(request_bytes("GET", "/chunked") + request_bytes("GET", "/plain"));
  Response first = client.read_response();
  CHECK(first.body == "first second");
  CHECK(first.trailers["x-sum"] == "42");
  CHECK(first.complete);
  CHECK(client.read_response().body == "/plain");
}

TEST_CASE("a body that is cut is not complete, however it was cut") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    const std::string& how = exchange.request().target;
    if (how == "/length") exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort");
    if (how == "/chunked") exchange.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk("short"));
    if (how == "/reset") exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
    how == "/reset" ? exchange.reset() : exchange.close();
  });
  for (const char* how : {"/length", "/chunked", "/reset"}) {
    CAPTURE(how);
    HttpClient client(upstream.endpoint());
    client.send_request("GET", how);
    try {
      CHECK_FALSE(client.read_response().complete);
    } catch (const ConnectionClosed&) {
      CHECK(std::string(how) == "/reset");  // a reset may overtake the head
    }
  }
}

TEST_CASE("interim responses are kept apart from the final one") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.write("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    exchange.respond(200, {}, "done");
  });
  HttpClient client(upstream.endpoint());
  Response response = client.get("/");
  CHECK(response.status == 200);
  REQUIRE(response.interim.size() == 1);
  CHECK(response.interim[0].status == 103);
}

TEST_CASE("the scripted upstream notices every request that a careful proxy would not send") {
  struct Row {
    const char* why;
    const char* bytes;
  };
  const Row rows[] = {
      {"no Host", "GET / HTTP/1.1\r\n\r\n"},
      {"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
      {"HTTP/1.0", "GET / HTTP/1.0\r\nHost: a\r\n\r\n"},
      {"absolute form", "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"space before the colon", "GET / HTTP/1.1\r\nHost: a\r\nX : y\r\n\r\n"},
      {"a fold", "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n"},
      {"a bare LF", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"},
      {"a fragment", "GET /#a HTTP/1.1\r\nHost: a\r\n\r\n"},
      {"length and chunked", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {"two lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n"},
      {"a strange coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"},
      {"a negative length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n"},
      {"a bad chunk size", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n"},
      {"a chunk without its end",
       "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n"},
      {"chunk extensions", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;e\r\na\r\n0\r\n\r\n"},
      {"hop-by-hop", "GET / HTTP/1.1\r\nHost: a\r\nKeep-Alive: 1\r\n\r\n"},
      {"a nominated field", "GET / HTTP/1.1\r\nHost: a\r\nConnection: X-A\r\nX-A: 1\r\n\r\n"},
      {"an upgrade without its option", "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.why);
    ScriptedUpstream upstream;
    {
      HttpClient client(upstream.endpoint());
      client.send(row.bytes);
      client.stream().shutdown_write();
      client.stream().read_to_end();
    }
    upstream.wait_for_open_connections(0);
    CHECK(upstream.take_violations().size() == 1);
  }
}

TEST_CASE("a stopped upstream refuses, and serves again once started") {
  ScriptedUpstream upstream;
  Endpoint where = upstream.endpoint();
  upstream.stop();
  CHECK_THROWS_AS(fetch(where, "GET", "/"), ConnectionClosed);
  upstream.start();
  CHECK(fetch(where, "GET", "/").status == 200);
}

TEST_CASE("a refusing port refuses and a silent one never connects") {
  RefusingPort refusing;
  CHECK_THROWS_AS(Stream::connect(refusing.endpoint()), ConnectionClosed);
  SilentPort silent;
  CHECK_THROWS_AS(Stream::connect(silent.endpoint(), Deadline(100ms)), TimedOut);
}

TEST_CASE("a free port is given once, and a server can listen there") {
  std::set<std::uint16_t> ports;
  std::vector<Fd> servers;
  for (int i = 0; i < 250; ++i) {
    std::uint16_t port = free_port();
    CHECK(ports.insert(port).second);
    if (i % 10 == 0) servers.push_back(bind_loopback(port, 16));
  }
  Stream client = Stream::connect({"127.0.0.1", port_of(servers[7]), {}});
  CHECK(accept_from(servers[7]).is_open());
  RedisServer redis({.port = free_port()});
  CHECK(redis.command({"PING"}).text == "PONG");
}

TEST_CASE("redis-server keeps what it is told, can be killed, paused and started again") {
  RedisServer redis;
  CHECK(redis.command({"SET", "a key", std::string("b\0c", 3)}).text == "OK");
  CHECK(redis.command({"GET", "a key"}).text == std::string("b\0c", 3));
  CHECK(redis.keys() == std::vector<std::string>{"a key"});
  redis.pause();
  CHECK_THROWS_AS(RedisClient(redis.endpoint()).command({"PING"}, Deadline(100ms)), TimedOut);
  redis.resume();
  CHECK(redis.command({"PING"}).text == "PONG");
  redis.kill();
  CHECK_THROWS_AS(redis.command({"PING"}), ConnectionClosed);
  redis.start();
  CHECK(redis.command({"GET", "a key"}).is_null());
}

TEST_CASE("a process is heard, signalled and reaped") {
  Finished finished = run({"sh", "-c", "cat; echo out; echo err >&2; exit 3"});
  CHECK(finished.exit.code == 3);
  CHECK(finished.out == "out\n");
  CHECK(finished.err == "err\n");
  ProcessOptions options;
  options.arguments = {"sh", "-c", "echo \"$WORD\" >&2; exec tail -f /dev/null"};
  options.environment["WORD"] = "well met";
  Process process(options);
  CHECK(process.wait_for_err_line("met") == "well met");
  CHECK(process.resident() > 0);
  CHECK_FALSE(process.wait(Deadline(0ms)).has_value());
  process.signal(SIGTERM);
  auto exit = process.wait();
  REQUIRE(exit.has_value());
  CHECK(exit->signal == SIGTERM);
}

TEST_CASE("Cache-Status is read as a structured list") {
  Response response;
  response.fields.add("Cache-Status", "other; hit, pillion; fwd=uri-miss; fwd-status=200; stored; key=\"a, b\"");
  CacheStatus status = cache_status(response);
  CHECK(status.cache == "pillion");
  CHECK_FALSE(status.hit);
  CHECK(status.stored);
  CHECK(status.forward == "uri-miss");
  CHECK(status.forward_status == 200);
  CHECK(status.key == "a, b");
  response.fields = {{"Cache-Status", "pillion; hit; ttl=-3; detail=memory"}};
  CHECK(cache_status(response).hit);
  CHECK(cache_status(response).ttl == -3);
  CHECK(cache_status(response).detail == "memory");
}

TEST_CASE("JSON is read, and what isn't JSON refused") {
  Json json = Json::parse(R"({"a": [1, "two", null], "b": {"c": true}, "d": "\u0041\n"})");
  CHECK(json["a"].array.at(0).number == 1);
  CHECK(json["a"].contains("two"));
  CHECK(json["b"]["c"].boolean);
  CHECK(json["d"].string == "A\n");
  for (const char* bad : {"", "{", "[1,]", "{\"a\":1,\"a\":2}", "\"\n\"", "1 2", "nul"}) {
    CAPTURE(bad);
    CHECK_THROWS(Json::parse(bad));
  }
}
