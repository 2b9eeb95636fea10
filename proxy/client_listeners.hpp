// The addresses that clients connect to, with their certificates, and which worker a connection goes to. For
// server.cpp.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "flow/worker.hpp"
#include "listener_tls.hpp"
#include "net/listener.hpp"
#include "net/trusted_peers.hpp"
#include "ops/control.hpp"

namespace pillion {

/// Made and begun before the control thread is; on that thread afterwards.
class ClientListeners {
 public:
  using Workers = std::vector<std::unique_ptr<Worker>>;

  /// `workers` get the connections. What one does that isn't taken is counted in the block behind theirs.
  ClientListeners(asio::any_io_executor control, const Workers& workers, Shared& shared, SnapshotPtr snapshot);
  ClientListeners(const ClientListeners&) = delete;

  /// Binds every address of the configuration, the query cache's last, and says in `shared` what Host they have.
  /// Throws std::runtime_error, one line, where one can't be used.
  void start();
  /// Accepts nothing any more.
  void stop();
  /// Limits and trusted peers of connections that come from now on.
  void use(SnapshotPtr snapshot);
  /// Reads the certificates again; what became of them is logged and noted there.
  void refresh_certificates(ReloadOutcome& outcome);
  /// In the order in which they were begun, with the ports that the kernel chose. From any thread.
  std::vector<config::Address> addresses() const;

 private:
  /// `origin`: of every connection, but for whose it is.
  void listen(const config::Listener& settings, const ClientOrigin& origin, const ListenerTls* tls);
  void take(Socket socket, std::string peer, ClientOrigin origin);
  void refuse(Socket socket, bool tls);

  asio::any_io_executor control_;
  const Workers& workers_;
  Shared& shared_;
  SnapshotPtr snapshot_;
  std::unique_ptr<const TrustedPeers> trusted_;
  std::vector<std::unique_ptr<ListenerTls>> certificates_;
  std::vector<std::unique_ptr<Listener>> listeners_;
};

}  // namespace pillion
