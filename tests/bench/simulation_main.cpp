// Prints what the simulation gives, as tables of Markdown: fixed lifetimes against learned ones, SIEVE against LRU.
//
//   pillion_simulation [SEED]
#include <cstdio>
#include <cstdlib>

#include "bench/simulation.hpp"

using namespace pillion;
using namespace pillion::simulation;
using namespace std::chrono_literals;

namespace {

void print(const char* name, const Served& served) {
  std::printf("| %s | %.1f %% | %.1f %% |\n", name, 100 * served.hit_ratio(), 100 * served.stale_share());
}

void print_lifetimes(const Contents& contents, const char* what) {
  std::printf("\n%s, seed %llu\n\n| lifetime | hits | stale answers |\n|---|---|---|\n", what,
              static_cast<unsigned long long>(contents.seed));
  struct {
    const char* name;
    config::Milliseconds ttl;
  } const fixed[] = {{"30 s", 30s},     {"1 min", 1min},   {"2 min", 2min},   {"3 min", 3min}, {"5 min", 5min},
                     {"7.5 min", 450s}, {"10 min", 10min}, {"15 min", 15min}, {"1 h", 1h}};
  for (const auto& row : fixed) print(row.name, serve(contents, route_with(row.ttl)));
  print("adaptive, 30 s to 1 h, begins at 1 min", serve(contents, route_with(1min, {30s, 1h})));
  print("adaptive, 30 s to 1 h, begins at 5 min", serve(contents, route_with(5min, {30s, 1h})));
  print("adaptive, 30 s to 1 h, begins at 15 min", serve(contents, route_with(15min, {30s, 1h})));
  print("adaptive, 5 s to 1 d, begins at 5 min", serve(contents, route_with(5min, {5s, 24h})));
}

void print_eviction(const char* name, const Trace& trace, std::size_t entries) {
  std::printf("| %s | %zu | %.1f %% | %.1f %% |\n", name, entries, 100 * sieve_hit_ratio(trace, entries),
              100 * lru_hit_ratio(trace, entries));
}

}  // namespace

int main(int argc, char** argv) {
  const std::uint64_t seed = argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1;
  Contents contents;
  contents.seed = seed;
  contents.seconds = 2 * 86'400;
  print_lifetimes(contents, "Popularity and rate of change are unrelated");
  contents.popular_change_more = true;
  print_lifetimes(contents, "What is popular changes more often");

  constexpr std::size_t length = 2'000'000, keys = 100'000;
  std::printf("\nShare of %zu requests that are hits\n\n| trace | entries | SIEVE | LRU |\n|---|---|---|---|\n",
              length);
  for (const std::size_t entries : {keys / 100, keys / 10}) {
    print_eviction("Zipf 0.7 over 100,000 keys", zipf_trace(seed, length, keys, 0.7), entries);
    print_eviction("Zipf 0.9", zipf_trace(seed, length, keys, 0.9), entries);
    print_eviction("Zipf 1.1", zipf_trace(seed, length, keys, 1.1), entries);
    print_eviction("Zipf 0.9 with scans: a third of the requests ask for what nobody asks for again",
                   scan_trace(seed, length, keys, 0.9, 2 * entries, entries), entries);
    print_eviction("loop over a tenth more keys than fit", loop_trace(length, entries + entries / 10), entries);
    print_eviction("loop over twice as many", loop_trace(length, entries * 2), entries);
  }
  return 0;
}
