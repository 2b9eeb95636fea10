// Cache-Status (RFC 9211). See cache_status.hpp.
#include "core/cache_status.hpp"

#include <algorithm>
#include <charconv>

namespace pillion {
namespace {

/// sf-integers have at most 15 digits (RFC 8941 3.3.1).
constexpr std::int64_t max_integer = 999'999'999'999'999;

void append_integer(std::int64_t value, std::string& out) {
  char text[24];
  const auto end = std::to_chars(text, text + sizeof text, std::clamp(value, -max_integer, max_integer)).ptr;
  out.append(text, end);
}

/// sf-string (RFC 8941 3.3.3): `"` and `\` escaped, what it can't hold percent-encoded.
void append_string(std::string_view text, std::string& out) {
  constexpr char digits[] = "0123456789ABCDEF";
  out += '"';
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte > 0x7e) {
      out += '%';
      out += digits[byte >> 4];
      out += digits[byte & 15];
      continue;
    }
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

}  // namespace

void append_cache_status(const CacheStatus& status, std::string& out) {
  out += "pillion";
  if (status.hit) {
    out += "; hit";  // RFC 9211 2.1: excludes fwd and all that belongs to it
  } else if (status.forward != Forward::none) {
    out += "; fwd=";
    out += to_string(status.forward);
    if (status.forward_status != 0) {
      out += "; fwd-status=";
      append_integer(status.forward_status, out);
    }
    if (status.stored) out += "; stored";
    if (status.collapsed) out += "; collapsed";
  }
  if (status.has_ttl) {
    out += "; ttl=";
    append_integer(status.ttl_s, out);
  }
  if (!status.key.empty()) {
    out += "; key=";
    append_string(status.key, out);
  }
  if (status.detail != Detail::none) {
    out += "; detail=";
    out += to_string(status.detail);
  }
}

}  // namespace pillion
