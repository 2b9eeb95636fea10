// Cache-Status (RFC 9211). See cache_status.hpp.
#include "core/cache_status.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

namespace pillion {
namespace {

/// sf-integers have at most 15 digits (RFC 8941 3.3.1).
constexpr std::int64_t max_integer = 999'999'999'999'999;

/// What is put together on the stack and appended at once: each append to a string costs as much as all of it here.
class Text {
 public:
  void put(std::string_view text) noexcept {
    std::memcpy(bytes_ + size_, text.data(), text.size());
    size_ += text.size();
  }
  void put(std::int64_t value) noexcept {
    char* const end =
        std::to_chars(bytes_ + size_, bytes_ + sizeof bytes_, std::clamp(value, -max_integer, max_integer)).ptr;
    size_ = static_cast<std::size_t>(end - bytes_);
  }
  void move_to(std::string& out) {
    out.append(bytes_, size_);
    size_ = 0;
  }

 private:
  char bytes_[256];  // all members but the key come to 150 at most
  std::size_t size_ = 0;
};

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
  Text text;
  text.put("pillion");
  if (status.hit) {
    text.put("; hit");  // RFC 9211 2.1: excludes fwd and all that belongs to it
  } else if (status.forward != Forward::none) {
    text.put("; fwd=");
    text.put(to_string(status.forward));
    if (status.forward_status != 0) {
      text.put("; fwd-status=");
      text.put(std::int64_t{status.forward_status});
    }
    if (status.stored) text.put("; stored");
    if (status.collapsed) text.put("; collapsed");
  }
  if (status.has_ttl) {
    text.put("; ttl=");
    text.put(status.ttl_s);
  }
  if (!status.key.empty()) {
    text.put("; key=");
    text.move_to(out);
    append_string(status.key, out);
  }
  if (status.detail != Detail::none) {
    text.put("; detail=");
    text.put(to_string(status.detail));
  }
  if (status.coding != Coding::identity) {
    text.put("; coding=");
    text.put(to_string(status.coding));
  }
  text.move_to(out);
}

}  // namespace pillion
