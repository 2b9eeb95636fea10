#include "flow/bypass.hpp"

namespace pillion {

void Bypass::drop_ended_locked(std::int64_t now_ms) {
  std::erase_if(until_, [now_ms](const auto& entry) { return entry.second <= now_ms; });
  any_.store(!until_.empty(), std::memory_order_relaxed);
}

void Bypass::set(const std::string& route, std::int64_t until_ms, std::int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  until_[route] = until_ms;
  drop_ended_locked(now_ms);
}

bool Bypass::covers(std::string_view route, std::int64_t now_ms) {
  if (!any()) return false;
  const std::lock_guard lock(mutex_);
  drop_ended_locked(now_ms);
  return until_.find(std::string_view()) != until_.end() || until_.find(route) != until_.end();
}

std::vector<Bypass::Entry> Bypass::list(std::int64_t now_ms) {
  const std::lock_guard lock(mutex_);
  drop_ended_locked(now_ms);
  std::vector<Entry> entries;
  for (const auto& [route, until] : until_) entries.push_back({route, until - now_ms});
  return entries;
}

}  // namespace pillion
