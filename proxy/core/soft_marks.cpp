// Streaks of soft invalidations by selector: the recent ones, a fixed array for those before them, two short lists of
// patterns, a floor.
#include "core/soft_marks.hpp"

namespace pillion {

void SoftStreak::note(std::uint64_t position, std::int64_t mono_ms) noexcept {
  if (position <= last) return;
  if (begin == 0 || mono_ms - begin_ms > longest_ms) {
    before = last;
    begin = position;
    begin_ms = mono_ms;
  }
  last = position;
}

void SoftStreak::absorb(const SoftStreak& other) noexcept {
  if (other.last == 0) return;
  if (last == 0) {
    *this = other;
    return;
  }
  last = std::max(last, other.last);
  before = std::max(before, other.before);
  if (other.begin < begin) {
    begin = other.begin;
    begin_ms = other.begin_ms;
  }
}

std::optional<std::int64_t> SoftStreak::first_after(std::uint64_t position) const noexcept {
  if (position >= last) return std::nullopt;
  // Fetched before the streak and after all that was before it: its first one. Else there may have been earlier ones.
  return position >= before && position < begin ? begin_ms : long_ago;
}

SoftMarks::SoftMarks()
    : streaks_(make_zeroed<SoftStreak>(recent_.places())), slots_(std::make_unique<Slot[]>(slot_count)) {}

void SoftMarks::apply(std::span<const Selector> selectors, std::uint64_t position, std::int64_t mono_ms) {
  for (const Selector& selector : selectors) {
    switch (selector.kind) {
      case Selector::Kind::tag:
      case Selector::Kind::url:
      case Selector::Kind::path:
      case Selector::Kind::group:
      case Selector::Kind::hashed:
        for (const std::uint32_t hash : selector_hashes(selector)) note(hash, position, mono_ms);
        break;
      case Selector::Kind::pattern:
        apply_pattern(selector.text, position, mono_ms);
        break;
      case Selector::Kind::all:
        note(floor_, position, mono_ms);
        break;
    }
  }
}

void SoftMarks::note(Slot& slot, std::uint64_t position, std::int64_t mono_ms) {
  slot.streak.note(position, mono_ms);
  slot.last.store(slot.streak.last, std::memory_order_release);
}

void SoftMarks::note(std::uint32_t hash, std::uint64_t position, std::int64_t mono_ms) {
  if (position == 0) return;
  const std::size_t place = recent_.note(hash, position, [this](const RecentSelectors::Entry& oldest) {
    Slot& slot = slots_[oldest.hash % slot_count];
    slot.streak.absorb(streaks_[oldest.place]);
    slot.last.store(slot.streak.last, std::memory_order_release);
    if (last_of_slots_.load(std::memory_order_relaxed) < slot.streak.last)
      last_of_slots_.store(slot.streak.last, std::memory_order_release);
    streaks_[oldest.place] = {};
  });
  streaks_[place].note(position, mono_ms);
}

void SoftMarks::apply_pattern(std::string_view pattern, std::uint64_t position, std::int64_t mono_ms) {
  const KeptPattern kept = kept_pattern(pattern);
  if (kept.form == KeptPattern::Form::everything) return note(floor_, position, mono_ms);
  if (const auto evicted = patterns_.note(kept, [&](SoftStreak& mark) { mark.note(position, mono_ms); })) {
    floor_.streak.absorb(*evicted);
    floor_.last.store(floor_.streak.last, std::memory_order_release);
  }
  last_pattern_.store(position, std::memory_order_release);
}

bool SoftMarks::may_have(std::uint64_t since, std::span<const std::uint32_t> selectors) const noexcept {
  if (floor_.last.load(std::memory_order_acquire) > since) return true;
  for (const std::uint32_t selector : selectors) {
    if (recent_.has_after(selector, since)) return true;
  }
  // Only then: what isn't there any more stands here.
  if (last_of_slots_.load(std::memory_order_acquire) > since) {
    for (const std::uint32_t selector : selectors) {
      if (slots_[selector % slot_count].last.load(std::memory_order_acquire) > since) return true;
    }
  }
  return last_pattern_.load(std::memory_order_acquire) > since;
}

std::optional<std::int64_t> SoftMarks::first_after(std::uint64_t since, std::span<const std::uint32_t> selectors,
                                                   std::string_view readable_key) const {
  std::optional<std::int64_t> first;
  const auto take = [&](const SoftStreak& streak) {
    const auto at = streak.first_after(since);
    if (at && (!first || *at < *first)) first = at;
  };
  take(floor_.streak);
  for (const std::uint32_t selector : selectors) {
    if (const auto place = recent_.place_of(selector)) take(streaks_[*place]);
    take(slots_[selector % slot_count].streak);
  }
  if (last_pattern_.load(std::memory_order_relaxed) > since) patterns_.for_each_match(readable_key, take);
  return first;
}

}  // namespace pillion
