// No-Vary-Search: which parts of a query make no difference, said by the response (HTTP working group's draft). Pure.
#pragma once

#include <string>
#include <string_view>

#include "core/headers.hpp"

namespace pillion {

/// The rule of a response in one canonical spelling, so that equal rules have equal texts; empty where every byte of
/// the query counts: no field, a malformed one, one that changes nothing, or one of over max_search_rule bytes.
inline constexpr std::size_t max_search_rule = 1024;
std::string search_rule(Fields response_fields);

/// What of a query counts under that rule (not empty, of search_rule()): two queries that the rule takes for the same
/// give the same text, any others don't. The query is read as application/x-www-form-urlencoded; no query is as an
/// empty one.
std::string canonical_search(std::string_view query, std::string_view rule);

}  // namespace pillion
