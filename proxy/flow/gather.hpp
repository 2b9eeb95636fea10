// Reading what the workers remember (telemetry/insights.hpp), each on its own thread, merged: for the admin API. And
// Redis's own figures. Callable from any executor; completes there. Nothing of it is on a request's path.
#pragma once

#include <vector>

#include "flow/context.hpp"
#include "flow/remembered.hpp"

namespace pillion {

awaitable<InsightsFound> gather(Shared& shared, InsightsAsked asked);

/// Of each master, at most 64 of them, within the budget of a command each. Empty without Redis.
awaitable<std::vector<RedisFigures>> ask_redis(Shared& shared);

}  // namespace pillion
