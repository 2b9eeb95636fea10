// The connections of this process to one Redis server: where one of them finds that the server doesn't answer, the
// others ask it for themselves before another request has to wait for that. One a server (RedisTopology::node());
// shared, locks inside.
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <functional>

#include "net/listeners.hpp"

namespace pillion {

class RedisSiblings {
 public:
  /// `doubt` is called on `executor` whenever one of them finds the server silent, for whoever found it too, until the
  /// membership is dropped there.
  [[nodiscard]] Listeners::Membership join(boost::asio::any_io_executor executor, std::function<void()> doubt) {
    return members_.add(std::move(executor), std::move(doubt));
  }
  void is_silent() {
    silent_.store(true, std::memory_order_release);
    members_.call_all();
  }
  /// It has answered one of them.
  void answers() noexcept { silent_.store(false, std::memory_order_release); }
  /// The last that was heard of it is that it doesn't answer.
  bool was_silent() const noexcept { return silent_.load(std::memory_order_acquire); }

 private:
  Listeners members_;
  std::atomic<bool> silent_{false};
};

}  // namespace pillion
