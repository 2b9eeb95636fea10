#include "net/effective_request.hpp"

#include <algorithm>
#include <array>

namespace pillion {

namespace {

constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr bool is_hex(char c) noexcept { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
constexpr bool is_alnum(char c) noexcept { return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

constexpr std::array<bool, 256> reg_name_characters = [] {
  std::array<bool, 256> table{};
  for (int c = 0; c < 256; ++c) table[static_cast<std::size_t>(c)] = is_alnum(static_cast<char>(c));
  for (const char c : std::string_view("-._~!$&'()*+,;=")) table[static_cast<unsigned char>(c)] = true;
  return table;
}();

bool is_reg_name(std::string_view text) noexcept {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (reg_name_characters[static_cast<unsigned char>(text[i])]) continue;
    if (text[i] != '%' || i + 2 >= text.size() || !is_hex(text[i + 1]) || !is_hex(text[i + 2])) return false;
    i += 2;
  }
  return true;
}

// The scheme in a trusted peer's X-Forwarded-Proto: one known word, else nothing.
std::string_view forwarded_scheme(Fields fields) noexcept {
  if (count(fields, Name::x_forwarded_proto) != 1) return {};
  const std::string_view value = find(fields, Name::x_forwarded_proto)->value;
  if (iequals(value, "https")) return "https";
  if (iequals(value, "http")) return "http";
  return {};
}

std::string_view forwarded_host(Fields fields) noexcept {
  if (count(fields, Name::x_forwarded_host) != 1) return {};
  const std::string_view value = find(fields, Name::x_forwarded_host)->value;
  return is_authority(value) ? value : std::string_view{};
}

// RFC 9112 3.2. Sets path and query by target form; the authority of an absolute form goes to `authority`.
Refusal split_target(const RawRequest& raw, RequestHead& head, std::string_view& authority) noexcept {
  std::string_view target = raw.target;
  for (const char c : target) {
    if (c == '#') return {400, "The request target has a fragment."};
    if (static_cast<unsigned char>(c) >= 0x80)
      return {400, "The request target has bytes that have to be percent-encoded."};
  }
  if (target == "*") {
    if (head.method != Method::options) return {400, "The asterisk form is for OPTIONS alone."};
    head.target = head.path = target;
    return {};
  }
  if (!target.empty() && target.front() != '/') {
    const auto colon = target.find("://");
    if (colon == std::string_view::npos) return {400, "The request target is not a path."};
    const std::string_view scheme = target.substr(0, colon);
    if (!iequals(scheme, "http") && !iequals(scheme, "https"))
      return {400, "The request target has a scheme other than http."};
    target.remove_prefix(colon + 3);
    const auto end = std::min(target.find_first_of("/?"), target.size());
    authority = target.substr(0, end);
    if (!is_authority(authority)) return {400, "The host of the request target is malformed."};
    target.remove_prefix(end);
    if (target.empty()) target = head.method == Method::options ? "*" : "/";
    if (target.front() == '?') return {400, "The request target has no path."};
  }
  head.target = target;
  const auto mark = target.find('?');
  head.path = target.substr(0, mark);
  head.has_query = mark != std::string_view::npos;
  head.query = head.has_query ? target.substr(mark + 1) : std::string_view{};
  return {};
}

}  // namespace

std::optional<std::uint32_t> parse_max_forwards(std::string_view value) noexcept {
  constexpr std::uint32_t largest = 0x7fffffff;
  if (value.empty() || !std::all_of(value.begin(), value.end(), is_digit)) return std::nullopt;
  std::uint64_t number = 0;
  for (const char c : value) number = std::min<std::uint64_t>(number * 10 + static_cast<unsigned>(c - '0'), largest);
  return static_cast<std::uint32_t>(number);
}

bool is_final_recipient(const RequestHead& head) noexcept {
  if (head.method != Method::options) return false;
  return std::any_of(head.fields.begin(), head.fields.end(), [](const Field& field) {
    return field.id == Name::max_forwards && parse_max_forwards(field.value) == 0;
  });
}

bool is_authority(std::string_view text) noexcept {
  if (text.empty() || text.size() > 255) return false;
  std::string_view host = text, port;
  if (text.front() == '[') {
    const auto close = text.find(']');
    if (close == std::string_view::npos || close < 3) return false;
    const std::string_view inside = text.substr(1, close - 1);
    if (!std::all_of(inside.begin(), inside.end(), [](char c) { return is_hex(c) || c == ':' || c == '.'; }))
      return false;
    host = {};
    port = text.substr(close + 1);
    if (!port.empty() && port.front() != ':') return false;
  } else if (const auto colon = text.find(':'); colon != std::string_view::npos) {
    host = text.substr(0, colon);
    port = text.substr(colon);
    if (host.empty()) return false;
  }
  if (!is_reg_name(host)) return false;
  if (!port.empty()) port.remove_prefix(1);
  return port.size() <= 5 && std::all_of(port.begin(), port.end(), is_digit);
}

Refusal make_effective(const RawRequest& raw, bool peer_trusted, RequestHead& head) noexcept {
  head = {};
  head.method_name = raw.method;
  head.method = method_of(raw.method);
  head.minor = raw.minor;
  head.fields = raw.fields;
  head.scheme = raw.secure ? "https" : "http";
  if (head.method == Method::connect || head.method == Method::trace) return {405, "This method is not served."};
  std::string_view authority;
  if (const Refusal refusal = split_target(raw, head, authority)) return refusal;

  const std::size_t hosts = count(raw.fields, Name::host);
  if (hosts > 1 || (hosts == 0 && raw.minor >= 1)) return {400, "The request needs exactly one Host field."};
  if (hosts == 1) {
    head.host = find(raw.fields, Name::host)->value;
    if (!is_authority(head.host)) return {400, "The Host field is malformed."};
  }
  if (!authority.empty()) head.host = authority;
  if (const Field* expect = find(raw.fields, Name::expect)) {
    if (!iequals(expect->value, "100-continue") || count(raw.fields, Name::expect) != 1) {
      return {417, "The only expectation met here is 100-continue."};
    }
  }
  if (peer_trusted) {
    if (const auto scheme = forwarded_scheme(raw.fields); !scheme.empty()) head.scheme = scheme;
    if (const auto host = forwarded_host(raw.fields); !host.empty()) head.host = host;
  }
  return {};
}

}  // namespace pillion
