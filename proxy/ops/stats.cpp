#include "ops/stats.hpp"

#include <algorithm>
#include <boost/json/array.hpp>
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
  std::uint64_t hits_memory = 0, hits_redis = 0, collapsed = 0, bytes = 0, stored = 0, same = 0, other = 0;
  std::uint64_t encoded = 0, encoded_saved = 0;
  std::uint64_t ahead = 0, learned = 0, learned_ms = 0, lengthened = 0, shortened = 0;
  std::array<std::uint64_t, 8> forwards{};
  std::uint64_t saved_requests = 0, saved_bytes = 0, saved_us = 0;
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
    stored += block.stored.get();
    same += block.shadow_same.get();
    other += block.shadow_other.get();
    encoded += block.encoded.get();
    encoded_saved += block.encoded_saved.get();
    ahead += block.refreshed_ahead.get();
    learned += block.learned.get();
    learned_ms += block.learned_ms.get();
    lengthened += block.lengthened.get();
    shortened += block.shortened.get();
  }
  // What the upstream was spared: by as much as one of its answers on this route takes on average. `insight`: nullptr
  // where nothing but answers from stores is known.
  void count_saved(const RouteInsight* insight) {
    const std::uint64_t from_store = of(Result::hit) + of(Result::stale);
    saved_requests = from_store + collapsed;
    std::uint64_t requests = 0;
    for (std::uint64_t n : results) requests += n;
    if (!insight) {
      if (requests == from_store) saved_bytes = bytes;
      return;
    }
    forwards = insight->forwards;
    saved_bytes = bytes - std::min(bytes, insight->fetched_bytes);
    if (insight->fetches > 0) {
      saved_us =
          static_cast<std::uint64_t>(static_cast<double>(insight->upstream_us) / static_cast<double>(insight->fetches) *
                                     static_cast<double>(saved_requests));
    }
  }
  void add(const RouteSums& more) {
    for (std::size_t i = 0; i < result_count; ++i) results[i] += more.results[i];
    for (std::size_t i = 0; i < details.size(); ++i) details[i] += more.details[i];
    for (std::size_t i = 0; i < forwards.size(); ++i) forwards[i] += more.forwards[i];
    latency.add(more.latency);
    hits_memory += more.hits_memory;
    hits_redis += more.hits_redis;
    collapsed += more.collapsed;
    bytes += more.bytes;
    stored += more.stored;
    same += more.same;
    other += more.other;
    encoded += more.encoded;
    encoded_saved += more.encoded_saved;
    ahead += more.ahead;
    learned += more.learned;
    learned_ms += more.learned_ms;
    lengthened += more.lengthened;
    shortened += more.shortened;
    saved_requests += more.saved_requests;
    saved_bytes += more.saved_bytes;
    saved_us += more.saved_us;
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
  out["stored"] = sums.stored;
  out["reasons"] = std::move(reasons);
  json::object forwards;
  for (std::size_t i = 1; i < sums.forwards.size(); ++i)
    if (sums.forwards[i] != 0) forwards[to_string(static_cast<Forward>(i))] = sums.forwards[i];
  out["forwards"] = std::move(forwards);
  out["shadow"] = {{"requests", sums.of(Result::shadow)}, {"same", sums.same}, {"other", sums.other}};
  out["refreshed_ahead"] = sums.ahead;
  const double mean = static_cast<double>(sums.learned_ms) / 1000 / static_cast<double>(sums.learned);
  out["adaptive"] = {{"refreshes", sums.learned},
                     {"lengthened", sums.lengthened},
                     {"shortened", sums.shortened},
                     {"mean_lifetime", sums.learned == 0 ? json::value() : json::value(mean)}};
  out["saved"] = {{"requests", sums.saved_requests},
                  {"bytes", sums.saved_bytes},
                  {"upstream_seconds", static_cast<double>(sums.saved_us) / 1e6}};
  out["compressed"] = {{"answers", sums.encoded}, {"saved_bytes", sums.encoded_saved}};
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

namespace {

// A key comes from a client: its path's bytes are encoded there already, a route's key template need not be ASCII.
json::array hottest_json(const std::vector<HotKey>& hottest) {
  json::array out;
  for (const HotKey& key : hottest) {
    json::object item;
    item["key"] = key.name;
    item["requests"] = key.count;
    item["error"] = key.error;
    item["hits"] = key.hits;
    item["bytes"] = key.bytes;
    item["upstream_seconds"] = static_cast<double>(key.upstream_us) / 1e6;
    out.push_back(std::move(item));
  }
  return out;
}

json::array redis_json(const std::vector<RedisFigures>& servers) {
  json::array out;
  for (const RedisFigures& server : servers) {
    json::object item;
    item["server"] = server.server;
    item["reachable"] = server.reachable;
    if (server.reachable) {
      item["memory_bytes"] = server.memory_bytes;
      item["memory_limit"] = server.memory_limit == 0 ? json::value() : json::value(server.memory_limit);
      item["policy"] = server.policy;
      item["evicted"] = server.evicted;
      item["expired"] = server.expired;
      item["hits"] = server.hits;
      item["misses"] = server.misses;
      const std::uint64_t asked = server.hits + server.misses;
      item["hit_ratio"] =
          asked == 0 ? json::value() : json::value(static_cast<double>(server.hits) / static_cast<double>(asked));
    }
    out.push_back(std::move(item));
  }
  return out;
}

}  // namespace

json::array bypass_json(const std::vector<Bypass::Entry>& entries) {
  json::array out;
  for (const Bypass::Entry& entry : entries) {
    json::object item;
    item["route"] = entry.route.empty() ? json::value() : json::value(entry.route);
    item["left_seconds"] = (entry.left_ms + 999) / 1000;
    out.push_back(std::move(item));
  }
  return out;
}

namespace {

json::object warm_json(const Counters& counters) {
  json::object results;
  for (std::size_t i = 0; i < warm_result_count; ++i)
    results[to_string(static_cast<WarmResult>(i))] = counters.warmed[i].get();
  return {{"warming", counters.warming.load(std::memory_order_relaxed)},
          {"done", counters.warm_done.load(std::memory_order_relaxed)},
          {"of", counters.warm_of.load(std::memory_order_relaxed)},
          {"results", std::move(results)}};
}

}  // namespace

json::object stats_json(const Counters& counters, const StatsExtras& extras) {
  RouteSums totals;
  json::object routes;
  counters.for_each_route([&](const std::string& name, const std::vector<RouteCounters*>& blocks) {
    RouteSums sums;
    for (const RouteCounters* block : blocks) sums.add(*block);
    const auto insight = extras.insights.routes.find(name);
    sums.count_saved(insight == extras.insights.routes.end() ? nullptr : &insight->second);
    totals.add(sums);
    routes[name] = to_json(sums);
  });
  json::object out;
  out["totals"] = to_json(totals);
  out["routes"] = std::move(routes);
  out["hottest"] = hottest_json(extras.insights.hottest);
  out["redis"] = redis_json(extras.redis);
  out["bypass"] = bypass_json(extras.bypass);
  out["warm"] = warm_json(counters);
  return out;
}

}  // namespace pillion
