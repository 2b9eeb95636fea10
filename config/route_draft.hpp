// A route being read, and the values that only routes have. Used inside config only.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "config/draft.hpp"

namespace pillion::config {

/// A route, or what defaults: gives to all, and what its settings may speak of.
struct RouteDraft {
  Route route;
  const std::map<std::string, Milliseconds>* lifetimes = nullptr;
  std::optional<CacheMode> cache;  ///< as given
  bool freshness_given = false;
};

// route_values.cpp
/// `character:{character_id}`: a key, tag or pattern.
Parsed<std::string> parse_template(std::string_view text);
Parsed<std::string> parse_tag(std::string_view text);
/// `/path?query` or an absolute URL, with parameters.
Parsed<std::string> parse_url_template(std::string_view text);
/// An unsafe method in capitals.
Parsed<std::string> parse_method(std::string_view text);
/// A path pattern (patterns.hpp).
Parsed<std::string> parse_path(std::string_view text);
/// A path to send instead, with parameters.
Parsed<std::string> parse_rewrite(std::string_view text);
/// A host without a port.
Parsed<std::string> parse_host_condition(std::string_view text);
/// A query parameter's name, or `utm_*`.
Parsed<std::string> parse_parameter(std::string_view text);
/// A language range of RFC 4647 2.1 without `*`: `de`, `pt-BR`; 64 bytes at most.
Parsed<std::string> parse_language(std::string_view text);
bool same_but_for_case(std::string_view a, std::string_view b);

// lifetimes.cpp
void read_route_ttl(Context& context, const Node& node, RouteDraft& draft);
void read_ttl_by_status(Context& context, const Node& node, RouteDraft& draft);
void read_refresh(Context& context, const Node& node, RouteDraft& draft);
void read_adaptive(Context& context, const Node& node, RouteDraft& draft);
/// Of `defaults` or of `routes.*`.
void append_lifetime_keys(std::vector<KeyList>& lists, const std::string& section);

}  // namespace pillion::config
