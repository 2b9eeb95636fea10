// The recent selectors: exact while there is room, and nobody misses one that had to make room.
#include "core/recent_selectors.hpp"

#include <doctest/doctest.h>

#include <random>
#include <thread>
#include <unordered_map>
#include <vector>

using namespace pillion;

namespace {

constexpr auto nobody = [](const RecentSelectors::Entry&) { FAIL("something had to make room"); };

}  // namespace

TEST_CASE("recent selectors: each has its place and its last position") {
  RecentSelectors recent(64);
  const std::size_t place = recent.note(7, 10, nobody);
  CHECK(place < recent.places());
  CHECK(recent.place_of(7) == place);
  CHECK_FALSE(recent.place_of(8).has_value());
  CHECK_FALSE(recent.place_of(0).has_value());
  CHECK(recent.has_after(7, 9));
  CHECK_FALSE(recent.has_after(7, 10));
  CHECK_FALSE(recent.has_after(8, 0));
  CHECK(recent.note(7, 12, nobody) == place);
  CHECK(recent.has_after(7, 11));
  CHECK(recent.note(0, 13, nobody) != place);
  CHECK(recent.has_after(0, 12));
}

TEST_CASE("recent selectors: six tenths fill before one has to make room") {
  RecentSelectors recent(1u << 15);
  std::mt19937 random(3);
  for (std::size_t i = 1; i <= recent.places() * 6 / 10; ++i) recent.note(random(), i, nobody);
}

TEST_CASE("recent selectors: random ones agree with a map; who made room is told once, and is the oldest around") {
  RecentSelectors recent(4);
  std::mt19937 random(4);
  std::unordered_map<std::uint32_t, std::uint64_t> known;
  std::unordered_map<std::size_t, std::uint32_t> at;
  for (std::uint64_t position = 1; position <= 20'000; ++position) {
    const std::uint32_t hash = random() % 60 * 0x10001 + random() % 3;
    const std::size_t place = recent.note(hash, position, [&](const RecentSelectors::Entry& oldest) {
      REQUIRE(known.at(oldest.hash) == oldest.position);
      REQUIRE(at.at(oldest.place) == oldest.hash);
      known.erase(oldest.hash);
    });
    known[hash] = position;
    at[place] = hash;
    REQUIRE(known.size() <= recent.places());
    const std::uint32_t other = random() % 60 * 0x10001 + random() % 3;
    const auto it = known.find(other);
    REQUIRE(recent.place_of(other).has_value() == (it != known.end()));
    if (it == known.end()) continue;
    REQUIRE(recent.has_after(other, it->second - 1));
    REQUIRE_FALSE(recent.has_after(other, it->second));
  }
}

TEST_CASE("recent selectors: a reader finds each here or where it went, whenever it looks") {
  constexpr std::uint64_t last = 200'000;
  RecentSelectors recent(2);
  const auto gone = std::make_unique<std::atomic<std::uint64_t>[]>(256);
  std::atomic<std::uint64_t> latest{0};
  std::atomic<int> missed{0};
  const auto read = [&](unsigned seed) {
    std::mt19937 random(seed);
    for (std::uint64_t seen = 0; seen < last;) {
      seen = latest.load(std::memory_order_acquire);
      if (seen < 100) continue;
      const std::uint64_t position = seen - random() % 60;
      const auto hash = static_cast<std::uint32_t>(position % 100) * 0x10001;
      if (!recent.has_after(hash, position - 1) && gone[hash % 256].load(std::memory_order_acquire) < position)
        ++missed;
    }
  };
  std::vector<std::jthread> readers;
  for (unsigned i = 0; i < 2; ++i) readers.emplace_back(read, i);
  for (std::uint64_t position = 1; position <= last; ++position) {
    const auto hash = static_cast<std::uint32_t>(position % 100) * 0x10001;
    recent.note(hash, position, [&](const RecentSelectors::Entry& oldest) {
      std::atomic<std::uint64_t>& place = gone[oldest.hash % 256];
      if (place.load(std::memory_order_relaxed) < oldest.position)
        place.store(oldest.position, std::memory_order_release);
    });
    latest.store(position, std::memory_order_release);
  }
  readers.clear();
  CHECK(missed == 0);
}
