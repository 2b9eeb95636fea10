// What an invalidation has made useless in memory is taken out; what may still be of use stays.
#include "flow/memory_sweep.hpp"

#include <doctest/doctest.h>

#include <array>
#include <string>
#include <vector>

#include "core/cache_key.hpp"
#include "core/vary_marker.hpp"

using namespace pillion;

namespace {

struct Fixture {
  MemoryStore memory{16u << 20, 1u << 20};
  LocalOrder order;
  std::array<std::mutex, 4> locks;
  MemorySweep sweep{memory, order, locks};

  StoredResponsePtr make(const std::string& key, const std::vector<std::string>& tags, bool strong = false) {
    const std::string readable = "api:test:" + key;
    const auto selectors = selectors_of(tags, "http", "h", "/" + key, "", false);
    StoredParts parts;
    parts.meta.status = 200;
    parts.meta.has_strong_etag = strong;
    parts.primary_key = key;
    parts.readable_key = readable;
    parts.head = "HTTP/1.1 200 OK\r\n";
    parts.selectors = selectors;
    parts.position = order.latest();
    return StoredResponse::make(parts);
  }
  void put(const std::string& key, const std::vector<std::string>& tags, bool strong = false) {
    memory.store(hash128(key), make(key, tags, strong));
  }
  bool has(const std::string& key) const { return memory.contains(hash128(key)); }

  /// A URL with its marker and one variant.
  void put_variant(const std::string& key, const std::string& variant, const std::vector<std::string>& tags) {
    const Hash128 place = hash128(key);
    const StoredResponsePtr old = memory.find(place, key);
    VaryMarker marker = read_marker(old.get());
    note_variant(marker, "accept", hash128(variant), 64);
    const MarkerBytes bytes = write_marker(marker);
    StoredParts parts;
    parts.primary_key = key;
    parts.head = bytes.head;
    parts.body = bytes.body;
    parts.vary_marker = true;
    memory.store(place, StoredResponse::make(parts));
    memory.store(variant_place(place, hash128(variant)), make(key + variant, tags));
  }
  bool has_variant(const std::string& key, const std::string& variant) const {
    return memory.contains(variant_place(hash128(key), hash128(variant)));
  }

  void invalidate(Selector::Kind kind, const std::string& text, Strength strength = Strength::hard) {
    const std::vector<Selector> selectors{{kind, text}};
    order.invalidate(selectors, strength, 1);
  }
  MemoryStore::Swept round() {
    MemoryStore::Swept swept;
    while (sweep.step(64, swept)) {
    }
    return swept;
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "memory sweep: what was invalidated is taken out, the rest stays") {
  for (int i = 0; i < 1000; ++i) put("k" + std::to_string(i), {i % 4 == 0 ? "fours" : "others"});
  const std::size_t before = memory.figures().bytes;
  CHECK_FALSE(sweep.is_due());
  invalidate(Selector::Kind::tag, "fours");
  CHECK(sweep.is_due());
  const MemoryStore::Swept swept = round();
  CHECK(swept.entries == 250);
  CHECK(memory.figures().entries == 750);
  CHECK(memory.figures().bytes == before - swept.bytes);
  CHECK_FALSE(has("k0"));
  CHECK(has("k1"));
  CHECK_FALSE(sweep.is_due());
}

TEST_CASE_FIXTURE(Fixture, "memory sweep: what was fetched since stays") {
  put("a", {"t"});
  put("b", {"t"});
  invalidate(Selector::Kind::tag, "t");
  put("b", {"t"});
  CHECK(round().entries == 1);
  CHECK_FALSE(has("a"));
  CHECK(has("b"));
}

TEST_CASE_FIXTURE(Fixture, "memory sweep: what may still validate, or is stale at most, stays") {
  put("strong", {"t"}, true);
  put("soft", {"s"});
  put("suspect", {});
  invalidate(Selector::Kind::tag, "s", Strength::soft);
  order.suspect("api:test:suspect", 0);
  order.suspect_all();
  CHECK_FALSE(sweep.is_due());
  invalidate(Selector::Kind::tag, "t");
  CHECK(round().entries == 0);
  CHECK(has("strong"));
  CHECK(has("soft"));
  CHECK(has("suspect"));
}

TEST_CASE_FIXTURE(Fixture, "memory sweep: an invalidation during a round begins another") {
  for (int i = 0; i < 500; ++i) put("k" + std::to_string(i), {"a" + std::to_string(i % 2)});
  invalidate(Selector::Kind::tag, "a0");
  MemoryStore::Swept swept;
  REQUIRE(sweep.step(1, swept));
  CHECK_FALSE(sweep.is_due());
  invalidate(Selector::Kind::all, "");
  CHECK(sweep.is_due());
  while (sweep.step(64, swept)) {
  }
  CHECK(sweep.is_due());
  while (sweep.step(64, swept)) {
  }
  CHECK(swept.entries == 500);
  CHECK_FALSE(sweep.is_due());
}

TEST_CASE_FIXTURE(Fixture, "memory sweep: a marker goes with the last of its variants") {
  for (int i = 0; i < 300; ++i) {
    const std::string key = "k" + std::to_string(i);
    put_variant(key, "x", {"x"});
    put_variant(key, "y", {"y"});
  }
  invalidate(Selector::Kind::tag, "x");
  CHECK(round().entries == 300);
  CHECK(has("k7"));
  CHECK_FALSE(has_variant("k7", "x"));
  CHECK(has_variant("k7", "y"));
  invalidate(Selector::Kind::tag, "y");
  CHECK(round().entries == 600);
  CHECK(memory.figures().entries == 0);
}

TEST_CASE_FIXTURE(Fixture, "memory sweep: what it finds good needs no comparison any more") {
  put("a", {"t"});
  const StoredResponsePtr good = memory.find(hash128("a"), "a");
  invalidate(Selector::Kind::tag, "another");
  round();
  CHECK(good->checked_position() == order.latest());
}
