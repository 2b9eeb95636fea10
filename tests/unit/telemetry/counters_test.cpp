#include "telemetry/counters.hpp"

#include <doctest/doctest.h>

#include <set>
#include <string>
#include <thread>

using namespace pillion;

TEST_CASE("a duration falls into the first bucket whose bound it doesn't exceed") {
  struct Row {
    std::uint64_t us;
    std::size_t bucket;
  };
  const Row rows[] = {{0, 0},   {1, 0},     {64, 0},          {65, 1},          {128, 1},
                      {129, 2}, {1'000, 4}, {67'108'864, 20}, {67'108'865, 21}, {UINT64_MAX, 21}};
  for (const Row& row : rows) {
    CAPTURE(row.us);
    Histogram h;
    h.observe_us(row.us);
    CHECK(h.bucket(row.bucket) == 1);
    CHECK(h.count() == 1);
    CHECK(h.sum_us() == row.us);
    if (row.bucket + 1 < Histogram::bucket_count) CHECK(row.us <= Histogram::bound_us(row.bucket));
    if (row.bucket > 0) CHECK(row.us > Histogram::bound_us(row.bucket - 1));
  }
}

TEST_CASE("every limit has a name of its own") {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < limit_count; ++i) {
    const auto name = to_string(static_cast<Limit>(i));
    CHECK(!name.empty());
    CHECK(name.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string_view::npos);
    CHECK(names.insert(name).second);
  }
}

TEST_CASE("a name keeps its blocks, one a worker, and new names don't move them") {
  Counters counters(3);
  CHECK(counters.worker_count() == 3);
  const auto& first = counters.route("first");
  RouteCounters* block = first[2];
  for (int i = 0; i < 100; ++i) counters.route("route " + std::to_string(i));
  block->stored.add(5);
  REQUIRE(counters.route("first").size() == 3);
  CHECK(&counters.route("first") == &first);
  CHECK(counters.route("first")[2]->stored.get() == 5);
  CHECK(counters.route("first")[1]->stored.get() == 0);
  CHECK(counters.upstream("app").size() == 3);
  int routes = 0, upstreams = 0;
  counters.for_each_route([&](const std::string&, const auto&) { ++routes; });
  counters.for_each_upstream([&](const std::string& name, const auto&) { upstreams += name == "app"; });
  CHECK(routes == 101);
  CHECK(upstreams == 1);
}

TEST_CASE("one thread counts while another reads") {
  Counters counters(1);
  std::thread writer([&] {
    for (int i = 0; i < 10'000; ++i) {
      counters.worker(0).redis_seconds.observe_us(static_cast<std::uint64_t>(i));
      counters.worker(0).client_connections.add();
    }
    counters.worker(0).client_connections.sub(9'999);
  });
  std::uint64_t last = 0;
  while (last < 10'000) {
    const std::uint64_t now = counters.worker(0).redis_seconds.count();
    REQUIRE(now >= last);
    last = now;
  }
  writer.join();
  CHECK(counters.worker(0).client_connections.get() == 1);
}
