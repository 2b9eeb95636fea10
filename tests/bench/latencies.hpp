// Counts of durations, to within half a percent, for quantiles. Nothing is allocated after construction.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

namespace bench {

class Latencies {
 public:
  Latencies() : counts_(64 * steps) {}

  void add(std::uint64_t ns) {
    ++counts_[place_of(ns)];
    ++count_;
    max_ = std::max(max_, ns);
  }

  std::uint64_t count() const { return count_; }
  double max_us() const { return static_cast<double>(max_) / 1000; }

  /// The duration that `share` of all don't exceed, in microseconds.
  double quantile_us(double share) const {
    const auto wanted = static_cast<std::uint64_t>(share * static_cast<double>(count_));
    std::uint64_t seen = 0;
    for (std::size_t place = 0; place < counts_.size(); ++place) {
      seen += counts_[place];
      if (seen > wanted) return static_cast<double>(middle_of(place)) / 1000;
    }
    return max_us();
  }

 private:
  // Each power of two is cut into so many steps; below the first of them each nanosecond has a place.
  static constexpr unsigned bits = 8;
  static constexpr std::size_t steps = 1u << bits;

  static std::size_t place_of(std::uint64_t ns) {
    if (ns < steps) return ns;
    const unsigned power = static_cast<unsigned>(std::bit_width(ns)) - 1;
    return (power - bits + 1) * steps + ((ns >> (power - bits)) & (steps - 1));
  }
  static std::uint64_t middle_of(std::size_t place) {
    if (place < steps) return place;
    const unsigned power = static_cast<unsigned>(place / steps) + bits - 1;
    const std::uint64_t width = std::uint64_t{1} << (power - bits);
    return (std::uint64_t{1} << power) + (place % steps) * width + width / 2;
  }

  std::vector<std::uint64_t> counts_;
  std::uint64_t count_ = 0, max_ = 0;
};

}  // namespace bench
