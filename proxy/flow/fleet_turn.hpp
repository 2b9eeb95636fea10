// One fetch among all replicas on one Redis (`collapse: fleet`): who may make it, and what the others wait for.
// Worker-local.
#pragma once

#include "flow/context.hpp"
#include "flow/fetch_job.hpp"

namespace pillion {

enum class Turn : std::uint8_t {
  fetch,     ///< it is ours: with the lease (job.lease), or without where Redis or patience is at an end
  answered,  ///< another replica has fetched it: what stands in Redis now is the answer
  skip,      ///< a refresh that another replica makes
};

struct FleetTurn {
  Turn turn = Turn::fetch;
  StoredResponsePtr found;  ///< where answered; in memory, too
};

/// Waits for this job's turn, for its route's collapse_wait at most; a refresh doesn't wait. The job's fence is that of
/// a fetch that begins now. Where changes in Redis aren't heard of, everyone fetches.
awaitable<FleetTurn> wait_turn(WorkerContext& context, FetchJob& job);

}  // namespace pillion
