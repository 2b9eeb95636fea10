#include "net/connection_limit.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>

namespace pillion {

ConnectionPermit::~ConnectionPermit() { limit_->release(); }

struct ConnectionLimit::Waiter {
  explicit Waiter(asio::any_io_executor e) : executor(e), timer(e) {}
  asio::any_io_executor executor;
  asio::steady_timer timer;  // touched on the executor alone
  bool granted = false;      // under the limit's mutex
};

ConnectionLimit::ConnectionLimit(std::size_t max_connections, std::size_t max_waiting)
    : max_connections_(max_connections), max_waiting_(max_waiting) {}

void ConnectionLimit::configure(std::size_t max_connections, std::size_t max_waiting) {
  std::lock_guard lock(mutex_);
  max_connections_ = max_connections;
  max_waiting_ = max_waiting;
}

ConnectionPermitPtr ConnectionLimit::try_acquire() {
  {
    std::lock_guard lock(mutex_);
    if (in_use_ >= max_connections_ || !waiters_.empty()) return nullptr;
    ++in_use_;
  }
  return std::make_shared<ConnectionPermit>(shared_from_this());
}

bool ConnectionLimit::has_waiters() const {
  std::lock_guard lock(mutex_);
  return !waiters_.empty();
}

awaitable<ConnectionPermitPtr> ConnectionLimit::acquire(std::chrono::milliseconds time, bool& full) {
  auto waiter = std::make_shared<Waiter>(co_await asio::this_coro::executor);
  waiter->timer.expires_after(time);
  {
    std::lock_guard lock(mutex_);
    if (in_use_ < max_connections_ && waiters_.empty()) {
      ++in_use_;
      waiter->granted = true;
    } else if (waiters_.size() >= max_waiting_) {
      full = true;
      co_return nullptr;
    } else {
      waiters_.push_back(waiter);
      for (const Holder& holder : holders_) asio::post(holder.executor, holder.shed);
    }
  }
  if (!waiter->granted) co_await waiter->timer.async_wait(no_throw);
  {
    std::lock_guard lock(mutex_);
    if (!waiter->granted) {
      std::erase(waiters_, waiter);
      co_return nullptr;
    }
  }
  co_return std::make_shared<ConnectionPermit>(shared_from_this());
}

// The right passes to the first who waits, without becoming free in between.
void ConnectionLimit::release() {
  std::shared_ptr<Waiter> next;
  {
    std::lock_guard lock(mutex_);
    if (waiters_.empty() || in_use_ > max_connections_) {
      --in_use_;
      return;
    }
    next = std::move(waiters_.front());
    waiters_.pop_front();
    next->granted = true;
  }
  asio::post(next->executor, [next] { next->timer.cancel(); });
}

std::size_t ConnectionLimit::add_holder(asio::any_io_executor executor, std::function<void()> shed) {
  std::lock_guard lock(mutex_);
  holders_.push_back({++next_holder_, std::move(executor), std::move(shed)});
  return next_holder_;
}

void ConnectionLimit::remove_holder(std::size_t id) {
  std::lock_guard lock(mutex_);
  holders_.remove_if([id](const Holder& holder) { return holder.id == id; });
}

}  // namespace pillion
