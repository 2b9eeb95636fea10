// A small JSON reader, so that tests don't judge the proxy with the library it writes with. For tests.
#pragma once

#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace pillion::support {

struct Json {
  enum class Type { null, boolean, number, string, array, object };
  Type type = Type::null;
  bool boolean = false;
  double number = 0;
  std::string string;
  std::vector<Json> array;
  std::map<std::string, Json> object;

  /// Throws std::runtime_error where `text` isn't exactly one JSON value.
  static Json parse(std::string_view text);
  bool has(const std::string& name) const { return type == Type::object && object.contains(name); }
  /// A member; throws std::runtime_error, naming it, where there is none.
  const Json& operator[](const std::string& name) const;
  bool is_string() const { return type == Type::string; }
  /// True for an array that has this string.
  bool contains(std::string_view text) const;
};

}  // namespace pillion::support
