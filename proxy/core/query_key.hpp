// The query cache's names: what a path of its API names, what a value is called in Redis and in memory, and what
// invalidates it. Pure; paths come from clients and are not trusted.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/hash.hpp"
#include "core/invalidation.hpp"

namespace pillion {

/// `/query/{type}/{id}` or `/query/{type}`, both parts as received.
struct QueryTarget {
  std::string_view type;
  std::string_view id;  ///< empty: the whole type is meant
};
/// nullopt where the path is neither, or one of its parts is empty.
std::optional<QueryTarget> parse_query_path(std::string_view path) noexcept;

/// One value's names.
struct QueryKey {
  std::string readable;     ///< `{type}:{id}`, the id encoded as parameters in keys are (Template::Encode::key)
  std::string primary_key;  ///< no HTTP response has it; with the whole id where the readable one has its hash
  Hash128 hash;             ///< of the primary key: its place in memory
};
QueryKey query_key(const QueryTarget& target);

/// Invalidates this one value, and nothing else.
Selector query_selector(std::string_view type, std::string_view readable);
/// Invalidates every value of that type, and nothing else.
Selector query_type_selector(std::string_view type);
/// Everything that selects a value: the tag that it has by itself, further tags, and the two above.
std::vector<std::uint32_t> query_selectors(std::string_view type, std::string_view readable,
                                           const std::vector<std::string>& tags);

/// Whether a name in Redis is formed as a value's: one colon, and nothing that encoding would have changed.
bool is_query_key(std::string_view readable) noexcept;

/// The name of the lease of a value, without namespace, `prefix` before it: in a cluster both have one slot.
std::string query_lease_name(std::string_view prefix, std::string_view name_space, std::string_view readable);

/// How long a caller is willing to wait.
inline constexpr std::chrono::milliseconds default_query_wait{1000}, longest_query_wait{30'000};
/// Of a query string: `wait=250ms`, `2s` or `1m`, from 0 to longest_query_wait; the default without one. nullopt for
/// anything else, further parameters included.
std::optional<std::chrono::milliseconds> parse_query_wait(std::string_view query) noexcept;

}  // namespace pillion
