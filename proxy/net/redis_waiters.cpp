// The queue of those who wait for replies. Handlers are only ever constructed by moving: assignment of Asio's
// any_completion_handler in Boost 1.81 wraps the handler in itself.
#include "net/redis_waiters.hpp"

#include <algorithm>
#include <utility>

namespace pillion {

std::uint64_t RedisWaiters::push(Handler handler, Time sent, Time deadline) {
  waiters_.push_back({std::move(handler), sent, deadline, false, false});
  return popped_ + waiters_.size() - 1;
}

void RedisWaiters::push_probe(Time sent, Time deadline) { waiters_.push_back({{}, sent, deadline, true, false}); }

void RedisWaiters::push_copy(Time sent, Time deadline) { waiters_.push_back({{}, sent, deadline, true, false, true}); }

RedisWaiters::Waiter RedisWaiters::pop() {
  Waiter first = std::move(waiters_.front());
  waiters_.pop_front();
  ++popped_;
  return first;
}

std::vector<RedisWaiters::Handler> RedisWaiters::expire(Time now, bool first_has_begun) {
  std::vector<Handler> late;
  for (std::size_t i = first_has_begun ? 1 : 0; i < waiters_.size(); ++i) {
    Waiter& w = waiters_[i];
    if (w.over || w.deadline > now) continue;
    w.over = true;
    late.push_back(std::move(w.handler));
  }
  return late;
}

RedisWaiters::Time RedisWaiters::next_deadline(bool first_has_begun) const noexcept {
  Time next = Time::max();
  for (std::size_t i = first_has_begun ? 1 : 0; i < waiters_.size(); ++i) {
    if (!waiters_[i].over) next = std::min(next, waiters_[i].deadline);
  }
  return next;
}

RedisWaiters::Handler RedisWaiters::cancel(std::uint64_t ticket) {
  if (ticket < popped_ || ticket - popped_ >= waiters_.size()) return {};
  Waiter& w = waiters_[static_cast<std::size_t>(ticket - popped_)];
  w.over = true;
  return std::move(w.handler);
}

std::vector<RedisWaiters::Handler> RedisWaiters::take_all() {
  std::vector<Handler> all;
  for (Waiter& w : waiters_) {
    if (w.handler) all.push_back(std::move(w.handler));
  }
  popped_ += waiters_.size();
  waiters_.clear();
  return all;
}

}  // namespace pillion
