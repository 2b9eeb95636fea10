// What the simulation of tests/bench says of lifetimes and of eviction.
#include "bench/simulation.hpp"

#include <doctest/doctest.h>

using namespace pillion;
using namespace pillion::simulation;
using namespace std::chrono_literals;

namespace {

constexpr config::Adaptive learned{30s, 1h};
constexpr std::size_t length = 300'000, keys = 20'000;

}  // namespace

TEST_CASE("simulation: learned lifetimes bring more hits and fewer stale answers than fixed ones of minutes") {
  for (const std::uint64_t seed : {1, 2, 3}) {
    for (const bool popular_change_more : {false, true}) {
      CAPTURE(seed);
      CAPTURE(popular_change_more);
      Contents contents;
      contents.seed = seed;
      contents.seconds = 8 * 3600;
      contents.popular_change_more = popular_change_more;
      const Served adaptive = serve(contents, route_with(5min, learned));
      for (const config::Milliseconds ttl : {180s, 300s}) {
        CAPTURE(ttl.count());
        CHECK(adaptive.beats(serve(contents, route_with(ttl))));
      }
    }
  }
}

TEST_CASE("simulation: no fixed lifetime is better than learned ones in both hits and stale answers") {
  Contents contents;
  contents.seconds = 8 * 3600;
  for (const config::Milliseconds begins : {config::Milliseconds(1min), config::Milliseconds(15min)}) {
    const Served adaptive = serve(contents, route_with(begins, learned));
    for (const config::Milliseconds ttl :
         {config::Milliseconds(30s), config::Milliseconds(1min), config::Milliseconds(2min), config::Milliseconds(3min),
          config::Milliseconds(5min), config::Milliseconds(10min), config::Milliseconds(15min),
          config::Milliseconds(1h)}) {
      CAPTURE(ttl.count());
      CHECK_FALSE(serve(contents, route_with(ttl)).beats(adaptive));
    }
  }
}

TEST_CASE("simulation: the same seed gives the same figures, another seed others") {
  Contents contents;
  contents.seconds = 3600;
  const Served once = serve(contents, route_with(5min, learned)), again = serve(contents, route_with(5min, learned));
  CHECK(once.hits == again.hits);
  CHECK(once.stale == again.stale);
  contents.seed = 2;
  CHECK(serve(contents, route_with(5min, learned)).hits != once.hits);
}

TEST_CASE("simulation: SIEVE has more hits than LRU where popularity is skewed") {
  for (const double exponent : {0.7, 0.9, 1.1}) {
    for (const std::size_t entries : {keys / 100, keys / 10}) {
      CAPTURE(exponent);
      CAPTURE(entries);
      const Trace trace = zipf_trace(1, length, keys, exponent);
      CHECK(sieve_hit_ratio(trace, entries) > lru_hit_ratio(trace, entries));
    }
  }
}

TEST_CASE("simulation: SIEVE keeps what is asked for again while something is scanned, LRU less") {
  for (const std::size_t entries : {keys / 100, keys / 10}) {
    CAPTURE(entries);
    const Trace trace = scan_trace(1, length, keys, 0.9, 2 * entries, entries);
    CHECK(sieve_hit_ratio(trace, entries) > lru_hit_ratio(trace, entries) + 0.02);
  }
}

TEST_CASE("simulation: on a loop that doesn't fit LRU has no hit at all, and SIEVE no fewer") {
  const Trace trace = loop_trace(length, 1100);
  CHECK(lru_hit_ratio(trace, 1000) == 0);
  CHECK(sieve_hit_ratio(trace, 1000) >= 0);
  const Trace fits = loop_trace(length, 900);
  CHECK(sieve_hit_ratio(fits, 1000) > 0.99);
}
