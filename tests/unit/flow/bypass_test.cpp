#include "flow/bypass.hpp"

#include <doctest/doctest.h>

using namespace pillion;

TEST_CASE("bypass: one route's, for a while") {
  Bypass bypass;
  CHECK_FALSE(bypass.any());
  bypass.set("a", 2000, 1000);
  CHECK(bypass.any());
  CHECK(bypass.covers("a", 1999));
  CHECK_FALSE(bypass.covers("b", 1999));
  CHECK_FALSE(bypass.covers("a", 2000));
  CHECK_FALSE(bypass.any());
}

TEST_CASE("bypass: all routes', beside one's own, and what is said last counts") {
  Bypass bypass;
  bypass.set("", 5000, 1000);
  bypass.set("a", 9000, 1000);
  CHECK(bypass.covers("b", 4999));
  CHECK_FALSE(bypass.covers("b", 5000));
  CHECK(bypass.covers("a", 8999));
  bypass.set("a", 6000, 6000);  // ended
  CHECK_FALSE(bypass.covers("a", 6000));
  CHECK_FALSE(bypass.any());
}

TEST_CASE("bypass: it says what is left") {
  Bypass bypass;
  bypass.set("", 5000, 1000);
  bypass.set("a", 3000, 1000);
  const auto entries = bypass.list(2000);
  REQUIRE(entries.size() == 2);
  CHECK(entries[0].route.empty());
  CHECK(entries[0].left_ms == 3000);
  CHECK(entries[1].route == "a");
  CHECK(entries[1].left_ms == 1000);
  CHECK(bypass.list(3000).size() == 1);
}
