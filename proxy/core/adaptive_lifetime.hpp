// `adaptive:` of a route: how long a response is kept, learned from what its refreshes brought. Pure integer
// arithmetic: the same observations give the same lifetime in every replica and under any clock.
//
// A refresh shows whether the contents changed in the time since the stored ones were made. From these times and the
// changes seen in them comes a mean time between two changes. The lifetime is such a share of it that a stale answer is
// the rarer, the more requests it would reach: one (2 + b)th, where b is the number of bits of how many requests the
// stored response answered: 1/2 where nobody asked for it again, 1/12 after a thousand.
#pragma once

#include <cstdint>

#include "config/model.hpp"

namespace pillion {

/// How often a key's contents change, as far as its refreshes told. Travels with the stored response.
struct ChangeHistory {
  /// The longest time that is kept, milliseconds: over two thousand years.
  static constexpr std::uint64_t max_watched_ms = std::uint64_t{1} << 46;
  /// One change. Each further one weighs what came before it down to three quarters, so they add up to less than 4.
  static constexpr std::uint32_t one_change = 1u << 16;
  static constexpr std::uint32_t max_changes = 4 * one_change;

  std::uint64_t watched_ms = 0;  ///< for how long, weighed likewise
  std::uint32_t changes = 0;     ///< in units of 1 / one_change; 0: nothing is known yet
  bool is_known() const noexcept { return changes != 0; }
  /// Whether these are numbers that learn() could have come to.
  bool is_sane() const noexcept;
  /// Mean time between two changes, milliseconds; 0 where nothing is known.
  std::uint64_t between_changes_ms() const noexcept;
  friend bool operator==(const ChangeHistory&, const ChangeHistory&) = default;
};

/// What one refresh showed.
struct Refreshed {
  bool same = false;             ///< it came back identical: a 304, or an equal status and body
  std::int64_t interval_ms = 0;  ///< from the making of what was stored to the making of what came
  std::uint64_t requests = 0;    ///< that what was stored has answered
  std::int64_t lifetime_ms = 0;  ///< that it had
};

struct Learned {
  ChangeHistory history;
  std::int64_t lifetime_ms = 0;  ///< from the route's min to its max
};

/// The next lifetime of a key. It begins at the one it had; `same` never shortens it and at most doubles it, a change
/// shortens it by an eighth at least and to a quarter at most, within the route's bounds.
Learned learn(const ChangeHistory& before, const Refreshed& what, const config::Adaptive& bounds) noexcept;

/// A lifetime in the ten bits that a stored response has for it: 1 to 1023 for 1 s to 136 years, in steps of 2.2 %,
/// rounded up.
std::uint16_t pack_lifetime(std::int64_t ms) noexcept;
/// The lifetime, milliseconds. `packed` from 1 on; bits above the tenth count for nothing.
std::int64_t unpack_lifetime(std::uint16_t packed) noexcept;

}  // namespace pillion
