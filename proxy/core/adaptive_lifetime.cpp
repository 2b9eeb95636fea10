// Learned lifetimes. See adaptive_lifetime.hpp.
#include "core/adaptive_lifetime.hpp"

#include <algorithm>
#include <array>
#include <bit>

namespace pillion {
namespace {

constexpr unsigned steps = 32;  // of a doubling
constexpr std::uint16_t max_packed = 1023;

/// 2^(i / 32), times 2^20.
constexpr std::array<std::uint32_t, steps> mantissas{
    1048576, 1071537, 1095000, 1118978, 1143480, 1168519, 1194106, 1220254, 1246974, 1274279, 1302182,
    1330696, 1359835, 1389611, 1420040, 1451135, 1482910, 1515382, 1548564, 1582474, 1617125, 1652536,
    1688722, 1725700, 1763488, 1802103, 1841564, 1881889, 1923097, 1965207, 2008240, 2052214};

std::uint64_t bounded_time(std::int64_t ms) noexcept {
  return std::min(static_cast<std::uint64_t>(std::max<std::int64_t>(ms, 0)), ChangeHistory::max_watched_ms);
}

std::uint64_t three_quarters(std::uint64_t value) noexcept { return value - value / 4; }

}  // namespace

bool ChangeHistory::is_sane() const noexcept {
  if (changes == 0) return watched_ms == 0;
  return watched_ms <= max_watched_ms && changes <= max_changes;
}

std::uint64_t ChangeHistory::between_changes_ms() const noexcept {
  return changes == 0 ? 0 : watched_ms * one_change / changes;
}

Learned learn(const ChangeHistory& before, const Refreshed& what, const config::Adaptive& bounds) noexcept {
  const std::uint64_t interval = bounded_time(what.interval_ms);
  const std::uint64_t lifetime = bounded_time(what.lifetime_ms);
  const std::uint64_t divisor = 2 + static_cast<std::uint64_t>(std::bit_width(what.requests));
  Learned out{before, 0};
  ChangeHistory& history = out.history;
  // Whoever chose the lifetime to begin with is taken to have known: that counts as much as one change seen.
  if (!history.is_known()) history = {bounded_time(static_cast<std::int64_t>(lifetime * divisor)), history.one_change};
  if (what.same) {
    history.watched_ms += interval;
  } else {
    // When in that time it was isn't known: in the middle of it, on average.
    history.watched_ms = three_quarters(history.watched_ms) + interval / 2;
    history.changes = static_cast<std::uint32_t>(three_quarters(history.changes)) + history.one_change;
  }
  history.watched_ms = std::clamp<std::uint64_t>(history.watched_ms, 1, history.max_watched_ms);
  history.changes = std::min(history.changes, history.max_changes);
  const std::uint64_t best = history.between_changes_ms() / divisor;
  const std::uint64_t next =
      what.same ? std::clamp(best, lifetime, lifetime * 2) : std::clamp(best, lifetime / 4, lifetime - lifetime / 8);
  out.lifetime_ms = std::clamp<std::int64_t>(static_cast<std::int64_t>(next), bounds.min.count(), bounds.max.count());
  return out;
}

std::int64_t unpack_lifetime(std::uint16_t packed) noexcept {
  const unsigned from = std::clamp<unsigned>(packed & max_packed, 1, max_packed) - 1;
  return static_cast<std::int64_t>((std::uint64_t{1000} * mantissas[from % steps] << (from / steps)) >> 20);
}

std::uint16_t pack_lifetime(std::int64_t ms) noexcept {
  std::uint16_t low = 1, high = max_packed;
  while (low < high) {
    const auto middle = static_cast<std::uint16_t>((low + high) / 2);
    if (unpack_lifetime(middle) >= ms) {
      high = middle;
    } else {
      low = static_cast<std::uint16_t>(middle + 1);
    }
  }
  return low;
}

}  // namespace pillion
