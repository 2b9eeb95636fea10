// Which No-Vary-Search rule the responses of a path came with last: under it a query is looked up. What isn't known
// here is a miss, never a wrong answer: the rule is part of the key. Shared between workers, locks inside; bounded.
#pragma once

#include <array>
#include <atomic>
#include <mutex>
#include <string>
#include <unordered_map>

#include "core/hash.hpp"

namespace pillion {

class SearchRules {
 public:
  /// The rule of a path (by the hash of its primary key without query), or empty.
  std::string find(const Hash128& path) const;
  /// What a response that may be stored says: an empty rule forgets.
  void learn(const Hash128& path, const std::string& rule);
  /// Whether any rule was ever learnt: without one nobody has to look.
  bool any() const noexcept { return any_.load(std::memory_order_relaxed); }

 private:
  static constexpr std::size_t shard_count = 16;
  static constexpr std::size_t max_rules = 1024;  // a shard; another makes room
  struct Shard {
    mutable std::mutex mutex;
    std::unordered_map<Hash128, std::string> rules;
  };
  std::array<Shard, shard_count> shards_;
  std::atomic<bool> any_{false};
};

}  // namespace pillion
