// /stats: the figures as JSON, in total and by route. Reads the counters at any time, from any thread.
#pragma once

#include <array>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cstdint>

#include "flow/bypass.hpp"
#include "flow/remembered.hpp"
#include "telemetry/counters.hpp"

namespace pillion {

/// Sums of equal histograms, taken at one moment as far as readers of relaxed counters can.
struct HistogramSum {
  std::array<std::uint64_t, Histogram::bucket_count> buckets{};
  std::uint64_t sum_us = 0;

  void add(const Histogram& histogram) noexcept;
  void add(const HistogramSum& other) noexcept;
  std::uint64_t count() const noexcept;
  /// Microseconds below which the share `q` (0 to 1) lies, interpolated within its bucket: an estimate, off by at most
  /// the bucket's width. 0 where nothing was observed; the last bound where it lies above all.
  double quantile_us(double q) const noexcept;
};

/// What /stats tells besides the counters.
struct StatsExtras {
  InsightsFound insights;
  std::vector<RedisFigures> redis;
  std::vector<Bypass::Entry> bypass;
};

/// `totals` and `routes`, each with requests, hits {memory, redis}, stale, revalidated, misses, bypassed, passed,
/// errors, collapsed, stored, bytes, reasons {word: count}, forwards {word: count}, shadow {requests, same, other},
/// saved {requests, bytes, upstream_seconds} and latency {p50, p90, p99} in milliseconds (null before the first
/// request); `hottest`, `redis` and `bypass`.
boost::json::object stats_json(const Counters& counters, const StatsExtras& extras = {});

/// `[{"route": NAME or null, "left_seconds": N}]`.
boost::json::array bypass_json(const std::vector<Bypass::Entry>& entries);

}  // namespace pillion
