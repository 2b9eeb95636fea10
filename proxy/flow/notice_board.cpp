#include "flow/notice_board.hpp"

#include <boost/asio/post.hpp>

namespace pillion {

// On the executor alone, but for `wake`.
struct NoticeBoard::Waiter::Wake : std::enable_shared_from_this<Wake> {
  explicit Wake(asio::any_io_executor e) : executor(e), timer(e) {}
  asio::any_io_executor executor;
  asio::steady_timer timer;
  bool changed = false;

  void wake() {
    asio::post(executor, [self = shared_from_this()] {
      self->changed = true;
      self->timer.cancel();
    });
  }
};

NoticeBoard::Waiter::Waiter(NoticeBoard& board, asio::any_io_executor executor, std::vector<std::string> keys)
    : board_(board), wake_(std::make_shared<Wake>(std::move(executor))), keys_(std::move(keys)) {
  const std::lock_guard lock(board_.mutex_);
  if (keys_.size() > max_waiting - board_.waiters_.size()) keys_.clear();
  for (const std::string& key : keys_) board_.waiters_.emplace(key, wake_);
  board_.waiting_.store(board_.waiters_.size(), std::memory_order_release);
}

NoticeBoard::Waiter::~Waiter() {
  const std::lock_guard lock(board_.mutex_);
  for (const std::string& key : keys_) {
    const auto [begin, end] = board_.waiters_.equal_range(key);
    for (auto it = begin; it != end; ++it) {
      if (it->second != wake_) continue;
      board_.waiters_.erase(it);
      break;
    }
  }
  board_.waiting_.store(board_.waiters_.size(), std::memory_order_release);
}

awaitable<bool> NoticeBoard::Waiter::wait(std::chrono::steady_clock::time_point until) {
  if (!wake_->changed) {
    wake_->timer.expires_at(until);
    co_await wake_->timer.async_wait(no_throw);
  }
  co_return std::exchange(wake_->changed, false);
}

void NoticeBoard::Waiter::wake() { wake_->wake(); }

void NoticeBoard::changed(std::string_view key) {
  if (waiting_.load(std::memory_order_acquire) == 0) return;
  const std::lock_guard lock(mutex_);
  const auto [begin, end] = waiters_.equal_range(std::string(key));
  for (auto it = begin; it != end; ++it) it->second->wake();
}

void NoticeBoard::all_changed() {
  const std::lock_guard lock(mutex_);
  for (const auto& [key, wake] : waiters_) wake->wake();
}

}  // namespace pillion
