#include "store/memory_store.hpp"

#include <doctest/doctest.h>
#include <malloc.h>
#include <unistd.h>

#include <atomic>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <list>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "store/sieve_index.hpp"

using namespace pillion;

namespace {

std::string key_of(std::size_t n) { return "primary key " + std::to_string(n); }

StoredResponsePtr response_of(const std::string& key, std::size_t body_size, bool vary_marker = false) {
  const std::string body(body_size, 'x');
  const std::string readable = "api:test:" + key;
  StoredParts parts;
  parts.meta.status = 200;
  parts.primary_key = key;
  parts.readable_key = readable;
  parts.head = vary_marker ? "accept-encoding" : "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";
  parts.body = body;
  parts.vary_marker = vary_marker;
  return StoredResponse::make(parts);
}

bool put(MemoryStore& store, std::size_t n, std::size_t body_size) {
  const std::string key = key_of(n);
  return store.store(hash128(key), response_of(key, body_size));
}

bool has(const MemoryStore& store, std::size_t n) {
  const std::string key = key_of(n);
  return store.find(hash128(key), key) != nullptr;
}

/// What of this process is in memory, bytes.
std::size_t resident() {
  std::ifstream statm("/proc/self/statm");
  std::size_t all = 0, there = 0;
  statm >> all >> there;
  return there * static_cast<std::size_t>(::getpagesize());
}

/// The least that can stand against SIEVE: the same bytes, the same requests.
class Lru {
 public:
  explicit Lru(std::size_t capacity) : capacity_(capacity) {}
  bool get(std::size_t n) {
    const auto it = places_.find(n);
    if (it == places_.end()) return false;
    order_.splice(order_.begin(), order_, it->second);
    return true;
  }
  void put(std::size_t n, std::size_t cost) {
    for (; used_ + cost > capacity_; order_.pop_back()) {
      used_ -= order_.back().second;
      places_.erase(order_.back().first);
    }
    order_.emplace_front(n, cost);
    places_[n] = order_.begin();
    used_ += cost;
  }

 private:
  std::size_t capacity_, used_ = 0;
  std::list<std::pair<std::size_t, std::size_t>> order_;
  std::unordered_map<std::size_t, std::list<std::pair<std::size_t, std::size_t>>::iterator> places_;
};

}  // namespace

TEST_CASE("what was stored is found, by its whole key alone") {
  MemoryStore store(1u << 20, 1u << 20);
  const Hash128 hash = hash128("k");
  const auto response = response_of("k", 100);
  CHECK(store.find(hash, "k") == nullptr);
  REQUIRE(store.store(hash, response));
  CHECK(store.find(hash, "k") == response);
  CHECK(store.find(hash, "another key of the same hash") == nullptr);
  CHECK(store.find(hash128("j"), "k") == nullptr);

  SUBCASE("another key of the same hash takes its place") {
    REQUIRE(store.store(hash, response_of("other", 100)));
    CHECK(store.find(hash, "k") == nullptr);
    CHECK(store.find(hash, "other") != nullptr);
    CHECK(store.figures().entries == 1);
  }
  SUBCASE("a newer response takes its place, and only its cost is counted") {
    const auto newer = response_of("k", 5000);
    REQUIRE(store.store(hash, newer));
    CHECK(store.find(hash, "k") == newer);
    CHECK(store.figures().entries == 1);
    CHECK(store.figures().bytes == SieveIndex::cost(*newer));
  }
  SUBCASE("erasing asks for the very response") {
    store.erase(hash, response_of("k", 100).get());
    CHECK(store.find(hash, "k") == response);
    store.erase(hash, response.get());
    CHECK(store.find(hash, "k") == nullptr);
    CHECK(store.figures().bytes == 0);
    CHECK(store.figures().entries == 0);
    store.erase(hash, response.get());
  }
  SUBCASE("a vary marker is an entry like others") {
    const auto marker = response_of("m", 0, true);
    REQUIRE(store.store(hash128("m"), marker));
    CHECK(store.find(hash128("m"), "m")->is_vary_marker());
  }
  SUBCASE("clearing leaves nothing") {
    for (std::size_t n = 0; n < 1000; ++n) REQUIRE(put(store, n, 10));
    store.clear();
    CHECK(store.figures().entries == 0);
    CHECK(store.figures().bytes == 0);
    CHECK(!has(store, 5));
    CHECK(put(store, 5, 10));
    CHECK(has(store, 5));
  }
}

TEST_CASE("what is too large is refused and evicts nothing") {
  MemoryStore store(64u << 10, 10'000);
  REQUIRE(put(store, 1, 100));
  const std::size_t head = response_of("k", 0)->head().size();
  CHECK(!store.store(hash128("k"), response_of("k", 10'000 - head + 1)));
  CHECK(store.store(hash128("k"), response_of("k", 10'000 - head)));
  store.resize(64u << 10, 1u << 20);
  CHECK(!put(store, 2, 64u << 10));  // larger than everything
  CHECK(has(store, 1));
  CHECK(store.figures().evictions == 0);
  MemoryStore none(0, 1u << 20);
  CHECK(!put(none, 1, 1));
}

TEST_CASE("the whole capacity is usable, by one large object too, whatever its shard") {
  constexpr std::size_t capacity = 64u << 20;  // 16 shards of 4 MiB
  MemoryStore store(capacity, capacity);
  for (std::size_t n = 0; n < 5; ++n) {
    CHECK(put(store, n, 40u << 20));
    CHECK(has(store, n));
  }
  CHECK(store.figures().entries == 1);
  for (std::size_t n = 100; n < 70'000; ++n) put(store, n, 1000);
  CHECK(store.figures().bytes <= capacity);
  CHECK(store.figures().bytes > capacity - 2000);
}

TEST_CASE("the capacity is never exceeded, whatever happens") {
  for (const std::size_t capacity : {3'000u, 100'000u, 20'000'000u}) {
    CAPTURE(capacity);
    MemoryStore store(capacity, 1u << 20);
    std::mt19937 random(7);
    std::size_t limit = capacity;
    for (int i = 0; i < 20'000; ++i) {
      const std::size_t n = random() % 3000;
      switch (random() % 8) {
        case 0:
          has(store, n);
          break;
        case 1: {
          const std::string key = key_of(n);
          const auto found = store.find(hash128(key), key);
          if (found) store.erase(hash128(key), found.get());
          break;
        }
        case 2:
          if (random() % 500 == 0) store.resize(limit = capacity / (1 + random() % 4), 1u << 20);
          break;
        default:
          put(store, n, random() % 50 == 0 ? random() % 100'000 : random() % 2'000);
      }
      REQUIRE(store.figures().bytes <= limit);
    }
    std::size_t entries = 0, bytes = 0;
    store.for_each([&](const StoredResponsePtr& r) {
      ++entries;
      bytes += SieveIndex::cost(*r);
    });
    CHECK(entries == store.figures().entries);
    CHECK(bytes == store.figures().bytes);
  }
}

TEST_CASE("a smaller bound evicts at once, a larger one makes room") {
  MemoryStore store(1u << 20, 1u << 20);
  for (std::size_t n = 0; n < 500; ++n) put(store, n, 1000);
  store.resize(100'000, 1u << 20);
  CHECK(store.figures().bytes <= 100'000);
  CHECK(store.figures().bytes > 95'000);
  CHECK(store.figures().evictions > 300);
  store.resize(40u << 20, 1u << 20);
  for (std::size_t n = 0; n < 20'000; ++n) REQUIRE(put(store, n, 1000));
  for (std::size_t n = 0; n < 20'000; ++n) REQUIRE(has(store, n));
}

TEST_CASE("what is asked for again survives a single scan of ten times the capacity, unlike in an LRU") {
  // Small: one shard. Large: all of them.
  for (const std::size_t capacity : {2u << 20, 80u << 20}) {
    CAPTURE(capacity);
    constexpr std::size_t body = 1000;
    MemoryStore store(capacity, 1u << 20);
    Lru lru(capacity);
    const std::size_t cost = SieveIndex::cost(*response_of(key_of(1), body));
    const std::size_t hot = capacity / cost / 10, scan = 10 * capacity / cost;
    std::size_t sieve_hits = 0, lru_hits = 0, asked = 0;
    for (std::size_t n = 0; n < hot; ++n) {
      put(store, n, body);
      has(store, n);
      lru.put(n, cost);
    }
    // One hot request every 30 cold ones: an LRU loses a hot entry before its turn comes again.
    for (std::size_t cold = 0, next = 0; cold < scan; ++cold) {
      put(store, 1'000'000 + cold, body);
      lru.put(1'000'000 + cold, cost);
      if (cold % 30 != 0) continue;
      const std::size_t n = next++ % hot;
      ++asked;
      if (has(store, n))
        ++sieve_hits;
      else
        put(store, n, body);
      if (lru.get(n))
        ++lru_hits;
      else
        lru.put(n, cost);
    }
    MESSAGE("hits of the hot set: SIEVE ", sieve_hits, ", LRU ", lru_hits, " of ", asked);
    CHECK(sieve_hits > asked * 9 / 10);
    CHECK(lru_hits < sieve_hits / 2);
  }
}

TEST_CASE("SIEVE takes the oldest that nobody asked for, and forgets a visit after one round") {
  SieveIndex index(16);
  std::size_t ignored = 0;
  std::vector<std::string> keys;
  for (std::size_t n = 0; n < 4; ++n) {
    keys.push_back(key_of(n));
    index.insert(hash128(keys[n]), response_of(keys[n], 10), 160, ignored);
  }
  const auto visit = [&](std::size_t n) { return index.find(hash128(keys[n]), keys[n]) != nullptr; };
  const auto evict = [&] {
    std::size_t freed = 0;
    const auto gone = index.evict(freed);
    CHECK(freed == (gone ? 160 : 0));
    return gone ? std::string(gone->primary_key()) : "";
  };
  REQUIRE(visit(0));
  REQUIRE(visit(2));
  CHECK(evict() == keys[1]);
  CHECK(evict() == keys[3]);  // 2 was visited; the hand has passed it
  CHECK(evict() == keys[0]);
  CHECK(evict() == keys[2]);
  CHECK(evict() == "");
  CHECK(index.size() == 0);
}

TEST_CASE("the hand goes on from where it was when the entry it points to is removed") {
  SieveIndex index(16);
  std::size_t freed = 0;
  std::vector<StoredResponsePtr> all;
  for (std::size_t n = 0; n < 5; ++n) {
    all.push_back(response_of(key_of(n), 10));
    index.insert(hash128(key_of(n)), all[n], 160, freed);
  }
  CHECK(index.find(hash128(key_of(0)), key_of(0)) == all[0]);
  CHECK(index.evict(freed) == all[1]);
  CHECK(index.erase(hash128(key_of(2)), all[2].get(), freed) == all[2]);
  index.insert(hash128(key_of(5)), response_of(key_of(5), 10), 160, freed);  // in the slot that became free
  CHECK(index.evict(freed) == all[3]);
  CHECK(index.evict(freed) == all[4]);
}

TEST_CASE("every entry is shown once, and responses outlive their removal") {
  MemoryStore store(64u << 20, 1u << 20);
  for (std::size_t n = 0; n < 3000; ++n) put(store, n, 10);
  std::set<std::string> seen;
  std::vector<StoredResponsePtr> kept;
  store.for_each([&](const StoredResponsePtr& r) {
    CHECK(seen.insert(std::string(r->primary_key())).second);
    kept.push_back(r);
    store.erase(hash128(r->primary_key()), r.get());  // no lock is held
  });
  CHECK(seen.size() == 3000);
  CHECK(store.figures().entries == 0);
  CHECK(kept.front()->body() == "xxxxxxxxxx");
}

TEST_CASE("several threads may do everything at once") {
  constexpr std::size_t capacity = 8u << 20;
  MemoryStore store(capacity, 1u << 20);
  std::atomic<bool> wrong{false}, stop{false};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      std::mt19937 random(t);
      for (int i = 0; i < 20'000; ++i) {
        const std::size_t n = random() % 2000;
        const std::string key = key_of(n);
        const auto found = store.find(hash128(key), key);
        if (found && found->primary_key() != key) wrong = true;
        if (!found || random() % 4 == 0) store.store(hash128(key), response_of(key, random() % 8000));
        if (found && random() % 16 == 0) store.erase(hash128(key), found.get());
        if (store.figures().bytes > capacity) wrong = true;
      }
    });
  }
  threads.emplace_back([&] {
    while (!stop) {
      std::size_t entries = 0;
      store.for_each([&](const StoredResponsePtr& r) { entries += r->body().size() < 8000; });
      store.resize(entries % 2 ? capacity / 2 : capacity, 1u << 20);
    }
  });
  for (std::size_t i = 0; i + 1 < threads.size(); ++i) threads[i].join();
  stop = true;
  threads.back().join();
  CHECK(!wrong);
  store.clear();
  CHECK(store.figures().bytes == 0);
}

TEST_CASE("an entry costs little beside its head and body") {
  const auto response = response_of(key_of(12345), 1000);
  const std::size_t beyond =
      SieveIndex::cost(*response) - response->head().size() - response->body().size() - response->primary_key().size();
  CHECK(beyond < 220);
}

#if !defined(__has_feature)
#define __has_feature(x) 0
#endif
// Sanitizers keep memory of their own beside each block.
#if !__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer)
TEST_CASE(
    "what a store says that it holds is what it takes of the process's memory, within a tenth, and a fifth after "
    "churn") {
  constexpr std::size_t capacity = 64u << 20;
  std::mt19937_64 random(1);
  const auto size = [&] { return static_cast<std::size_t>(100 * std::exp2(random() % 1000 * 0.0075)); };  // to 18 kB
  ::malloc_trim(0);
  const std::size_t before = resident();
  MemoryStore store(capacity, 1u << 20);
  std::size_t stored = 0;
  // Of other sizes than those before them some leave holes: in runs that are not empty yet, and, above 4 KiB, in
  // malloc's.
  const auto check = [&](std::size_t entries, std::size_t part) {
    for (const std::size_t end = stored + entries; stored < end; ++stored) REQUIRE(put(store, stored, size()));
    const std::size_t told = store.figures().bytes, taken = resident() - before;
    MESSAGE(stored, " stored: ", told, " bytes told, ", taken, " taken");
    CHECK(taken < told + told / part);
    CHECK(told < taken + taken / part);
  };
  check(8'000, 10);
  check(8'000, 10);
  REQUIRE(store.figures().evictions == 0);
  check(200'000, 5);  // others took the place of all, many times
  REQUIRE(store.figures().bytes > capacity - 20'000);
}
#endif

TEST_CASE("a sweep sees every entry once and takes out the useless ones, piece by piece") {
  MemoryStore store(64u << 20, 1u << 20);  // sixteen shards
  constexpr std::size_t entries = 5000;
  for (std::size_t n = 0; n < entries; ++n) REQUIRE(put(store, n, 100));
  const MemoryStore::Figures before = store.figures();
  std::multiset<std::string> seen;
  const auto is_odd = [&](const StoredResponsePtr& response) {
    seen.insert(std::string(response->primary_key()));
    return (response->primary_key().back() - '0') % 2 == 1;
  };
  MemoryStore::Cursor cursor;
  MemoryStore::Swept swept;
  std::size_t steps = 1;
  for (; store.sweep(cursor, 100, is_odd, swept); ++steps) CHECK(swept.entries <= steps * 256);
  CHECK(steps >= entries / 256);
  CHECK(seen.size() == entries);
  CHECK(std::set<std::string>(seen.begin(), seen.end()).size() == entries);
  CHECK(swept.entries == entries / 2);
  const MemoryStore::Figures after = store.figures();
  CHECK(after.entries == entries / 2);
  CHECK(after.bytes == before.bytes - swept.bytes);
  CHECK(after.evictions == before.evictions);
  for (std::size_t n = 0; n < entries; ++n) REQUIRE(has(store, n) == (n % 2 == 0));
  for (std::size_t n = 0; n < entries; ++n) REQUIRE(put(store, n, 100));
  CHECK(store.figures().bytes == before.bytes);
}

TEST_CASE("a sweep leaves what has taken the place of a useless entry meanwhile") {
  MemoryStore store(1u << 20, 1u << 20);
  REQUIRE(put(store, 1, 100));
  REQUIRE(put(store, 2, 100));
  MemoryStore::Cursor cursor;
  MemoryStore::Swept swept;
  CHECK_FALSE(store.sweep(
      cursor, 1000,
      [&](const StoredResponsePtr& response) {
        if (response->primary_key() == key_of(1)) put(store, 1, 200);
        if (response->primary_key() == key_of(2)) store.erase(hash128(key_of(2)), response.get());
        return true;
      },
      swept));
  CHECK(swept.entries == 0);
  CHECK(has(store, 1));
  CHECK_FALSE(has(store, 2));
}

TEST_CASE("looking whether something stands there is no use of it") {
  MemoryStore store(1u << 20, 1u << 20);
  REQUIRE(put(store, 1, 1000));
  CHECK(store.contains(hash128(key_of(1))));
  CHECK_FALSE(store.contains(hash128(key_of(2))));
  // The first to go is the oldest that was not asked for.
  for (std::size_t n = 2; store.figures().evictions == 0; ++n) {
    store.contains(hash128(key_of(1)));
    REQUIRE(put(store, n, 1000));
  }
  CHECK_FALSE(store.contains(hash128(key_of(1))));
}

TEST_CASE("a sweep beside those who store and evict leaves the figures right") {
  MemoryStore store(4u << 20, 1u << 20);
  std::atomic<bool> done{false};
  std::thread sweeper([&] {
    MemoryStore::Swept swept;
    while (!done) {
      MemoryStore::Cursor cursor;
      while (
          store.sweep(cursor, 64, [](const StoredResponsePtr& r) { return r->primary_key().back() % 3 == 0; }, swept)) {
      }
    }
  });
  std::vector<std::thread> writers;
  for (std::size_t w = 0; w < 3; ++w) {
    writers.emplace_back([&store, w] {
      for (std::size_t n = 0; n < 10'000; ++n) put(store, (n * 7 + w) % 3000, 500 + n % 1500);
    });
  }
  for (std::thread& writer : writers) writer.join();
  done = true;
  sweeper.join();
  std::size_t bytes = 0, entries = 0;
  store.for_each([&](const StoredResponsePtr& response) {
    bytes += SieveIndex::cost(*response);
    ++entries;
  });
  CHECK(store.figures().bytes == bytes);
  CHECK(store.figures().entries == entries);
  CHECK(bytes <= 4u << 20);
}

namespace {

// The responses here were received at the clock's beginning.
constexpr std::int64_t at_once = 0, much_later = MemoryStore::cold_age_ms + 1;

bool put_cold(MemoryStore& store, std::size_t n, std::size_t body_size, std::int64_t now_ms = at_once) {
  const std::string key = key_of(n);
  return store.store_cold(hash128(key), response_of(key, body_size), now_ms);
}

/// Whether it is there, looked at by nobody.
bool stands(const MemoryStore& store, std::size_t n) {
  const std::string key = key_of(n);
  return store.peek(hash128(key), key) != nullptr;
}

/// As many of `body_size` as a store of that capacity takes.
std::size_t fill(MemoryStore& store, std::size_t body_size) {
  std::size_t n = 0;
  while (store.figures().evictions == 0) put(store, n++, body_size);
  return n;
}

}  // namespace

TEST_CASE("what nobody has asked for takes free room alone, and is the first to make room, the last one first") {
  constexpr std::size_t body = 10'000;
  MemoryStore store(1u << 20, 1u << 20);
  for (std::size_t n = 0; n < 50; ++n) REQUIRE(put(store, n, body));
  std::size_t cold = 1000;
  while (put_cold(store, cold, body)) ++cold;
  CHECK(cold > 1030);
  CHECK(store.figures().evictions == 0);
  // Clients' next ones: none that was asked for, if but once, makes room.
  for (std::size_t n = 50; n < 60; ++n) REQUIRE(put(store, n, body));
  for (std::size_t n = 0; n < 60; ++n) CHECK(stands(store, n));
  CHECK(store.figures().evictions == 10);
  for (std::size_t n = 1000; n < cold; ++n) CHECK(stands(store, n) == (n + 10 < cold));
}

TEST_CASE("what was asked for since it was stored as cold is as hot as any") {
  constexpr std::size_t body = 10'000;
  MemoryStore store(1u << 20, 1u << 20);
  REQUIRE(put_cold(store, 1, body));
  REQUIRE(put_cold(store, 2, body));
  CHECK(has(store, 1));
  for (std::size_t n = 100; n < 250; ++n) REQUIRE(put(store, n, body));
  CHECK(stands(store, 1));
  CHECK_FALSE(stands(store, 2));
}

TEST_CASE("a look that marks nothing leaves an entry as cold as it was") {
  constexpr std::size_t body = 10'000;
  MemoryStore store(1u << 20, 1u << 20);
  REQUIRE(put(store, 1, body));
  for (int i = 0; i < 10; ++i) CHECK(stands(store, 1));
  for (std::size_t n = 100; n < 250; ++n) REQUIRE(put(store, n, body));
  CHECK_FALSE(stands(store, 1));
}

TEST_CASE(
    "in a full store the cold takes the place of what came long ago and was asked for no more, and of nothing else") {
  constexpr std::size_t body = 10'000;
  for (const std::size_t capacity : {1u << 20, 64u << 20}) {
    CAPTURE(capacity);
    MemoryStore store(capacity, 1u << 20);
    const std::size_t n = fill(store, body);
    const std::size_t evictions = store.figures().evictions;
    CHECK_FALSE(put_cold(store, n, body, MemoryStore::cold_age_ms));
    for (std::size_t i = 1; i < n; i += 2) has(store, i);
    CHECK(put_cold(store, n + 1, body, much_later));
    CHECK(stands(store, n + 1));
    CHECK(store.figures().evictions > evictions);
    for (std::size_t i = 1; i < n; i += 2) CHECK(stands(store, i));
  }
}

TEST_CASE("where all was asked for again, the cold finds no room, and no hit is forgotten for it") {
  constexpr std::size_t body = 10'000;
  MemoryStore store(1u << 20, 1u << 20);
  const std::size_t n = fill(store, body);
  for (std::size_t i = 0; i < n; ++i) has(store, i);
  for (std::size_t i = 0; i < 100; ++i) CHECK_FALSE(put_cold(store, n + i, body, much_later));
  CHECK(store.figures().evictions == 1);
}

TEST_CASE("memory store: what a cold one grew by goes with it") {
  MemoryStore store(1u << 20, 1u << 20);
  const std::string key = key_of(1);
  const auto grow = [&](std::size_t more) {
    return store.grow(hash128(key), store.peek(hash128(key), key).get(), more);
  };
  REQUIRE(put_cold(store, 1, 1000));
  const std::size_t plain = store.figures().bytes;
  REQUIRE(grow(500'000));
  CHECK(store.figures().bytes == plain + 500'000);
  // Replaced by what is as cold.
  REQUIRE(put_cold(store, 1, 1000));
  CHECK(store.figures().bytes == plain);
  // Evicted for what is as cold.
  REQUIRE(grow(500'000));
  CHECK_FALSE(put_cold(store, 2, 600'000));
  REQUIRE(put_cold(store, 2, 600'000, much_later));
  CHECK_FALSE(stands(store, 1));
  CHECK(store.figures().entries == 1);
  REQUIRE(store.erase(hash128(key_of(2)), store.peek(hash128(key_of(2)), key_of(2)).get()) > 0);
  CHECK(store.figures().bytes == 0);
}
