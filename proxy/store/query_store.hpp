// Values of the query cache on their way into Redis. Their names are those that an application's own code would give
// them, so that anything may stand there: what isn't Pillion's is never overwritten. Read by RedisStore. Worker-local.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <string>

#include "store/redis_store.hpp"

namespace pillion {

class QueryStore {
 public:
  /// As RedisStore; the same settings.
  QueryStore(RedisClient& client, const config::RedisSettings& settings, const SharedClock& clock);

  enum class Stored : std::uint8_t {
    yes,
    lost,     ///< the lease is another's by now, or nobody's
    foreign,  ///< something that isn't Pillion's stands there, and goes on to
    no,       ///< too large, ttl not positive, Redis refused, or wasn't asked
    unknown,  ///< no answer in time: it may stand there yet
  };
  /// Stores it if the lease of that name (without namespace; same slot) holds that text, and ends the lease, in one
  /// step. Without a text it is stored whoever has the lease. Marks the response as one that may stand in Redis, but
  /// where it is known that it doesn't.
  boost::asio::awaitable<Stored> store(StoredResponsePtr value, std::int64_t ttl_ms, std::string lease_name,
                                       std::string lease_text);

 private:
  RedisClient& client_;
  const SharedClock& clock_;
  const bool one_copy_;
  const std::string namespace_;
  const std::size_t max_object_;
  const config::CompressSettings compress_;
};

}  // namespace pillion
