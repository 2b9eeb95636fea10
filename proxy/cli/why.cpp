// `pillion why`: what a running proxy decided for recent requests, step by step.
#include <algorithm>
#include <boost/json/parse.hpp>
#include <iostream>

#include "cli/admin.hpp"
#include "cli/commands.hpp"
#include "ops/json_text.hpp"

namespace pillion::cli {
namespace {

namespace json = boost::json;

std::string text_at(const json::object& object, std::string_view key) {
  const json::value* value = object.if_contains(key);
  if (!value || value->is_null()) return {};
  return value->is_string() ? std::string(value->get_string()) : json_text(*value);
}

void print(const json::object& decision) {
  std::cout << text_at(decision, "time") << "  " << text_at(decision, "method") << ' ' << text_at(decision, "path")
            << "  " << text_at(decision, "status") << ' ' << text_at(decision, "result") << '\n';
  if (const std::string id = text_at(decision, "id"); !id.empty()) std::cout << "  request " << id << '\n';
  if (const std::string key = text_at(decision, "key"); !key.empty()) std::cout << "  key " << key << '\n';
  const json::value* steps = decision.if_contains("steps");
  const json::array* list = steps ? steps->if_array() : nullptr;
  int number = 0;
  if (list)
    for (const json::value& step : *list)
      if (const json::object* item = step.if_object())
        std::cout << "  " << ++number << ". " << text_at(*item, "text") << '\n';
}

}  // namespace

int why(const WhyFlags& flags) {
  const bool is_path = flags.what.starts_with('/');
  const std::string limit = std::to_string(std::clamp(flags.limit, 1, 1000));
  const std::string target =
      "/recent?" + std::string(is_path ? "path=" : "id=") + percent_encoded(flags.what) + "&limit=" + limit;
  json::object answer;
  if (const int code = ask_admin({flags.admin, flags.token_file}, "GET", target, {}, answer); code != 0) return code;
  const json::value* decisions = answer.if_contains("decisions");
  const json::array* list = decisions ? decisions->if_array() : nullptr;
  if (flags.json) {
    std::cout << json_text(answer) << '\n';
  } else if (list) {
    bool first = true;
    for (const json::value& decision : *list) {
      if (const json::object* item = decision.if_object()) {
        if (!std::exchange(first, false)) std::cout << '\n';
        print(*item);
      }
    }
  }
  if (list && !list->empty()) return 0;
  say_error("none of the last 1,000 requests of this replica is " + flags.what);
  return 1;
}

}  // namespace pillion::cli
