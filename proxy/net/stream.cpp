#include "net/stream.hpp"

#include <sys/socket.h>

#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/ssl/host_name_verification.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <stdexcept>
#include <vector>

namespace pillion {

namespace {

void cancel_socket(void* context) {
  error_code ignored;
  static_cast<Socket*>(context)->cancel(ignored);
}

std::vector<asio::generic::stream_protocol::endpoint> literal_endpoint(const std::string& host, std::uint16_t port,
                                                                       const std::string& unix_path) {
  if (!unix_path.empty()) return {asio::local::stream_protocol::endpoint(unix_path)};
  error_code error;
  const auto address = asio::ip::make_address(host, error);
  if (error) return {};
  return {asio::ip::tcp::endpoint(address, port)};
}

}  // namespace

Stream::Stream(Socket socket, Deadlines& deadlines)
    : socket_(std::move(socket)),
      read_deadline_(deadlines, cancel_socket, &socket_),
      write_deadline_(deadlines, cancel_socket, &socket_) {
  error_code ignored;
  socket_.non_blocking(true, ignored);
}

error_code Stream::outcome(error_code error) const {
  if (error && (read_deadline_.expired() || write_deadline_.expired())) return asio::error::timed_out;
  return error;
}

awaitable<error_code> Stream::handshake(asio::ssl::context& context, const std::string& host, bool verify,
                                        std::chrono::milliseconds timeout) {
  tls_ = std::make_unique<asio::ssl::stream<Socket&>>(socket_, context);
  SSL_set_tlsext_host_name(tls_->native_handle(), host.c_str());
  if (verify) tls_->set_verify_callback(asio::ssl::host_name_verification(host));
  read_deadline_.expires_after(timeout);
  auto [error] = co_await tls_->async_handshake(asio::ssl::stream_base::client, no_throw);
  read_deadline_.clear();
  co_return outcome(error);
}

awaitable<IoResult> Stream::read_some(asio::mutable_buffer buffer, std::chrono::milliseconds timeout) {
  if (read_deadline_.expired()) co_return IoResult{0, asio::error::timed_out};
  if (timeout.count() > 0) read_deadline_.expires_after(timeout);
  IoResult result;
  if (tls_) {
    std::tie(result.error, result.size) = co_await tls_->async_read_some(buffer, no_throw);
    if (result.error == asio::ssl::error::stream_truncated) result.error = asio::error::connection_reset;
  } else {
    std::tie(result.error, result.size) = co_await socket_.async_read_some(buffer, no_throw);
  }
  read_deadline_.clear();
  result.error = outcome(result.error);
  co_return result;
}

awaitable<error_code> Stream::write(std::span<const asio::const_buffer> buffers, std::chrono::milliseconds timeout) {
  if (!tls_) {
    std::array<asio::const_buffer, 8> copy;
    const std::size_t n = std::min(copy.size(), buffers.size());
    std::copy_n(buffers.begin(), n, copy.begin());
    const error_code error = co_await write_all(socket_, std::span(copy.data(), n), write_deadline_, timeout);
    if (error || n == buffers.size()) co_return error;
    co_return co_await write(buffers.subspan(n), timeout);
  }
  for (asio::const_buffer buffer : buffers) {
    while (buffer.size() > 0) {
      write_deadline_.expires_after(timeout);
      auto [error, size] = co_await tls_->async_write_some(buffer, no_throw);
      write_deadline_.clear();
      if (error) co_return outcome(error);
      buffer += size;
    }
  }
  co_return error_code{};
}

bool Stream::write_now(std::string_view& bytes) {
  if (tls_) return false;
  error_code error;
  const std::size_t size = socket_.write_some(asio::buffer(bytes.data(), bytes.size()), error);
  if (!error) bytes.remove_prefix(size);
  return bytes.empty();
}

bool Stream::is_quiet() {
  if (tls_ && SSL_pending(tls_->native_handle()) > 0) return false;
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

awaitable<std::pair<error_code, Socket>> connect_to(asio::any_io_executor executor, const std::string& host,
                                                    std::uint16_t port, const std::string& unix_path,
                                                    std::chrono::milliseconds timeout) {
  Socket socket(executor);
  asio::ip::tcp::resolver resolver(executor);
  asio::steady_timer timer(executor, timeout);
  bool late = false;
  timer.async_wait([&late, &socket, &resolver](error_code error) {
    if (error) return;
    late = true;
    error_code ignored;
    resolver.cancel();
    socket.close(ignored);
  });
  auto endpoints = literal_endpoint(host, port, unix_path);
  error_code error;
  if (endpoints.empty()) {
    auto [failed, found] = co_await resolver.async_resolve(host, std::to_string(port), no_throw);
    error = failed;
    for (const auto& entry : found) endpoints.emplace_back(entry.endpoint());
  }
  for (const auto& endpoint : endpoints) {
    if (late) break;
    error_code ignored;
    socket.close(ignored);
    socket.open(endpoint.protocol(), error);
    if (error) continue;
    std::tie(error) = co_await socket.async_connect(endpoint, no_throw);
    if (!error) break;
  }
  // The timer's handler refers to this frame: it has to have run, or never will, before the frame goes.
  if (timer.cancel() == 0 && !late) co_await asio::post(executor, asio::use_awaitable);
  if (late) error = asio::error::timed_out;
  if (!error) {
    error_code ignored;
    if (unix_path.empty()) socket.set_option(asio::ip::tcp::no_delay(true), ignored);
  }
  co_return std::pair{error, std::move(socket)};
}

std::shared_ptr<asio::ssl::context> make_client_tls(const std::string& ca, bool verify) {
  auto context = std::make_shared<asio::ssl::context>(asio::ssl::context::tls_client);
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  static constexpr unsigned char alpn[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  SSL_CTX_set_alpn_protos(context->native_handle(), alpn, sizeof alpn);
  error_code error;
  if (!verify) {
    context->set_verify_mode(asio::ssl::verify_none);
    return context;
  }
  context->set_verify_mode(asio::ssl::verify_peer);
  if (ca.empty()) {
    context->set_default_verify_paths(error);
  } else {
    context->load_verify_file(ca, error);
  }
  if (error)
    throw std::runtime_error("tls.ca: " + (ca.empty() ? "the system's certificates" : ca) + ": " + error.message());
  return context;
}

}  // namespace pillion
