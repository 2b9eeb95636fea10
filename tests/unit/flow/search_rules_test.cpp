// What is remembered of No-Vary-Search (flow/search_rules.hpp).
#include "flow/search_rules.hpp"

#include <doctest/doctest.h>

using namespace pillion;

TEST_CASE("search rules: the last rule of a path, and none where there never was one") {
  SearchRules rules;
  const Hash128 path{1, 2}, other{2, 3};
  CHECK(!rules.any());
  rules.learn(path, "");
  CHECK(!rules.any());
  rules.learn(path, "first");
  rules.learn(path, "second");
  CHECK(rules.any());
  CHECK(rules.find(path) == "second");
  CHECK(rules.find(other).empty());
  rules.learn(path, "");
  CHECK(rules.find(path).empty());
}

TEST_CASE("search rules: a flood of paths makes room for itself") {
  SearchRules rules;
  std::size_t known = 0;
  for (std::uint64_t i = 0; i < 40'000; ++i) rules.learn({i, i * 7}, "rule");
  for (std::uint64_t i = 0; i < 40'000; ++i) known += rules.find({i, i * 7}).empty() ? 0 : 1;
  CHECK(known > 0);
  CHECK(known <= 16'384);
  CHECK(rules.find({39'999, 39'999 * 7}) == "rule");
}
