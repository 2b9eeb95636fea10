#include "support/world.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "support/world_parts.hpp"

namespace pillion::support {

using namespace history;

std::uint64_t history_seed() {
  const char* named = std::getenv("PILLION_HISTORY_SEED");
  return named != nullptr ? std::strtoull(named, nullptr, 10) : std::random_device{}();
}

Milliseconds history_time(Milliseconds otherwise) {
  const char* named = std::getenv("PILLION_HISTORY_SECONDS");
  return named != nullptr ? Milliseconds(std::strtol(named, nullptr, 10) * 1000) : otherwise;
}

namespace {

/// Clients that never pause take all there is of a machine: tests that run beside this one come first.
void make_room() {
  if (::nice(10) < 0) std::perror("nice");
}

}  // namespace

World::World(WorldOptions options, const std::function<std::unique_ptr<Fleet>(const Endpoint&, FleetOptions)>& fleet)
    : options_(std::move(options)),
      random_(options_.seed),
      versions_(options_.seed + 1),
      upstream_(versions_.handler()),
      fleet_((make_room(), fleet(upstream_.endpoint(), {.replicas = options_.replicas,
                                                        .routes = Versions::routes(),
                                                        .store = options_.store,
                                                        .redis = options_.redis,
                                                        // What is suspect is used where Redis doesn't answer in time.
                                                        .time = options_.deletes ? unhurried : ""}))) {
  begin();
}

World::World(const RedisServer& redis, WorldOptions options)
    : World(std::move(options), [&](const Endpoint& upstream, FleetOptions more) {
        return std::make_unique<Fleet>(upstream, redis, std::move(more));
      }) {
  if (!options_.deletes) return;
  threads_.emplace_back(
      [this, at = redis.endpoint(), &notes = new_notes(), seed = random_()] { delete_on(at, notes, seed); });
}

World::World(const std::string& settings, WorldOptions options)
    : World(std::move(options), [&](const Endpoint& upstream, FleetOptions more) {
        return std::make_unique<Fleet>(upstream, settings, std::move(more));
      }) {}

World::World(const std::vector<std::string>& settings, WorldOptions options)
    : World(std::move(options), [&](const Endpoint& upstream, FleetOptions more) {
        return std::make_unique<Fleet>(upstream, settings, std::move(more));
      }) {}

void World::begin() {
  for (int i = 0; i < options_.replicas; ++i) {
    seats_.emplace_back();
    seat_replica(i);
  }
  for (int i = 0; i < options_.replicas; ++i) {
    for (int n = 0; n < options_.readers_of_each; ++n)
      threads_.emplace_back([this, i, &notes = new_notes(), seed = random_()] { read_on(i, notes, seed); });
  }
  for (int n = 0; n < options_.writers; ++n)
    threads_.emplace_back([this, &notes = new_notes(), seed = random_()] { write_on(notes, seed); });
}

World::~World() {
  stopping_ = true;
  changed_.notify_all();
  for (auto& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

World::Notes& World::new_notes() {
  std::lock_guard lock(notes_mutex_);
  return *notes_.emplace_back(std::make_unique<Notes>());
}

void World::seat_replica(int i) {
  Pillion& proxy = (*fleet_)[i];
  std::lock_guard lock(mutex_);
  int instance = instances_++;
  seats_[static_cast<std::size_t>(i)] = {i, instance, true, proxy.client(), proxy.admin()};
  instance_by_name_[fleet_->name(i)] = instance;
  changed_.notify_all();
}

World::Seat World::seat(int i) const {
  std::lock_guard lock(mutex_);
  return seats_[static_cast<std::size_t>(i)];
}

bool World::is_gone(const Seat& seat) const {
  Seat now = this->seat(seat.replica);
  return !now.alive || now.instance != seat.instance;
}

std::vector<int> World::instances_of(const Json& names) const {
  std::lock_guard lock(mutex_);
  std::vector<int> out;
  for (const Json& name : names.array) {
    auto at = instance_by_name_.find(name.string);
    if (at != instance_by_name_.end()) out.push_back(at->second);
  }
  return out;
}

std::vector<int> World::all_instances() const {
  std::vector<int> out;
  for (int i = 0; i < options_.replicas; ++i) out.push_back(seat(i).instance);
  return out;
}

void World::let_pass(int answers) {
  std::unique_lock lock(mutex_);
  long until = answers_ + answers;
  changed_.wait_for(lock, 2s, [&] { return answers_ >= until; });
}

// --- faults ----------------------------------------------------------------------------------------------------------

void World::cut_off(int i, bool silently, const std::function<void()>& meanwhile) {
  Relay& relay = fleet_->relay(i);
  if (silently) return cut_off(i, [&] { relay.blackhole(); }, meanwhile, [&] { relay.heal(); });
  cut_off(i, [&] { relay.cut(); }, meanwhile, [&] { relay.resume(); });
}

void World::cut_off(int i, const std::function<void()>& cut, const std::function<void()>& meanwhile,
                    const std::function<void()>& heal) {
  Cut noted;
  noted.instance = seat(i).instance;
  cut();
  noted.begun = Clock::now();
  meanwhile();
  noted.healed = Clock::now();
  heal();
  std::lock_guard lock(notes_mutex_);
  notes_.front()->history.cuts.push_back(noted);
}

void World::losing(const std::function<void()>& meanwhile) {
  Loss loss;
  loss.begun = Clock::now();
  meanwhile();
  loss.ended = Clock::now();
  std::lock_guard lock(notes_mutex_);
  notes_.front()->history.losses.push_back(loss);
}

void World::crash_and_restart(int i, const std::function<void()>& meanwhile) {
  {
    std::lock_guard lock(mutex_);
    seats_[static_cast<std::size_t>(i)].alive = false;
  }
  fleet_->crash(i);
  meanwhile();
  Start start;
  start.begun = Clock::now();
  fleet_->restart(i);
  seat_replica(i);
  start.instance = seat(i).instance;
  std::lock_guard lock(notes_mutex_);
  notes_.front()->history.starts.push_back(start);
}

// --- the end ---------------------------------------------------------------------------------------------------------

/// Through every replica an invalidation that all have acknowledged: whatever was on its way has arrived. False, with
/// what they said in `why`, where that isn't so in time.
bool World::wait_until_in_step(Notes& notes, Milliseconds patience, std::string& why) {
  for (int i = 0; i < options_.replicas; ++i) {
    int attempt = 0;
    bool all = eventually(
        [&] {
          // At first not for long: one that has just died would hold each of them up.
          std::vector<int> who =
              invalidate(R"("tags": ["in step"])", ++attempt < 20 ? "100ms" : "5s", {}, false, seat(i), notes);
          for (int other = 0; other < options_.replicas; ++other) {
            if (std::find(who.begin(), who.end(), seat(other).instance) == who.end()) return false;
          }
          return true;
        },
        Deadline(patience));
    if (all) continue;
    why = "an invalidation through replica " + std::to_string(i) + " is not acknowledged by all";
    for (int each = 0; each < options_.replicas; ++each) {
      const std::string told = fleet()[each].process().err();
      why += "\nreplica " + std::to_string(each) + " said at last:\n" +
             told.substr(told.size() - std::min<std::size_t>(told.size(), 2000));
    }
    return false;
  }
  return true;
}

void World::read_all_once(Notes& notes) {
  for (int i = 0; i < options_.replicas; ++i) {
    HttpClient client(seat(i).client);
    for (int resource = 0; resource < Versions::resources; ++resource) {
      for (const char* value : {"a", "b"}) read_one(resource, {{"X-V", value}}, client, seat(i), notes);
    }
  }
}

World::Outcome World::finish() {
  Notes& last = new_notes();
  // The load goes on while they catch up, unless it is all that the machine can bear; then nothing but what stands
  // everywhere is left to look at.
  std::string why;
  wait_until_in_step(last, 30s, why);
  stopping_ = true;
  changed_.notify_all();
  for (auto& thread : threads_) thread.join();
  threads_.clear();
  if (!wait_until_in_step(last, 60s, why)) last.fail(why);
  read_all_once(last);
  Outcome outcome;
  History all;
  Clock::duration longest{0};
  for (auto& notes : notes_) {
    all.add(std::move(notes->history));
    outcome.failed += notes->failed;
    outcome.failures.insert(outcome.failures.end(), notes->failures.begin(), notes->failures.end());
    for (const auto& [kind, n] : notes->answers) outcome.answers[kind] += n;
    if (notes->longest > longest) {
      longest = notes->longest;
      outcome.longest_of = notes->longest_of;
    }
  }
  if (outcome.failures.size() > 10) outcome.failures.resize(10);
  all.fetches = versions_.fetches();
  outcome.answered = std::ssize(all.reads);
  outcome.longest = std::chrono::duration_cast<Milliseconds>(longest);
  outcome.violations = check(all, 5);
  outcome.coverage = coverage(all);
  return outcome;
}

void Totals::add(const World::Outcome& outcome) {
  answered_ += outcome.answered;
  failed_ += outcome.failed;
  wrong_ += std::ssize(outcome.violations);
  longest_ = std::max(longest_, outcome.longest);
  for (const auto& [kind, n] : outcome.answers) kinds_[kind] += n;
  for (const auto& [rule, n] : outcome.coverage) bound_ += rule == Rule::intact ? 0 : n;
}

void Totals::print(const std::string& name) const {
  auto of = [&](const char* kind) {
    auto at = kinds_.find(kind);
    return at == kinds_.end() ? 0 : at->second;
  };
  std::printf(
      "FIGURES | %s | %ld answers (%ld from memory, %ld from Redis), %ld failed, the longest took %ld ms; %ld rules "
      "of the promise held against them, %ld broken |\n",
      name.c_str(), answered_, of("hit memory"), of("hit redis"), failed_, static_cast<long>(longest_.count()), bound_,
      wrong_);
  std::fflush(stdout);
}

void judge(const std::string& name, std::uint64_t seed, const World::Outcome& outcome) {
  std::string line = name + ", seed " + std::to_string(seed) + ": " + std::to_string(outcome.answered) + " answers, " +
                     std::to_string(outcome.failed) + " failed, the longest took " +
                     std::to_string(outcome.longest.count()) + " ms for " + outcome.longest_of + ";";
  for (const auto& [kind, n] : outcome.answers) line += " " + kind + ": " + std::to_string(n) + ",";
  line += " judged:";
  for (const auto& [rule, n] : outcome.coverage) line += " " + std::to_string(n) + " that " + to_string(rule) + ";";
  std::printf("%s\n", line.c_str());
  std::fflush(stdout);
  INFO(name << ", seed " << seed << ": run again with PILLION_HISTORY_SEED=" << seed);
  for (const auto& violation : outcome.violations) FAIL_CHECK(violation.text);
  for (const auto& failure : outcome.failures) FAIL_CHECK(failure);
  CHECK(outcome.failed == 0);
}

}  // namespace pillion::support
