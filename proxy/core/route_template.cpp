// Templates of keys, tags, patterns and rewrites, filled in with path parameters.
#include <stdexcept>

#include "core/hash.hpp"
#include "core/route_table.hpp"

namespace pillion {
namespace {

constexpr std::size_t max_key_value = 256;

bool is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

bool is_plain_in_keys(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

int parameter_index(std::string_view name, const std::vector<std::string>& names) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return static_cast<int>(i);
  }
  throw std::invalid_argument("the path has no parameter {" + std::string(name) + "}");
}

}  // namespace

// No byte that means something in a key or in a pattern (`:`, `*`, `?`, white space...) gets through, so that a
// client can't aim a value at another's key.
void append_key_value(std::string_view value, std::string& out) {
  static constexpr char digits[] = "0123456789ABCDEF";
  const std::size_t start = out.size();
  for (std::size_t i = 0; i < value.size(); ++i) {
    const char c = value[i];
    if (is_plain_in_keys(c) || (c == '%' && i + 2 < value.size() && is_hex(value[i + 1]) && is_hex(value[i + 2]))) {
      out += c;  // of an encoded octet the two digits follow as plain characters
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', digits[byte >> 4], digits[byte & 0xf]};
    }
    if (out.size() - start > max_key_value) {
      out.resize(start);
      append_hex(hash128(value), out);
      return;
    }
  }
}

Template::Template(std::string_view text, const std::vector<std::string>& names) {
  while (!text.empty()) {
    const std::size_t open = text.find('{');
    if (open != 0) parts_.push_back({std::string(text.substr(0, open)), -1});
    if (open == std::string_view::npos) break;
    const std::size_t close = text.find('}', open);
    if (close == std::string_view::npos) throw std::invalid_argument("'{' without '}'");
    parts_.push_back({{}, parameter_index(text.substr(open + 1, close - open - 1), names)});
    text.remove_prefix(close + 1);
  }
}

void Template::append(std::string& out, const std::vector<std::string_view>& values, Encode encode) const {
  for (const Part& part : parts_) {
    if (part.parameter < 0) {
      out += part.literal;
      continue;
    }
    const auto index = static_cast<std::size_t>(part.parameter);
    if (index >= values.size()) continue;
    if (encode == Encode::raw) {
      out += values[index];
    } else {
      append_key_value(values[index], out);
    }
  }
}

std::string Template::fill(const std::vector<std::string_view>& values, Encode encode) const {
  std::string out;
  append(out, values, encode);
  return out;
}

}  // namespace pillion
