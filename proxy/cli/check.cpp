// pillion check: every error of a configuration file in one run.
#include <iostream>

#include "cli/commands.hpp"

namespace pillion::cli {

int check(const CheckFlags& flags) {
  const std::string file = config_file(flags.config);
  const config::Loaded loaded = config::load_file(file);
  if (!say_problems(file, loaded)) return 2;
  const std::size_t n = loaded.config->routes.size();
  std::cout << file << ": good, " << n << (n == 1 ? " route\n" : " routes\n");
  return 0;
}

}  // namespace pillion::cli
