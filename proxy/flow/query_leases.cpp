#include "flow/query_leases.hpp"

namespace pillion {

class QueryLeases::Seek {
 public:
  StoredResponsePtr found;  // under the table's lock
};

QueryLeases::Claim QueryLeases::claim(const Hash128& key, Time now, const std::function<bool(const Fence&)>& is_void) {
  const std::lock_guard lock(mutex_);
  const auto known = entries_.find(key);
  if (known == entries_.end() && !make_room(now)) return {};
  Entry& entry = known == entries_.end() ? entries_[key] : known->second;
  if (entry.seek) return {Turn::wait, entry.seek, Time::max()};
  const bool held = !entry.lease.token.empty();
  if (held && entry.storing) return {Turn::wait, nullptr, Time::max(), entry.lease.fence.local};
  if (held && now < entry.lease.until && !is_void(entry.lease.fence))
    return {Turn::wait, nullptr, entry.lease.until, entry.lease.fence.local};
  entry = {};
  entry.seek = std::make_shared<Seek>();
  return {Turn::seek, entry.seek, Time::max()};
}

// Leases that nobody came back for lie about until then.
bool QueryLeases::make_room(Time now) {
  constexpr std::chrono::seconds between_sweeps{1};
  if (entries_.size() < max_keys) return true;
  if (now < next_sweep_) return false;
  next_sweep_ = now + between_sweeps;
  std::erase_if(entries_, [now](const auto& item) {
    const Entry& entry = item.second;
    return !entry.seek && !entry.storing && now >= entry.lease.until;
  });
  return entries_.size() < max_keys;
}

void QueryLeases::grant(const Hash128& key, const std::shared_ptr<Seek>& seek, Lease lease) {
  const std::lock_guard lock(mutex_);
  const auto known = entries_.find(key);
  if (known == entries_.end() || !seek || known->second.seek != seek) return;
  known->second = {nullptr, std::move(lease), false};
}

void QueryLeases::settle(const Hash128& key, const std::shared_ptr<Seek>& seek, StoredResponsePtr found) {
  const std::lock_guard lock(mutex_);
  const auto known = entries_.find(key);
  if (known == entries_.end() || !seek || known->second.seek != seek) return;
  seek->found = std::move(found);
  entries_.erase(known);
}

StoredResponsePtr QueryLeases::found(const Seek& seek) const {
  const std::lock_guard lock(mutex_);
  return seek.found;
}

std::optional<QueryLeases::Lease> QueryLeases::begin_store(const Hash128& key, std::string_view token, Time now) {
  const std::lock_guard lock(mutex_);
  const auto known = entries_.find(key);
  if (known == entries_.end() || known->second.seek || known->second.storing) return std::nullopt;
  Entry& entry = known->second;
  if (entry.lease.token != token || now >= entry.lease.until) return std::nullopt;
  entry.storing = true;
  return entry.lease;
}

void QueryLeases::begin_write(const Hash128& key, std::string token, const Fence& fence) {
  const std::lock_guard lock(mutex_);
  if (!entries_.contains(key) && entries_.size() >= max_keys) return;
  Lease writers;
  writers.token = std::move(token);
  writers.fence = fence;
  entries_[key] = {nullptr, std::move(writers), true};
}

void QueryLeases::end(const Hash128& key, std::string_view token) {
  const std::lock_guard lock(mutex_);
  const auto known = entries_.find(key);
  if (known != entries_.end() && !known->second.seek && known->second.lease.token == token) entries_.erase(known);
}

std::size_t QueryLeases::size() const {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace pillion
