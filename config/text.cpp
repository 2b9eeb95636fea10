// Text of a configuration before it means anything: variables, UTF-8, quoting for messages.
#include <algorithm>

#include "config/tree.hpp"

namespace pillion::config {

namespace {

bool is_variable_name(std::string_view name) {
  const auto letter = [](char c) { return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_'; };
  return !name.empty() && letter(name.front()) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return letter(c) || (c >= '0' && c <= '9'); });
}

/// Bytes of the UTF-8 sequence that begins `text`; 0 where none does (RFC 3629: no overlong forms, no surrogates).
std::size_t utf8_length(std::string_view text) {
  const auto at = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const auto follows = [&](std::size_t i) { return (at(i) & 0xc0u) == 0x80u; };
  const unsigned first = at(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return follows(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (!follows(1) || !follows(2)) return 0;
    if (first == 0xe0 && at(1) < 0xa0) return 0;
    if (first == 0xed && at(1) > 0x9f) return 0;
    return 3;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (!follows(1) || !follows(2) || !follows(3)) return 0;
    if (first == 0xf0 && at(1) < 0x90) return 0;
    if (first == 0xf4 && at(1) > 0x8f) return 0;
    return 4;
  }
  return 0;
}

}  // namespace

std::size_t find_invalid_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = utf8_length(text.substr(i, 4));
    if (length == 0) return i;
    i += length;
  }
  return std::string_view::npos;
}

std::string quoted(std::string_view text) {
  constexpr std::size_t shown = 80;
  std::string out = "'";
  std::size_t end = std::min(text.size(), shown);
  while (end < text.size() && end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0u) == 0x80u) --end;
  for (const char c : text.substr(0, end)) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  if (text.size() > end) out += "...";
  return out + "'";
}

std::string expand(std::string_view text, const Environment& env, std::string& wrong) {
  std::string out;
  while (!text.empty()) {
    if (text.starts_with("$${")) {
      out += "${";
      text.remove_prefix(3);
      continue;
    }
    if (!text.starts_with("${")) {
      out += text.front();
      text.remove_prefix(1);
      continue;
    }
    const std::size_t end = text.find('}');
    if (end == std::string_view::npos) {
      wrong = "'${' has no '}': write ${NAME}, ${NAME:-default}, or $${ for '${' itself";
      return {};
    }
    const std::string_view inside = text.substr(2, end - 2);
    const std::size_t dash = inside.find(":-");
    const std::string name(inside.substr(0, dash));
    if (!is_variable_name(name)) {
      wrong = quoted(text.substr(0, end + 1)) +
              " names no variable: write ${NAME}, ${NAME:-default}, or $${ for '${' itself";
      return {};
    }
    const std::optional<std::string> value = env ? env(name) : std::nullopt;
    // As in a shell ':-' serves a variable that is empty, too.
    if (dash != std::string_view::npos && (!value || value->empty())) {
      out += inside.substr(dash + 2);
    } else if (value) {
      out += *value;
    } else {
      wrong = "the environment variable " + name + " is not set: set it, or write ${" + name + ":-default}";
      return {};
    }
    text.remove_prefix(end + 1);
  }
  return out;
}

}  // namespace pillion::config
