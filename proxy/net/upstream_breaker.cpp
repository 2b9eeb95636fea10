#include "net/upstream_breaker.hpp"

namespace pillion {

void UpstreamBreaker::configure(unsigned failures, std::chrono::milliseconds open) noexcept {
  limit_ = failures;
  open_for_ = std::chrono::duration_cast<Clock::duration>(open).count();
}

bool UpstreamBreaker::lets_pass(Clock::time_point now) noexcept {
  Rep due = probe_at_.load(std::memory_order_relaxed);
  if (due == never) return true;
  const Rep at = now.time_since_epoch().count();
  // Of several at once one is the probe.
  return at >= due && probe_at_.compare_exchange_strong(due, at + open_for_);
}

bool UpstreamBreaker::failed(Clock::time_point now) noexcept {
  const unsigned limit = limit_;
  if (limit == 0 || in_a_row_.fetch_add(1) + 1 < limit) return false;
  Rep due = never;
  return probe_at_.compare_exchange_strong(due, now.time_since_epoch().count() + open_for_);
}

bool UpstreamBreaker::answered() noexcept {
  // Nearly always there is nothing to be written.
  if (in_a_row_.load(std::memory_order_relaxed) != 0) in_a_row_ = 0;
  if (probe_at_.load(std::memory_order_relaxed) == never) return false;
  return probe_at_.exchange(never) != never;
}

}  // namespace pillion
