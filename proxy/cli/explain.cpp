// pillion explain: what the proxy would do with a request, worked out without one running.
#include "ops/explain.hpp"

#include <iostream>

#include "cli/commands.hpp"
#include "ops/json_text.hpp"

namespace pillion::cli {

int explain(const ExplainFlags& flags) {
  const std::string file = config_file(flags.config);
  const config::Loaded loaded = config::load_file(file);
  if (!say_problems(file, loaded)) return 2;
  std::vector<std::pair<std::string, std::string>> headers;
  for (const std::string& header : flags.headers) {
    const std::size_t colon = header.find(':');
    if (colon == std::string::npos) {
      say_error("-H takes 'Name: value', got '" + header + "'");
      return 2;
    }
    headers.emplace_back(header.substr(0, colon), header.substr(colon + 1));
  }
  std::string error;
  auto request = ExplainedRequest::make(flags.method, flags.url, headers, loaded.config->canonical_host, error);
  if (!request) {
    say_error(error);
    return 2;
  }
  const std::string listener = flags.listener.empty() ? std::string(usual_listener(*loaded.config)) : flags.listener;
  if (!has_listener(*loaded.config, listener)) {
    say_error("no listener is called '" + listener + "' in " + file);
    return 2;
  }
  if (listener_has_tls(*loaded.config, listener)) request->come_over_tls();
  const Explanation explanation =
      pillion::explain(*loaded.config, RouteTable(*loaded.config), request->head(), listener);
  if (flags.json) {
    std::cout << json_text(to_json(explanation)) << '\n';
  } else {
    std::cout << to_text(explanation);
  }
  return 0;
}

}  // namespace pillion::cli
