// HEAD and conditional requests answered from the store, and revalidation with the upstream (RFC 9110 13, 9111 4.3).
#include "integration.hpp"

namespace {

const std::string modified = "Sun, 06 Nov 1994 08:49:37 GMT";

}  // namespace

TEST_CASE("validation: HEAD is answered from a stored GET") {
  ScriptedUpstream upstream(cacheable("twelve bytes", {{"X-Own", "1"}}));
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  Response head = proxy.request("HEAD", "/");
  CHECK(outcome(head) == "hit");
  CHECK(head["Content-Length"] == "12");
  CHECK(head["X-Own"] == "1");
  CHECK(upstream.count() == 1);
}

TEST_CASE("validation: a HEAD's answer never becomes a GET's") {
  ScriptedUpstream upstream(cacheable("the body"));
  Pillion proxy(caching_config(upstream.endpoint()));
  CHECK(proxy.request("HEAD", "/").status == 200);
  CHECK(proxy.get("/").body == "the body");
}

TEST_CASE("validation: If-None-Match and If-Modified-Since are answered from the store") {
  ScriptedUpstream upstream(cacheable("body", {{"ETag", "\"v1\""}, {"Last-Modified", modified}}));
  upstream.answer("/weak", cacheable("body", {{"ETag", "W/\"v1\""}}));
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  proxy.get("/weak");
  struct Row {
    std::string why;
    std::string target;
    Fields fields;
    int status;
  };
  const Row rows[] = {
      {"the same tag", "/", {{"If-None-Match", "\"v1\""}}, 304},
      {"one of a list", "/", {{"If-None-Match", "\"v0\", \"v1\""}}, 304},
      {"weak comparison", "/", {{"If-None-Match", "W/\"v1\""}}, 304},
      {"weak comparison, weak stored", "/weak", {{"If-None-Match", "\"v1\""}}, 304},
      {"any", "/", {{"If-None-Match", "*"}}, 304},
      {"another tag", "/", {{"If-None-Match", "\"v2\""}}, 200},
      {"a comma inside a tag", "/", {{"If-None-Match", "\"a,v1\""}}, 200},
      {"the same date", "/", {{"If-Modified-Since", modified}}, 304},
      {"a later date", "/", {{"If-Modified-Since", "Mon, 07 Nov 1994 08:49:37 GMT"}}, 304},
      {"an earlier date", "/", {{"If-Modified-Since", "Sat, 05 Nov 1994 08:49:37 GMT"}}, 200},
      {"no date", "/", {{"If-Modified-Since", "yesterday"}}, 200},
      {"the tag counts, not the date", "/", {{"If-None-Match", "\"v2\""}, {"If-Modified-Since", modified}}, 200},
  };
  std::size_t before = upstream.count();
  for (const Row& row : rows) {
    for (std::string method : {"GET", "HEAD"}) {
      CAPTURE(row.why);
      CAPTURE(method);
      Response response = proxy.request(method, row.target, row.fields);
      CHECK(response.status == row.status);
      CHECK(outcome(response) == "hit");
      if (row.status == 304) {
        CHECK(response.fields.has("ETag"));
        CHECK(response["Cache-Control"] == "max-age=60");
        CHECK(response.body.empty());
      }
    }
  }
  CHECK(upstream.count() == before);
}

TEST_CASE("validation: a stale response is revalidated by its ETag and used again when it is unchanged") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    bool same = exchange.request().fields["If-None-Match"] == "\"v1\"";
    exchange.respond(same ? 304 : 200,
                     {{"Cache-Control", "no-cache"}, {"ETag", "\"v1\""}, {"X-Turn", same ? "second" : "first"}},
                     same ? "" : "the body");
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  CHECK(proxy.get("/")["X-Turn"] == "first");
  Response again = proxy.get("/");
  CHECK(again.status == 200);
  CHECK(again.body == "the body");
  CHECK(cache_status(again).detail == "revalidated");
  CHECK(again["X-Turn"] == "second");
  CHECK(upstream.requests().at(1).fields["If-None-Match"] == "\"v1\"");
  CHECK(proxy.get("/", {{"If-None-Match", "\"v1\""}}).status == 304);
}

TEST_CASE("validation: by Last-Modified where there is no ETag") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    bool same = exchange.request().fields["If-Modified-Since"] == modified;
    exchange.respond(same ? 304 : 200, {{"Cache-Control", "no-cache"}, {"Last-Modified", modified}},
                     same ? "" : "the body");
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  Response again = proxy.get("/");
  CHECK(again.body == "the body");
  CHECK(cache_status(again).detail == "revalidated");
}

TEST_CASE("validation: a 304 freshens what is stored") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    bool same = exchange.request().fields.has("If-None-Match");
    exchange.respond(same ? 304 : 200, {{"Cache-Control", same ? "max-age=60" : "max-age=0"}, {"ETag", "\"v1\""}},
                     same ? "" : "body");
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  CHECK(cache_status(proxy.get("/")).detail == "revalidated");
  Response hit = proxy.get("/");
  CHECK(detailed(hit) == stored_hit());
  CHECK(hit["Cache-Control"] == "max-age=60");
  CHECK(hit.body == "body");
  CHECK(upstream.count() == 2);
}

TEST_CASE("validation: what has changed replaces what is stored") {
  std::atomic<int> version{1};
  ScriptedUpstream upstream([&](Exchange& exchange) {
    std::string tag = "\"v" + std::to_string(version) + "\"";
    bool same = exchange.request().fields["If-None-Match"] == tag;
    exchange.respond(same ? 304 : 200, {{"Cache-Control", "no-cache"}, {"ETag", tag}}, same ? "" : tag);
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  CHECK(proxy.get("/").body == "\"v1\"");
  version = 2;
  CHECK(proxy.get("/").body == "\"v2\"");
  Response third = proxy.get("/");
  CHECK(third.body == "\"v2\"");
  CHECK(cache_status(third).detail == "revalidated");
}

TEST_CASE("validation: an error while revalidating doesn't freshen, and a 304 for another tag is not believed") {
  ScriptedUpstream upstream;
  std::atomic<int> turn{0};
  upstream.answer([&](Exchange& exchange) {
    Fields fields{{"Cache-Control", "no-cache"}, {"ETag", "\"v1\""}};
    switch (++turn) {
      case 1:
        return exchange.respond(200, fields, "first");
      case 2:
        return exchange.respond(500, {}, "broken");
      case 3:
        // Without a condition there is nothing to judge: the stored response was dropped, which is safe.
        if (!exchange.request().fields.has("If-None-Match")) return exchange.respond(200, fields, "full");
        return exchange.respond(304, {{"Cache-Control", "max-age=60"}, {"ETag", "\"v9\""}});
      default:
        return exchange.respond(200, fields, "full");
    }
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  CHECK(proxy.get("/").body == "first");
  CHECK(proxy.get("/").status == 500);
  Response third = proxy.get("/");
  CHECK(third.status == 200);
  CHECK(third.body == "full");
}

TEST_CASE("validation: a client's condition on what isn't stored is left to the upstream or answered rightly") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    bool same = exchange.request().fields["If-None-Match"] == "\"v1\"";
    exchange.respond(same ? 304 : 200, {{"Cache-Control", "max-age=60"}, {"ETag", "\"v1\""}}, same ? "" : "body");
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  CHECK(proxy.get("/", {{"If-None-Match", "\"v1\""}}).status == 304);
  Response full = proxy.get("/");
  CHECK(full.status == 200);
  CHECK(full.body == "body");
}

TEST_CASE("validation: other conditions and ranges pass, and a part is never stored as the whole") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    if (exchange.request().fields.has("Range")) {
      return exchange.respond(206, {{"Cache-Control", "max-age=60"}, {"Content-Range", "bytes 0-1/4"}}, "bo");
    }
    exchange.respond(200, {{"Cache-Control", "max-age=60"}}, "body");
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  Response part = proxy.get("/", {{"Range", "bytes=0-1"}});
  CHECK(((part.status == 206 && part.body == "bo") || (part.status == 200 && part.body == "body")));
  CHECK(proxy.get("/").body == "body");
}
