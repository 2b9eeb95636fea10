// What is asked of the workers' memory of requests, and what comes back (flow/gather.hpp). Plain values.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "telemetry/insights.hpp"

namespace pillion {

struct InsightsAsked {
  std::size_t decisions = 0;     ///< at most so many, the newest
  std::string path;              ///< of these alone: a path, whatever its query, or a target; empty: any
  std::string request_id;        ///< likewise; empty: any
  std::optional<Result> result;  ///< likewise
  std::size_t hottest = 0;       ///< so many keys
  bool routes = false;
  std::optional<Hash128> key;  ///< the sketch's entry of this key, in `hottest`, if there is one
};

/// A decision with all that belongs to it, owned.
struct PastDecision {
  Decision decision;
  std::int64_t wall_ms = 0;    ///< when it was finished
  std::string route;           ///< name; `-`: none matched
  std::optional<Trail> trail;  ///< none for a hit in memory
};

struct InsightsFound {
  std::vector<PastDecision> decisions;  ///< newest first
  std::vector<HotKey> hottest;          ///< the most asked for first
  std::map<std::string, RouteInsight> routes;
};

/// Whether a recorded target answers for what was asked: the target itself, or its path. What was cut when it was
/// recorded is compared as far as it goes.
bool is_asked_path(std::string_view recorded, bool cut, std::string_view asked) noexcept;

/// What one Redis server says of itself (INFO); zero where it doesn't say.
struct RedisFigures {
  std::string server;
  bool reachable = false;
  std::uint64_t memory_bytes = 0, memory_limit = 0;  ///< limit 0: none
  std::string policy;                                ///< what becomes of keys above the limit
  std::uint64_t evicted = 0, expired = 0;            ///< keys, since it began to count
  std::uint64_t hits = 0, misses = 0;                ///< look-ups by all its clients
};
/// Reads INFO's reply, which is not trusted.
void read_redis_figures(std::string_view info, RedisFigures& figures);

}  // namespace pillion
