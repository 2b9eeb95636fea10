// A Redis Cluster of three masters with a replica each: real processes on free ports, ready within three seconds (two
// of them Redis's own caution). For tests; one thread at a time.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "support/redis_server.hpp"

namespace pillion::support {

/// The slot of a key, its `{tag}` alone where it has one.
int slot_of(std::string_view key);

class RedisCluster {
 public:
  static constexpr int nodes = 6;  ///< 0 to 2 begin as masters, i + 3 as the replica of i
  static constexpr int slots = 16384;

  /// Waits until every node calls the cluster well and the replicas are in step.
  explicit RedisCluster(std::vector<std::string> redis_arguments = {});

  RedisServer& node(int i) { return *servers_.at(static_cast<std::size_t>(i)); }
  Endpoint endpoint(int i) const { return servers_.at(static_cast<std::size_t>(i))->endpoint(); }
  /// Lines below `redis:` of a proxy.yaml: the first three nodes.
  std::string settings() const;

  /// Which node serves a slot, as the nodes that run say.
  int owner(int slot) const;
  /// One command, at whoever serves its first key (`arguments[1]`).
  RedisReply command(const std::vector<std::string>& arguments) const;
  /// Keys on all masters, sorted.
  std::vector<std::string> keys(const std::string& pattern = "*") const;
  std::vector<int> masters() const;

  /// From here to `to` with its keys, as redis-cli does it; begin_move leaves it under way: keys that are gone already
  /// are answered with ASK.
  void begin_move(int slot, int to);
  void finish_move(int slot, int to);
  void move_slot(int slot, int to) { begin_move(slot, to), finish_move(slot, to); }

  /// Its replica takes over in good order; or the node dies with SIGKILL and its replica is elected (where that takes
  /// too long, because the machine is busy, the election is ordered). Both wait for it.
  void failover(int master);
  void kill_and_fail_over(int master);
  /// SIGKILL, and nothing is waited for.
  void kill(int i) { node(i).kill(); }
  /// A node that was killed comes back with what it knew of the cluster.
  void restart(int i);
  /// Until every running node calls the cluster well.
  bool wait_until_well(Deadline deadline = {}) const;
  /// Until every running replica has all that its master had before.
  bool wait_until_in_step() const;

 private:
  bool launch(const std::vector<std::string>& arguments);
  RedisReply at(int i, const std::vector<std::string>& command) const;
  int node_of_port(std::int64_t port) const;
  int replica_of(int master) const;
  std::vector<std::int64_t> ports_of_slots(int i) const;
  void wait_until_agreed();

  std::array<std::string, nodes> ids_;
  std::vector<std::unique_ptr<RedisServer>> servers_;
};

}  // namespace pillion::support
