// Who waits for a key of Redis to change, on whichever worker. Shared, locks inside; everyone is woken by event.
#pragma once

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "net/async.hpp"

namespace pillion {

class NoticeBoard {
 public:
  /// Keys that are waited for at a time, by all together.
  static constexpr std::size_t max_waiting = 1u << 14;

  /// Waits for some keys (without namespace) from the moment it is made. Belongs to its executor.
  class Waiter {
   public:
    Waiter(NoticeBoard& board, asio::any_io_executor executor, std::vector<std::string> keys);
    ~Waiter();
    Waiter(const Waiter&) = delete;

    /// False where the board was full: it is woken by nothing.
    bool is_told() const noexcept { return !keys_.empty(); }
    /// True where one of them has changed since the last call that said so, false when the time is over.
    awaitable<bool> wait(std::chrono::steady_clock::time_point until);
    /// As if one had changed: for a reason of the caller's own. From any thread.
    void wake();

   private:
    friend class NoticeBoard;
    struct Wake;
    NoticeBoard& board_;
    std::shared_ptr<Wake> wake_;
    std::vector<std::string> keys_;
  };

  // From any thread.
  void changed(std::string_view key);
  /// Any may have, or changes are no longer heard of.
  void all_changed();

 private:
  std::mutex mutex_;
  std::atomic<std::size_t> waiting_{0};
  std::unordered_multimap<std::string, std::shared_ptr<Waiter::Wake>> waiters_;
};

}  // namespace pillion
