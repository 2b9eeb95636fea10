#include "ops/stats.hpp"

#include <boost/json/value.hpp>
#include <map>
#include <string>

#include "core/reasons.hpp"

namespace pillion {
namespace {

namespace json = boost::json;

struct RouteSums {
  std::array<std::uint64_t, result_count> results{};
  std::array<std::uint64_t, std::tuple_size_v<decltype(RouteCounters::details)>> details{};
  std::uint64_t hits_memory = 0, hits_redis = 0, collapsed = 0, bytes = 0;
  HistogramSum latency;

  void add(const RouteCounters& block) {
    for (std::size_t i = 0; i < result_count; ++i) {
      results[i] += block.results[i].get();
      latency.add(block.seconds[i]);
    }
    for (std::size_t i = 0; i < details.size(); ++i) details[i] += block.details[i].get();
    hits_memory += block.hits_memory.get();
    hits_redis += block.hits_redis.get();
    collapsed += block.collapsed.get();
    bytes += block.bytes.get();
  }
  std::uint64_t of(Result result) const { return results[static_cast<std::size_t>(result)]; }
};

json::value milliseconds(const HistogramSum& histogram, double q) {
  if (histogram.count() == 0) return nullptr;
  return histogram.quantile_us(q) / 1000.0;
}

json::object to_json(const RouteSums& sums) {
  std::uint64_t requests = 0;
  for (std::uint64_t n : sums.results) requests += n;
  json::object reasons;
  for (std::size_t i = 0; i < sums.details.size(); ++i) {
    const std::string_view word = to_string(static_cast<Detail>(i));
    if (sums.details[i] != 0 && !word.empty()) reasons[word] = sums.details[i];
  }
  json::object out;
  out["requests"] = requests;
  out["hits"] = {{"memory", sums.hits_memory}, {"redis", sums.hits_redis}};
  out["stale"] = sums.of(Result::stale);
  out["revalidated"] = sums.of(Result::revalidated);
  out["misses"] = sums.of(Result::miss);
  out["bypassed"] = sums.of(Result::bypass);
  out["passed"] = sums.of(Result::pass);
  out["errors"] = sums.of(Result::error);
  out["collapsed"] = sums.collapsed;
  out["bytes"] = sums.bytes;
  out["reasons"] = std::move(reasons);
  out["latency"] = {{"p50", milliseconds(sums.latency, 0.5)},
                    {"p90", milliseconds(sums.latency, 0.9)},
                    {"p99", milliseconds(sums.latency, 0.99)}};
  return out;
}

}  // namespace

void HistogramSum::add(const Histogram& histogram) noexcept {
  for (std::size_t i = 0; i < buckets.size(); ++i) buckets[i] += histogram.bucket(i);
  sum_us += histogram.sum_us();
}

void HistogramSum::add(const HistogramSum& other) noexcept {
  for (std::size_t i = 0; i < buckets.size(); ++i) buckets[i] += other.buckets[i];
  sum_us += other.sum_us;
}

std::uint64_t HistogramSum::count() const noexcept {
  std::uint64_t n = 0;
  for (std::uint64_t bucket : buckets) n += bucket;
  return n;
}

double HistogramSum::quantile_us(double q) const noexcept {
  const std::uint64_t total = count();
  if (total == 0) return 0;
  const double rank = q * static_cast<double>(total);
  double below = 0;
  for (std::size_t i = 0; i + 1 < buckets.size(); ++i) {
    const auto here = static_cast<double>(buckets[i]);
    if (here > 0 && below + here >= rank) {
      const double low = i == 0 ? 0 : static_cast<double>(Histogram::bound_us(i - 1));
      const double high = static_cast<double>(Histogram::bound_us(i));
      return low + (high - low) * ((rank - below) / here);
    }
    below += here;
  }
  return static_cast<double>(Histogram::bound_us(buckets.size() - 2));
}

json::object stats_json(const Counters& counters) {
  RouteSums totals;
  json::object routes;
  counters.for_each_route([&](const std::string& name, const std::vector<RouteCounters*>& blocks) {
    RouteSums sums;
    for (const RouteCounters* block : blocks) {
      sums.add(*block);
      totals.add(*block);
    }
    routes[name] = to_json(sums);
  });
  json::object out;
  out["totals"] = to_json(totals);
  out["routes"] = std::move(routes);
  return out;
}

}  // namespace pillion
