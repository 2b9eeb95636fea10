// Which paths may be keyed: those that every server on the way reads alike.
#include "core/cache_key.hpp"

namespace pillion {
namespace {

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_control(unsigned char c) { return c < 0x20 || c == 0x7f; }

}  // namespace

bool is_keyable_path(std::string_view path) noexcept {
  if (!path.starts_with('/')) return false;
  std::size_t dots = 0;     // of the segment so far, which has nothing else
  bool only_dots = true;    // and no other byte has come in it
  bool parameters = false;  // past a `;`: some servers cut that off first and then see `..`
  bool first = true;        // of the segment
  for (std::size_t i = 1; i <= path.size(); ++i) {
    if (i == path.size() || path[i] == '/') {
      if (only_dots && (dots == 1 || dots == 2)) return false;
      if (first && i != path.size()) return false;  // `//`
      dots = 0;
      only_dots = first = true;
      parameters = false;
      continue;
    }
    first = false;
    auto c = static_cast<unsigned char>(path[i]);
    if (is_control(c) || c == ' ' || c == '\\' || c == '#') return false;
    if (c == '%') {
      const int high = i + 1 < path.size() ? hex_value(path[i + 1]) : -1;
      const int low = i + 2 < path.size() ? hex_value(path[i + 2]) : -1;
      if (high < 0 || low < 0) return false;  // servers read a broken octet each in its own way
      c = static_cast<unsigned char>(high * 16 + low);
      i += 2;
      if (is_control(c) || c == '/' || c == '\\') return false;
    }
    if (c == ';') parameters = true;
    if (parameters) continue;
    if (c == '.') {
      ++dots;
    } else {
      only_dots = false;
    }
  }
  return true;
}

}  // namespace pillion
