// Which routes hide which: path patterns that match all that another matches.
#include "config/earlier_patterns.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "unit/core/random_values.hpp"

using namespace pillion::config;
using pillion::test::Random;

namespace {

const EarlierPatterns::Conditions none;

bool covers(const std::string& earlier, const std::string& later) {
  EarlierPatterns patterns;
  patterns.add(segments_of(earlier), none, 7);
  const auto found = patterns.covering(segments_of(later), none);
  CHECK((!found || *found == 7));
  return found.has_value();
}

}  // namespace

TEST_CASE("earlier_patterns: a pattern covers another where it matches all that the other matches") {
  struct {
    const char *earlier, *later;
    bool covers;
  } const pairs[] = {
      {"/**", "/", true},         {"/**", "/a/{b}", true},     {"/a/**", "/a", true},
      {"/a/**", "/b", false},     {"/a/**", "/ab", false},     {"/a/*", "/a/b", true},
      {"/a/{x}", "/a/*", true},   {"/a/*", "/a/", false},      {"/a/b", "/a/{x}", false},
      {"/{x}/b", "/a/b", true},   {"/{x}/b", "/a/c", false},   {"/a/*", "/a/**", false},
      {"/a/**", "/a/b/**", true}, {"/a/b/**", "/a/**", false}, {"/a/*/**", "/a/**", false},
      {"/a", "/a/", false},       {"/a/*/**", "/a/b", true},   {"/**", "/**", true},
      {"/", "/", true},           {"/*", "/", false},
  };
  for (const auto& pair : pairs) {
    CAPTURE(pair.earlier);
    CAPTURE(pair.later);
    CHECK(covers(pair.earlier, pair.later) == pair.covers);
  }
}

TEST_CASE("earlier_patterns: a route hides another only where it is asked whenever the other is") {
  const std::vector<Segment> all = segments_of("/**"), one = segments_of("/a");
  EarlierPatterns patterns;
  patterns.add(all, {"", "a.example"}, 0);
  patterns.add(all, {"egress", ""}, 1);
  CHECK_FALSE(patterns.covering(one, {"", ""}).has_value());
  CHECK_FALSE(patterns.covering(one, {"", "b.example"}).has_value());
  CHECK(patterns.covering(one, {"", "a.example"}) == 0);
  CHECK(patterns.covering(one, {"egress", "b.example"}) == 1);
  patterns.add(all, {"", ""}, 2);
  CHECK(patterns.covering(one, {"", "b.example"}) == 2);
  CHECK(patterns.covering(one, {"", "a.example"}) == 0);
}

TEST_CASE("earlier_patterns: the first of many that cover it is named, as comparing with each one would") {
  const char* const words[] = {"a", "b", "{x}", "*", ""};
  pillion::test::for_each_seed(300, [&](Random& random) {
    std::vector<std::string> texts;
    EarlierPatterns patterns;
    for (std::size_t n = 0; n < 30; ++n) {
      std::string text;
      for (std::size_t depth = random.below(4) + 1; depth > 0; --depth) {
        const std::string word = words[random.below(5)];
        text += "/" + (depth > 1 && word.empty() ? std::string("a") : word);  // an empty segment may end a path
      }
      if (random.once_in(4)) text += "/**";
      std::optional<std::size_t> expected;
      for (std::size_t j = 0; j < texts.size() && !expected; ++j) {
        if (covers(texts[j], text)) expected = j;
      }
      CAPTURE(text);
      REQUIRE(patterns.covering(segments_of(text), none) == expected);
      patterns.add(segments_of(text), none, n);
      texts.push_back(text);
    }
  });
}
