// Many requests for one missing key make one fetch; the others stream it as it arrives (product contract, section 3).
#include "integration.hpp"

namespace {

constexpr int crowd = 20;

}  // namespace

TEST_CASE("collapse: one fetch serves a crowd, and each follower streams it as it arrives") {
  ScriptedUpstream upstream;
  Gate& head = upstream.gate();
  Gate& rest = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    head.wait();
    exchange.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n" +
                   chunk("early "));
    rest.wait();
    exchange.write(chunk("late") + last_chunk());
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  std::vector<std::unique_ptr<HttpClient>> clients;
  for (int i = 0; i < crowd; ++i) {
    clients.push_back(std::make_unique<HttpClient>(proxy.client()));
    clients.back()->send_request("GET", "/");
  }
  REQUIRE(upstream.wait_for_requests(1));
  head.open();
  int collapsed = 0;
  std::vector<Response> responses;
  for (auto& client : clients) {
    responses.push_back(client->read_head());
    CHECK(client->read_body(6) == "early ");  // while the fetch is held back by `rest`
    collapsed += cache_status(responses.back()).collapsed ? 1 : 0;
  }
  rest.open();
  for (int i = 0; i < crowd; ++i) {
    clients[static_cast<std::size_t>(i)]->finish(responses[static_cast<std::size_t>(i)]);
    CHECK(responses[static_cast<std::size_t>(i)].body == "late");
    CHECK(responses[static_cast<std::size_t>(i)].complete);
  }
  CHECK(upstream.count() == 1);
  CHECK(collapsed == crowd - 1);
  CHECK(outcome(proxy.get("/")) == "hit");
}

TEST_CASE("collapse: a follower that comes in mid-body gets all of it") {
  ScriptedUpstream upstream;
  Gate& rest = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    exchange.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 10\r\n\r\nearly");
    rest.wait();
    exchange.write(" late");
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  HttpClient first = proxy.connect();
  first.send_request("GET", "/");
  Response one = first.read_head();
  CHECK(first.read_body(5) == "early");
  HttpClient second = proxy.connect();
  second.send_request("GET", "/");
  Response two = second.read_head();
  CHECK(second.read_body(5) == "early");
  rest.open();
  first.finish(one);
  second.finish(two);
  CHECK(one.body == " late");
  CHECK(two.body == " late");
  CHECK(upstream.count() == 1);
}

TEST_CASE("collapse: what turns out uncacheable lets the others go at once, in parallel, and is remembered") {
  ScriptedUpstream upstream;
  Gate& first = upstream.gate();
  Gate& others = upstream.gate();
  Counter running;
  std::atomic<int> turn{0};
  upstream.answer([&](Exchange& exchange) {
    int mine = ++turn;
    running.add();
    mine == 1 ? first.wait() : others.wait();
    exchange.respond(200, {{"Cache-Control", "private"}}, std::to_string(mine));
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  std::vector<std::string> bodies(crowd);
  std::thread parallel(
      [&] { in_parallel(crowd, [&](int i) { bodies[static_cast<std::size_t>(i)] = proxy.get("/").body; }); });
  bool one = upstream.wait_for_requests(1);
  first.open();
  // All the others stand in the upstream at one time: none waits for another's answer.
  bool all = running.wait_for(crowd);
  others.open();
  parallel.join();
  CHECK(one);
  CHECK(all);
  std::sort(bodies.begin(), bodies.end());
  CHECK(std::unique(bodies.begin(), bodies.end()) == bodies.end());  // nobody got another's private answer

  Gate& second_round = upstream.gate();
  Counter arrived;
  upstream.answer([&](Exchange& exchange) {
    arrived.add();
    second_round.wait();
    exchange.respond(200, {{"Cache-Control", "private"}}, "x");
  });
  std::thread again([&] { in_parallel(3, [&](int) { proxy.get("/"); }); });
  CHECK(arrived.wait_for(3));  // nobody queues behind a first one this time
  second_round.open();
  again.join();
}

TEST_CASE("collapse: variants don't share, a follower of another variant fetches its own") {
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    if (exchange.request().fields["X-V"] == "1") gate.wait();
    exchange.respond(200, {{"Cache-Control", "max-age=60"}, {"Vary", "X-V"}}, exchange.request().fields["X-V"]);
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  HttpClient first = proxy.connect();
  first.send_request("GET", "/", {{"X-V", "1"}});
  REQUIRE(upstream.wait_for_requests(1));
  HttpClient second = proxy.connect();
  second.send_request("GET", "/", {{"X-V", "2"}});
  gate.open();
  CHECK(first.read_response().body == "1");
  CHECK(second.read_response().body == "2");
}

TEST_CASE("collapse: a leader whose client leaves doesn't take its followers along") {
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    gate.wait();
    exchange.respond(200, {{"Cache-Control", "max-age=60"}}, "for all");
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  auto leader = std::make_unique<HttpClient>(proxy.client());
  leader->send_request("GET", "/");
  REQUIRE(upstream.wait_for_requests(1));
  HttpClient follower = proxy.connect();
  follower.send_request("GET", "/");
  leader->stream().reset();
  leader.reset();
  gate.open();
  CHECK(follower.read_response().body == "for all");
  CHECK(upstream.count() <= 2);
}

TEST_CASE("collapse: a fetch that fails fails or frees its followers, and never leaves them waiting") {
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    gate.wait();
    exchange.reset();
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  std::thread parallel([&] { in_parallel(5, [&](int) { CHECK(proxy.get("/").status == 502); }); });
  bool came = upstream.wait_for_requests(1);
  gate.open();
  parallel.join();
  CHECK(came);
}

TEST_CASE("collapse: a body cut under way is cut for every follower") {
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    exchange.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 100\r\n\r\nsome");
    gate.wait();
    exchange.close();
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  HttpClient clients[3] = {proxy.connect(), proxy.connect(), proxy.connect()};
  Response responses[3];
  for (auto& client : clients) client.send_request("GET", "/");
  for (int i = 0; i < 3; ++i) {
    responses[i] = clients[i].read_head();
    CHECK(clients[i].read_body(4) == "some");
  }
  gate.open();
  for (int i = 0; i < 3; ++i) {
    clients[i].finish(responses[i]);
    CHECK_FALSE(responses[i].complete);
  }
  CHECK(upstream.count() == 1);
}

TEST_CASE("collapse: a follower past collapse_wait fetches for itself") {
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  Counter first;
  std::atomic<int> turn{0};
  upstream.answer([&](Exchange& exchange) {
    int mine = ++turn;
    first.add();
    if (mine == 1) gate.wait();
    exchange.respond(200, {{"Cache-Control", "max-age=60"}}, std::to_string(mine));
  });
  Pillion proxy(config_for(upstream.endpoint(),
                           "routes:\n  - name: r\n    path: /**\n    cache: on\n    collapse_wait: 200ms\n"));
  HttpClient slow = proxy.connect();
  slow.send_request("GET", "/");
  REQUIRE(first.wait_for(1));
  CHECK(proxy.get("/").body == "2");
  gate.open();
  CHECK(slow.read_response().body == "1");
}

TEST_CASE("collapse: off means that each fetches") {
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    gate.wait();
    exchange.respond(200, {{"Cache-Control", "max-age=60"}}, "x");
  });
  Pillion proxy(
      config_for(upstream.endpoint(), "routes:\n  - name: r\n    path: /**\n    cache: on\n    collapse: off\n"));
  std::thread parallel([&] { in_parallel(4, [&](int) { proxy.get("/"); }); });
  CHECK(upstream.wait_for_requests(4));
  gate.open();
  parallel.join();
}

TEST_CASE("collapse: a slow follower doesn't hold the others back") {
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  std::string large(800u << 10, 'x');
  upstream.answer([&](Exchange& exchange) {
    gate.wait();
    exchange.respond(200, {{"Cache-Control", "max-age=60"}}, large);
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  HttpClient slow(proxy.client(), 4096);
  slow.send_request("GET", "/");
  REQUIRE(upstream.wait_for_requests(1));
  HttpClient quick = proxy.connect();
  quick.send_request("GET", "/");
  gate.open();
  CHECK(quick.read_response().body.size() == large.size());
  CHECK(slow.read_response().body.size() == large.size());
  CHECK(upstream.count() == 1);
}
