// The application's own calls to external APIs: chosen by listener and host, over verified TLS, with a token of the
// proxy's, through pooled connections; names that lead elsewhere; and an API that is down.
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "integration.hpp"
#include "support/redis_tls.hpp"
#include "support/tls_bridge.hpp"

namespace {

/// An application at the first listener, an API at the second. `api`: lines of the upstream.
std::string with_api(const Endpoint& app, const std::string& api, std::string_view routes) {
  return "listeners:\n  - { address: 127.0.0.1:0 }\n  - { name: egress, address: 127.0.0.1:0 }\nadmin: { address: "
         "127.0.0.1:0 }\nupstreams:\n  app: " +
         app.url() + "\n  api:\n" + api + "routes:\n" + std::string(routes);
}

std::string plain(const Endpoint& api, std::string_view more = {}) {
  return "    url: " + api.url() + "\n" + std::string(more);
}

constexpr std::string_view everything = "  - { name: api, listener: egress, path: /**, upstream: api, ttl: 60s }\n";
constexpr std::string_view with_stale =
    "  - { name: api, listener: egress, path: /**, upstream: api, stale: { if_error: 10m }, freshness: origin }\n";

/// An API behind TLS, as its own front sees it.
struct TlsApi {
  explicit TlsApi(Handler handler = {}, std::vector<std::string> protocols = {}) : upstream(std::move(handler)) {
    TlsSettings settings;
    settings.certificate = files.server_certificate();
    settings.key = files.server_key();
    settings.protocols = std::move(protocols);
    front = std::make_unique<TlsBridge>(false, upstream.endpoint(), settings);
  }
  std::string lines(std::string_view more = {}, const std::string& host = "localhost") const {
    return "    url: https://" + host + ":" + std::to_string(front->port()) + "\n    tls: { ca: " + files.ca() +
           " }\n" + std::string(more);
  }
  TlsFiles files;
  ScriptedUpstream upstream;
  std::unique_ptr<TlsBridge> front;
};

Response ask(Pillion& proxy, std::string_view target, const Fields& fields = {}) {
  return fetch(proxy.client(1), "GET", target, fields);
}

double breaker(Pillion& proxy, const std::string& what) {
  return proxy.metric("pillion_upstream_breaker_" + what + "{upstream=\"api\"}");
}

/// Runs what it is put before with a file of its own in place of /etc/hosts.
class OwnHosts {
 public:
  explicit OwnHosts(std::string_view content) { set(content); }
  static bool is_possible() { return ::getuid() == 0 && run({"unshare", "--mount", "true"}).exit.code == 0; }
  void set(std::string_view content) { write_file(file_, content); }
  PillionOptions options() const {
    PillionOptions options;
    options.wrapper = {"unshare", "--mount", "sh", "-c", "mount --bind " + file_ + " /etc/hosts && exec \"$0\" \"$@\""};
    return options;
  }

 private:
  TempDir folder_;
  std::string file_ = folder_.write("hosts", "");
};

/// Answers `second` to everything, at the same port of 127.0.0.9.
class Beside {
 public:
  explicit Beside(std::uint16_t port) : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in at{};
    at.sin_family = AF_INET;
    at.sin_port = htons(port);
    ::inet_pton(AF_INET, "127.0.0.9", &at.sin_addr);
    const int yes = 1;
    ::setsockopt(listener_.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (::bind(listener_.get(), reinterpret_cast<sockaddr*>(&at), sizeof at) != 0 || ::listen(listener_.get(), 16) != 0)
      throw std::runtime_error("can't listen at 127.0.0.9");
    thread_ = std::thread([this] { serve(); });
  }
  ~Beside() {
    done_ = true;
    thread_.join();
  }

 private:
  void serve() {
    while (!done_) {
      try {
        Stream stream(accept_from(listener_, Deadline(100ms)));
        stream.read_until("\r\n\r\n", Deadline(10s));
        stream.write(response_bytes(200, {{"Connection", "close"}}, "second"));
      } catch (const std::exception&) {
      }
    }
  }
  Fd listener_;
  std::atomic<bool> done_{false};
  std::thread thread_;
};

}  // namespace

TEST_CASE("egress: a listener of its own and a host choose the route, and its path is rewritten") {
  ScriptedUpstream app([](Exchange& e) { e.respond(200, {}, "app " + e.request().target); });
  ScriptedUpstream api([](Exchange& e) { e.respond(200, {}, e.request().fields["Host"] + " " + e.request().target); });
  Pillion proxy(with_api(
      app.endpoint(), plain(api.endpoint(), "    host: upstream\n"),
      "  - { name: samplers, listener: egress, path: /comfyui/samplers, upstream: api, rewrite: /object_info/KSampler, "
      "ttl: 1m, store: [memory] }\n"
      "  - { name: named, listener: egress, host: api.example.com, path: '/v1/{id}', upstream: api, rewrite: "
      "'/things/{id}', "
      "ttl: 1m }\n"
      "  - { name: egress, listener: egress, path: /**, upstream: api, cache: off }\n"
      "  - { name: app, path: /**, cache: off }\n"));
  const std::string host = api.endpoint().to_string();
  CHECK(ask(proxy, "/comfyui/samplers").body == host + " /object_info/KSampler");
  CHECK(outcome(ask(proxy, "/comfyui/samplers")) == "hit");
  CHECK(ask(proxy, "/v1/7?a=b", {{"Host", "api.example.com"}}).body == host + " /things/7?a=b");
  CHECK(ask(proxy, "/v1/7", {{"Host", "other.example.com"}}).body == host + " /v1/7");
  // The listener of the application's clients has none of this.
  CHECK(proxy.get("/comfyui/samplers").body == "app /comfyui/samplers");
}

TEST_CASE("egress: an https API is verified by an authority of one's own, and told its name") {
  TlsApi api(cacheable("secure"), {"http/1.1"});
  ScriptedUpstream app;
  Pillion proxy(with_api(app.endpoint(), api.lines(), everything));
  CHECK(ask(proxy, "/a").body == "secure");
  CHECK(outcome(ask(proxy, "/a")) == "hit");
  TlsSeen seen = api.front->seen().at(0);
  CHECK(seen.name == "localhost");
  CHECK(seen.protocol == "http/1.1");
  // A certificate for another name, from the same authority, is nobody's.
  Pillion misled(with_api(app.endpoint(), api.lines({}, "vm"), everything));
  Response refused = ask(misled, "/a");
  CHECK(refused.status == 502);
  CHECK(detailed(refused).find("connect-failed") != std::string::npos);
  // An address has no name to be told, and must stand in the certificate.
  Pillion by_address(with_api(app.endpoint(), api.lines({}, "127.0.0.1"), everything));
  CHECK(ask(by_address, "/a").body == "secure");
  CHECK(api.front->seen().back().name == "");
  CHECK(api.upstream.count() == 2);
}

TEST_CASE("egress: connections to an https API are kept, bounded, and closed in good order before the server's time") {
  TlsApi api([](Exchange& e) { e.respond(200, {{"Keep-Alive", "timeout=2"}}, "x"); });
  ScriptedUpstream app;
  Pillion proxy(with_api(app.endpoint(), api.lines("    connections: { max: 2 }\n"), everything));
  HttpClient client(proxy.client(1));
  for (int i = 0; i < 10; ++i) CHECK(client.get("/" + std::to_string(i)).status == 200);
  CHECK(api.front->seen().size() == 1);
  CHECK(api.front->wait_for_end(Deadline(3s)).said_end);
}

TEST_CASE("egress: over TLS too a safe request is sent again where a pooled connection turns out closed, once") {
  auto calls = std::make_shared<std::atomic<int>>(0);
  TlsApi api([calls](Exchange& exchange) {
    exchange.read_body();
    ++*calls;
    if (exchange.number_on_connection() > 1) return exchange.reset();
    exchange.respond(200, {}, "fresh");
  });
  ScriptedUpstream app;
  Pillion proxy(with_api(app.endpoint(), api.lines(),
                         "  - { name: api, listener: egress, path: /**, upstream: api, cache: off }\n"));
  HttpClient client(proxy.client(1));
  CHECK(client.get("/warm").status == 200);
  CHECK(client.get("/safe").body == "fresh");
  CHECK(*calls == 3);
  CHECK(client.request("POST", "/unsafe", {}, "pay").status == 502);
  CHECK(*calls == 4);
}

TEST_CASE("egress: a token from a file goes along, in place of the client's, and is told to nobody") {
  ScriptedUpstream app, api(numbered({}));
  TempDir folder;
  const std::string token = folder.write("token", "Bearer s3cret-of-the-api\n");
  Pillion proxy(with_api(
      app.endpoint(),
      plain(api.endpoint(), "    request_headers: { Authorization: { file: " + token + " }, X-Client: pillion }\n"),
      everything));
  CHECK(ask(proxy, "/a").body == "1");
  auto sent = api.requests().at(0).fields;
  CHECK(sent.all("Authorization") == std::vector<std::string>{"Bearer s3cret-of-the-api"});
  CHECK(sent["X-Client"] == "pillion");
  // What clients bring as credentials never reaches the API: it makes no answer personal, and none another's.
  CHECK(ask(proxy, "/b", {{"Authorization", "Bearer mine"}, {"X-Client", "other"}}).body == "2");
  sent = api.requests().at(1).fields;
  CHECK(sent.all("Authorization") == std::vector<std::string>{"Bearer s3cret-of-the-api"});
  CHECK(sent.all("X-Client") == std::vector<std::string>{"pillion"});
  Response stored = ask(proxy, "/b", {{"Authorization", "Bearer another"}});
  CHECK(stored.body == "2");
  CHECK(outcome(stored) == "hit");
  // Nowhere is it told.
  for (const char* page : {"/config", "/stats", "/metrics", "/explain?url=/a&listener=egress"})
    CHECK(proxy.admin_get(page).body.find("s3cret") == std::string::npos);
  proxy.process().wait_for_out_line("\"/b\"");
  proxy.process().signal(SIGINT);
  REQUIRE(proxy.process().wait().has_value());
  CHECK(proxy.process().out().find("s3cret") == std::string::npos);
  CHECK(proxy.process().err().find("s3cret") == std::string::npos);
}

TEST_CASE("egress: a token's file that changes is read again, whatever has become of the configuration") {
  ScriptedUpstream app, api([](Exchange& e) { e.respond(200, {}, e.request().fields["Authorization"]); });
  TempDir folder;
  const std::string token = folder.write("token", "one");
  Pillion proxy(with_api(app.endpoint(),
                         plain(api.endpoint(), "    request_headers: { Authorization: { file: " + token + " } }\n"),
                         "  - { name: api, listener: egress, path: /**, upstream: api, cache: off }\n"));
  CHECK(ask(proxy, "/").body == "one");
  write_file(token, "two");
  CHECK(eventually([&] { return ask(proxy, "/").body == "two"; }));
  // A file that holds none leaves the old one in force, and is told.
  write_file(token, "");
  proxy.process().wait_for_err_line("is empty: it must hold the secret");
  CHECK(ask(proxy, "/").body == "two");
  std::filesystem::rename(folder.write("token.new", "three"), token);
  CHECK(eventually([&] { return ask(proxy, "/").body == "three"; }));
  write_file(proxy.config_file(), "upstreams: [");
  proxy.process().wait_for_err_line("the configuration is refused");
  write_file(token, "four");
  CHECK(eventually([&] { return ask(proxy, "/").body == "four"; }));
}

TEST_CASE("egress: an authority's file that changes is read again") {
  TlsApi api(cacheable("secure"));
  ScriptedUpstream app;
  TempDir folder;
  const std::string ca = folder.write("ca.pem", read_file(api.files.foreign_ca()));
  Pillion proxy(with_api(app.endpoint(),
                         "    url: https://localhost:" + std::to_string(api.front->port()) + "\n    tls: { ca: " + ca +
                             " }\n    breaker: off\n",
                         everything));
  CHECK(ask(proxy, "/a").status == 502);
  folder.write("ca.pem", read_file(api.files.ca()));
  CHECK(eventually([&] { return ask(proxy, "/a").status == 200; }));
}

TEST_CASE("egress: of several addresses of a name those are tried that answer") {
  if (!OwnHosts::is_possible()) {
    MESSAGE("needs root: this machine lets nobody have hosts of its own");
    return;
  }
  ScriptedUpstream app;
  OwnHosts hosts("127.0.0.1 api.test\n127.0.0.9 api.test\n127.0.0.10 api.test\n::1 api.test\n");
  SUBCASE("the first is silent") {
    SilentPort silent;
    Beside good(silent.endpoint().port);
    Pillion proxy(with_api(app.endpoint(), plain({"api.test", silent.endpoint().port, {}}), everything),
                  hosts.options());
    CHECK(ask(proxy, "/a").body == "second");
  }
  SUBCASE("the first refuses") {
    RefusingPort refusing;
    Beside good(refusing.endpoint().port);
    Pillion proxy(with_api(app.endpoint(), plain({"api.test", refusing.endpoint().port, {}}), everything),
                  hosts.options());
    CHECK(ask(proxy, "/a").body == "second");
  }
}

TEST_CASE("egress: a name that leads elsewhere is followed, after a failure at once and else as connections grow old") {
  if (!OwnHosts::is_possible()) {
    MESSAGE("needs root: this machine lets nobody have hosts of its own");
    return;
  }
  ScriptedUpstream app, first([](Exchange& e) { e.respond(200, {}, "first"); });
  Beside second(first.endpoint().port);
  OwnHosts hosts("127.0.0.1 api.test\n");
  const auto config = [&](const char* age) {
    return with_api(
        app.endpoint(),
        plain({"api.test", first.endpoint().port, {}}, "    connections: { age: " + std::string(age) + " }\n"),
        "  - { name: api, listener: egress, path: /**, upstream: api, cache: off }\n");
  };
  SUBCASE("while the old address still answers") {
    Pillion proxy(config("300ms"), hosts.options());
    HttpClient client(proxy.client(1));
    CHECK(client.get("/").body == "first");
    hosts.set("127.0.0.9 api.test\n");
    CHECK(eventually([&] { return client.get("/").body == "second"; }));
  }
  SUBCASE("when it doesn't any more") {
    Pillion proxy(config("1h"), hosts.options());
    HttpClient client(proxy.client(1));
    CHECK(client.get("/").body == "first");
    hosts.set("127.0.0.9 api.test\n");
    first.stop();
    client.get("/");  // this one finds out
    CHECK(client.get("/").body == "second");
  }
}

TEST_CASE("egress: an API that does not answer is not asked for a while, and asked again soon") {
  ScriptedUpstream app, api(cacheable("well"));
  Pillion proxy(
      with_api(app.endpoint(), plain(api.endpoint(), "    breaker: { failures: 3, open: 2s }\n"), everything));
  api.stop();
  for (int i = 0; i < 3; ++i) CHECK(ask(proxy, "/" + std::to_string(i)).status == 502);
  proxy.process().wait_for_err_line("upstream api does not answer");
  Response refused = ask(proxy, "/x");
  CHECK(refused.status == 503);
  CHECK(refused["Retry-After"] == "1");
  CHECK(detailed(refused) == "uri-miss breaker-open");
  CHECK(fetch(proxy.client(1), "POST", "/x", {}, "x").status == 503);
  CHECK(breaker(proxy, "open") == 1);
  CHECK(breaker(proxy, "opened_total") == 1);
  CHECK(proxy.metric("pillion_limits_total{limit=\"breaker_open\"}") >= 2);
  // Others aren't concerned.
  CHECK(proxy.get("/app").status == 200);
  api.start();
  CHECK(eventually([&] { return ask(proxy, "/y").status == 200; }));
  CHECK(breaker(proxy, "open") == 0);
  CHECK(ask(proxy, "/z").status == 200);
  proxy.process().wait_for_err_line("upstream api answers again");
}

TEST_CASE("egress: while it is not asked nothing goes there but one request at a time") {
  SilentPort silent;
  ScriptedUpstream app;
  Pillion proxy(with_api(app.endpoint(),
                         plain(silent.endpoint(),
                               "    timeouts: { connect: 100ms }\n    breaker: { failures: 2, open: "
                               "1h }\n"),
                         everything));
  for (int i = 0; i < 2; ++i) CHECK(ask(proxy, "/" + std::to_string(i)).status == 504);
  // Nobody waits for it any more: a connection would take 100 ms to fail, with 504.
  in_parallel(20, [&](int i) {
    if (ask(proxy, "/many" + std::to_string(i)).status != 503) throw std::runtime_error("it was asked");
  });
  CHECK(proxy.metric("pillion_limits_total{limit=\"connect_timeout\"}") == 2);
}

TEST_CASE("egress: failures count in a row only, and answers of any status are answers") {
  std::atomic<bool> fails{true};
  ScriptedUpstream app, api([&](Exchange& exchange) {
    if (fails && exchange.request().target == "/broken") return exchange.close();
    exchange.respond(exchange.request().target == "/error" ? 500 : 200, {}, "x");
  });
  Pillion proxy(with_api(app.endpoint(), plain(api.endpoint(), "    breaker: { failures: 2, open: 1h }\n"),
                         "  - { name: api, listener: egress, path: /**, upstream: api, cache: off }\n"));
  for (int i = 0; i < 5; ++i) {
    CHECK(ask(proxy, "/broken").status == 502);
    CHECK(ask(proxy, i % 2 == 0 ? "/good" : "/error").status == (i % 2 == 0 ? 200 : 500));
  }
  for (int i = 0; i < 5; ++i) CHECK(ask(proxy, "/error").status == 500);
  CHECK(breaker(proxy, "opened_total") == 0);
  for (int i = 0; i < 2; ++i) CHECK(ask(proxy, "/broken").status == 502);
  CHECK(ask(proxy, "/good").status == 503);
}

TEST_CASE("egress: a client that leaves says nothing of the API") {
  ScriptedUpstream app, api;
  api.answer("/slow", [&](Exchange& exchange) {
    exchange.read_body();
    exchange.close();
  });
  Pillion proxy(with_api(app.endpoint(), plain(api.endpoint(), "    breaker: { failures: 1, open: 1h }\n"),
                         "  - { name: api, listener: egress, path: /**, upstream: api, cache: off }\n"));
  HttpClient client(proxy.client(1));
  client.send("POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345");
  REQUIRE(api.wait_for_requests("/slow", 1));
  client.stream().reset();
  CHECK(api.wait_for_open_connections(0));
  CHECK(ask(proxy, "/a").status == 200);
  CHECK(breaker(proxy, "opened_total") == 0);
}

TEST_CASE("egress: an API that accepts and never answers is given up too") {
  ScriptedUpstream app, api;
  Gate& gate = api.gate();
  api.answer([&](Exchange&) { gate.wait(); });
  Pillion proxy(with_api(app.endpoint(),
                         plain(api.endpoint(),
                               "    timeouts: { response: 200ms }\n    breaker: { failures: 2, open: 1h "
                               "}\n"),
                         everything));
  for (int i = 0; i < 2; ++i) CHECK(ask(proxy, "/" + std::to_string(i)).status == 504);
  CHECK(ask(proxy, "/x").status == 503);
}

TEST_CASE("egress: while an API is down what is stored and stale is served, at once") {
  ScriptedUpstream app,
      api([](Exchange& e) { e.respond(200, caching("max-age=10", {{"Age", "20"}, {"ETag", "\"1\""}}), "kept"); });
  Pillion proxy(
      with_api(app.endpoint(), plain(api.endpoint(), "    breaker: { failures: 2, open: 1h }\n"), with_stale));
  CHECK(ask(proxy, "/list").body == "kept");
  api.stop();
  for (int i = 0; i < 4; ++i) {
    Response stale = ask(proxy, "/list");
    CHECK(stale.status == 200);
    CHECK(stale.body == "kept");
    CHECK(cache_status(stale).detail == "stale-if-error");
  }
  CHECK(breaker(proxy, "open") == 1);
  CHECK(ask(proxy, "/other").status == 503);
}

TEST_CASE("egress: a breaker can be switched off, also while it is open") {
  ScriptedUpstream app, api;
  api.stop();
  const auto config = [&](const char* setting) {
    return with_api(app.endpoint(), plain(api.endpoint(), "    breaker: " + std::string(setting) + "\n"), everything);
  };
  Pillion proxy(config("off"));
  for (int i = 0; i < 8; ++i) CHECK(ask(proxy, "/").status == 502);
  Pillion switched(config("{ failures: 1, open: 1h }"));
  CHECK(ask(switched, "/").status == 502);
  CHECK(ask(switched, "/").status == 503);
  std::string file = read_file(switched.config_file());
  file.replace(file.find("{ failures: 1, open: 1h }"), 25, "off");
  write_file(switched.config_file(), file);
  CHECK(eventually([&] { return ask(switched, "/").status == 502; }));
  CHECK(breaker(switched, "open") == 0);
}

TEST_CASE("egress: the demo shows how a list of an API is fetched once") {
  ProcessOptions options;
  options.arguments = {pillion_binary(), "demo"};
  Process demo(options);
  demo.wait_for_out_line("GET /comfyui/samplers (egress");
  std::string fetched = demo.wait_for_out_line("fetched from ComfyUI, and stored");
  demo.wait_for_out_line("Answered from memory; ComfyUI was not asked.");
  demo.signal(SIGINT);
  CHECK(demo.wait().has_value());
}
