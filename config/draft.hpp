// A configuration on its way from the file: the values read so far and the nodes they came from, which the later steps
// need for positions. Used inside config only.
#pragma once

#include <vector>

#include "config/keys.hpp"
#include "config/reader.hpp"

namespace pillion::config {

struct Draft {
  Config config;
  // Sections whose reading waits for others, and those that the checks speak of; nullptr where absent.
  const Node* listeners = nullptr;
  const Node* admin = nullptr;
  const Node* metrics = nullptr;
  const Node* query_cache = nullptr;
  const Node* upstreams = nullptr;
  const Node* store = nullptr;
  const Node* ttl = nullptr;
  const Node* defaults = nullptr;
  const Node* routes = nullptr;
  const Node* limits = nullptr;
  const Node* warm = nullptr;
  std::vector<const Node*> route_nodes;     ///< of config.routes, in step
  std::vector<const Node*> listener_nodes;  ///< of config.listeners, in step; empty where the default one serves
};

// sections.cpp
void read_listeners(Context& context, const Node& node, Draft& draft);
void read_admin(Context& context, const Node& node, Draft& draft);
void read_metrics(Context& context, const Node& node, Draft& draft);
void read_query_cache(Context& context, const Node& node, Draft& draft);
void read_upstreams(Context& context, const Node& node, Draft& draft);
// redis.cpp
void read_redis(Context& context, const Node& node, Draft& draft);
// settings.cpp
void read_store(Context& context, const Node& node, Draft& draft);
void read_limits(Context& context, const Node& node, Draft& draft);
void read_timeouts(Context& context, const Node& node, Draft& draft);
void read_drain(Context& context, const Node& node, Draft& draft);
void read_warm(Context& context, const Node& node, Draft& draft);
void read_workers(Context& context, const Node& node, Draft& draft);
void read_log(Context& context, const Node& node, Draft& draft);
void read_trusted_proxies(Context& context, const Node& node, Draft& draft);
void read_ttl(Context& context, const Node& node, Draft& draft);
/// What trusted_proxies is where the file doesn't say: loopback and private ranges.
std::vector<std::string> private_networks();
// routes.cpp: after ttl and upstreams
void read_routes(Context& context, Draft& draft);
// checks.cpp: what only shows when everything is read
void check_all(Context& context, const Draft& draft);

/// The table's keys, for key_lists().
template <class T, std::size_t N>
KeyList list_keys(std::string path, const Key<T> (&keys)[N]) {
  KeyList list{std::move(path), {}};
  for (const Key<T>& key : keys) list.known.emplace_back(key.name);
  return list;
}
void append_section_keys(std::vector<KeyList>& lists);
void append_redis_keys(std::vector<KeyList>& lists);
void append_setting_keys(std::vector<KeyList>& lists);
void append_route_keys(std::vector<KeyList>& lists);

}  // namespace pillion::config
