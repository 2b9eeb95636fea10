#include "net/stream.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/error.hpp>
#include <cerrno>
#include <tuple>

namespace pillion {

namespace {

void cancel_socket(void* context) {
  error_code ignored;
  static_cast<Socket*>(context)->cancel(ignored);
}

}  // namespace

Stream::Stream(Socket socket, Deadlines& deadlines)
    : socket_(std::move(socket)),
      read_deadline_(deadlines, cancel_socket, &socket_),
      write_deadline_(deadlines, cancel_socket, &socket_) {
  error_code ignored;
  socket_.non_blocking(true, ignored);
}

// A connection that is given up in good order says so; one that was closed before can't.
Stream::~Stream() {
  if (tls_) tls_->send_close();
}

error_code Stream::outcome(error_code error) const {
  if (error && (read_deadline_.expired() || write_deadline_.expired())) return asio::error::timed_out;
  return error;
}

awaitable<error_code> Stream::handshake(TlsContext context, const std::string& host, bool verify,
                                        std::chrono::milliseconds timeout) {
  tls_ = std::make_unique<TlsSession>(std::move(context), socket_, TlsSession::Side::client);
  tls_->expect_host(host, verify);
  read_deadline_.expires_after(timeout);
  const error_code error = co_await tls_->handshake(read_deadline_);
  read_deadline_.clear();
  co_return outcome(error);
}

awaitable<IoResult> Stream::read_some(asio::mutable_buffer buffer, std::chrono::milliseconds timeout) {
  if (read_deadline_.expired()) co_return IoResult{0, asio::error::timed_out};
  if (timeout.count() > 0) read_deadline_.expires_after(timeout);
  IoResult result;
  if (tls_) {
    result = co_await tls_->read_some(buffer, read_deadline_);
  } else {
    std::tie(result.error, result.size) = co_await socket_.async_read_some(buffer, no_throw);
  }
  read_deadline_.clear();
  result.error = outcome(result.error);
  co_return result;
}

awaitable<error_code> Stream::write(std::span<const asio::const_buffer> buffers, std::chrono::milliseconds timeout) {
  if (tls_) co_return outcome(co_await tls_->write(buffers, write_deadline_, timeout));
  std::array<asio::const_buffer, 8> copy;
  const std::size_t n = std::min(copy.size(), buffers.size());
  std::copy_n(buffers.begin(), n, copy.begin());
  const error_code error = co_await write_all(socket_, std::span(copy.data(), n), write_deadline_, timeout);
  if (error || n == buffers.size()) co_return error;
  co_return co_await write(buffers.subspan(n), timeout);
}

bool Stream::write_now(std::string_view& bytes) {
  if (tls_) return false;
  error_code error;
  const std::size_t size = socket_.write_some(asio::buffer(bytes.data(), bytes.size()), error);
  if (!error) bytes.remove_prefix(size);
  return bytes.empty();
}

bool Stream::is_quiet() {
  if (tls_) return tls_->is_quiet();
  char byte;
  const ssize_t n = ::recv(socket_.native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

void Stream::close() noexcept {
  error_code ignored;
  socket_.close(ignored);
}

void Stream::cancel() noexcept {
  error_code ignored;
  socket_.cancel(ignored);
}

void Stream::shutdown_send() noexcept {
  if (tls_) tls_->send_close();
  error_code ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
}

awaitable<error_code> write_all(Socket& socket, std::span<asio::const_buffer> buffers, Deadline& deadline,
                                std::chrono::milliseconds timeout) {
  while (!buffers.empty()) {
    if (buffers.front().size() == 0) {
      buffers = buffers.subspan(1);
      continue;
    }
    error_code error;
    std::size_t size = socket.write_some(buffers, error);
    if (error == asio::error::would_block) {
      if (deadline.expired()) co_return asio::error::timed_out;
      deadline.expires_after(timeout);
      std::tie(error, size) = co_await socket.async_write_some(buffers, no_throw);
      deadline.clear();
      if (error && deadline.expired()) error = asio::error::timed_out;
    }
    if (error) co_return error;
    while (size > 0) {
      const std::size_t step = std::min(size, buffers.front().size());
      buffers.front() += step;
      size -= step;
      if (buffers.front().size() == 0) buffers = buffers.subspan(1);
    }
  }
  co_return error_code{};
}

}  // namespace pillion
