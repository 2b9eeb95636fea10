// Finding a stored response for a request: memory, then Redis (and kept in memory), variants followed, invalidations
// and permission worked out anew. Worker-local.
#pragma once

#include "core/message.hpp"
#include "flow/context.hpp"
#include "flow/exchange.hpp"

namespace pillion {

/// Memory alone; never waits.
Found look_up_memory(const WorkerContext& context, const RequestHead& request, const Plan& plan, Now at);

/// Memory, then Redis where the route uses it and it is up.
awaitable<Found> look_up(WorkerContext& context, const RequestHead& request, const Plan& plan, Now at);

}  // namespace pillion
