// Positions for all that happens, and what they mean to one response. See local_order.hpp.
#include "core/local_order.hpp"

#include <algorithm>

#include "core/hash.hpp"
#include "core/soft_marks.hpp"

namespace pillion {
namespace {

std::size_t slot_of(std::string_view readable_key) noexcept {
  return static_cast<std::size_t>(hash64(readable_key)) % LocalOrder::suspicion_slots;
}

}  // namespace

LocalOrder::LocalOrder() = default;
LocalOrder::~LocalOrder() { delete[] suspicions_.load(std::memory_order_relaxed); }

std::uint64_t LocalOrder::invalidate(std::span<const Selector> selectors, Strength strength, std::int64_t mono_ms) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t position = next();
  if (strength == Strength::hard) {
    table_.apply(selectors, position);
    last_hard_.store(position, std::memory_order_release);
  } else {
    table_.apply_soft(selectors, position, mono_ms);
  }
  latest_.store(position, std::memory_order_release);
  return position;
}

std::uint64_t LocalOrder::suspect(std::string_view readable_key, std::int64_t mono_ms) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t position = next();
  Suspicion* all = suspicions_.load(std::memory_order_relaxed);
  if (!all) {
    all = new Suspicion[suspicion_slots];
    suspicions_.store(all, std::memory_order_release);
  }
  Suspicion& slot = all[slot_of(readable_key)];
  slot.before.store(slot.last.load(std::memory_order_relaxed), std::memory_order_release);
  slot.last_ms.store(mono_ms, std::memory_order_release);
  slot.last.store(position, std::memory_order_release);
  latest_.store(position, std::memory_order_release);
  return position;
}

std::uint64_t LocalOrder::suspect_all() {
  const std::lock_guard lock(mutex_);
  const std::uint64_t position = next();
  all_suspect_.store(position, std::memory_order_release);
  latest_.store(position, std::memory_order_release);
  return position;
}

Standing standing_by(const InvalidationTable& table, std::uint64_t since, const StoredResponse& response) {
  Standing standing;
  const auto selectors = response.selectors();
  const std::string key = response.readable_key();
  standing.invalidated = table.invalidated_since(since, selectors, key);
  if (standing.invalidated) return standing;
  standing.stale_since_ms = table.soft_since(since, selectors, key);
  // Where it is forgotten which was the first: no earlier than when the response came.
  if (standing.stale_since_ms == SoftStreak::long_ago) standing.stale_since_ms = response.meta().received_mono_ms;
  return standing;
}

Standing LocalOrder::standing(const StoredResponse& response) const {
  const std::uint64_t position = latest();
  const std::uint64_t since = std::max(response.position(), response.checked_position());
  if (since >= position) return {.position = position};
  Standing standing = standing_by(table_, since, response);
  standing.position = position;
  standing.suspect = response.stands_in_redis() && noticed_since(since, response.readable_key()) > 0;
  if (standing.is_good()) response.mark_checked(standing.position);
  return standing;
}

bool LocalOrder::invalidated_since(std::uint64_t since, std::span<const std::uint32_t> selectors,
                                   std::string_view readable_key) const {
  return table_.invalidated_since(since, selectors, readable_key) ||
         table_.soft_since(since, selectors, readable_key).has_value();
}

unsigned LocalOrder::noticed_since(std::uint64_t since, std::string_view readable_key) const {
  if (all_suspect_.load(std::memory_order_acquire) > since) return 2;
  const Suspicion* all = suspicions_.load(std::memory_order_acquire);
  if (!all) return 0;
  const Suspicion& slot = all[slot_of(readable_key)];
  if (slot.last.load(std::memory_order_acquire) <= since) return 0;
  return slot.before.load(std::memory_order_acquire) > since ? 2 : 1;
}

std::int64_t LocalOrder::last_notice_ms(std::string_view readable_key) const {
  const Suspicion* all = suspicions_.load(std::memory_order_acquire);
  return all ? all[slot_of(readable_key)].last_ms.load(std::memory_order_acquire) : 0;
}

std::uint64_t LocalOrder::first_notice_after(std::uint64_t since, std::string_view readable_key) const {
  const Suspicion* all = suspicions_.load(std::memory_order_acquire);
  if (!all || all_suspect_.load(std::memory_order_acquire) > since) return since + 1;
  const Suspicion& slot = all[slot_of(readable_key)];
  const std::uint64_t last = slot.last.load(std::memory_order_acquire);
  return last > since && slot.before.load(std::memory_order_acquire) <= since ? last : since + 1;
}

}  // namespace pillion
