// A worker's keep-alive connections to its upstreams. Worker-local; the process-wide bound is ConnectionLimit's.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "config/model.hpp"
#include "net/connection_limit.hpp"
#include "net/upstream_connection.hpp"

namespace pillion {

/// The process's connection limits by upstream name, kept over reloads. Thread-safe.
class ConnectionLimits {
 public:
  std::shared_ptr<ConnectionLimit> of(const config::Upstream& upstream);

 private:
  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<ConnectionLimit>> limits_;
};

class UpstreamPool {
 public:
  UpstreamPool(asio::any_io_executor executor, Deadlines& deadlines, ConnectionLimits& limits,
               WorkerCounters& counters);
  ~UpstreamPool();

  using Connection = std::unique_ptr<UpstreamConnection>;
  struct Acquired {
    Connection connection;
    UpstreamError error;
  };
  /// A pooled connection that still lives, or a new one. `unsafe` requests take a pooled one only if it was idle for
  /// under a second, since they can't be sent again; `fresh` asks for a new one.
  awaitable<Acquired> acquire(const config::Upstream& upstream, const config::Limits& limits, bool unsafe,
                              bool fresh = false);
  /// Gives it back; it is pooled if its state is beyond doubt and nobody waits elsewhere.
  void release(Connection connection);
  /// Closes all idle connections: at a reload and at the end.
  void close_idle();

 private:
  struct Group {
    std::deque<Connection> idle;  // the most recently used last
    std::shared_ptr<ConnectionLimit> limit;
    std::size_t holder = 0;
    std::shared_ptr<asio::ssl::context> tls;
    std::string tls_ca;
    bool tls_verify = true;
  };
  Group& group_of(const config::Upstream& upstream);
  Connection take_idle(Group& group, const config::Upstream& upstream, bool unsafe);
  awaitable<Acquired> connect(Group& group, const config::Upstream& upstream, const config::Limits& limits);
  awaitable<UpstreamError> secure(Group& group, const config::Upstream& upstream, UpstreamConnection& connection);
  void sweep();
  void arm();

  asio::any_io_executor executor_;
  Deadlines& deadlines_;
  ConnectionLimits& limits_;
  WorkerCounters& counters_;
  std::map<std::string, std::unique_ptr<Group>> groups_;
  asio::steady_timer sweeper_;
  bool armed_ = false;
};

}  // namespace pillion
