#include "ops/warm_body.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

namespace pillion {

namespace json = boost::json;

std::variant<WarmRequestBody, std::string> parse_warm_body(std::string_view body) {
  boost::system::error_code error;
  const json::value parsed = json::parse(json::string_view(body.data(), body.size()), error);
  if (error) return "the body is not JSON: " + error.message();
  const json::object* object = parsed.if_object();
  if (!object) return std::string("the body must be a JSON object");
  WarmRequestBody request;
  for (const auto& [field, value] : *object) {
    if (field == "urls") {
      const json::array* list = value.if_array();
      if (!list) return std::string("`urls` must be a list of paths or URLs");
      for (const json::value& item : *list) {
        const json::string* text = item.if_string();
        if (!text) return std::string("`urls` must be a list of paths or URLs");
        request.urls.emplace_back(*text);
      }
    } else if (field == "listener") {
      const json::string* text = value.if_string();
      if (!text || text->empty())
        return std::string("`listener` must be a listener's name; leave it out for the usual one");
      request.listener = *text;
    } else {
      return "unknown field `" + std::string(std::string_view(field).substr(0, 100)) + "`: known are urls and listener";
    }
  }
  if (request.urls.empty()) return std::string("`urls` is missing or empty: nothing is named to be warmed");
  return request;
}

std::string warm_line(const WarmedUrl& url) {
  json::object line;
  line["url"] = url.target.url;
  line["result"] = to_string(url.warmed.result);
  if (!url.warmed.reason.empty()) line["reason"] = url.warmed.reason;
  if (url.warmed.status != 0) line["status"] = url.warmed.status;
  if (url.warmed.result == WarmResult::stored || url.warmed.result == WarmResult::fresh)
    line["bytes"] = url.warmed.bytes;
  line["ms"] = static_cast<double>(url.warmed.us) / 1000.0;
  return json::serialize(line) + "\n";
}

}  // namespace pillion
