#include "bench/simulation.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <list>
#include <unordered_map>

#include "core/freshness.hpp"
#include "store/sieve_index.hpp"

namespace pillion::simulation {

namespace {

/// SplitMix64 (Steele, Lea, Flood, 2014).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t bits() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  /// From 0, below 1.
  double unit() { return static_cast<double>(bits() >> 11) * 0x1p-53; }
  /// Times between events of a Poisson process.
  double wait(double mean) { return -mean * std::log1p(-unit()); }

 private:
  std::uint64_t state_;
};

class Zipf {
 public:
  Zipf(std::size_t keys, double exponent) : sums_(keys) {
    double sum = 0;
    for (std::size_t i = 0; i < keys; ++i) sums_[i] = sum += std::pow(static_cast<double>(i + 1), -exponent);
  }
  std::size_t draw(Random& random) const {
    const auto at = std::lower_bound(sums_.begin(), sums_.end(), random.unit() * sums_.back());
    return std::min<std::size_t>(static_cast<std::size_t>(at - sums_.begin()), sums_.size() - 1);
  }

 private:
  std::vector<double> sums_;
};

/// One key: its contents at the upstream, and what of them is stored.
struct Key {
  explicit Key(std::uint64_t seed) : random(seed) {}
  Random random;
  double mean_s = 0, next_change_s = 0;
  std::uint64_t version = 0, stored_version = 0, hits = 0;
  std::int64_t stored_ms = -1, lifetime_ms = 0;
  std::uint16_t learned = 0;
  ChangeHistory history;

  std::uint64_t version_at(double at_s) {
    for (; next_change_s <= at_s; next_change_s += random.wait(mean_s)) ++version;
    return version;
  }
};

std::vector<Key> make_keys(const Contents& contents) {
  std::vector<Key> keys;
  Random seeds(contents.seed ^ 0x5eed);
  for (std::size_t i = 0; i < contents.keys; ++i) {
    Key& key = keys.emplace_back(seeds.bits());
    const double rank = static_cast<double>(i) / static_cast<double>(contents.keys);
    const double place = contents.popular_change_more ? (rank + key.random.unit()) / 2 : key.random.unit();
    key.mean_s = contents.changes_least_s * std::pow(contents.changes_most_s / contents.changes_least_s, place);
    const bool changes = key.random.unit() >= contents.never;
    key.next_change_s = changes ? key.random.wait(key.mean_s) : std::numeric_limits<double>::infinity();
  }
  return keys;
}

/// The upstream is asked, at this time, and what it says is stored.
void fetch(Key& key, std::int64_t at_ms, std::uint64_t version, const config::Route& route) {
  if (key.stored_ms >= 0 && route.adaptive.is_on()) {
    const Learned learned = learn(
        key.history, {key.stored_version == version, at_ms - key.stored_ms, key.hits, key.lifetime_ms}, route.adaptive);
    key.history = learned.history;
    key.learned = pack_lifetime(learned.lifetime_ms);
  }
  ResponseMeta meta;
  meta.status = 200;
  meta.learned = key.learned;
  key.lifetime_ms = lifetime_of(meta, route).ms;
  key.stored_ms = at_ms;
  key.stored_version = version;
  key.hits = 0;
}

}  // namespace

config::Route route_with(config::Milliseconds ttl, config::Adaptive adaptive) {
  config::Route route;
  route.cache = config::CacheMode::on;
  route.ttl = ttl;
  route.adaptive = adaptive;
  return route;
}

Served serve(const Contents& contents, const config::Route& route) {
  std::vector<Key> keys = make_keys(contents);
  const Zipf popularity(contents.keys, contents.zipf);
  Random random(contents.seed);
  Served served;
  for (double at_s = 0;;) {
    at_s += random.wait(1 / contents.requests_per_second);
    if (at_s >= contents.seconds) return served;
    Key& key = keys[popularity.draw(random)];
    const auto at_ms = static_cast<std::int64_t>(at_s * 1000);
    const std::uint64_t version = key.version_at(at_s);
    ++served.requests;
    if (key.stored_ms >= 0 && at_ms - key.stored_ms < key.lifetime_ms) {
      ++served.hits;
      ++key.hits;
      if (key.stored_version != version) ++served.stale;
    } else {
      fetch(key, at_ms, version, route);
    }
  }
}

Trace zipf_trace(std::uint64_t seed, std::size_t length, std::size_t keys, double exponent) {
  return scan_trace(seed, length, keys, exponent, length, 0);
}

Trace scan_trace(std::uint64_t seed, std::size_t length, std::size_t keys, double exponent, std::size_t between,
                 std::size_t run) {
  const Zipf popularity(keys, exponent);
  Random random(seed);
  Trace trace;
  trace.reserve(length);
  auto next_new = static_cast<std::uint32_t>(keys);
  while (trace.size() < length) {
    for (std::size_t i = 0; i < between && trace.size() < length; ++i)
      trace.push_back(static_cast<std::uint32_t>(popularity.draw(random)));
    for (std::size_t i = 0; i < run && trace.size() < length; ++i) trace.push_back(next_new++);
  }
  return trace;
}

Trace loop_trace(std::size_t length, std::size_t keys) {
  Trace trace(length);
  for (std::size_t i = 0; i < length; ++i) trace[i] = static_cast<std::uint32_t>(i % keys);
  return trace;
}

double sieve_hit_ratio(const Trace& trace, std::size_t entries) {
  // One response stands for all: what is looked at is the order of the places.
  StoredParts parts;
  parts.primary_key = "k";
  const StoredResponsePtr response = StoredResponse::make(parts);
  SieveIndex index(entries);
  std::size_t hits = 0, ignored = 0;
  for (const std::uint32_t key : trace) {
    const std::uint64_t low = Random(key).bits();
    const Hash128 hash{low, low};
    if (index.find(hash, "k")) {
      ++hits;
      continue;
    }
    // As the memory store does it: room first.
    if (index.size() == entries) index.evict(ignored);
    index.insert(hash, response, 8, ignored);
  }
  return static_cast<double>(hits) / static_cast<double>(trace.size());
}

double lru_hit_ratio(const Trace& trace, std::size_t entries) {
  std::list<std::uint32_t> order;
  std::unordered_map<std::uint32_t, std::list<std::uint32_t>::iterator> places;
  std::size_t hits = 0;
  for (const std::uint32_t key : trace) {
    const auto found = places.find(key);
    if (found != places.end()) {
      ++hits;
      order.splice(order.begin(), order, found->second);
      continue;
    }
    if (places.size() == entries) {
      places.erase(order.back());
      order.pop_back();
    }
    order.push_front(key);
    places[key] = order.begin();
  }
  return static_cast<double>(hits) / static_cast<double>(trace.size());
}

}  // namespace pillion::simulation
