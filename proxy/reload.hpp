// Reading the configuration file, at the start and again. Used by server.cpp and reloader.cpp.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/model.hpp"
#include "ops/control.hpp"

namespace pillion {

using ConfigPtr = std::shared_ptr<const config::Config>;

/// Reads it for the first time; warnings go to standard error. Throws std::invalid_argument with one line an error.
ConfigPtr read_first(const std::string& path);

/// Throws std::runtime_error where a file of trusted certificates can't be used.
void check_certificates(const config::Config& config);

struct Reloaded {
  std::unique_ptr<const config::Config> config;  ///< nullptr where nothing changes
  ReloadOutcome outcome;
};
/// Reads it again while `current` is in force. What can't change while the proxy runs is an error that names it.
Reloaded read_again(const std::string& path, const config::Config& current);

}  // namespace pillion
