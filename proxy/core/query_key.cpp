#include "core/query_key.hpp"

#include <algorithm>
#include <charconv>

#include "core/route_table.hpp"

namespace pillion {
namespace {

// A group whose origin no HTTP response has: its scheme is none of HTTP's.
Selector own_group(std::string_view type, std::string_view rest) {
  Selector selector{Selector::Kind::group, "query://"};
  selector.text.append(type).append("/").append(rest);
  return selector;
}

bool is_plain(char c) noexcept {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~' || c == '%';
}

}  // namespace

std::optional<QueryTarget> parse_query_path(std::string_view path) noexcept {
  constexpr std::string_view begin = "/query/";
  if (!path.starts_with(begin)) return std::nullopt;
  path.remove_prefix(begin.size());
  const std::size_t slash = path.find('/');
  QueryTarget target{path.substr(0, slash), {}};
  if (target.type.empty()) return std::nullopt;
  if (slash == std::string_view::npos) return target;
  target.id = path.substr(slash + 1);
  if (target.id.empty() || target.id.find('/') != std::string_view::npos) return std::nullopt;
  return target;
}

QueryKey query_key(const QueryTarget& target) {
  QueryKey key;
  key.readable = std::string(target.type) + ':';
  const std::size_t start = key.readable.size();
  append_key_value(target.id, key.readable);
  // The first part of an HTTP response's key is another type's.
  key.primary_key = std::string("Q\0", 2) + key.readable;
  // Encoded it would be no shorter.
  const bool hashed = key.readable.size() - start < target.id.size();
  if (hashed) (key.primary_key += '\0').append(target.id);
  key.hash = hash128(key.primary_key);
  return key;
}

Selector query_selector(std::string_view type, std::string_view readable) { return own_group(type, readable); }

Selector query_type_selector(std::string_view type) { return own_group(type, {}); }

std::vector<std::uint32_t> query_selectors(std::string_view type, std::string_view readable,
                                           const std::vector<std::string>& tags) {
  std::vector<std::uint32_t> out{selector_hash({Selector::Kind::tag, std::string(readable)}),
                                 selector_hash(query_selector(type, readable)),
                                 selector_hash(query_type_selector(type))};
  for (const std::string& tag : tags) out.push_back(selector_hash({Selector::Kind::tag, tag}));
  std::ranges::sort(out);
  const auto repeated = std::ranges::unique(out);
  out.erase(repeated.begin(), repeated.end());
  return out;
}

bool is_query_key(std::string_view readable) noexcept {
  const std::size_t colon = readable.find(':');
  if (colon == 0 || colon == std::string_view::npos || colon + 1 == readable.size()) return false;
  if (readable.starts_with("pillion:")) return false;
  return std::ranges::all_of(readable.substr(0, colon), is_plain) &&
         std::ranges::all_of(readable.substr(colon + 1), is_plain);
}

// What stands between the first `{` and the next `}` decides of the slot; the value's name has neither, but for those
// of its namespace, which stand before both names.
std::string query_lease_name(std::string_view prefix, std::string_view name_space, std::string_view readable) {
  std::string name(prefix);
  name.append("{").append(name_space).append(readable).append("}");
  return name;
}

std::optional<std::chrono::milliseconds> parse_query_wait(std::string_view query) noexcept {
  constexpr std::string_view name = "wait=";
  if (query.empty()) return default_query_wait;
  if (!query.starts_with(name)) return std::nullopt;
  query.remove_prefix(name.size());
  std::uint32_t number = 0;
  const auto [unit, error] = std::from_chars(query.data(), query.data() + query.size(), number);
  if (error != std::errc() || unit == query.data()) return std::nullopt;
  const std::string_view rest(unit, static_cast<std::size_t>(query.data() + query.size() - unit));
  const std::int64_t factor = rest == "ms" ? 1 : rest == "s" ? 1000 : rest == "m" ? 60'000 : 0;
  const std::chrono::milliseconds wait(std::int64_t{number} * factor);
  if (factor == 0 || wait > longest_query_wait) return std::nullopt;
  return wait;
}

}  // namespace pillion
