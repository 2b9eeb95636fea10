#include "support/world.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>

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

/// A replica as clients find it now.
struct World::Seat {
  int replica = 0;
  int instance = -1;
  bool alive = false;
  Endpoint client, admin;
};

/// What one thread has seen.
struct World::Notes {
  History history;
  std::vector<std::string> failures;
  long failed = 0;
  std::map<std::string, long> answers;
  Clock::duration longest{0};
  std::string longest_of;

  void fail(std::string what) {
    if (++failed <= 10) failures.push_back(std::move(what));
  }
  void took(Clock::duration time, const std::string& what) {
    if (time <= longest) return;
    longest = time;
    longest_of = what;
  }
};

World::World(WorldOptions options, const std::function<std::unique_ptr<Fleet>(const Endpoint&, FleetOptions)>& fleet)
    : options_(std::move(options)),
      random_(options_.seed),
      versions_(options_.seed + 1),
      upstream_(versions_.handler()),
      fleet_((make_room(), fleet(upstream_.endpoint(), {.replicas = options_.replicas,
                                                        .routes = Versions::routes(),
                                                        .store = options_.store,
                                                        .redis = options_.redis}))) {
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

// --- readers ---------------------------------------------------------------------------------------------------------

void World::read_on(int replica, Notes& notes, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::unique_ptr<HttpClient> client;
  Seat on;
  while (!stopping_) {
    Seat now = seat(replica);
    if (!now.alive) {
      client.reset();
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, 50ms);
      continue;
    }
    try {
      if (!client || now.instance != on.instance) {
        on = now;
        client = std::make_unique<HttpClient>(on.client);
      }
      // Few are asked for often, most now and then.
      int resource = static_cast<int>(std::min(random() % Versions::resources, random() % Versions::resources));
      Fields fields;
      if (Versions::kind(resource) == Versions::Kind::varied) fields.add("X-V", random() % 2 == 0 ? "a" : "b");
      if (!read_one(resource, fields, *client, on, notes)) client.reset();
    } catch (const std::exception& e) {
      client.reset();
      if (!is_gone(on) && !stopping_) notes.fail("a GET at process " + std::to_string(on.instance) + ": " + e.what());
    }
  }
}

/// False where the connection can't be used again.
bool World::read_one(int resource, const Fields& fields, HttpClient& client, const Seat& seat, Notes& notes) {
  Read read;
  read.instance = seat.instance;
  read.resource = resource;
  read.invoked = Clock::now();
  Response response = client.get(Versions::path(resource), fields);
  read.answered = Clock::now();
  if (++answers_ % 32 == 0) changed_.notify_all();
  CacheStatus status = cache_status(response);
  std::string kind = status.hit ? "hit" : status.forward + (status.collapsed ? " collapsed" : "");
  if (!status.detail.empty()) kind += " " + status.detail;
  ++notes.answers[kind];
  notes.took(read.answered - read.invoked, Versions::path(resource) + " (" + kind + ")");
  if (response.status == 503 && response["X-Injected"] == "1") return true;
  if (response.status != 200 || !response.complete) {
    if (is_gone(seat)) return false;  // killed in the middle of its answer
    notes.fail("GET " + Versions::path(resource) + " at process " + std::to_string(seat.instance) + ": " +
               std::to_string(response.status) + (response.complete ? " " : " (cut) ") + response.body.substr(0, 100) +
               " " + status.text);
    return response.complete;
  }
  read.serial = std::atol(response["X-Serial"].c_str());
  auto word = response.body.find(" version ");
  read.version = word == std::string::npos ? -1 : std::atol(response.body.c_str() + word + 9);
  bool marked = status.detail.starts_with("stale") || status.ttl.value_or(0) < 0;
  if (marked) {
    read.use = Use::stale;
  } else if (status.hit) {
    read.use = Use::fresh;
  }
  read.from_redis = status.detail == "redis";
  notes.history.reads.push_back(read);
  return true;
}

// --- writers ---------------------------------------------------------------------------------------------------------

void World::write_on(Notes& notes, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  while (!stopping_) {
    Seat on = seat(static_cast<int>(random() % static_cast<unsigned>(options_.replicas)));
    if (!on.alive) {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, 5ms);
      continue;
    }
    try {
      random() % 2 == 0 ? write_something(random, on, notes) : invalidate_something(random, on, notes);
    } catch (const std::exception& e) {
      if (!is_gone(on) && !stopping_) notes.fail("a write at process " + std::to_string(on.instance) + ": " + e.what());
    }
    // Readers are many times as many as writers.
    std::unique_lock lock(mutex_);
    long until = answers_ + static_cast<long>(random() % 64);
    changed_.wait_for(lock, 20ms, [&] { return answers_ >= until || stopping_; });
  }
}

void World::write_something(std::mt19937_64& random, const Seat& seat, Notes& notes) {
  int resource = static_cast<int>(random() % Versions::resources);
  bool group = Versions::kind(resource) == Versions::Kind::grouped && random() % 2 == 0;
  std::string method = group ? "POST" : "PUT";
  auto dice = random() % 10;
  std::string mode = dice == 0 ? "reset" : dice == 1 ? "refuse" : "do";
  long number = ++writes_;
  Invalidation made;
  made.what = method + " " + Versions::path(resource) + " (" + mode + ")";
  made.instance = seat.instance;
  made.invoked = Clock::now();
  Response response = fetch(seat.client, method, Versions::path(resource),
                            {{"X-Write", std::to_string(number)}, {"X-Mode", mode}}, "new");
  made.answered = Clock::now();
  notes.took(made.answered - made.invoked, made.what);
  int expected = mode == "reset" ? 502 : mode == "refuse" ? 409 : 200;
  if (response.status != expected) notes.fail(made.what + ": " + std::to_string(response.status) + " " + response.body);
  auto commit = versions_.committed(number);
  if (!commit) return;
  made.floor = commit->at;
  // Which groups it would have named isn't known of an answer that never came.
  made.resources = mode == "reset" ? std::vector<int>{resource} : commit->resources;
  notes.history.invalidations.push_back(std::move(made));
}

void World::invalidate_something(std::mt19937_64& random, const Seat& seat, Notes& notes) {
  int resource = static_cast<int>(random() % Versions::resources);
  int group = Versions::group(resource);
  std::string one = std::to_string(resource);
  std::vector<int> resources{resource};
  std::string what;
  switch (random() % (options_.deletes ? 6 : 7)) {
    case 0:
      what = R"("tags": [")" + Versions::tag(resource) + "\"]";
      break;
    case 1:
      what = R"("tags": ["none", ")" + Versions::group_tag(group) + "\"]";
      resources = Versions::of_group(group);
      break;
    case 2:
      what = R"("patterns": [")" + Versions::key(resource) + "*\"]";
      break;
    case 3: {
      std::string key = Versions::key(resource);
      what = R"("patterns": [")" + key.substr(0, key.find(':')) + ":*\"]";
      resources = Versions::of_group(group);
      break;
    }
    case 4:
      what = R"("patterns": ["*:)" + one + ":*\"]";
      break;
    case 5:
      what = R"("urls": [")" + Versions::path(resource) + "\"]";
      break;
    default:
      what = R"("all": true)";
      for (resources.clear(); std::ssize(resources) < Versions::resources;)
        resources.push_back(static_cast<int>(resources.size()));
  }
  for (int changed : resources) versions_.commit(changed);
  bool soft = random() % 4 == 0;
  static constexpr const char* waits[] = {"0s", "20ms", "1s"};
  invalidate(what, waits[random() % 3], resources, soft, seat, notes);
}

std::vector<int> World::invalidate(const std::string& what, const std::string& wait, std::vector<int> resources,
                                   bool soft, const Seat& seat, Notes& notes) {
  Invalidation made;
  made.what = "{" + what + "}";
  made.instance = seat.instance;
  made.resources = std::move(resources);
  made.soft = soft;
  std::string body = "{" + what + (soft ? R"(, "soft": true)" : "") + R"(, "wait": ")" + wait + "\"}";
  made.invoked = made.floor = Clock::now();
  Response response = fetch(seat.admin, "POST", "/invalidate", {{"Content-Type", "application/json"}}, body);
  made.answered = Clock::now();
  Json receipt = Json::parse(response.body);
  if (response.status == 200) {
    made.delivered = true;
    made.acknowledged =
        options_.believe_all_heard ? all_instances() : instances_of(receipt["replicas"]["acknowledged"]);
  } else if (response.status != 503 || !receipt.has("pending")) {
    notes.fail("invalidation " + body + ": " + std::to_string(response.status) + " " + response.body);
    return {};
  }
  notes.history.invalidations.push_back(made);
  return made.acknowledged;
}

// --- plain changes in Redis ------------------------------------------------------------------------------------------

void World::delete_on(const Endpoint& redis, Notes& notes, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  RedisClient client(redis);
  while (!stopping_) {
    int resource = static_cast<int>(random() % Versions::resources);
    if (Versions::kind(resource) == Versions::Kind::varied) continue;  // what stands there is a list
    try {
      if (!delete_one(resource, client, notes)) return;
    } catch (const std::exception& e) {
      notes.fail(std::string("deleting in Redis: ") + e.what());
      return;
    }
  }
}

/// Deletes a response, then the marker's; who fetches the marker anew has noticed both, since notices come in order.
bool World::delete_one(int resource, RedisClient& redis, Notes& notes) {
  std::vector<HttpClient> clients;
  std::vector<Seat> seats;
  std::vector<std::string> before;
  std::string marker = Versions::path(Versions::marker);
  for (int i = 0; i < options_.replicas; ++i) {
    seats.push_back(seat(i));
    clients.emplace_back(seats.back().client);
    before.push_back(clients.back().get(marker)["X-Serial"]);
  }
  auto keys = redis.keys(Versions::key(resource) + "*");
  if (keys.empty()) return true;
  std::string value = lower(redis.command({"GETDEL", keys[0]}).text);
  auto serial = value.find("x-serial: ");
  if (serial == std::string::npos) return true;
  Deletion deletion{resource, std::atol(value.c_str() + serial + 10), {}};
  for (const auto& key : redis.keys(Versions::key(Versions::marker) + "*")) redis.command({"UNLINK", key});
  for (std::size_t i = 0; i < seats.size(); ++i) {
    bool noticed = eventually([&] { return stopping_ || clients[i].get(marker)["X-Serial"] != before[i]; });
    if (stopping_) return false;
    if (!noticed) {
      notes.fail("process " + std::to_string(seats[i].instance) + " never noticed that a response was deleted");
      return false;
    }
    deletion.noticed[seats[i].instance] = Clock::now();
  }
  notes.history.deletions.push_back(std::move(deletion));
  return true;
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

/// Through every replica an invalidation that all have acknowledged: whatever was on its way has arrived.
void World::wait_until_in_step(Notes& notes) {
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
        Deadline(30s));
    if (!all) notes.fail("an invalidation through replica " + std::to_string(i) + " is not acknowledged by all");
  }
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
  // The load goes on while they catch up; then nothing but what stands everywhere is left to look at.
  wait_until_in_step(last);
  stopping_ = true;
  changed_.notify_all();
  for (auto& thread : threads_) thread.join();
  threads_.clear();
  wait_until_in_step(last);
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

void judge(const std::string& name, std::uint64_t seed, const World::Outcome& outcome) {
  std::string line = name + ": " + std::to_string(outcome.answered) + " answers, " + std::to_string(outcome.failed) +
                     " failed, the longest took " + std::to_string(outcome.longest.count()) + " ms for " +
                     outcome.longest_of + ";";
  for (const auto& [kind, n] : outcome.answers) line += " " + kind + ": " + std::to_string(n) + ",";
  line += " judged:";
  for (const auto& [rule, n] : outcome.coverage) line += " " + std::to_string(n) + " that " + to_string(rule) + ";";
  std::printf("FIGURES %s\n", line.c_str());
  std::fflush(stdout);
  INFO(name << ", seed " << seed << ": run again with PILLION_HISTORY_SEED=" << seed);
  for (const auto& violation : outcome.violations) FAIL_CHECK(violation.text);
  for (const auto& failure : outcome.failures) FAIL_CHECK(failure);
  CHECK(outcome.failed == 0);
}

}  // namespace pillion::support
