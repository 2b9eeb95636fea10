// Which keys of Redis this process wants to hear of. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "config/model.hpp"

namespace pillion {

/// More prefixes than that cost the server more than they save.
inline constexpr std::size_t max_watched_prefixes = 64;

/// The literal beginning of a route's readable keys, without namespace: `character:` of `character:{id}`.
std::string key_prefix(std::string_view key_template);

/// Prefixes of which none begins another, since Redis refuses that, and which cover the keys of all routes that keep
/// copies in memory of what stands in Redis or wait for what other replicas put there, and those of the query cache,
/// namespace included. One, the
/// namespace, where they were too many. An empty one means all keys; none at all that nothing is kept so.
std::vector<std::string> watched_prefixes(const config::Config& config);

}  // namespace pillion
