// The keys that are asked for most, in bounded memory: the Space-Saving sketch (Metwally, Agrawal, El Abbadi, 2005).
// A key that isn't among those held takes the place of the one with the smallest count and starts from that count, so
// each count is too high by at most its `error`, and a key asked for more often than total / capacity is held. One
// worker's; sketches of several are merged when they are read. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/hash.hpp"

namespace pillion {

/// One key and what is known of it. `count` and `error` are in requests; the others concern the time since it came in.
struct HotKey {
  Hash128 key;
  std::string name;  ///< readable, at most HeavyHitters::max_name bytes; empty for one asked for but once
  std::uint64_t count = 0, error = 0;
  std::uint64_t hits = 0;         ///< answered from a store
  std::uint64_t bytes = 0;        ///< of answers
  std::uint64_t fetches = 0;      ///< that the upstream answered
  std::uint64_t upstream_us = 0;  ///< spent on these
  std::string url, listener;      ///< by which it can be warmed (flow/observe.hpp); empty: it can't, or isn't known
};

class HeavyHitters {
 public:
  static constexpr std::size_t max_name = 200;
  /// Beyond so many requests all counts are halved: what was hot long ago gives way.
  static constexpr std::uint64_t fade_at = 1u << 20;

  explicit HeavyHitters(std::size_t capacity = 256);

  /// Counts `weight` requests of that key, at least 1; the entry, for the caller to add the rest to. Good until the
  /// next call. A new one has no name.
  HotKey& add(const Hash128& key, std::uint64_t weight);
  std::uint64_t total() const noexcept { return total_; }
  std::size_t size() const noexcept { return entries_.size(); }
  std::size_t capacity() const noexcept { return capacity_; }
  std::span<const HotKey> entries() const noexcept { return entries_; }
  /// What a key that isn't held may have been asked for at most.
  std::uint64_t floor() const noexcept;

 private:
  std::size_t find(const Hash128& key) const noexcept;
  void index(std::size_t entry) noexcept;
  void unindex(std::size_t entry) noexcept;
  std::size_t smallest() noexcept;
  void fade() noexcept;

  static constexpr std::uint16_t none = 0xffff;
  std::size_t capacity_, mask_;
  std::vector<HotKey> entries_;
  std::vector<std::uint16_t> places_;  // open addressing: which entry stands there
  std::uint64_t total_ = 0;
  std::uint64_t known_min_ = 0;  // no count is below it
  std::size_t hand_ = 0;         // where the search for an entry with that count goes on
};

/// Several workers' sketches as one, the most asked for first, `limit` at most. A key that a full sketch doesn't hold
/// may have had its floor there, which is added to the error.
std::vector<HotKey> merge_hot_keys(std::span<const std::vector<HotKey>> sketches, std::span<const std::uint64_t> floors,
                                   std::size_t limit);

}  // namespace pillion
