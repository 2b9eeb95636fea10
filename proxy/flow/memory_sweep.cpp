#include "flow/memory_sweep.hpp"

#include <vector>

#include "core/cache_key.hpp"
#include "core/vary_marker.hpp"

namespace pillion {

bool MemorySweep::step(std::size_t places, MemoryStore::Swept& swept) {
  if (phase_ == Phase::resting) {
    begun_at_ = order_.last_hard();
    has_markers_ = false;
    cursor_ = {};
    phase_ = Phase::responses;
  }
  if (phase_ == Phase::responses ? walk_responses(places, swept) : walk_markers(places, swept)) return true;
  const bool go_on = phase_ == Phase::responses && has_markers_;
  phase_ = go_on ? Phase::markers : Phase::resting;
  cursor_ = {};
  return go_on;
}

bool MemorySweep::walk_responses(std::size_t places, MemoryStore::Swept& swept) {
  const auto is_useless = [this](const StoredResponsePtr& response) {
    if (response->is_vary_marker()) {
      has_markers_ = true;
      return false;
    }
    // What is good is marked as compared by the way: its next hit needn't.
    return order_.is_invalidated(*response) && !response->meta().has_strong_etag;
  };
  return memory_.sweep(cursor_, places, is_useless, swept);
}

// After the variants, so that it is known which of them are gone.
bool MemorySweep::walk_markers(std::size_t places, MemoryStore::Swept& swept) {
  std::vector<StoredResponsePtr> markers;
  const auto note = [&](const StoredResponsePtr& response) {
    if (response->is_vary_marker()) markers.push_back(response);
    return false;
  };
  const bool more = memory_.sweep(cursor_, places, note, swept);
  for (const StoredResponsePtr& marker : markers) {
    const Hash128 place = hash128(marker->primary_key());
    // Whoever stores a variant puts it there together with the marker, under this lock.
    std::lock_guard lock(variant_locks_[place.high % variant_locks_.size()]);
    if (has_variants(*marker, place)) continue;
    const std::size_t freed = memory_.erase(place, marker.get());
    swept.entries += freed > 0 ? 1 : 0;
    swept.bytes += freed;
  }
  return more;
}

bool MemorySweep::has_variants(const StoredResponse& marker, const Hash128& place) const {
  const VaryMarker known = read_marker(&marker);
  for (const VaryMarker::Variant& variant : known.variants) {
    if (memory_.contains(variant_place(place, variant.hash))) return true;
  }
  return false;
}

}  // namespace pillion
