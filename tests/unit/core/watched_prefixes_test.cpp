// Which keys of Redis are watched: disjoint beginnings that cover every route.
#include "core/watched_prefixes.hpp"

#include <doctest/doctest.h>

using namespace pillion;

namespace {

config::Config routes(const std::vector<std::string>& keys, std::string name_space = {}) {
  config::Config config;
  config.redis.enabled = true;
  config.redis.key_namespace = std::move(name_space);
  for (const std::string& key : keys) {
    config::Route route;
    route.cache = config::CacheMode::on;
    route.key = key;
    config.routes.push_back(route);
  }
  return config;
}

using Prefixes = std::vector<std::string>;

}  // namespace

TEST_CASE("watched prefixes: a key's literal beginning, up to what stands before the hash") {
  CHECK(key_prefix("character:{id}") == "character:");
  CHECK(key_prefix("api:characters") == "api:characters:");
  CHECK(key_prefix("{id}:x").empty());
}

TEST_CASE("watched prefixes: none begins another, and each key begins with one") {
  CHECK(watched_prefixes(routes({"b:{x}", "a:{x}", "a:{y}", "a:b:{z}", "c"})) == Prefixes{"a:", "b:", "c:"});
  CHECK(watched_prefixes(routes({"a:{x}", "{x}"})) == Prefixes{""});
  CHECK(watched_prefixes(routes({"{x}", "b"}, "ns:")) == Prefixes{"ns:"});
  CHECK(watched_prefixes(routes({"b", "a{x}"}, "ns:")) == Prefixes{"ns:a", "ns:b:"});
}

TEST_CASE("watched prefixes: too many become the namespace alone") {
  Prefixes keys;
  for (std::size_t i = 0; i < max_watched_prefixes; ++i) keys.push_back("k" + std::to_string(i));
  CHECK(watched_prefixes(routes(keys, "ns:")).size() == max_watched_prefixes);
  keys.emplace_back("another");
  CHECK(watched_prefixes(routes(keys, "ns:")) == Prefixes{"ns:"});
  CHECK(watched_prefixes(routes(keys)) == Prefixes{""});
}

TEST_CASE("watched prefixes: a route that fetches for the fleet hears of leases and of what is stored, memory or not") {
  config::Config config = routes({"a"});
  config.routes[0].collapse = config::Collapse::fleet;
  CHECK(watched_prefixes(config) == Prefixes{"a:", "pillion:lease:"});
  config.memory.enabled = false;
  CHECK(watched_prefixes(config) == Prefixes{"a:", "pillion:lease:"});
  config.redis.key_namespace = "ns:";
  CHECK(watched_prefixes(config) == Prefixes{"ns:a:", "ns:pillion:lease:"});
  config.routes[0].store_redis = false;
  CHECK(watched_prefixes(config).empty());
}

TEST_CASE("watched prefixes: what has no copy in memory of something in Redis is nothing to watch") {
  CHECK(watched_prefixes(routes({})).empty());
  for (int i = 0; i < 4; ++i) {
    CAPTURE(i);
    config::Config config = routes({"a", "b"});
    if (i == 0) config.redis.enabled = false;
    if (i == 1) config.memory.enabled = false;
    for (config::Route& route : config.routes) {
      if (i == 2) route.store_memory = false;
      if (i == 3) route.store_redis = false;
    }
    CHECK(watched_prefixes(config).empty());
  }
  config::Config config = routes({"a", "b"});
  config.routes[0].cache = config::CacheMode::off;
  CHECK(watched_prefixes(config) == Prefixes{"b:"});
}

TEST_CASE("watched prefixes: the query cache's types, and its leases") {
  config::Config config = routes({"character:{id}"}, "ns:");
  config.ttl = {{"character", {}}, {"char", {}}};
  CHECK(watched_prefixes(config) == Prefixes{"ns:character:"});
  config.query_cache.emplace();
  CHECK(watched_prefixes(config) == Prefixes{"ns:char:", "ns:character:", "ns:pillion:lease:"});
}
