// A connected byte stream to an upstream, plain or TLS, whose every wait has a deadline. Worker-local.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "net/async.hpp"
#include "net/deadline.hpp"
#include "net/tls_session.hpp"

namespace pillion {

class Stream {
 public:
  Stream(Socket socket, Deadlines& deadlines);
  ~Stream();
  Stream(const Stream&) = delete;

  /// TLS as a client: SNI and, where `verify`, the certificate's name are `host`.
  awaitable<error_code> handshake(TlsContext context, const std::string& host, bool verify,
                                  std::chrono::milliseconds timeout);
  /// One read. A timeout of 0 waits without end.
  awaitable<IoResult> read_some(asio::mutable_buffer buffer, std::chrono::milliseconds timeout);
  /// Bounds the read in progress, from now on.
  void limit_read(std::chrono::milliseconds timeout) noexcept { read_deadline_.expires_after(timeout); }
  /// Writes all; tries without waiting first. `timeout` bounds the time without any progress.
  awaitable<error_code> write(std::span<const asio::const_buffer> buffers, std::chrono::milliseconds timeout);
  awaitable<error_code> write(std::string_view bytes, std::chrono::milliseconds timeout) {
    const asio::const_buffer one(bytes.data(), bytes.size());
    co_return co_await write(std::span(&one, 1), timeout);
  }
  /// Writes what goes without waiting and leaves the rest in `bytes`. True where nothing is left. An error is left to
  /// write(), which meets it again; TLS too.
  bool write_now(std::string_view& bytes);
  /// Nothing has come while nobody read: neither data nor the end of the stream.
  bool is_quiet();
  /// Cuts it: behind TLS the other side can tell that from an end.
  void close() noexcept;
  /// Ends what is being waited for with operation_aborted.
  void cancel() noexcept;
  /// Sends the end of this direction of the stream.
  void shutdown_send() noexcept;
  Socket& socket() noexcept { return socket_; }

 private:
  error_code outcome(error_code error) const;
  Socket socket_;
  std::unique_ptr<TlsSession> tls_;
  // Reading and writing may go on at the same time.
  Deadline read_deadline_, write_deadline_;
};

/// Writes all of `buffers`, changing them as it goes; `deadline` is set anew at each progress. For plain sockets.
awaitable<error_code> write_all(Socket& socket, std::span<asio::const_buffer> buffers, Deadline& deadline,
                                std::chrono::milliseconds timeout);

}  // namespace pillion
