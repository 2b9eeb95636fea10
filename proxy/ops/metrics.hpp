// /metrics: every figure of the process in Prometheus' text format. Reads the counters at any time, from any thread.
#pragma once

#include <cstdint>
#include <string>

#include "store/memory_store.hpp"
#include "telemetry/counters.hpp"

namespace pillion {

/// What is not in Counters.
struct MetricsExtras {
  bool memory_enabled = true;
  bool redis_enabled = false;  ///< without it there are no series about Redis
  bool watch_up = false;       ///< changes by others in Redis are heard of
  MemoryStore::Figures memory;
  std::uint64_t access_log_dropped = 0;
  bool ready = true;
  std::vector<std::string> bypassed;  ///< routes; an empty name: all
};

/// The exposition format 0.0.4 (`text/plain; version=0.0.4`).
std::string prometheus_text(Counters& counters, const MetricsExtras& extras);

}  // namespace pillion
