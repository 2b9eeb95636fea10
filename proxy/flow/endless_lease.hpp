// What is done about a lease in Redis (flow/fleet_lease.hpp, flow/redis_sweep.hpp) that somebody else wrote: Pillion
// takes none without an end.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "net/async.hpp"
#include "net/redis_reply.hpp"

namespace pillion {

/// Sends a command to where the lease stands.
using LeaseCommand = std::function<awaitable<RedisReply>(std::vector<std::string>)>;

/// Ends what stands under `key`, of whatever type, where it would last for ever or for longer than `longest`. True
/// where it did. Where the user of Redis may not PTTL it stays.
awaitable<bool> end_if_endless(LeaseCommand command, std::string key, std::chrono::milliseconds longest);

}  // namespace pillion
