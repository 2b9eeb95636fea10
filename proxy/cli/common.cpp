// What several commands share.
#include <iostream>

#include "cli/commands.hpp"

namespace pillion::cli {

void say_error(const std::string& text) { std::cerr << "pillion: " << text << '\n'; }

bool say_problems(const std::string& file, const config::Loaded& loaded) {
  for (const config::Problem& problem : loaded.problems) std::cerr << config::format(file, problem) << '\n';
  return loaded.config.has_value();
}

std::string config_file(const std::string& flag) { return flag.empty() ? "proxy.yaml" : flag; }

}  // namespace pillion::cli
