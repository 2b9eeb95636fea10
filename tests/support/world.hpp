// Readers and writers before a fleet of replicas, all that they see recorded for history.hpp to judge. The test's own
// thread plays the faults. Everything random comes from one seed. For tests.
#pragma once

#include <atomic>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "support/fleet.hpp"
#include "support/history.hpp"
#include "support/versions.hpp"

namespace pillion::support {

/// PILLION_HISTORY_SEED, or one of its own for each run.
std::uint64_t history_seed();
/// PILLION_HISTORY_SECONDS, or `otherwise`.
Milliseconds history_time(Milliseconds otherwise);

struct WorldOptions {
  std::uint64_t seed = 0;
  int replicas = 3;
  int readers_of_each = 2;
  int writers = 2;
  bool deletes = false;            ///< responses are deleted in Redis too (a standalone one, whose network stays whole)
  bool believe_all_heard = false;  ///< takes every receipt for one that names everybody: a lie, for tests of the judge
  std::string store = {};          ///< lines below `store:`, such as "  memory: off\n"
  std::string redis = {};          ///< lines below `redis:`
};

class World {
 public:
  /// The replicas reach `redis` through relays.
  World(const RedisServer& redis, WorldOptions options);
  /// They reach it directly; `settings` as for Fleet.
  World(const std::string& settings, WorldOptions options);
  /// Each in a way of its own: as many replicas as `settings`.
  World(const std::vector<std::string>& settings, WorldOptions options);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  Fleet& fleet() { return *fleet_; }
  ScriptedUpstream& upstream() { return upstream_; }
  /// From the seed, for the faults.
  int below(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }
  /// Until clients have got so many more answers: how long a fault lasts. At most two seconds, where there are none.
  void let_pass(int answers);
  /// The same, of some tens to some hundreds.
  void let_some_pass() { let_pass(30 + below(600)); }

  // Faults that are recorded for the judge.
  /// By its relay: silently, or with its connections reset and new ones refused.
  void cut_off(int i, bool silently, const std::function<void()>& meanwhile);
  /// No byte must pass after `cut`, until `heal`; it must have been noticed by then.
  void cut_off(int i, const std::function<void()>& cut, const std::function<void()>& meanwhile,
               const std::function<void()>& heal);
  /// Meanwhile Redis may lose what it has acknowledged.
  void losing(const std::function<void()>& meanwhile);
  void crash_and_restart(int i, const std::function<void()>& meanwhile);

  struct Outcome {
    std::vector<history::Violation> violations;
    std::vector<std::string> failures;  ///< requests that failed and should not have; the first ten in words
    long failed = 0;
    std::map<history::Rule, long> coverage;
    std::map<std::string, long> answers;  ///< how many of each kind: "hit memory", "stale revalidated"...
    long answered = 0;
    Milliseconds longest{0};
    std::string longest_of;
  };
  /// All is well again: waits until every replica has heard everything, reads each resource everywhere once more, ends
  /// the load and judges.
  Outcome finish();

 private:
  struct Seat;
  struct Notes;
  World(WorldOptions options, const std::function<std::unique_ptr<Fleet>(const Endpoint&, FleetOptions)>& fleet);
  void begin();
  void seat_replica(int i);
  Seat seat(int i) const;
  std::vector<int> instances_of(const Json& names) const;
  std::vector<int> all_instances() const;
  bool is_gone(const Seat& seat) const;

  void read_on(int replica, Notes& notes, std::uint64_t seed);
  bool read_one(int resource, const Fields& fields, HttpClient& client, const Seat& seat, Notes& notes);
  void write_on(Notes& notes, std::uint64_t seed);
  void invalidate_something(std::mt19937_64& random, const Seat& seat, Notes& notes);
  /// POST /invalidate; recorded. The instances that acknowledged it.
  std::vector<int> invalidate(const std::string& what, const std::string& wait, std::vector<int> resources, bool soft,
                              const Seat& seat, Notes& notes);
  void write_something(std::mt19937_64& random, const Seat& seat, Notes& notes);
  void delete_on(const Endpoint& redis, Notes& notes, std::uint64_t seed);
  bool delete_one(int resource, RedisClient& redis, Notes& notes);
  bool wait_until_in_step(Notes& notes, Milliseconds patience, std::string& why);
  void read_all_once(Notes& notes);
  Notes& new_notes();

  WorldOptions options_;
  std::mt19937_64 random_;
  Versions versions_;
  ScriptedUpstream upstream_;
  std::unique_ptr<Fleet> fleet_;

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<Seat> seats_;
  std::map<std::string, int> instance_by_name_;
  int instances_ = 0;

  std::atomic<bool> stopping_{false};
  std::atomic<long> writes_{0};
  std::atomic<long> answers_{0};
  std::mutex notes_mutex_;
  std::vector<std::unique_ptr<Notes>> notes_;
  std::vector<std::thread> threads_;
};

/// What the worlds of a test case have come to.
class Totals {
 public:
  void add(const World::Outcome& outcome);
  /// A row of the table that tests/run.sh --long ends with.
  void print(const std::string& name) const;

 private:
  long answered_ = 0, failed_ = 0, bound_ = 0, wrong_ = 0;
  std::map<std::string, long> kinds_;
  Milliseconds longest_{0};
};

/// Fails the test, with the seed, where something is wrong; prints what came about.
void judge(const std::string& name, std::uint64_t seed, const World::Outcome& outcome);

}  // namespace pillion::support
