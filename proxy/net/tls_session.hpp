// TLS over a connected socket that doesn't block, as a client or as a server. OpenSSL reads and writes the socket; here
// it is waited for. Worker-local; one read and one write may go on at a time.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "net/async.hpp"
#include "net/deadline.hpp"
#include "net/tls_context.hpp"
#include "telemetry/counters.hpp"

struct ssl_st;

namespace pillion {

struct IoResult {
  std::size_t size = 0;
  error_code error;  ///< asio::error::timed_out where the deadline ended the wait
};

class TlsSession {
 public:
  enum class Side : std::uint8_t { client, server };
  /// The socket outlives it.
  TlsSession(TlsContext context, Socket& socket, Side side);
  ~TlsSession();
  TlsSession(const TlsSession&) = delete;

  /// Before the handshake, as a client: tells the server this name (SNI; an IP address isn't told), and where `verify`
  /// its certificate must bear it.
  void expect_host(const std::string& host, bool verify);
  /// `deadline` has been set and cancels the socket.
  awaitable<error_code> handshake(const Deadline& deadline);
  bool is_established() const noexcept { return established_; }
  /// Of a handshake that failed.
  TlsFailure failure() const noexcept { return failure_; }
  /// One read. eof: the peer has said that it sends no more; a connection that just ended is connection_reset.
  awaitable<IoResult> read_some(asio::mutable_buffer buffer, const Deadline& deadline);
  /// Writes all, small pieces together; `deadline` is set anew at each progress.
  awaitable<error_code> write(std::span<const asio::const_buffer> buffers, Deadline& deadline,
                              std::chrono::milliseconds timeout);
  /// Nothing has come while nobody read but what TLS tells itself.
  bool is_quiet() noexcept;
  /// Says that nothing more is sent from here (close_notify), once, if the connection is good for it.
  void send_close() noexcept;

 private:
  /// What OpenSSL's last call wants: no error and `wanted_` set, or an error.
  error_code judge(int result) noexcept;
  bool is_ready() const noexcept;
  awaitable<error_code> wait(const Deadline& deadline);
  awaitable<error_code> write_record(asio::const_buffer record, Deadline& deadline, std::chrono::milliseconds timeout);

  const TlsContext context_;
  Socket& socket_;
  std::unique_ptr<ssl_st, void (*)(ssl_st*)> ssl_;
  Socket::wait_type wanted_ = Socket::wait_read;
  bool established_ = false, broken_ = false, closed_ = false;
  TlsFailure failure_ = TlsFailure::other;
};

}  // namespace pillion
