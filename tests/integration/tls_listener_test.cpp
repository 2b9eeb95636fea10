// TLS towards clients: versions, ALPN, what is cached under https, certificates that change while it runs, and what
// becomes of clients that speak something else.
#include <csignal>
#include <filesystem>

#include "integration.hpp"
#include "support/redis_tls.hpp"
#include "support/tls_bridge.hpp"

namespace {

namespace fs = std::filesystem;

/// A plain listener, one with TLS, an upstream.
std::string with_tls(const Endpoint& upstream, const std::string& certificate, const std::string& key,
                     std::string_view rest = "routes:\n  - { name: all, path: /**, ttl: 60s }\n") {
  return "listeners:\n  - { address: 127.0.0.1:0 }\n  - address: 127.0.0.1:0\n    tls: { certificate: " + certificate +
         ", key: " + key + " }\nadmin: { address: 127.0.0.1:0 }\nupstreams: { app: " + upstream.url() + " }\n" +
         std::string(rest);
}

std::string with_tls(const Endpoint& upstream, const TlsFiles& files,
                     std::string_view rest = "routes:\n  - { name: all, path: /**, ttl: 60s }\n") {
  return with_tls(upstream, files.server_certificate(), files.server_key(), rest);
}

TlsSettings trusting(const TlsFiles& files) {
  TlsSettings settings;
  settings.ca = files.ca();
  return settings;
}

double handshakes(Pillion& proxy, const std::string& outcome) {
  return proxy.metric("pillion_tls_handshakes_total{outcome=\"" + outcome + "\"}");
}

/// The name in the certificate that a client is shown now.
std::string certificate_of(Pillion& proxy, const TlsFiles& files) {
  return shake_hands(proxy.client(1), trusting(files)).certificate;
}

}  // namespace

TEST_CASE("tls listener: requests are answered, stored and served again, under https") {
  TlsFiles files;
  ScriptedUpstream upstream(numbered({}));
  Pillion proxy(with_tls(upstream.endpoint(), files));
  TlsBridge tls(true, proxy.client(1), trusting(files));
  CHECK(fetch(tls.endpoint(), "GET", "/a").body == "1");
  CHECK(upstream.requests().at(0).fields["X-Forwarded-Proto"] == "https");
  Response again = fetch(tls.endpoint(), "GET", "/a");
  CHECK(again.body == "1");
  CHECK(outcome(again) == "hit");
  // The same path without TLS is another resource.
  CHECK(proxy.get("/a").body == "2");
  CHECK(upstream.requests().at(1).fields["X-Forwarded-Proto"] == "http");
  // An invalidation by path reaches both; one by URL its scheme's.
  proxy.invalidate(R"({"urls":["/a"]})");
  CHECK(fetch(tls.endpoint(), "GET", "/a").body == "3");
  CHECK(handshakes(proxy, "done") >= 3);
}

TEST_CASE("tls listener: a peer that is trusted may say another scheme; others' word doesn't count") {
  TlsFiles files;
  ScriptedUpstream upstream;
  Pillion trusting_proxy(with_tls(upstream.endpoint(), files));
  TlsBridge trusted(true, trusting_proxy.client(1), trusting(files));
  fetch(trusted.endpoint(), "GET", "/trusted", {{"X-Forwarded-Proto", "http"}});
  CHECK(upstream.requests("/trusted").at(0).fields["X-Forwarded-Proto"] == "http");
  Pillion careful(with_tls(upstream.endpoint(), files, "trusted_proxies: []\n"));
  TlsBridge stranger(true, careful.client(1), trusting(files));
  fetch(stranger.endpoint(), "GET", "/stranger", {{"X-Forwarded-Proto", "http"}});
  CHECK(upstream.requests("/stranger").at(0).fields["X-Forwarded-Proto"] == "https");
}

TEST_CASE("tls listener: explain asks for what a client of that listener would get") {
  TlsFiles files;
  ScriptedUpstream upstream;
  Pillion proxy(
      "listeners:\n  - { address: 127.0.0.1:0 }\n  - { name: public, address: 127.0.0.1:0, tls: { certificate: " +
      files.server_certificate() + ", key: " + files.server_key() +
      " } }\nadmin: { address: 127.0.0.1:0 }\nupstreams: { app: " + upstream.url() +
      " }\nroutes:\n  - { name: all, path: /**, listener: public, ttl: 60s }\n");
  TlsBridge tls(true, proxy.client(1), trusting(files));
  fetch(tls.endpoint(), "GET", "/a", {{"Host", "localhost"}});
  Json explained = Json::parse(proxy.admin_get("/explain?url=/a&listener=public").body);
  CHECK(explained["stored"]["status"].number == 200);
}

TEST_CASE("tls listener: TLS 1.2 and 1.3 are spoken, and nothing older") {
  TlsFiles files;
  ScriptedUpstream upstream;
  Pillion proxy(with_tls(upstream.endpoint(), files));
  for (const char* version : {"1.2", "1.3"}) {
    TlsSettings settings = trusting(files);
    settings.versions = version;
    TlsSeen seen = shake_hands(proxy.client(1), settings);
    CHECK(seen.done);
    CHECK(seen.version == "TLSv" + std::string(version));
    CHECK(seen.said_end);
  }
  TlsSettings old = trusting(files);
  old.versions = "1.1";
  CHECK_FALSE(shake_hands(proxy.client(1), old).done);
  CHECK(eventually([&] { return handshakes(proxy, "version") == 1; }));
}

TEST_CASE("tls listener: ALPN is http/1.1; a client that offers only something else is refused") {
  TlsFiles files;
  ScriptedUpstream upstream;
  Pillion proxy(with_tls(upstream.endpoint(), files));
  const auto offering = [&](std::vector<std::string> protocols) {
    TlsSettings settings = trusting(files);
    settings.protocols = std::move(protocols);
    return shake_hands(proxy.client(1), settings);
  };
  CHECK(offering({"h2", "http/1.1"}).protocol == "http/1.1");
  CHECK(offering({"http/1.0"}).protocol == "http/1.0");
  TlsSeen silent = offering({});
  CHECK(silent.done);
  CHECK(silent.protocol == "");
  TlsSeen other = offering({"h2"});
  CHECK_FALSE(other.done);
  CHECK(other.error.find("application protocol") != std::string::npos);
  CHECK(eventually([&] { return handshakes(proxy, "protocol") == 1; }));
}

TEST_CASE("tls listener: plain HTTP is told where it is") {
  TlsFiles files;
  ScriptedUpstream upstream;
  Pillion proxy(with_tls(upstream.endpoint(), files));
  HttpClient client(proxy.client(1));
  Response answer = client.get("/a");
  CHECK(answer.status == 400);
  CHECK(answer.body.find("HTTPS") != std::string::npos);
  CHECK(client.closes());
  CHECK(upstream.count() == 0);
  CHECK(handshakes(proxy, "plain_http") == 1);
}

TEST_CASE("tls listener: a client that never says anything, or no TLS, is not waited for") {
  TlsFiles files;
  ScriptedUpstream upstream;
  Pillion proxy(with_tls(upstream.endpoint(), files, "timeouts: { head: 300ms }\n"));
  Stream silent = Stream::connect(proxy.client(1));
  Stream partial = Stream::connect(proxy.client(1));
  partial.write(std::string("\x16\x03\x01\x02", 4));  // the beginning of a ClientHello
  CHECK(silent.closes());
  CHECK(partial.closes());
  CHECK(handshakes(proxy, "timeout") == 2);
  CHECK(proxy.metric("pillion_limits_total{limit=\"handshake_timeout\"}") == 2);
  Stream leaving = Stream::connect(proxy.client(1));
  leaving.close();
  CHECK(eventually([&] { return handshakes(proxy, "closed") == 1; }));
  CHECK(proxy.metric("pillion_connections{side=\"client\"}") == 0);
}

TEST_CASE("tls listener: an idle time holds behind TLS too") {
  TlsFiles files;
  ScriptedUpstream upstream;
  Pillion proxy(with_tls(upstream.endpoint(), files, "timeouts: { idle: 300ms }\n"));
  TlsBridge tls(true, proxy.client(1), trusting(files));
  HttpClient client(tls.endpoint());
  CHECK(client.get("/a").status == 200);
  CHECK(client.closes());
  client.stream().close();
  CHECK(tls.wait_for_end().said_end);
}

TEST_CASE("tls listener: large bodies pass both ways, and pipelined requests in order") {
  TlsFiles files;
  std::string large(3u << 20, 'x');
  for (std::size_t i = 0; i < large.size(); i += 997) large[i] = static_cast<char>('a' + i % 23);
  ScriptedUpstream upstream([&](Exchange& exchange) {
    if (exchange.request().method == "GET") return exchange.respond(200, {}, large);
    std::size_t size = 0;
    for (std::string part; !(part = exchange.read_some()).empty();) size += part.size();
    exchange.respond(200, {}, std::to_string(size));
  });
  upstream.answer("/small", [](Exchange& exchange) { exchange.respond(200, {}, exchange.request().target); });
  Pillion proxy(with_tls(upstream.endpoint(), files));
  TlsBridge tls(true, proxy.client(1), trusting(files));
  HttpClient client(tls.endpoint());
  CHECK(client.get("/large").body == large);
  CHECK(client.get("/large").body == large);
  CHECK(client.request("POST", "/", {}, large).body == std::to_string(large.size()));
  for (int i = 0; i < 3; ++i) proxy.connect().get("/small" + std::to_string(i));
  std::string all;
  for (int i = 0; i < 20; ++i) all += request_bytes("GET", "/small" + std::to_string(i % 3));
  client.send(all);
  for (int i = 0; i < 20; ++i) CHECK(client.read_response().body == "/small" + std::to_string(i % 3));
}

TEST_CASE("tls listener: many clients at once") {
  TlsFiles files;
  ScriptedUpstream upstream(cacheable("body"));
  Pillion proxy(with_tls(upstream.endpoint(), files));
  TlsBridge tls(true, proxy.client(1), trusting(files));
  in_parallel(20, [&](int) {
    HttpClient client(tls.endpoint());
    for (int i = 0; i < 20; ++i) {
      if (client.get("/a").body != "body") throw std::runtime_error("another body");
    }
  });
  CHECK(upstream.count() == 1);
}

TEST_CASE("tls listener: a connection that ends says so, and what was cut doesn't") {
  TlsFiles files;
  ScriptedUpstream upstream;
  upstream.answer("/cut", [](Exchange& exchange) {
    exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345");
    exchange.close();
  });
  upstream.answer("/to-the-end", [](Exchange& exchange) {
    exchange.write("HTTP/1.1 200 OK\r\n\r\nall");
    exchange.close();
  });
  Pillion proxy(with_tls(upstream.endpoint(), files));
  TlsBridge tls(true, proxy.client(1), trusting(files));
  {
    HttpClient client(tls.endpoint());
    CHECK(client.get("/a", {{"Connection", "close"}}).status == 200);
    CHECK(client.closes());
    client.stream().close();
    CHECK(tls.wait_for_end().said_end);
  }
  {
    HttpClient client(tls.endpoint());
    client.send("GET /to-the-end HTTP/1.0\r\nHost: a\r\n\r\n");
    CHECK(client.read_response().body == "all");
    client.stream().close();
    CHECK(eventually([&] { return tls.seen().size() == 2 && tls.seen()[1].ended; }));
    CHECK(tls.seen()[1].said_end);
  }
  HttpClient client(tls.endpoint());
  CHECK_FALSE(client.get("/cut").complete);
  CHECK(eventually([&] { return tls.seen().size() == 3 && tls.seen()[2].ended; }));
  CHECK_FALSE(tls.seen()[2].said_end);
}

TEST_CASE("tls listener: a WebSocket passes, and each side may end first") {
  TlsFiles files;
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    Stream& stream = exchange.stream();
    while (stream.buffer().find("end") == std::string::npos && stream.fill()) {
    }
    exchange.write("heard " + stream.buffer());
    exchange.close();
  });
  Pillion proxy(with_tls(upstream.endpoint(), files));
  TlsBridge tls(true, proxy.client(1), trusting(files));
  const Fields upgrade{{"Connection", "Upgrade"}, {"Upgrade", "websocket"}};
  SUBCASE("the client") {
    HttpClient client(tls.endpoint());
    client.send_request("GET", "/", upgrade);
    REQUIRE(client.read_head().status == 101);
    client.send("some");
    client.stream().shutdown_write();
    CHECK(client.stream().read_exactly(10) == "heard some");
    CHECK(client.closes());
  }
  SUBCASE("the upstream") {
    HttpClient client(tls.endpoint());
    client.send_request("GET", "/", upgrade);
    REQUIRE(client.read_head().status == 101);
    client.send("the end");
    CHECK(client.stream().read_exactly(13) == "heard the end");
    CHECK(client.closes());
  }
  CHECK(tls.wait_for_end().said_end);
}

TEST_CASE("tls listener: certificates are read again when their files change; connections keep theirs") {
  TlsFiles files;
  files.add_server("second");
  TempDir folder;
  const auto put = [&](const std::string& name) {
    folder.write("tls.crt", read_file(files.path(name + ".pem")));
    folder.write("tls.key", read_file(files.path(name + ".key")));
  };
  put("server");
  ScriptedUpstream upstream;
  Pillion proxy(with_tls(upstream.endpoint(), folder / "tls.crt", folder / "tls.key"));
  TlsBridge tls(true, proxy.client(1), trusting(files));
  HttpClient kept(tls.endpoint());
  CHECK(kept.get("/a").status == 200);
  CHECK(certificate_of(proxy, files) == "server");
  put("second");
  CHECK(eventually([&] { return certificate_of(proxy, files) == "second"; }));
  CHECK(kept.get("/b").status == 200);
  CHECK(tls.seen().size() == 1);
}

TEST_CASE("tls listener: the symlink swap of a Kubernetes Secret is noticed, twice") {
  TlsFiles files;
  files.add_server("second");
  TempDir mount;
  const auto publish = [&](const std::string& version, const std::string& name) {
    mount.write(version + "/tls.crt", read_file(files.path(name + ".pem")));
    mount.write(version + "/tls.key", read_file(files.path(name + ".key")));
    fs::create_symlink(version, mount.path() / "..data_tmp");
    fs::rename(mount.path() / "..data_tmp", mount.path() / "..data");
  };
  publish("..v1", "server");
  fs::create_symlink("..data/tls.crt", mount.path() / "tls.crt");
  fs::create_symlink("..data/tls.key", mount.path() / "tls.key");
  ScriptedUpstream upstream;
  Pillion proxy(with_tls(upstream.endpoint(), mount / "tls.crt", mount / "tls.key"));
  CHECK(certificate_of(proxy, files) == "server");
  publish("..v2", "second");
  fs::remove_all(mount.path() / "..v1");
  CHECK(eventually([&] { return certificate_of(proxy, files) == "second"; }));
  publish("..v3", "server");
  CHECK(eventually([&] { return certificate_of(proxy, files) == "server"; }));
}

TEST_CASE("tls listener: new files that can't be used leave the old ones in force, and are told") {
  TlsFiles files;
  files.add_server("second");
  TempDir folder;
  folder.write("tls.crt", read_file(files.server_certificate()));
  folder.write("tls.key", read_file(files.server_key()));
  ScriptedUpstream upstream;
  Pillion proxy(with_tls(upstream.endpoint(), folder / "tls.crt", folder / "tls.key"));
  std::string why;
  SUBCASE("another one's key") {
    folder.write("tls.key", read_file(files.path("second.key")));
    why = "it is not the key of this certificate; the old ones stay in force";
  }
  SUBCASE("no certificate") {
    folder.write("tls.crt", "none");
    why = "the certificate: ";
  }
  SUBCASE("gone") {
    fs::remove(folder / "tls.key");
    why = "can't read " + (folder / "tls.key");
  }
  proxy.process().wait_for_err_line(why);
  CHECK(certificate_of(proxy, files) == "server");
  folder.write("tls.crt", read_file(files.path("second.pem")));
  folder.write("tls.key", read_file(files.path("second.key")));
  CHECK(eventually([&] { return certificate_of(proxy, files) == "second"; }));
}

TEST_CASE("tls listener: a configuration that is refused keeps no certificate from being renewed") {
  TlsFiles files;
  files.add_server("second");
  TempDir folder;
  folder.write("tls.crt", read_file(files.server_certificate()));
  folder.write("tls.key", read_file(files.server_key()));
  ScriptedUpstream upstream;
  Pillion proxy(with_tls(upstream.endpoint(), folder / "tls.crt", folder / "tls.key"));
  write_file(proxy.config_file(), "upstreams: [");
  proxy.process().wait_for_err_line("the configuration is refused");
  folder.write("tls.crt", read_file(files.path("second.pem")));
  folder.write("tls.key", read_file(files.path("second.key")));
  proxy.process().signal(SIGHUP);
  CHECK(eventually([&] { return certificate_of(proxy, files) == "second"; }));
}

TEST_CASE("tls listener: POST /reload answers once the certificate of the moment is in force") {
  TlsFiles files;
  files.add_server("second");
  TempDir folder;
  const auto put = [&](const std::string& name) {
    folder.write("tls.crt", read_file(files.path(name + ".pem")));
    folder.write("tls.key", read_file(files.path(name + ".key")));
  };
  put("server");
  ScriptedUpstream upstream;
  Pillion proxy(with_tls(upstream.endpoint(), folder / "tls.crt", folder / "tls.key"));
  put("second");
  CHECK(proxy.admin_post("/reload", "{}").status == 200);
  CHECK(certificate_of(proxy, files) == "second");
  // A file that is refused too.
  write_file(proxy.config_file(), "upstreams: [");
  put("server");
  CHECK(proxy.admin_post("/reload", "{}").status == 422);
  CHECK(certificate_of(proxy, files) == "server");
}

TEST_CASE("tls listener: check and serve say where files are that can't be used") {
  TlsFiles files;
  files.add_server("second");
  ScriptedUpstream upstream;
  TempDir folder;
  std::string file =
      folder.write("proxy.yaml", with_tls(upstream.endpoint(), files.server_certificate(), files.path("second.key")));
  for (const char* command : {"check", "serve"}) {
    Finished told = run_pillion({command, "--config", file});
    CHECK(told.exit.code == 2);
    CHECK(told.err.find(file + ":4:") == 0);
    CHECK(told.err.find("is not the key of the certificate") != std::string::npos);
  }
  folder.write("proxy.yaml", with_tls(upstream.endpoint(), files));
  CHECK(run_pillion({"check", "--config", file}).exit.code == 0);
}

TEST_CASE("tls listener: above the limit of connections nobody is greeted") {
  TlsFiles files;
  ScriptedUpstream upstream;
  Pillion proxy(with_tls(upstream.endpoint(), files, "limits: { connections: 1 }\n"));
  Stream first = Stream::connect(proxy.client(1));
  CHECK(eventually([&] { return proxy.metric("pillion_connections{side=\"client\"}") == 1; }));
  CHECK(Stream::connect(proxy.client(1)).closes());
  CHECK(proxy.metric("pillion_limits_total{limit=\"connections\"}") == 1);
}

TEST_CASE("tls listener: draining closes what is idle, and finishes what is asked") {
  TlsFiles files;
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  upstream.answer("/slow", [&](Exchange& exchange) {
    gate.wait();
    exchange.respond(200, {}, "finished");
  });
  Pillion proxy(with_tls(upstream.endpoint(), files, "drain: { delay: 0s, timeout: 30s }\n"));
  TlsBridge tls(true, proxy.client(1), trusting(files));
  HttpClient idle(tls.endpoint()), busy(tls.endpoint());
  CHECK(idle.get("/a").status == 200);
  Stream greeting = Stream::connect(proxy.client(1));
  busy.send_request("GET", "/slow");
  REQUIRE(upstream.wait_for_requests("/slow", 1));
  proxy.process().signal(SIGTERM);
  CHECK(idle.closes());
  CHECK(greeting.closes());
  gate.open();
  Response answer = busy.read_response();
  CHECK(answer.body == "finished");
  CHECK(answer["Connection"] == "close");
  std::optional<Exit> exit = proxy.process().wait();
  REQUIRE(exit.has_value());
  CHECK(exit->code == 0);
}

TEST_CASE("tls listener: a client that doesn't read what it asked for is cut") {
  TlsFiles files;
  const std::string large(64u << 20, 'x');
  ScriptedUpstream upstream([&](Exchange& exchange) { exchange.respond(200, {}, large); });
  Pillion proxy(with_tls(upstream.endpoint(), files, "timeouts: { body: 300ms }\n"));
  TlsBridge tls(true, proxy.client(1), trusting(files));
  HttpClient client(tls.endpoint(), 4096);
  client.send_request("GET", "/");
  CHECK(eventually([&] { return proxy.metric("pillion_limits_total{limit=\"write_timeout\"}") == 1; }));
  CHECK(eventually([&] { return proxy.metric("pillion_connections{side=\"client\"}") == 0; }));
}
