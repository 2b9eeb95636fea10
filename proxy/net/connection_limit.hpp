// How many connections the whole process may have to one upstream, and the queue of those who wait for one. Shared
// between workers, locks inside; waiters are woken by event, first come first served.
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

class ConnectionLimit;

/// The right to one connection; given back when it goes.
class ConnectionPermit {
 public:
  explicit ConnectionPermit(std::shared_ptr<ConnectionLimit> limit) : limit_(std::move(limit)) {}
  ~ConnectionPermit();
  ConnectionPermit(const ConnectionPermit&) = delete;
  ConnectionPermit& operator=(const ConnectionPermit&) = delete;

 private:
  std::shared_ptr<ConnectionLimit> limit_;
};
using ConnectionPermitPtr = std::shared_ptr<ConnectionPermit>;

class ConnectionLimit : public std::enable_shared_from_this<ConnectionLimit> {
 public:
  ConnectionLimit(std::size_t max_connections, std::size_t max_waiting);

  /// Bounds may change at a reload.
  void configure(std::size_t max_connections, std::size_t max_waiting);
  ConnectionPermitPtr try_acquire();
  bool has_waiters() const;

  /// Waits on the caller's executor. nullptr when the time is over; `full` is set where too many wait already.
  awaitable<ConnectionPermitPtr> acquire(std::chrono::milliseconds time, bool& full);

  /// `shed` is posted to `executor` when somebody waits: it should close an idle connection if there is one.
  /// Returns what to give to remove_holder().
  std::size_t add_holder(asio::any_io_executor executor, std::function<void()> shed);
  void remove_holder(std::size_t id);

 private:
  friend class ConnectionPermit;
  struct Waiter;
  void release();

  mutable std::mutex mutex_;
  std::size_t max_connections_, max_waiting_, in_use_ = 0, next_holder_ = 0;
  std::deque<std::shared_ptr<Waiter>> waiters_;
  struct Holder {
    std::size_t id;
    asio::any_io_executor executor;
    std::function<void()> shed;
  };
  std::list<Holder> holders_;
};

}  // namespace pillion
