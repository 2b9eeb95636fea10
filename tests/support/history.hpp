// What happened in a run of readers, writers and faults, and the judge of it: no answer may break the promise that
// the product makes of invalidations. Pure: values in, violations out. For tests.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "support/deadline.hpp"

namespace pillion::support::history {

using Time = Clock::time_point;

/// The upstream made an answer (a 200, or a 304 that says the version still holds): what it had at `read_at`.
struct Fetch {
  int resource = 0;
  long serial = 0;  ///< its own, carried by the answer
  long version = 0;
  Time read_at;
};

/// How an answer came about, as it says itself.
enum class Use {
  fetched,  ///< forwarded, collapsed or validated for this request
  fresh,    ///< a hit
  stale,    ///< marked as stale: while a refresh runs, or since the upstream failed
};

/// A client got an answer. `instance` is a process: a replica that was started again is another.
struct Read {
  int instance = 0;
  int resource = 0;
  Time invoked;
  Time answered;
  long serial = 0;
  long version = 0;  ///< of the body
  Use use = Use::fetched;
  bool from_redis = false;
};

/// An invalidation that was answered, whatever asked for it.
struct Invalidation {
  std::string what;  ///< for messages
  int instance = 0;
  Time invoked;
  Time answered;
  Time floor;  ///< what was read at the upstream before this is old: when it was invoked, or when a write was committed
  std::vector<int> resources;
  bool soft = false;
  bool delivered = false;         ///< answered as done, so that it stands in the log
  std::vector<int> acknowledged;  ///< instances that the receipt names
};

/// No byte passed between this instance and Redis, and its connections ended at `healed`.
struct Cut {
  int instance = 0;
  Time begun;
  Time healed;
};

/// A process began with an empty memory; what stood in the log then was not lost.
struct Start {
  int instance = 0;
  Time begun;
};

/// Meanwhile Redis may have lost, unseen, what it had acknowledged: it failed over, or an older copy of it came back.
struct Loss {
  Time begun;
  Time ended;
};

/// A response was taken out of Redis by a plain client; who has shown since when that it has noticed later changes.
struct Deletion {
  int resource = 0;
  long serial = 0;
  std::map<int, Time> noticed;
};

struct History {
  std::vector<Fetch> fetches;
  std::vector<Read> reads;
  std::vector<Invalidation> invalidations;
  std::vector<Cut> cuts;
  std::vector<Start> starts;
  std::vector<Loss> losses;
  std::vector<Deletion> deletions;

  /// Takes over what another thread has recorded.
  void add(History&& other);
};

/// What the promise says, each with the words of the contract in history.cpp.
enum class Rule {
  intact,              ///< an answer is one that the upstream gave for this resource, with the body of its version
  this_replica,        ///< who answered an invalidation doesn't use what is older
  acknowledged,        ///< nor does who is named in its receipt
  earlier_in_log,      ///< who has acknowledged another's has applied those before it
  redis_after_cut,     ///< who was cut off serves nothing older from Redis afterwards
  memory_after_redis,  ///< and from then on nothing older from memory either
  new_process,         ///< a process knows of what was invalidated before it began
  deleted,             ///< who noticed that a response is gone from Redis doesn't use it
};
std::string to_string(Rule rule);

struct Violation {
  Rule rule;
  std::string text;  ///< the read, and what it should have known; times in ms from the first read
};

/// All violations, at most `most` of them described, in the order of the reads.
std::vector<Violation> check(const History& history, std::size_t most = 20);

/// How many (read, invalidation) pairs of each rule were judged at all: a test whose history never tries a rule shows
/// nothing.
std::map<Rule, long> coverage(const History& history);

}  // namespace pillion::support::history
