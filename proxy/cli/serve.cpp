// pillion serve: from flags to a running proxy.
#include <exception>
#include <filesystem>
#include <iostream>
#include <stdexcept>

#include "cli/commands.hpp"
#include "server.hpp"

namespace pillion::cli {
namespace {

// Until it has drained. What refuses a configuration says one line an error.
int run(const ServeOptions& options) {
  try {
    Server server(options);
    server.start();
    return server.wait();
  } catch (const std::invalid_argument& error) {
    std::cerr << error.what() << std::endl;
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "pillion: " << error.what() << std::endl;
    return 1;
  }
}

int serve_flags(const ServeFlags& flags) {
  config::Loaded loaded = config::default_config(flags.upstream, flags.listen, flags.admin, flags.redis, flags.ttl);
  for (const config::Problem& problem : loaded.problems) say_error(problem.message);
  if (!loaded.config) return 2;
  ServeOptions options;
  options.config = std::move(loaded.config);
  return run(options);
}

}  // namespace

int serve(const ServeFlags& flags) {
  if (!flags.upstream.empty()) {
    if (flags.config.empty()) return serve_flags(flags);
    say_error("--config and --upstream don't go together: put the upstream into the file");
    return 2;
  }
  for (const auto& [name, value] :
       {std::pair{"--listen", flags.listen}, {"--admin", flags.admin}, {"--redis", flags.redis}, {"--ttl", flags.ttl}})
    if (!value.empty()) {
      say_error(std::string(name) + " goes with --upstream alone: put it into the configuration file");
      return 2;
    }
  ServeOptions options;
  options.config_path = config_file(flags.config);
  std::error_code ignored;
  if (flags.config.empty() && !std::filesystem::exists(options.config_path, ignored)) {
    say_error("there is no proxy.yaml here: name a file with --config, or an application with --upstream URL");
    return 2;
  }
  return run(options);
}

}  // namespace pillion::cli
