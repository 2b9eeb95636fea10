#include "ops/bypass_body.hpp"

#include <boost/json/parse.hpp>

#include "config/scalars.hpp"

namespace pillion {

namespace json = boost::json;

std::variant<BypassRequest, std::string> parse_bypass_body(std::string_view body) {
  boost::system::error_code error;
  const json::value parsed = json::parse(json::string_view(body.data(), body.size()), error);
  if (error) return "the body is not JSON: " + error.message();
  const json::object* object = parsed.if_object();
  if (!object) return std::string("the body must be a JSON object");
  BypassRequest request;
  bool timed = false;
  for (const auto& [field, value] : *object) {
    const json::string* text = value.if_string();
    if (field == "route") {
      if (!text || text->empty()) return std::string("`route` must be a route's name; leave it out for all");
      request.route = *text;
    } else if (field == "for") {
      const auto time = config::parse_duration(text ? std::string_view(*text) : std::string_view());
      if (!time.value) return std::string("`for` must be a duration in quotes, such as \"10m\"; \"0s\" ends it");
      if (*time.value > longest_bypass) return std::string("`for` is over 24h: set cache: off on the route instead");
      request.time = *time.value;
      timed = true;
    } else {
      return "unknown field `" + std::string(std::string_view(field).substr(0, 100)) + "`: known are route and for";
    }
  }
  if (!timed) return std::string("`for` is missing: how long, such as \"10m\"");
  return request;
}

}  // namespace pillion
