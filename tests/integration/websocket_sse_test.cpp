// WebSocket and other upgrades, and server-sent events, pass unharmed (product contract, section 3).
#include "integration.hpp"

namespace {

const Fields upgrade{{"Connection", "Upgrade"},
                     {"Upgrade", "websocket"},
                     {"Sec-WebSocket-Version", "13"},
                     {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}};

/// Answers 101, then echoes bytes until the other side closes.
void accept_and_echo(Exchange& exchange) {
  exchange.write(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
      "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello first");
  Stream& stream = exchange.stream();
  for (;;) {
    if (!stream.buffer().empty()) {
      exchange.write(stream.buffer());
      stream.buffer().clear();
    }
    if (!stream.fill()) break;
  }
  exchange.close();
}

}  // namespace

TEST_CASE("websocket: the upgrade passes, then every byte both ways, and the end too") {
  ScriptedUpstream upstream(accept_and_echo);
  Pillion proxy(caching_config(upstream.endpoint()));
  HttpClient client = proxy.connect();
  client.send_request("GET", "/socket", upgrade);
  Response response = client.read_head();
  CHECK(response.status == 101);
  CHECK(lower(response["Upgrade"]) == "websocket");
  CHECK(lower(response["Connection"]) == "upgrade");
  CHECK(response["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  CHECK(client.stream().read_exactly(11) == "hello first");
  auto sent = upstream.requests().at(0).fields;
  CHECK(lower(sent["Upgrade"]) == "websocket");
  CHECK(sent["Sec-WebSocket-Key"] == "dGhlIHNhbXBsZSBub25jZQ==");
  std::string binary;
  for (int i = 0; i < 256; ++i) binary += static_cast<char>(i);
  for (int i = 0; i < 20; ++i) {
    client.send(binary);
    CHECK(client.stream().read_exactly(binary.size()) == binary);
  }
  client.stream().shutdown_write();
  CHECK(client.closes());
  CHECK(upstream.wait_for_open_connections(0));
}

TEST_CASE("websocket: bytes sent right behind the request arrive") {
  ScriptedUpstream upstream(accept_and_echo);
  Pillion proxy(caching_config(upstream.endpoint()));
  HttpClient client = proxy.connect();
  client.send(request_bytes("GET", "/socket", upgrade) + "early bird");
  CHECK(client.read_head().status == 101);
  CHECK(client.stream().read_exactly(21) == "hello firstearly bird");
}

TEST_CASE("websocket: a megabyte through the tunnel in both directions at once") {
  ScriptedUpstream upstream(accept_and_echo);
  Pillion proxy(caching_config(upstream.endpoint()));
  HttpClient client = proxy.connect();
  client.send_request("GET", "/socket", upgrade);
  CHECK(client.read_head().status == 101);
  client.stream().read_exactly(11);
  std::string data(4u << 20, '\0');
  for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(i * 7 + (i >> 10));
  std::thread writer([&] { client.send(data); });
  std::string echoed;
  while (echoed.size() < data.size())
    echoed += client.stream().read_exactly(std::min<std::size_t>(64u << 10, data.size() - echoed.size()));
  writer.join();
  CHECK((echoed == data));
}

TEST_CASE("websocket: an upstream that refuses answers as usual") {
  ScriptedUpstream upstream([](Exchange& exchange) { exchange.respond(426, {}, "no"); });
  Pillion proxy(caching_config(upstream.endpoint()));
  HttpClient client = proxy.connect();
  client.send_request("GET", "/socket", upgrade);
  Response response = client.read_response();
  CHECK(response.status == 426);
  CHECK(response.body == "no");
}

TEST_CASE("websocket: a tunnel's end on the upstream's side reaches the client") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nbye");
    exchange.close();
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  HttpClient client = proxy.connect();
  client.send_request("GET", "/socket", upgrade);
  CHECK(client.read_head().status == 101);
  CHECK(client.stream().read_exactly(3) == "bye");
  CHECK(client.closes());
}

TEST_CASE("websocket: a route may refuse upgrades, and h2c is never passed on") {
  ScriptedUpstream upstream;
  {
    Pillion proxy(config_for(upstream.endpoint(), "routes:\n  - name: r\n    path: /**\n    upgrade: off\n"));
    proxy.get("/socket", upgrade);
    for (const auto& request : upstream.requests()) CHECK_FALSE(request.fields.has("Upgrade"));
  }
  Pillion proxy(caching_config(upstream.endpoint()));
  std::size_t before = upstream.count();
  Response response = proxy.get(
      "/h2c", {{"Connection", "Upgrade, HTTP2-Settings"}, {"Upgrade", "h2c"}, {"HTTP2-Settings", "AAMAAABkAAQAAP__"}});
  CHECK(response.status != 101);
  for (const auto& request : upstream.requests("/h2c")) CHECK_FALSE(request.fields.has("Upgrade"));
  CHECK(upstream.count() <= before + 1);
}

TEST_CASE("sse: each event arrives at once, however long the next one takes") {
  ScriptedUpstream upstream;
  Gate& first = upstream.gate();
  Gate& second = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    exchange.write(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: "
        "chunked\r\n\r\n");
    exchange.write(chunk("data: one\n\n"));
    first.wait();
    exchange.write(chunk("data: two\n\n"));
    second.wait();
    exchange.write(chunk("data: three\n\n") + last_chunk());
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  HttpClient client = proxy.connect();
  client.send_request("GET", "/events", {{"Accept", "text/event-stream"}});
  Response response = client.read_head();
  CHECK(response["Content-Type"] == "text/event-stream");
  CHECK(client.read_body(11) == "data: one\n\n");
  first.open();
  CHECK(client.read_body(11) == "data: two\n\n");
  second.open();
  client.finish(response);
  CHECK(response.body == "data: three\n\n");
  CHECK(response.complete);
}

TEST_CASE("sse: an event stream may be silent for longer than other bodies") {
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    exchange.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" +
                   chunk("data: one\n\n"));
    gate.wait();
    exchange.write(chunk("data: two\n\n") + last_chunk());
  });
  Pillion proxy("listeners:\n  - address: 127.0.0.1:0\nadmin:\n  address: 127.0.0.1:0\nupstreams:\n  app:\n    url: " +
                upstream.url() +
                "\n    timeouts: { silence: 200ms }\nroutes:\n  - name: r\n    path: /**\n    cache: off\n");
  HttpClient client = proxy.connect();
  client.send_request("GET", "/events");
  Response response = client.read_head();
  CHECK(client.read_body(11) == "data: one\n\n");
  CHECK(client.stream().stays_silent(600ms));
  gate.open();
  client.finish(response);
  CHECK(response.body == "data: two\n\n");
}

TEST_CASE("sse: a listener that leaves closes the upstream's side") {
  Counter left;
  ScriptedUpstream upstream;
  upstream.answer([&](Exchange& exchange) {
    exchange.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" +
                   chunk("data: one\n\n"));
    if (exchange.wait_for_close()) left.add();
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  {
    HttpClient client = proxy.connect();
    client.send_request("GET", "/events");
    client.read_head();
    client.read_body(11);
  }
  CHECK(left.wait_for(1));
}

TEST_CASE("sse: an event stream is never stored, whatever lifetime it has") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.write(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: max-age=60\r\nTransfer-Encoding: "
        "chunked\r\n\r\n" +
        chunk("data: 1\n\n"));
    exchange.wait_for_close();
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  {
    HttpClient client = proxy.connect();
    client.send_request("GET", "/events");
    CHECK(detailed(client.read_head()) == "uri-miss event-stream");
    HttpClient other = proxy.connect();
    other.send_request("GET", "/events");
    CHECK(detailed(other.read_head()) == "uri-miss event-stream");
  }
  CHECK(upstream.count() == 2);
  CHECK(upstream.wait_for_open_connections(0));
}
