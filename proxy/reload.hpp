// Reading the configuration file, at the start and again. Used by server.cpp alone.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "config/model.hpp"

namespace pillion {

using ConfigPtr = std::shared_ptr<const config::Config>;

/// Reads it for the first time; warnings go to standard error. Throws std::invalid_argument with one line an error.
ConfigPtr read_first(const std::string& path);

/// Throws std::runtime_error where a file of trusted certificates can't be used.
void check_certificates(const config::Config& config);

struct Reloaded {
  ConfigPtr config;                 ///< nullptr where nothing changed, or errors say why nothing does
  std::vector<std::string> errors;  ///< one line each; empty where the file is good
};
/// Reads it again while `current` is in force. What can't change while the proxy runs is an error that names it.
Reloaded read_again(const std::string& path, const config::Config& current);

}  // namespace pillion
