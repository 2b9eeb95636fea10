#include "support/history.hpp"

#include <algorithm>
#include <cstdio>
#include <iterator>
#include <unordered_map>

namespace pillion::support::history {

namespace {

constexpr Time never = Time::max();

/// From `from` on, an instance may not use what was read before `floor`.
struct Duty {
  Time from;
  Time floor;
  Rule rule = Rule::this_replica;
  const Invalidation* why = nullptr;
};

/// Duties in order of `from`; each also knows the strictest up to itself.
class Duties {
 public:
  void add(const Duty& duty) { list_.push_back(duty); }
  void prepare() {
    std::sort(list_.begin(), list_.end(), [](const Duty& a, const Duty& b) { return a.from < b.from; });
    strictest_.clear();
    for (const Duty& duty : list_) {
      strictest_.push_back(strictest_.empty() || duty.floor > strictest_.back()->floor ? &duty : strictest_.back());
    }
  }
  /// The strictest of those that held for a request made at `invoked`; null without any.
  const Duty* at(Time invoked) const {
    std::size_t n = count_at(invoked);
    return n == 0 ? nullptr : strictest_[n - 1];
  }
  std::size_t count_at(Time invoked) const {
    auto end = std::partition_point(list_.begin(), list_.end(), [&](const Duty& d) { return d.from < invoked; });
    return static_cast<std::size_t>(end - list_.begin());
  }
  const std::vector<Duty>& list() const { return list_; }

 private:
  std::vector<Duty> list_;
  std::vector<const Duty*> strictest_;
};

/// What binds one instance for one resource.
struct Bound {
  Duties hard;        ///< any answer
  Duties soft;        ///< any but those that are marked stale
  Duties from_redis;  ///< answers from Redis (hard and soft alike: Redis has nothing that is marked)
};

/// When an instance had certainly applied everything up to a moment: receipts that name it, by when they were asked
/// for.
class Acknowledgements {
 public:
  void add(Time invoked, Time answered) { list_.push_back({invoked, answered}); }
  void prepare() {
    std::sort(list_.begin(), list_.end());
    for (std::size_t i = list_.size(); i-- > 1;) list_[i - 1].second = std::min(list_[i - 1].second, list_[i].second);
  }
  /// The first moment at which one asked for after `time` had been answered.
  Time first_after(Time time) const {
    auto at = std::upper_bound(list_.begin(), list_.end(), std::pair{time, never});
    return at == list_.end() ? never : at->second;
  }

 private:
  std::vector<std::pair<Time, Time>> list_;
};

class Judge {
 public:
  explicit Judge(const History& history) : history_(history) {
    for (const Fetch& fetch : history.fetches) fetches_[fetch.serial] = &fetch;
    for (const Invalidation& one : history.invalidations) begins_at(one.instance);
    for (const Read& read : history.reads) begins_at(read.instance);
    add_receipts();
    add_log_order();
    for (const Cut& cut : history.cuts) add_cut(cut);
    for (const Start& start : history.starts) add_start(start);
    for (const Deletion& deletion : history.deletions) deletions_.emplace(deletion.serial, &deletion);
    for (auto& [who, bound] : bounds_) {
      bound.hard.prepare();
      bound.soft.prepare();
      bound.from_redis.prepare();
    }
  }

  std::vector<Violation> violations(std::size_t most) const {
    std::vector<const Read*> reads;
    for (const Read& read : history_.reads) reads.push_back(&read);
    std::sort(reads.begin(), reads.end(), [](auto a, auto b) { return a->invoked < b->invoked; });
    std::vector<Violation> out;
    for (const Read* read : reads) {
      if (out.size() >= most) break;
      judge(*read, reads.front()->invoked, out);
    }
    return out;
  }

  std::map<Rule, long> coverage() const {
    std::map<Rule, long> out;
    for (const Read& read : history_.reads) {
      ++out[Rule::intact];
      if (const Bound* bound = bound_of(read)) count(read, *bound, out);
      if (auto at = deletions_.find(read.serial); at != deletions_.end()) ++out[Rule::deleted];
    }
    // A deleted response that is never seen again is what should happen: count those that were noticed.
    for (const Deletion& deletion : history_.deletions) out[Rule::deleted] += std::ssize(deletion.noticed);
    return out;
  }

 private:
  using Who = std::pair<int, int>;  // instance, resource

  void begins_at(int instance) {
    if (std::find(instances_.begin(), instances_.end(), instance) == instances_.end()) instances_.push_back(instance);
  }

  void oblige(int instance, const Invalidation& one, Time from, Rule rule) {
    if (from == never) return;
    for (int resource : one.resources) {
      Bound& bound = bounds_[{instance, resource}];
      (one.soft ? bound.soft : bound.hard).add({from, one.floor, rule, &one});
    }
  }

  void add_receipts() {
    for (const Invalidation& one : history_.invalidations) {
      oblige(one.instance, one, one.answered, Rule::this_replica);
      for (int other : one.acknowledged) {
        if (other != one.instance) oblige(other, one, one.answered, Rule::acknowledged);
      }
    }
  }

  /// Whether what was invalidated from `from` on may have been lost before `until`.
  bool may_be_lost(Time from, Time until) const {
    return std::any_of(history_.losses.begin(), history_.losses.end(),
                       [&](const Loss& loss) { return loss.ended >= from && loss.begun <= until; });
  }

  /// The log is ordered: who has read as far as a position has applied those before it (who wrote it need not have read
  /// so far yet). An invalidation stands before another where it was answered before the other was asked for, by the
  /// same process, or as delivered by any. What Redis loses in between only the process that wrote it can know; once
  /// that one is heard again, all know.
  void add_log_order() {
    std::map<int, Acknowledgements> by_any;
    std::map<std::pair<int, int>, Acknowledgements> by_origin;
    for (const Invalidation& one : history_.invalidations) {
      if (!one.delivered) continue;
      for (int who : one.acknowledged) {
        if (who == one.instance) continue;
        by_any[who].add(one.invoked, one.answered);
        if (!may_be_lost(one.invoked, one.answered)) by_origin[{one.instance, who}].add(one.invoked, one.answered);
      }
    }
    for (auto& [who, list] : by_any) list.prepare();
    for (auto& [who, list] : by_origin) list.prepare();
    for (const Invalidation& one : history_.invalidations) {
      for (int who : instances_) {
        if (who == one.instance) continue;
        Time from = never;
        if (auto at = by_any.find(who); at != by_any.end() && one.delivered) {
          from = at->second.first_after(one.answered);
          if (from != never && may_be_lost(one.invoked, from)) from = never;
        }
        if (auto at = by_origin.find({one.instance, who}); at != by_origin.end())
          from = std::min(from, at->second.first_after(one.answered));
        oblige(who, one, from, Rule::earlier_in_log);
      }
    }
  }

  void add_cut(const Cut& cut) {
    // Its first answer from Redis: by then it has read the log up to where it stood when it was healed.
    Time first = never;
    for (const Read& read : history_.reads) {
      if (read.instance == cut.instance && read.from_redis && read.use == Use::fresh && read.invoked > cut.healed)
        first = std::min(first, read.answered);
    }
    for (const Invalidation& one : history_.invalidations) {
      if (!one.delivered || one.instance == cut.instance || one.answered >= cut.healed) continue;
      if (may_be_lost(one.invoked, never)) continue;
      for (int resource : one.resources)
        bounds_[{cut.instance, resource}].from_redis.add({cut.healed, one.floor, Rule::redis_after_cut, &one});
      oblige(cut.instance, one, first, Rule::memory_after_redis);
    }
  }

  void add_start(const Start& start) {
    for (const Invalidation& one : history_.invalidations) {
      if (one.delivered && one.answered < start.begun && !may_be_lost(one.invoked, never))
        oblige(start.instance, one, start.begun, Rule::new_process);
    }
  }

  const Bound* bound_of(const Read& read) const {
    auto at = bounds_.find({read.instance, read.resource});
    return at == bounds_.end() ? nullptr : &at->second;
  }

  static bool counts_for_redis(const Read& read) { return read.from_redis && read.use == Use::fresh; }

  static void count(const Read& read, const Bound& bound, std::map<Rule, long>& out) {
    auto add = [&](const Duties& duties) {
      if (const Duty* duty = duties.at(read.invoked)) ++out[duty->rule];
    };
    add(bound.hard);
    if (read.use != Use::stale) add(bound.soft);
    if (counts_for_redis(read)) add(bound.from_redis);
  }

  void judge(const Read& read, Time begin, std::vector<Violation>& out) const {
    auto found = fetches_.find(read.serial);
    if (found == fetches_.end() || found->second->resource != read.resource || found->second->version != read.version) {
      out.push_back({Rule::intact, describe(read, nullptr, begin) + " is no answer that the upstream gave"});
      return;
    }
    const Fetch& fetch = *found->second;
    if (const Bound* bound = bound_of(read)) {
      const Duty* broken = nullptr;
      auto look = [&](const Duties& duties) {
        const Duty* duty = duties.at(read.invoked);
        if (duty != nullptr && fetch.read_at < duty->floor && broken == nullptr) broken = duty;
      };
      look(bound->hard);
      if (read.use != Use::stale) look(bound->soft);
      if (counts_for_redis(read)) look(bound->from_redis);
      if (broken != nullptr) {
        out.push_back({broken->rule, describe(read, &fetch, begin) + ": " + to_string(broken->rule) + "; " +
                                         describe(*broken, begin)});
        return;
      }
    }
    auto deletion = deletions_.find(read.serial);
    if (deletion == deletions_.end() || read.use != Use::fresh) return;
    auto noticed = deletion->second->noticed.find(read.instance);
    if (noticed == deletion->second->noticed.end() || read.invoked <= noticed->second) return;
    out.push_back({Rule::deleted, describe(read, &fetch, begin) + ": " + to_string(Rule::deleted) + "; noticed at " +
                                      since(noticed->second, begin)});
  }

  static std::string since(Time time, Time begin) {
    char text[40];
    std::snprintf(text, sizeof text, "%.3f ms", std::chrono::duration<double, std::milli>(time - begin).count());
    return text;
  }

  static std::string describe(const Read& read, const Fetch* fetch, Time begin) {
    static constexpr const char* uses[] = {"fetched", "fresh", "stale"};
    std::string text = "process " + std::to_string(read.instance) + " answered resource " +
                       std::to_string(read.resource) + " with serial " + std::to_string(read.serial) + ", version " +
                       std::to_string(read.version) + " (" + uses[static_cast<int>(read.use)] +
                       (read.from_redis ? ", from Redis" : "") + ") to a request of " + since(read.invoked, begin) +
                       " to " + since(read.answered, begin);
    if (fetch != nullptr) text += ", read at the upstream at " + since(fetch->read_at, begin);
    return text;
  }
  static std::string describe(const Duty& duty, Time begin) {
    const Invalidation& why = *duty.why;
    return (why.soft ? "softly invalidated by " : "invalidated by ") + why.what + " through process " +
           std::to_string(why.instance) + " from " + since(why.invoked, begin) + " to " + since(why.answered, begin) +
           ", old before " + since(why.floor, begin) + ", known from " + since(duty.from, begin);
  }

  const History& history_;
  std::unordered_map<long, const Fetch*> fetches_;
  std::unordered_map<long, const Deletion*> deletions_;
  std::vector<int> instances_;
  std::map<Who, Bound> bounds_;
};

template <class T>
void append(std::vector<T>& to, std::vector<T>& from) {
  to.insert(to.end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

}  // namespace

void History::add(History&& other) {
  append(fetches, other.fetches);
  append(reads, other.reads);
  append(invalidations, other.invalidations);
  append(cuts, other.cuts);
  append(starts, other.starts);
  append(losses, other.losses);
  append(deletions, other.deletions);
}

std::string to_string(Rule rule) {
  switch (rule) {
    case Rule::intact:
      return "an answer is one that the upstream gave";
    case Rule::this_replica:
      return "once an invalidation has been answered, nothing older is served by this replica";
    case Rule::acknowledged:
      return "nor by any that the receipt names as having acknowledged it";
    case Rule::earlier_in_log:
      return "who acknowledged another's later position has applied the earlier ones";
    case Rule::redis_after_cut:
      return "one that was cut off follows before it serves from Redis again";
    case Rule::memory_after_redis:
      return "and once it serves from Redis again, its memory follows too";
    case Rule::new_process:
      return "a new process follows before it serves from Redis";
    case Rule::deleted:
      break;
  }
  return "what was deleted in Redis is not used once that was noticed";
}

std::vector<Violation> check(const History& history, std::size_t most) { return Judge(history).violations(most); }

std::map<Rule, long> coverage(const History& history) { return Judge(history).coverage(); }

}  // namespace pillion::support::history
