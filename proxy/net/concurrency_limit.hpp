// How many of a thing the whole process may have: connections to one upstream, or requests in flight there. And the
// queue of those who wait for one. Shared between workers, locks inside; waiters are woken by event, first come first
// served whatever worker they belong to.
#pragma once

#include <chrono>
#include <cstddef>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>

#include "net/async.hpp"

namespace pillion {

class ConcurrencyLimit;

/// The right to one; given back when it goes.
class Permit {
 public:
  explicit Permit(std::shared_ptr<ConcurrencyLimit> limit) : limit_(std::move(limit)) {}
  ~Permit();
  Permit(const Permit&) = delete;
  Permit& operator=(const Permit&) = delete;

 private:
  std::shared_ptr<ConcurrencyLimit> limit_;
};
using PermitPtr = std::shared_ptr<Permit>;

class ConcurrencyLimit : public std::enable_shared_from_this<ConcurrencyLimit> {
 public:
  ConcurrencyLimit(std::size_t max, std::size_t max_waiting);

  /// Bounds may change at a reload.
  void configure(std::size_t max, std::size_t max_waiting);
  PermitPtr try_acquire();
  bool has_waiters() const;

  /// Waits on the caller's executor. nullptr when the time is over; `full` is set where too many wait already.
  awaitable<PermitPtr> acquire(std::chrono::milliseconds time, bool& full);

  /// `shed` is posted to `executor` when somebody waits: it should give up one that is of no use now (an idle
  /// connection), if there is one.
  /// Returns what to give to remove_holder().
  std::size_t add_holder(asio::any_io_executor executor, std::function<void()> shed);
  void remove_holder(std::size_t id);

 private:
  friend class Permit;
  struct Waiter;
  void release();
  std::shared_ptr<Waiter> next_waiter();  // under the mutex
  static void wake(const std::shared_ptr<Waiter>& waiter);

  mutable std::mutex mutex_;
  std::size_t max_, max_waiting_, in_use_ = 0, next_holder_ = 0;
  std::deque<std::shared_ptr<Waiter>> waiters_;
  struct Holder {
    std::size_t id;
    asio::any_io_executor executor;
    std::function<void()> shed;
  };
  std::list<Holder> holders_;
};

}  // namespace pillion
