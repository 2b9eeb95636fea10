// Several real replicas of the proxy before one upstream and one Redis, each, where asked, behind a relay of its own.
// For tests. Start, restart and end it from one thread that outlives it; requests may come from any.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "support/pillion.hpp"
#include "support/relay.hpp"

namespace pillion::support {

struct FleetOptions {
  int replicas = 3;
  std::string routes = "routes:\n  - name: all\n    path: /**\n    cache: on\n";  ///< and other top-level YAML
  std::string store = {};             ///< lines below `store:` besides Redis's, such as "  memory: { size: 8MiB }\n"
  std::string redis = {};             ///< lines below `redis:` besides its address, such as "    max_silence: 1s\n"
  std::string_view time = unhurried;  ///< what Redis may take, as for redis_store()
};

class Fleet {
 public:
  /// Replicas that reach Redis directly; `settings` are the lines below `redis:` that say where it is (any shape's
  /// settings()).
  Fleet(const Endpoint& upstream, const std::string& settings, FleetOptions options = {});
  /// Each reaches it in a way of its own: as many replicas as `settings`.
  Fleet(const Endpoint& upstream, const std::vector<std::string>& settings, FleetOptions options = {});
  /// Each behind a relay of its own, in front of `redis` (a standalone one).
  Fleet(const Endpoint& upstream, const RedisServer& redis, FleetOptions options = {});

  int size() const { return static_cast<int>(replicas_.size()); }
  Pillion& operator[](int i) { return *replicas_.at(static_cast<std::size_t>(i)).proxy; }
  /// Between replica `i` and Redis. Only of a fleet with relays.
  Relay& relay(int i) { return *replicas_.at(static_cast<std::size_t>(i)).relay; }
  /// How receipts call it; a new one after each restart.
  const std::string& name(int i) const { return replicas_.at(static_cast<std::size_t>(i)).name; }
  /// The replica that receipts call so; -1 for one that has ended or isn't of this fleet.
  int index_of(const std::string& name) const;

  /// An invalidation through replica `i`, by default with time enough for all to acknowledge it.
  Json invalidate(int i, const std::string& selectors, const std::string& wait = "10s");
  /// True once an invalidation through each replica is acknowledged by all of them: whatever was on its way has
  /// arrived.
  bool wait_until_in_step(Deadline deadline = {});
  /// Those of a receipt's list that are of this fleet and running.
  std::set<int> acknowledged(const Json& receipt) const;

  /// SIGKILL.
  void crash(int i);
  /// After crash(), or in good order: anew with an empty memory.
  void restart(int i);

 private:
  struct Replica {
    std::unique_ptr<Relay> relay;
    std::unique_ptr<Pillion> proxy;
    std::string name;
  };
  void add(const Endpoint& upstream, const std::string& settings, std::unique_ptr<Relay> relay);
  /// From a receipt of its own: it has always applied what it answers for itself.
  std::string learn_name(Pillion& proxy) const;

  FleetOptions options_;
  std::set<std::string> past_names_;
  std::vector<Replica> replicas_;
};

}  // namespace pillion::support
