// Who else follows the log: what each process says of itself in the hash `pillion:replicas`. Pure; what stands there
// comes from Redis and is not trusted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "flow/log_record.hpp"
#include "net/redis_reply.hpp"

namespace pillion {

/// One that was silent for so long doesn't count, and one that was silent for longer still is taken out.
inline constexpr std::int64_t replica_silence_ms = 5000;
inline constexpr std::int64_t replica_forgotten_ms = 60000;
inline constexpr std::size_t max_replicas = 1000;

struct Replica {
  std::string name;          ///< visible ASCII, at most 300 bytes
  KnownRecord applied;       ///< the last record that it has applied; without an id where it has none
  std::int64_t said_ms = 0;  ///< when it said so, by Redis's clock
};

/// The hash's value for a replica, and what a reply to HGETALL has of all; max_replicas of those that make sense.
std::string replica_value(const KnownRecord& applied, std::int64_t redis_ms);
std::vector<Replica> parse_replicas(const RedisReply& reply);
/// The fields of such a reply that make no sense; max_replicas of them.
std::vector<std::string> senseless_fields(const RedisReply& reply);

/// Names: this process first, then those that have applied a record; and those that count and haven't.
struct ReplicasAt {
  std::vector<std::string> acknowledged, waiting;
};

/// Those that count at this time, `self` left out.
std::vector<Replica> living_replicas(const std::vector<Replica>& replicas, std::int64_t redis_ms,
                                     std::string_view self);
/// Names of those to take out.
std::vector<std::string> forgotten_replicas(const std::vector<Replica>& replicas, std::int64_t redis_ms);

}  // namespace pillion
