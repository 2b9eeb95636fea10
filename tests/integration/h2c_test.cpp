// HTTP/2 with prior knowledge (RFC 9113 3.3, 3.4): passed on as it is where the listener says so, refused elsewhere
// (product contract, section 3).
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <csignal>

#include "integration.hpp"

namespace {

const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const std::string settings("\0\0\0\4\0\0\0\0\0", 9);

/// Frames as a server sends them that could not serve anything: SETTINGS, and GOAWAY with last stream 0.
std::string go_away(char code, const std::string& why) {
  std::string frame("\0\0\0\7\0\0\0\0\0\0\0\0\0\0\0\0\0", 17);
  frame[2] = static_cast<char>(8 + why.size());
  frame[16] = code;
  return settings + frame + why;
}

/// The first listener passes HTTP/2 on, the second doesn't. `upstream`: more settings of it; `rest`: top-level ones.
std::string tunnelling(const Endpoint& upstream, const std::string& settings_of_upstream = {},
                       const std::string& rest = {}) {
  return "listeners:\n  - address: 127.0.0.1:0\n    h2c: tunnel\n  - address: 127.0.0.1:0\nadmin:\n  address: "
         "127.0.0.1:0\nupstreams:\n  app:\n    url: " +
         upstream.url() + "\n" + settings_of_upstream +
         "routes:\n  - name: all\n    path: /**\n    freshness: origin\n" + rest;
}

/// Keeps what comes on each connection and sends it back, until the other side ends; then its own end.
class Echo {
 public:
  Echo() {
    upstream.answer_connections([this](Stream& stream) {
      try {
        for (;;) {
          if (!stream.buffer().empty()) {
            {
              std::lock_guard lock(mutex_);
              received_ += stream.buffer();
            }
            stream.write(stream.buffer());
            stream.buffer().clear();
          }
          if (!stream.fill()) break;
        }
        ended.add();
        stream.write("after the end");
        stream.shutdown_write();
      } catch (const std::exception&) {
        failed.add();
      }
    });
  }
  std::string received() const {
    std::lock_guard lock(mutex_);
    return received_;
  }

  Counter ended, failed;
  ScriptedUpstream upstream;

 private:
  mutable std::mutex mutex_;
  std::string received_;
};

std::string logged(Pillion& proxy) { return proxy.process().wait_for_out_line("\"PRI\""); }

}  // namespace

TEST_CASE("h2c: where the listener tunnels, every byte passes both ways, the preface first, and both ends too") {
  Echo echo;
  Pillion proxy(tunnelling(echo.upstream.endpoint()));
  HttpClient client = proxy.connect();
  std::string binary = preface + settings;
  for (int i = 0; i < 256; ++i) binary += static_cast<char>(i);
  client.send(binary);
  CHECK(client.stream().read_exactly(binary.size()) == binary);
  CHECK(echo.received() == binary);
  // Half of it ends; the other goes on.
  client.stream().shutdown_write();
  CHECK(client.stream().read_to_end() == "after the end");
  CHECK(echo.ended.wait_for(1));
  CHECK(echo.upstream.wait_for_open_connections(0));
  Json line = Json::parse(logged(proxy));
  CHECK(line["method"].string == "PRI");
  CHECK(line["path"].string == "*");
  CHECK(line["route"].string == "-");
  CHECK(line["status"].number == 101);
  CHECK(line["result"].string == "pass");
  CHECK(line["bytes"].number == static_cast<double>(binary.size() + 13));
  CHECK(proxy.metric("pillion_requests_total{route=\"-\",result=\"pass\"}") == 1);
}

TEST_CASE("h2c: the preface is known however it arrives") {
  Echo echo;
  Pillion proxy(tunnelling(echo.upstream.endpoint()));
  HttpClient client = proxy.connect();
  for (const char byte : preface) {
    client.send({&byte, 1});
    // Each has been read before the next goes: the kernel would put them together.
    int unread = 1;
    CHECK(eventually([&] { return ::ioctl(client.stream().fd(), SIOCOUTQ, &unread) == 0 && unread == 0; }));
  }
  CHECK(client.stream().read_exactly(preface.size()) == preface);
}

TEST_CASE("h2c: HTTP/1.1 is served as ever where HTTP/2 is passed on") {
  ScriptedUpstream upstream(cacheable("page"));
  Pillion proxy(tunnelling(upstream.endpoint()));
  HttpClient client = proxy.connect();
  client.send("P");  // could become a preface
  client.send("UT / HTTP/1.1\r\nHost: app.test\r\nContent-Length: 0\r\n\r\n");
  CHECK(client.read_response("PUT").status == 200);
  CHECK(outcome(client.get("/")) == "uri-miss stored");
  CHECK(outcome(client.get("/")) == "hit");
  // Behind a request it is no preface.
  client.send(preface);
  Response response = client.read_response();
  CHECK(response.status == 505);
  CHECK(client.closes());
  CHECK(upstream.connections() == 1);
}

TEST_CASE("h2c: what begins as the preface and isn't one is refused as a request of an unknown version") {
  ScriptedUpstream upstream;
  Pillion proxy(tunnelling(upstream.endpoint()));
  for (const std::string& bytes : {std::string("PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n"), "\r\n" + preface,
                                   std::string("PRI * HTTP/2.0\r\nHost: a\r\n\r\n")}) {
    CAPTURE(bytes);
    HttpClient client = proxy.connect();
    client.send(bytes);
    CHECK(client.read_response().status == 505);
    CHECK(client.closes());
  }
  CHECK(upstream.connections() == 0);
}

TEST_CASE("h2c: elsewhere it is refused with an answer that says what to do, and counted") {
  ScriptedUpstream upstream;
  Pillion proxy(tunnelling(upstream.endpoint()));
  for (const bool split : {false, true}) {
    CAPTURE(split);
    HttpClient client(proxy.client(1));
    client.send(preface.substr(0, split ? 20 : preface.size()));
    if (split) {
      CHECK(client.stream().stays_silent(100ms));
      client.send(preface.substr(20));
    }
    client.send(settings);
    Response response = client.read_response();
    CHECK(response.status == 505);
    CHECK(response.version == "HTTP/1.1");
    CHECK(lower(response["Connection"]) == "close");
    CHECK(response["Content-Type"] == "application/problem+json");
    Json problem = Json::parse(response.body);
    CHECK(problem["status"].number == 505);
    CHECK(problem["detail"].string.find("HTTP/2 without TLS") != std::string::npos);
    CHECK(problem["detail"].string.find("h2c: tunnel") != std::string::npos);
    client.stream().shutdown_write();
    CHECK(client.closes());
  }
  CHECK(upstream.connections() == 0);
  CHECK(proxy.metric("pillion_limits_total{limit=\"bad_request\"}") == 2);
  Json line = Json::parse(logged(proxy));
  CHECK(line["status"].number == 505);
  CHECK(line["result"].string == "error");
}

TEST_CASE("h2c: a preface that never ends is late as any head is") {
  ScriptedUpstream upstream;
  Pillion proxy(tunnelling(upstream.endpoint(), {}, "timeouts: { head: 300ms }\n"));
  HttpClient client = proxy.connect();
  client.send(preface.substr(0, 23));
  CHECK(client.read_response().status == 408);
  CHECK(upstream.connections() == 0);
}

TEST_CASE("h2c: the tunnel takes no pooled connection, and neither stores nor invalidates") {
  ScriptedUpstream upstream(numbered({{"Cache-Control", "max-age=60"}}));
  Pillion proxy(tunnelling(upstream.endpoint(), {}, "workers: 1\n"));
  CHECK(proxy.get("/thing").body == "1");
  upstream.answer_connections([](Stream& stream) {
    stream.read_until("in the tunnel");
    stream.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 1\r\n\r\nX");
  });
  HttpClient client = proxy.connect();
  client.send(preface + "PUT /thing HTTP/1.1\r\nHost: app.test\r\n\r\nin the tunnel");
  CHECK(client.stream().read_to_end().ends_with("\r\n\r\nX"));
  CHECK(upstream.connections() == 2);
  CHECK(proxy.get("/thing").body == "1");
}

TEST_CASE("h2c: megabytes pass both ways at once, and a side that doesn't read holds the other up") {
  Echo echo;
  Pillion proxy(tunnelling(echo.upstream.endpoint()));
  HttpClient client = proxy.connect();
  std::string data = preface;
  while (data.size() < (16u << 20)) data += static_cast<char>(data.size() * 7 + (data.size() >> 10));
  std::thread writer([&] { client.send(data); });
  CHECK(eventually([&] { return echo.received().size() > preface.size(); }));
  CHECK(proxy.process().resident() < (200u << 20));
  std::string echoed;
  while (echoed.size() < data.size())
    echoed += client.stream().read_exactly(std::min<std::size_t>(64u << 10, data.size() - echoed.size()));
  writer.join();
  CHECK((echoed == data));
}

TEST_CASE("h2c: nobody need speak for longer than other connections may be idle") {
  Echo echo;
  Pillion proxy(tunnelling(echo.upstream.endpoint(), "    timeouts: { response: 200ms, silence: 200ms }\n",
                           "timeouts: { head: 200ms, body: 200ms, idle: 200ms }\n"));
  HttpClient client = proxy.connect();
  client.send(preface);
  CHECK(client.stream().read_exactly(preface.size()) == preface);
  CHECK(client.stream().stays_silent(600ms));
  client.send("ping");
  CHECK(client.stream().read_exactly(4) == "ping");
}

TEST_CASE("h2c: what was sent last arrives, though both sides have ended before the client reads it") {
  const std::string last(64u << 10, 'x');
  ScriptedUpstream upstream;
  upstream.answer_connections([&](Stream& stream) {
    while (stream.fill()) continue;
    stream.write(last);
  });
  Pillion proxy(tunnelling(upstream.endpoint()));
  HttpClient client(proxy.client(), 4096);
  client.send(preface);
  client.stream().shutdown_write();
  CHECK(eventually([&] { return proxy.metric("pillion_connections{side=\"client\"}") == 0; }));
  CHECK((client.stream().read_to_end() == last));
}

TEST_CASE("h2c: once one side has ended, the other may not stay silent for ever") {
  for (const bool client_ends : {false, true}) {
    CAPTURE(client_ends);
    ScriptedUpstream upstream;
    Gate& gate = upstream.gate();
    upstream.answer_connections([&](Stream& stream) {
      stream.read_exactly(preface.size());
      stream.write("x");
      if (client_ends) {
        gate.wait();
      } else {
        stream.shutdown_write();
        stream.closes();
      }
    });
    Pillion proxy(tunnelling(upstream.endpoint(), "    timeouts: { silence: 300ms }\n"));
    HttpClient client = proxy.connect();
    client.send(preface);
    CHECK(client.stream().read_exactly(1) == "x");
    if (client_ends) client.stream().shutdown_write();
    CHECK(client.closes());
    // What it has heard from the upstream isn't the end yet: its own connection is.
    CHECK(eventually([&] { return proxy.metric("pillion_connections{side=\"client\"}") == 0; }));
    CHECK(proxy.metric("pillion_limits_total{limit=\"silence_timeout\"}") == 1);
    CHECK(Json::parse(logged(proxy))["status"].number == 101);
  }
}

TEST_CASE("h2c: the end or the fault of one side reaches the other") {
  Counter gone;
  ScriptedUpstream upstream;
  upstream.answer_connections([&](Stream& stream) {
    stream.read_exactly(preface.size());
    if (stream.read_exactly(1) == "q") {
      stream.write("bye");
      return;
    }
    if (stream.closes()) gone.add();
  });
  Pillion proxy(tunnelling(upstream.endpoint()));
  HttpClient left = proxy.connect();
  left.send(preface + "q");
  CHECK(left.stream().read_to_end() == "bye");
  HttpClient resets = proxy.connect();
  resets.send(preface + "w");
  CHECK(eventually([&] { return upstream.connections() == 2; }));
  resets.stream().reset();
  CHECK(gone.wait_for(1));
}

TEST_CASE("h2c: a tunnel counts against the upstream's connections, and who gets none is told in HTTP/2") {
  Echo echo;
  Pillion proxy(tunnelling(echo.upstream.endpoint(), "    connections: { max: 1, wait: 100ms }\n"));
  HttpClient first = proxy.connect();
  first.send(preface);
  CHECK(first.stream().read_exactly(preface.size()) == preface);
  CHECK(proxy.get("/").status == 503);
  HttpClient second = proxy.connect();
  second.send(preface + settings);
  CHECK(second.stream().read_to_end() == go_away('\x0b', "The upstream has as many requests as it may have."));
  CHECK(Json::parse(logged(proxy))["status"].number == 503);
  first.stream().shutdown_write();
  CHECK(first.stream().read_to_end() == "after the end");
  HttpClient third = proxy.connect();
  third.send(preface);
  CHECK(third.stream().read_exactly(preface.size()) == preface);
}

TEST_CASE("h2c: an upstream that can't be reached is told in HTTP/2, so that clients may try again") {
  ScriptedUpstream upstream;
  upstream.stop();
  Pillion proxy(tunnelling(upstream.endpoint()));
  HttpClient client = proxy.connect();
  client.send(preface + settings);
  CHECK(client.stream().read_to_end() == go_away('\x02', "The upstream can't be reached."));
  Json line = Json::parse(logged(proxy));
  CHECK(line["status"].number == 502);
  CHECK(line["result"].string == "error");
  CHECK(proxy.metric("pillion_requests_total{route=\"-\",result=\"error\"}") == 1);
}

TEST_CASE("h2c: draining waits for a tunnel as for any answer, and cuts it at its timeout") {
  Echo echo;
  const std::string drain = "drain: { delay: 0s, timeout: 500ms }\n";
  for (const bool ends : {true, false}) {
    CAPTURE(ends);
    Pillion proxy(tunnelling(echo.upstream.endpoint(), {}, drain));
    HttpClient client = proxy.connect();
    client.send(preface);
    CHECK(client.stream().read_exactly(preface.size()) == preface);
    proxy.process().signal(SIGTERM);
    proxy.process().wait_for_err_line("draining");
    client.send("still");
    CHECK(client.stream().read_exactly(5) == "still");
    if (ends) client.stream().shutdown_write();
    const auto exit = proxy.process().wait();
    REQUIRE(exit.has_value());
    CHECK(exit->to_string() == (ends ? "exit code 0" : "exit code 1"));
    CHECK((ends || client.closes()));
  }
}

TEST_CASE("h2c: curl and nginx speak HTTP/2 to each other through it") {
  TempDir folder;
  folder.write("root/page.txt", "a page");
  folder.write("root/large.bin", std::string(3u << 20, 'L'));
  const std::string path = folder.path().string();
  std::string temporary;
  for (const char* kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"})
    temporary += std::string("  ") + kind + "_temp_path " + path + "/" + kind + ";\n";
  std::unique_ptr<Process> nginx;
  Endpoint endpoint;
  bool up = false;
  for (int attempt = 0; attempt < 5 && !up; ++attempt) {
    endpoint.port = free_port();
    folder.write("nginx.conf", "daemon off;\nmaster_process off;\npid " + path +
                                   "/nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\n  access_log off;\n" +
                                   temporary + "  server {\n    listen 127.0.0.1:" + std::to_string(endpoint.port) +
                                   " http2;\n    root " + path + "/root;\n  }\n}\n");
    ProcessOptions options;
    options.arguments = {"nginx", "-p", path, "-c", folder / "nginx.conf", "-e", "stderr"};
    nginx = std::make_unique<Process>(options);
    up = eventually([&] {
           try {
             return !nginx->running() || Stream::connect(endpoint).is_open();
           } catch (const std::exception&) {
             return false;
           }
         }) &&
         nginx->running();
  }
  REQUIRE(up);
  if (run({"curl", "--version"}).out.find("HTTP2") == std::string::npos) {
    MESSAGE("this curl has no HTTP/2");
    return;
  }
  Pillion proxy(tunnelling(endpoint));
  // One transfer a run: Debian's curl 7.88 fails at a second one, without a proxy too.
  const auto curl = [&](const Endpoint& to, const std::string& name) {
    return run({"curl", "-sS", "--max-time", "20", "--http2-prior-knowledge", "-w", "%{http_version} %{http_code}",
                "-o", folder / name, to.url() + "/" + name});
  };
  for (const std::string& name : {std::string("page.txt"), std::string("large.bin")}) {
    const Finished through = curl(proxy.client(), name);
    CAPTURE(through.err);
    CHECK(through.out == "2 200");
    CHECK(through.exit.code == 0);
    CHECK((read_file(folder / name) == read_file(folder / ("root/" + name))));
  }
  CHECK(curl(proxy.client(1), "page.txt").exit.code != 0);
}
