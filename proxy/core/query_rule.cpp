// The `query:` rule. Names are compared as received: whether the upstream takes `%75tm_x` for `utm_x` is a guess, and a
// wrong guess would share an answer that depends on it. What is cut from the key is cut from the forwarded target too.
#include "core/query_rule.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <vector>

namespace pillion {
namespace {

bool name_matches(std::string_view pattern, std::string_view name) {
  if (pattern.ends_with('*')) return name.starts_with(pattern.substr(0, pattern.size() - 1));
  return pattern == name;
}

bool any_matches(const std::vector<std::string>& patterns, std::string_view name) {
  return std::ranges::any_of(patterns, [name](const std::string& pattern) { return name_matches(pattern, name); });
}

std::string_view name_of_parameter(std::string_view parameter) { return parameter.substr(0, parameter.find('=')); }

bool is_kept(std::string_view parameter, const config::QueryRule& rule) {
  const std::string_view name = name_of_parameter(parameter);
  if (rule.only && !any_matches(*rule.only, name)) return false;
  return !any_matches(rule.ignore, name);
}

/// Calls `f` for each parameter that the rule keeps, in the order received.
template <typename F>
void for_each_kept(std::string_view query, const config::QueryRule& rule, F f) {
  while (true) {
    const std::size_t end = query.find('&');
    const std::string_view parameter = query.substr(0, end);
    if (is_kept(parameter, rule)) f(parameter);
    if (end == std::string_view::npos) return;
    query.remove_prefix(end + 1);
  }
}

/// Stable, without an allocation: all are views into one query, so their addresses are their order.
void sort_by_name(std::span<std::string_view> parameters) {
  std::ranges::sort(parameters, [](std::string_view a, std::string_view b) {
    const int order = name_of_parameter(a).compare(name_of_parameter(b));
    return order != 0 ? order < 0 : a.data() < b.data();
  });
}

}  // namespace

bool append_query(std::string_view query, const config::QueryRule& rule, std::string& out) {
  if (rule.changes_nothing()) {
    out += query;
    return true;
  }
  std::size_t kept = 0;
  const auto append = [&](std::string_view parameter) {
    if (kept++ != 0) out += '&';
    out += parameter;
  };
  if (!rule.sort) {
    for_each_kept(query, rule, append);
    return kept != 0;
  }
  std::array<std::string_view, 32> few;
  std::vector<std::string_view> many;
  std::size_t count = 0;
  for_each_kept(query, rule, [&](std::string_view parameter) {
    if (count == few.size()) many.assign(few.begin(), few.end());
    if (count < few.size()) {
      few[count] = parameter;
    } else {
      many.push_back(parameter);
    }
    ++count;
  });
  const std::span<std::string_view> parameters =
      count <= few.size() ? std::span(few).first(count) : std::span<std::string_view>(many);
  sort_by_name(parameters);
  std::ranges::for_each(parameters, append);
  return kept != 0;
}

}  // namespace pillion
