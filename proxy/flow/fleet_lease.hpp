// The right to make the one fetch for a key among all replicas on one Redis (`collapse: fleet`): a key there that
// expires by itself. Worker-local.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/hash.hpp"
#include "flow/invalidation_log.hpp"
#include "net/async.hpp"
#include "net/redis_client.hpp"

namespace pillion {

/// The beginning of leases' names, without namespace.
inline constexpr std::string_view lease_prefix = "pillion:lease:";

class FleetLease {
 public:
  /// Of the key that has this hash. `client` has to live as long as its executor runs.
  FleetLease(asio::any_io_executor executor, RedisClient& client, std::string_view name_space, const Hash128& hash);
  /// Releases.
  ~FleetLease();
  FleetLease(const FleetLease&) = delete;

  /// Its name in Redis, without namespace.
  std::string name() const { return std::string(lease_prefix) + to_hex(hash_); }

  enum class Taken : std::uint8_t { granted, held, unavailable };
  /// For so long at most, or until it is released. `fence`: of the fetch, for those who find it held.
  awaitable<Taken> take(const Fence& fence, std::chrono::milliseconds time);
  /// Whether anybody holds it; nullopt where Redis doesn't answer.
  awaitable<std::optional<bool>> is_held();
  /// Ends one that nobody has taken as take() does: it would last for ever, or for over an hour (where `usual` isn't
  /// longer).
  awaitable<void> end_if_endless(std::chrono::milliseconds usual);
  /// Where it was found held: the fence of the fetch that is under way (`shared` and `epoch`), if it says so.
  const std::optional<Fence>& held_by() const noexcept { return held_by_; }
  /// Lets the others go, in the background. Another's lease stays, whenever this arrives. Does nothing the second time.
  /// Where the user of Redis may not EVAL it runs out by itself.
  void release();

 private:
  asio::any_io_executor executor_;
  RedisClient& client_;
  const std::string key_;
  const Hash128 hash_;
  std::optional<Fence> held_by_;
  std::string value_;  // ours
  bool granted_ = false;
  std::chrono::steady_clock::time_point ours_until_{};  // past which there is nothing of ours left
};

}  // namespace pillion
