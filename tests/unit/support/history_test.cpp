// The judge of histories: it finds what breaks the promise, and nothing else.
#include "support/history.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <set>

using namespace pillion::support;
using namespace pillion::support::history;

namespace {

/// Moments are small numbers, in milliseconds.
Time at(int ms) { return Time{} + Milliseconds(1'000'000 + ms); }

Read read(int instance, int invoked, long serial, Use use = Use::fresh, bool from_redis = false) {
  return {instance, 1, at(invoked), at(invoked + 1), serial, serial, use, from_redis};
}
Fetch fetch(long serial, int read_at) { return {1, serial, serial, at(read_at)}; }
Invalidation invalidation(int instance, int invoked, int answered, std::vector<int> acknowledged = {}) {
  return {"a tag", instance, at(invoked), at(answered), at(invoked), {1}, false, true, std::move(acknowledged)};
}
Invalidation marker(int instance, int invoked, int answered, std::vector<int> acknowledged) {
  Invalidation out = invalidation(instance, invoked, answered, std::move(acknowledged));
  out.resources.clear();
  return out;
}

/// Serial 1 was read at 10, serial 2 at 50.
History run_of(std::vector<Invalidation> invalidations, std::vector<Read> reads) {
  History out;
  out.fetches = {fetch(1, 10), fetch(2, 50)};
  out.invalidations = std::move(invalidations);
  out.reads = std::move(reads);
  return out;
}

std::vector<Rule> broken(const History& history) {
  std::vector<Rule> out;
  for (const Violation& violation : check(history)) out.push_back(violation.rule);
  return out;
}

using Rules = std::vector<Rule>;

}  // namespace

TEST_CASE("an answer that the upstream never gave, or of another version, is found") {
  Read unknown = read(0, 60, 2);
  unknown.serial = 3;
  CHECK(broken(run_of({}, {unknown})) == Rules{Rule::intact});
  Read mixed = read(0, 60, 2);
  mixed.version = 1;
  CHECK(broken(run_of({}, {mixed})) == Rules{Rule::intact});
  Read foreign = read(0, 60, 2);
  foreign.resource = 2;
  CHECK(broken(run_of({}, {foreign})) == Rules{Rule::intact});
  CHECK(broken(run_of({}, {read(0, 60, 2), read(0, 60, 1)})).empty());
}

TEST_CASE("what is older than an answered invalidation is not for the replica that answered it") {
  auto invalidated = invalidation(0, 30, 40);
  CHECK(broken(run_of({invalidated}, {read(0, 41, 1)})) == Rules{Rule::this_replica});
  CHECK(broken(run_of({invalidated}, {read(0, 41, 1, Use::stale)})) == Rules{Rule::this_replica});
  CHECK(broken(run_of({invalidated}, {read(0, 41, 1, Use::fetched)})) == Rules{Rule::this_replica});
  CHECK(broken(run_of({invalidated}, {read(0, 60, 2)})).empty());
  CHECK(broken(run_of({invalidated}, {read(0, 35, 1)})).empty());  // before it was answered
  CHECK(broken(run_of({invalidated}, {read(1, 41, 1)})).empty());  // another replica
  auto elsewhere = invalidated;
  elsewhere.resources = {2};
  CHECK(broken(run_of({elsewhere}, {read(0, 41, 1)})).empty());
}

TEST_CASE("a write makes old what was read before it was committed, though it was asked for earlier") {
  auto write = invalidation(0, 5, 40);
  write.floor = at(20);
  CHECK(broken(run_of({write}, {read(0, 41, 1)})) == Rules{Rule::this_replica});
  write.floor = at(8);
  CHECK(broken(run_of({write}, {read(0, 41, 1)})).empty());
}

TEST_CASE("what is softly invalidated may be used where it is marked stale") {
  auto soft = invalidation(0, 30, 40);
  soft.soft = true;
  CHECK(broken(run_of({soft}, {read(0, 41, 1)})) == Rules{Rule::this_replica});
  CHECK(broken(run_of({soft}, {read(0, 41, 1, Use::stale)})).empty());
  auto hard = invalidation(0, 20, 25);
  CHECK(broken(run_of({hard, soft}, {read(0, 41, 1, Use::stale)})) == Rules{Rule::this_replica});
}

TEST_CASE("what is older is not for those who have acknowledged it") {
  auto invalidated = invalidation(0, 30, 40, {0, 2});
  CHECK(broken(run_of({invalidated}, {read(2, 41, 1)})) == Rules{Rule::acknowledged});
  CHECK(broken(run_of({invalidated}, {read(1, 41, 1)})).empty());
  CHECK(broken(run_of({invalidated}, {read(2, 39, 1)})).empty());
}

TEST_CASE("who acknowledged another's later one knows of the earlier ones") {
  auto first = invalidation(0, 20, 25, {0});
  auto later = marker(1, 30, 40, {1, 2});
  CHECK(broken(run_of({first, later}, {read(2, 41, 1)})) == Rules{Rule::earlier_in_log});
  CHECK(broken(run_of({first, later}, {read(2, 39, 1)})).empty());
  CHECK(broken(run_of({first, later}, {read(3, 41, 1)})).empty());
  CHECK(broken(run_of({first, later}, {read(1, 41, 1)})).empty());  // its own: written, and not yet read up to there
  auto overlapping = marker(1, 24, 40, {1, 2});  // asked for before the first was answered: either may come first
  CHECK(broken(run_of({first, overlapping}, {read(2, 41, 1)})).empty());
  first.delivered = false;  // pending: only what its own process writes is surely after it
  CHECK(broken(run_of({first, later}, {read(2, 41, 1)})).empty());
  auto own = marker(0, 30, 40, {0, 2});
  CHECK(broken(run_of({first, own}, {read(2, 41, 1)})) == Rules{Rule::earlier_in_log});
}

TEST_CASE("what Redis may have lost binds others only once who knows of it is heard again") {
  auto first = invalidation(0, 20, 25, {0});
  auto run = [&](std::vector<Invalidation> all, int lost_from, int lost_to) {
    History out = run_of(std::move(all), {read(2, 61, 1)});
    out.losses = {{at(lost_from), at(lost_to)}};
    return broken(out);
  };
  auto others = marker(1, 30, 40, {1, 2});
  CHECK(run({first, others}, 26, 28).empty());
  CHECK(run({first, others}, 10, 22).empty());
  CHECK(run({first, others}, 41, 50) == Rules{Rule::earlier_in_log});
  CHECK(run({first, others}, 1, 15) == Rules{Rule::earlier_in_log});
  auto own = marker(0, 50, 60, {0, 2});
  CHECK(run({first, others, own}, 26, 28) == Rules{Rule::earlier_in_log});
  CHECK(run({first, others, own}, 26, 55).empty());
}

TEST_CASE("who was cut off may use its memory, and nothing older from Redis once it is back") {
  auto invalidated = invalidation(0, 30, 40);
  auto cut = [&](std::vector<Read> reads) {
    History out = run_of({invalidated}, std::move(reads));
    out.cuts = {{1, at(20), at(60)}};
    return out;
  };
  CHECK(broken(cut({read(1, 50, 1)})).empty());
  CHECK(broken(cut({read(1, 70, 1)})).empty());
  CHECK(broken(cut({read(1, 70, 1, Use::fresh, true)})) == Rules{Rule::redis_after_cut});
  CHECK(broken(cut({read(1, 70, 2, Use::fresh, true), read(1, 72, 1)})) == Rules{Rule::memory_after_redis});
  CHECK(broken(cut({read(1, 72, 1), read(1, 74, 2, Use::fresh, true)})).empty());
  CHECK(broken(cut({read(2, 70, 1, Use::fresh, true)})).empty());
}

TEST_CASE("a process that began later knows of what was invalidated before") {
  auto invalidated = invalidation(0, 30, 40);
  auto started = [&](int begun, Read one) {
    History out = run_of({invalidated}, {one});
    out.starts = {{5, at(begun)}};
    return out;
  };
  CHECK(broken(started(45, read(5, 60, 1, Use::fresh, true))) == Rules{Rule::new_process});
  CHECK(broken(started(45, read(5, 60, 2, Use::fresh, true))).empty());
  CHECK(broken(started(35, read(5, 60, 1, Use::fresh, true))).empty());
  invalidated.delivered = false;
  CHECK(broken(started(45, read(5, 60, 1, Use::fresh, true))).empty());
}

TEST_CASE("what was deleted is not used by those who have noticed it") {
  auto deleted = [&](Read one) {
    History out = run_of({}, {one});
    out.deletions = {{1, 1, {{0, at(40)}}}};
    return out;
  };
  CHECK(broken(deleted(read(0, 41, 1))) == Rules{Rule::deleted});
  CHECK(broken(deleted(read(0, 39, 1))).empty());
  CHECK(broken(deleted(read(1, 41, 1))).empty());
  CHECK(broken(deleted(read(0, 41, 2))).empty());
  CHECK(broken(deleted(read(0, 41, 1, Use::fetched))).empty());
}

TEST_CASE("what is described is bounded, in order, and names who and what") {
  std::vector<Read> reads;
  for (int i = 0; i < 50; ++i) reads.push_back(read(0, 100 - i, 1));
  History bad = run_of({invalidation(0, 30, 40)}, reads);
  auto found = check(bad, 3);
  REQUIRE(found.size() == 3);
  CHECK(found[0].text.find("process 0 answered resource 1 with serial 1") != std::string::npos);
  CHECK(found[0].text.find("request of 0.000 ms") != std::string::npos);
  CHECK(found[0].text.find("a tag") != std::string::npos);
  auto tried = coverage(bad);
  CHECK(tried[Rule::intact] == 50);
  CHECK(tried[Rule::this_replica] == 50);
  CHECK(tried[Rule::acknowledged] == 0);
}

namespace {

/// The same promise, said pair by pair.
bool may_not(const Read& read, const Invalidation& one, const History& history) {
  if (std::find(one.resources.begin(), one.resources.end(), read.resource) == one.resources.end()) return false;
  auto before = [&](Time from) { return from < read.invoked; };
  auto names = [&](const Invalidation& other) {
    return std::find(other.acknowledged.begin(), other.acknowledged.end(), read.instance) != other.acknowledged.end();
  };
  if ((one.instance == read.instance || names(one)) && before(one.answered)) return true;
  auto lost = [&](Time from, Time until) {
    return std::any_of(history.losses.begin(), history.losses.end(),
                       [&](const Loss& loss) { return loss.ended >= from && loss.begun <= until; });
  };
  for (const Invalidation& later : history.invalidations) {
    if (!later.delivered || later.instance == read.instance || !names(later) || one.answered >= later.invoked) continue;
    bool follows = (one.delivered && !lost(one.invoked, later.answered)) ||
                   (later.instance == one.instance && !lost(later.invoked, later.answered));
    if (follows && before(later.answered)) return true;
  }
  if (lost(one.invoked, Time::max())) return false;
  for (const Start& start : history.starts) {
    if (start.instance == read.instance && one.delivered && one.answered < start.begun && before(start.begun))
      return true;
  }
  for (const Cut& cut : history.cuts) {
    if (cut.instance != read.instance || !one.delivered || one.answered >= cut.healed || one.instance == cut.instance)
      continue;
    auto from_redis = [&](const Read& r) {
      return r.instance == cut.instance && r.from_redis && r.use == Use::fresh && r.invoked > cut.healed;
    };
    if (from_redis(read)) return true;
    for (const Read& earlier : history.reads) {
      if (from_redis(earlier) && before(earlier.answered)) return true;
    }
  }
  return false;
}

std::size_t slowly_counted(const History& history) {
  std::size_t bad = 0;
  for (const Read& read : history.reads) {
    const Fetch& fetched = *std::find_if(history.fetches.begin(), history.fetches.end(),
                                         [&](const Fetch& f) { return f.serial == read.serial; });
    bool wrong = false;
    for (const Invalidation& one : history.invalidations) {
      bool allowed = fetched.read_at >= one.floor || (one.soft && read.use == Use::stale);
      wrong = wrong || (!allowed && may_not(read, one, history));
    }
    for (const Deletion& deletion : history.deletions) {
      auto noticed = deletion.noticed.find(read.instance);
      wrong = wrong || (deletion.serial == read.serial && read.use == Use::fresh && noticed != deletion.noticed.end() &&
                        noticed->second < read.invoked);
    }
    bad += wrong ? 1 : 0;
  }
  return bad;
}

}  // namespace

TEST_CASE("of random histories it finds exactly what a slow look at every pair finds") {
  std::mt19937 random(20240607);
  auto below = [&](int n) { return static_cast<int>(random() % static_cast<unsigned>(n)); };
  std::size_t found_in_all = 0;
  for (int round = 0; round < 200; ++round) {
    History one;
    for (int i = 0; i < 30; ++i) one.fetches.push_back({below(3), i + 1, i + 1, at(below(1000))});
    for (int i = 0; i < 12; ++i) {
      int invoked = below(900);
      Invalidation made = invalidation(below(4), invoked, invoked + 1 + below(100));
      made.resources.clear();
      for (int resource = 0; resource < 3; ++resource) {
        if (below(2) == 0) made.resources.push_back(resource);
      }
      made.floor = at(invoked + below(2));
      made.soft = below(4) == 0;
      made.delivered = below(4) != 0;
      for (int who = 0; who < 4; ++who) {
        if (below(3) == 0) made.acknowledged.push_back(who);
      }
      one.invalidations.push_back(made);
    }
    if (below(2) == 0) {
      int begun = below(500);
      one.cuts.push_back({below(4), at(begun), at(begun + 1 + below(400))});
    }
    if (below(3) == 0) {
      int begun = below(900);
      one.losses.push_back({at(begun), at(begun + below(200))});
    }
    if (below(2) == 0) one.starts.push_back({below(4), at(below(900))});
    if (below(2) == 0) one.deletions.push_back({0, 1 + below(30), {{below(4), at(below(900))}}});
    for (int i = 0; i < 60; ++i) {
      const Fetch& of = one.fetches[static_cast<std::size_t>(below(30))];
      int invoked = below(1200);
      one.reads.push_back({below(4), of.resource, at(invoked), at(invoked + 1 + below(20)), of.serial, of.version,
                           static_cast<Use>(below(3)), below(3) == 0});
    }
    std::size_t found = check(one, 1000).size();
    CHECK(found == slowly_counted(one));
    found_in_all += found;
  }
  CHECK(found_in_all > 1000);
}
