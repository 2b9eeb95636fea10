#include "support/stores.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include "support/redis_server.hpp"

namespace pillion::support {

Stores stores_under_test() {
  const char* named = std::getenv("PILLION_TEST_STORES");
  std::string_view word = named == nullptr ? "memory" : named;
  for (Stores stores : {Stores::memory, Stores::redis, Stores::both}) {
    if (word == to_string(stores)) return stores;
  }
  throw std::runtime_error("PILLION_TEST_STORES is memory, redis or both, not '" + std::string(word) + "'");
}

std::string to_string(Stores stores) {
  switch (stores) {
    case Stores::memory:
      return "memory";
    case Stores::redis:
      return "redis";
    case Stores::both:
      break;
  }
  return "both";
}

bool skipped_in(std::initializer_list<Stores> modes, std::string_view why) {
  Stores mode = stores_under_test();
  if (std::find(modes.begin(), modes.end(), mode) == modes.end()) return false;
  std::printf("SKIPPED with %s: %.*s\n", to_string(mode).c_str(), static_cast<int>(why.size()), why.data());
  std::fflush(stdout);
  return true;
}

bool long_run() { return std::getenv("PILLION_LONG") != nullptr; }

bool skipped_unless_long(std::string_view why) {
  if (long_run()) return false;
  std::printf("SKIPPED with haste: %.*s\n", static_cast<int>(why.size()), why.data());
  std::fflush(stdout);
  return true;
}

std::string first_tier() { return stores_under_test() == Stores::redis ? "redis" : "memory"; }

StoredValues StoredValues::in(const Endpoint& redis) {
  RedisClient client(redis);
  StoredValues out;
  for (const std::string& key : client.keys()) {
    if (key.find("pillion:") != std::string::npos) continue;
    RedisReply value = client.command({"DUMP", key});
    if (!value.is_null()) out.values_[key] = value.text;
  }
  return out;
}

std::optional<StoredValues> StoredValues::where_reachable(const Endpoint& redis) {
  try {
    return in(redis);
  } catch (const std::runtime_error&) {  // closed, refused or silent
    return std::nullopt;
  }
}

bool StoredValues::has_all_of(const StoredValues& other) const {
  return std::all_of(other.values_.begin(), other.values_.end(), [&](const auto& pair) {
    auto found = values_.find(pair.first);
    return found != values_.end() && found->second == pair.second;
  });
}

bool StoredValues::wait_for_another(const Endpoint& redis, Deadline deadline) const {
  // A URL with variants is more than one value: it is whole once a second look finds nothing more than the first.
  StoredValues seen = *this;
  return eventually(
      [&] {
        StoredValues now = in(redis);
        bool whole = !has_all_of(now) && seen.has_all_of(now);
        seen = std::move(now);
        return whole;
      },
      deadline);
}

}  // namespace pillion::support
