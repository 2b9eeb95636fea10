#include "flow/search_rules.hpp"

namespace pillion {

std::string SearchRules::find(const Hash128& path) const {
  if (!any()) return {};
  const Shard& shard = shards_[path.high % shard_count];
  std::lock_guard lock(shard.mutex);
  const auto found = shard.rules.find(path);
  return found == shard.rules.end() ? std::string() : found->second;
}

void SearchRules::learn(const Hash128& path, const std::string& rule) {
  if (rule.empty() && !any()) return;
  Shard& shard = shards_[path.high % shard_count];
  std::lock_guard lock(shard.mutex);
  if (rule.empty()) {
    shard.rules.erase(path);
    return;
  }
  if (shard.rules.size() >= max_rules && !shard.rules.contains(path)) shard.rules.erase(shard.rules.begin());
  shard.rules[path] = rule;
  any_.store(true, std::memory_order_relaxed);
}

}  // namespace pillion
