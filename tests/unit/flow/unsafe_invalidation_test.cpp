// What an unsafe request invalidates.
#include "flow/unsafe_invalidation.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "unit/core/message_builder.hpp"

using namespace pillion;
using test::Lines;

namespace {
bool has(const std::vector<Selector>& selectors, Selector::Kind kind, std::string_view text) {
  return std::find(selectors.begin(), selectors.end(), Selector{kind, std::string(text)}) != selectors.end();
}
}  // namespace

TEST_CASE("its own path, and Location and Content-Location of the same origin only") {
  RequestHead head;
  head.method_name = "POST";
  head.path = "/items";
  head.scheme = "http";
  head.host = "a.example";
  const UnsafeRequest request = remember_unsafe(head, {});
  struct Row {
    const char* location;
    const char* path;
  };
  const Row rows[] = {
      {"/items/5?x=y", "/items/5"},
      {"http://a.example/items/6", "/items/6"},
      {"HTTP://A.example/items/6#f", "/items/6"},
      {"//a.example/items/7", "/items/7"},
      {"http://b.example/items/8", nullptr},
      {"https://a.example/items/9", nullptr},
      {"//b.example/items/1", nullptr},
      {"http://a.example:80/items/3", "/items/3"},
      {"../x", "/../x"},
      {"mailto:a", nullptr},
      {"items/2", "/items/2"},
      {"http://a.example", "/"},
  };
  for (const Row& row : rows) {
    for (const char* name : {"Location", "Content-Location"}) {
      CAPTURE(row.location);
      const Lines lines(std::string(name) + ": " + row.location);
      const ResponseHead response{201, "Created", 1, lines};
      const auto selectors = selectors_of_unsafe(request, {}, &response);
      CHECK(has(selectors, Selector::Kind::path, "/items"));
      CHECK(selectors.size() == (row.path ? 2 : 1));
      if (row.path) CHECK(has(selectors, Selector::Kind::path, row.path));
    }
  }
}

TEST_CASE("the route's rules for that method, with the path's parameters filled in") {
  config::Config config;
  config.upstreams.push_back({});
  config::Route route;
  route.name = "item";
  route.path = "/items/{id}";
  route.key = "item:{id}";
  route.invalidate.push_back({{"PUT"}, {"item:{id}"}, {"api:items:{id}*"}, {"/list"}});
  route.invalidate.push_back({{}, {"any"}, {}, {}});
  config.routes.push_back(route);
  const RouteTable table(config);
  RouteMatch match;
  const std::string path = "/items/a*b";
  table.match({}, {}, path, match);
  REQUIRE(match.route);
  RequestHead head;
  head.path = path;
  head.method_name = "PUT";
  auto selectors = selectors_of_unsafe(remember_unsafe(head, match), match, nullptr);
  CHECK(has(selectors, Selector::Kind::tag, "item:a*b"));
  CHECK(has(selectors, Selector::Kind::pattern, "api:items:a%2Ab*"));
  CHECK(has(selectors, Selector::Kind::url, "/list"));
  CHECK(has(selectors, Selector::Kind::tag, "any"));
  head.method_name = "DELETE";
  selectors = selectors_of_unsafe(remember_unsafe(head, match), match, nullptr);
  CHECK_FALSE(has(selectors, Selector::Kind::tag, "item:a*b"));
  CHECK(has(selectors, Selector::Kind::tag, "any"));
}

TEST_CASE("unsafe invalidation: a response names groups of the request's own origin") {
  RequestHead head;
  head.method_name = "M-SEARCH";
  head.path = "/items";
  head.scheme = "https";
  head.host = "A.example:443";
  const UnsafeRequest request = remember_unsafe(head, {});
  const Lines lines("Cache-Group-Invalidation: \"one\", \"Two\"\nCache-Groups: \"mine\"");
  const std::vector<Selector> groups = groups_invalidated_by(request, lines);
  CHECK(groups == std::vector<Selector>{group_selector("https", "a.example", "one"),
                                        group_selector("https", "a.example", "Two")});
  for (const unsigned status : {200u, 303u, 404u}) {
    const ResponseHead response{status, "", 1, lines};
    const auto selectors = selectors_of_unsafe(request, {}, &response);
    CHECK(selectors.size() == 3);
    for (const Selector& group : groups) CHECK(has(selectors, Selector::Kind::group, group.text));
  }
  CHECK(groups_invalidated_by(request, Lines("Cache-Group-Invalidation: \"one")).empty());
  CHECK(groups_invalidated_by(request, Lines("Cache-Groups: \"one\"")).empty());

  std::string many = "Cache-Group-Invalidation: \"0\"";
  for (std::size_t i = 1; i <= max_response_tags; ++i) many += ",\"" + std::to_string(i) + '"';
  CHECK(groups_invalidated_by(request, Lines(many)) == std::vector<Selector>{{Selector::Kind::all, {}}});
}

TEST_CASE("unsafe invalidation: where a route ignores the host, its groups are invalidated under every host") {
  config::Config config;
  config.upstreams.push_back({});
  config::Route route;
  route.path = "/**";
  config.routes.push_back(route);
  const Selector group = group_selector("http", "a.example:81", "g/h");
  std::vector<Selector> selectors{group};
  add_spellings(RouteTable(config), {""}, selectors);
  CHECK(selectors == std::vector<Selector>{group});
  config.routes[0].ignore_host = true;
  add_spellings(RouteTable(config), {""}, selectors);
  CHECK(selectors == std::vector<Selector>{group, group_selector("http", "", "g/h")});
}

TEST_CASE("a URL is invalidated under the spellings by which routes store it") {
  config::Config config;
  config.upstreams.push_back({});
  config::Route sorted;
  sorted.name = "sorted";
  sorted.path = "/s/**";
  sorted.query.sort = true;
  sorted.query.ignore = {"utm_*"};
  sorted.ignore_host = true;
  config.routes.push_back(sorted);
  const RouteTable table(config);
  std::vector<Selector> selectors{{Selector::Kind::url, "http://h/s/a?b=1&utm_x=2&a=3"},
                                  {Selector::Kind::url, "/other?b=1&a=2"}};
  add_spellings(table, {""}, selectors);
  CHECK(has(selectors, Selector::Kind::url, "http://h/s/a?a=3&b=1"));
  CHECK(has(selectors, Selector::Kind::url, "/s/a?a=3&b=1"));
  CHECK(selectors.size() == 4);
}
