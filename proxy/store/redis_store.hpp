// The store in Redis: the second tier. Worker-local. Every fault is a miss; Redis is never in the way. What a copy of
// the data has whose invalidation log isn't the one that is followed (RedisTopology::copy()) is not read, and nothing
// is stored there: after a failover this connection may be there before the log's, or after it.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

#include "config/model.hpp"
#include "core/shared_clock.hpp"
#include "core/stored_response.hpp"
#include "core/time.hpp"
#include "net/redis_client.hpp"

namespace pillion {

/// What stands under a key.
struct InRedis {
  enum class State : std::uint8_t { unknown, absent, present };
  State state = State::unknown;                                      ///< unknown: Redis didn't answer, or wasn't asked
  std::uint64_t id = 0;                                              ///< store id of what is present; 0: none of ours
  std::int64_t until_ms = std::numeric_limits<std::int64_t>::max();  ///< steady time when it expires, where known
  bool is(std::uint64_t store_id) const noexcept { return state == State::present && id == store_id && id != 0; }
};

/// Whether a response is small enough for Redis, all told.
bool fits_in_redis(const StoredResponse& response, std::size_t max_object) noexcept;

class RedisStore {
 public:
  /// What a value may be of, bytes, where head and body together are of `max_object` at most: a response with more
  /// around them is not stored, and a reply that is longer is none of ours.
  static constexpr std::size_t largest_value(std::size_t max_object) noexcept { return max_object + (64u << 10); }

  /// `clock` tells other processes when what is stored was received.
  RedisStore(RedisClient& client, const config::RedisSettings& settings, const SharedClock& clock);

  /// GET; a value that does not decode, or is another key's, is a miss. `local_position` becomes position() of the
  /// result. The caller still has to compare shared_position() and epoch() with the invalidations. `seen`: what stands
  /// there, a hit or not.
  boost::asio::awaitable<StoredResponsePtr> find(std::string readable_key, std::string primary_key, Now now,
                                                 std::uint64_t local_position, KeyMatch match = KeyMatch::whole,
                                                 InRedis* seen = nullptr);
  /// The beginning of a value alone.
  boost::asio::awaitable<InRedis> peek(std::string readable_key);
  /// Whether it is small enough, all told.
  bool takes(const StoredResponse& response) const noexcept;
  enum class Stored : std::uint8_t {
    yes,
    no,       ///< too large, ttl not positive, or Redis refused
    unknown,  ///< no answer in time: it may stand there yet
  };
  /// SET with PX in one command. Marks the response as one that may stand in Redis, but where the outcome is no.
  boost::asio::awaitable<Stored> store(StoredResponsePtr response, std::int64_t ttl_ms);
  /// Removes each: in a cluster they lie on different nodes. What can't be removed expires.
  boost::asio::awaitable<void> erase(std::vector<std::string> readable_keys);
  /// Whether looking there for this one has any use now.
  bool is_up(std::string_view readable_key) const { return client_.is_up(redis_key(readable_key)); }

 private:
  std::string redis_key(std::string_view readable_key) const;
  bool may_ask() { return !one_copy_ || client_.is_same_copy(); }
  RedisReply trusted(RedisReply reply);
  RedisClient& client_;
  const SharedClock& clock_;
  const bool one_copy_;  // the log lies beside what is stored
  std::string namespace_;
  std::size_t max_object_;
  config::CompressSettings compress_;
};

}  // namespace pillion
