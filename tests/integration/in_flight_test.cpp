// max_in_flight of an upstream (product contract, section 2): how many requests it has at a time, over all workers; who
// waits, who is refused, and what isn't tried at all.
#include <csignal>

#include "integration.hpp"

namespace {

/// Three workers, one upstream with these settings, a route that caches below /c and one that doesn't.
std::string capped(const ScriptedUpstream& upstream, const std::string& settings) {
  return "listeners: [{ address: 127.0.0.1:0 }]\nadmin: { address: 127.0.0.1:0 }\nworkers: 3\nupstreams:\n  app: { "
         "url: " +
         upstream.url() + ", " + settings +
         " }\nroutes:\n  - name: cached\n    path: /c/**\n    ttl: 1m\n    stale: { if_error: 0s }\n"
         "  - name: rest\n    path: /**\n    cache: off\n";
}

double refused(Pillion& proxy, const std::string& limit = "in_flight") {
  return proxy.metric("pillion_limits_total{limit=\"" + limit + "\"}");
}

/// A request that the upstream keeps until its gate opens: sent, and arrived there.
class Held {
 public:
  Held(const Held&) = delete;
  Held& operator=(const Held&) = delete;
  Held(Pillion& proxy, ScriptedUpstream& upstream) : gate_(upstream.gate()), client_(proxy.connect()) {
    upstream.answer("/held", [&gate = gate_](Exchange& exchange) {
      gate.wait();
      exchange.respond(200);
    });
    client_.send_request("GET", "/held");
    REQUIRE(upstream.wait_for_requests("/held", 1));
  }
  ~Held() { let_go(); }
  void let_go() { gate_.open(); }
  Response response() { return client_.read_response(); }

 private:
  Gate& gate_;
  HttpClient client_;
};

void check_refused(const Response& response) {
  CHECK(response.status == 503);
  CHECK(response["Retry-After"] == "1");
  CHECK(cache_status(response).detail == "overloaded");
}

}  // namespace

TEST_CASE("in-flight: the cap is the whole process's, and everybody gets a turn") {
  ScriptedUpstream upstream;
  std::atomic<int> now{0}, most{0};
  Gate& gate = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    const int here = ++now;
    int seen = most;
    while (here > seen && !most.compare_exchange_weak(seen, here)) {
    }
    exchange.read_body();
    gate.wait();
    --now;
    exchange.respond(200, caching("max-age=60"), "body");
  });
  Pillion proxy(capped(upstream, "max_in_flight: 4, connections: { wait: 30s }"));
  std::thread opener([&] {
    CHECK(eventually([&] { return now == 4; }));
    gate.open();
  });
  in_parallel(40, [&](int i) {
    const std::string n = std::to_string(i);
    const Response response = i % 4 == 0   ? proxy.request("POST", "/" + n, {}, "text")
                              : i % 4 == 1 ? proxy.request("GET", "/" + n)
                                           : proxy.request("GET", "/c/" + n);
    CHECK(response.status == 200);
  });
  opener.join();
  CHECK(most == 4);
  CHECK(upstream.count() == 40);
  CHECK(refused(proxy) == 0);
}

TEST_CASE("in-flight: who waits in vain gets 503 with Retry-After, and is counted") {
  ScriptedUpstream upstream;
  Pillion proxy(capped(upstream, "max_in_flight: 1, connections: { wait: 100ms }"));
  Held held(proxy, upstream);
  check_refused(proxy.get("/other"));
  check_refused(proxy.get("/c/other"));
  check_refused(proxy.request("POST", "/other", {}, "text"));
  CHECK(refused(proxy) == 3);
  CHECK(upstream.count() == 1);
  held.let_go();
  CHECK(held.response().status == 200);
  CHECK(proxy.get("/other").status == 200);
  CHECK(proxy.get("/c/other").status == 200);
  CHECK(refused(proxy) == 3);
}

TEST_CASE("in-flight: the queue is bounded, and who is in it is served") {
  ScriptedUpstream upstream;
  Pillion proxy(capped(upstream, "max_in_flight: 1, connections: { wait: 30s, waiting: 2 }"));
  Held held(proxy, upstream);
  std::atomic<int> served{0}, turned_away{0};
  std::thread opener([&] {
    CHECK(eventually([&] { return turned_away == 3; }));
    held.let_go();
  });
  in_parallel(5, [&](int i) {
    const int status = proxy.get("/" + std::to_string(i)).status;
    ++(status == 200 ? served : turned_away);
    CHECK((status == 200 || status == 503));
  });
  opener.join();
  CHECK(served == 2);
  CHECK(turned_away == 3);
  CHECK(refused(proxy) == 3);
  CHECK(held.response().status == 200);
}

TEST_CASE("in-flight: a stale answer stands in for one that is refused") {
  ScriptedUpstream upstream;
  upstream.answer("/c/", [](Exchange& exchange) {
    exchange.respond(200, caching("max-age=10, stale-if-error=600", {{"Age", "20"}, {"ETag", "\"a\""}}), "stored");
  });
  Pillion proxy(capped(upstream, "max_in_flight: 1, connections: { wait: 50ms }"));
  CHECK(proxy.get("/c/").body == "stored");
  Held held(proxy, upstream);
  const Response stale = proxy.get("/c/");
  CHECK(stale.status == 200);
  CHECK(stale.body == "stored");
  CHECK(cache_status(stale).detail == "stale-if-error");
  CHECK(refused(proxy) == 1);
}

TEST_CASE("in-flight: a refresh in the background isn't done where the cap is reached") {
  ScriptedUpstream upstream;
  upstream.answer("/c/", [](Exchange& exchange) {
    exchange.respond(200, caching("max-age=10, stale-while-revalidate=600", {{"Age", "20"}}), "first");
  });
  Pillion proxy(capped(upstream, "max_in_flight: 1, connections: { wait: 30s, waiting: 0 }"));
  CHECK(proxy.get("/c/").body == "first");
  upstream.answer("/c/", cacheable("second"));
  Held held(proxy, upstream);
  for (int i = 1; i <= 3; ++i) {
    const Response stale = proxy.get("/c/");
    CHECK(stale.body == "first");
    CHECK(cache_status(stale).detail == "stale-while-revalidate");
    CHECK(refused(proxy, "refresh_in_flight") == i);
  }
  CHECK(upstream.count("/c/") == 1);
  CHECK(refused(proxy) == 0);  // none has asked for a place in the queue
  held.let_go();
  CHECK(held.response().status == 200);
  CHECK(eventually([&] { return proxy.get("/c/").body == "second"; }));
  CHECK(upstream.count("/c/") == 2);
  CHECK(refused(proxy) == 0);
}

TEST_CASE("in-flight: a tunnel and an event stream take no place once they are there") {
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  upstream.answer("/socket", [&](Exchange& exchange) {
    exchange.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    exchange.wait_for_close();
  });
  const Handler events = [&](Exchange& exchange) {
    exchange.write("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n");
    gate.wait();
  };
  upstream.answer("/events", events);
  upstream.answer("/c/events", events);
  Pillion proxy(capped(upstream, "max_in_flight: 1, connections: { wait: 0s }"));
  HttpClient socket = proxy.connect(), one = proxy.connect(), two = proxy.connect();
  socket.send_request("GET", "/socket",
                      {{"Connection", "Upgrade"},
                       {"Upgrade", "websocket"},
                       {"Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="},
                       {"Sec-WebSocket-Version", "13"}});
  CHECK(socket.read_head().status == 101);
  one.send_request("GET", "/events");
  CHECK(one.read_head().status == 200);
  two.send_request("GET", "/c/events");
  CHECK(two.read_head().status == 200);
  CHECK(proxy.get("/plain").status == 200);
  CHECK(proxy.get("/c/plain").status == 200);
  CHECK(refused(proxy) == 0);
}

TEST_CASE("in-flight: a request that is sent again keeps its place, whoever waits") {
  for (const std::string again : {"/again", "/c/again"}) {
    CAPTURE(again);
    ScriptedUpstream upstream;
    Gate& gate = upstream.gate();
    upstream.answer(again, [&](Exchange& exchange) {
      if (exchange.number_on_connection() == 1) return exchange.respond(200);
      gate.wait();
      exchange.close();  // as an idle connection that was closed when the request came
    });
    Pillion proxy(capped(upstream, "max_in_flight: 1, connections: { wait: 30s, waiting: 1 }"));
    HttpClient client = proxy.connect();
    CHECK(client.get("/first").status == 200);
    client.send_request("GET", again);
    REQUIRE(upstream.wait_for_requests(again, 1));
    // Of two more one waits, and the other says so by being refused.
    std::atomic<int> refused_ones{0};
    std::thread opener([&] {
      CHECK(eventually([&] { return refused_ones == 1; }));
      gate.open();
    });
    in_parallel(2, [&](int) { refused_ones += proxy.get("/waiting").status == 503; });
    opener.join();
    CHECK(client.read_response().status == 200);
    const auto requests = upstream.requests();
    REQUIRE(requests.size() == 4);
    CHECK(requests[1].target == again);
    CHECK(requests[2].target == again);
    CHECK(requests[3].target == "/waiting");
  }
}

TEST_CASE("in-flight: an upstream that fails gives its place back") {
  ScriptedUpstream upstream;
  upstream.answer([](Exchange& exchange) { exchange.reset(); });
  upstream.answer("/cut", [](Exchange& exchange) {
    exchange.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nfive!");
    exchange.close();
  });
  upstream.answer("/c/cut", [](Exchange& exchange) {
    exchange.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nfive!");
    exchange.close();
  });
  upstream.answer("/c/good", cacheable("good"));
  Pillion proxy(capped(upstream, "max_in_flight: 1, connections: { wait: 2s }"));
  CHECK(proxy.get("/reset").status == 502);
  CHECK(proxy.get("/c/reset").status == 502);
  for (const std::string target : {"/cut", "/c/cut"}) {
    HttpClient client = proxy.connect();
    client.send_request("GET", target);
    CHECK_FALSE(client.read_response().complete);
  }
  CHECK(proxy.get("/c/good").status == 200);
  CHECK(refused(proxy) == 0);
}

TEST_CASE("in-flight: a reload changes the cap") {
  ScriptedUpstream upstream;
  Pillion proxy(capped(upstream, "max_in_flight: 1, connections: { wait: 50ms }"));
  Held held(proxy, upstream);
  check_refused(proxy.get("/other"));
  std::string config = read_file(proxy.config_file());
  config.replace(config.find("in_flight: 1"), 12, "in_flight: 2");
  write_file(proxy.config_file(), config);
  proxy.process().signal(SIGHUP);
  proxy.process().wait_for_err_line("the configuration was reloaded");
  CHECK(proxy.get("/other").status == 200);
}
