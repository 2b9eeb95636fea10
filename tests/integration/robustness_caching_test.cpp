// What overlapping requests, an upstream that changes its mind and stores of unequal size once broke: a response that
// was superseded, invalidated or another's came back. Each defect with the smallest course of events that shows it.
#include "integration.hpp"
#include "support/unhurried.hpp"

namespace {

const std::string a_date = "Sun, 06 Nov 1994 08:49:37 GMT";
constexpr const char* own_stores = "it has stores of its own";

/// One worker, so that what was sent to it first is begun first, and one route that caches whatever may be cached. What
/// is below /passing is looked up nowhere.
std::string config(const Endpoint& upstream, std::string_view more = {}) {
  return "listeners:\n  - address: 127.0.0.1:0\nadmin:\n  address: 127.0.0.1:0\nworkers: 1\nupstreams:\n  app: " +
         upstream.url() +
         "\nroutes:\n  - { name: passing, path: /passing, cache: off }\n  - { name: all, path: /**, cache: on }\n" +
         std::string(more);
}

/// Both tiers, with these settings.
std::string stores(const RedisServer& redis, std::string_view memory, std::string_view more = {}) {
  return "store:\n  memory: " + std::string(memory) + "\n  redis:\n    url: " + redis.url() + "\n" + unhurried +
         std::string(more);
}

bool is_stored(const RedisServer& redis) {
  return eventually([&] { return !redis.keys("api:all:*").empty(); });
}

Fields and_more(Fields fields, const Fields& more) {
  for (const auto& [name, value] : more) fields.add(name, value);
  return fields;
}
/// Of a minute ago and stale since, so that whatever comes later has the later Date.
Fields stale(const Fields& more, const std::string& directives = "") {
  return and_more(caching("max-age=10" + directives, {{"Date", http_date(-60)}}), more);
}
/// Of a minute ago too, and fresh.
Fields dated(const Fields& more = {}) { return and_more(caching("max-age=600", {{"Date", http_date(-60)}}), more); }
Fields fresh(const Fields& more = {}) { return caching("max-age=600", more); }

Handler gives(const Fields& fields, const std::string& body, int status = 200) {
  return [=](Exchange& exchange) {
    exchange.read_body();
    exchange.respond(status, fields, body);
  };
}

/// Returns when the worker has begun all that was sent to it before: a request that is looked up in every store, as
/// they were, has gone to the upstream and back meanwhile.
void let_them_begin(Pillion& proxy, ScriptedUpstream& upstream) {
  upstream.answer("/barrier", gives(caching("no-store"), "x"));
  CHECK(fetch(proxy.client(), "GET", "/barrier").status == 200);
}

bool is_read(const Exchange& exchange) {
  return exchange.request().method == "GET" || exchange.request().method == "HEAD";
}

/// A page that tells two writes of one second apart by nothing but a date. Reads wait at the gate of the moment.
class Page {
 public:
  Handler handler() {
    return [this](Exchange& exchange) {
      exchange.read_body();
      if (!is_read(exchange)) {
        ++version_;
        exchange.respond(204);
        return writes_.add();
      }
      const std::string body = "v" + std::to_string(version_.load());
      Fields fields = version_ == 1 && !asked_.exchange(true) ? stale({}, ", stale-if-error=600") : fresh();
      fields.add("Last-Modified", a_date);
      reads_.add();
      if (Gate* gate = gate_.exchange(nullptr)) gate->wait();
      const bool same = exchange.request().fields["If-Modified-Since"] == a_date;
      exchange.respond(same ? 304 : 200, fields, same ? "" : body);
    };
  }
  /// The next read waits for it.
  void hold(Gate& gate) { gate_ = &gate; }
  bool wait_for_reads(int n) { return reads_.wait_for(n); }
  bool wait_for_writes(int n) { return writes_.wait_for(n); }

 private:
  std::atomic<int> version_{1};
  std::atomic<bool> asked_{false};
  std::atomic<Gate*> gate_{nullptr};
  Counter reads_, writes_;
};

}  // namespace

TEST_CASE("robustness caching: a superseded response isn't found again in a Redis that didn't take the new one") {
  if (skipped_in({Stores::redis, Stores::both}, own_stores)) return;
  for (std::string memory : {"off", "{ size: 32MiB }"}) {
    CAPTURE(memory);
    RedisServer redis;
    ScriptedUpstream upstream(gives(dated({{"ETag", "\"1\""}}), "first"));
    Pillion proxy(config(upstream.endpoint(), stores(redis, memory)));
    CHECK(proxy.get("/").body == "first");
    REQUIRE(is_stored(redis));
    upstream.answer(gives(caching("max-age=0", {{"ETag", "\"2\""}}), "second"));
    CHECK(proxy.get("/", caching("no-cache")).body == "second");
    // Redis hears of it a moment after the answer.
    CHECK(eventually([&] { return proxy.get("/").body == "second"; }, Deadline(3s)));
    for (int i = 0; i < 3; ++i) CHECK(proxy.get("/").body == "second");
  }
}

TEST_CASE("robustness caching: what is too large for memory leaves no older response there") {
  if (skipped_in({Stores::redis, Stores::both}, own_stores)) return;
  RedisServer redis;
  ScriptedUpstream upstream(gives(dated(), "first"));
  Pillion proxy(config(upstream.endpoint(), stores(redis, "{ size: 32MiB, max_object: 1KiB }")));
  CHECK(proxy.get("/").body == "first");
  REQUIRE(is_stored(redis));
  const std::string large(10000, '2');
  upstream.answer(gives(fresh(), large));
  CHECK(proxy.get("/", caching("no-cache")).body == large);
  CHECK(eventually([&] { return detailed(proxy.get("/")) == "hit redis"; }, Deadline(3s)));
  for (int i = 0; i < 3; ++i) CHECK(proxy.get("/").body == large);
  CHECK(upstream.count() == 2);
}

TEST_CASE("robustness caching: what is too large for Redis leaves no older response there") {
  if (skipped_in({Stores::redis, Stores::both}, own_stores)) return;
  RedisServer redis;
  ScriptedUpstream upstream(gives(stale({}, ", stale-if-error=600"), "first"));
  Pillion proxy(config(upstream.endpoint(), stores(redis, "{ size: 32MiB }", "    max_object: 600B\n")));
  CHECK(proxy.get("/").body == "first");
  REQUIRE(is_stored(redis));
  const std::string large(2000, '2');
  upstream.answer(gives(caching("max-age=10, stale-if-error=600", {{"Age", "20"}}), large));
  CHECK(proxy.get("/").body == large);
  upstream.answer(gives({}, "broken", 503));
  Response failed = proxy.get("/");
  CHECK(failed.body == large);
  CHECK(cache_status(failed).detail == "stale-if-error");
  CHECK(eventually([&] { return redis.keys("api:all:*").empty(); }));
}

TEST_CASE("robustness caching: a HEAD that varies by more than what is stored doesn't make that everybody's") {
  ScriptedUpstream upstream(gives(stale({{"ETag", "\"de\""}}), "for de"));
  Pillion proxy(config(upstream.endpoint()));
  CHECK(proxy.get("/", {{"X-Lang", "de"}}).body == "for de");
  upstream.answer([](Exchange& exchange) {
    const std::string lang = exchange.request().fields["X-Lang"];
    exchange.respond(200, fresh({{"ETag", "\"" + lang + "\""}, {"Vary", "X-Lang"}}), "for " + lang);
  });
  HttpClient client = proxy.connect();
  CHECK(client.request("HEAD", "/", {{"X-Lang", "de"}}).status == 200);
  for (std::string lang : {"en", "de"}) CHECK(client.get("/", {{"X-Lang", lang}}).body == "for " + lang);
}

TEST_CASE("robustness caching: a 304 that varies by more than what is stored answers the client that asked alone") {
  ScriptedUpstream upstream(gives(stale({{"ETag", "\"de\""}}), "for de"));
  Pillion proxy(config(upstream.endpoint()));
  CHECK(proxy.get("/", {{"X-Lang", "de"}}).body == "for de");
  Gate& gate = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    const std::string lang = exchange.request().fields["X-Lang"];
    const std::string tag = "\"" + lang + "\"";
    if (lang == "de") gate.wait();
    const bool same = exchange.request().fields["If-None-Match"] == tag;
    exchange.respond(same ? 304 : 200, fresh({{"ETag", tag}, {"Vary", "X-Lang"}}), same ? "" : "for " + lang);
  });
  HttpClient german = proxy.connect(), english = proxy.connect();
  german.send_request("GET", "/", {{"X-Lang", "de"}});
  REQUIRE(upstream.wait_for_requests("/", 2));
  english.send_request("GET", "/", {{"X-Lang", "en"}});
  let_them_begin(proxy, upstream);
  gate.open();
  CHECK(german.read_response().body == "for de");
  CHECK(english.read_response().body == "for en");
  for (std::string lang : {"en", "de"}) CHECK(proxy.get("/", {{"X-Lang", lang}}).body == "for " + lang);
}

TEST_CASE("robustness caching: a 304 that varies by more than before freshens no variant") {
  for (std::string first : {"1", "2"}) {  // the one that was asked about, and another with its strong tag
    CAPTURE(first);
    ScriptedUpstream upstream([](Exchange& exchange) {
      exchange.respond(200, stale({{"ETag", "\"s\""}, {"Vary", "X-A"}}), exchange.request().fields["X-A"] + " any");
    });
    Pillion proxy(config(upstream.endpoint()));
    for (std::string a : {"1", "2"}) CHECK(proxy.get("/", {{"X-A", a}, {"X-B", "1"}}).body == a + " any");
    upstream.answer([](Exchange& exchange) {
      const Fields& asked = exchange.request().fields;
      const Fields fields = fresh({{"ETag", asked["X-B"] == "1" ? "\"s\"" : "\"t\""}, {"Vary", "X-A, X-B"}});
      if (asked["X-B"] == "1") return exchange.respond(304, fields);
      exchange.respond(200, fields, asked["X-A"] + " " + asked["X-B"]);
    });
    HttpClient client = proxy.connect();
    CHECK(client.get("/", {{"X-A", "1"}, {"X-B", "1"}}).body == "1 any");
    let_them_begin(proxy, upstream);
    CHECK(client.get("/", {{"X-A", first}, {"X-B", "2"}}).body == first + " 2");
  }
}

TEST_CASE("robustness caching: a date doesn't revive for followers what was invalidated while they waited") {
  Page page;
  ScriptedUpstream upstream(page.handler());
  Pillion proxy(config(upstream.endpoint()));
  CHECK(proxy.get("/").body == "v1");
  Gate& gate = upstream.gate();
  page.hold(gate);
  HttpClient leader = proxy.connect(), follower = proxy.connect();
  leader.send_request("GET", "/");
  REQUIRE(page.wait_for_reads(2));
  follower.send_request("GET", "/");
  let_them_begin(proxy, upstream);
  CHECK(proxy.request("PUT", "/", {}, "x").status == 204);
  gate.open();
  CHECK(leader.read_response().status == 200);  // it asked before the write: either is right
  CHECK(follower.read_response().body == "v2");
  for (int i = 0; i < 2; ++i) CHECK(proxy.get("/").body == "v2");
}

TEST_CASE("robustness caching: a date doesn't revive what was invalidated while Redis was asked for it") {
  if (skipped_in({Stores::redis, Stores::both}, own_stores)) return;
  for (std::string method : {"GET", "HEAD"}) {
    CAPTURE(method);
    RedisServer redis;
    Page page;
    ScriptedUpstream upstream;
    upstream.answer("/page", page.handler());
    Pillion proxy(config(upstream.endpoint(), stores(redis, "{ size: 32MiB }")));
    CHECK(proxy.get("/page").body == "v1");
    REQUIRE(is_stored(redis));
    HttpClient reader = proxy.connect(), writer = proxy.connect();
    redis.pause();
    reader.send_request(method, "/page");
    writer.send_request("PUT", "/page", {}, "x");
    REQUIRE(page.wait_for_writes(1));
    CHECK(proxy.get("/passing").status == 200);  // so the answer to the write has arrived and invalidated
    redis.resume();
    CHECK(reader.read_response(method).status == 200);
    CHECK(writer.read_response("PUT").status == 204);
    for (int i = 0; i < 2; ++i) CHECK(proxy.get("/page").body == "v2");
  }
}

TEST_CASE("robustness caching: what was invalidated is revived by a 304 with its very strong tag and by no other") {
  struct Row {
    std::string why;
    Fields said;
    bool revived;
  };
  const Row rows[] = {
      {"the same tag", {{"ETag", "\"same\""}}, true},
      {"a date alone", {{"Last-Modified", a_date}}, false},
      {"nothing", {}, false},
      {"a weak tag", {{"ETag", "W/\"same\""}}, false},
      {"another tag", {{"ETag", "\"other\""}}, false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.why);
    ScriptedUpstream upstream(gives(fresh({{"ETag", "\"same\""}, {"Last-Modified", a_date}}), "v1"));
    Pillion proxy(config(upstream.endpoint()));
    CHECK(proxy.get("/").body == "v1");
    upstream.answer([&](Exchange& exchange) {
      exchange.read_body();
      if (!is_read(exchange)) return exchange.respond(204);
      CHECK_FALSE(exchange.request().fields.has("If-Modified-Since"));
      const bool asked = exchange.request().fields.has("If-None-Match");
      exchange.respond(asked ? 304 : 200, fresh(asked ? row.said : Fields{{"ETag", "\"new\""}}), asked ? "" : "v2");
    });
    CHECK(proxy.request("PUT", "/", {}, "x").status == 204);
    // Redis alone doesn't find again what was invalidated.
    const bool revived = row.revived && stores_under_test() != Stores::redis;
    for (int i = 0; i < 2; ++i) CHECK(proxy.get("/").body == (revived ? "v1" : "v2"));
  }
}

TEST_CASE("robustness caching: what was invalidated while the upstream was asked isn't served where that fails") {
  struct Row {
    std::string method;
    bool answers;
    int status;
  };
  for (const Row& row : {Row{"GET", true, 500}, Row{"GET", false, 502}, Row{"HEAD", true, 500}}) {
    CAPTURE(row.method);
    CAPTURE(row.answers);
    ScriptedUpstream upstream(gives(stale({{"ETag", "\"1\""}}, ", stale-if-error=600"), "v1"));
    Pillion proxy(config(upstream.endpoint()));
    CHECK(proxy.get("/").body == "v1");
    Gate& gate = upstream.gate();
    upstream.answer([&](Exchange& exchange) {
      exchange.read_body();
      if (!is_read(exchange)) return exchange.respond(204);
      gate.wait();
      row.answers ? exchange.respond(500, {}, "broken") : exchange.reset();
    });
    HttpClient client = proxy.connect();
    client.send_request(row.method, "/");
    REQUIRE(upstream.wait_for_requests("/", 2));
    CHECK(proxy.request("PUT", "/", {}, "x").status == 204);
    gate.open();
    CHECK(client.read_response(row.method).status == row.status);
  }
}

TEST_CASE("robustness caching: an older answer doesn't come back with a rule of the query that goes or comes") {
  const std::string rule = "params=(\"utm\")";
  for (bool first : {false, true}) {  // whether the upstream has the rule at first, and again at last
    CAPTURE(first);
    const auto page = [&](bool with_rule, const Fields& fields, const std::string& version) {
      return [=](Exchange& exchange) {
        Fields all = fields;
        if (with_rule) all.add("No-Vary-Search", rule);
        exchange.respond(200, all, exchange.request().target + " " + version);
      };
    };
    ScriptedUpstream upstream(page(first, dated(), "v1"));
    Pillion proxy(config(upstream.endpoint()));
    CHECK(proxy.get("/x?a=1").body == "/x?a=1 v1");
    upstream.answer(page(!first, fresh(), "v2"));
    CHECK(proxy.get("/x?a=1", caching("no-cache")).body == "/x?a=1 v2");
    CHECK(proxy.get("/x?a=1").body == "/x?a=1 v2");
    upstream.answer(page(first, fresh(), "v2"));
    CHECK(proxy.get("/x?b=1").body == "/x?b=1 v2");
    CHECK(proxy.get("/x?a=1").body == "/x?a=1 v2");
  }
}

TEST_CASE("robustness caching: a HEAD answered late doesn't put what it asked about over what came meanwhile") {
  for (bool varies : {false, true}) {
    CAPTURE(varies);
    ScriptedUpstream upstream(gives(stale({}, ", stale-if-error=600"), "v1"));
    Pillion proxy(config(upstream.endpoint()));
    CHECK(proxy.get("/").body == "v1");
    Gate& gate = upstream.gate();
    upstream.answer([&](Exchange& exchange) {
      if (exchange.request().method == "HEAD") {
        gate.wait();
        return exchange.respond(200, fresh({{"Date", http_date(-30)}, {"Content-Length", "2"}}));
      }
      exchange.respond(200, varies ? fresh({{"Vary", "X-Lang"}}) : fresh(),
                       varies ? "v2 " + exchange.request().fields["X-Lang"] : "v2");
    });
    HttpClient client = proxy.connect();
    client.send_request("HEAD", "/");
    REQUIRE(upstream.wait_for_requests("/", 2));
    const auto check = [&](const std::string& lang, const Response& response) {
      CHECK(response.body == (varies ? "v2 " + lang : "v2"));
    };
    for (std::string lang : {"de", "en"}) check(lang, proxy.get("/", {{"X-Lang", lang}}));
    gate.open();
    CHECK(client.read_response("HEAD").status == 200);
    for (std::string lang : {"de", "en"}) check(lang, client.get("/", {{"X-Lang", lang}}));
  }
}

TEST_CASE("robustness caching: a HEAD with nothing to compare freshens nothing") {
  struct Row {
    std::string why;
    Fields stored, head;
    bool other_query;
  };
  const Fields no_length{{"Transfer-Encoding", "chunked"}};
  const Row rows[] = {
      {"a tag is stored, neither tag nor length said", {{"ETag", "\"old\""}}, no_length, false},
      {"a tag is stored, a length alone said", {{"ETag", "\"old\""}}, {{"Content-Length", "5"}}, false},
      {"a date is stored, a length alone said", {{"Last-Modified", a_date}}, {{"Content-Length", "5"}}, false},
      {"no validator is stored, no length said", {}, no_length, false},
      {"another query's is stored, nothing said",
       {{"ETag", "\"old\""}, {"No-Vary-Search", "params=(\"q\")"}},
       no_length,
       true},
      {"another query's is stored, its tag said without its rule",
       {{"ETag", "\"old\""}, {"No-Vary-Search", "params=(\"q\")"}},
       {{"ETag", "\"old\""}, {"Content-Length", "5"}},
       true},
  };
  for (const Row& row : rows) {
    CAPTURE(row.why);
    ScriptedUpstream upstream(gives(stale(row.stored, ", stale-if-error=600"), "older"));
    Pillion proxy(config(upstream.endpoint()));
    CHECK(proxy.get("/x?q=0").body == "older");
    const std::string target = row.other_query ? "/x?q=1" : "/x?q=0";
    upstream.answer([&](Exchange& exchange) {
      if (exchange.request().method == "HEAD") return exchange.respond(200, fresh(row.head));
      exchange.respond(200, fresh(), "newer");
    });
    HttpClient client = proxy.connect();
    CHECK(client.request("HEAD", target).status == 200);
    CHECK(client.get(target).body == "newer");
  }
}

TEST_CASE("robustness caching: tags and groups that come with what freshens a response invalidate it") {
  const Fields names[] = {{{"Cache-Tag", "new"}}, {{"Surrogate-Key", "new"}}, {{"Cache-Groups", "\"new\""}}};
  for (const Fields& name : names) {
    for (std::string by : {"HEAD", "GET", "another variant's 304"}) {
      const std::string named = name.to_string();
      CAPTURE(named);
      CAPTURE(by);
      const bool group = name.has("Cache-Groups");
      const Fields validators{{"ETag", "\"e\""}, {"Vary", "X-V"}};
      ScriptedUpstream upstream(gives(stale(validators), "v1"));
      Pillion proxy(config(upstream.endpoint()));
      for (std::string v : {"1", "2"}) CHECK(proxy.get("/", {{"X-V", v}}).body == "v1");
      upstream.answer([&](Exchange& exchange) {
        const bool head = exchange.request().method == "HEAD";
        exchange.respond(head ? 200 : 304, and_more(fresh(validators), name), head ? "v1" : "");
      });
      const std::string v = by == "another variant's 304" ? "2" : "1";
      HttpClient client = proxy.connect();
      CHECK(client.request(by == "HEAD" ? "HEAD" : "GET", "/", {{"X-V", "1"}}).status == 200);
      // Other variants, and Redis, are freshened a moment after the answer.
      REQUIRE(eventually([&] { return outcome(client.get("/", {{"X-V", v}})) == "hit"; }, Deadline(3s)));
      const std::size_t asked = upstream.count("/");
      upstream.answer("/other", [&](Exchange& exchange) {
        exchange.read_body();
        exchange.respond(204, {{"Cache-Group-Invalidation", "\"new\""}});
      });
      if (group) CHECK(proxy.request("PUT", "/other", {}, "x").status == 204);
      if (!group) proxy.invalidate(R"({"tags": ["new"]})");
      upstream.answer(gives(fresh(), "v2"));
      CHECK(client.get("/", {{"X-V", v}}).body == "v2");
      CHECK(upstream.count("/") == asked + 1);
    }
  }
}

TEST_CASE("robustness caching: values of fields that are no known lists are told apart byte by byte") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    const Fields& asked = exchange.request().fields;
    exchange.respond(200, fresh({{"Vary", "User-Agent, Cookie, X-List"}}),
                     asked["User-Agent"] + "|" + asked["Cookie"] + "|" + asked["X-List"]);
  });
  Pillion proxy(config(upstream.endpoint()));
  for (std::string name : {"User-Agent", "Cookie", "X-List"}) {
    for (std::string value : {"a (x,y)", "a (x, y)", "a (x,  y)", "a (x,,y)", "a=,1", "a=, 1", "a=1,", "a=1", "A=1"}) {
      CAPTURE(name);
      CAPTURE(value);
      const std::string own = name == "User-Agent" ? value + "||" : name == "Cookie" ? "|" + value + "|" : "||" + value;
      CHECK(proxy.get("/", {{name, value}}).body == own);
      CHECK(proxy.get("/", {{name, value}}).body == own);
    }
  }
}

TEST_CASE("robustness caching: those who waited for an answer that is an error are served their stale one, unasked") {
  ScriptedUpstream upstream(gives(stale({{"ETag", "\"1\""}}, ", stale-if-error=600"), "first"));
  Pillion proxy(config(upstream.endpoint()));
  CHECK(proxy.get("/").body == "first");
  Gate& gate = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    gate.wait();
    exchange.respond(503, {}, "broken");
  });
  HttpClient clients[] = {proxy.connect(), proxy.connect(), proxy.connect(), proxy.connect()};
  clients[0].send_request("GET", "/");
  REQUIRE(upstream.wait_for_requests("/", 2));
  for (int i = 1; i < 4; ++i) clients[i].send_request("GET", "/");
  let_them_begin(proxy, upstream);
  gate.open();
  for (HttpClient& client : clients) {
    Response response = client.read_response();
    CHECK(response.body == "first");
    CHECK(cache_status(response).detail == "stale-if-error");
  }
  CHECK(upstream.count("/") == 2);
}

TEST_CASE("robustness caching: a client that leaves doesn't end the refresh that it began or reads along with") {
  ScriptedUpstream upstream;
  Pillion proxy(config(upstream.endpoint()));
  for (std::string who : {"who began it", "who reads along", "both"}) {
    CAPTURE(who);
    const std::string target = "/" + std::to_string(who.size());
    upstream.answer(target, gives(stale({{"ETag", "\"1\""}}, ", stale-while-revalidate=600"), "first"));
    CHECK(proxy.get(target).body == "first");
    Gate& left = upstream.gate();
    Gate& noticed = upstream.gate();
    upstream.answer(target, [&](Exchange& exchange) {
      exchange.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 6\r\n\r\nsec");
      left.wait();
      exchange.write("on");
      noticed.wait();
      exchange.write("d");
    });
    auto beginner = std::make_unique<HttpClient>(proxy.client());
    CHECK(beginner->get(target).body == "first");
    REQUIRE(upstream.wait_for_requests(target, 2));
    std::unique_ptr<HttpClient> reader;
    if (who != "who began it") {
      reader = std::make_unique<HttpClient>(proxy.client());
      reader->send_request("GET", target, caching("max-age=15"));  // the stale one is too old for it
      reader->read_head();
      CHECK(reader->read_body(3) == "sec");
    }
    if (who != "who reads along") beginner->stream().reset();
    if (who != "who began it") reader->stream().reset();
    left.open();  // what comes then can't be written to those who left
    const double stay = who == "who reads along" ? 1 : 0;
    CHECK(eventually([&] { return proxy.metric("pillion_connections{side=\"client\"}") == stay; }, Deadline(3s)));
    noticed.open();
    CHECK(eventually([&] { return proxy.get(target).body == "second"; }, Deadline(3s)));
    CHECK(upstream.count(target) == 2);
  }
}
