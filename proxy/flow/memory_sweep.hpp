// Gives back the memory of stored responses that an invalidation has made useless, piece by piece. Used on one thread;
// what it walks is shared.
#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>

#include "core/local_order.hpp"
#include "core/stored_response.hpp"
#include "store/memory_store.hpp"

namespace pillion {

/// Useless is what was invalidated and can't validate, for want of a strong entity tag; and the marker of a URL none of
/// whose variants is in memory any more. Everything else that stands there unused is what eviction is for.
class MemorySweep {
 public:
  /// `variant_locks` as in Shared: a URL's marker is looked at under its own.
  MemorySweep(MemoryStore& memory, const LocalOrder& order, std::span<std::mutex> variant_locks)
      : memory_(memory), order_(order), variant_locks_(variant_locks) {}

  /// Something was invalidated since the last round began.
  bool is_due() const noexcept { return order_.last_hard() > begun_at_; }
  /// Looks at the next places, `places` of them or a few more; begins a round where none is under way. False at its
  /// end.
  bool step(std::size_t places, MemoryStore::Swept& swept);

 private:
  bool walk_responses(std::size_t places, MemoryStore::Swept& swept);
  bool walk_markers(std::size_t places, MemoryStore::Swept& swept);
  bool has_variants(const StoredResponse& marker, const Hash128& place) const;

  MemoryStore& memory_;
  const LocalOrder& order_;
  std::span<std::mutex> variant_locks_;
  MemoryStore::Cursor cursor_;
  std::uint64_t begun_at_ = 0;  // the last hard invalidation when the last round began
  enum class Phase : std::uint8_t { resting, responses, markers } phase_ = Phase::resting;
  bool has_markers_ = false;  // the round has met one
};

}  // namespace pillion
