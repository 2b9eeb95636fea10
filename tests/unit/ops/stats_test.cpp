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
  a[0]->refreshed_ahead.add(3);
  a[1]->refreshed_ahead.add(4);
  b[0]->refreshed_ahead.add(10);
  a[0]->learned.add(3);
  a[1]->learned.add(1);
  a[0]->learned_ms.add(100'000);
  a[1]->learned_ms.add(30'000);
  a[0]->lengthened.add(2);
  a[1]->shortened.add(1);

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
  CHECK(route["refreshed_ahead"].number == 7);
  CHECK(route["adaptive"]["refreshes"].number == 4);
  CHECK(route["adaptive"]["lengthened"].number == 2);
  CHECK(route["adaptive"]["shortened"].number == 1);
  CHECK(route["adaptive"]["mean_lifetime"].number == 32.5);
  CHECK(json["routes"]["b"]["adaptive"]["mean_lifetime"].type == support::Json::Type::null);
  CHECK(json["totals"]["refreshed_ahead"].number == 17);
  CHECK(json["totals"]["adaptive"]["refreshes"].number == 4);
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

TEST_CASE("what the upstream was spared is counted by what one of its answers takes on average") {
  Counters counters(2);
  const auto& a = counters.route("a");
  a[0]->results[index(Result::hit)].add(8);
  a[1]->results[index(Result::miss)].add(4);
  a[0]->collapsed.add(2);
  a[0]->bytes.add(1200);
  StatsExtras extras;
  RouteInsight& insight = extras.insights.routes["a"];
  insight.fetches = 2;
  insight.upstream_us = 1'000'000;
  insight.fetched_bytes = 200;
  insight.forwards[static_cast<std::size_t>(Forward::uri_miss)] = 4;
  const auto json = support::Json::parse(boost::json::serialize(stats_json(counters, extras)));
  for (const support::Json& sums : {json["routes"]["a"], json["totals"]}) {
    CHECK(sums["saved"]["requests"].number == 10);
    CHECK(sums["saved"]["bytes"].number == 1000);
    CHECK(sums["saved"]["upstream_seconds"].number == 5);
    CHECK(sums["forwards"]["uri-miss"].number == 4);
  }
}

TEST_CASE("hot keys, Redis's figures and switched-off routes stand beside the counters") {
  StatsExtras extras;
  HotKey key;
  key.name = "thing:1:00";
  key.count = 100;
  key.error = 3;
  key.hits = 90;
  extras.insights.hottest.push_back(key);
  RedisFigures up{"redis:6379", true, 1000, 0, "noeviction", 1, 2, 30, 10};
  extras.redis = {up, {"gone:6379", false, 0, 0, {}, 0, 0, 0, 0}};
  extras.bypass = {{"", 1500}, {"a", 1000}};
  const auto json = support::Json::parse(boost::json::serialize(stats_json(Counters(1), extras)));
  CHECK(json["hottest"].array.at(0)["key"].string == "thing:1:00");
  CHECK(json["hottest"].array[0]["requests"].number == 100);
  CHECK(json["hottest"].array[0]["error"].number == 3);
  CHECK(json["redis"].array.at(0)["hit_ratio"].number == 0.75);
  CHECK(json["redis"].array[0]["memory_limit"].type == support::Json::Type::null);
  CHECK_FALSE(json["redis"].array.at(1)["reachable"].boolean);
  CHECK_FALSE(json["redis"].array[1].has("hit_ratio"));
  CHECK(json["bypass"].array.at(0)["route"].type == support::Json::Type::null);
  CHECK(json["bypass"].array[0]["left_seconds"].number == 2);
}
