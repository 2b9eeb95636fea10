#include "ops/stats.hpp"

#include <doctest/doctest.h>

#include <boost/json/serialize.hpp>

#include "support/json.hpp"

using namespace pillion;

namespace {

constexpr auto index(Result result) { return static_cast<std::size_t>(result); }

support::Json stats(const Counters& counters) {
  return support::Json::parse(boost::json::serialize(stats_json(counters)));
}

}  // namespace

TEST_CASE("figures of all workers and routes add up") {
  Counters counters(2);
  const auto& a = counters.route("a");
  const auto& b = counters.route("b");
  a[0]->results[index(Result::hit)].add(3);
  a[1]->results[index(Result::hit)].add(4);
  a[0]->hits_memory.add(5);
  a[1]->hits_redis.add(2);
  a[1]->results[index(Result::miss)].add(1);
  a[0]->results[index(Result::revalidated)].add(6);
  a[0]->results[index(Result::stale)].add(7);
  a[0]->results[index(Result::bypass)].add(8);
  a[0]->results[index(Result::pass)].add(9);
  a[0]->results[index(Result::error)].add(10);
  a[0]->collapsed.add(11);
  a[1]->bytes.add(1000);
  a[0]->details[static_cast<std::size_t>(Detail::no_store)].add(2);
  b[0]->results[index(Result::hit)].add(100);

  const auto json = stats(counters);
  const auto& route = json["routes"]["a"];
  CHECK(route["requests"].number == 48);
  CHECK(route["hits"]["memory"].number == 5);
  CHECK(route["hits"]["redis"].number == 2);
  CHECK(route["misses"].number == 1);
  CHECK(route["revalidated"].number == 6);
  CHECK(route["stale"].number == 7);
  CHECK(route["bypassed"].number == 8);
  CHECK(route["passed"].number == 9);
  CHECK(route["errors"].number == 10);
  CHECK(route["collapsed"].number == 11);
  CHECK(route["bytes"].number == 1000);
  CHECK(route["reasons"]["no-store"].number == 2);
  CHECK(json["totals"]["requests"].number == 148);
  CHECK(json["totals"]["bytes"].number == 1000);
}

TEST_CASE("a proxy that has seen nothing has zeros and no latency") {
  Counters counters(1);
  counters.route("quiet");
  const auto json = stats(counters);
  CHECK(json["totals"]["requests"].number == 0);
  CHECK(json["routes"]["quiet"]["latency"]["p50"].type == support::Json::Type::null);
}

TEST_CASE("latency is in milliseconds, over all results of a route") {
  Counters counters(1);
  const auto& blocks = counters.route("r");
  for (int i = 0; i < 98; ++i) blocks[0]->seconds[index(Result::hit)].observe_us(1000);
  for (int i = 0; i < 2; ++i) blocks[0]->seconds[index(Result::miss)].observe_us(1000000);
  const auto json = stats(counters);
  const auto& latency = json["routes"]["r"]["latency"];
  CHECK(latency["p50"].number > 0.5);
  CHECK(latency["p50"].number <= 1.1);
  CHECK(latency["p90"].number <= 1.1);
  CHECK(latency["p99"].number > 500);
  CHECK(latency["p99"].number <= 1100);
}

TEST_CASE("a quantile lies in the bucket that holds its rank") {
  Histogram histogram;
  for (std::uint64_t us : {10u, 100u, 200u, 1000u}) histogram.observe_us(us);
  HistogramSum sum;
  sum.add(histogram);
  CHECK(sum.count() == 4);
  CHECK(sum.sum_us == 1310);
  struct Row {
    double q, low, high;
  };
  for (const Row& row :
       {Row{0.0, 0, 64}, Row{0.25, 0, 64}, Row{0.5, 64, 128}, Row{0.75, 128, 256}, Row{1.0, 512, 1024}}) {
    CAPTURE(row.q);
    CHECK(sum.quantile_us(row.q) >= row.low);
    CHECK(sum.quantile_us(row.q) <= row.high);
  }
  CHECK(HistogramSum{}.quantile_us(0.5) == 0);

  Histogram slow;
  slow.observe_us(100000000);
  HistogramSum beyond;
  beyond.add(slow);
  CHECK(beyond.quantile_us(0.5) == Histogram::bound_us(Histogram::bucket_count - 2));
}
