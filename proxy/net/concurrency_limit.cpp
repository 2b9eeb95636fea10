#include "net/concurrency_limit.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <vector>

namespace pillion {

Permit::~Permit() { limit_->release(); }

struct ConcurrencyLimit::Waiter {
  explicit Waiter(asio::any_io_executor e) : executor(e), timer(e) {}
  asio::any_io_executor executor;
  asio::steady_timer timer;  // touched on the executor alone
  bool granted = false;      // under the limit's mutex
};

ConcurrencyLimit::ConcurrencyLimit(std::size_t max, std::size_t max_waiting) : max_(max), max_waiting_(max_waiting) {}

void ConcurrencyLimit::configure(std::size_t max, std::size_t max_waiting) {
  std::vector<std::shared_ptr<Waiter>> let_in;
  {
    std::lock_guard lock(mutex_);
    max_ = max;
    max_waiting_ = max_waiting;
    for (; in_use_ < max_ && !waiters_.empty(); ++in_use_) let_in.push_back(next_waiter());
  }
  for (const auto& waiter : let_in) wake(waiter);
}

PermitPtr ConcurrencyLimit::try_acquire() {
  {
    std::lock_guard lock(mutex_);
    if (in_use_ >= max_ || !waiters_.empty()) return nullptr;
    ++in_use_;
  }
  return std::make_shared<Permit>(shared_from_this());
}

bool ConcurrencyLimit::has_waiters() const {
  std::lock_guard lock(mutex_);
  return !waiters_.empty();
}

awaitable<PermitPtr> ConcurrencyLimit::acquire(std::chrono::milliseconds time, bool& full) {
  auto waiter = std::make_shared<Waiter>(co_await asio::this_coro::executor);
  waiter->timer.expires_after(time);
  {
    std::lock_guard lock(mutex_);
    if (in_use_ < max_ && waiters_.empty()) {
      ++in_use_;
      co_return std::make_shared<Permit>(shared_from_this());
    }
    if (waiters_.size() >= max_waiting_) {
      full = true;
      co_return nullptr;
    }
    waiters_.push_back(waiter);
    for (const Holder& holder : holders_) asio::post(holder.executor, holder.shed);
  }
  // What wakes it is posted to this executor, so it can't come before the wait.
  co_await waiter->timer.async_wait(no_throw);
  {
    std::lock_guard lock(mutex_);
    if (!waiter->granted) {
      std::erase(waiters_, waiter);
      co_return nullptr;
    }
  }
  co_return std::make_shared<Permit>(shared_from_this());
}

// The right passes to the first who waits, without becoming free in between.
void ConcurrencyLimit::release() {
  std::shared_ptr<Waiter> next;
  {
    std::lock_guard lock(mutex_);
    if (waiters_.empty() || in_use_ > max_) {
      --in_use_;
      return;
    }
    next = next_waiter();
  }
  wake(next);
}

std::shared_ptr<ConcurrencyLimit::Waiter> ConcurrencyLimit::next_waiter() {
  std::shared_ptr<Waiter> next = std::move(waiters_.front());
  waiters_.pop_front();
  next->granted = true;
  return next;
}

void ConcurrencyLimit::wake(const std::shared_ptr<Waiter>& waiter) {
  asio::post(waiter->executor, [waiter] { waiter->timer.cancel(); });
}

std::size_t ConcurrencyLimit::add_holder(asio::any_io_executor executor, std::function<void()> shed) {
  std::lock_guard lock(mutex_);
  holders_.push_back({++next_holder_, std::move(executor), std::move(shed)});
  return next_holder_;
}

void ConcurrencyLimit::remove_holder(std::size_t id) {
  std::lock_guard lock(mutex_);
  holders_.remove_if([id](const Holder& holder) { return holder.id == id; });
}

}  // namespace pillion
