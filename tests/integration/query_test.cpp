// The query cache (product contract, section 6): each row of its table, with memory alone, Redis alone and both; what
// is refused; what its values are called and how long they last.
#include "query.hpp"

#include <sys/stat.h>

#include <csignal>

#include "integration.hpp"

namespace {

/// One replica in each of the three ways to store.
template <class Test>
void each_store(Test test, const std::string& settings = std::string(query_settings)) {
  for (const Stores stores : {Stores::memory, Stores::redis, Stores::both}) {
    CAPTURE(to_string(stores));
    RedisServer redis;
    ScriptedUpstream upstream;
    std::string store = "store:\n  memory: { size: 8MiB }\n";
    if (stores != Stores::memory)
      store = redis_store(redis.settings(), stores == Stores::redis ? "off" : "{ size: 8MiB }");
    Pillion proxy(config_for(upstream.endpoint(), settings + store));
    test(proxy, stores == Stores::redis ? "redis" : "memory");
  }
}

/// One replica in this run's way to store.
Pillion& alone(std::optional<Pillion>& proxy, ScriptedUpstream& upstream,
               const std::string& settings = std::string(query_settings)) {
  return proxy.emplace(config_for(upstream.endpoint(), settings));
}

}  // namespace

TEST_CASE("query: a missing value is leased to one caller, who stores it, and is found") {
  each_store([](Pillion& proxy, const std::string& tier) {
    const Response missing = proxy.query("GET", "/query/character/42");
    CHECK(missing.status == 404);
    REQUIRE(missing.fields.has("Lease"));
    CHECK(outcome(missing) == "uri-miss");
    const Response stored = proxy.query(
        "PUT", "/query/character/42", {{"Lease", missing["Lease"]}, {"Content-Type", "application/json"}}, "{\"a\":1}");
    CHECK(stored.status == 204);
    const Response found = proxy.query("GET", "/query/character/42");
    CHECK(found.status == 200);
    CHECK(found.body == "{\"a\":1}");
    CHECK(found["Content-Type"] == "application/json");
    CHECK(std::stoi(found["Age"]) >= 0);
    CHECK(detailed(found) == "hit " + tier);
    CHECK(cache_status(found).ttl.value() > 3000);
    CHECK(proxy.query("HEAD", "/query/character/42").status == 200);
    CHECK(proxy.query("HEAD", "/query/character/43").status == 404);
    CHECK_FALSE(proxy.query("HEAD", "/query/character/43").fields.has("Lease"));
  });
}

TEST_CASE("query: who comes while a value is loaded waits for it, for so long, or not at all") {
  each_store([](Pillion& proxy, const std::string&) {
    const std::string lease = lease_of(proxy, "/query/character/1");
    QueryAsking waiting(proxy, "/query/character/1?wait=30s"), usual(proxy, "/query/character/1");
    for (const char* wait : {"0s", "10ms"}) {
      const Response other = proxy.query("GET", "/query/character/1?wait=" + std::string(wait));
      CHECK(other.status == 404);
      CHECK_FALSE(other.fields.has("Lease"));
    }
    CHECK(proxy.query("PUT", "/query/character/1", {{"Lease", lease}}, "v").status == 204);
    const Response answer = waiting.answer();
    CHECK(answer.status == 200);
    CHECK(answer.body == "v");
    CHECK(answer["Content-Type"] == "application/octet-stream");
    const Response sooner = usual.answer();  // unless its second was over
    if (sooner.status != 200) CHECK_FALSE(sooner.fields.has("Lease"));
  });
}

TEST_CASE("query: who has waited for a value is counted, wherever the value stands") {
  each_store([](Pillion& proxy, const std::string&) {
    int asked = 0;
    // Who comes when the value is there already hasn't waited: then another value.
    CHECK(eventually([&] {
      const std::string target = "/query/character/" + std::to_string(++asked);
      const std::string lease = lease_of(proxy, target);
      QueryAsking waiting(proxy, target + "?wait=30s");
      CHECK(proxy.query("PUT", target, {{"Lease", lease}}, "v").status == 204);
      CHECK(waiting.answer().body == "v");
      return proxy.metric("pillion_collapsed_total{route=\"query:character\"}") >= 1;
    }));
  });
}

TEST_CASE("query: a lease that is unknown, another's, used or over stores nothing") {
  each_store(
      [](Pillion& proxy, const std::string&) {
        const std::string lease = lease_of(proxy, "/query/character/1");
        for (const std::string& wrong :
             {std::string("x"), std::string(), lease + "0", std::string("1-2-3"), std::string(5000, 'a')})
          CHECK(proxy.query("PUT", "/query/character/1", {{"Lease", wrong}}, "v").status == 409);
        CHECK(proxy.query("PUT", "/query/character/2", {{"Lease", lease}}, "v").status == 409);
        // Its time is over when somebody else gets it.
        const Response next = proxy.query("GET", "/query/character/1?wait=30s");
        REQUIRE(next.fields.has("Lease"));
        CHECK(proxy.query("PUT", "/query/character/1", {{"Lease", lease}}, "old").status == 409);
        CHECK(proxy.query("PUT", "/query/character/1", {{"Lease", next["Lease"]}}, "new").status == 204);
        CHECK(proxy.query("PUT", "/query/character/1", {{"Lease", next["Lease"]}}, "again").status == 409);
        CHECK(proxy.query("GET", "/query/character/1").body == "new");
        CHECK(proxy.query("GET", "/query/character/2").status == 404);
      },
      "query_cache: { address: 127.0.0.1:0, lease: 500ms }\nttl: { character: 1h }\n");
}

TEST_CASE("query: a value without a lease is a write: it takes the place of what is stored and voids what is loaded") {
  each_store([](Pillion& proxy, const std::string&) {
    CHECK(proxy.query("PUT", "/query/character/1", {}, "first").status == 204);
    CHECK(proxy.query("GET", "/query/character/1").body == "first");
    CHECK(proxy.query("PUT", "/query/character/1", {}, "second").status == 204);
    CHECK(proxy.query("GET", "/query/character/1").body == "second");
    const std::string lease = lease_of(proxy, "/query/character/2");
    QueryAsking waiting(proxy, "/query/character/2?wait=30s");
    CHECK(proxy.query("PUT", "/query/character/2", {}, "written").status == 204);
    CHECK(waiting.answer().body == "written");
    CHECK(proxy.query("PUT", "/query/character/2", {{"Lease", lease}}, "loaded").status == 409);
    CHECK(proxy.query("GET", "/query/character/2").body == "written");
  });
}

TEST_CASE("query: a value is deleted, or all of a type, and no responses with it") {
  const std::string settings = std::string(query_settings) +
                               "routes:\n  - name: all\n    path: /**\n    ttl: 1h\n    tags: [\"character:1\"]\n"
                               "    key: character\n";
  each_store(
      [](Pillion& proxy, const std::string&) {
        for (const char* id : {"character/1", "character/2", "list/1"})
          CHECK(proxy.query("PUT", "/query/" + std::string(id), {}, "v").status == 204);
        proxy.get("/page");
        CHECK(proxy.query("DELETE", "/query/character/1").status == 204);
        CHECK(proxy.query("GET", "/query/character/1").status == 404);
        CHECK(proxy.query("GET", "/query/character/2").status == 200);
        CHECK(proxy.query("DELETE", "/query/character").status == 204);
        CHECK(proxy.query("GET", "/query/character/2").status == 404);
        CHECK(proxy.query("GET", "/query/list/1").status == 200);
        CHECK(cache_status(proxy.get("/page")).hit);
        // What names the tag that a value has by itself concerns both.
        CHECK(proxy.query("PUT", "/query/character/1", {}, "v").status == 204);
        proxy.invalidate(R"({"tags": ["character:1"]})");
        CHECK(proxy.query("GET", "/query/character/1").status == 404);
        CHECK_FALSE(cache_status(proxy.get("/page")).hit);
      },
      settings);
}

TEST_CASE("query: what invalidates responses invalidates values, and the leases of those being loaded") {
  ScriptedUpstream upstream;
  std::optional<Pillion> holder;
  Pillion& proxy = alone(
      holder, upstream,
      std::string(query_settings) +
          "routes:\n  - name: write\n    path: /write/{id}\n    invalidate:\n      - tags: [\"character:{id}\"]\n");
  upstream.answer([](Exchange& exchange) { exchange.respond(200, {}, ""); });
  const std::pair<const char*, std::string> rows[] = {{"tag", R"({"tags": ["character:1"]})"},
                                                      {"added tag", R"({"tags": ["more"]})"},
                                                      {"pattern", R"({"patterns": ["char*:?"]})"},
                                                      {"all", R"({"all": true})"},
                                                      {"soft", R"({"tags": ["character:1"], "soft": true})"},
                                                      {"write", ""}};
  for (const auto& [name, selector] : rows) {
    CAPTURE(name);
    const auto invalidate = [&] {
      if (selector.empty()) {
        proxy.request("POST", "/write/1");
      } else {
        proxy.invalidate(selector);
      }
    };
    const Fields tags{{"Cache-Tag", "some, more"}};
    CHECK(proxy.query("PUT", "/query/character/1", tags, "v").status == 204);
    CHECK(proxy.query("GET", "/query/character/1").status == 200);
    invalidate();
    const std::string lease = lease_of(proxy, "/query/character/1");
    invalidate();
    Fields with_lease = tags;
    with_lease.add("Lease", lease);
    CHECK(proxy.query("PUT", "/query/character/1", with_lease, "old").status == 409);
    const std::string next = lease_of(proxy, "/query/character/1");
    CHECK(proxy.query("PUT", "/query/character/1", {{"Lease", next}}, "new").status == 204);
    CHECK(proxy.query("GET", "/query/character/1").body == "new");
  }
  const Json receipt = proxy.invalidate(R"({"patterns": ["character:*"], "dry_run": true})");
  if (stores_under_test() != Stores::redis) CHECK(receipt["matched"].number == 1);
}

TEST_CASE("query: nobody waits for a value that was invalidated while it is loaded") {
  each_store([](Pillion& proxy, const std::string&) {
    const std::string old = lease_of(proxy, "/query/character/1");
    QueryAsking waiting(proxy, "/query/character/1?wait=30s");
    CHECK(proxy.query("DELETE", "/query/character/1").status == 204);
    const Response next = waiting.answer();  // or, where it wasn't waiting yet, it found the lease void
    REQUIRE(next.fields.has("Lease"));
    CHECK(proxy.query("PUT", "/query/character/1", {{"Lease", old}}, "old").status == 409);
    Response put = proxy.query("PUT", "/query/character/1", {{"Lease", next["Lease"]}}, "new");
    if (put.status == 409) {  // given while the invalidation was on its way to Redis: that voids it too
      const std::string after = lease_of(proxy, "/query/character/1");
      put = proxy.query("PUT", "/query/character/1", {{"Lease", after}}, "new");
    }
    CHECK(put.status == 204);
    CHECK(proxy.query("GET", "/query/character/1").body == "new");
  });
}

TEST_CASE("query: a value lives as long as its type says, or it itself") {
  each_store([](Pillion& proxy, const std::string&) {
    CHECK(proxy.query("PUT", "/query/brief/1", {}, "v").status == 204);
    CHECK(proxy.query("PUT", "/query/brief/2", {{"Cache-Control", "max-age=3600"}}, "v").status == 204);
    CHECK(proxy.query("PUT", "/query/character/1", {{"Cache-Control", "max-age=1"}}, "v").status == 204);
    CHECK(eventually([&] { return proxy.query("HEAD", "/query/brief/1").status == 404; }));
    CHECK(eventually([&] { return proxy.query("HEAD", "/query/character/1").status == 404; }));
    CHECK(cache_status(proxy.query("GET", "/query/brief/2")).ttl.value() > 3000);
    // Given up: nothing is stored, and whoever waits loads it.
    const std::string lease = lease_of(proxy, "/query/character/2");
    QueryAsking waiting(proxy, "/query/character/2?wait=30s");
    CHECK(proxy.query("PUT", "/query/character/2", {{"Lease", lease}, {"Cache-Control", "max-age=0"}}, "").status ==
          204);
    CHECK(waiting.answer().fields.has("Lease"));
  });
}

TEST_CASE("query: a value larger than max_object is not taken, and nobody waits for one afterwards") {
  ScriptedUpstream upstream;
  Pillion proxy(config_for(upstream.endpoint(),
                           std::string(query_settings) + "store:\n  memory: { size: 8MiB, max_object: 64KiB }\n"));
  CHECK(proxy.query("PUT", "/query/character/0", {}, std::string(63 << 10, 'x')).status == 204);
  CHECK(proxy.query("GET", "/query/character/0").body.size() == 63 << 10);
  const std::string lease = lease_of(proxy, "/query/character/1");
  QueryAsking waiting(proxy, "/query/character/1?wait=30s");
  const std::string large((64 << 10) + 1, 'x');
  CHECK(proxy.query("PUT", "/query/character/1", {{"Lease", lease}}, large).status == 413);
  CHECK_FALSE(waiting.answer().fields.has("Lease"));
  const Response next = proxy.query("GET", "/query/character/1?wait=30s");
  CHECK(next.status == 404);
  CHECK_FALSE(next.fields.has("Lease"));
  HttpClient chunked(proxy.queries());
  chunked.send("PUT /query/character/2 HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" +
               chunk(large) + last_chunk());
  CHECK(chunked.read_response("PUT").status == 413);
  HttpClient expecting(proxy.queries());
  expecting.send(
      "PUT /query/character/3 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n");
  CHECK(expecting.stream().read_until("\r\n\r\n").starts_with("HTTP/1.1 100 "));
  expecting.send("v");
  CHECK(expecting.read_response("PUT").status == 204);
}

TEST_CASE("query: what the contract doesn't name is refused, and says what is right") {
  struct {
    const char *method, *target;
    int status;
    const char* allow;
  } const rows[] = {{"GET", "/query/charakter/1", 400, ""},
                    {"PUT", "/query/charakter/1", 400, ""},
                    {"DELETE", "/query/charakter/1", 400, ""},
                    {"DELETE", "/query/charakter", 400, ""},
                    {"GET", "/query/character/1?wait=2h", 400, ""},
                    {"GET", "/query/character/1?wait=1", 400, ""},
                    {"GET", "/query/character/1?x=1", 400, ""},
                    {"DELETE", "/query/character/1?soft=1", 400, ""},
                    {"GET", "/query/character", 405, "DELETE"},
                    {"PUT", "/query/character", 405, "DELETE"},
                    {"POST", "/query/character/1", 405, "GET, HEAD, PUT, DELETE"},
                    {"OPTIONS", "/query/character/1", 405, "GET, HEAD, PUT, DELETE"},
                    {"GET", "/query/character/", 404, ""},
                    {"GET", "/query/character/1/2", 404, ""},
                    {"GET", "/", 404, ""},
                    {"DELETE", "/query/", 404, ""}};
  ScriptedUpstream upstream;
  std::optional<Pillion> holder;
  Pillion& proxy = alone(holder, upstream);
  for (const auto& row : rows) {
    CAPTURE(row.method);
    CAPTURE(row.target);
    const Response refused = proxy.query(row.method, row.target);
    CHECK(refused.status == row.status);
    CHECK_FALSE(refused.fields.has("Lease"));
    CHECK(refused["Allow"] == row.allow);
    CHECK(refused["Content-Type"] == "application/problem+json");
  }
  std::string tags = "t";
  for (int i = 0; i < 1000; ++i) tags += ",t" + std::to_string(i);
  CHECK(proxy.query("PUT", "/query/character/1", {{"Cache-Tag", tags}}, "v").status == 400);
  CHECK(proxy.query("GET", "/query/character/1").fields.has("Lease"));
  CHECK(upstream.count() == 0);
}

TEST_CASE("query: what a web page may have sent is refused, and takes no lease") {
  ScriptedUpstream upstream;
  std::optional<Pillion> holder;
  Pillion& proxy = alone(holder, upstream);
  const Fields pages[] = {
      {{"Origin", "http://evil.example"}}, {{"Origin", "null"}},
      {{"Sec-Fetch-Site", "cross-site"}},  {{"Sec-Fetch-Site", "none"}},
      {{"Host", "evil.example"}},          {{"Host", "127.0.0.1.evil.example:9902"}},
      {{"Host", "127.evil.example"}},      {{"Host", "localhost.evil.example"}},
      {{"Host", "192.168.0.1"}},           {{"Host", "evil.example"}, {"X-Forwarded-Host", "localhost"}}};
  for (const Fields& page : pages) {
    CAPTURE(page.to_string());
    for (const char* method : {"GET", "PUT", "DELETE"})
      CHECK(proxy.query(method, "/query/character/1", page).status == 403);
  }
  const std::string lease = lease_of(proxy, "/query/character/1");
  CHECK(proxy.query("PUT", "/query/character/1", {{"Lease", lease}}, "v").status == 204);
  for (const char* page : {"Origin", "Sec-Fetch-Site"})
    CHECK(proxy.query("GET", "/query/character/1", {{page, "x"}}).status == 403);
  for (const char* host : {"localhost", "LocalHost:80", "127.0.0.1", "127.1.2.3:9902", "[::1]", "[::1]:9902"}) {
    CAPTURE(host);
    CHECK(proxy.query("GET", "/query/character/1", {{"Host", host}}).status == 200);
  }
}

TEST_CASE("query: on a Unix socket with its mode, whatever the Host") {
  ScriptedUpstream upstream;
  TempDir folder;
  const std::string path = folder / "query.sock";
  Pillion proxy(config_for(upstream.endpoint(), "query_cache: { address: \"unix:" + path +
                                                    "\", mode: \"0600\" }\nttl: { character: 1h }\n"));
  struct stat file{};
  REQUIRE(::stat(path.c_str(), &file) == 0);
  CHECK((file.st_mode & 0777) == 0600);
  CHECK(proxy.query("PUT", "/query/character/1", {{"Host", "pillion"}}, "v").status == 204);
  CHECK(proxy.query("GET", "/query/character/1", {{"Host", "pillion"}}).body == "v");
  CHECK(proxy.query("GET", "/query/character/1", {{"Origin", "http://h"}}).status == 403);
}

TEST_CASE("query: figures and access log call a type query:TYPE") {
  ScriptedUpstream upstream;
  std::optional<Pillion> holder;
  Pillion& proxy = alone(holder, upstream);
  const std::string lease = lease_of(proxy, "/query/character/1");
  CHECK(proxy.query("PUT", "/query/character/1", {{"Lease", lease}}, "v").status == 204);
  CHECK(proxy.query("GET", "/query/character/1", {{"X-Request-Id", "mine"}}).status == 200);
  CHECK(proxy.query("GET", "/query/nothing/1").status == 400);
  const Json line = Json::parse(proxy.process().wait_for_out_line("\"mine\""));
  CHECK(line["route"].string == "query:character");
  CHECK(line["result"].string == "hit");
  CHECK(line["path"].string == "/query/character/1");
  const std::pair<const char*, const char*> rows[] = {
      {"query:character", "miss"}, {"query:character", "pass"}, {"query:character", "hit"}, {"query:-", "error"}};
  for (const auto& [route, result] : rows) {
    CAPTURE(result);
    CHECK(proxy.metric("pillion_requests_total{route=\"" + std::string(route) + "\",result=\"" + result + "\"}") == 1);
  }
  const Json stats = Json::parse(proxy.admin_get("/stats").body);
  CHECK(stats["routes"]["query:character"]["requests"].number == 3);
}

TEST_CASE("query: a caller who left is waited for by nobody, and gets no lease") {
  each_store([](Pillion& proxy, const std::string&) {
    const auto connections = [&] { return proxy.metric("pillion_connections{side=\"client\"}"); };
    const std::string lease = lease_of(proxy, "/query/character/1");
    REQUIRE(eventually([&] { return connections() == 0; }));
    {
      QueryAsking left(proxy, "/query/character/1?wait=30s");
      CHECK(eventually([&] { return connections() == 1; }));
    }
    CHECK(eventually([&] { return connections() == 0; }));
    QueryAsking stays(proxy, "/query/character/1?wait=30s");
    CHECK(proxy.query("PUT", "/query/character/1", {{"Lease", lease}, {"Cache-Control", "max-age=0"}}).status == 204);
    CHECK(stays.answer().fields.has("Lease"));
  });
}

TEST_CASE("query: who waits for a value holds up no ending") {
  ScriptedUpstream upstream;
  std::optional<Pillion> holder;
  Pillion& proxy = alone(holder, upstream);
  lease_of(proxy, "/query/character/1");
  QueryAsking waiting(proxy, "/query/character/1?wait=30s");
  CHECK(eventually([&] { return proxy.metric("pillion_connections{side=\"client\"}") >= 1; }));
  proxy.process().signal(SIGINT);
  const Response answer = waiting.answer();
  CHECK(answer.status == 404);
  CHECK_FALSE(answer.fields.has("Lease"));
  const auto exit = proxy.process().wait();
  REQUIRE(exit);
  CHECK(exit->code == 0);
}

TEST_CASE("query: a reload changes types and lifetimes, and not the address") {
  ScriptedUpstream upstream;
  std::optional<Pillion> holder;
  Pillion& proxy = alone(holder, upstream);
  const std::string file = read_file(proxy.config_file());
  CHECK(proxy.query("PUT", "/query/character/1", {}, "v").status == 204);
  const auto with = [&](const std::string& before, const std::string& after) {
    std::string text = file;
    text.replace(text.find(before), before.size(), after);
    write_file(proxy.config_file(), text);
    proxy.process().signal(SIGHUP);
  };
  with("character: 1h", "character: 1ms, fresh: 1h");
  CHECK(eventually([&] { return proxy.query("GET", "/query/fresh/1").status == 404; }));
  CHECK(proxy.query("HEAD", "/query/character/1").status == 404);
  with("query_cache: { address: 127.0.0.1:0", "query_cache: { address: 127.0.0.2:0");
  CHECK(proxy.process().wait_for_err_line("query_cache.address can't change while running").size() > 0);
}
