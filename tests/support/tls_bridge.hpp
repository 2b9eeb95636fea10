// TLS for tests that speak plain HTTP: a port that speaks it to a TLS server, or in front of a plain one. For tests;
// any thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "support/deadline.hpp"
#include "support/socket.hpp"

namespace pillion::support {

struct TlsSettings {
  std::string certificate, key;  ///< files: a server's own
  std::string ca;                ///< file: a client's; the server's certificate must be signed by it and name `name`
  std::string name = "localhost";
  std::vector<std::string> protocols;  ///< ALPN, that a client offers or a server takes; none: not spoken of
  std::string versions;                ///< `1.1`, `1.2` or `1.3` alone; empty: as OpenSSL has it
};

/// What was seen of one TLS connection.
struct TlsSeen {
  bool done = false;        ///< the handshake
  std::string error;        ///< of the handshake, in OpenSSL's words
  std::string version;      ///< `TLSv1.3`
  std::string protocol;     ///< ALPN's choice; empty: none
  std::string name;         ///< SNI that the client sent (a server's view)
  std::string certificate;  ///< common name of the server's (a client's view)
  bool said_end = false;    ///< the other side sent close_notify
  bool ended = false;
};

/// A client's handshake and nothing more.
TlsSeen shake_hands(const Endpoint& server, const TlsSettings& settings);

class TlsBridge {
 public:
  /// `to_tls`: takes plain connections at endpoint() and speaks TLS to `target`. Else takes TLS connections and passes
  /// what they say on to `target`, plain.
  TlsBridge(bool to_tls, Endpoint target, TlsSettings settings);
  ~TlsBridge();
  TlsBridge(const TlsBridge&) = delete;

  Endpoint endpoint() const { return {"127.0.0.1", port_, {}}; }
  std::uint16_t port() const { return port_; }
  /// In the order they came.
  std::vector<TlsSeen> seen() const;
  /// The one that came last; waits for its end. Throws TimedOut.
  TlsSeen wait_for_end(Deadline deadline = {}) const;

 private:
  void accept_all();
  void serve(Fd plain_or_tls, std::size_t index);
  const bool to_tls_;
  const Endpoint target_;
  const TlsSettings settings_;
  Fd listener_;
  std::uint16_t port_ = 0;
  std::atomic<bool> stopping_{false};
  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  std::vector<TlsSeen> seen_;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace pillion::support
