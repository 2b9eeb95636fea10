// Finding a stored response for a request: memory, then Redis (and kept in memory), variants followed, invalidations
// and permission worked out anew. Worker-local.
#pragma once

#include "core/message.hpp"
#include "flow/context.hpp"
#include "flow/exchange.hpp"
#include "flow/fetch_job.hpp"

namespace pillion {

/// Memory alone; never waits.
Found look_up_memory(const WorkerContext& context, const RequestHead& request, const Plan& plan, Now at);

/// Memory, then Redis where the route uses it and it is up.
awaitable<Found> look_up(WorkerContext& context, const RequestHead& request, const Plan& plan, Now at);

/// What another replica may have fetched and put into Redis since this job looked there: fresh for its request, or
/// nullptr. Kept in memory; what was seen is noted in the job.
awaitable<StoredResponsePtr> find_fetched(WorkerContext& context, FetchJob& job);

}  // namespace pillion
