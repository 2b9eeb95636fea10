// The files that a configuration names and whose contents may change while it is in force: certificates, keys, secrets.
// For reloader.cpp.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config/model.hpp"

namespace pillion {

std::vector<std::string> named_files(const config::Config& config);

struct Reread {
  std::optional<config::Config> config;  ///< where a file of an upstream holds something else now: with that
  std::vector<std::string> errors;       ///< one line each, of files that can't be used: the old contents stay
};
/// Reads those of the upstreams again (a listener's are ListenerTls's), whatever has become of the configuration file.
Reread reread_files(const config::Config& current);

}  // namespace pillion
