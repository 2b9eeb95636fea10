#include "telemetry/heavy_hitters.hpp"

#include <algorithm>
#include <bit>
#include <map>
#include <tuple>

namespace pillion {

HeavyHitters::HeavyHitters(std::size_t capacity)
    : capacity_(std::clamp<std::size_t>(capacity, 1, 1u << 14)),
      mask_(std::bit_ceil(capacity_ * 2) - 1),
      places_(mask_ + 1, none) {}

std::size_t HeavyHitters::find(const Hash128& key) const noexcept {
  for (std::size_t place = key.low & mask_;; place = (place + 1) & mask_) {
    const std::uint16_t entry = places_[place];
    if (entry == none || entries_[entry].key == key) return entry;
  }
}

void HeavyHitters::index(std::size_t entry) noexcept {
  std::size_t place = entries_[entry].key.low & mask_;
  while (places_[place] != none) place = (place + 1) & mask_;
  places_[place] = static_cast<std::uint16_t>(entry);
}

// What stood behind it moves up, so that no gap ends a search too early.
void HeavyHitters::unindex(std::size_t entry) noexcept {
  std::size_t gap = entries_[entry].key.low & mask_;
  while (places_[gap] != entry) gap = (gap + 1) & mask_;
  for (std::size_t next = (gap + 1) & mask_; places_[next] != none; next = (next + 1) & mask_) {
    const std::size_t home = entries_[places_[next]].key.low & mask_;
    if (((next - home) & mask_) < ((next - gap) & mask_)) continue;
    places_[gap] = places_[next];
    gap = next;
  }
  places_[gap] = none;
}

// Counts only grow between two fadings, so a count of known_min_ that is found is the smallest. Each full turn of the
// hand raises it: constant work on average.
std::size_t HeavyHitters::smallest() noexcept {
  for (;;) {
    for (std::size_t i = 0; i < entries_.size(); ++i) {
      const std::size_t at = hand_;
      hand_ = hand_ + 1 == entries_.size() ? 0 : hand_ + 1;
      if (entries_[at].count <= known_min_) return at;
    }
    known_min_ = entries_.front().count;
    for (const HotKey& entry : entries_) known_min_ = std::min(known_min_, entry.count);
  }
}

std::uint64_t HeavyHitters::floor() const noexcept {
  if (entries_.size() < capacity_) return 0;
  std::uint64_t least = entries_.front().count;
  for (const HotKey& entry : entries_) least = std::min(least, entry.count);
  return least;
}

void HeavyHitters::fade() noexcept {
  total_ /= 2;
  known_min_ /= 2;
  for (HotKey& entry : entries_) {
    for (std::uint64_t* n : {&entry.count, &entry.error, &entry.hits, &entry.bytes, &entry.fetches, &entry.upstream_us})
      *n /= 2;
  }
}

HotKey& HeavyHitters::add(const Hash128& key, std::uint64_t weight) {
  if (total_ >= fade_at) fade();
  total_ += weight;
  std::size_t at = find(key);
  if (at == none) {
    HotKey fresh;
    fresh.key = key;
    if (entries_.size() < capacity_) {
      at = entries_.size();
      entries_.push_back(std::move(fresh));
    } else {
      at = smallest();
      unindex(at);
      fresh.count = fresh.error = entries_[at].count;
      entries_[at] = std::move(fresh);
    }
    index(at);
  }
  entries_[at].count += weight;
  return entries_[at];
}

std::vector<HotKey> merge_hot_keys(std::span<const std::vector<HotKey>> sketches, std::span<const std::uint64_t> floors,
                                   std::size_t limit) {
  struct Sum {
    HotKey key;
    std::uint64_t floors_of_those_who_have_it = 0;
  };
  std::map<Hash128, Sum> sums;
  std::uint64_t all_floors = 0;
  for (std::size_t i = 0; i < sketches.size(); ++i) {
    const std::uint64_t floor = i < floors.size() ? floors[i] : 0;
    all_floors += floor;
    for (const HotKey& entry : sketches[i]) {
      Sum& sum = sums[entry.key];
      sum.floors_of_those_who_have_it += floor;
      sum.key.key = entry.key;
      if (sum.key.name.empty()) sum.key.name = entry.name;
      if (sum.key.url.empty()) {
        sum.key.url = entry.url;
        sum.key.listener = entry.listener;
      }
      sum.key.count += entry.count;
      sum.key.error += entry.error;
      sum.key.hits += entry.hits;
      sum.key.bytes += entry.bytes;
      sum.key.fetches += entry.fetches;
      sum.key.upstream_us += entry.upstream_us;
    }
  }
  std::vector<HotKey> merged;
  for (auto& [key, sum] : sums) {
    const std::uint64_t elsewhere = all_floors - sum.floors_of_those_who_have_it;
    sum.key.count += elsewhere;
    sum.key.error += elsewhere;
    merged.push_back(std::move(sum.key));
  }
  // Those that are surely asked for come before those that may be.
  const auto hotter = [](const HotKey& a, const HotKey& b) {
    const std::uint64_t x = a.count - a.error, y = b.count - b.error;
    return std::tie(x, a.count, a.key) > std::tie(y, b.count, b.key);
  };
  std::sort(merged.begin(), merged.end(), hotter);
  if (merged.size() > limit) merged.resize(limit);
  return merged;
}

}  // namespace pillion
