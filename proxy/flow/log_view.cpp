#include "flow/log_view.hpp"

namespace pillion {

std::uint64_t UnsentInvalidations::add(std::span<const Selector> selectors) {
  const std::lock_guard lock(mutex_);
  const std::uint64_t ticket = table_.apply_next(selectors);
  outstanding_.insert(ticket);
  return ticket;
}

void UnsentInvalidations::done(std::uint64_t ticket) {
  const std::lock_guard lock(mutex_);
  outstanding_.erase(ticket);
  settled_.store(outstanding_.empty() ? table_.latest() : *outstanding_.begin() - 1, std::memory_order_release);
}

}  // namespace pillion
