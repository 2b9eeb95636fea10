// Cache-Groups and Cache-Group-Invalidation (RFC 9875).
#include "integration.hpp"

namespace {

/// Members of the groups that a path names: /g/a,b is of "a" and "b". POST names the groups to invalidate likewise.
Handler grouped() {
  return [](Exchange& exchange) {
    exchange.read_body();
    const std::string& target = exchange.request().target;
    std::string groups;
    std::string names = target.substr(target.rfind('/') + 1);
    for (std::size_t at = 0; at <= names.size();) {
      auto end = std::min(names.find(',', at), names.size());
      groups += (groups.empty() ? "\"" : ", \"") + names.substr(at, end - at) + "\"";
      at = end + 1;
    }
    if (exchange.request().method == "GET")
      return exchange.respond(200, caching("max-age=60", {{"Cache-Groups", groups}}), "x");
    exchange.respond(200, {{"Cache-Group-Invalidation", groups}}, "done");
  };
}

void fill(Pillion& proxy, const std::vector<std::string>& targets) {
  for (const std::string& target : targets) {
    CAPTURE(target);
    proxy.get(target);
    CHECK(outcome(proxy.get(target)) == "hit");
  }
}

}  // namespace

TEST_CASE("groups: a write's answer names groups, and their members are invalidated") {
  ScriptedUpstream upstream(grouped());
  Pillion proxy(caching_config(upstream.endpoint()));
  struct Row {
    std::string named;
    std::vector<std::string> gone, stay;
  };
  const Row rows[] = {
      {"a", {"/g/a", "/g/a,b", "/g/b,a"}, {"/g/b", "/g/c", "/g/A", "/g/aa"}},
      {"a,c", {"/g/a", "/g/c", "/g/a,b"}, {"/g/b", "/g/A"}},
      {"nobody", {}, {"/g/a", "/g/b"}},
  };
  for (const Row& row : rows) {
    for (std::string method : {"POST", "PUT", "M-SEARCH"}) {
      CAPTURE(row.named);
      CAPTURE(method);
      fill(proxy, row.gone);
      fill(proxy, row.stay);
      CHECK(proxy.request(method, "/write/" + row.named, {}, "x").status == 200);
      for (const std::string& target : row.gone) CHECK(outcome(proxy.get(target)) != "hit");
      for (const std::string& target : row.stay) CHECK(outcome(proxy.get(target)) == "hit");
    }
  }
}

TEST_CASE("groups: they are of one origin") {
  ScriptedUpstream upstream(grouped());
  Pillion proxy(caching_config(upstream.endpoint()));
  const Fields other{{"Host", "other.test"}};
  const Fields port{{"Host", "app.test:8080"}};
  for (const Fields& host : {Fields{}, other, port}) {
    proxy.get("/g/a", host);
    CHECK(outcome(proxy.get("/g/a", host)) == "hit");
  }
  CHECK(proxy.request("POST", "/write/a", {}, "x").status == 200);
  CHECK(outcome(proxy.get("/g/a")) != "hit");
  CHECK(outcome(proxy.get("/g/a", other)) == "hit");
  CHECK(outcome(proxy.get("/g/a", port)) == "hit");
}

TEST_CASE("groups: answers to safe requests invalidate nothing") {
  ScriptedUpstream upstream(grouped());
  upstream.answer("/read",
                  [](Exchange& exchange) { exchange.respond(200, {{"Cache-Group-Invalidation", "\"a\""}}, "x"); });
  Pillion proxy(caching_config(upstream.endpoint()));
  fill(proxy, {"/g/a"});
  for (std::string method : {"GET", "HEAD", "OPTIONS"}) {
    CAPTURE(method);
    CHECK(proxy.request(method, "/read").status == 200);
    CHECK(outcome(proxy.get("/g/a")) == "hit");
  }
  CHECK(proxy.request("POST", "/read").status == 200);
  CHECK(outcome(proxy.get("/g/a")) != "hit");
}

TEST_CASE("groups: a structured list of strings, or nothing") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  struct Row {
    std::string why;
    Fields groups, invalidation;
    bool invalidates;
  };
  const Row rows[] = {
      {"parameters mean nothing", {{"Cache-Groups", "\"a\";x=1"}}, {{"Cache-Group-Invalidation", "\"a\";y"}}, true},
      {"white space", {{"Cache-Groups", "\"b\" ,\t\"a\""}}, {{"Cache-Group-Invalidation", "\"a\" , \"c\""}}, true},
      {"lines",
       {{"Cache-Groups", "\"b\""}, {"Cache-Groups", "\"a\""}},
       {{"Cache-Group-Invalidation", "\"c\""}, {"Cache-Group-Invalidation", "\"a\""}},
       true},
      {"a comma within", {{"Cache-Groups", "\"a,b\""}}, {{"Cache-Group-Invalidation", "\"a,b\""}}, true},
      {"a comma within is no other", {{"Cache-Groups", "\"a,b\""}}, {{"Cache-Group-Invalidation", "\"a\""}}, false},
      {"escapes", {{"Cache-Groups", "\"a\\\"b\""}}, {{"Cache-Group-Invalidation", "\"a\\\"b\""}}, true},
      {"no list: an open quote", {{"Cache-Groups", "\"a"}}, {{"Cache-Group-Invalidation", "\"a\""}}, false},
      {"no list: it ends in a comma", {{"Cache-Groups", "\"a\""}}, {{"Cache-Group-Invalidation", "\"a\","}}, false},
      {"no list: an open quote there", {{"Cache-Groups", "\"a\""}}, {{"Cache-Group-Invalidation", "\"a"}}, false},
      {"a token is no string", {{"Cache-Groups", "a"}}, {{"Cache-Group-Invalidation", "\"a\""}}, false},
      {"a token is no string there", {{"Cache-Groups", "\"a\""}}, {{"Cache-Group-Invalidation", "a"}}, false},
      {"empty", {{"Cache-Groups", "\"a\""}}, {{"Cache-Group-Invalidation", ""}}, false},
  };
  int n = 0;
  for (const Row& row : rows) {
    CAPTURE(row.why);
    std::string target = "/member" + std::to_string(n++) + "/";
    upstream.answer(target, cacheable("x", row.groups));
    fill(proxy, {target});
    upstream.answer("/write", [&](Exchange& exchange) {
      exchange.read_body();
      exchange.respond(200, row.invalidation, "done");
    });
    CHECK(proxy.request("POST", "/write", {}, "x").status == 200);
    CHECK((outcome(proxy.get(target)) != "hit") == row.invalidates);
  }
}

TEST_CASE("groups: 32 groups of 32 characters each are all known") {
  std::string all;
  std::string last;
  for (int i = 0; i < 32; ++i) {
    last = std::string(30, 'g') + (i < 10 ? "0" : "") + std::to_string(i);
    all += (i == 0 ? "\"" : ", \"") + last + "\"";
  }
  ScriptedUpstream upstream(cacheable("x", {{"Cache-Groups", all}}));
  Pillion proxy(caching_config(upstream.endpoint()));
  fill(proxy, {"/"});
  upstream.answer("/write", [&](Exchange& exchange) {
    exchange.read_body();
    exchange.respond(200, {{"Cache-Group-Invalidation", "\"" + last + "\""}}, "done");
  });
  proxy.request("POST", "/write", {}, "x");
  CHECK(outcome(proxy.get("/")) != "hit");
  fill(proxy, {"/"});
  upstream.answer("/write", [&](Exchange& exchange) {
    exchange.read_body();
    std::string others;
    for (int i = 0; i < 31; ++i) others += "\"other" + std::to_string(i) + "\", ";
    exchange.respond(200, {{"Cache-Group-Invalidation", others + "\"" + last + "\""}}, "done");
  });
  proxy.request("POST", "/write", {}, "x");
  CHECK(outcome(proxy.get("/")) != "hit");
}

TEST_CASE("groups: a group and a tag of the same name are two things") {
  ScriptedUpstream upstream(grouped());
  upstream.answer("/tagged", cacheable("x", {{"Cache-Tag", "a"}}));
  Pillion proxy(caching_config(upstream.endpoint()));
  fill(proxy, {"/g/a", "/tagged"});
  proxy.request("POST", "/write/a", {}, "x");
  CHECK(outcome(proxy.get("/tagged")) == "hit");
  fill(proxy, {"/g/a"});
  proxy.invalidate(R"({"tags": ["a"]})");
  CHECK(outcome(proxy.get("/g/a")) == "hit");
  CHECK(outcome(proxy.get("/tagged")) != "hit");
}
