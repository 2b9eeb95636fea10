// Several replicas on one Redis and words about them, for the tests of the invalidation log.
#pragma once

#include <algorithm>

#include "integration.hpp"
#include "support/fleet.hpp"

namespace pillion::support {

inline constexpr const char* routes = R"(routes:
  - name: things
    path: /things/{id}
    ttl: 600s
    key: "thing:{id}"
    tags: ["thing:{id}"]
  - name: swr
    path: /swr/{id}
    ttl: 600s
    tags: ["swr"]
    stale: { while_revalidate: 600s }
  - name: here
    path: /here/{id}
    ttl: 600s
    store: [memory]
  - name: all
    path: /**
    ttl: 600s
drain: { delay: 0s, timeout: 5s }
)";

inline FleetOptions fleet_of(int replicas) {
  FleetOptions options;
  options.replicas = replicas;
  options.routes = routes;
  // Some tests wait until silence is noticed.
  options.time = "    timeout: 2s\n    connect_timeout: 2s\n";
  return options;
}

inline Handler counting() { return numbered({}); }

inline std::string of_thing(const std::string& id) { return R"({"tags": ["thing:)" + id + R"("]})"; }

inline bool log_is_up(Pillion& proxy) { return proxy.metric("pillion_log_up") == 1; }

inline bool in_memory(Pillion& proxy, const std::string& target) { return detailed(proxy.get(target)) == "hit memory"; }

/// Into the memory of a replica, and into Redis with the first of them.
inline void fill(Fleet& fleet, const std::vector<std::string>& targets) {
  for (int i = 0; i < fleet.size(); ++i) {
    for (const std::string& target : targets) CHECK(eventually([&] { return in_memory(fleet[i], target); }));
  }
}

/// Names of the epochs that the log has begun.
inline std::vector<std::string> epochs(const RedisServer& redis) {
  std::vector<std::string> names;
  for (const auto& record : redis.command({"XRANGE", "pillion:log", "-", "+"}).elements) {
    const auto& fields = record.elements[1].elements;
    if (fields[0].text == "begin") names.push_back(fields[1].text);
  }
  return names;
}

inline bool has_name(const Json& list, const std::string& name) {
  return std::any_of(list.array.begin(), list.array.end(), [&](const Json& entry) { return entry.string == name; });
}

/// The upstream has served `target` exactly this often.
inline bool fetched(const ScriptedUpstream& upstream, const std::string& target, std::size_t times) {
  return upstream.count(target) == times;
}

}  // namespace pillion::support
