// What one worker remembers of the requests it has served, beside its counters: the last decisions, the hottest keys,
// what is known of each route's answers. Worker-local: whoever reads it does so on that worker's thread
// (flow/gather.hpp).
#pragma once

#include <algorithm>
#include <cstdint>
#include <unordered_map>

#include "telemetry/answer_watch.hpp"
#include "telemetry/counters.hpp"
#include "telemetry/decision_ring.hpp"
#include "telemetry/heavy_hitters.hpp"

namespace pillion {

class Insights {
 public:
  static constexpr std::size_t max_routes = 1024;  ///< of further ones nothing is known but their counters

  DecisionRing decisions;
  static constexpr std::size_t max_hottest = 1024;  ///< as many as may be remembered for warming, and some more
  HeavyHitters hottest{max_hottest};
  AnswerWatch answers;

  /// nullptr for a route too many.
  RouteInsight* of(const RouteCounters* route) {
    if (route == last_route_) return last_;  // elements of a map stay where they are
    const auto found = routes_.find(route);
    if (found == routes_.end() && routes_.size() >= max_routes) return nullptr;
    last_route_ = route;
    return last_ = found != routes_.end() ? &found->second : &routes_[route];
  }
  const std::unordered_map<const RouteCounters*, RouteInsight>& routes() const noexcept { return routes_; }

  /// Whether there is time to look at one more answer (AnswerWatch): each of the first 500, then 5 a second, so that
  /// it costs next to nothing where there are many.
  bool may_look(std::int64_t now_ms) noexcept {
    looks_ = std::min(max_looks, looks_ + std::max<std::int64_t>(0, now_ms - looked_ms_) * 5);
    looked_ms_ = now_ms;
    if (looks_ < 1000) return false;
    looks_ -= 1000;
    return true;
  }

  /// Whether this hit in memory is one of those that go into the sketch: one of eight on average, at random distances,
  /// so that no rhythm of the clients hides a key.
  bool samples_hit() noexcept { return --to_next_ == 0; }
  /// How many hits the one sampled stands for; chooses the next.
  std::uint64_t take_weight() noexcept {
    const std::uint64_t weight = distance_;
    random_ ^= random_ << 13;
    random_ ^= random_ >> 7;
    random_ ^= random_ << 17;
    to_next_ = distance_ = static_cast<std::uint32_t>(1 + random_ % 15);
    return weight;
  }

 private:
  std::unordered_map<const RouteCounters*, RouteInsight> routes_;
  const RouteCounters* last_route_ = nullptr;
  RouteInsight* last_ = nullptr;
  std::uint64_t random_ = 0x9e3779b97f4a7c15;
  static constexpr std::int64_t max_looks = 500'000;  // in thousandths
  std::int64_t looks_ = max_looks, looked_ms_ = 0;
  std::uint32_t to_next_ = 1, distance_ = 1;
};

}  // namespace pillion
