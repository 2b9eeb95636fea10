#include "flow/context.hpp"

#include <algorithm>
#include <chrono>
#include <ctime>

namespace pillion {

Snapshot::Snapshot(std::shared_ptr<const config::Config> settings, Counters& counters)
    : config(std::move(settings)), routes(std::make_shared<const RouteTable>(*config)) {
  for (const CompiledRoute& route : routes->routes()) route_counters.push_back(&counters.route(route.settings.name));
  for (const config::Listener& listener : config->listeners) {
    if (std::find(listeners.begin(), listeners.end(), listener.name) == listeners.end())
      listeners.push_back(listener.name);
  }
  unmatched.settings.name = "-";
  unmatched.index = route_counters.size();
  route_counters.push_back(&counters.route(unmatched.settings.name));
  const auto add_query_type = [&](CompiledRoute& type, const std::string& name) {
    type.settings.name = "query:" + name;
    type.settings.cache = config::CacheMode::on;
    type.settings.when_unsure = config->query_cache->when_unsure;
    type.index = route_counters.size();
    route_counters.push_back(&counters.route(type.settings.name));
  };
  if (config->query_cache) {
    add_query_type(query_unmatched, "-");
    for (const auto& [name, lifetime] : config->ttl) {
      CompiledRoute& type = query_types[name];
      type.settings.ttl = lifetime;
      add_query_type(type, name);
    }
  }
  for (std::size_t i = 0; i < config->upstreams.size(); ++i) {
    upstream_counters.push_back(&counters.upstream(config->upstreams[i].name));
    if (config->upstreams.size() == 1 || config->upstreams[i].name == "app") {
      unmatched.upstream = i;
      has_default_upstream = true;
    }
  }
}

Now now() {
  using namespace std::chrono;
  return {duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count(),
          duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count()};
}

Now now_at(std::chrono::steady_clock::time_point mono) {
  using namespace std::chrono;
  timespec wall;
  clock_gettime(CLOCK_REALTIME_COARSE, &wall);
  return {std::int64_t{wall.tv_sec} * 1000 + wall.tv_nsec / 1'000'000,
          duration_cast<milliseconds>(mono.time_since_epoch()).count()};
}

}  // namespace pillion
