#include "net/tls_session.hpp"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/ssl/error.hpp>
#include <cerrno>
#include <cstring>
#include <string>

namespace pillion {

namespace {

// Of TLS: more doesn't fit into one record.
constexpr std::size_t largest_record = 16u << 10;

TlsFailure failure_of(unsigned long error) noexcept {
  switch (ERR_GET_REASON(error)) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
      return TlsFailure::plain_http;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
      return TlsFailure::version;
    case SSL_R_NO_APPLICATION_PROTOCOL:
      return TlsFailure::protocol;
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
      return TlsFailure::certificate;
    default:
      return TlsFailure::other;
  }
}

}  // namespace

TlsSession::TlsSession(TlsContext context, Socket& socket, Side side)
    : context_(std::move(context)), socket_(socket), ssl_(SSL_new(context_.get()), SSL_free) {
  if (!ssl_ || SSL_set_fd(ssl_.get(), socket_.native_handle()) != 1) {
    broken_ = true;
    return;
  }
  if (side == Side::server) {
    SSL_set_accept_state(ssl_.get());
  } else {
    SSL_set_connect_state(ssl_.get());
  }
}

TlsSession::~TlsSession() = default;

void TlsSession::expect_host(const std::string& host, bool verify) {
  if (broken_) return;
  error_code error;
  asio::ip::make_address(host, error);
  const bool is_name = error.failed();
  // RFC 6066 3: literal addresses are not permitted there.
  if (is_name) SSL_set_tlsext_host_name(ssl_.get(), host.c_str());
  if (!verify) return;
  X509_VERIFY_PARAM* rules = SSL_get0_param(ssl_.get());
  const int known = is_name ? X509_VERIFY_PARAM_set1_host(rules, host.c_str(), host.size())
                            : X509_VERIFY_PARAM_set1_ip_asc(rules, host.c_str());
  if (known != 1) broken_ = true;  // better no connection than one to anybody
}

error_code TlsSession::judge(int result) noexcept {
  const int saved = errno;
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      wanted_ = Socket::wait_read;
      return {};
    case SSL_ERROR_WANT_WRITE:
      wanted_ = Socket::wait_write;
      return {};
    case SSL_ERROR_ZERO_RETURN:
      return asio::error::eof;
    case SSL_ERROR_SYSCALL:
      broken_ = true;
      failure_ = TlsFailure::closed;
      if (saved == 0) return asio::error::connection_reset;
      return {saved, boost::system::system_category()};
    default:
      break;
  }
  broken_ = true;
  const unsigned long code = ERR_get_error();
  if (ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
    failure_ = TlsFailure::closed;
    return asio::error::connection_reset;
  }
  failure_ = failure_of(code);
  return {static_cast<int>(ERR_GET_REASON(code)), asio::error::get_ssl_category()};
}

// Asked before each call into OpenSSL: a closed socket's number may be another's by now.
bool TlsSession::is_ready() const noexcept { return !broken_ && socket_.is_open(); }

awaitable<error_code> TlsSession::wait(const Deadline& deadline) {
  if (deadline.expired()) co_return asio::error::timed_out;
  auto [error] = co_await socket_.async_wait(wanted_, no_throw);
  if (error && deadline.expired()) co_return asio::error::timed_out;
  co_return error;
}

awaitable<error_code> TlsSession::handshake(const Deadline& deadline) {
  for (;;) {
    if (!is_ready()) co_return asio::error::bad_descriptor;
    ERR_clear_error();
    errno = 0;
    const int result = SSL_do_handshake(ssl_.get());
    if (result == 1) break;
    error_code error = judge(result);
    if (!error) error = co_await wait(deadline);
    if (!error) continue;
    broken_ = true;
    if (error == asio::error::timed_out) failure_ = TlsFailure::timeout;
    if (error == asio::error::eof || error == asio::error::operation_aborted) failure_ = TlsFailure::closed;
    co_return error;
  }
  established_ = true;
  co_return error_code{};
}

awaitable<IoResult> TlsSession::read_some(asio::mutable_buffer buffer, const Deadline& deadline) {
  for (;;) {
    if (!is_ready()) co_return IoResult{0, asio::error::bad_descriptor};
    ERR_clear_error();
    errno = 0;
    std::size_t size = 0;
    const int result = SSL_read_ex(ssl_.get(), buffer.data(), buffer.size(), &size);
    if (result == 1) co_return IoResult{size, {}};
    error_code error = judge(result);
    if (!error) error = co_await wait(deadline);
    if (error) co_return IoResult{0, error};
  }
}

awaitable<error_code> TlsSession::write(std::span<const asio::const_buffer> buffers, Deadline& deadline,
                                        std::chrono::milliseconds timeout) {
  std::string together;
  asio::const_buffer front;
  for (;;) {
    while (front.size() == 0 && !buffers.empty()) {
      front = buffers.front();
      buffers = buffers.subspan(1);
    }
    if (front.size() == 0) co_return error_code{};
    asio::const_buffer record = asio::buffer(front, largest_record);
    if (front.size() >= largest_record || buffers.empty()) {
      front += record.size();
    } else {
      together.clear();
      for (;;) {
        const std::size_t step = std::min(front.size(), largest_record - together.size());
        together.append(static_cast<const char*>(front.data()), step);
        front += step;
        if (front.size() > 0 || buffers.empty()) break;
        front = buffers.front();
        buffers = buffers.subspan(1);
      }
      record = asio::buffer(together);
    }
    if (const error_code error = co_await write_record(record, deadline, timeout)) co_return error;
  }
}

awaitable<error_code> TlsSession::write_record(asio::const_buffer record, Deadline& deadline,
                                               std::chrono::milliseconds timeout) {
  for (;;) {
    if (!is_ready() || closed_) co_return asio::error::bad_descriptor;
    ERR_clear_error();
    errno = 0;
    std::size_t size = 0;
    const int result = SSL_write_ex(ssl_.get(), record.data(), record.size(), &size);
    if (result == 1) co_return error_code{};  // all of it: partial writes are off
    error_code error = judge(result);
    if (error) co_return error;
    if (deadline.expired()) co_return asio::error::timed_out;
    deadline.expires_after(timeout);
    error = co_await wait(deadline);
    deadline.clear();
    if (error) co_return error;
  }
}

bool TlsSession::is_quiet() noexcept {
  if (!is_ready()) return false;
  ERR_clear_error();
  errno = 0;
  char byte;
  const int result = SSL_peek(ssl_.get(), &byte, 1);
  return result <= 0 && !judge(result) && wanted_ == Socket::wait_read;
}

void TlsSession::send_close() noexcept {
  if (!is_ready() || !established_ || closed_) return;
  closed_ = true;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

}  // namespace pillion
