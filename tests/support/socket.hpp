// Plain POSIX stream sockets with deadlines. For tests; one thread at a time per object, but shutdown() from any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "support/deadline.hpp"

namespace pillion::support {

/// A file descriptor with one owner.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(other.release()) {}
  Fd& operator=(Fd&& other) noexcept;
  ~Fd() { close(); }
  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  int release();
  void close();

 private:
  int fd_ = -1;
};

/// Where something listens: a loopback port or a Unix socket.
struct Endpoint {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;
  std::string unix_path;
  /// `127.0.0.1:80` or `unix:/path`; `[::1]:80` for IPv6. Throws std::runtime_error on anything else.
  static Endpoint parse(std::string_view text);
  std::string to_string() const;
  std::string url() const { return "http://" + to_string(); }
};

/// A connection that ended before what was asked for arrived; `reset` where the other side did it with RST.
struct ConnectionClosed : std::runtime_error {
  explicit ConnectionClosed(const std::string& what, bool by_reset = false)
      : std::runtime_error(what), reset(by_reset) {}
  bool reset;
};
struct TimedOut : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A connected stream with a read buffer.
class Stream {
 public:
  Stream() = default;
  explicit Stream(Fd fd) : fd_(std::move(fd)) {}
  /// `receive_buffer` bounds the kernel's buffer, in bytes; 0 leaves it alone. Throws where nobody listens.
  static Stream connect(const Endpoint& to, Deadline deadline = {}, int receive_buffer = 0);

  /// Throws ConnectionClosed or TimedOut.
  void write(std::string_view bytes, Deadline deadline = {});
  /// As much as fits now without waiting; how many bytes that was.
  std::size_t write_some(std::string_view bytes);
  /// True once the other side takes more bytes; false when the deadline passes.
  bool wait_writable(Deadline deadline);
  /// Reads more into buffer(). False at the end of the stream. Throws ConnectionClosed (reset) or TimedOut.
  bool fill(Deadline deadline = {}, std::size_t most = 64u << 10);
  /// Bytes received and not yet consumed.
  std::string& buffer() { return buffer_; }
  /// Exactly `n` bytes.
  std::string read_exactly(std::size_t n, Deadline deadline = {});
  /// Up to and with `end`, which it must reach within `most` bytes.
  std::string read_until(std::string_view end, Deadline deadline = {}, std::size_t most = 1u << 20);
  /// Everything until the other side closes; a reset counts as an end.
  std::string read_to_end(Deadline deadline = {});
  /// True where the other side closes (or resets) without sending another byte.
  bool closes(Deadline deadline = {});
  /// True where nothing arrives and the connection stays open for `time`: use for what must NOT happen.
  bool stays_silent(Milliseconds time);

  void shutdown_write();
  void shutdown();
  /// Closes with RST: what the other side has not read is lost.
  void reset();
  void close() { fd_.close(); }
  bool is_open() const { return fd_.is_open(); }
  int fd() const { return fd_.get(); }

 private:
  Fd fd_;
  std::string buffer_;
};

/// A listening socket on 127.0.0.1 (port 0: the kernel chooses), or bound alone where `backlog` is below 0: such a
/// port refuses connections, and nobody else can take it.
Fd bind_loopback(std::uint16_t port, int backlog);
std::uint16_t port_of(const Fd& listener);
/// Waits for a connection. Throws TimedOut.
Fd accept_from(const Fd& listener, Deadline deadline = {});
/// A port below the range that the kernel gives to outgoing connections, for servers that cannot bind port 0
/// themselves. It is free and reserved: nobody is given it a second time, here or in another process of tests, while a
/// server that sets SO_REUSEADDR, as they all do, can listen there. Any thread.
std::uint16_t free_port();

}  // namespace pillion::support
