// One Redis master, its replicas, and three Sentinels that watch them: real processes on free ports, ready within a
// second. For tests; one thread at a time.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "support/redis_server.hpp"

namespace pillion::support {

struct SentinelOptions {
  int replicas = 1;
  Milliseconds down_after{300};
  std::vector<std::string> redis_arguments;     ///< more for each redis-server
  std::vector<std::string> sentinel_arguments;  ///< lines added to each Sentinel's configuration
};

class RedisSentinel {
 public:
  /// Waits until the replicas are in step and a failover can be agreed on.
  explicit RedisSentinel(SentinelOptions options = {});
  ~RedisSentinel();
  RedisSentinel(const RedisSentinel&) = delete;
  RedisSentinel& operator=(const RedisSentinel&) = delete;

  static constexpr std::string_view master_name = "mymaster";
  std::array<Endpoint, 3> sentinels() const;
  /// Lines below `redis:` of a proxy.yaml.
  std::string settings() const;

  /// Who is master, as the Sentinels that run say.
  Endpoint master() const;
  RedisServer& master_server() { return *servers_.at(index_of(master())); }
  RedisServer& server(std::size_t i) { return *servers_.at(i); }
  std::size_t size() const { return servers_.size(); }

  /// Orders a failover and waits until another is master and the old one follows it: nothing acknowledged is lost but
  /// what the replica had not received.
  void failover();
  /// Until the Sentinels name a master other than `old` that says so itself: after a master was killed or paused.
  bool wait_for_new_master(const Endpoint& old, Deadline deadline = {}) const;
  /// Until every running server but the master follows it and has all that was written before.
  bool wait_until_in_step(Deadline deadline = {}) const;
  void kill_sentinel(std::size_t i);

 private:
  void launch();
  void launch_sentinel(std::size_t i);
  std::size_t index_of(const Endpoint& server) const;
  bool is_ready() const;

  SentinelOptions options_;
  std::vector<std::unique_ptr<RedisServer>> servers_;
  struct Sentinel {
    std::uint16_t port = 0;
    std::string id;
    std::unique_ptr<Process> process;
  };
  std::array<Sentinel, 3> sentinels_;
  std::unique_ptr<TempDir> folder_;
};

}  // namespace pillion::support
