// The table of last positions: the recent selectors by hash, a fixed array for those before them, two short lists for
// patterns, a floor for the rest.
#include <algorithm>
#include <mutex>

#include "core/invalidation.hpp"
#include "core/pattern_marks.hpp"
#include "core/soft_marks.hpp"

namespace pillion {
namespace {

template <typename Atomic>
void raise(Atomic&& value, std::uint64_t to) {
  if (value.load(std::memory_order_relaxed) < to) value.store(to, std::memory_order_release);
}

}  // namespace

struct InvalidationTable::Patterns : PatternMarks<std::uint64_t> {};

InvalidationTable::InvalidationTable(std::size_t buckets)
    : recent_(buckets), slots_(make_zeroed<std::uint64_t>(slot_count)), patterns_(std::make_unique<Patterns>()) {}
InvalidationTable::~InvalidationTable() { delete soft_.load(std::memory_order_relaxed); }

void InvalidationTable::apply(std::span<const Selector> selectors, std::uint64_t position) {
  const std::unique_lock lock(mutex_);
  apply_locked(selectors, std::max(position, latest_.load(std::memory_order_relaxed)));
}

void InvalidationTable::apply_soft(std::span<const Selector> selectors, std::uint64_t position, std::int64_t mono_ms) {
  const std::unique_lock lock(mutex_);
  const std::uint64_t at = std::max(position, latest_.load(std::memory_order_relaxed));
  SoftMarks* soft = soft_.load(std::memory_order_relaxed);
  if (!soft) soft = new SoftMarks;
  soft->apply(selectors, at, mono_ms);
  soft_.store(soft, std::memory_order_release);
  raise(latest_, at);
}

std::uint64_t InvalidationTable::apply_next(std::span<const Selector> selectors) {
  const std::unique_lock lock(mutex_);
  const std::uint64_t position = latest_.load(std::memory_order_relaxed) + 1;
  apply_locked(selectors, position);
  return position;
}

void InvalidationTable::raise_floor(std::uint64_t position) {
  const std::unique_lock lock(mutex_);
  raise(floor_, position);
  raise(latest_, position);
}

void InvalidationTable::apply_locked(std::span<const Selector> selectors, std::uint64_t position) {
  for (const Selector& selector : selectors) {
    switch (selector.kind) {
      case Selector::Kind::tag:
      case Selector::Kind::url:
      case Selector::Kind::path:
      case Selector::Kind::group:
      case Selector::Kind::hashed:
        for (const std::uint32_t hash : selector_hashes(selector)) apply_hash(hash, position);
        break;
      case Selector::Kind::pattern:
        apply_pattern(selector.text, position);
        break;
      case Selector::Kind::all:
        raise(floor_, position);
        break;
    }
  }
  raise(latest_, position);
}

void InvalidationTable::apply_hash(std::uint32_t hash, std::uint64_t position) {
  if (position == 0) return;
  recent_.note(hash, position, [this](const RecentSelectors::Entry& oldest) {
    raise(std::atomic_ref(slots_[oldest.hash % slot_count]), oldest.position);
    raise(last_of_slots_, oldest.position);
  });
}

void InvalidationTable::apply_pattern(std::string_view pattern, std::uint64_t position) {
  const KeptPattern kept = kept_pattern(pattern);
  if (kept.form == KeptPattern::Form::everything) return raise(floor_, position);
  const auto evicted = patterns_->note(kept, [position](std::uint64_t& last) { last = position; });
  raise(floor_, evicted.value_or(0));
  raise(last_pattern_, position);
}

bool InvalidationTable::invalidated_since(std::uint64_t since, std::span<const std::uint32_t> selectors,
                                          std::string_view readable_key) const {
  if (floor_.load(std::memory_order_acquire) > since) return true;
  for (const std::uint32_t selector : selectors) {
    if (recent_.has_after(selector, since)) return true;
  }
  // Only then: what isn't there any more stands here.
  if (last_of_slots_.load(std::memory_order_acquire) > since) {
    for (const std::uint32_t selector : selectors) {
      if (std::atomic_ref(slots_[selector % slot_count]).load(std::memory_order_acquire) > since) return true;
    }
  }
  if (last_pattern_.load(std::memory_order_acquire) <= since) return false;
  const std::shared_lock lock(mutex_);
  // Once more, under the lock: since the first look a pattern may have made room, and then it stands in the floor.
  if (floor_.load(std::memory_order_relaxed) > since) return true;
  bool found = false;
  patterns_->for_each_match(readable_key, [&](std::uint64_t position) { found = found || position > since; });
  return found;
}

std::optional<std::int64_t> InvalidationTable::soft_since(std::uint64_t since, std::span<const std::uint32_t> selectors,
                                                          std::string_view readable_key) const {
  const SoftMarks* soft = soft_.load(std::memory_order_acquire);
  if (!soft || !soft->may_have(since, selectors)) return std::nullopt;
  const std::shared_lock lock(mutex_);
  return soft->first_after(since, selectors, readable_key);
}

}  // namespace pillion
