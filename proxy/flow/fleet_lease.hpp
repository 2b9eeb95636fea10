// The right to make the one fetch for a key among all replicas on one Redis (`collapse: fleet`), or to load one value
// of the query cache: a key there that expires by itself. Worker-local.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/hash.hpp"
#include "flow/invalidation_log.hpp"
#include "net/async.hpp"
#include "net/redis_client.hpp"

namespace pillion {

/// The beginning of leases' names, without namespace.
inline constexpr std::string_view lease_prefix = "pillion:lease:";

/// What a lease holds: `epoch-position-token` in hex, what its holder's fetch began at and a number that tells it from
/// all others.
std::string lease_text(const Fence& fence);
/// `shared` and `epoch` of such a text, which is not trusted.
std::optional<Fence> fence_of_lease(std::string_view text) noexcept;

class FleetLease {
 public:
  /// `name` begins with lease_prefix. `client` has to live as long as its executor runs.
  FleetLease(asio::any_io_executor executor, RedisClient& client, std::string_view name_space, std::string name);
  /// Of the key that has this hash.
  FleetLease(asio::any_io_executor executor, RedisClient& client, std::string_view name_space, const Hash128& hash);
  /// Releases.
  ~FleetLease();
  FleetLease(const FleetLease&) = delete;

  /// Its name in Redis, without namespace.
  const std::string& name() const noexcept { return name_; }

  enum class Taken : std::uint8_t { granted, held, unavailable };
  /// For so long at most, or until it is released. `fence`: of the fetch, for those who find it held.
  awaitable<Taken> take(const Fence& fence, std::chrono::milliseconds time);
  /// Where it was found held, and the holder's fence counts for nothing any more: takes it from that holder, unless
  /// another has meanwhile.
  awaitable<Taken> take_over(const Fence& fence, std::chrono::milliseconds time);
  /// How long it lasts at most; nullopt where nobody holds it, it has no end, or Redis doesn't answer.
  awaitable<std::optional<std::chrono::milliseconds>> left();
  /// It is granted, and outlasts this object: its text, by which whoever has it can be told.
  std::string keep();
  /// One that was kept, with what is left of its time, to be released.
  void resume(std::string text, std::chrono::steady_clock::time_point until);
  /// Whether anybody holds it; nullopt where Redis doesn't answer.
  awaitable<std::optional<bool>> is_held();
  /// Whether the one that was resumed still stands, as its holder's; nullopt where Redis doesn't answer.
  awaitable<std::optional<bool>> is_own();
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
  awaitable<Taken> take_by(std::vector<std::string> words, std::chrono::milliseconds time);

  const std::string name_, key_;
  std::string held_text_;
  std::optional<Fence> held_by_;
  std::string value_;  // ours
  bool granted_ = false;
  std::chrono::steady_clock::time_point ours_until_{};  // past which there is nothing of ours left
};

}  // namespace pillion
