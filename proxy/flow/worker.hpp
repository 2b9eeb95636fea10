// One thread with everything it owns: its event loop, connections, pool and Redis connections.
#pragma once

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <functional>
#include <memory>
#include <thread>
#include <unordered_set>

#include "flow/context.hpp"
#include "flow/query_handler.hpp"
#include "flow/request_handler.hpp"
#include "net/event_loop.hpp"

namespace pillion {

class Worker : private ClientOwner {
 public:
  Worker(std::size_t index, Shared& shared, SnapshotPtr snapshot);
  ~Worker() override;
  Worker(const Worker&) = delete;

  void start();
  /// Stops the loop and waits for the thread.
  void join();
  /// After join() of every worker: destroys what still waited.
  void drop_pending();

  // --- from any thread ---
  asio::any_io_executor executor() { return io_.get_executor(); }
  /// Connections that it has or is about to have.
  std::size_t load() const noexcept { return load_.load(std::memory_order_relaxed); }
  /// Serves a connection; its socket lives on executor().
  void serve(Socket socket, ClientOrigin origin);
  /// Closes idle connections now and the others after the answer in progress; `on_empty` is called on this worker's
  /// thread as soon as none is left.
  void drain(std::function<void()> on_empty);
  /// Cuts what is left.
  void abort_all();
  void use(SnapshotPtr snapshot);
  WorkerContext& context() { return context_; }

 private:
  void go_on(ClientSessionPtr session) override;
  void end(ClientSession* session) noexcept override;

  EventLoop io_;
  asio::executor_work_guard<asio::io_context::executor_type> guard_{io_.get_executor()};
  WorkerContext context_;
  RequestHandler handler_;
  std::optional<QueryHandler> query_handler_;
  ClientWorkspaces workspaces_;
  std::unordered_set<ClientSession*> sessions_;
  std::function<void()> on_empty_;
  std::atomic<std::size_t> load_{0};
  std::thread thread_;
};

}  // namespace pillion
