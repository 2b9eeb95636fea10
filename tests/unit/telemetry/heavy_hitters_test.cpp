#include "telemetry/heavy_hitters.hpp"

#include <doctest/doctest.h>

#include <map>
#include <random>

using namespace pillion;

namespace {

Hash128 key(std::uint64_t n) { return hash128(std::to_string(n)); }

std::vector<HotKey> entries(const HeavyHitters& sketch) { return {sketch.entries().begin(), sketch.entries().end()}; }

}  // namespace

TEST_CASE("heavy hitters: counts are exact while all keys have room") {
  HeavyHitters sketch(8);
  for (std::uint64_t k = 0; k < 8; ++k)
    for (std::uint64_t i = 0; i <= k; ++i) sketch.add(key(k), 1);
  CHECK(sketch.size() == 8);
  CHECK(sketch.total() == 36);
  for (const HotKey& entry : sketch.entries()) {
    CHECK(entry.error == 0);
    bool found = false;
    for (std::uint64_t k = 0; k < 8; ++k) found = found || (entry.key == key(k) && entry.count == k + 1);
    CHECK(found);
  }
}

TEST_CASE("heavy hitters: every key asked for more often than total / capacity is held, and no count is too low") {
  HeavyHitters sketch(64);
  std::mt19937_64 random(7);
  std::map<std::uint64_t, std::uint64_t> truth;
  for (int i = 0; i < 200'000; ++i) {
    // Some hot keys in a stream of ever new ones.
    const std::uint64_t k = random() % 4 == 0 ? random() % 10 : 1000 + random() % 100'000;
    ++truth[k];
    sketch.add(key(k), 1);
  }
  CHECK(sketch.size() == 64);
  std::map<Hash128, std::uint64_t> by_hash;
  for (const auto& [k, n] : truth) by_hash[key(k)] = n;
  std::map<Hash128, HotKey> held;
  for (const HotKey& entry : sketch.entries()) held[entry.key] = entry;
  for (const auto& [hash, n] : by_hash)
    if (n > sketch.total() / sketch.capacity()) CHECK(held.contains(hash));
  for (const auto& [hash, entry] : held) {
    CHECK(entry.count >= by_hash[hash]);
    CHECK(entry.count - entry.error <= by_hash[hash]);
  }
}

TEST_CASE("heavy hitters: what came in later starts with nothing of the one that it replaced") {
  HeavyHitters sketch(1);
  HotKey& first = sketch.add(key(1), 5);
  first.name = "first";
  first.hits = 5;
  const HotKey& second = sketch.add(key(2), 1);
  CHECK(second.name.empty());
  CHECK(second.hits == 0);
  CHECK(second.count == 6);
  CHECK(second.error == 5);
}

TEST_CASE("heavy hitters: what was hot long ago gives way") {
  HeavyHitters sketch(4);
  sketch.add(key(1), HeavyHitters::fade_at);
  sketch.add(key(2), 10);
  CHECK(sketch.entries()[0].count == HeavyHitters::fade_at / 2);
  CHECK(sketch.entries()[1].count == 10);
  CHECK(sketch.total() == HeavyHitters::fade_at / 2 + 10);
}

TEST_CASE("heavy hitters: several workers' sketches add up, and what one may have overlooked is its error") {
  HeavyHitters a(2), b(2);
  a.add(key(1), 100).name = "one";
  a.add(key(2), 10);
  b.add(key(1), 50);
  b.add(key(3), 40).hits = 7;
  const std::vector<std::vector<HotKey>> sketches{entries(a), entries(b)};
  const std::vector<std::uint64_t> floors{a.floor(), b.floor()};
  CHECK(floors == std::vector<std::uint64_t>{10, 40});
  const std::vector<HotKey> merged = merge_hot_keys(sketches, floors, 2);
  REQUIRE(merged.size() == 2);
  CHECK(merged[0].key == key(1));
  CHECK(merged[0].name == "one");
  CHECK(merged[0].count == 150);
  CHECK(merged[0].error == 0);
  CHECK(merged[1].key == key(3));
  CHECK(merged[1].count == 50);  // `a` is full: it may have forgotten 10
  CHECK(merged[1].error == 10);
  CHECK(merged[1].hits == 7);
}
