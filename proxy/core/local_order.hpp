// The one order of everything that may make a copy in memory untrue: hard and soft invalidations, and suspicions
// (notices that a key in Redis has changed). Each takes the next local position, so a copy that has been found good at
// latest() costs one comparison. Pure (std only), shared, locks inside; everything is of fixed size.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>

#include "core/invalidation.hpp"
#include "core/stored_response.hpp"

namespace pillion {

/// What a stored response in memory is good for, invalidations considered and nothing else.
struct Standing {
  bool invalidated = false;  ///< may validate with a strong entity tag, no more
  bool suspect = false;      ///< its key in Redis has changed: to be compared before it is used
  /// Softly invalidated: stale since that steady time at the latest.
  std::optional<std::int64_t> stale_since_ms;
  /// Up to which position this holds: what to mark a suspect one with once it was compared and nothing else is wrong.
  std::uint64_t position = 0;
  bool is_good() const noexcept { return !is_touched() && !suspect; }
  bool is_touched() const noexcept { return invalidated || stale_since_ms.has_value(); }
};

/// What the invalidations of a table after that position mean to a response; never suspect.
Standing standing_by(const InvalidationTable& table, std::uint64_t since, const StoredResponse& response);

enum class Strength : std::uint8_t { hard, soft };

class LocalOrder {
 public:
  static constexpr std::size_t suspicion_slots = 1u << 16;

  LocalOrder();
  ~LocalOrder();
  LocalOrder(const LocalOrder&) = delete;

  /// The last position given: the fence of a fetch that begins now.
  std::uint64_t latest() const noexcept { return latest_.load(std::memory_order_acquire); }
  /// The position of the last hard invalidation; 0: none yet.
  std::uint64_t last_hard() const noexcept { return last_hard_.load(std::memory_order_acquire); }

  // Each returns its position. `mono_ms`: the steady time when it happened, for soft ones.
  std::uint64_t invalidate(std::span<const Selector> selectors, Strength strength, std::int64_t mono_ms);
  /// The key (without namespace) has changed in Redis, by whomever; `mono_ms`: when that was heard.
  std::uint64_t suspect(std::string_view readable_key, std::int64_t mono_ms);
  /// Any key may have.
  std::uint64_t suspect_all();

  /// Marks the response where it is good. Everything up to a latest() that the caller read before is considered.
  Standing standing(const StoredResponse& response) const;
  bool is_good(const StoredResponse& response) const {
    return response.checked_position() == latest() || standing(response).is_good();
  }

  /// Hard. A soft one leaves something to serve.
  bool is_invalidated(const StoredResponse& response) const {
    return response.checked_position() != latest() && standing(response).invalidated;
  }

  /// Whether something, hard or soft, invalidated responses of these selectors and this key after that position.
  bool invalidated_since(std::uint64_t since, std::span<const std::uint32_t> selectors,
                         std::string_view readable_key) const;
  /// How often a change of that key was noticed after that position: 0, 1, or 2 for more. One may stand for several
  /// changes at about the same time; rather too many are counted than too few.
  unsigned noticed_since(std::uint64_t since, std::string_view readable_key) const;
  /// A position after `since` that the first of those notices doesn't stand before.
  std::uint64_t first_notice_after(std::uint64_t since, std::string_view readable_key) const;
  /// When a change of that key was heard of last, or of one with the same hash; 0: never.
  std::int64_t last_notice_ms(std::string_view readable_key) const;

 private:
  /// Notices by hash of the key. Each number only ever grows; `before` is written first.
  struct Suspicion {
    std::atomic<std::uint64_t> before{0}, last{0};
    std::atomic<std::int64_t> last_ms{0};
  };
  std::uint64_t next() const noexcept { return latest_.load(std::memory_order_relaxed) + 1; }

  // latest_ is written last of all (release): who has read a position there sees all that happened up to it.
  std::atomic<std::uint64_t> latest_{0};
  std::atomic<std::uint64_t> last_hard_{0};
  InvalidationTable table_;
  std::atomic<Suspicion*> suspicions_{nullptr};  // made with the first notice; owned
  std::atomic<std::uint64_t> all_suspect_{0};
  std::mutex mutex_;  // the order of writers
};

}  // namespace pillion
