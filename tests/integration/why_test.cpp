// What was decided for recent requests, and the switch that stops caching for a while: GET /recent, `pillion why`,
// POST /bypass (product contract, sections 1 and 5).
#include "integration.hpp"

namespace {

std::string config(const Endpoint& upstream, std::string_view more = {}) {
  return config_for(upstream,
                    "routes:\n  - name: thing\n    path: /things/{id}\n    ttl: 60s\n    key: \"thing:{id}\"\n"
                    "    tags: [\"thing:{id}\"]\n    invalidate:\n      - tags: [things]\n"
                    "  - name: rest\n    path: /**\n    cache: off\n" +
                        std::string(more));
}

std::vector<Json> recent(Pillion& proxy, std::string_view query = {}) {
  Response response = proxy.admin_get("/recent" + std::string(query));
  REQUIRE(response.status == 200);
  return Json::parse(response.body)["decisions"].array;
}

/// The one of that request, which is there a moment after its answer.
Json decision_of(Pillion& proxy, const std::string& id) {
  std::vector<Json> found;
  CHECK(eventually([&] {
    found = recent(proxy, "?id=" + id);
    return !found.empty();
  }));
  return found.empty() ? Json() : found[0];
}

/// `step:reason` of each.
std::string steps(const Json& decision) {
  std::string all;
  for (const Json& step : decision["steps"].array) {
    if (!all.empty()) all += " ";
    all += step["step"].string + ":" + step["reason"].string;
  }
  return all;
}

std::string redis_step(std::string_view reason) {
  return stores_under_test() == Stores::memory ? std::string() : " redis:" + std::string(reason);
}

}  // namespace

TEST_CASE("why: a miss, a hit and a write are told step by step") {
  ScriptedUpstream upstream;
  upstream.answer([](Exchange& exchange) {
    exchange.read_body();
    exchange.respond(exchange.request().method == "GET" ? 200 : 204, {}, exchange.request().method == "GET" ? "x" : "");
  });
  Pillion proxy(config(upstream.endpoint()));
  proxy.get("/things/1?a=b", {{"X-Request-Id", "first"}});
  proxy.get("/things/1?a=b", {{"X-Request-Id", "second"}});
  proxy.request("PUT", "/things/1", {{"X-Request-Id", "third"}});
  proxy.get("/other", {{"X-Request-Id", "fourth"}});
  const Json all[] = {decision_of(proxy, "fourth"), decision_of(proxy, "third"), decision_of(proxy, "second"),
                      decision_of(proxy, "first")};
  CHECK(all[0]["route"].string == "rest");
  CHECK(all[0]["result"].string == "pass");
  CHECK(all[0]["key"].type == Json::Type::null);
  CHECK(steps(all[0]) == "route:rest look-up:cache-off upstream:bypass answer:pass");

  CHECK(all[1]["method"].string == "PUT");
  CHECK(steps(all[1]) == "route:thing look-up:method upstream:method invalidate:unsafe answer:pass");
  CHECK(all[1]["steps"].array[3]["text"].string.find("tag things") != std::string::npos);
  CHECK(all[1]["steps"].array[3]["text"].string.find("path /things/1") != std::string::npos);

  CHECK(all[2]["result"].string == "hit");
  CHECK(all[2]["path"].string == "/things/1?a=b");
  CHECK(all[2]["status"].number == 200);
  CHECK(all[2]["bytes"].number == 1);
  CHECK(steps(all[2]) ==
        (first_tier() == "memory" ? "route:thing memory:fresh answer:hit" : "route:thing redis:fresh answer:hit"));

  CHECK(all[3]["result"].string == "miss");
  const std::string memory = first_tier() == "memory" ? " memory:nothing" : "";
  CHECK(steps(all[3]) ==
        "route:thing" + memory + redis_step("nothing") + " upstream:uri-miss store:stored answer:miss");
  // One key for both, and it is the one that explain names.
  const std::string key =
      Json::parse(proxy.admin_get("/explain?url=http://app.test/things/1%3Fa=b").body)["redis_key"].string;
  CHECK(all[2]["key"].string == key);
  CHECK(all[3]["key"].string == key);
  CHECK(key.starts_with("thing:1:"));
}

TEST_CASE("why: what wasn't stored says why, and so does what wasn't used") {
  ScriptedUpstream upstream;
  upstream.answer("/things/no", numbered(caching("no-store")));
  upstream.answer("/things/cookie", numbered({{"Set-Cookie", "a=b"}}));
  upstream.answer("/things/gone", numbered(caching("max-age=60")));
  Pillion proxy(config(upstream.endpoint()));
  proxy.get("/things/no", {{"X-Request-Id", "no"}});
  CHECK(steps(decision_of(proxy, "no")).find("store:no-store answer:miss") != std::string::npos);
  proxy.get("/things/cookie", {{"X-Request-Id", "cookie"}});
  CHECK(steps(decision_of(proxy, "cookie")).find("store:set-cookie answer:miss") != std::string::npos);
  proxy.get("/things/gone");
  proxy.invalidate(R"({"tags": ["thing:gone"]})");
  proxy.get("/things/gone", {{"X-Request-Id", "gone"}});
  if (first_tier() == "memory")
    CHECK(steps(decision_of(proxy, "gone")).find("memory:invalidated") != std::string::npos);
}

TEST_CASE("why: an application that fails is told, and so is a request that is refused") {
  ScriptedUpstream upstream;
  upstream.answer([](Exchange& exchange) { exchange.reset(); });
  Pillion proxy(config(upstream.endpoint()));
  CHECK(proxy.get("/things/1").status == 502);
  std::vector<Json> all;
  REQUIRE(eventually([&] {
    all = recent(proxy, "?result=error");
    return all.size() == 1;
  }));
  CHECK(steps(all[0]).find("upstream:connection-reset answer:error") != std::string::npos);
  HttpClient client = proxy.connect();
  client.send("GET /a b HTTP/1.1\r\nHost: h\r\n\r\n");
  client.read_response("GET");
  CHECK(eventually([&] { return recent(proxy, "?result=error").size() == 2; }));
}

TEST_CASE("why: the list can be narrowed by path, result, id and number") {
  ScriptedUpstream upstream(cacheable("x"));
  Pillion proxy(config(upstream.endpoint()));
  for (int i = 0; i < 3; ++i)
    proxy.get("/things/1?page=" + std::to_string(i), {{"X-Request-Id", "r" + std::to_string(i)}});
  proxy.get("/things/1?page=0");
  proxy.get("/things/2");
  CHECK(eventually([&] { return recent(proxy).size() == 5; }));
  CHECK(recent(proxy, "?limit=2").size() == 2);
  CHECK(recent(proxy, "?path=/things/1").size() == 4);
  CHECK(recent(proxy, "?path=/things/1%3Fpage=0").size() == 2);
  CHECK(recent(proxy, "?path=/things").empty());
  CHECK(recent(proxy, "?result=hit").size() == 1);
  CHECK(recent(proxy, "?id=r2").size() == 1);
  CHECK(recent(proxy, "?id=r2")[0]["path"].string == "/things/1?page=2");
  for (std::string query : {"?limit=0", "?limit=1001", "?limit=x", "?path=things", "?result=good", "?id=", "?color=red",
                            "?limit=1&limit=2", "?path=%zz"}) {
    CAPTURE(query);
    CHECK(proxy.admin_get("/recent" + query).status == 400);
  }
}

TEST_CASE("why: a thousand requests on several workers are remembered, and no more") {
  ScriptedUpstream upstream(cacheable("x"));
  Pillion proxy(config(upstream.endpoint()));
  std::vector<HttpClient> clients;
  for (int i = 0; i < 3; ++i) clients.push_back(proxy.connect());
  proxy.get("/things/oldest");
  for (int i = 0; i < 1100; ++i) clients[static_cast<std::size_t>(i % 3)].get("/things/1");
  const std::vector<Json> all = recent(proxy, "?limit=1000");
  CHECK(all.size() == 1000);
  for (const Json& decision : all) CHECK(decision["path"].string == "/things/1");
}

TEST_CASE("why: long targets and strange bytes stay bounded JSON") {
  ScriptedUpstream upstream(cacheable("x"));
  Pillion proxy(config(upstream.endpoint()));
  const std::string target = "/things/" + std::string(3000, 'x');
  proxy.get(target);
  proxy.get(target);
  proxy.get("/things/\x80\xff\"");
  const std::vector<Json> all = recent(proxy);
  REQUIRE(all.size() >= 2);
  for (const Json& decision : all) CHECK(decision["path"].string.size() <= 1000);
}

TEST_CASE("why: the command finds a request by its id and by its path") {
  ScriptedUpstream upstream(cacheable("x"));
  Pillion proxy(config(upstream.endpoint()));
  HttpClient client = proxy.connect();  // on one connection one is remembered before the next is read
  client.get("/things/1", {{"X-Request-Id", "abc-1"}});
  client.get("/things/1", {{"X-Request-Id", "abc-2"}});
  const std::string admin = "http://" + proxy.admin().to_string();
  Finished by_id = run_pillion({"why", "--admin", admin, "abc-1"});
  CHECK(by_id.exit.code == 0);
  CHECK(by_id.out.find("GET /things/1") != std::string::npos);
  CHECK(by_id.out.find("route thing") != std::string::npos);
  CHECK(by_id.out.find("asked the application, which answered 200") != std::string::npos);
  CHECK(by_id.out.find("stored the answer") != std::string::npos);
  Finished by_path = run_pillion({"why", "--admin", admin, "/things/1"});
  CHECK(by_path.exit.code == 0);
  CHECK(by_path.out.find("request abc-2") != std::string::npos);
  CHECK(by_path.out.find("abc-1") == std::string::npos);
  Finished json = run_pillion({"why", "--admin", admin, "--json", "--limit", "5", "/things/1"});
  CHECK(Json::parse(json.out)["decisions"].array.size() == 2);
  Finished nothing = run_pillion({"why", "--admin", admin, "/nowhere"});
  CHECK(nothing.exit.code == 1);
  CHECK(nothing.out.empty());
  CHECK(nothing.err.find("none of the last 1,000 requests") != std::string::npos);
  CHECK(run_pillion({"why", "--admin", admin}).exit.code == 2);
}

TEST_CASE("why: the id that was made for a request is the one in the log and at the application") {
  ScriptedUpstream upstream(cacheable("x"));
  Pillion proxy(config(upstream.endpoint()));
  proxy.get("/things/1");
  const std::string sent = upstream.requests().at(0).fields["X-Request-Id"];
  CHECK(decision_of(proxy, sent)["path"].string == "/things/1");
}

TEST_CASE("bypass: one route goes past the cache for a while, its writes invalidate, and then it is as before") {
  ScriptedUpstream upstream(numbered(caching("max-age=60")));
  Pillion proxy(config(upstream.endpoint()));
  proxy.get("/things/1");
  CHECK(outcome(proxy.get("/things/1")) == "hit");
  Response on = proxy.admin_post("/bypass", R"({"route": "thing", "for": "10m"})");
  CHECK(on.status == 200);
  CHECK(Json::parse(on.body)["bypass"].array.at(0)["route"].string == "thing");
  Response past = proxy.get("/things/1");
  CHECK(detailed(past) == "bypass switched-off");
  CHECK(past.body == "2");
  CHECK(detailed(proxy.get("/things/2")) == "bypass switched-off");
  CHECK(proxy.metric("pillion_bypass{route=\"thing\"}") == 1);
  CHECK(eventually([&] { return proxy.metric("pillion_requests_total{route=\"thing\",result=\"bypass\"}") == 2; }));
  const Json stats = Json::parse(proxy.admin_get("/stats").body);
  REQUIRE(stats["bypass"].array.size() == 1);
  CHECK(stats["bypass"].array[0]["left_seconds"].number > 500);
  proxy.get("/things/1", {{"X-Request-Id", "past"}});
  CHECK(steps(decision_of(proxy, "past")).find("look-up:switched-off") != std::string::npos);

  CHECK(proxy.admin_post("/bypass", R"({"route": "thing", "for": "0s"})").status == 200);
  CHECK(proxy.get("/things/1").body == "1");  // what was stored is there still
  CHECK(outcome(proxy.get("/things/2")) != "hit");

  proxy.admin_post("/bypass", R"({"for": "10m"})");
  proxy.request("PUT", "/things/1", {}, "x");
  CHECK(proxy.metric("pillion_bypass{route=\"*\"}") == 1);
  proxy.admin_post("/bypass", R"({"for": "0s"})");
  CHECK(outcome(proxy.get("/things/1")) != "hit");
}

TEST_CASE("bypass: it ends by itself") {
  ScriptedUpstream upstream(numbered(caching("max-age=60")));
  Pillion proxy(config(upstream.endpoint()));
  proxy.get("/things/1");
  CHECK(proxy.admin_post("/bypass", R"({"for": "100ms"})").status == 200);
  CHECK(eventually([&] { return outcome(proxy.get("/things/1")) == "hit"; }));
  CHECK(proxy.metric("pillion_bypass{") == 0);
}

TEST_CASE("bypass: what isn't understood is refused, and changes nothing") {
  ScriptedUpstream upstream(cacheable("x"));
  Pillion proxy(config(upstream.endpoint()));
  for (std::string body : {"", "[]", "{}", R"({"route": "thing"})", R"({"route": "nothing", "for": "1m"})",
                           R"({"route": "", "for": "1m"})", R"({"for": 5})", R"({"for": "25h"})", R"({"for": "soon"})",
                           R"({"for": "1m", "why": "x"})"}) {
    CAPTURE(body);
    CHECK(proxy.admin_post("/bypass", body).status == 400);
  }
  CHECK(proxy.admin_get("/bypass").status == 405);
  proxy.get("/things/1");
  CHECK(outcome(proxy.get("/things/1")) == "hit");
}
