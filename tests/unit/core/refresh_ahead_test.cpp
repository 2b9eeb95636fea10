// When a hit refreshes ahead.
#include "core/refresh_ahead.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "random_values.hpp"

using namespace pillion;

namespace {

constexpr std::uint64_t earliest = ~std::uint64_t{0};

}  // namespace

TEST_CASE("refresh ahead: only in the share of the lifetime that is named, and while it is fresh") {
  CHECK_FALSE(is_due_ahead(10'001, 100'000, 0.1, 100, earliest));
  CHECK(is_due_ahead(9'999, 100'000, 0.1, 100, earliest));
  CHECK(is_due_ahead(1, 100'000, 0.1, 100, earliest));
  CHECK_FALSE(is_due_ahead(0, 100'000, 0.1, 100, earliest));
  CHECK_FALSE(is_due_ahead(-5, 100'000, 0.1, 100, earliest));
  CHECK_FALSE(is_due_ahead(5, 100'000, 0, 100, earliest));
}

TEST_CASE("refresh ahead: what is asked for seldom is left to expire") {
  for (std::uint64_t hits = 0; hits < hot_hits; ++hits) CHECK_FALSE(is_due_ahead(1, 100'000, 0.1, hits, earliest));
  CHECK(is_due_ahead(1, 100'000, 0.1, hot_hits, earliest));
}

TEST_CASE("refresh ahead: each lot has its own moment, from which on it is due") {
  constexpr std::uint64_t half = std::uint64_t{1} << 63;
  CHECK_FALSE(is_due_ahead(5'100, 100'000, 0.1, 100, half));
  CHECK(is_due_ahead(4'900, 100'000, 0.1, 100, half));
  CHECK_FALSE(is_due_ahead(1, 100'000, 0.1, 100, 0));  // this one never
  pillion::test::for_each_seed(200, [](pillion::test::Random& random) {
    const std::uint64_t draw = random.bits();
    bool was = false;
    for (std::int64_t ttl = 12'000; ttl > 0; ttl -= 100) {
      const bool is = is_due_ahead(ttl, 100'000, 0.1, 100, draw);
      REQUIRE((is || !was));
      was = is;
    }
  });
}

// Replicas with an answer to every hit, which hear of another's refresh 20 ms after it began.
TEST_CASE("refresh ahead: of ten replicas seldom more than one refreshes, though all are asked all the time") {
  pillion::test::Random random(1);
  int refreshes = 0;
  constexpr int rounds = 500;
  for (int round = 0; round < rounds; ++round) {
    std::vector<std::uint64_t> draws(10);
    for (std::uint64_t& draw : draws) draw = random.bits();
    std::int64_t heard_at = -1;
    for (std::int64_t ttl = 10'000; ttl > heard_at; ttl -= 5) {
      for (std::uint64_t& draw : draws) {
        if (!is_due_ahead(ttl, 100'000, 0.1, 100, draw)) continue;
        ++refreshes;
        draw = 0;
        if (heard_at < 0) heard_at = std::max<std::int64_t>(ttl - 20, 0);
      }
    }
  }
  CHECK(refreshes >= rounds);
  CHECK(refreshes < rounds * 11 / 10);
}
