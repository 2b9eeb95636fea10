// What makes two requests one in the cache (product contract, "Cache key"; threats 6 to 8).
#include "integration.hpp"

namespace {

std::string with_route(const Endpoint& upstream, std::string_view settings, std::string_view more = {}) {
  return config_for(upstream,
                    "routes:\n  - name: r\n    path: /**\n    ttl: 60s\n" + std::string(settings) + std::string(more));
}

Handler echo() {
  return [](Exchange& exchange) {
    exchange.respond(200, {}, exchange.request().fields["Host"] + " " + exchange.request().target);
  };
}

}  // namespace

TEST_CASE("key: host, path and query tell responses apart, byte for byte") {
  ScriptedUpstream upstream(echo());
  Pillion proxy(with_route(upstream.endpoint(), ""));
  struct Row {
    std::string host;
    std::string target;
  };
  const Row rows[] = {{"a.test", "/x"},       {"b.test", "/x"},     {"a.test:8080", "/x"},    {"a.test", "/X"},
                      {"a.test", "/x?"},      {"a.test", "/x?a=1"}, {"a.test", "/x?a=1&b=2"}, {"a.test", "/x?b=2&a=1"},
                      {"a.test", "/x?a=%31"}, {"a.test", "/x/"},    {"a.test", "/%78"},       {"a.test", "/x;v=1"}};
  for (const Row& row : rows) {
    Response response = proxy.get(row.target, {{"Host", row.host}});
    CAPTURE(row.target);
    CHECK(outcome(response) == "uri-miss stored");
    CHECK(response.body == std::string(row.host) + " " + row.target);
  }
  for (const Row& row : rows) {
    Response response = proxy.get(row.target, {{"Host", row.host}});
    CAPTURE(row.target);
    CHECK(outcome(response) == "hit");
    CHECK(response.body == std::string(row.host) + " " + row.target);
  }
}

TEST_CASE("key: a host's case is no difference") {
  ScriptedUpstream upstream(numbered({}));
  Pillion proxy(with_route(upstream.endpoint(), ""));
  CHECK(proxy.get("/", {{"Host", "A.Test"}}).body == "1");
  CHECK(proxy.get("/", {{"Host", "a.test"}}).body == "1");
}

TEST_CASE("key: ignored parameters make no difference and are not sent") {
  ScriptedUpstream upstream(echo());
  Pillion proxy(with_route(upstream.endpoint(), "    query: { ignore: [utm_*, ref], sort: true }\n"));
  Response first = proxy.get("/p?b=2&utm_source=x&a=1&ref=y&b=1");
  CHECK(first.body.find("utm_") == std::string::npos);
  CHECK(first.body.find("ref=") == std::string::npos);
  CHECK(outcome(proxy.get("/p?a=1&b=2&b=1")) == "hit");
  CHECK(outcome(proxy.get("/p?a=1&b=2&b=1&utm_medium=z")) == "hit");
  CHECK(outcome(proxy.get("/p?a=1&b=1&b=2")) == "uri-miss stored");
}

TEST_CASE("key: `only` keeps the parameters that it names") {
  ScriptedUpstream upstream(echo());
  Pillion proxy(with_route(upstream.endpoint(), "    query: { only: [page] }\n"));
  CHECK(proxy.get("/p?page=1&x=2").body == "app.test /p?page=1");
  CHECK(outcome(proxy.get("/p?y=3&page=1")) == "hit");
  CHECK(outcome(proxy.get("/p?page=2")) == "uri-miss stored");
}

TEST_CASE("key: fields that a route adds tell responses apart") {
  ScriptedUpstream upstream(numbered({}));
  Pillion proxy(with_route(upstream.endpoint(), "    key_headers: [X-Tenant]\n"));
  std::string one = proxy.get("/", {{"X-Tenant", "one"}}).body;
  std::string two = proxy.get("/", {{"X-Tenant", "two"}}).body;
  std::string none = proxy.get("/").body;
  std::string empty = proxy.get("/", {{"X-Tenant", ""}}).body;
  CHECK(std::vector{one, two, none} == std::vector<std::string>{"1", "2", "3"});
  CHECK(empty != one);
  CHECK(proxy.get("/", {{"X-Tenant", "two"}}).body == two);
  CHECK(proxy.get("/").body == none);
}

TEST_CASE("key: with ignore_host one answer serves all names, fetched under the canonical one") {
  ScriptedUpstream upstream(echo());
  Pillion proxy(with_route(upstream.endpoint(), "    ignore_host: true\n", "canonical_host: canonical.test\n"));
  CHECK(proxy.get("/", {{"Host", "evil.test"}}).body == "canonical.test /");
  CHECK(outcome(proxy.get("/", {{"Host", "good.test"}})) == "hit");
}

TEST_CASE("key: the effective scheme is part of it") {
  ScriptedUpstream upstream(numbered({}));
  Pillion proxy(with_route(upstream.endpoint(), ""));
  CHECK(proxy.get("/").body == "1");
  CHECK(proxy.get("/", {{"X-Forwarded-Proto", "https"}}).body == "2");
  CHECK(proxy.get("/", {{"X-Forwarded-Host", "other.test"}}).body == "3");
}

TEST_CASE("key: paths that could be read in two ways pass as they are and are not stored") {
  ScriptedUpstream upstream(echo());
  Pillion proxy(with_route(upstream.endpoint(), ""));
  for (std::string target : {"/a/../b", "/a/./b", "/a/..", "/a//b", "//a", "/a%2Fb", "/a%2fb", "/a%00b", "/a%0ab",
                             "/a/%2e%2e/b", "/a/%2E/b", "/a%5Cb"}) {
    CAPTURE(target);
    for (int i = 0; i < 2; ++i) {
      Response response = proxy.get(target);
      CHECK(response.body == std::string("app.test ") + target);
      // A backslash is no slash for HTTP: it may be kept, apart from the others.
      if (std::string_view(target) != "/a%5Cb") CHECK_FALSE(cache_status(response).stored);
    }
  }
}
