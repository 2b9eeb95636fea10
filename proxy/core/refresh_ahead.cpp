// Refreshing ahead. See refresh_ahead.hpp.
#include "core/refresh_ahead.hpp"

namespace pillion {

bool is_due_ahead(std::int64_t ttl_ms, std::int64_t lifetime_ms, double ahead, std::uint64_t hits,
                  std::uint64_t draw) noexcept {
  if (ttl_ms <= 0 || hits < hot_hits) return false;
  const double window_ms = static_cast<double>(lifetime_ms) * ahead;
  if (static_cast<double>(ttl_ms) > window_ms) return false;
  return static_cast<double>(ttl_ms) <= window_ms * (static_cast<double>(draw >> 11) * 0x1p-53);
}

}  // namespace pillion
