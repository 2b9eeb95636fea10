// pillion health: whether a running proxy is ready, for probes in containers that have neither shell nor curl.
#include <boost/json/parse.hpp>
#include <iostream>

#include "cli/commands.hpp"
#include "cli/http_client.hpp"

namespace pillion::cli {

int health(const HealthFlags& flags) {
  const ParsedUrl admin = parse_server_url(flags.admin);
  if (!admin.error.empty()) {
    say_error(admin.error);
    return 2;
  }
  HttpRequest request;
  request.target = "/readyz";
  request.time_limit = std::chrono::milliseconds(3000);
  const HttpAnswer answer = fetch(admin.address, request);
  if (answer.status == 200) {
    std::cout << "ready\n";
    return 0;
  }
  if (answer.status == 503) {
    boost::system::error_code error;
    const boost::json::value body = boost::json::parse(answer.body, error);
    const boost::json::object* object = error ? nullptr : body.if_object();
    const boost::json::value* state = object ? object->if_contains("state") : nullptr;
    say_error("not ready: " +
              (state && state->is_string() ? std::string(state->get_string()) : "starting or draining"));
  } else if (answer.status != 0) {
    say_error(flags.admin + " answered " + std::to_string(answer.status) + ": is that Pillion's admin address?");
  } else {
    say_error(answer.error + "; name the proxy's admin address with --admin");
  }
  return 1;
}

}  // namespace pillion::cli
