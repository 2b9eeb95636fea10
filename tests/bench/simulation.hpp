// Traces from a seed, and what the cache's own parts make of them: lifetimes (core/adaptive_lifetime.hpp) and eviction
// (store/sieve_index.hpp). No clock, no socket: the same seed gives the same figures. For simulation_main.cpp, which
// prints the tables, and tests/unit/store/simulation_test.cpp, which asserts them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "config/model.hpp"

namespace pillion::simulation {

/// Keys asked for by Zipf's law whose contents change, each at random times of its own.
struct Contents {
  std::uint64_t seed = 1;
  std::size_t keys = 2000;
  double zipf = 0.9;                 ///< its exponent
  double requests_per_second = 20;   ///< in all
  double seconds = 86'400;           ///< of simulated time
  double changes_least_s = 60;       ///< mean times between changes are spread evenly by their logarithm from here
  double changes_most_s = 864'000;   ///< to here
  double never = 0.2;                ///< share of the keys that never change
  bool popular_change_more = false;  ///< the more a key is asked for, the oftener it changes
};

struct Served {
  std::uint64_t requests = 0, hits = 0, stale = 0;  ///< stale ones are hits too
  double hit_ratio() const { return static_cast<double>(hits) / static_cast<double>(requests); }
  double stale_share() const { return static_cast<double>(stale) / static_cast<double>(requests); }
  /// More hits and fewer stale answers.
  bool beats(const Served& other) const {
    return hit_ratio() > other.hit_ratio() && stale_share() < other.stale_share();
  }
};

/// A route that stores what says nothing of its lifetime itself, with memory enough for all.
Served serve(const Contents& contents, const config::Route& route);
/// One with this ttl, and with `adaptive` where it is given.
config::Route route_with(config::Milliseconds ttl, config::Adaptive adaptive = {});

/// Requests for numbered keys.
using Trace = std::vector<std::uint32_t>;
Trace zipf_trace(std::uint64_t seed, std::size_t length, std::size_t keys, double exponent);
/// The same, and after every `between` of its requests a run over `run` keys that are asked for this once.
Trace scan_trace(std::uint64_t seed, std::size_t length, std::size_t keys, double exponent, std::size_t between,
                 std::size_t run);
/// One key after the other, from the first again.
Trace loop_trace(std::size_t length, std::size_t keys);

/// Share of the requests that a memory store, or an LRU, for so many entries would have answered.
double sieve_hit_ratio(const Trace& trace, std::size_t entries);
double lru_hit_ratio(const Trace& trace, std::size_t entries);

}  // namespace pillion::simulation
