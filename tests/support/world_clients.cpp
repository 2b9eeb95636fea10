// The clients of a World: readers, writers, and one that deletes in Redis.
#include <algorithm>
#include <cstdlib>

#include "support/world_parts.hpp"

namespace pillion::support {

using namespace history;

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

namespace {

/// Takes an answer out of Redis: its serial, or 0 where there is none.
long take_out(const std::string& pattern, RedisClient& redis) {
  auto keys = redis.keys(pattern);
  if (keys.empty()) return 0;
  std::string value = lower(redis.command({"GETDEL", keys[0]}).text);
  auto serial = value.find("x-serial: ");
  return serial == std::string::npos ? 0 : std::atol(value.c_str() + serial + 10);
}

}  // namespace

/// Deletes a response, then the marker's. Notices come in order: who has fetched the marker anew has noticed both. That
/// shows only where all had the marker that stood in Redis, and nobody's older one is on its way there.
bool World::delete_one(int resource, RedisClient& redis, Notes& notes) {
  std::vector<HttpClient> clients;
  std::vector<Seat> seats;
  for (int i = 0; i < options_.replicas; ++i) {
    seats.push_back(seat(i));
    clients.emplace_back(seats.back().client);
  }
  auto marker_of = [&](std::size_t i) {
    Response response = clients[i].get(Versions::path(Versions::marker));
    return std::make_pair(std::atol(response["X-Serial"].c_str()), cache_status(response).hit);
  };
  const auto before = marker_of(0);
  for (std::size_t i = 0; i < seats.size(); ++i) {
    if (marker_of(i) != std::make_pair(before.first, true)) return true;  // not yet
  }
  Deletion deletion{resource, take_out(Versions::key(resource) + "*", redis), {}};
  if (deletion.serial == 0) return true;
  if (take_out(Versions::key(Versions::marker) + "*", redis) != before.first) return true;
  const long last = std::ssize(versions_.fetches());
  for (std::size_t i = 0; i < seats.size(); ++i) {
    bool noticed = eventually([&] { return stopping_ || marker_of(i).first > last; });
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

}  // namespace pillion::support
