// The admin API: each request and each of its errors (product contract, section 5), metrics and the access log (7).
#include <regex>

#include "integration.hpp"

namespace {

std::string config(const Endpoint& upstream, std::string_view more = {}) {
  return config_for(upstream,
                    "routes:\n  - name: thing\n    path: /things/{id}\n    ttl: 60s\n    key: \"thing:{id}\"\n"
                    "    tags: [\"thing:{id}\"]\n  - name: rest\n    path: /**\n    cache: off\n" +
                        std::string(more));
}

void check_error(const Response& response, int status) {
  CHECK(response.status == status);
  CHECK(response["Content-Type"].starts_with("application/json"));
  try {
    CHECK_FALSE(Json::parse(response.body)["error"].string.empty());
  } catch (const std::runtime_error& e) {
    FAIL_CHECK(e.what());
  }
}

std::vector<Json> access_lines(const std::string& out) {
  std::vector<Json> lines;
  for (std::size_t at = 0; at < out.size();) {
    const auto end = out.find('\n', at);
    REQUIRE(end != std::string::npos);
    lines.push_back(Json::parse(out.substr(at, end - at)));
    at = end + 1;
  }
  return lines;
}

}  // namespace

TEST_CASE("admin: health and readiness") {
  ScriptedUpstream upstream;
  Pillion proxy(config(upstream.endpoint()));
  CHECK(proxy.admin_get("/healthz").status == 200);
  CHECK(proxy.admin_get("/readyz").status == 200);
  upstream.stop();
  CHECK(proxy.admin_get("/readyz").status == 200);
}

TEST_CASE("admin: the metrics' address has metrics and health alone") {
  ScriptedUpstream upstream;
  Pillion proxy(config(upstream.endpoint(), "metrics:\n  address: 127.0.0.1:0\n"));
  for (std::string target : {"/metrics", "/healthz", "/readyz"})
    CHECK(fetch(proxy.metrics(), "GET", target).status == 200);
  for (std::string target : {"/stats", "/config", "/explain?url=/"})
    CHECK(fetch(proxy.metrics(), "GET", target).status == 404);
  Response post =
      fetch(proxy.metrics(), "POST", "/invalidate", {{"Content-Type", "application/json"}}, R"({"all": true})");
  CHECK((post.status == 404 || post.status == 405));
}

TEST_CASE("admin: errors of every request are JSON with their status") {
  ScriptedUpstream upstream;
  Pillion proxy(config(upstream.endpoint()));
  check_error(proxy.admin_get("/nothing"), 404);
  check_error(proxy.admin_get("/invalidate"), 405);
  check_error(proxy.admin_post("/stats", "{}"), 405);
  check_error(proxy.admin_post("/invalidate", "tags=a", {{"Content-Type", "application/x-www-form-urlencoded"}}), 415);
  check_error(fetch(proxy.admin(), "POST", "/invalidate", {{"Content-Length", "2"}}, "{}"), 415);
  for (std::string body : {"{}", R"({"tags": []})", R"({"tags": [], "patterns": [], "urls": [], "all": false})",
                           "not json", "[]", "", R"({"tag": ["a"]})", R"({"tags": "a"})", R"({"tags": [1]})",
                           R"({"all": "yes"})", R"({"tags": ["a"], "wait": 5})", R"({"tags": ["a"], "wait": "soon"})",
                           R"({"tags": ["a"]} {"all": true})", R"({"tags": [""]})"}) {
    CAPTURE(body);
    check_error(proxy.admin_post("/invalidate", body), 400);
  }
  check_error(proxy.admin_get("/explain"), 400);
  CHECK(proxy.admin_post("/invalidate", R"({"tags": ["a"]})", {{"Content-Type", "application/json; charset=utf-8"}})
            .status == 200);
}

TEST_CASE("admin: a token is asked for everywhere but for health") {
  ScriptedUpstream upstream;
  TempDir folder;
  folder.write("token", "open-sesame\n");
  std::string text = config(upstream.endpoint());
  std::string admin = "admin:\n  address: 127.0.0.1:0\n";
  text.replace(text.find(admin), admin.size(), admin + "  token_file: " + (folder / "token") + "\n");
  Pillion proxy(text);
  CHECK(proxy.admin_get("/healthz").status == 200);
  CHECK(proxy.admin_get("/readyz").status == 200);
  Fields right{{"Authorization", "Bearer open-sesame"}};
  for (std::string target : {"/metrics", "/stats", "/config", "/explain?url=/things/1", "/nothing"}) {
    CAPTURE(target);
    check_error(proxy.admin_get(target), 401);
    check_error(proxy.admin_get(target, {{"Authorization", "Bearer open-sesam"}}), 401);
    check_error(proxy.admin_get(target, {{"Authorization", "Basic open-sesame"}}), 401);
    CHECK(proxy.admin_get(target, right).status == (std::string(target) == "/nothing" ? 404 : 200));
  }
  check_error(proxy.admin_post("/invalidate", R"({"all": true})"), 401);
  CHECK(proxy.admin_post("/invalidate", R"({"all": true})", right).status == 200);
  CHECK(proxy.admin_get("/config", right).body.find("sesame") == std::string::npos);
}

TEST_CASE("admin: off loopback a token is required") {
  Finished finished = [] {
    TempDir folder;
    std::string file =
        folder.write("proxy.yaml", "upstreams: { app: http://127.0.0.1:1 }\nadmin: { address: 0.0.0.0:0 }\n");
    return run_pillion({"check", "--config", file});
  }();
  CHECK(finished.exit.code == 2);
  CHECK(finished.err.find("token") != std::string::npos);
}

TEST_CASE("admin: metrics are Prometheus text with the promised names, and count") {
  ScriptedUpstream upstream;
  RedisServer redis;
  Pillion proxy(config(upstream.endpoint(), redis_store(redis.settings())));
  proxy.get("/things/1");
  proxy.get("/things/1");
  proxy.get("/other");
  CHECK(proxy.metric("pillion_store_entries{tier=\"memory\"}") == 1);  // what is invalidated is soon removed
  proxy.invalidate(R"({"tags": ["thing:1"]})");
  Response response = proxy.admin_get("/metrics");
  CHECK(response["Content-Type"].starts_with("text/plain"));
  for (std::string name : {"pillion_requests_total", "pillion_request_seconds_bucket", "pillion_upstream_seconds",
                           "pillion_store_bytes", "pillion_store_entries", "pillion_store_evictions_total",
                           "pillion_redis_seconds", "pillion_redis_up", "pillion_invalidations_total", "pillion_log_up",
                           "pillion_invalidation_lag_seconds", "pillion_connections", "pillion_build_info"}) {
    CAPTURE(name);
    CHECK(response.body.find(name) != std::string::npos);
  }
  // A request is counted once it is over, which its client may see a moment before.
  CHECK(eventually([&] { return proxy.metric("pillion_requests_total{route=\"thing\",result=\"miss\"}") == 1; }));
  CHECK(eventually([&] { return proxy.metric("pillion_requests_total{route=\"thing\",result=\"hit\"}") == 1; }));
  CHECK(eventually([&] { return proxy.metric("pillion_requests_total{route=\"rest\",result=\"pass\"}") == 1; }));
  CHECK(proxy.metric("pillion_redis_up") == 1);
  // Each line is a comment, or a name, perhaps labels, and a number.
  std::size_t at = 0;
  while (at < response.body.size()) {
    auto end = response.body.find('\n', at);
    REQUIRE(end != std::string::npos);
    std::string line = response.body.substr(at, end - at);
    at = end + 1;
    if (line.empty() || line.starts_with("#")) continue;
    CAPTURE(line);
    CHECK(line.starts_with("p"));
    char* rest = nullptr;
    std::string number = line.substr(line.rfind(' ') + 1);
    std::strtod(number.c_str(), &rest);
    CHECK(*rest == '\0');
  }
}

TEST_CASE("admin: stats add up, in total and by route") {
  ScriptedUpstream upstream;
  Pillion proxy(config(upstream.endpoint()));
  for (int i = 0; i < 3; ++i) proxy.get("/things/1");
  proxy.get("/elsewhere");
  Json stats;
  CHECK(eventually([&] {
    stats = Json::parse(proxy.admin_get("/stats").body);
    return stats["totals"]["requests"].number == 4;
  }));
  for (std::string name :
       {"requests", "hits", "stale", "revalidated", "misses", "bypassed", "errors", "collapsed", "bytes", "latency"}) {
    CAPTURE(name);
    CHECK(stats["totals"].has(name));
    CHECK(stats["routes"]["thing"].has(name));
  }
  CHECK(stats["routes"]["thing"]["requests"].number == 3);
  CHECK_FALSE(std::regex_search(proxy.admin_get("/stats").body, std::regex("[:,\\[]-?[0-9.]+[eE]")));  // plain decimals
  CHECK(stats["routes"]["thing"]["hits"]["memory"].number == 2);
}

TEST_CASE("admin: explain says what would happen and what is stored") {
  ScriptedUpstream upstream;
  Pillion proxy(config(upstream.endpoint(), "canonical_host: app.test\n"));
  Json before = Json::parse(proxy.admin_get("/explain?method=GET&url=/things/7").body);
  CHECK(before["route"].string == "thing");
  CHECK(before["cacheable"].boolean);
  CHECK(before["redis_key"].string.starts_with("thing:7:"));
  CHECK(before["tags"].contains("thing:7"));
  for (std::string name : {"upstream", "reason", "key", "ttl", "ttl_from", "invalidates", "stored"}) {
    CAPTURE(name);
    CHECK(before.has(name));
  }
  proxy.get("/things/7");
  Json after = Json::parse(proxy.admin_get("/explain?method=GET&url=/things/7").body);
  CHECK(after["stored"].type == Json::Type::object);
  Json other = Json::parse(proxy.admin_get("/explain?url=/elsewhere").body);
  CHECK_FALSE(other["cacheable"].boolean);
}

TEST_CASE("admin: config shows what is in force") {
  ScriptedUpstream upstream;
  Pillion proxy(config(upstream.endpoint()));
  Response response = proxy.admin_get("/config");
  CHECK(response.status == 200);
  CHECK_NOTHROW(Json::parse(response.body));
  CHECK(response.body.find("/things/{id}") != std::string::npos);
}

TEST_CASE("admin: the access log is one JSON object a line, whatever a client sends") {
  ScriptedUpstream upstream;
  Pillion proxy(config(upstream.endpoint()));
  HttpClient client = proxy.connect();  // one connection: its lines come in order
  client.get("/things/1");
  client.get("/things/1");
  client.get("/a\"b\\c?<>", {{"X-Request-Id", "id-1"}, {"User-Agent", "\"}, {\"status\": 999"}});
  proxy.process().wait_for_out_line("id-1");
  const std::vector<Json> lines = access_lines(proxy.process().out());
  REQUIRE(lines.size() == 3);
  for (std::string name : {"time", "method", "path", "route", "status", "result", "bytes", "duration"}) {
    bool found = false;
    for (const auto& [member, value] : lines[0].object) found = found || member.starts_with(name);
    CAPTURE(name);
    CHECK(found);
  }
  CHECK(lines[0]["result"].string == "miss");
  CHECK(lines[1]["result"].string == "hit");
  CHECK(lines[1]["route"].string == "thing");
  CHECK(lines[2]["status"].number == 200);
  CHECK(lines[2]["path"].string.starts_with("/a\"b\\c"));
}

TEST_CASE("admin: the access log tells of a head that was refused before it was read") {
  const auto begun = Clock::now();
  ScriptedUpstream upstream;
  Pillion proxy(config(upstream.endpoint()));
  HttpClient first = proxy.connect(), second = proxy.connect();
  for (int i = 0; i < 2; ++i) CHECK(second.get("/things/1").status == 200);
  for (HttpClient* client : {&first, &second}) {
    client->send(request_bytes("GET", "/large", {{"X", std::string(33u << 10, 'x')}}));
    CHECK(client->read_response().status == 431);
    CHECK(client->closes());
  }
  CHECK(proxy.get("/things/1", {{"X-Request-Id", "id-1"}}).status == 200);
  proxy.process().wait_for_out_line("id-1");
  const double elapsed = std::chrono::duration<double, std::milli>(Clock::now() - begun).count();
  int refused = 0;
  for (const Json& line : access_lines(proxy.process().out())) {
    if (line["status"].number != 431) continue;
    ++refused;
    CHECK(line["method"].string.empty());
    CHECK(line["path"].string.empty());
    CHECK(line["result"].string == "error");
    CHECK(line["duration_ms"].number <= elapsed);
  }
  CHECK(refused == 2);
}

TEST_CASE("admin: the access log can be off or of errors alone") {
  ScriptedUpstream upstream;
  upstream.answer("/bad", [](Exchange& exchange) { exchange.respond(500); });
  {
    Pillion proxy(config(upstream.endpoint(), "log: { access: off }\n"));
    proxy.get("/things/1");
    proxy.process().signal(15);
    CHECK(proxy.process().wait().has_value());
    CHECK(proxy.process().out().empty());
  }
  Pillion proxy(config(upstream.endpoint(), "log: { access: errors }\n"));
  proxy.get("/things/1");
  proxy.get("/bad");
  proxy.process().wait_for_out_line("/bad");
  CHECK(proxy.process().out().find("/things/1") == std::string::npos);
}
