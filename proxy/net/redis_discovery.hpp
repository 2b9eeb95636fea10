// What sentinels, nodes of a cluster and servers answer when they are asked who is master, and of what. Pure; every
// reply may be hostile.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "config/model.hpp"
#include "net/redis_reply.hpp"

namespace pillion {

/// A cluster as one node sees it.
struct RedisClusterMap {
  bool is_ok = false;       ///< it says of itself that it can serve: it is not cut off from most of the masters
  std::uint64_t epoch = 0;  ///< of two views the one with the higher epoch is the later one
  std::vector<config::Address> masters;
  std::vector<std::uint16_t> slots;  ///< as RedisView has it
};
/// From the replies to CLUSTER INFO and CLUSTER SLOTS of the node at `asked`, whose host stands in where a node's own
/// is not said. nullopt where either is not what it should be, or where nobody serves any slot.
std::optional<RedisClusterMap> read_cluster_map(const RedisReply& info, const RedisReply& slots,
                                                const config::Address& asked);

/// A master as one sentinel sees it.
struct RedisNamedMaster {
  config::Address address;
  std::uint64_t epoch = 0;  ///< each failover raises it
};
/// From the replies to SENTINEL GET-MASTER-ADDR-BY-NAME and SENTINEL MASTER; nullopt where either is not what it should
/// be.
std::optional<RedisNamedMaster> read_named_master(const RedisReply& address, const RedisReply& fields);

/// Which copy of the data a server has, of its reply to INFO replication: another number after each failover and each
/// restart. A replica has its master's. 0 where it doesn't say.
std::uint64_t copy_of(const RedisReply& info) noexcept;

}  // namespace pillion
