#include "ops/json_text.hpp"

#include <boost/json/serialize.hpp>
#include <charconv>
#include <cmath>

namespace pillion {
namespace {

namespace json = boost::json;

void append(double number, std::string& out) {
  char text[400];  // the largest has 309 digits before the point, the smallest 324 behind it and some 17 that count
  const auto [end, error] = std::to_chars(text, text + sizeof text, number, std::chars_format::fixed);
  if (!std::isfinite(number) || error != std::errc()) {
    out += "null";
  } else {
    out.append(text, end);
  }
}

// As deep as what we put together, a few levels, or what Boost.JSON has parsed: 32.
void append(const json::value& value, std::string& out) {
  if (const json::object* object = value.if_object()) {
    char before = '{';
    for (const auto& [name, member] : *object) {
      out += before;
      out += json::serialize(name);
      out += ':';
      append(member, out);
      before = ',';
    }
    out += object->empty() ? "{}" : "}";
  } else if (const json::array* array = value.if_array()) {
    char before = '[';
    for (const json::value& element : *array) {
      out += before;
      append(element, out);
      before = ',';
    }
    out += array->empty() ? "[]" : "]";
  } else if (value.is_double()) {
    append(value.get_double(), out);
  } else {
    out += json::serialize(value);
  }
}

}  // namespace

std::string json_text(const json::value& value) {
  std::string text;
  append(value, text);
  return text;
}

}  // namespace pillion
