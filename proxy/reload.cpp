#include "reload.hpp"

#include <iostream>
#include <stdexcept>
#include <string_view>

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

// What a reload can't change, by name; empty where it changes nothing of that.
std::string fixed_differences(const config::Config& old, const config::Config& fresh) {
  std::string names;
  const auto note = [&](bool same, std::string_view name) {
    if (same) return;
    if (!names.empty()) names += ", ";
    names += name;
  };
  note(old.listeners == fresh.listeners, "listeners");
  note(old.admin == fresh.admin, "admin");
  note(old.metrics == fresh.metrics, "metrics");
  note(old.query_cache.has_value() == fresh.query_cache.has_value(), "query_cache");
  if (old.query_cache && fresh.query_cache) {
    note(old.query_cache->address == fresh.query_cache->address && old.query_cache->mode == fresh.query_cache->mode,
         "query_cache.address");
  }
  note(old.workers == fresh.workers, "workers");
  note(old.redis == fresh.redis, "store.redis");
  return names;
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
  config::Loaded loaded = config::load_file(path);
  if (!loaded.config) {
    result.errors.emplace_back("the configuration is refused and the old one stays in force");
    for (const config::Problem& problem : loaded.problems) {
      if (!problem.warning) result.errors.push_back(config::format(path, problem));
    }
    return result;
  }
  if (*loaded.config == current) return result;
  const std::string fixed = fixed_differences(current, *loaded.config);
  if (!fixed.empty()) {
    result.errors.push_back(path + ": " + fixed +
                            " can't change while running: restart for that; the old configuration stays in force");
    return result;
  }
  try {
    check_certificates(*loaded.config);
  } catch (const std::exception& error) {
    result.errors.push_back(path + ": " + error.what() + "; the old configuration stays in force");
    return result;
  }
  result.config = std::make_shared<const config::Config>(std::move(*loaded.config));
  return result;
}

}  // namespace pillion
