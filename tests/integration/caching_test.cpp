// What is stored and reused, and what is not (product contract, sections 2 and 3; RFC 9111).
#include "integration.hpp"

namespace {

struct Row {
  std::string why;
  Fields response;
  bool reused;
  std::string detail{};  ///< of the first answer, where the contract names the word
  int status = 200;
  Fields request{};
};

/// Asks twice for a URL of its own and sees whether the second answer is the first one again.
void check_rows(Pillion& proxy, ScriptedUpstream& upstream, const std::string& prefix, const std::vector<Row>& rows) {
  int n = 0;
  for (const Row& row : rows) {
    CAPTURE(row.why);
    std::string target = prefix + std::to_string(n++) + "/";
    upstream.answer(target, numbered(row.response, row.status));
    Response first = proxy.get(target, row.request);
    Response second = proxy.get(target, row.request);
    CHECK(first.status == row.status);
    CHECK(first.body == "1");
    CHECK(outcome(first) == (row.reused ? "uri-miss stored" : "uri-miss"));
    CHECK(second.body == (row.reused ? "1" : "2"));
    CHECK(cache_status(second).hit == row.reused);
    if (!row.detail.empty()) CHECK(cache_status(first).detail == row.detail);
  }
}

Fields control(std::string value) { return {{"Cache-Control", std::move(value)}}; }

std::string with_route(const Endpoint& upstream, std::string_view settings, std::string_view more = {}) {
  return config_for(upstream, "routes:\n  - name: r\n    path: /**\n" + std::string(settings) + std::string(more));
}

}  // namespace

TEST_CASE("caching: explicit lifetimes, and what forbids storing") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  check_rows(proxy, upstream, "/a",
             {
                 {"max-age", control("max-age=60"), true},
                 {"s-maxage wins over max-age", control("max-age=0, s-maxage=60"), true},
                 {"s-maxage=0 wins too", control("max-age=60, s-maxage=0"), false},
                 {"public with max-age", control("public, max-age=60"), true},
                 {"must-revalidate while fresh", control("must-revalidate, max-age=60"), true},
                 {"names in any case", control("Max-Age=60"), true},
                 {"an unknown directive", control("max-age=60, blah=\"no-store\""), true},
                 {"Expires in the future", {{"Expires", http_date(60)}, {"Date", http_date()}}, true},
                 {"max-age wins over Expires", {{"Cache-Control", "max-age=60"}, {"Expires", "0"}}, true},
                 {"Expires in the past", {{"Expires", http_date(-60)}, {"Date", http_date()}}, false},
                 {"Expires: 0", {{"Expires", "0"}}, false},
                 {"Expires equal to Date", {{"Expires", http_date()}, {"Date", http_date()}}, false},
                 {"no lifetime", {}, false, "no-lifetime"},
                 {"max-age=0", control("max-age=0"), false},
                 {"a malformed max-age", control("max-age=abc"), false},
                 {"a negative max-age", control("max-age=-1"), false},
                 {"no-store", control("no-store"), false, "no-store"},
                 {"no-store beside max-age", control("max-age=60, no-store"), false, "no-store"},
                 {"no-store in a second line",
                  {{"Cache-Control", "max-age=60"}, {"Cache-Control", "no-store"}},
                  false,
                  "no-store"},
                 {"NO-STORE", control("max-age=60, NO-STORE"), false, "no-store"},
                 {"private", control("private, max-age=60"), false, "private"},
                 {"private with a field name", control("max-age=60, private=\"x-a\""), false, "private"},
                 {"an Age that uses it up", {{"Cache-Control", "max-age=60"}, {"Age", "60"}}, false},
                 {"a Date long ago", {{"Cache-Control", "max-age=60"}, {"Date", http_date(-120)}}, false},
                 {"Set-Cookie", {{"Cache-Control", "max-age=60"}, {"Set-Cookie", "id=1"}}, false, "set-cookie"},
                 {"Vary: *", {{"Cache-Control", "max-age=60"}, {"Vary", "*"}}, false},
                 {"Vary: * in a list", {{"Cache-Control", "max-age=60"}, {"Vary", "Accept, *"}}, false},
             });
}

TEST_CASE("caching: which statuses are kept") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  check_rows(proxy, upstream, "/s",
             {
                 {"404 with a lifetime", control("max-age=60"), true, "", 404},
                 {"301 with a lifetime", control("max-age=60"), true, "", 301},
                 {"410 with a lifetime", control("max-age=60"), true, "", 410},
                 {"400", control("max-age=60"), false, "", 400},
                 {"403", control("max-age=60"), false, "", 403},
                 {"429", control("max-age=60"), false, "", 429},
                 {"500", control("max-age=60"), false, "", 500},
                 {"503", control("max-age=60"), false, "", 503},
                 {"206", {{"Cache-Control", "max-age=60"}, {"Content-Range", "bytes 0-0/10"}}, false, "", 206},
             });
}

TEST_CASE("caching: a route's ttl serves where the response is silent, for the statuses that it may") {
  ScriptedUpstream upstream;
  Pillion proxy(with_route(upstream.endpoint(), "    ttl: 60s\n    ttl_by_status: { 404: 10s }\n"));
  check_rows(proxy, upstream, "/t",
             {
                 {"silent 200", {}, true},
                 {"silent 301", {}, true, "", 301},
                 {"silent 410", {}, true, "", 410},
                 {"silent 404 by ttl_by_status", {}, true, "", 404},
                 {"silent 302", {}, false, "", 302},
                 {"silent 500", {}, false, "", 500},
                 {"an explicit lifetime wins", control("max-age=0"), false},
                 {"no-store wins", control("no-store"), false, "no-store"},
                 {"private wins", control("private"), false, "private"},
                 {"Set-Cookie", {{"Set-Cookie", "a=b"}}, false, "set-cookie"},
                 {"Cookie in the request", {}, false, "cookie", 200, {{"Cookie", "session=1"}}},
                 {"Authorization in the request", {}, false, "authorization", 200, {{"Authorization", "Basic eA=="}}},
                 {"Cookie, and an explicit lifetime", control("max-age=60"), true, "", 200, {{"Cookie", "session=1"}}},
                 {"Authorization, and max-age alone",
                  control("max-age=60"),
                  false,
                  "authorization",
                  200,
                  {{"Authorization", "x"}}},
                 {"Authorization and public", control("public, max-age=60"), true, "", 200, {{"Authorization", "x"}}},
                 {"Authorization and s-maxage", control("s-maxage=60"), true, "", 200, {{"Authorization", "x"}}},
                 {"Authorization and must-revalidate",
                  control("max-age=60, must-revalidate"),
                  true,
                  "",
                  200,
                  {{"Authorization", "x"}}},
             });
  Response first = proxy.get("/t0/");
  REQUIRE(cache_status(first).ttl.has_value());
  CHECK(*cache_status(first).ttl <= 60);
  CHECK(*cache_status(first).ttl >= 30);
  CHECK(*cache_status(proxy.get("/t3/")).ttl <= 10);
}

TEST_CASE("caching: a guest's page kept by ttl is not for one who is logged in") {
  ScriptedUpstream upstream(numbered({}));
  Pillion proxy(with_route(upstream.endpoint(), "    ttl: 60s\n"));
  CHECK(proxy.get("/").body == "1");
  CHECK(proxy.get("/").body == "1");
  CHECK(proxy.get("/", {{"Cookie", "session=1"}}).body == "2");
  CHECK(proxy.get("/", {{"Authorization", "x"}}).body == "3");
  CHECK(proxy.get("/").body == "1");
}

TEST_CASE("caching: who decides the lifetime") {
  ScriptedUpstream upstream;
  {
    Pillion proxy(with_route(upstream.endpoint(), "    ttl: 60s\n    freshness: route\n"));
    check_rows(proxy, upstream, "/route",
               {
                   {"ttl wins over max-age=0", control("max-age=0"), true},
                   {"ttl wins over Expires", {{"Expires", "0"}}, true},
                   {"never over no-store", control("no-store"), false, "no-store"},
                   {"never over private", control("private"), false, "private"},
               });
  }
  Pillion proxy(with_route(upstream.endpoint(), "    ttl: 60s\n    freshness: origin\n"));
  check_rows(proxy, upstream, "/origin",
             {
                 {"ttl unused", {}, false},
                 {"max-age", control("max-age=60"), true},
             });
}

TEST_CASE("caching: a route may ignore what a framework forbids by default, those words that it names") {
  ScriptedUpstream upstream;
  Pillion proxy(
      with_route(upstream.endpoint(), "    ttl: 60s\n    freshness: route\n    ignore: [no-store, no-cache]\n"));
  check_rows(proxy, upstream, "/i",
             {
                 {"no-store", control("no-store"), true},
                 {"no-cache", control("no-cache"), true},
                 {"private is not named", control("private"), false, "private"},
             });
}

TEST_CASE("caching: Set-Cookie may be stripped or stored where a route says so") {
  ScriptedUpstream upstream(numbered({{"Cache-Control", "max-age=60"}, {"Set-Cookie", "id=1"}}));
  {
    Pillion proxy(with_route(upstream.endpoint(), "    cache: on\n    set_cookie: strip\n"));
    CHECK(proxy.get("/strip")["Set-Cookie"] == "id=1");
    Response second = proxy.get("/strip");
    CHECK(cache_status(second).hit);
    CHECK_FALSE(second.fields.has("Set-Cookie"));
  }
  Pillion proxy(with_route(upstream.endpoint(), "    cache: on\n    set_cookie: store\n"));
  proxy.get("/store");
  Response second = proxy.get("/store");
  CHECK(cache_status(second).hit);
  CHECK(second["Set-Cookie"] == "id=1");
}

TEST_CASE("caching: cookies and Authorization may be ignored or keyed on") {
  ScriptedUpstream upstream(numbered({}));
  {
    Pillion proxy(
        with_route(upstream.endpoint(), "    ttl: 60s\n    personal: { cookies: ignore, authorization: ignore }\n"));
    std::string body = proxy.get("/ignore", {{"Cookie", "a=1"}}).body;
    CHECK(proxy.get("/ignore", {{"Cookie", "a=2"}}).body == body);
    CHECK(proxy.get("/ignore", {{"Authorization", "x"}}).body == body);
  }
  Pillion proxy(
      with_route(upstream.endpoint(), "    ttl: 60s\n    personal: { cookies: [lang], authorization: key }\n"));
  std::string german = proxy.get("/key", {{"Cookie", "lang=de; visit=1"}}).body;
  CHECK(proxy.get("/key", {{"Cookie", "visit=2; lang=de"}}).body == german);
  CHECK(proxy.get("/key", {{"Cookie", "lang=en"}}).body != german);
  std::string mine = proxy.get("/key", {{"Authorization", "mine"}}).body;
  CHECK(proxy.get("/key", {{"Authorization", "mine"}}).body == mine);
  CHECK(proxy.get("/key", {{"Authorization", "theirs"}}).body != mine);
}

TEST_CASE("caching: what an answer from the store looks like") {
  ScriptedUpstream upstream(
      cacheable("the body", {{"Age", "20"}, {"ETag", "\"v1\""}, {"X-Own", "1"}, {"Content-Type", "text/x"}}));
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  Response hit = proxy.get("/");
  CHECK(detailed(hit) == stored_hit());
  CHECK(hit.status == 200);
  CHECK(hit.body == "the body");
  CHECK(hit["Content-Length"] == "8");
  CHECK(hit["ETag"] == "\"v1\"");
  CHECK(hit["X-Own"] == "1");
  CHECK(hit["Content-Type"] == "text/x");
  CHECK(hit.fields.count("Age") == 1);
  CHECK(std::stol(hit["Age"]) >= 20);
  CHECK(std::stol(hit["Age"]) < 40);
  CHECK(*cache_status(hit).ttl <= 40);
  CHECK(*cache_status(hit).ttl > 20);
  CHECK(hit["Cache-Status"].starts_with("pillion; hit; ttl="));
  CHECK(hit.fields.count("Date") == 1);
}

TEST_CASE("caching: the first answer names where it went") {
  ScriptedUpstream upstream(cacheable("x"));
  Pillion proxy(caching_config(upstream.endpoint()));
  CHECK(proxy.get("/")["Cache-Status"] == "pillion; fwd=uri-miss; fwd-status=200; stored");
}

TEST_CASE("caching: an answer past its lifetime is fetched anew") {
  ScriptedUpstream upstream(numbered(control("max-age=1")));
  Pillion proxy(caching_config(upstream.endpoint()));
  CHECK(proxy.get("/").body == "1");
  CHECK(proxy.get("/").body == "1");
  std::string outcome_then;
  CHECK(eventually([&] {
    Response response = proxy.get("/");
    outcome_then = outcome(response);
    return response.body == "2";
  }));
  CHECK((outcome_then == "stale stored" || outcome_then == "uri-miss stored" || outcome_then == "miss stored"));
}

TEST_CASE("caching: a large response streams and is not stored, whether its length is known or not") {
  ScriptedUpstream upstream;
  std::string large(2u << 20, 'x');
  upstream.answer("/known", cacheable(large));
  upstream.answer("/chunked", [&](Exchange& exchange) {
    exchange.write("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 32; ++i) exchange.write(chunk(large.substr(0, 64u << 10)));
    exchange.write(last_chunk());
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  for (std::string target : {"/known", "/chunked"}) {
    CAPTURE(target);
    for (int i = 0; i < 2; ++i) {
      Response response = proxy.get(target);
      CHECK(response.body.size() == large.size());
      CHECK(response.complete);
      CHECK_FALSE(cache_status(response).hit);
    }
    CHECK(upstream.count(target) == 2);
  }
  CHECK(detailed(proxy.get("/known")) == "uri-miss too-large");
}

TEST_CASE("caching: the memory store stays within its size under a stream of new responses") {
  if (skipped_in({Stores::redis, Stores::both}, "it is of the memory alone")) return;
  ScriptedUpstream upstream(cacheable(std::string(10000, 'x')));
  Pillion proxy(caching_config(upstream.endpoint(), nullptr, "store:\n  memory: { size: 1MiB }\n"));
  HttpClient client = proxy.connect();
  for (int i = 0; i < 500; ++i) CHECK(client.get("/" + std::to_string(i)).status == 200);
  double bytes = proxy.metric("pillion_store_bytes{tier=\"memory\"}");
  CHECK(bytes > 100000);
  CHECK(bytes <= 1u << 20);
  CHECK(proxy.metric("pillion_store_evictions_total{tier=\"memory\"}") > 300);
}

TEST_CASE("caching: a GET with a body passes through, and neither takes from the store nor puts into it") {
  ScriptedUpstream upstream(numbered(control("max-age=60")));
  Pillion proxy(caching_config(upstream.endpoint()));
  CHECK(proxy.request("GET", "/", {}, "a question").body == "1");
  CHECK(upstream.requests().at(0).body == "a question");
  CHECK(proxy.get("/").body == "2");
  CHECK(proxy.request("GET", "/", {}, "a question").body == "3");
  CHECK(proxy.get("/").body == "2");
}

TEST_CASE("caching: a client may ask for a new answer, or for nothing to be stored") {
  ScriptedUpstream upstream(numbered(control("max-age=60")));
  Pillion proxy(caching_config(upstream.endpoint()));
  CHECK(proxy.get("/").body == "1");
  Response fresh = proxy.get("/", control("no-cache"));
  CHECK(fresh.body == "2");
  CHECK(cache_status(fresh).forward == "request");
  CHECK(proxy.get("/").body == "2");
  CHECK(proxy.get("/other", control("no-store")).body == "3");
  CHECK(proxy.get("/other").body == "4");
}

TEST_CASE("caching: routes are tried in the file's order, and what none matches passes uncached") {
  ScriptedUpstream upstream(numbered({}));
  Pillion proxy(config_for(upstream.endpoint(), R"(routes:
  - name: one
    path: /api/things/{id}
    ttl: 60s
  - name: special
    path: /api/*/special
    cache: off
  - name: api
    path: /api/**
    ttl: 60s
)"));
  proxy.get("/api/things/1");
  CHECK(outcome(proxy.get("/api/things/1")) == "hit");
  CHECK(detailed(proxy.get("/api/x/special")) == "bypass cache-off");
  proxy.get("/api/things/1/more");
  CHECK(outcome(proxy.get("/api/things/1/more")) == "hit");
  proxy.get("/elsewhere");
  CHECK(outcome(proxy.get("/elsewhere")) == "bypass");
}

TEST_CASE("caching: a client's condition goes on where answers of that key can't be shared") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    const bool has = exchange.request().fields["If-None-Match"] == "\"v1\"";
    exchange.respond(has ? 304 : 200, {{"Cache-Control", "private"}, {"ETag", "\"v1\""}}, has ? "" : "mine");
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  CHECK(detailed(proxy.get("/")) == "uri-miss private");
  Response again = proxy.get("/", {{"If-None-Match", "\"v1\""}});
  CHECK(again.status == 304);
  CHECK(outcome(again) == "uri-miss");
  CHECK(upstream.count() == 2);
}
