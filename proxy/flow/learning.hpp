// What a stored response takes over from the one before it: its key's learned lifetime (`adaptive:`), and its own lot
// for the jitter. The rule itself: core/adaptive_lifetime.hpp. Pure.
#pragma once

#include <cstdint>
#include <optional>

#include "config/model.hpp"
#include "core/stored_response.hpp"

namespace pillion {

/// What is known of the contents that stood where `parts` will: whether they were the same.
struct Beside {
  const StoredResponse* old = nullptr;  ///< nullptr: nothing stood there, or something else
  /// Nothing: they say nothing of lifetimes, since what stood there had been invalidated.
  std::optional<bool> same;
  std::uint64_t requests = 0;  ///< that the old one has answered
};

/// Sets `draw`, `learned` and `history` of what is about to be stored. Its meta and its key have to be there.
void take_over(const Beside& beside, const config::Route& route, StoredParts& parts);

/// What came of it, for the counters.
struct Lesson {
  std::int64_t before_ms = 0, after_ms = 0;  ///< lifetimes, without jitter
};
/// nullopt where nothing was learned.
std::optional<Lesson> lesson_of(const StoredResponse& old, const StoredResponse& fresh, const config::Route& route);

}  // namespace pillion
