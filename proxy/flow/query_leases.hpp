// Who of this process's callers is to load which value of the query cache, and who is just asking Redis about one.
// Pure (the caller says what time it is), shared between workers, locks inside, bounded.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/hash.hpp"
#include "core/stored_response.hpp"
#include "flow/invalidation_log.hpp"
#include "store/redis_store.hpp"

namespace pillion {

class QueryLeases {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// What was promised to one caller.
  struct Lease {
    std::string token;
    Fence fence;            ///< of when it was given: what is loaded is no older
    InRedis seen;           ///< what stood in Redis then
    bool in_redis = false;  ///< it stands there too, under this token
    Time until{};
  };
  /// One looking, for those who wait for its outcome.
  class Seek;

  enum class Turn : std::uint8_t {
    seek,  ///< the caller looks in Redis, or takes the lease, and says what came of it: grant() or settle()
    wait,  ///< another does, or has the lease
    full,  ///< too many keys are being loaded
  };
  struct Claim {
    Turn turn = Turn::full;
    std::shared_ptr<Seek> seek;  ///< one's own, or another's that goes on
    Time until = Time::max();    ///< with wait: when whoever holds the lease loses it
    std::uint64_t since = 0;     ///< likewise: the local position that it was given at
  };
  /// By a caller who has found nothing in memory. `is_void` is asked of a lease that somebody holds: what it was given
  /// for has been invalidated since, so that nobody waits for it.
  Claim claim(const Hash128& key, Time now, const std::function<bool(const Fence&)>& is_void);

  // The two ends of a seek; each does nothing the second time.
  /// The caller has the lease.
  void grant(const Hash128& key, const std::shared_ptr<Seek>& seek, Lease lease);
  /// Nobody here has it: `found` is the value, for those who wait, or nullptr.
  void settle(const Hash128& key, const std::shared_ptr<Seek>& seek, StoredResponsePtr found);
  /// What a seek has found, once it has.
  StoredResponsePtr found(const Seek& seek) const;

  /// The lease of that token, if it was given here and its time isn't over: whoever has it stores now, until end().
  std::optional<Lease> begin_store(const Hash128& key, std::string_view token, Time now);
  /// A value is written without a lease: nobody's lease for it is any use, and who comes waits for the writer, until
  /// end() with the same `token`, which nobody else has.
  void begin_write(const Hash128& key, std::string token, const Fence& fence);
  /// The lease of that token is over, whatever came of it.
  void end(const Hash128& key, std::string_view token);

  std::size_t size() const;

  static constexpr std::size_t max_keys = 1u << 16;

 private:
  struct Entry {
    std::shared_ptr<Seek> seek;  // set: somebody is looking; else the lease is held
    Lease lease;
    bool storing = false;
  };
  bool make_room(Time now);

  mutable std::mutex mutex_;
  std::unordered_map<Hash128, Entry> entries_;
  Time next_sweep_{};
};

}  // namespace pillion
