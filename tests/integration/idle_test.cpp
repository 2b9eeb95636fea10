// Connections on which nothing comes have neither buffers nor a coroutine; nobody can tell by their behaviour.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "integration.hpp"

namespace {

std::string config(const Endpoint& upstream, std::string_view more = "") {
  return config_for(upstream, "routes:\n  - name: r\n    path: /**\n    cache: on\n" + std::string(more));
}

// `/stored` is a hit from the second request on; `/echo` answers with the request's body, `/socket` is a WebSocket that
// echoes; all else passes through.
struct Echoing : ScriptedUpstream {
  Echoing() {
    answer("/stored", cacheable("stored"));
    answer("/echo", [](Exchange& exchange) {
      exchange.read_body();
      exchange.respond(200, {}, exchange.request().body);
    });
    answer("/socket", [](Exchange& exchange) {
      exchange.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
      while (!exchange.stream().buffer().empty() || exchange.stream().fill()) {
        exchange.write(exchange.stream().buffer());
        exchange.stream().buffer().clear();
      }
      exchange.close();
    });
  }
};

const std::string stored = request_bytes("GET", "/stored"), passed = request_bytes("GET", "/passed");

void expect_answers(HttpClient& client, const std::vector<std::string>& bodies) {
  for (const std::string& body : bodies) CHECK(client.read_response().body == body);
}

void expect_upgrade(HttpClient& client) {
  client.send(request_bytes("GET", "/socket", {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}}) + "early");
  CHECK(client.read_head().status == 101);
  CHECK(client.stream().read_exactly(5) == "early");
  client.send("late");
  CHECK(client.stream().read_exactly(4) == "late");
}

double open_connections(Pillion& proxy) { return proxy.metric("pillion_connections{side=\"client\"}"); }
double closed_as_idle(Pillion& proxy) { return proxy.metric("pillion_limits_total{limit=\"idle_timeout\"}"); }

std::size_t open_files(Pillion& proxy) {
  namespace fs = std::filesystem;
  const fs::directory_iterator files("/proc/" + std::to_string(proxy.process().pid()) + "/fd");
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

/// Bytes that only this process has, and has written to.
long own_bytes(Pillion& proxy) {
  std::ifstream rollup("/proc/" + std::to_string(proxy.process().pid()) + "/smaps_rollup");
  for (std::string word; rollup >> word;) {
    long kib = 0;
    if (word == "Private_Dirty:" && rollup >> kib) return kib * 1024;
  }
  throw std::runtime_error("no smaps_rollup");
}

/// The bytes, and an open file along with them.
void send_with_file(int socket, const std::string& bytes) {
  const int file = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  iovec part{const_cast<char*>(bytes.data()), bytes.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof file)] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof file);
  std::memcpy(CMSG_DATA(header), &file, sizeof file);
  REQUIRE(::sendmsg(socket, &message, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size()));
  ::close(file);
}

// Longer than a connection keeps the coroutine that a request has needed.
constexpr auto long_silence = 1300ms;

}  // namespace

TEST_CASE("idle: a connection takes whatever comes next") {
  Echoing upstream;
  Pillion proxy(config(upstream.endpoint()));
  const std::string large(100'000, 'x');
  HttpClient client = proxy.connect(), upgraded = proxy.connect();
  for (int round = 0; round < 2; ++round) {
    CAPTURE(round);
    CHECK(client.get("/stored").body == "stored");
    CHECK(client.get("/passed").body == "/passed");
    CHECK(client.request("POST", "/echo", {}, large).body == large);
    client.send(stored + passed + stored);
    expect_answers(client, {"stored", "/passed", "stored"});
    client.send(stored + stored.substr(0, 20));  // the rest comes once the first is answered
    expect_answers(client, {"stored"});
    client.send(stored.substr(20));
    expect_answers(client, {"stored"});
    client.send("\r\n");
    CHECK(client.get("/stored").body == "stored");
    CHECK(upgraded.get(round == 0 ? "/stored" : "/passed").status == 200);
  }
  expect_upgrade(upgraded);
}

TEST_CASE("idle: after a long silence too") {
  Echoing upstream;
  Pillion proxy(config(upstream.endpoint()));
  const std::string large(100'000, 'x');
  std::vector<HttpClient> clients;
  for (int i = 0; i < 7; ++i) clients.push_back(proxy.connect());
  for (std::size_t i = 0; i + 1 < clients.size(); ++i) CHECK(clients[i].get("/passed").body == "/passed");
  CHECK(clients.front().stream().stays_silent(long_silence));
  clients[0].send(passed);
  expect_answers(clients[0], {"/passed"});
  clients[1].send(stored + passed + stored);
  expect_answers(clients[1], {"stored", "/passed", "stored"});
  CHECK(clients[2].request("POST", "/echo", {}, large).body == large);
  CHECK(clients[3].request("POST", "/echo", {{"Expect", "100-continue"}}, "small").body == "small");
  clients[4].send(passed.substr(0, 20));
  CHECK(clients[0].get("/stored").body == "stored");
  clients[4].send(passed.substr(20));
  expect_answers(clients[4], {"/passed"});
  expect_upgrade(clients[5]);
  CHECK(clients[6].get("/stored").body == "stored");
}

TEST_CASE("idle: many connections at once keep what is theirs") {
  ScriptedUpstream upstream;
  upstream.answer("/stored", cacheable("stored"));
  Pillion proxy(config(upstream.endpoint(), "limits: { connections: 400 }\n"));
  std::vector<HttpClient> clients;
  for (int i = 0; i < 150; ++i) clients.push_back(proxy.connect());
  // Each holds a part of its request, more of them than buffers are kept for the next.
  const auto bytes_of = [](std::size_t i) {
    return request_bytes("GET", "/stored?" + std::to_string(i), {{"X-Padding", std::string(100, 'x')}});
  };
  for (int round = 0; round < 2; ++round) {
    for (std::size_t i = 0; i < clients.size(); ++i) clients[i].send(bytes_of(i).substr(0, 40));
    for (std::size_t i = clients.size(); i-- > 0;) clients[i].send(bytes_of(i).substr(40));
    for (HttpClient& client : clients) CHECK(client.read_response().body == "stored");
  }
}

TEST_CASE("idle: nothing of one request is left when another connection uses its space") {
  Echoing upstream;
  Pillion proxy(config(upstream.endpoint()));
  HttpClient refused = proxy.connect(), gone = proxy.connect(), client = proxy.connect();
  CHECK(client.get("/stored").body == "stored");
  refused.send("GET /stored HTTP/1.1\r\nHost: a\r\nX y\r\n\r\n");
  CHECK(refused.read_response().status == 400);
  gone.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf");
  REQUIRE(upstream.wait_for_requests(2));
  gone.stream().close();
  CHECK(eventually([&] { return open_connections(proxy) == (refused.closes() ? 1 : 2); }));
  CHECK(client.get("/stored").body == "stored");
  CHECK(client.request("POST", "/echo", {}, "own").body == "own");
}

TEST_CASE("idle: its time ends it without a word, whatever it was used for") {
  Echoing upstream;
  // One ends while the coroutine of the request before is kept; the other, later.
  for (const char* time : {"300ms", "1500ms"}) {
    CAPTURE(time);
    Pillion proxy(config(upstream.endpoint(), "timeouts: { idle: " + std::string(time) + " }\n"));
    HttpClient hit = proxy.connect(), passing = proxy.connect(), unused = proxy.connect();
    for (int i = 0; i < 2; ++i) CHECK(hit.get("/stored").status == 200);
    CHECK(passing.get("/passed").status == 200);
    CHECK(unused.closes());
    CHECK(hit.closes());
    CHECK(passing.closes());
    CHECK(eventually([&] { return closed_as_idle(proxy) == 3; }));
  }
}

TEST_CASE("idle: a request that has begun has the time of a head, and then gets 408") {
  Echoing upstream;
  Pillion proxy(config(upstream.endpoint(), "timeouts: { head: 400ms }\n"));
  HttpClient unused = proxy.connect(), hit = proxy.connect(), passing = proxy.connect();
  for (int i = 0; i < 2; ++i) CHECK(hit.get("/stored").status == 200);
  CHECK(passing.get("/passed").status == 200);
  CHECK(passing.stream().stays_silent(long_silence));
  for (HttpClient* client : {&unused, &hit, &passing}) {
    client->send("GET /stored HT");
    const Response response = client->read_response();
    CHECK(response.status == 408);
    CHECK(lower(response["Connection"]) == "close");
    CHECK(client->closes());
  }
}

TEST_CASE("idle: a connection is gone with its client") {
  Echoing upstream;
  Pillion proxy(config(upstream.endpoint()));
  {
    HttpClient hit = proxy.connect(), passing = proxy.connect(), unused = proxy.connect();
    for (int i = 0; i < 2; ++i) CHECK(hit.get("/stored").status == 200);
    CHECK(passing.get("/passed").status == 200);
    CHECK(eventually([&] { return open_connections(proxy) == 3; }));
    CHECK(passing.stream().stays_silent(long_silence));
  }
  CHECK(eventually([&] { return open_connections(proxy) == 0; }));
  CHECK(closed_as_idle(proxy) == 0);
}

TEST_CASE("idle: SIGTERM closes connections at once, whatever they were used for") {
  Echoing upstream;
  Pillion proxy(config(upstream.endpoint(), "drain: { delay: 0s, timeout: 1h }\n"));
  HttpClient unused = proxy.connect(), hit = proxy.connect(), passing = proxy.connect(), silent = proxy.connect(),
             half_a_line = proxy.connect();
  half_a_line.send("\r");
  CHECK(silent.get("/passed").status == 200);
  CHECK(silent.stream().stays_silent(long_silence));
  for (int i = 0; i < 2; ++i) CHECK(hit.get("/stored").status == 200);
  CHECK(passing.get("/passed").status == 200);
  proxy.process().signal(SIGTERM);
  for (HttpClient* client : {&unused, &hit, &passing, &silent, &half_a_line}) CHECK(client->closes());
  const auto exit = proxy.process().wait();
  REQUIRE(exit.has_value());
  CHECK(exit->to_string() == "exit code 0");
}

TEST_CASE("idle: a reload reaches connections that are open") {
  Echoing upstream;
  Pillion proxy(config(upstream.endpoint(), "timeouts: { idle: 1h }\n"));
  HttpClient unused = proxy.connect(), hit = proxy.connect(), passing = proxy.connect();
  for (int i = 0; i < 2; ++i) CHECK(hit.get("/stored").status == 200);
  CHECK(passing.get("/passed").status == 200);
  write_file(proxy.config_file(), config(upstream.endpoint(), "timeouts: { idle: 1500ms }\nlimits: { body: 1KiB }\n"));
  REQUIRE(proxy.admin_post("/reload", "{}").status == 200);
  SUBCASE("limits") {
    const std::string large(5000, 'x');
    for (HttpClient* client : {&unused, &hit, &passing})
      CHECK(client->request("POST", "/echo", {}, large).status == 413);
  }
  SUBCASE("times") {
    // From the next request on.
    for (HttpClient* client : {&unused, &hit, &passing}) CHECK(client->get("/stored").status == 200);
    for (HttpClient* client : {&unused, &hit, &passing}) CHECK(client->closes());
    CHECK(closed_as_idle(proxy) == 3);
  }
}

TEST_CASE("idle: open files that a client sends along over a Unix socket are closed") {
  ScriptedUpstream upstream(cacheable("stored"));
  TempDir folder;
  Endpoint socket;
  socket.unix_path = folder / "client.sock";
  Pillion proxy("listeners:\n  - address: unix:" + socket.unix_path + "\nadmin:\n  address: 127.0.0.1:0\nupstreams:\n" +
                "  app: " + upstream.url() + "\nroutes:\n  - name: r\n    path: /**\n    cache: on\n");
  HttpClient client(socket);
  for (int i = 0; i < 2; ++i) CHECK(client.get("/stored").status == 200);
  const std::size_t before = open_files(proxy);
  for (int i = 0; i < 100; ++i) {
    send_with_file(client.stream().fd(), stored);
    CHECK(client.read_response().status == 200);
  }
  CHECK(open_files(proxy) < before + 20);
}

TEST_CASE("idle: a reset that comes with whatever was sent is noticed") {
  Echoing upstream;
  Pillion proxy(config(upstream.endpoint()));
  proxy.get("/stored");
  for (const std::string& last : {std::string(), std::string("\r"), std::string("\r\n"), std::string("GET /h"), stored,
                                  stored + "\r\n", stored + "GET /", passed}) {
    for (const bool used : {false, true}) {
      CAPTURE(last);
      CAPTURE(used);
      HttpClient client = proxy.connect();
      if (used) CHECK(client.get("/stored").status == 200);
      CHECK(eventually([&] { return open_connections(proxy) == 1; }));
      proxy.process().signal(SIGSTOP);  // so that both come in one event
      if (!last.empty()) client.send(last);
      client.stream().reset();
      proxy.process().signal(SIGCONT);
      CHECK(eventually([&] { return open_connections(proxy) == 0; }));
    }
  }
}

TEST_CASE("idle: a connection takes less than 2 KiB, whatever it was used for") {
  if (skipped_in({Stores::redis, Stores::both}, "it is of connections alone")) return;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return;  // they keep what is freed
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
  return;
#endif
#endif
  constexpr int most = 1500, at_once = 100;
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);
  Echoing upstream;
  Pillion proxy(config(upstream.endpoint()), {.file_limit = 8192});
  const auto use = [&](HttpClient& client, int how) {
    if (how == 1 || how == 3) CHECK(client.get("/stored").status == 200);
    if (how == 2) CHECK(client.get("/passed").status == 200);
    if (how == 3) client.send("\r\n");
  };
  {
    HttpClient first = proxy.connect(), second = proxy.connect();
    for (int how : {1, 2, 3}) use(first, how), use(second, how);
  }
  for (int how = 0; how < 4; ++how) {
    CAPTURE(how);
    // What has needed a coroutine keeps it for a second, and what that leaves behind can be used again, but is no less.
    const bool keeps = how > 1;
    const int n = keeps ? 4 * at_once : most;
    const long before = own_bytes(proxy), kept = keeps ? at_once * 8192L : 0;
    std::vector<HttpClient> clients;
    for (int i = 0; i < n; ++i) {
      use(clients.emplace_back(proxy.client()), how);
      if (keeps && i % at_once == at_once - 1) CHECK(clients.back().stream().stays_silent(long_silence));
    }
    CHECK(eventually([&] { return open_connections(proxy) >= n; }));
    long now = 0;
    CHECK_MESSAGE(eventually([&] { return (now = own_bytes(proxy)) - before < 2048L * n + kept; }), (now - before));
  }
}
