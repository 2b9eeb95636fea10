// No-Vary-Search: parts of the query that don't change the answer (the HTTP working group's draft).
#include "integration.hpp"

namespace {

struct Row {
  std::string first, second;  ///< queries with their `?`, or nothing
  bool same;
};

/// Stores the first of each row under a path of its own with these No-Vary-Search lines, and asks for the second.
void check(Pillion& proxy, ScriptedUpstream& upstream, const std::vector<std::string>& lines,
           const std::vector<Row>& rows) {
  static int number = 0;
  Fields fields = caching("max-age=60");
  for (const std::string& line : lines) fields.add("No-Vary-Search", line);
  std::string rule = fields.to_string();
  for (const Row& row : rows) {
    CAPTURE(rule);
    CAPTURE(row.first);
    CAPTURE(row.second);
    std::string path = "/row" + std::to_string(number++) + "/";
    upstream.answer(path, turns(fields));
    CHECK(proxy.get(path + row.first)["X-Turn"] == "1");
    Response second = proxy.get(path + row.second);
    CHECK(second["X-Turn"] == (row.same ? "1" : "2"));
    CHECK(cache_status(second).hit == row.same);
  }
}

}  // namespace

TEST_CASE("search: without the field every part of a query counts") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  check(proxy, upstream, {},
        {{"?a=1&b=2", "?a=1&b=2", true},
         {"?a=1&b=2", "?b=2&a=1", false},
         {"?a=1", "?a=1&utm=x", false},
         {"", "?", false}});
}

TEST_CASE("search: params names those that don't count") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  check(proxy, upstream, {"params=(\"utm\" \"ref\")"},
        {
            {"?a=1&utm=x", "?a=1&utm=y", true},
            {"?a=1&utm=x", "?a=1", true},
            {"?a=1", "?utm=y&a=1&ref=z", true},
            {"?utm=1", "", true},
            {"", "?utm=1&utm=2", true},
            {"?a=1&utm", "?a=1&utm=", true},
            {"?a=1&ut%6D=x", "?a=1", true},
            {"?a=1&utm=x", "?a=2&utm=x", false},
            {"?a=1&utm=x", "?a=1&b=1&utm=x", false},
            {"?a=1&utm=x", "?a=1&UTM=y", false},
            {"?a=1&utm=x", "?a=1&utm2=x", false},
            {"?a=1&b=2", "?b=2&a=1", false},
        });
  check(proxy, upstream, {"params=(\"utm\");x=1, other=(\"b\")"},
        {{"?a=1&utm=x", "?a=1", true}, {"?a=1&b=1", "?a=1", false}});
  check(proxy, upstream, {"key-order", "params=(\"utm\")"}, {{"?a=1&b=2&utm=x", "?b=2&a=1", true}});
}

TEST_CASE("search: params alone is all of them, but those that except names") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  check(proxy, upstream, {"params"}, {{"?a=1", "?a=2", true}, {"?a=1", "", true}, {"", "?x=1&y=2", true}});
  check(proxy, upstream, {"params=?1"}, {{"?a=1", "?a=2", true}});
  check(proxy, upstream, {"params=?0"}, {{"?a=1", "?a=2", false}});
  check(proxy, upstream, {"params, except=(\"id\")"},
        {
            {"?id=1&x=2", "?id=1&y=3", true},
            {"?x=2&id=1", "?id=1", true},
            {"?id=1", "?id=2", false},
            {"?id=1", "", false},
            {"?id=1", "?id=1&id=2", false},
        });
}

TEST_CASE("search: key-order sets names in one order, and leaves the values of one name in theirs") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  check(proxy, upstream, {"key-order"},
        {
            {"?a=1&b=2", "?b=2&a=1", true},
            {"?c=3&a=1&b=2", "?b=2&c=3&a=1", true},
            {"?a=1&b=0&a=2", "?b=0&a=1&a=2", true},
            {"?a=1&a=2", "?a=2&a=1", false},
            {"?a=1&b=2", "?a=1&b=3", false},
            {"?a=1&b=2", "?a=1", false},
        });
  check(proxy, upstream, {"key-order=?0"}, {{"?a=1&b=2", "?b=2&a=1", false}});
  check(proxy, upstream, {"key-order, params, except=(\"a\" \"b\")"}, {{"?a=1&b=2&x=3", "?b=2&a=1", true}});
}

TEST_CASE("search: what is malformed, or of a wrong type, says nothing") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  for (std::string value :
       {"params=1", "params=\"utm\"", "params=(utm)", "params=(\"utm\" 1)", "params=(\"utm\"", "except=(\"a\")",
        "params=(\"utm\"), except=(\"a\")", "params, except=1", "params, except=(a)", "params=(\"utm\"),", "Params",
        "key-order=1", "key-order=(\"a\")", "&&&", "", "key-order, params=x"}) {
    check(proxy, upstream, {value},
          {{"?a=1&utm=x", "?a=1&utm=x", true}, {"?a=1&utm=x", "?a=1", false}, {"?a=1&utm=x", "?utm=x&a=1", false}});
  }
}

TEST_CASE("search: another path, host or variant stays another") {
  ScriptedUpstream upstream(turns(caching("max-age=60", {{"No-Vary-Search", "params"}, {"Vary", "X-V"}})));
  Pillion proxy(caching_config(upstream.endpoint()));
  CHECK(proxy.get("/p?x=1")["X-Turn"] == "1");
  CHECK(proxy.get("/q?x=1")["X-Turn"] == "2");
  CHECK(proxy.get("/p?x=1", {{"Host", "other.test"}})["X-Turn"] == "3");
  CHECK(proxy.get("/p?x=1", {{"X-V", "1"}})["X-Turn"] == "4");
  CHECK(proxy.get("/p?x=2")["X-Turn"] == "1");
  CHECK(proxy.get("/p?x=3", {{"X-V", "1"}})["X-Turn"] == "4");
}

TEST_CASE("search: what is invalidated is so under every query that it answered") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.read_body();
    exchange.respond(200, caching("max-age=60", {{"No-Vary-Search", "params=(\"utm\")"}}), "x");
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  for (std::string written : {"/p?a=1", "/p?a=1&utm=x", "/p?a=1&utm=y"}) {
    CAPTURE(written);
    proxy.get("/p?a=1&utm=x");
    CHECK(outcome(proxy.get("/p?a=1&utm=y")) == "hit");
    CHECK(proxy.request("PUT", written, {}, "x").status == 200);
    CHECK(outcome(proxy.get("/p?a=1&utm=y")) != "hit");
  }
}

TEST_CASE("search: what is invalidated by the URL of one query is so under all that it answers") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.read_body();
    exchange.respond(200, caching("max-age=60", {{"No-Vary-Search", "params=(\"utm\")"}}), "x");
  });
  Pillion proxy(
      one_route(upstream.endpoint(),
                "    cache: on\n    invalidate:\n      - { methods: [POST], urls: [\"/p?a=1&utm=rule\"] }\n"));
  const std::pair<std::string, std::function<void()>> ways[] = {
      {"the API, another query", [&] { proxy.invalidate(R"({"urls": ["http://site.test/p?a=1&utm=api"]})"); }},
      {"the API, of every host", [&] { proxy.invalidate(R"({"urls": ["/p?utm=api&a=1"]})"); }},
      {"the API, without what doesn't count", [&] { proxy.invalidate(R"({"urls": ["/p?a=1"]})"); }},
      {"a rule of the route", [&] { CHECK(proxy.request("POST", "/elsewhere", {}, "x").status == 200); }},
  };
  const Fields host{{"Host", "site.test"}};
  for (const auto& [why, invalidate] : ways) {
    CAPTURE(why);
    proxy.get("/p?a=1&utm=x", host);
    proxy.get("/other?a=1&utm=x", host);
    CHECK(outcome(proxy.get("/p?a=1&utm=y", host)) == "hit");
    invalidate();
    CHECK(outcome(proxy.get("/p?a=1&utm=y", host)) != "hit");
    CHECK(outcome(proxy.get("/other?a=1&utm=y", host)) == "hit");
  }
}

TEST_CASE("search: stale and HEAD requests find it too") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    bool same = exchange.request().fields["If-None-Match"] == "\"v1\"";
    Fields fields =
        caching(same ? "max-age=60" : "max-age=10", {{"ETag", "\"v1\""}, {"No-Vary-Search", "params=(\"utm\")"}});
    if (!same) fields.add("Age", "20");
    exchange.respond(same ? 304 : 200, fields, same ? "" : "body");
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/?a=1&utm=x");
  Response second = proxy.get("/?a=1&utm=y");
  CHECK(second.body == "body");
  CHECK(cache_status(second).detail == "revalidated");
  CHECK(outcome(proxy.request("HEAD", "/?a=1&utm=z")) == "hit");
}
