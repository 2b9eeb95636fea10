// Structured fields, read one line after the other from left to right (RFC 9651 4.2). See structured_field.hpp.
#include "core/structured_field.hpp"

#include <algorithm>
#include <utility>

namespace pillion::structured {
namespace {

constexpr std::size_t max_integer_digits = 15, max_whole_digits = 12, max_fraction_digits = 3;  // RFC 9651 4.2.4

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr bool is_lower(char c) noexcept { return c >= 'a' && c <= 'z'; }
constexpr bool is_alpha(char c) noexcept { return is_lower(c) || (c >= 'A' && c <= 'Z'); }
constexpr bool is_visible(char c) noexcept { return c >= 0x20 && c <= 0x7e; }
bool is_key_character(char c) noexcept {
  return is_lower(c) || is_digit(c) || c == '_' || c == '-' || c == '.' || c == '*';
}
bool is_token_character(char c) noexcept { return c == ':' || c == '/' || is_token({&c, 1}); }
bool is_base64_character(char c) noexcept { return is_alpha(c) || is_digit(c) || c == '+' || c == '/'; }
/// Lower-case only (RFC 9651 4.2.10); -1 for anything else.
int hex_value(char c) noexcept { return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

std::int64_t number_of(std::string_view digits) noexcept {
  std::int64_t value = 0;
  for (const char c : digits) value = value * 10 + (c - '0');
  return value;
}

/// One line. Each function takes its part off the front; false where that isn't there as the grammar wants it.
class Line {
 public:
  explicit Line(std::string_view text) noexcept : rest_(text) {}

  bool at_end() const noexcept { return rest_.empty(); }

  /// A comma with a member after it. One that ends the line stays, and so spoils it.
  bool next() noexcept {
    const auto after = rest_.find_first_not_of(" \t");
    if (after == std::string_view::npos) {
      rest_ = {};
      return false;
    }
    if (rest_[after] != ',') return false;
    const auto member = rest_.find_first_not_of(" \t", after + 1);
    if (member == std::string_view::npos) return false;
    rest_.remove_prefix(member);
    return true;
  }

  bool dictionary_member(Member& out) {
    if (!key(out.key)) return false;
    if (take('=')) return list_member(out);
    out.item = true;
    return parameters();
  }

  bool list_member(Member& out) {
    out.is_inner_list = take('(');
    return (out.is_inner_list ? inner_list(out.inner) : item(out.item)) && parameters();
  }

 private:
  bool take(char c) noexcept {
    if (rest_.empty() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  template <typename Is>
  std::string_view take_while(Is is) noexcept {
    const auto end = static_cast<std::size_t>(std::find_if_not(rest_.begin(), rest_.end(), is) - rest_.begin());
    const std::string_view out = rest_.substr(0, end);
    rest_.remove_prefix(end);
    return out;
  }

  bool key(std::string_view& out) noexcept {
    if (rest_.empty() || !(is_lower(rest_.front()) || rest_.front() == '*')) return false;
    out = take_while(is_key_character);
    return true;
  }

  bool parameters() {
    while (take(';')) {
      take_while([](char c) { return c == ' '; });
      std::string_view name;
      Item value;
      if (!key(name) || (take('=') && !item(value))) return false;
    }
    return true;
  }

  /// After its `(`. Items stand apart by spaces.
  bool inner_list(std::vector<Item>& out) {
    for (bool apart = true;;) {
      apart = !take_while([](char c) { return c == ' '; }).empty() || apart;
      if (take(')')) return true;
      if (!apart || !item(out.emplace_back()) || !parameters()) return false;
      apart = false;
    }
  }

  bool item(Item& out) {
    if (rest_.empty()) return false;
    switch (const char c = rest_.front()) {
      case '"':
        return string(out);
      case '?':
        return boolean(out);
      case ':':
        return byte_sequence(out);
      case '@':
        return date(out);
      case '%':
        return display_string(out);
      default:
        if (c == '-' || is_digit(c)) return number(out);
        if (c != '*' && !is_alpha(c)) return false;
        out = Token{take_while(is_token_character)};
        return true;
    }
  }

  bool number(Item& out) noexcept {
    const std::int64_t sign = take('-') ? -1 : 1;
    const std::string_view whole = take_while(is_digit);
    if (whole.empty()) return false;
    if (!take('.')) {
      if (whole.size() > max_integer_digits) return false;
      out = sign * number_of(whole);
      return true;
    }
    const std::string_view fraction = take_while(is_digit);
    if (whole.size() > max_whole_digits || fraction.empty() || fraction.size() > max_fraction_digits) return false;
    double part = static_cast<double>(number_of(fraction));
    for (std::size_t i = 0; i < fraction.size(); ++i) part /= 10;
    out = Decimal{static_cast<double>(sign) * (static_cast<double>(number_of(whole)) + part)};
    return true;
  }

  bool string(Item& out) {
    std::string text;
    for (std::size_t i = 1; i < rest_.size(); ++i) {
      char c = rest_[i];
      if (c == '"') {
        rest_.remove_prefix(i + 1);
        out = std::move(text);
        return true;
      }
      if (c == '\\') {
        if (++i == rest_.size()) return false;
        c = rest_[i];
        if (c != '"' && c != '\\') return false;
      }
      if (!is_visible(c)) return false;
      text += c;
    }
    return false;
  }

  bool boolean(Item& out) noexcept {
    if (rest_.size() < 2 || (rest_[1] != '0' && rest_[1] != '1')) return false;
    out = rest_[1] == '1';
    rest_.remove_prefix(2);
    return true;
  }

  /// Missing padding is no mistake (RFC 9651 4.2.7).
  bool byte_sequence(Item& out) noexcept {
    take(':');
    const std::size_t size = take_while(is_base64_character).size();
    const std::size_t padding = take_while([](char c) { return c == '='; }).size();
    if (!take(':') || size % 4 == 1 || padding > 2 || (padding != 0 && (size + padding) % 4 != 0)) return false;
    out = Unused{};
    return true;
  }

  bool date(Item& out) noexcept {
    take('@');
    if (!number(out) || !std::holds_alternative<std::int64_t>(out)) return false;
    out = Unused{};
    return true;
  }

  bool display_string(Item& out) {
    take('%');
    if (!take('"')) return false;
    std::string bytes;
    for (std::size_t i = 0; i < rest_.size(); ++i) {
      const char c = rest_[i];
      if (c == '"') {
        rest_.remove_prefix(i + 1);
        out = Unused{};
        return is_utf8(bytes);
      }
      if (!is_visible(c)) return false;
      if (c != '%') {
        bytes += c;
        continue;
      }
      if (rest_.size() - i < 3) return false;
      const int high = hex_value(rest_[i + 1]), low = hex_value(rest_[i + 2]);
      if (high < 0 || low < 0) return false;
      bytes += static_cast<char>(high * 16 + low);
      i += 2;
    }
    return false;
  }

  std::string_view rest_;
};

void set(std::vector<Member>& dictionary, Member member) {
  const auto known = std::ranges::find(dictionary, member.key, &Member::key);
  if (known == dictionary.end()) {
    dictionary.push_back(std::move(member));
  } else {
    *known = std::move(member);
  }
}

std::optional<std::vector<Member>> parse(Fields fields, Name id, bool is_dictionary) {
  std::vector<Member> out;
  std::size_t lines = 0, empty_lines = 0, members = 0;
  for (const Field& field : fields) {
    if (field.id != id) continue;
    ++lines;
    Line line(field.value);
    if (line.at_end()) {
      ++empty_lines;
      continue;
    }
    do {
      Member member;
      if (!(is_dictionary ? line.dictionary_member(member) : line.list_member(member))) return std::nullopt;
      if (++members > max_members) {
        if (is_dictionary) return std::nullopt;
      } else if (is_dictionary) {
        set(out, std::move(member));
      } else {
        out.push_back(std::move(member));
      }
    } while (line.next());
    if (!line.at_end()) return std::nullopt;
  }
  // Lines are joined by commas, and a comma has a member on either side.
  if (lines == 0 || (empty_lines != 0 && lines > 1)) return std::nullopt;
  return out;
}

}  // namespace

std::optional<std::vector<Member>> parse_dictionary(Fields fields, Name id) { return parse(fields, id, true); }
std::optional<std::vector<Member>> parse_list(Fields fields, Name id) { return parse(fields, id, false); }

bool is_utf8(std::string_view bytes) noexcept {
  for (std::size_t i = 0; i < bytes.size();) {
    const auto first = static_cast<unsigned char>(bytes[i++]);
    if (first < 0x80) continue;
    // How many follow, and what the first of them may be: this excludes overlong forms, surrogates, and all above
    // U+10FFFF.
    std::size_t more = 0;
    unsigned char low = 0x80, high = 0xbf;
    if (first >= 0xc2 && first <= 0xdf) {
      more = 1;
    } else if (first >= 0xe0 && first <= 0xef) {
      more = 2;
      if (first == 0xe0) low = 0xa0;
      if (first == 0xed) high = 0x9f;
    } else if (first >= 0xf0 && first <= 0xf4) {
      more = 3;
      if (first == 0xf0) low = 0x90;
      if (first == 0xf4) high = 0x8f;
    } else {
      return false;
    }
    for (; more > 0; --more, low = 0x80, high = 0xbf) {
      if (i == bytes.size()) return false;
      const auto c = static_cast<unsigned char>(bytes[i++]);
      if (c < low || c > high) return false;
    }
  }
  return true;
}

}  // namespace pillion::structured
