// Reloading by signal, by a changed file and by a ConfigMap's swap; ending in good order (product contract, section 8).
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "integration.hpp"

namespace {

std::string with_ttl(const Endpoint& upstream, std::string_view settings) {
  return config_for(upstream, "routes:\n  - name: r\n    path: /**\n    " + std::string(settings) +
                                  "\ndrain: { delay: 0s, timeout: 5s }\n");
}

bool caches(Pillion& proxy) {
  proxy.get("/probe");
  return outcome(proxy.get("/probe")) == "hit";
}

}  // namespace

TEST_CASE("reload: SIGHUP reads the file again, requests in flight and connections stay") {
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  upstream.answer("/slow", [&](Exchange& exchange) {
    gate.wait();
    exchange.respond(200, {}, "finished");
  });
  Pillion proxy(with_ttl(upstream.endpoint(), "cache: off"));
  CHECK_FALSE(caches(proxy));
  HttpClient kept = proxy.connect();
  CHECK(kept.get("/a").status == 200);
  HttpClient slow = proxy.connect();
  slow.send_request("GET", "/slow");
  REQUIRE(upstream.wait_for_requests("/slow", 1));
  std::string before = proxy.client().to_string();
  write_file(proxy.config_file(), with_ttl(upstream.endpoint(), "ttl: 60s"));
  proxy.process().signal(SIGHUP);
  CHECK(eventually([&] { return caches(proxy); }));
  CHECK(kept.get("/a").status == 200);
  gate.open();
  CHECK(slow.read_response().body == "finished");
  CHECK(proxy.client().to_string() == before);
}

TEST_CASE("reload: a changed file is noticed by itself") {
  ScriptedUpstream upstream;
  Pillion proxy(with_ttl(upstream.endpoint(), "cache: off"));
  SUBCASE("written in place") { write_file(proxy.config_file(), with_ttl(upstream.endpoint(), "ttl: 60s")); }
  SUBCASE("replaced by rename, as editors do") {
    std::string fresh = proxy.folder().write("proxy.yaml.new", with_ttl(upstream.endpoint(), "ttl: 60s"));
    std::filesystem::rename(fresh, proxy.config_file());
  }
  CHECK(eventually([&] { return caches(proxy); }));
}

TEST_CASE("reload: the symlink swap of a Kubernetes ConfigMap is noticed, twice") {
  namespace fs = std::filesystem;
  ScriptedUpstream upstream;
  TempDir mount;
  // As the kubelet lays it out: proxy.yaml -> ..data/proxy.yaml, ..data -> ..timestamp
  auto publish = [&](const std::string& version, std::string_view settings) {
    mount.write(version + "/proxy.yaml", with_ttl(upstream.endpoint(), settings));
    fs::create_symlink(version, mount.path() / "..data_tmp");
    fs::rename(mount.path() / "..data_tmp", mount.path() / "..data");
  };
  publish("..v1", "cache: off");
  fs::create_symlink("..data/proxy.yaml", mount.path() / "proxy.yaml");
  PillionOptions options;
  options.arguments = {"serve", "--config", mount / "proxy.yaml"};
  Pillion proxy("", options);
  CHECK_FALSE(caches(proxy));
  publish("..v2", "ttl: 60s");
  fs::remove_all(mount.path() / "..v1");
  CHECK(eventually([&] { return caches(proxy); }));
  publish("..v3", "cache: off");
  fs::remove_all(mount.path() / "..v2");
  CHECK(eventually([&] { return !caches(proxy); }));
}

TEST_CASE("reload: a wrong file changes nothing and says why, with its place") {
  ScriptedUpstream upstream;
  Pillion proxy(with_ttl(upstream.endpoint(), "ttl: 60s"));
  CHECK(caches(proxy));
  std::size_t from = proxy.process().err().size();
  write_file(proxy.config_file(), with_ttl(upstream.endpoint(), "ttl: soon"));
  proxy.process().signal(SIGHUP);
  std::string line = proxy.process().wait_for_err_line("proxy.yaml:", {}, from);
  CHECK(line.find("proxy.yaml:") != std::string::npos);
  CHECK(caches(proxy));
  from = proxy.process().err().size();
  write_file(proxy.config_file(), "listeners: [");
  proxy.process().signal(SIGHUP);
  proxy.process().wait_for_err_line("proxy.yaml:", {}, from);
  CHECK(caches(proxy));
  std::filesystem::remove(proxy.config_file());
  proxy.process().signal(SIGHUP);
  CHECK(caches(proxy));
  write_file(proxy.config_file(), with_ttl(upstream.endpoint(), "cache: off"));
  proxy.process().signal(SIGHUP);
  CHECK(eventually([&] { return !caches(proxy); }));
}

TEST_CASE("reload: POST /reload answers once the file is in force, or says all that is wrong with it") {
  ScriptedUpstream upstream;
  Pillion proxy(with_ttl(upstream.endpoint(), "cache: off"));
  const auto reload = [&] { return proxy.admin_post("/reload", "{}"); };
  Response answer = reload();
  CHECK(answer.status == 200);
  CHECK_FALSE(Json::parse(answer.body)["reloaded"].boolean);

  write_file(proxy.config_file(), with_ttl(upstream.endpoint(), "tll: 60s\n    nme: x"));
  answer = reload();
  CHECK(answer.status == 422);
  const Json wrong = Json::parse(answer.body);
  CHECK_FALSE(wrong["error"].string.empty());
  REQUIRE(wrong["errors"].array.size() >= 2);
  CHECK(wrong["errors"].array[0].string.starts_with(proxy.config_file() + ":"));
  CHECK(wrong["errors"].array[0].string.find("'ttl'") != std::string::npos);
  CHECK_FALSE(caches(proxy));

  write_file(proxy.config_file(), with_ttl(upstream.endpoint(), "ttl: 60s"));
  // The change may have been noticed before it was asked for.
  CHECK(reload().status == 200);
  CHECK(caches(proxy));
  CHECK(reload().status == 200);
}

TEST_CASE("reload: what it tightens binds what is stored already") {
  ScriptedUpstream upstream(numbered({}));
  Pillion proxy(with_ttl(upstream.endpoint(), "ttl: 60s"));
  CHECK(proxy.get("/").body == "1");
  CHECK(proxy.get("/").body == "1");
  write_file(proxy.config_file(), with_ttl(upstream.endpoint(), "freshness: origin"));
  proxy.process().signal(SIGHUP);
  CHECK(eventually([&] { return proxy.get("/").body != "1"; }));
}

TEST_CASE("drain: SIGTERM turns readiness, lets requests in flight finish, and ends with 0") {
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  upstream.answer("/slow", [&](Exchange& exchange) {
    exchange.write("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nearly");
    gate.wait();
    exchange.write(" late");
  });
  Pillion proxy(
      config_for(upstream.endpoint(),
                 "routes:\n  - name: r\n    path: /**\n    cache: off\ndrain: { delay: 1s, timeout: 20s }\n"));
  HttpClient slow = proxy.connect();
  slow.send_request("GET", "/slow");
  Response response = slow.read_head();
  CHECK(slow.read_body(5) == "early");
  proxy.process().signal(SIGTERM);
  CHECK(eventually([&] { return fetch(proxy.admin(), "GET", "/readyz").status == 503; }));
  CHECK(proxy.get("/still").status == 200);  // during the delay
  // After it nobody new is let in.
  CHECK(eventually([&] {
    try {
      HttpClient(proxy.client()).get("/late");
      return false;
    } catch (const std::exception&) {
      return true;
    }
  }));
  CHECK(proxy.process().running());
  gate.open();
  slow.finish(response);
  CHECK(response.body == " late");
  CHECK(response.complete);
  auto exit = proxy.process().wait();
  REQUIRE(exit.has_value());
  CHECK(exit->to_string() == "exit code 0");
}

TEST_CASE("drain: idle connections don't hold it up") {
  ScriptedUpstream upstream;
  Pillion proxy(with_ttl(upstream.endpoint(), "cache: off"));
  HttpClient idle = proxy.connect();
  CHECK(idle.get("/").status == 200);
  HttpClient unused = proxy.connect();
  proxy.process().signal(SIGTERM);
  auto exit = proxy.process().wait();
  REQUIRE(exit.has_value());
  CHECK(exit->to_string() == "exit code 0");
  CHECK(idle.closes());
}

TEST_CASE("drain: what doesn't finish is cut at the timeout, and the exit code says so") {
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  upstream.answer([&](Exchange&) { gate.wait(); });
  Pillion proxy(
      config_for(upstream.endpoint(),
                 "routes:\n  - name: r\n    path: /**\n    cache: off\ndrain: { delay: 0s, timeout: 500ms }\n"));
  HttpClient slow = proxy.connect();
  slow.send_request("GET", "/");
  REQUIRE(upstream.wait_for_requests(1));
  proxy.process().signal(SIGTERM);
  auto exit = proxy.process().wait();
  REQUIRE(exit.has_value());
  CHECK(exit->to_string() == "exit code 1");
}

TEST_CASE("drain: SIGINT skips the delay, and a second signal ends it at once") {
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  upstream.answer("/slow", [&](Exchange&) { gate.wait(); });
  std::string config =
      config_for(upstream.endpoint(),
                 "routes:\n  - name: r\n    path: /**\n    cache: off\ndrain: { delay: 60s, timeout: 60s }\n");
  {
    Pillion proxy(config);
    proxy.get("/");
    proxy.process().signal(SIGINT);
    auto exit = proxy.process().wait();
    REQUIRE(exit.has_value());
    CHECK(exit->to_string() == "exit code 0");
  }
  Pillion proxy(config);
  HttpClient slow = proxy.connect();
  slow.send_request("GET", "/slow");
  REQUIRE(upstream.wait_for_requests("/slow", 1));
  proxy.process().signal(SIGTERM);
  CHECK(eventually([&] { return fetch(proxy.admin(), "GET", "/readyz").status == 503; }));
  proxy.process().signal(SIGTERM);
  CHECK(proxy.process().wait().has_value());
}
