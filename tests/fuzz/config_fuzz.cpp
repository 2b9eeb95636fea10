// proxy.yaml: whatever stands in it, the loader ends; every problem has a place; what is accepted is printed and loaded
// again to the same configuration, and the route table takes it.
#include <exception>
#include <string>

#include "config/dump.hpp"
#include "config/loader.hpp"
#include "core/route_table.hpp"
#include "input.hpp"

using namespace pillion;
using fuzz::require;

namespace {

std::optional<std::string> environment(const std::string& name) {
  if (name == "SET") return "value";
  if (name == "ODD") return "\"}\n${SET}";
  return std::nullopt;
}

config::FileContent files(const std::string& path) {
  if (path.find("none") != std::string::npos) return {{}, "No such file or directory"};
  return {"-----BEGIN CERTIFICATE-----", {}};
}

void check_problems(const config::Loaded& loaded) {
  bool failed = false;
  for (const config::Problem& problem : loaded.problems) {
    require(problem.line >= 1 && problem.column >= 1, "a problem without a place");
    require(!problem.message.empty(), "a problem without words");
    require(config::format("f", problem).find('\n') == std::string::npos, "a problem of several lines");
    failed = failed || !problem.warning;
  }
  require(loaded.config.has_value() != failed, "a configuration with errors, or none without");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const config::Loaded loaded = config::load_text(text, environment, files);
  check_problems(loaded);
  if (!loaded.config) return 0;

  const std::string printed = config::dump(*loaded.config, false);
  const config::Loaded again = config::load_text(printed, environment, files);
  check_problems(again);
  require(again.config.has_value(), "a printed configuration is refused");
  require(*again.config == *loaded.config, "a printed configuration is read as another");
  try {
    const RouteTable table(*loaded.config);
    require(table.routes().size() == loaded.config->routes.size(), "the route table lost a route");
  } catch (const std::exception&) {
    require(false, "the route table refuses an accepted configuration");
  }
  return 0;
}
