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

bool StoredValues::has(const std::string& key, const std::string& value) const {
  auto found = values_.find(key);
  return found != values_.end() && found->second == value;
}

namespace {

/// What names a URL's variants, by the flag in its bytes (core/stored_response_codec.cpp). It is written before them.
bool is_vary_marker(RedisClient& client, const std::string& key) {
  const RedisReply flags = client.command({"GETRANGE", key, "30", "30"});
  return !flags.text.empty() && (flags.text[0] & 1) != 0;
}

}  // namespace

bool StoredValues::wait_for_another(const Endpoint& redis, bool varies, Deadline deadline) const {
  return eventually(
      [&] {
        StoredValues now = in(redis);
        RedisClient client(redis);
        return std::any_of(now.values_.begin(), now.values_.end(), [&](const auto& pair) {
          return !has(pair.first, pair.second) && (!varies || !is_vary_marker(client, pair.first));
        });
      },
      deadline);
}

}  // namespace pillion::support
