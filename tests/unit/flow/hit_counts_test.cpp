#include "flow/hit_counts.hpp"

#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

using namespace pillion;

namespace {

ResponseMeta received(std::int64_t wall_ms) {
  ResponseMeta meta;
  meta.received_wall_ms = wall_ms;
  return meta;
}

Hash128 key(int n) { return hash128("key " + std::to_string(n)); }

}  // namespace

TEST_CASE("hit counts: each response's requests are counted by themselves") {
  HitCounts hits;
  CHECK(hits.get(key(1), received(1000)) == 0);
  for (std::uint32_t n = 1; n <= 5; ++n) CHECK(hits.add(key(1), received(1000)) == n);
  CHECK(hits.add(key(2), received(1000)) == 1);
  CHECK(hits.get(key(1), received(1000)) == 5);
  CHECK(hits.get(key(2), received(1000)) == 1);
}

TEST_CASE("hit counts: what takes a response's place begins anew") {
  HitCounts hits;
  for (int n = 0; n < 100; ++n) hits.add(key(1), received(1000));
  CHECK(hits.get(key(1), received(2000)) == 0);
  CHECK(hits.add(key(1), received(2000)) == 1);
  CHECK(hits.get(key(1), received(1000)) == 0);
}

TEST_CASE("hit counts: what is hot stays while any number of cold keys come by, and what was hot gives way") {
  HitCounts hits;
  for (int n = 0; n < 1000; ++n)
    for (int i = 0; i < 50; ++i) hits.add(key(i), received(1000));
  int cold = 0;
  for (int n = 0; n < 20'000; ++n) {
    hits.add(key(1000 + n), received(1000));
    if (n % 20 == 0) hits.add(key(n / 20 % 50), received(1000));
  }
  for (int i = 0; i < 50; ++i) CHECK(hits.get(key(i), received(1000)) > 100);
  for (int n = 0; n < 100; ++n) cold += hits.get(key(20'900 + n), received(1000)) > 0 ? 1 : 0;
  CHECK(cold > 50);
  for (int n = 0; n < 400'000; ++n) hits.add(key(100'000 + n % 100'000), received(1000));
  int hot = 0;
  for (int i = 0; i < 50; ++i) hot += hits.get(key(i), received(1000)) > 100 ? 1 : 0;
  CHECK(hot == 0);
}

TEST_CASE("hit counts: several threads count at once") {
  HitCounts hits;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int n = 0; n < 10'000; ++n) hits.add(key(n % 10), received(1000));
    });
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < 10; ++i) {
    CHECK(hits.get(key(i), received(1000)) >= 1000);
    CHECK(hits.get(key(i), received(1000)) <= 4000);
  }
}
