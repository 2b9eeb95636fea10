// What a client session does otherwise where its client speaks TLS: the handshake, the end of its stream.
#include "net/client_session.hpp"

namespace pillion {

// Within the time that a head may take: until it is over nothing of a request has come. True where it goes on.
awaitable<bool> ClientSession::shake_hands() {
  if (tls_->is_established()) co_return true;
  if (finishing_) co_return false;
  const config::Config& settings = handler_.settings();
  timeouts_ = settings.timeouts;
  read_deadline_.expires_after(timeouts_.head);
  const error_code error = co_await tls_->handshake(read_deadline_);
  read_deadline_.clear();
  if (!error) {
    counters_.tls_handshakes.add();
    co_return true;
  }
  const TlsFailure failure = tls_->failure();
  counters_.tls_failures[static_cast<std::size_t>(failure)].add();
  if (failure == TlsFailure::timeout) counters_.limits[static_cast<std::size_t>(Limit::handshake_timeout)].add();
  if (failure == TlsFailure::timeout || failure == TlsFailure::closed) co_return false;
  if (failure == TlsFailure::plain_http) {
    tls_.reset();
    refuse({400, "Plain HTTP has come to a port for HTTPS."}, Limit::bad_request);
    if (co_await flush()) co_return false;
  }
  // What the client is told, an alert or that answer, would be lost if the rest of what it sent stayed unread.
  co_await linger();
  co_return false;
}

void ClientSession::shutdown_send() noexcept {
  if (tls_) tls_->send_close();
  error_code ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
}

}  // namespace pillion
