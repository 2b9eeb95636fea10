// Cache-Control of requests (RFC 9111 5.2.1), obeyed where a route doesn't say otherwise.
#include "integration.hpp"

namespace {

struct Row {
  std::string control;
  bool from_store;
};

/// Stores a response 1000 s old with 2600 s left, and asks for it with each row's Cache-Control.
void check_fresh(Pillion& proxy, ScriptedUpstream& upstream, const std::vector<Row>& rows) {
  static int number = 0;
  for (const Row& row : rows) {
    for (std::string method : {"GET", "HEAD"}) {
      CAPTURE(row.control);
      CAPTURE(method);
      std::string target = "/fresh" + std::to_string(number++) + "/";
      upstream.answer(target, turns(caching("max-age=3600", {{"Age", "1000"}})));
      REQUIRE(proxy.get(target)["X-Turn"] == "1");
      Response second = proxy.request(method, target, caching(row.control));
      CHECK(second.status == 200);
      CHECK(second["X-Turn"] == (row.from_store ? "1" : "2"));
      CHECK(outcome(second).starts_with(row.from_store ? "hit" : "request"));
    }
  }
}

/// A response that is stale by ten seconds from the start, and worth keeping for its validator.
Fields stale(const std::string& more = {}) { return caching("max-age=10" + more, {{"Age", "20"}, {"ETag", "\"v1\""}}); }

}  // namespace

TEST_CASE("request_directives: what a client asks of a fresh response") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  check_fresh(proxy, upstream,
              {
                  {"no-cache", false},
                  {"No-Cache", false},
                  {"other=\"a, b\", no-cache", false},
                  {"other=\"no-cache\"", true},
                  {"max-age=0", false},
                  {"max-age=500", false},
                  {"MAX-AGE=\"500\"", false},
                  {"max-age=2000", true},
                  {"max-age=99999999999999999999", true},
                  {"min-fresh=2000", true},
                  {"min-fresh=3000", false},
                  {"Min-Fresh=3000", false},
                  {"min-fresh=99999999999999999999", false},
                  {"max-age=2000, min-fresh=3000", false},
                  {"max-age=500, min-fresh=1", false},
                  {"max-stale", true},
                  {"max-stale=5", true},
                  {"only-if-cached", true},
                  {"unknown, other=1", true},
              });
}

TEST_CASE("request_directives: no-store keeps an answer out of the store") {
  ScriptedUpstream upstream(turns(caching("max-age=60")));
  Pillion proxy(caching_config(upstream.endpoint()));
  int n = 0;
  for (std::string control : {"no-store", "NO-STORE", "max-age=60, no-store"}) {
    CAPTURE(control);
    std::string target = "/" + std::to_string(n++);
    upstream.answer(target, turns(caching("max-age=60")));
    Response first = proxy.get(target, caching(control));
    CHECK_FALSE(cache_status(first).stored);
    CHECK(cache_status(first).detail == "request-no-store");
    CHECK(proxy.get(target)["X-Turn"] == "2");
    CHECK(proxy.get(target)["X-Turn"] == "2");
  }
}

TEST_CASE("request_directives: max-stale takes what is stale, up to what it says") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  struct Stale {
    std::string why;
    Fields response;
    std::string control;
    bool from_store;
  };
  const Stale rows[] = {
      {"without it", stale(), "unknown", false},
      {"any", stale(), "max-stale", true},
      {"enough", stale(), "max-stale=3600", true},
      {"quoted", stale(), "Max-Stale=\"3600\"", true},
      {"not enough", stale(), "max-stale=5", false},
      {"none at all", stale(), "max-stale=0", false},
      {"no number", stale(), "max-stale=much", false},
      {"max-age bounds it", stale(), "max-age=5, max-stale=3600", false},
      {"must-revalidate", stale(", must-revalidate"), "max-stale", false},
      {"proxy-revalidate", stale(", proxy-revalidate"), "max-stale", false},
      {"s-maxage", stale(", s-maxage=10"), "max-stale", false},
      {"no-cache", stale(", no-cache"), "max-stale", false},
  };
  int n = 0;
  for (const Stale& row : rows) {
    CAPTURE(row.why);
    std::string target = "/" + std::to_string(n++) + "/";
    upstream.answer(target, turns(row.response));
    REQUIRE(proxy.get(target)["X-Turn"] == "1");
    Response second = proxy.get(target, caching(row.control));
    CHECK(second["X-Turn"] == (row.from_store ? "1" : "2"));
    CHECK(cache_status(second).hit == row.from_store);
    if (row.from_store && cache_status(second).hit) CHECK(cache_status(second).ttl.value_or(0) < 0);
  }
}

TEST_CASE("request_directives: only-if-cached never reaches the upstream") {
  ScriptedUpstream upstream(turns(caching("max-age=60")));
  upstream.answer("/stale", turns(stale()));
  Pillion proxy(caching_config(upstream.endpoint()));
  Response missing = proxy.get("/missing", caching("only-if-cached"));
  CHECK(missing.status == 504);
  CHECK(cache_status(missing).forward.empty());  // nothing was forwarded
  CHECK(cache_status(missing).detail == "only-if-cached");
  CHECK(proxy.get("/missing", caching("Only-If-Cached, max-age=60")).status == 504);
  CHECK(proxy.request("HEAD", "/missing", caching("only-if-cached")).status == 504);
  CHECK(upstream.count() == 0);
  proxy.get("/stale");
  CHECK(proxy.get("/stale", caching("only-if-cached")).status == 504);
  CHECK(proxy.get("/stale", caching("only-if-cached, max-stale"))["X-Turn"] == "1");
  proxy.get("/fresh");
  CHECK(outcome(proxy.get("/fresh", caching("only-if-cached"))) == "hit");
  CHECK(proxy.get("/fresh", caching("only-if-cached, no-cache")).status == 504);
  CHECK(upstream.count() == 2);
  CHECK(proxy.get("/missing").status == 200);  // the 504 was not kept
}

TEST_CASE("request_directives: what a client had fetched anew is for the next one too") {
  ScriptedUpstream upstream(turns(caching("max-age=60")));
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  CHECK(proxy.get("/", caching("max-age=0"))["X-Turn"] == "2");
  Response third = proxy.get("/");
  CHECK(outcome(third) == "hit");
  CHECK(third["X-Turn"] == "2");
}

TEST_CASE("request_directives: no-cache of a client asks the upstream whether the stored response still holds") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    bool same = exchange.request().fields["If-None-Match"] == "\"v1\"";
    exchange.respond(same ? 304 : 200, caching("max-age=60", {{"ETag", "\"v1\""}}), same ? "" : "body");
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  Response second = proxy.get("/", caching("no-cache"));
  CHECK(second.status == 200);
  CHECK(second.body == "body");
  CHECK(upstream.count() == 2);
}

TEST_CASE("request_directives: a route may ignore them all") {
  ScriptedUpstream upstream(turns(caching("max-age=3600", {{"Age", "1000"}})));
  upstream.answer("/stale", turns(stale()));
  Pillion proxy(one_route(upstream.endpoint(), "    cache: on\n    request_directives: ignore\n"));
  proxy.get("/");
  const Fields requests[] = {caching("no-cache"),       caching("no-store"),      caching("max-age=0"),
                             caching("min-fresh=3000"), {{"Pragma", "no-cache"}}, caching("only-if-cached")};
  for (const Fields& fields : requests) {
    std::string text = fields.to_string();
    CAPTURE(text);
    Response response = proxy.get("/", fields);
    CHECK(outcome(response) == "hit");
    CHECK(response["X-Turn"] == "1");
  }
  CHECK(proxy.get("/only", caching("only-if-cached")).status == 200);
  CHECK(cache_status(proxy.get("/kept", caching("no-store"))).stored);
  CHECK(outcome(proxy.get("/kept")) == "hit");
  proxy.get("/stale");
  CHECK(proxy.get("/stale", caching("max-stale"))["X-Turn"] == "2");
}
