// Validation (RFC 9110 13; RFC 9111 4.3): conditions of clients, 304s that freshen, HEAD, and what fails on the way.
#include "integration.hpp"

namespace {

const std::string modified = "Sun, 06 Nov 1994 08:49:37 GMT";

/// Stale by ten seconds from the start, with a validator.
Fields stale(const std::string& etag, const Fields& more = {}) {
  Fields fields = caching("max-age=10", {{"Age", "20"}, {"ETag", etag}});
  for (const auto& [name, value] : more) fields.add(name, value);
  return fields;
}

/// 304 with `confirming` to a request that has `etag` among its If-None-Match, else 200 with `fields`.
Handler confirms(std::string etag, Fields fields, Fields confirming, std::string body = "body") {
  return [=](Exchange& exchange) {
    bool same = exchange.request().fields["If-None-Match"].find(etag) != std::string::npos;
    exchange.respond(same ? 304 : 200, same ? confirming : fields, same ? "" : body);
  };
}

}  // namespace

TEST_CASE("revalidation: If-None-Match of a client, in all its forms") {
  ScriptedUpstream upstream;
  upstream.answer("/strong", cacheable("body", {{"ETag", "\"v1\""}, {"Last-Modified", modified}}));
  upstream.answer("/weak", cacheable("body", {{"ETag", "W/\"v1\""}}));
  upstream.answer("/none", cacheable("body", {{"Last-Modified", modified}}));
  Pillion proxy(caching_config(upstream.endpoint()));
  for (std::string target : {"/strong", "/weak", "/none"}) proxy.get(target);
  struct Row {
    std::string target;
    Fields fields;
    int status;
  };
  const Row rows[] = {
      {"/strong", {{"If-None-Match", "\"v1\""}}, 304},
      {"/strong", {{"If-None-Match", "W/\"v1\""}}, 304},
      {"/weak", {{"If-None-Match", "\"v1\""}}, 304},
      {"/weak", {{"If-None-Match", "W/\"v1\""}}, 304},
      {"/strong", {{"If-None-Match", "\"v0\", \"v1\""}}, 304},
      {"/strong", {{"If-None-Match", "\"v0\",,\t\"v1\" ,"}}, 304},
      {"/strong", {{"If-None-Match", "\"v0\""}, {"If-None-Match", "\"v1\""}}, 304},
      {"/strong", {{"If-None-Match", "*"}}, 304},
      {"/none", {{"If-None-Match", "*"}}, 304},
      {"/none", {{"If-None-Match", "\"v1\""}}, 200},
      {"/strong", {{"If-None-Match", "\"V1\""}}, 200},
      {"/strong", {{"If-None-Match", "\"v1 \""}}, 200},
      {"/strong", {{"If-None-Match", "v1"}}, 200},
      {"/strong", {{"If-None-Match", "w/\"v1\""}}, 200},
      {"/strong", {{"If-None-Match", "\"a,\"v1\",b\""}}, 200},
      {"/strong", {{"If-None-Match", "\"v2\""}, {"If-Modified-Since", modified}}, 200},
      {"/strong", {{"If-None-Match", "\"v1\""}, {"If-Modified-Since", "Sat, 05 Nov 1994 08:49:37 GMT"}}, 304},
  };
  for (const Row& row : rows) {
    for (std::string method : {"GET", "HEAD"}) {
      std::string fields = row.target + " " + row.fields.to_string();
      CAPTURE(fields);
      CAPTURE(method);
      Response response = proxy.request(method, row.target, row.fields);
      CHECK(response.status == row.status);
      CHECK(outcome(response) == "hit");
    }
  }
  CHECK(upstream.count() == 3);
}

TEST_CASE("revalidation: If-Modified-Since of a client, in each format of a date, against Last-Modified or Date") {
  ScriptedUpstream upstream;
  upstream.answer("/modified", cacheable("body", {{"Last-Modified", modified}}));
  upstream.answer("/dated", cacheable("body", {{"Date", http_date(-10)}}));
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/modified");
  proxy.get("/dated");
  struct Row {
    std::string target, date;
    int status;
  };
  const Row rows[] = {
      {"/modified", modified, 304},
      {"/modified", "Sunday, 06-Nov-94 08:49:37 GMT", 304},
      {"/modified", "Sun Nov  6 08:49:37 1994", 304},
      {"/modified", "Sun, 06 Nov 1994 08:49:38 GMT", 304},
      {"/modified", "Sun, 06 Nov 1994 08:49:36 GMT", 200},
      {"/modified", "Saturday, 05-Nov-94 08:49:37 GMT", 200},
      {"/modified", "Sun, 06 Nov 1994 08:49:37 UTC", 200},
      {"/modified", "784111777", 200},
      {"/modified", "", 200},
      {"/dated", http_date(0), 304},
      {"/dated", http_date(-3600), 200},
  };
  for (const Row& row : rows) {
    CAPTURE(row.target);
    CAPTURE(row.date);
    Response response = proxy.get(row.target, {{"If-Modified-Since", row.date}});
    CHECK(response.status == row.status);
    CHECK(outcome(response) == "hit");
  }
  CHECK(upstream.count() == 2);
}

TEST_CASE("revalidation: conditions are nothing where the answer without them would be no success") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  for (int status : {301, 404, 410}) {
    CAPTURE(status);
    std::string target = "/" + std::to_string(status);
    upstream.answer(target, numbered(caching("max-age=60", {{"ETag", "\"v1\""}, {"Last-Modified", modified}}), status));
    proxy.get(target);
    for (const Fields& fields : {Fields{{"If-None-Match", "\"v1\""}}, Fields{{"If-Modified-Since", modified}}}) {
      Response response = proxy.get(target, fields);
      CHECK(outcome(response) == "hit");
      CHECK(response.status == status);
      CHECK(response.body == "1");
    }
  }
}

TEST_CASE("revalidation: a 304 from the store has what a client's copy may need, and no body") {
  ScriptedUpstream upstream(cacheable("body", {{"ETag", "\"v1\""},
                                               {"Expires", http_date(60)},
                                               {"Vary", "X-Own"},
                                               {"Content-Location", "/here"},
                                               {"Content-Type", "text/own"}}));
  Pillion proxy(caching_config(upstream.endpoint()));
  Response full = proxy.get("/");
  Response response = proxy.get("/", {{"If-None-Match", "\"v1\""}});
  REQUIRE(response.status == 304);
  for (std::string name : {"ETag", "Cache-Control", "Expires", "Vary", "Content-Location"}) {
    CAPTURE(name);
    CHECK(response[name] == full[name]);
  }
  CHECK(response.fields.count("Date") == 1);
  CHECK(response.fields.count("Age") == 1);
  CHECK(response.framing == BodyReader::Framing::none);
  CHECK_FALSE(response.fields.has("Transfer-Encoding"));
}

TEST_CASE("revalidation: If-Match and If-Unmodified-Since are the upstream's to judge") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    const Fields& fields = exchange.request().fields;
    bool asked = fields.has("If-Match") || fields.has("If-Unmodified-Since");
    exchange.respond(asked ? 412 : 200, caching("max-age=60", {{"ETag", "\"v1\""}}), "body");
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  std::size_t asked = 1;
  for (const Fields& fields : {Fields{{"If-Match", "\"v1\""}}, Fields{{"If-Unmodified-Since", modified}}}) {
    for (std::string method : {"GET", "HEAD", "PUT"}) {
      CAPTURE(method);
      Response response = proxy.request(method, "/", fields);
      CHECK(response.status == 412);
      REQUIRE(upstream.count() == ++asked);
      for (const auto& [name, value] : fields) CHECK(upstream.requests().back().fields[name] == value);
    }
  }
  CHECK(outcome(proxy.get("/")) == "hit");  // the 412 replaced nothing
}

TEST_CASE("revalidation: the upstream is asked with the stored validators, whatever the client has") {
  Fields fields = stale("\"v1\"", {{"Last-Modified", modified}});
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  struct Row {
    std::string why;
    Fields request;
    int status;
  };
  const Row rows[] = {
      {"nothing", {}, 200},
      {"the same", {{"If-None-Match", "\"v1\""}}, 304},
      {"an older one", {{"If-None-Match", "\"v0\""}}, 200},
      {"the same date", {{"If-Modified-Since", modified}}, 304},
      {"an older date", {{"If-Modified-Since", "Sat, 05 Nov 1994 08:49:37 GMT"}}, 200},
  };
  int n = 0;
  for (const Row& row : rows) {
    CAPTURE(row.why);
    std::string target = "/" + std::to_string(n++) + "/";
    upstream.answer(target, confirms("\"v1\"", fields, fields));
    proxy.get(target);
    Response response = proxy.get(target, row.request);
    CHECK(response.status == row.status);
    if (row.status == 200) CHECK(response.body == "body");
    auto requests = upstream.requests(target);
    REQUIRE(requests.size() == 2);
    CHECK(requests[1].fields["If-None-Match"].find("\"v1\"") != std::string::npos);
  }
}

TEST_CASE("revalidation: a 304 freshens the stored fields, but not those that describe the body") {
  ScriptedUpstream upstream(confirms("\"v1\"",
                                     stale("\"v1\"", {{"X-Kept", "old"},
                                                      {"X-Changed", "old"},
                                                      {"X-Lines", "1"},
                                                      {"X-Lines", "2"},
                                                      {"Content-Type", "text/own"},
                                                      {"Content-Language", "en"}}),
                                     caching("max-age=60", {{"ETag", "\"v1\""},
                                                            {"X-Changed", "new"},
                                                            {"X-Lines", "3"},
                                                            {"X-Added", "new"},
                                                            {"Content-Type", "text/other"},
                                                            {"Content-Encoding", "gzip"},
                                                            {"Content-Range", "bytes 0-1/4"},
                                                            {"Content-Length", "999"}})));
  Pillion proxy(caching_config(upstream.endpoint()));
  CHECK(proxy.get("/")["X-Changed"] == "old");
  Response revalidated = proxy.get("/");
  CHECK(cache_status(revalidated).detail == "revalidated");
  CHECK(cache_status(revalidated).forward == "stale");
  CHECK(cache_status(revalidated).forward_status == 304);
  Response hit = proxy.get("/");
  CHECK(detailed(hit) == stored_hit());
  for (const Response* response : {&revalidated, &hit}) {
    const Response& r = *response;
    CHECK(r.status == 200);
    CHECK(r.body == "body");
    CHECK(r["Content-Length"] == "4");
    CHECK(r["Content-Type"] == "text/own");
    CHECK(r["Content-Language"] == "en");
    CHECK_FALSE(r.fields.has("Content-Encoding"));
    CHECK_FALSE(r.fields.has("Content-Range"));
    CHECK(r["X-Kept"] == "old");
    CHECK(r.fields.all("X-Changed") == std::vector<std::string>{"new"});
    CHECK(r.fields.all("X-Lines") == std::vector<std::string>{"3"});
    CHECK(r["X-Added"] == "new");
    CHECK(r["Cache-Control"] == "max-age=60");
    CHECK(std::stol(r["Age"]) < 20);
  }
  CHECK(upstream.count() == 2);
}

TEST_CASE("revalidation: a 304 that forbids storing ends the reuse") {
  ScriptedUpstream upstream(confirms("\"v1\"", stale("\"v1\""), caching("no-store", {{"ETag", "\"v1\""}})));
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  CHECK(proxy.get("/").body == "body");
  CHECK(outcome(proxy.get("/")) != "hit");
  CHECK(upstream.count() == 3);
}

TEST_CASE("revalidation: a 304 freshens every stored response that the request selects and that has its strong tag") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  upstream.answer([](Exchange& exchange) { exchange.respond(200, stale("\"s\"", {{"Vary", "X-A"}}), "by a"); });
  proxy.get("/", {{"X-A", "1"}, {"X-B", "0"}});
  upstream.answer([](Exchange& exchange) { exchange.respond(200, stale("\"s\"", {{"Vary", "X-B"}}), "by b"); });
  proxy.get("/", {{"X-A", "0"}, {"X-B", "1"}});
  upstream.answer(confirms("\"s\"", stale("\"s\""), caching("max-age=60", {{"ETag", "\"s\""}})));
  CHECK(cache_status(proxy.get("/", {{"X-A", "1"}, {"X-B", "1"}})).detail == "revalidated");
  std::size_t asked = upstream.count();
  CHECK(eventually([&] { return outcome(proxy.get("/", {{"X-A", "1"}, {"X-B", "9"}})) == "hit"; }));
  CHECK(proxy.get("/", {{"X-A", "1"}, {"X-B", "9"}}).body == "by a");
  CHECK(proxy.get("/", {{"X-A", "9"}, {"X-B", "1"}}).body == "by b");
  CHECK(upstream.count() == asked);
}

TEST_CASE("revalidation: other variants with the same strong tag are freshened with it") {
  ScriptedUpstream upstream(confirms("\"same\"", stale("\"same\"", {{"Vary", "X-V"}}),
                                     caching("max-age=60", {{"ETag", "\"same\""}, {"Vary", "X-V"}})));
  Pillion proxy(caching_config(upstream.endpoint()));
  for (std::string v : {"1", "2"}) {
    upstream.answer("/", [](Exchange& exchange) {
      exchange.respond(200, stale("\"same\"", {{"Vary", "X-V"}}), "for " + exchange.request().fields["X-V"]);
    });
    proxy.get("/", {{"X-V", v}});
  }
  upstream.answer("/", confirms("\"same\"", {}, caching("max-age=60", {{"ETag", "\"same\""}, {"Vary", "X-V"}})));
  CHECK(cache_status(proxy.get("/", {{"X-V", "1"}})).detail == "revalidated");
  std::size_t asked = upstream.count();
  Response second = proxy.get("/", {{"X-V", "2"}});
  CHECK(second.body == "for 2");
  CHECK(outcome(second) == "hit");
  CHECK(upstream.count() == asked);
}

TEST_CASE("revalidation: variants with another tag, or a weak one, stay as they were") {
  for (std::string kind : {"\"v", "W/\"v"}) {
    CAPTURE(kind);
    std::string tag = kind == "W/\"v" ? "W/\"v\"" : "";
    auto tag_of = [tag](const Exchange& exchange) {
      return tag.empty() ? "\"v" + exchange.request().fields["X-V"] + "\"" : tag;
    };
    ScriptedUpstream upstream([tag_of](Exchange& exchange) {
      exchange.respond(200, stale(tag_of(exchange), {{"Vary", "X-V"}}), exchange.request().fields["X-V"]);
    });
    Pillion proxy(caching_config(upstream.endpoint()));
    proxy.get("/", {{"X-V", "1"}});
    proxy.get("/", {{"X-V", "2"}});
    upstream.answer([tag_of](Exchange& exchange) {
      exchange.respond(304, caching("max-age=60", {{"ETag", tag_of(exchange)}, {"Vary", "X-V"}}));
    });
    CHECK(proxy.get("/", {{"X-V", "1"}}).body == "1");
    std::size_t asked = upstream.count();
    CHECK(proxy.get("/", {{"X-V", "2"}}).body == "2");
    CHECK(upstream.count() == asked + 1);
  }
}

TEST_CASE("revalidation: what has no validator is fetched whole") {
  ScriptedUpstream upstream(turns(caching("max-age=10, stale-if-error=600", {{"Age", "20"}})));
  Pillion proxy(caching_config(upstream.endpoint()));
  CHECK(proxy.get("/")["X-Turn"] == "1");
  Response second = proxy.get("/");
  CHECK(second["X-Turn"] == "2");
  CHECK(cache_status(second).forward == "stale");
  CHECK(cache_status(second).forward_status == 200);
  for (std::string name : {"If-None-Match", "If-Modified-Since"}) {
    CHECK_FALSE(upstream.requests().back().fields.has(name));
  }
}

TEST_CASE("revalidation: an error on the way is passed on, and what is stored can be confirmed later") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  for (int status : {500, 502, 503, 504}) {
    CAPTURE(status);
    std::string target = "/" + std::to_string(status);
    upstream.answer(target, numbered(stale("\"v1\"")));
    proxy.get(target);
    upstream.answer(target, numbered({}, status));
    Response failed = proxy.get(target);
    CHECK(failed.status == status);
    CHECK(cache_status(failed).forward == "stale");
    CHECK(cache_status(failed).forward_status == status);
    CHECK_FALSE(cache_status(failed).stored);
    upstream.answer(target, confirms("\"v1\"", {}, caching("max-age=60", {{"ETag", "\"v1\""}}), "fetched"));
    Response later = proxy.get(target);
    CHECK(later.status == 200);
    CHECK(later.body == "1");
    CHECK(cache_status(later).detail == "revalidated");
  }
}

TEST_CASE("revalidation: HEAD freshens a stored GET that it describes, and outdates one that it doesn't") {
  struct Row {
    std::string why;
    int status;
    std::string tag, length;  ///< of what HEAD speaks of
    std::string after;        ///< X-Own of the GET that follows: as stored, freshened, or fetched anew
  };
  const Row rows[] = {
      {"the same", 200, "\"v1\"", "4", "freshened"},
      {"another tag", 200, "\"v2\"", "4", "fetched"},
      {"another length", 200, "\"v1\"", "5", "fetched"},
      {"a 404 speaks of the resource", 404, "\"v1\"", "4", "fetched"},
      {"a 410 speaks of the resource", 410, "\"v1\"", "4", "fetched"},
      {"a redirection speaks of the resource", 301, "\"v1\"", "4", "fetched"},
      {"a 503 says nothing of it", 503, "\"v2\"", "9", "stored"},
      {"a 500 says nothing of it", 500, "\"v1\"", "4", "stored"},
      {"a 403 says nothing of it", 403, "\"v2\"", "9", "stored"},
  };
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  int n = 0;
  for (const Row& row : rows) {
    CAPTURE(row.why);
    std::string target = "/" + std::to_string(n++) + "/";
    const auto answers = [](const std::string& own) { return cacheable("body", {{"ETag", "\"v1\""}, {"X-Own", own}}); };
    upstream.answer(target, answers("stored"));
    CHECK(proxy.get(target)["X-Own"] == "stored");
    upstream.answer(target, [&](Exchange& exchange) {
      if (exchange.request().method != "HEAD") return answers("fetched")(exchange);
      const Fields more{{"ETag", row.tag}, {"Content-Length", row.length}, {"X-Own", "freshened"}};
      exchange.respond(row.status, caching("max-age=60", more));
    });
    // One connection: what a HEAD changes is changed before the next request of it.
    HttpClient client = proxy.connect();
    Response head = client.request("HEAD", target, caching("no-cache"));
    CHECK(head.status == row.status);
    CHECK(head["X-Own"] == "freshened");
    CHECK(upstream.count(target) == 2);
    Response get = client.get(target);
    CHECK(get.status == 200);
    CHECK(get.body == "body");
    CHECK(get["X-Own"] == row.after);
    CHECK((outcome(get) == "hit") == (row.after != "fetched"));
    CHECK(upstream.count(target) == (row.after == "fetched" ? 3u : 2u));
  }
}

TEST_CASE("revalidation: HEAD of what is stale asks the upstream, and a GET may use what it said") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    bool head = exchange.request().method == "HEAD";
    if (head && exchange.request().fields.has("If-None-Match"))
      return exchange.respond(304, caching("max-age=60", {{"ETag", "\"v1\""}}));
    exchange.respond(200, head ? caching("max-age=60", {{"ETag", "\"v1\""}}) : stale("\"v1\""), "body");
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  proxy.get("/");
  Response head = proxy.request("HEAD", "/");
  CHECK(head.status == 200);
  CHECK(head["Content-Length"] == "4");
  CHECK(upstream.requests().back().method == "HEAD");
  std::size_t asked = upstream.count();
  bool hit = eventually([&] { return outcome(proxy.get("/")) == "hit"; });
  CHECK(hit);
  CHECK(upstream.count("/") == asked);
}
