// The breaker's four rules.
#include "net/circuit_breaker.hpp"

namespace pillion {

bool CircuitBreaker::failed(Time now) noexcept {
  if (open_) return false;
  last_[at_] = now;
  at_ = (at_ + 1) % failures_to_open;
  if (count_ < failures_to_open) ++count_;
  // last_[at_] is now the oldest of the five.
  if (count_ < failures_to_open || now - last_[at_] > window) return false;
  open_ = true;
  next_probe_ = now + probe_interval;
  return true;
}

bool CircuitBreaker::doubt(Time now) noexcept {
  if (open_) return false;
  open_ = true;
  next_probe_ = now;
  return true;
}

bool CircuitBreaker::succeeded() noexcept {
  const bool was_open = open_;
  if (was_open) count_ = 0;
  open_ = false;
  return was_open;
}

bool CircuitBreaker::take_probe(Time now) noexcept {
  if (!open_ || now < next_probe_) return false;
  next_probe_ = now + probe_interval;
  return true;
}

}  // namespace pillion
