// The URLs that are asked for most, kept for the next start: in Redis, under `pillion:hottest` behind the namespace, or
// in a file. On the executor of the one who asks, which serves no requests; Redis is spoken to by the first worker.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/warm_list.hpp"
#include "flow/context.hpp"

namespace pillion {

/// What is remembered there, at most `limit`; nullopt where it can't be read now.
awaitable<std::optional<std::vector<HotUrl>>> load_hottest(Shared& shared, config::Warm settings,
                                                           config::RedisSettings redis);
/// Writes what this process knows, filled up with what stands there. True where it is written, or there is nothing to
/// write.
awaitable<bool> save_hottest(Shared& shared, config::Warm settings, config::RedisSettings redis);

}  // namespace pillion
