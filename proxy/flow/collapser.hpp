// Which fetch is under way for a key, so that many requests for it make one; and which keys lately proved not to be
// shareable, so that nobody queues for them. Shared between workers, locks inside; both bounded.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/hash.hpp"
#include "flow/flight.hpp"

namespace pillion {

class Collapser {
 public:
  struct Joined {
    std::shared_ptr<Flight> flight;
    bool leader = false;  ///< this caller has to fetch, and to call leave() when the outcome is known
  };
  /// The flight for that key, or a new one that begins at `fence`. `may_join` is asked with an older flight's fence:
  /// where an invalidation lies between, the new one takes its place. At most max_flights keys: above it everyone leads
  /// a flight of their own.
  Joined join(const Hash128& hash, std::string_view key, std::uint64_t fence,
              const std::function<bool(std::uint64_t)>& may_join, std::size_t window);
  /// Whether a fetch for that key is under way.
  bool is_under_way(const Hash128& hash, std::string_view key);
  /// The flight is no longer to be joined.
  void leave(const Hash128& hash, const Flight* flight);

  /// Remembers for a minute that answers of this key can't be shared.
  void mark_uncacheable(const Hash128& hash, std::int64_t mono_ms) noexcept;
  void mark_cacheable(const Hash128& hash) noexcept;
  bool is_uncacheable(const Hash128& hash, std::int64_t mono_ms) const noexcept;

  /// Remembers for a second that the upstream failed to answer for this key: no use in refreshing it in the background.
  void mark_failing(const Hash128& hash, std::int64_t mono_ms) noexcept;
  bool is_failing(const Hash128& hash, std::int64_t mono_ms) const noexcept;

  /// A fetch for this key has stored its response: in all tiers, before leave() is called.
  void mark_stored(const Hash128& hash, std::uint64_t store_id, std::int64_t mono_ms) noexcept;
  /// Whether one has stored another response than this in that millisecond or later: then this one, looked up at that
  /// time, is what stood there before.
  bool has_stored_another(const Hash128& hash, std::uint64_t store_id, std::int64_t mono_ms) const noexcept;

 private:
  static constexpr std::size_t shard_count = 16;
  static constexpr std::size_t max_flights = 4096;  // a shard
  static constexpr std::size_t memory = 1u << 14;   // remembered keys, by hash; a newer one takes an older one's place
  struct Entry {
    std::string key;
    std::shared_ptr<Flight> flight;
  };
  struct Shard {
    std::mutex mutex;
    std::unordered_map<Hash128, Entry> flights;
  };
  std::array<Shard, shard_count> shards_;
  // 32 bits of the hash above, seconds of the steady clock until when below.
  using Marks = std::array<std::atomic<std::uint64_t>, memory>;
  Marks uncacheable_{};
  Marks failing_{};  // the same in units of 64 ms
  Marks stored_{};   // the last 32 bits of the millisecond when
  Marks store_ids_{};
};

}  // namespace pillion
