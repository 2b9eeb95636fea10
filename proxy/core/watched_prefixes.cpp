#include "core/watched_prefixes.hpp"

#include <algorithm>

namespace pillion {

std::string key_prefix(std::string_view key_template) {
  const std::size_t open = key_template.find('{');
  std::string prefix(key_template.substr(0, open));
  // Behind the key stands `:` and the hash.
  if (open == std::string_view::npos) prefix += ':';
  return prefix;
}

std::vector<std::string> watched_prefixes(const config::Config& config) {
  if (!config.redis.enabled) return {};
  const std::string& name_space = config.redis.key_namespace;
  std::vector<std::string> wanted;
  for (const config::Route& route : config.routes) {
    if (route.cache == config::CacheMode::off || !route.store_redis) continue;
    const bool fleet = route.collapse == config::Collapse::fleet;
    if (fleet) wanted.push_back(name_space + "pillion:lease:");
    if (fleet || (route.store_memory && config.memory.enabled)) wanted.push_back(name_space + key_prefix(route.key));
  }
  if (config.query_cache) {
    wanted.push_back(name_space + "pillion:lease:");
    for (const auto& [type, lifetime] : config.ttl) wanted.push_back(name_space + type + ':');
  }
  std::ranges::sort(wanted);
  std::vector<std::string> disjoint;
  // In this order a prefix stands before all that begin with it.
  for (std::string& prefix : wanted) {
    if (disjoint.empty() || !prefix.starts_with(disjoint.back())) disjoint.push_back(std::move(prefix));
  }
  if (disjoint.size() > max_watched_prefixes) return {name_space};
  return disjoint;
}

}  // namespace pillion
