// No-Vary-Search: reading the field, and queries under it. See no_vary_search.hpp.
//
// A rule is written `[key-order][ ][params[=KEY&KEY...] | except=KEY&KEY...]`, keys sorted and in one encoding:
// `params` alone means that no parameter counts, `params=` that those named don't, `except=` that only those do.
#include "core/no_vary_search.hpp"

#include <algorithm>
#include <optional>
#include <set>
#include <tuple>
#include <variant>
#include <vector>

#include "core/structured_field.hpp"

namespace pillion {
namespace {

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// As application/x-www-form-urlencoded: `+` is a space, percent-encoded octets are decoded, a stray `%` is itself.
std::string decoded(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int high = text[i] == '%' && text.size() - i > 2 ? hex_value(text[i + 1]) : -1;
    const int low = high >= 0 ? hex_value(text[i + 2]) : -1;
    if (low >= 0) {
      out += static_cast<char>(high * 16 + low);
      i += 2;
    } else {
      out += text[i] == '+' ? ' ' : text[i];
    }
  }
  return out;
}

/// One encoding for each octet, without any that separates.
std::string encoded(std::string_view bytes) {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(bytes.size());
  for (const char c : bytes) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
        c == '_' || c == '~') {
      out += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      out += {'%', digits[byte >> 4], digits[byte & 0xf]};
    }
  }
  return out;
}

/// The keys of an inner list of strings, encoded. Where one isn't UTF-8, or is the character that stands for what
/// isn't, the draft's comparison would find more equal than bytes do: nullopt, as for anything but an inner list of
/// strings.
std::optional<std::set<std::string>> keys_of(const structured::Member& member) {
  if (!member.is_inner_list) return std::nullopt;
  std::set<std::string> keys;
  for (const structured::Item& item : member.inner) {
    const auto* text = std::get_if<std::string>(&item);
    if (text == nullptr) return std::nullopt;
    const std::string key = decoded(*text);
    if (!structured::is_utf8(key) || key.find("\xEF\xBF\xBD") != std::string::npos) return std::nullopt;
    keys.insert(encoded(key));
  }
  return keys;
}

std::string joined(std::string_view word, const std::set<std::string>& keys) {
  std::string out(word);
  char separator = '=';
  for (const std::string& key : keys) {
    out.append(1, separator).append(key);
    separator = '&';
  }
  return out;
}

const structured::Member* member_of(const std::vector<structured::Member>& members, std::string_view key) {
  const auto found = std::ranges::find(members, key, &structured::Member::key);
  return found == members.end() ? nullptr : &*found;
}

std::optional<bool> boolean_of(const structured::Member& member) {
  const auto* value = member.is_inner_list ? nullptr : std::get_if<bool>(&member.item);
  return value == nullptr ? std::nullopt : std::optional(*value);
}

/// What the rule says of parameters; nullopt where the field doesn't allow that.
std::optional<std::string> parameters_rule(const structured::Member* params, const structured::Member* except) {
  if (params == nullptr) return except == nullptr ? std::optional<std::string>("") : std::nullopt;
  const std::optional<bool> all = boolean_of(*params);
  if (except != nullptr) {
    const auto keys = keys_of(*except);
    if (all != true || !keys) return std::nullopt;
    return keys->empty() ? "params" : joined("except", *keys);
  }
  if (all) return *all ? "params" : "";
  const auto keys = keys_of(*params);
  if (!keys) return std::nullopt;
  return keys->empty() ? "" : joined("params", *keys);
}

/// A rule taken apart again.
struct Rule {
  bool any_order = false;
  bool none_counts = false;            ///< `params` alone
  bool only_named = false;             ///< `except=`
  std::vector<std::string_view> keys;  ///< sorted

  explicit Rule(std::string_view text) {
    const auto take = [&text](std::string_view word) {
      if (!text.starts_with(word)) return false;
      text.remove_prefix(word.size());
      return true;
    };
    any_order = take("key-order");
    take(" ");
    only_named = take("except=");
    if (!only_named && !take("params=")) {
      none_counts = text == "params";
      return;
    }
    for (;;) {
      const std::size_t end = text.find('&');
      keys.push_back(text.substr(0, end));
      if (end == std::string_view::npos) break;
      text.remove_prefix(end + 1);
    }
  }

  bool counts(std::string_view key) const {
    return !none_counts && std::ranges::binary_search(keys, key) == only_named;
  }
};

struct Parameter {
  std::string key, value;  ///< encoded
  std::size_t place;       ///< in the query: those of one key keep their order
};

}  // namespace

std::string search_rule(Fields response_fields) {
  const auto members = structured::parse_dictionary(response_fields, Name::no_vary_search);
  if (!members) return {};
  std::string rule;
  if (const auto* order = member_of(*members, "key-order")) {
    const std::optional<bool> any = boolean_of(*order);
    if (!any) return {};
    if (*any) rule = "key-order";
  }
  const auto parameters = parameters_rule(member_of(*members, "params"), member_of(*members, "except"));
  if (!parameters) return {};
  if (!rule.empty() && !parameters->empty()) rule += ' ';
  rule += *parameters;
  return rule.size() <= max_search_rule ? rule : std::string{};
}

std::string canonical_search(std::string_view query, std::string_view rule) {
  const Rule parsed(rule);
  std::vector<Parameter> parameters;
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view segment = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (segment.empty()) continue;
    const std::size_t equals = std::min(segment.find('='), segment.size());
    std::string key = encoded(decoded(segment.substr(0, equals)));
    if (!parsed.counts(key)) continue;
    std::string value = encoded(decoded(segment.substr(std::min(equals + 1, segment.size()))));
    parameters.push_back({std::move(key), std::move(value), parameters.size()});
  }
  if (parsed.any_order) std::ranges::sort(parameters, {}, [](const Parameter& p) { return std::tie(p.key, p.place); });
  std::string out;
  for (const Parameter& parameter : parameters) {
    if (!out.empty()) out += '&';
    out.append(parameter.key).append("=").append(parameter.value);
  }
  return out;
}

}  // namespace pillion
