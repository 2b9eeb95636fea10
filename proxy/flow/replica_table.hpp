// Who else follows the log: what each process says of itself in the hash `pillion:replicas`. Pure; what stands there
// comes from Redis and is not trusted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "net/redis_reply.hpp"

namespace pillion {

/// One that was silent for so long doesn't count, and one that was silent for longer still is taken out.
inline constexpr std::int64_t replica_silence_ms = 5000;
inline constexpr std::int64_t replica_forgotten_ms = 60000;
inline constexpr std::size_t max_replicas = 1000;

struct Replica {
  std::string name;           ///< visible ASCII, at most 300 bytes
  std::uint64_t applied = 0;  ///< packed id of the last record that it has applied
  std::int64_t said_ms = 0;   ///< when it said so, by Redis's clock
};

/// The hash's value for a replica, and what a reply to HGETALL has of all; max_replicas of those that make sense.
std::string replica_value(std::string_view applied_id, std::int64_t redis_ms);
std::vector<Replica> parse_replicas(const RedisReply& reply);

/// Names of those that count at this time: they have applied the position, or not yet. `self` is left out.
struct ReplicasAt {
  std::vector<std::string> acknowledged, waiting;
};
ReplicasAt replicas_at(const std::vector<Replica>& replicas, std::uint64_t position, std::int64_t redis_ms,
                       std::string_view self);
/// Names of those to take out.
std::vector<std::string> forgotten_replicas(const std::vector<Replica>& replicas, std::int64_t redis_ms);

}  // namespace pillion
