#include "core/route_table.hpp"

#include <doctest/doctest.h>

#include <optional>
#include <random>
#include <stdexcept>

#include "core/hash.hpp"
#include "core/headers.hpp"

using namespace pillion;

namespace {

config::Route route(std::string path, std::string host = {}, std::string listener = {}) {
  config::Route out;
  out.name = path + "@" + host + "@" + listener;
  out.path = std::move(path);
  out.host = std::move(host);
  out.listener = std::move(listener);
  return out;
}

config::Config config_of(std::vector<config::Route> routes) {
  config::Config out;
  out.routes = std::move(routes);
  return out;
}

constexpr int none = -1;

int index_of(const RouteTable& table, std::string_view path, std::string_view host = "h",
             std::string_view listener = {}) {
  RouteMatch match;
  table.match(listener, host, path, match);
  return match.route == nullptr ? none : static_cast<int>(match.route->index);
}

/// What the table must agree with: every route in order, its segments compared one by one.
std::vector<std::string> split(std::string_view path) {
  std::vector<std::string> out;
  std::size_t start = 1;
  while (true) {
    const std::size_t slash = path.find('/', start);
    out.emplace_back(path.substr(start, slash - start));
    if (slash == std::string_view::npos) return out;
    start = slash + 1;
  }
}

bool path_matches(const std::string& pattern, const std::string& path) {
  std::vector<std::string> wanted = split(pattern);
  const std::vector<std::string> got = split(path);
  const bool rest = wanted.back() == "**";
  if (rest) wanted.pop_back();
  if (got.size() < wanted.size() || (!rest && got.size() != wanted.size())) return false;
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    const bool any = wanted[i] == "*" || wanted[i].starts_with('{');
    if (any ? got[i].empty() : wanted[i] != got[i]) return false;
  }
  return true;
}

int reference(const std::vector<config::Route>& routes, const std::string& path, const std::string& host,
              const std::string& listener) {
  bool named = false;
  for (const config::Route& r : routes) named |= !r.listener.empty() && r.listener == listener;
  for (std::size_t i = 0; i < routes.size(); ++i) {
    const config::Route& r = routes[i];
    if (r.listener != (named ? listener : "")) continue;
    if (!r.host.empty() && !iequals(r.host, host)) continue;
    if (path_matches(r.path, path)) return static_cast<int>(i);
  }
  return none;
}

}  // namespace

TEST_CASE("a path goes to the first route in the file that matches it") {
  const RouteTable table(config_of({
      route("/api/characters/{id}"),     // 0
      route("/api/characters/special"),  // 1: hidden by 0
      route("/api/**"),                  // 2
      route("/api/status"),              // 3: hidden by 2
      route("/static/*/{file}"),         // 4
      route("/exact/"),                  // 5
      route("/exact"),                   // 6
      route("/"),                        // 7
      route("/x/{a}/y/{b}/**"),          // 8
      route("/x/one/y/two/three"),       // 9: hidden by 8
  }));
  struct {
    const char* path;
    int expected;
  } const cases[] = {
      {"/api/characters/char_1", 0},
      {"/api/characters/special", 0},
      {"/api/characters/", 2},
      {"/api/characters", 2},
      {"/api/characters/a/b", 2},
      {"/api", 2},
      {"/api/", 2},
      {"/api/status", 2},
      {"/apis", none},
      {"/API", none},
      {"/static/v1/app.js", 4},
      {"/static//app.js", none},
      {"/static/v1/", none},
      {"/exact/", 5},
      {"/exact", 6},
      {"/exact//", none},
      {"/", 7},
      {"//", none},
      {"", none},
      {"*", none},
      {"/x/1/y/2", 8},
      {"/x/1/y/2/", 8},
      {"/x/one/y/two/three", 8},
      {"/x/1/z/2", none},
      {"/%61pi", none},
  };
  for (const auto& c : cases) {
    CAPTURE(c.path);
    CHECK(index_of(table, c.path) == c.expected);
  }
}

TEST_CASE("the catch-all matches every path, the asterisk of OPTIONS too") {
  const RouteTable table(config_of({route("/a"), route("/**")}));
  for (const char* path : {"/", "/b", "/a/", "//", "*", "/a/b/c/d"}) CHECK(index_of(table, path) == 1);
  CHECK(index_of(table, "/a") == 0);
}

TEST_CASE("path parameters are the segments as received") {
  const RouteTable table(config_of({route("/a/{x}/*/{y}/**"), route("/{only}")}));
  CHECK(RouteTable::parameter_names("/a/{x}/*/{y}/**") == std::vector<std::string>{"x", "y"});
  RouteMatch match;
  table.match({}, "h", "/a/%31/skip/two%2Fthree/rest/of/it", match);
  REQUIRE(match.route != nullptr);
  CHECK(match.parameters == std::vector<std::string_view>{"%31", "two%2Fthree"});
  table.match({}, "h", "/one", match);
  REQUIRE(match.route != nullptr);
  CHECK(match.parameters == std::vector<std::string_view>{"one"});
  table.match({}, "h", "/one/two", match);
  CHECK(match.route == nullptr);
  CHECK(match.parameters.empty());
}

TEST_CASE("a route's host is compared whatever its case, without port or final dot") {
  const RouteTable table(
      config_of({route("/**", "API.example.com"), route("/only", "other"), route("/v6", "[::1]"), route("/**")}));
  CHECK(index_of(table, "/a", "api.example.com") == 0);
  CHECK(index_of(table, "/a", "Api.Example.Com:8080") == 0);
  CHECK(index_of(table, "/a", "api.example.com.") == 0);
  CHECK(index_of(table, "/a", "api.example.com.:80") == 0);
  CHECK(index_of(table, "/a", "xapi.example.com") == 3);
  CHECK(index_of(table, "/a", "") == 3);
  CHECK(index_of(table, "/only", "other:1") == 1);
  CHECK(index_of(table, "/only/more", "other") == 3);
  CHECK(index_of(table, "/v6", "[::1]:8080") == 2);
  CHECK(index_of(table, "/v6", "[::1]") == 2);
  CHECK(index_of(table, "/v6", "[::2]") == 3);
  CHECK(index_of(table, "/v6", "[") == 3);
}

TEST_CASE("a listener that routes name is theirs alone") {
  const RouteTable table(config_of({route("/a", "", "egress"), route("/**"), route("/b", "", "egress")}));
  CHECK(index_of(table, "/a", "h", "egress") == 0);
  CHECK(index_of(table, "/b", "h", "egress") == 2);
  CHECK(index_of(table, "/c", "h", "egress") == none);
  CHECK(index_of(table, "/a", "h", "") == 1);
  CHECK(index_of(table, "/a", "h", "named-but-by-no-route") == 1);
}

TEST_CASE("on random tables the trie agrees with a look through the whole list") {
  std::mt19937 random(20240521);
  const auto pick = [&](const std::vector<std::string>& from) {
    return from[std::uniform_int_distribution<std::size_t>(0, from.size() - 1)(random)];
  };
  const std::vector<std::string> pattern_segments{"a", "b", "c", "*", "{p}", "{q}", ""};
  const std::vector<std::string> path_segments{"a", "b", "c", "d", "", "*", "{p}"};
  const std::vector<std::string> hosts{"", "", "one", "two"}, listeners{"", "", "", "x", "y"};
  int matched = 0;
  for (int round = 0; round < 300; ++round) {
    std::vector<config::Route> routes;
    const int size = std::uniform_int_distribution(1, 40)(random);
    for (int i = 0; i < size; ++i) {
      std::string path;
      for (int n = std::uniform_int_distribution(0, 5)(random); n > 0; --n) path += "/" + pick(pattern_segments);
      if (path.empty() || random() % 4 == 0) path += "/**";
      routes.push_back(route(path, pick(hosts), pick(listeners)));
    }
    const RouteTable table(config_of(routes));
    for (int i = 0; i < 100; ++i) {
      std::string path;
      for (int n = std::uniform_int_distribution(1, 6)(random); n > 0; --n) path += "/" + pick(path_segments);
      const std::string host = pick({"one", "TWO", "three"}), listener = pick({"", "x", "y", "z"});
      const int expected = reference(routes, path, host, listener);
      CAPTURE(path);
      REQUIRE(index_of(table, path, host, listener) == expected);
      matched += expected != none;
    }
  }
  CHECK(matched > 3000);  // or the test says little
}

TEST_CASE("a table of every mix of literals and parameters finds the first") {
  std::vector<config::Route> routes;
  for (unsigned mix = 0; mix < 1024; ++mix) {
    std::string path;
    for (unsigned bit = 0; bit < 10; ++bit) path += (mix >> bit) & 1 ? "/a" : "/*";
    routes.push_back(route(path + (mix == 1023 ? "" : "/end")));
  }
  const RouteTable table(config_of(routes));
  CHECK(index_of(table, "/a/a/a/a/a/a/a/a/a/a") == 1023);
  CHECK(index_of(table, "/a/a/a/a/a/a/a/a/a/a/end") == 0);
  CHECK(index_of(table, "/a/a/a/a/a/a/a/a/a/b/end") == 0);
  CHECK(index_of(table, "/b/b/b/b/b/b/b/b/b/b") == none);
}

TEST_CASE("templates are filled with values made safe for keys") {
  const std::vector<std::string> names{"id", "part"};
  const Template text("c:{id}:{part}!", names);
  const std::string long_value(257, 'x'), fitting(256, 'x');
  struct {
    std::string value, expected;
  } const cases[] = {
      {"char_123", "char_123"},
      {"A-Z.a~z_0", "A-Z.a~z_0"},
      {"%c3%A9", "%c3%A9"},
      {"%zz%2", "%25zz%252"},
      {"a:b", "a%3Ab"},
      {"*?[", "%2A%3F%5B"},
      {"\xc3\xa9 \r\n", "%C3%A9%20%0D%0A"},
      {std::string("\0", 1), "%00"},
      {"", ""},
      {fitting, fitting},
      {long_value, to_hex(hash128(long_value))},
      {std::string(86, ':'), to_hex(hash128(std::string(86, ':')))},  // 258 bytes once encoded
  };
  for (const auto& c : cases) {
    CAPTURE(c.value);
    CHECK(text.fill({c.value, "p"}, Template::Encode::key) == "c:" + c.expected + ":p!");
    CHECK(text.fill({c.value, "p"}, Template::Encode::raw) == "c:" + c.value + ":p!");
  }
  CHECK(Template("plain", {}).fill({}, Template::Encode::key) == "plain");
  CHECK(Template("{id}{id}", {"id"}).fill({"1"}, Template::Encode::raw) == "11");
  CHECK_THROWS_AS(Template("{nope}", names), std::invalid_argument);
  CHECK_THROWS_AS(Template("{id", names), std::invalid_argument);
}

TEST_CASE("a route is compiled with its upstream, its parameters and its invalidations") {
  config::Config config = config_of({route("/a/{id}"), route("/b")});
  config.upstreams.resize(2);
  config.upstreams[0].name = "app";
  config.upstreams[1].name = "images";
  config.routes[0].upstream = "images";
  config.routes[0].key = "thing:{id}";
  config.routes[0].tags = {"t:{id}"};
  config.routes[0].invalidate = {{{"put", "PATCH"}, {"x:{id}"}, {"y:{id}:*"}, {"/a/{id}"}}};
  config.routes[1].upstream = "app";
  RouteTable built(config);
  const RouteTable table(std::move(built));
  const CompiledRoute& first = table.routes()[0];
  CHECK(first.upstream == 1);
  CHECK(table.routes()[1].upstream == 0);
  CHECK(first.key.fill({"7"}, Template::Encode::key) == "thing:7");
  REQUIRE(first.invalidate.size() == 1);
  CHECK(first.invalidate[0].methods == std::vector<std::string>{"PUT", "PATCH"});
  CHECK(first.invalidate[0].patterns[0].fill({"*"}, Template::Encode::key) == "y:%2A:*");
  CHECK(index_of(table, "/b") == 1);
  config.routes[1].upstream = "unknown";
  CHECK_THROWS_AS(RouteTable{config}, std::invalid_argument);
}
