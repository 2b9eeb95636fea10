// The query cache's names: paths, keys, selectors, and how long a caller waits.
#include "core/query_key.hpp"

#include <doctest/doctest.h>

#include "core/route_table.hpp"

using namespace pillion;
using namespace std::chrono_literals;

namespace {

QueryKey key_of(std::string_view id, std::string_view type = "character") { return query_key({type, id}); }

bool selected(const Selector& selector, std::string_view id, const std::vector<std::string>& tags = {}) {
  const QueryKey key = key_of(id);
  return selects(selector, query_selectors("character", key.readable, tags), key.readable);
}

}  // namespace

TEST_CASE("query paths: a type, and an id of one segment or none") {
  const auto target = parse_query_path("/query/character/char%2F1");
  REQUIRE(target);
  CHECK(target->type == "character");
  CHECK(target->id == "char%2F1");
  CHECK(parse_query_path("/query/character").value().id.empty());
  for (const char* path : {"", "/", "/query", "/query/", "/query//x", "/query/character/", "/query/character/a/b",
                           "/query/character/a/", "/queries/character/a", "query/character/a"}) {
    CAPTURE(path);
    CHECK_FALSE(parse_query_path(path));
  }
}

TEST_CASE("query keys: as parameters in routes' keys, whoever encoded them") {
  CHECK(key_of("char_123").readable == "character:char_123");
  CHECK(key_of("a b:c*").readable == "character:a%20b%3Ac%2A");
  CHECK(key_of("a%20b%3Ac%2A").primary_key == key_of("a b:c*").primary_key);
  CHECK(key_of("1", "a").hash != key_of("1", "b").hash);
  const Template route("character:{id}", {"id"});
  for (const std::string id : {"char_123", "a b", "%zz", "%2f", "\xff"})
    CHECK(key_of(id).readable == route.fill({id}, Template::Encode::key));
}

TEST_CASE("query keys: a long id has its hash in the name and stands whole in the key") {
  const std::string id(300, 'x');
  const QueryKey key = key_of(id);
  CHECK(key.readable.size() == 10 + 32);
  CHECK(key.primary_key.find(id) != std::string::npos);
  CHECK(key_of(key.readable.substr(10)).primary_key != key.primary_key);
}

TEST_CASE("query keys: what names a value or its type, and what names responses too") {
  const Selector one = query_selector("character", "character:1"), type = query_type_selector("character");
  CHECK(selected(one, "1"));
  CHECK_FALSE(selected(one, "2"));
  CHECK(selected(type, "1"));
  CHECK_FALSE(selected(query_type_selector("char"), "1"));
  CHECK_FALSE(selected(query_type_selector("character/character:1"), "1"));
  CHECK(selected({Selector::Kind::tag, "character:1"}, "1"));
  CHECK(selected({Selector::Kind::tag, "more"}, "1", {"other", "more"}));
  CHECK(selected({Selector::Kind::pattern, "character:*"}, "1"));
  CHECK(selected({Selector::Kind::all, {}}, "1"));
  CHECK_FALSE(selected({Selector::Kind::url, "/query/character/1"}, "1"));
  const auto response = selectors_of({"character:1"}, "http", "h", "/query/character/1", "", false);
  CHECK_FALSE(selects(one, response, "character:1:0123"));
  CHECK_FALSE(selects(type, response, "character:1:0123"));
}

TEST_CASE("query keys: told from other names in Redis by their form") {
  for (const char* name : {"character:1", "a.b-c_d:%20", "t:0123456789abcdef0123456789abcdef"})
    CHECK(is_query_key(name));
  for (const char* name : {"", "character", ":1", "character:", "a:b:c", "pillion:log", "a b:c", "a:b c", "a:b/c"}) {
    CAPTURE(name);
    CHECK_FALSE(is_query_key(name));
  }
}

TEST_CASE("query waits: a duration within bounds") {
  const std::pair<const char*, std::chrono::milliseconds> good[] = {
      {"", 1s}, {"wait=0s", 0s}, {"wait=250ms", 250ms}, {"wait=30s", 30s}, {"wait=0m", 0s}, {"wait=30000ms", 30s}};
  for (const auto& [query, wait] : good) {
    CAPTURE(query);
    CHECK(parse_query_wait(query) == wait);
  }
  for (const char* query :
       {"wait=", "wait=1", "wait=s", "wait=-1s", "wait=31s", "wait=1m", "wait=1s&x", "wait=1s&wait=1s", "x=1",
        "wait=99999999999999999999s", "wait=4294967295m", "wait= 1s", "Wait=1s", "wait=1S"}) {
    CAPTURE(query);
    CHECK_FALSE(parse_query_wait(query));
  }
}
