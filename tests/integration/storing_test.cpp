// What may be stored (RFC 9111 3, 5.2.2): directives with and without field names, Authorization, parts, what is cut.
#include "integration.hpp"

namespace {

Handler raw(std::string bytes) {
  return [bytes = std::move(bytes)](Exchange& exchange) {
    exchange.read_body();
    exchange.write(bytes);
    exchange.close();
  };
}

const Fields authorised{{"Authorization", "Basic eDp5"}};

}  // namespace

TEST_CASE("storing: what forbids it, in any spelling, and what only seems to") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  std::vector<ReuseRow> rows;
  for (const char* control :
       {"no-store, max-age=60", "max-age=60, No-Store", "max-age=60,no-store", "no-store=\"x\", max-age=60",
        "no-store=1, max-age=60", "public, no-store, s-maxage=60", "private, max-age=60", "PRIVATE, s-maxage=60",
        "private=\"\", max-age=60", "public, private, max-age=60"}) {
    rows.push_back({control, caching(control), false});
  }
  for (const char* control :
       {"other=\"no-store\", max-age=60", "other=\"x, private\", max-age=60", "x-no-store, max-age=60", "max-age=60"}) {
    rows.push_back({control, caching(control), true});
  }
  rows.push_back(
      {"no-store in another line", {{"Cache-Control", "max-age=60"}, {"Cache-Control", "a, no-store"}}, false});
  rows.push_back({"private in another line", {{"Cache-Control", "max-age=60"}, {"Cache-Control", "private"}}, false});
  check_reuse(proxy, upstream, rows);
}

TEST_CASE("storing: fields that private names are nobody else's") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  int n = 0;
  for (std::string control :
       {"private=\"X-Own\", max-age=60", "max-age=60, Private=\"x-other, x-own\"", "private=x-own, max-age=60"}) {
    CAPTURE(control);
    std::string target = "/" + std::to_string(n++) + "/";
    upstream.answer(target, turns(caching(control, {{"X-Own", "secret"}})));
    CHECK(proxy.get(target)["X-Own"] == "secret");
    Response second = proxy.get(target);
    if (second["X-Turn"] == "1") CHECK_FALSE(second.fields.has("X-Own"));
    CHECK((second["X-Turn"] == "2" || cache_status(second).hit));
  }
}

TEST_CASE("storing: no-cache is stored and validated at each use, or not used again") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    bool same = exchange.request().fields["If-None-Match"] == "\"v1\"";
    exchange.respond(same ? 304 : 200, caching("max-age=60, No-Cache", {{"ETag", "\"v1\""}}), same ? "" : "body");
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  for (int i = 1; i <= 3; ++i) {
    Response response = proxy.get("/");
    CHECK(response.body == "body");
    CHECK(upstream.count() == static_cast<std::size_t>(i));
    if (i > 1) CHECK(cache_status(response).detail == "revalidated");
  }
}

TEST_CASE("storing: fields that no-cache names aren't sent again without asking the upstream") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  int n = 0;
  for (std::string control :
       {"no-cache=\"X-Own\", max-age=60", "max-age=60, no-cache=\"x-other, x-own\"", "no-cache=x-own, max-age=60"}) {
    CAPTURE(control);
    std::string target = "/" + std::to_string(n++) + "/";
    upstream.answer(target, turns(caching(control, {{"X-Own", "old"}})));
    CHECK(proxy.get(target)["X-Own"] == "old");
    Response second = proxy.get(target);
    if (second["X-Turn"] == "1") CHECK_FALSE(second.fields.has("X-Own"));
  }
}

TEST_CASE("storing: Authorization needs a word that opens it") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  auto row = [](const std::string& control, bool reused) {
    return ReuseRow{control, caching(control), reused, 200, authorised};
  };
  check_reuse(proxy, upstream,
              {
                  row("max-age=60", false),
                  row("public, max-age=60", true),
                  row("Public, max-age=60", true),
                  row("s-maxage=60", true),
                  row("max-age=60, must-revalidate", true),
                  row("max-age=60, proxy-revalidate", false),
                  row("max-age=60, other=\"public\"", false),
                  row("public, no-store, max-age=60", false),
                  row("public, private, max-age=60", false),
                  {"Expires alone", {{"Expires", http_date(60)}}, false, 200, authorised},
                  {"opened for one, used for all", caching("public, max-age=60"), true, 200, authorised, Fields{}},
                  {"a guest's, opened", caching("s-maxage=60"), true, 200, {}, authorised},
                  {"a guest's, not opened", caching("max-age=60"), false, 200, {}, authorised},
                  {"in any case of its name", caching("max-age=60"), false, 200, {{"AUTHORIZATION", "x"}}},
              });
}

TEST_CASE("storing: Set-Cookie keeps a response out, whatever else it says") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  check_reuse(proxy, upstream,
              {
                  {"public", caching("public, max-age=60", {{"Set-Cookie", "a=1"}}), false},
                  {"s-maxage", caching("s-maxage=60", {{"set-cookie", "a=1"}}), false},
                  {"named by no-cache", caching("max-age=60, no-cache=\"set-cookie\"", {{"Set-Cookie", "a=1"}}), false},
              });
}

TEST_CASE("storing: a part is never the whole") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  struct Row {
    std::string why;
    Fields part;
    Fields request;
  };
  const Row rows[] = {
      {"a part asked for", {{"Content-Range", "bytes 0-1/4"}}, {{"Range", "bytes=0-1"}}},
      {"a part that is all there is", {{"Content-Range", "bytes 0-3/4"}}, {{"Range", "bytes=0-3"}}},
      {"a part that nobody asked for", {{"Content-Range", "bytes 0-1/4"}}, {}},
      {"a part that doesn't say which", {}, {}},
  };
  int n = 0;
  for (const Row& row : rows) {
    CAPTURE(row.why);
    std::string target = "/" + std::to_string(n++) + "/";
    Fields fields = caching("max-age=60", {{"ETag", "\"v1\""}});
    for (const auto& [name, value] : row.part) fields.add(name, value);
    upstream.answer(target, [fields](Exchange& exchange) { exchange.respond(206, fields, "part"); });
    Response part = proxy.get(target, row.request);
    CHECK(part.status == 206);
    CHECK(part.body == "part");
    CHECK_FALSE(cache_status(part).stored);
    upstream.answer(target, cacheable("body"));
    Response whole = proxy.get(target);
    CHECK(whole.status == 200);
    CHECK(whole.body == "body");
    CHECK(upstream.count(target) == 2);
  }
}

TEST_CASE("storing: what is cut is never stored as complete, and nobody takes it for complete") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  const std::string head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n";
  const std::pair<std::string, std::string> rows[] = {
      {"a length not reached", head + "Content-Length: 10\r\n\r\nsome"},
      {"no body at all", head + "Content-Length: 10\r\n\r\n"},
      {"no last chunk", head + "Transfer-Encoding: chunked\r\n\r\n" + chunk("some")},
      {"cut within a chunk", head + "Transfer-Encoding: chunked\r\n\r\n10\r\nsome"},
      {"cut within the last chunk", head + "Transfer-Encoding: chunked\r\n\r\n" + chunk("some") + "0\r\n"},
  };
  int n = 0;
  for (const auto& [why, bytes] : rows) {
    CAPTURE(why);
    std::string target = "/" + std::to_string(n++) + "/";
    upstream.answer(target, raw(bytes));
    HttpClient client = proxy.connect();
    client.send_request("GET", target);
    bool complete = false;
    try {
      Response first = client.read_response();
      complete = first.complete && first.status == 200;
    } catch (const ConnectionClosed&) {
    }
    CHECK_FALSE(complete);
    upstream.answer(target, cacheable("whole"));
    Response second = proxy.get(target);
    CHECK(second.body == "whole");
    CHECK(second.complete);
  }
}

TEST_CASE("storing: a body that only the end of the connection ends is passed on and not kept") {
  ScriptedUpstream upstream(raw("HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\n\r\nall of it"));
  Pillion proxy(caching_config(upstream.endpoint()));
  for (std::size_t i = 1; i <= 2; ++i) {
    Response response = proxy.get("/");
    CHECK(response.body == "all of it");
    CHECK(response.complete);
    CHECK(cache_status(response).detail == "close-delimited");
    CHECK(upstream.count() == i);
  }
}

TEST_CASE("storing: the answer to another method is no GET's") {
  ScriptedUpstream upstream(turns(caching("max-age=60", {{"Content-Location", "/"}})));
  Pillion proxy(caching_config(upstream.endpoint()));
  for (std::string method : {"POST", "OPTIONS", "PUT", "X-OWN"}) {
    CAPTURE(method);
    CHECK_FALSE(cache_status(proxy.request(method, "/", {}, "x")).stored);
    Response response = proxy.get("/");
    CHECK(outcome(response) != "hit");
    CHECK(proxy.request("GET", "/")["X-Turn"] == response["X-Turn"]);
    proxy.invalidate(R"({"all": true})");
  }
}
