// Cache-Control meant for this cache alone (RFC 9213): Pillion-Cache-Control, then CDN-Cache-Control, then the common.
#include "integration.hpp"

namespace {

/// The three fields, those that aren't empty.
Fields controls(const std::string& own, const std::string& cdn, const std::string& common, const Fields& more = {}) {
  Fields fields;
  if (!own.empty()) fields.add("Pillion-Cache-Control", own);
  if (!cdn.empty()) fields.add("CDN-Cache-Control", cdn);
  if (!common.empty()) fields.add("Cache-Control", common);
  for (const auto& [name, value] : more) fields.add(name, value);
  return fields;
}

}  // namespace

TEST_CASE("targeted: the most specific field that is there decides alone") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  const Fields later{{"Expires", http_date(3600)}};
  check_reuse(proxy, upstream,
              {
                  {"CDN opens", controls("", "max-age=60", "no-store"), true},
                  {"CDN opens what is private", controls("", "max-age=60", "private"), true},
                  {"CDN closes", controls("", "no-store", "max-age=60"), false},
                  {"CDN makes private", controls("", "private, max-age=60", "max-age=60"), false},
                  {"CDN shortens", controls("", "max-age=0", "max-age=60"), false},
                  {"own opens", controls("max-age=60", "no-store", "no-store"), true},
                  {"own closes", controls("no-store", "max-age=60", "max-age=60"), false},
                  {"own alone", controls("max-age=60", "", ""), true},
                  {"s-maxage within", controls("", "max-age=0, s-maxage=60", "no-store"), true},
                  {"no-cache within", controls("", "no-cache, max-age=60", "max-age=60"), false},
                  {"no lifetime within: the common one isn't mixed in", controls("", "public", "max-age=60"), false},
                  {"nor is Expires", controls("", "public", "", later), false},
                  {"nor with an own field", controls("public", "", "", later), false},
                  {"Expires isn't mixed into a short one", controls("", "max-age=0", "", later), false},
                  {"an old Expires isn't either", controls("", "max-age=60", "", {{"Expires", "0"}}), true},
                  {"Pragma isn't", controls("", "max-age=60", "", {{"Pragma", "no-cache"}}), true},
                  {"Surrogate-Control is nobody here",
                   controls("", "", "max-age=60", {{"Surrogate-Control", "no-store"}}), true},
              });
}

TEST_CASE("targeted: a structured dictionary, or as if it weren't there") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  std::vector<ReuseRow> rows;
  for (const char* malformed :
       {"max-age=60,", ", max-age=60", "max-age=60,,public", "max-age=60 public", "max-age=", "max-age=\"60",
        "Max-Age=60", "max-age=60; ", "&&&", "max-age=1e3", "max-age=(60", "max-age=6000000000000000"}) {
    rows.push_back(
        {std::string("malformed, the common one opens: ") + malformed, controls("", malformed, "max-age=60"), true});
    rows.push_back(
        {std::string("malformed, the common one closes: ") + malformed, controls("", malformed, "no-store"), false});
    rows.push_back({std::string("own is malformed, CDN decides: ") + malformed,
                    controls(malformed, "max-age=60", "no-store"), true});
  }
  rows.push_back({"empty", {{"CDN-Cache-Control", ""}, {"Cache-Control", "max-age=60"}}, true});
  rows.push_back({"empty, and closed", {{"CDN-Cache-Control", ""}, {"Cache-Control", "no-store"}}, false});
  for (const char* value : {"max-age=60;x=1;y", " public ,\tmax-age=60", "max-age=0, max-age=60",
                            "max-age=60, x=(a b), y=\"no-store\"", "other, max-age=60", "max-age=060"}) {
    rows.push_back({std::string("well-formed: ") + value, controls("", value, "no-store"), true});
  }
  for (const char* value : {"max-age=60, max-age=0", "max-age=60, no-store"}) {
    rows.push_back({std::string("no lifetime: ") + value, controls("", value, "max-age=60"), false});
  }
  rows.push_back({"two lines are one",
                  {{"CDN-Cache-Control", "public"}, {"CDN-Cache-Control", "max-age=60"}, {"Cache-Control", "no-store"}},
                  true});
  rows.push_back(
      {"two lines, the second closes",
       {{"CDN-Cache-Control", "max-age=60"}, {"CDN-Cache-Control", "no-store"}, {"Cache-Control", "max-age=60"}},
       false});
  check_reuse(proxy, upstream, rows);
}

TEST_CASE("targeted: a number of a wrong type is as if its field weren't there, unless that forbids") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  std::vector<ReuseRow> rows;
  for (const char* value :
       {"max-age=\"60\"", "max-age=60.5", "max-age", "max-age=?1", "max-age=-60", "max-age=token", "max-age=(60)",
        "public, max-age=60.0", "max-age=60, s-maxage=\"60\"", "s-maxage=60, max-age=60.5",
        "max-age=60, stale-while-revalidate=x", "max-age=60, stale-if-error"}) {
    rows.push_back({std::string("the common one opens: ") + value, controls("", value, "max-age=60"), true});
    rows.push_back({std::string("the common one closes: ") + value, controls("", value, "no-store"), false});
    rows.push_back({std::string("CDN opens: ") + value, controls(value, "max-age=60", "no-store"), true});
    rows.push_back({std::string("CDN closes: ") + value, controls(value, "no-store", "max-age=60"), false});
  }
  for (const char* value : {"max-age=\"60\", no-store", "private, max-age=60.5", "no-cache, s-maxage=token"}) {
    rows.push_back({std::string("it forbids: ") + value, controls("", value, "max-age=60"), false});
    rows.push_back({std::string("the own one forbids: ") + value, controls(value, "max-age=60", "max-age=60"), false});
  }
  check_reuse(proxy, upstream, rows);
}

TEST_CASE("targeted: Authorization and stale windows are opened by them too") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  const Fields authorised{{"Authorization", "x"}};
  check_reuse(proxy, upstream,
              {
                  {"public", controls("", "public, max-age=60", ""), true, 200, authorised},
                  {"public of the common one", controls("", "max-age=60", "public"), false, 200, authorised},
              });
  upstream.answer("/stale", turns(controls("", "max-age=10, stale-while-revalidate=600", "no-store", {{"Age", "20"}})));
  proxy.get("/stale");
  Response stale = proxy.get("/stale");
  CHECK(stale["X-Turn"] == "1");
  CHECK(cache_status(stale).detail == "stale-while-revalidate");
  upstream.answer("/strict", turns(controls("", "max-age=10, must-revalidate", "max-age=10, stale-while-revalidate=600",
                                            {{"Age", "20"}, {"ETag", "\"v1\""}})));
  proxy.get("/strict");
  CHECK(proxy.get("/strict")["X-Turn"] == "2");
}

TEST_CASE("targeted: the own field stays here, the others go on to the client") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.read_body();
    exchange.respond(200, controls("max-age=60", "max-age=30", "max-age=20", {{"ETag", "\"v1\""}}), "x");
  });
  upstream.answer("/uncached", numbered(controls("no-store", "max-age=30", "max-age=20")));
  upstream.answer("/error", numbered(controls("no-store", "max-age=30", "max-age=20"), 404));
  Pillion proxy(caching_config(upstream.endpoint()));
  const std::pair<std::string, Response> answers[] = {
      {"a miss", proxy.get("/")},
      {"a hit", proxy.get("/")},
      {"HEAD", proxy.request("HEAD", "/")},
      {"a 304", proxy.get("/", {{"If-None-Match", "\"v1\""}})},
      {"what isn't stored", proxy.get("/uncached")},
      {"a 404", proxy.get("/error")},
      {"another method", proxy.request("POST", "/", {}, "x")},
  };
  for (const auto& [why, response] : answers) {
    CAPTURE(why);
    CHECK_FALSE(response.fields.has("Pillion-Cache-Control"));
    CHECK(response["CDN-Cache-Control"] == "max-age=30");
    CHECK(response["Cache-Control"] == "max-age=20");
  }
}

TEST_CASE("targeted: a 304 speaks by them too") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    bool same = exchange.request().fields.has("If-None-Match");
    exchange.respond(same ? 304 : 200,
                     controls("", same ? "max-age=60" : "max-age=0", "max-age=0", {{"ETag", "\"v1\""}}),
                     same ? "" : "body");
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  CHECK(cache_status(proxy.get("/")).detail == "revalidated");
  CHECK(detailed(proxy.get("/")) == stored_hit());
  CHECK(upstream.count() == 2);
}
