#include "reload.hpp"

#include <iostream>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "config/loader.hpp"
#include "net/tls_context.hpp"

namespace pillion {

namespace {

// One line an error.
std::string problems_of(const std::string& path, const std::vector<config::Problem>& problems, bool warnings) {
  std::string lines;
  for (const config::Problem& problem : problems) {
    if (problem.warning != warnings) continue;
    if (!lines.empty()) lines += '\n';
    lines += config::format(path, problem);
  }
  return lines;
}

// The names of those that aren't the same.
class Differences {
 public:
  template <typename T>
  void note(const T& old, const T& fresh, std::string_view name) {
    if (!(old == fresh)) names.emplace_back(name);
  }
  std::vector<std::string> names;
};

// What a reload can't change, by name; empty where it changes nothing of that.
std::string fixed_differences(const config::Config& old, const config::Config& fresh) {
  Differences found;
  found.note(old.listeners, fresh.listeners, "listeners");
  found.note(old.admin, fresh.admin, "admin");
  found.note(old.metrics, fresh.metrics, "metrics");
  found.note(old.query_cache.has_value(), fresh.query_cache.has_value(), "query_cache");
  if (old.query_cache && fresh.query_cache) {
    const bool moved = old.query_cache->address != fresh.query_cache->address;
    found.note(moved || old.query_cache->mode != fresh.query_cache->mode, false, "query_cache.address");
  }
  found.note(old.workers, fresh.workers, "workers");
  found.note(old.redis, fresh.redis, "store.redis");
  std::string names;
  for (const std::string& name : found.names) names += (names.empty() ? "" : ", ") + name;
  return names;
}

// What a reload has changed, as the file names it. `defaults` show in the routes.
std::vector<std::string> changed_sections(const config::Config& old, const config::Config& fresh) {
  Differences found;
  found.note(old.canonical_host, fresh.canonical_host, "canonical_host");
  found.note(old.upstreams, fresh.upstreams, "upstreams");
  found.note(old.memory, fresh.memory, "store.memory");
  found.note(old.ttl, fresh.ttl, "ttl");
  found.note(old.routes, fresh.routes, "routes");
  found.note(old.trusted_proxies, fresh.trusted_proxies, "trusted_proxies");
  found.note(old.limits, fresh.limits, "limits");
  found.note(old.timeouts, fresh.timeouts, "timeouts");
  found.note(old.drain, fresh.drain, "drain");
  found.note(old.query_cache, fresh.query_cache, "query_cache");
  found.note(old.warm, fresh.warm, "warm");
  found.note(old.log, fresh.log, "log");
  return std::move(found.names);
}

}  // namespace

ConfigPtr read_first(const std::string& path) {
  config::Loaded loaded = config::load_file(path);
  if (!loaded.config) throw std::invalid_argument(problems_of(path, loaded.problems, false));
  const std::string warnings = problems_of(path, loaded.problems, true);
  if (!warnings.empty()) std::cerr << warnings << std::endl;
  return std::make_shared<const config::Config>(std::move(*loaded.config));
}

void check_certificates(const config::Config& config) {
  for (const config::Upstream& upstream : config.upstreams) {
    if (upstream.tls) make_client_tls(upstream.tls_ca, upstream.tls_verify);
  }
}

Reloaded read_again(const std::string& path, const config::Config& current) {
  Reloaded result;
  ReloadOutcome& outcome = result.outcome;
  config::Loaded loaded = config::load_file(path);
  for (const config::Problem& problem : loaded.problems)
    (problem.warning ? outcome.warnings : outcome.errors).push_back(config::format(path, problem));
  if (!loaded.config) {
    outcome.refused = "the configuration is refused and the old one stays in force";
    return result;
  }
  if (*loaded.config == current) return result;
  const std::string fixed = fixed_differences(current, *loaded.config);
  if (!fixed.empty()) {
    outcome.refused =
        path + ": " + fixed + " can't change while running: restart for that; the old configuration stays in force";
    return result;
  }
  try {
    check_certificates(*loaded.config);
  } catch (const std::exception& error) {
    outcome.refused = path + ": " + error.what() + "; the old configuration stays in force";
    return result;
  }
  outcome.changed = changed_sections(current, *loaded.config);
  result.config = std::make_unique<const config::Config>(std::move(*loaded.config));
  return result;
}

}  // namespace pillion
