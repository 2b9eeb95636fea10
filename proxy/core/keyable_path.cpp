// Which paths may be keyed: those that every server on the way reads alike.
#include <array>

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

/// Bytes that can't be judged by themselves, or are refused.
constexpr std::array<bool, 256> special = [] {
  std::array<bool, 256> table{};
  for (std::size_t c = 0; c <= ' '; ++c) table[c] = true;
  for (const char c : std::string_view("\x7f\\#%;./")) table[static_cast<unsigned char>(c)] = true;
  return table;
}();

/// The rules in full, for paths with something special in them.
bool is_keyable_closely(std::string_view path) noexcept {
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

}  // namespace

bool is_keyable_path(std::string_view path) noexcept {
  if (!path.starts_with('/')) return false;
  // Nearly every path is plain: then a slash before something plain, or last of all, is all there is to see.
  for (std::size_t i = 1; i < path.size(); ++i) {
    const char c = path[i];
    if (!special[static_cast<unsigned char>(c)]) continue;
    if (c == '.' && path[i - 1] != '/') continue;  // inside a name: of no dot segment
    if (c == '/' && path[i - 1] != '/') continue;
    return is_keyable_closely(path);
  }
  return true;
}

}  // namespace pillion
