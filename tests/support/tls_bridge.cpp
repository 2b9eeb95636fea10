#include "support/tls_bridge.hpp"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstring>
#include <stdexcept>

namespace pillion::support {

namespace {

using Context = std::unique_ptr<SSL_CTX, void (*)(SSL_CTX*)>;
using Ssl = std::unique_ptr<SSL, void (*)(SSL*)>;

std::string last_error() {
  const unsigned long code = ERR_get_error();
  const char* reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "connection ended";
}

std::string wire_of(const std::vector<std::string>& protocols) {
  std::string wire;
  for (const std::string& protocol : protocols) wire += static_cast<char>(protocol.size()) + protocol;
  return wire;
}

int choose(SSL*, const unsigned char** out, unsigned char* size, const unsigned char* in, unsigned in_size, void* arg) {
  const auto& mine = *static_cast<const std::string*>(arg);
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, size, reinterpret_cast<const unsigned char*>(mine.data()),
                            static_cast<unsigned>(mine.size()), in, in_size) != OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

Context context_of(bool client, const TlsSettings& settings, const std::string& protocols) {
  Context context(SSL_CTX_new(client ? TLS_client_method() : TLS_server_method()), SSL_CTX_free);
  SSL_CTX* c = context.get();
  if (!settings.versions.empty()) {
    const int version = settings.versions == "1.1"   ? TLS1_1_VERSION
                        : settings.versions == "1.2" ? TLS1_2_VERSION
                                                     : TLS1_3_VERSION;
    if (version == TLS1_1_VERSION) SSL_CTX_set_security_level(c, 0);  // else it would not even be offered
    SSL_CTX_set_min_proto_version(c, version);
    SSL_CTX_set_max_proto_version(c, version);
  }
  if (client) {
    SSL_CTX_set_verify(c, SSL_VERIFY_PEER, nullptr);
    SSL_CTX_load_verify_locations(c, settings.ca.c_str(), nullptr);
    SSL_CTX_set_alpn_protos(c, reinterpret_cast<const unsigned char*>(protocols.data()),
                            static_cast<unsigned>(protocols.size()));
  } else if (SSL_CTX_use_certificate_chain_file(c, settings.certificate.c_str()) != 1 ||
             SSL_CTX_use_PrivateKey_file(c, settings.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    throw std::runtime_error("tls bridge: " + last_error());
  } else if (!protocols.empty()) {
    SSL_CTX_set_alpn_select_cb(c, choose, const_cast<std::string*>(&protocols));
  }
  return context;
}

bool wait_for(int fd, int ssl_error, const std::atomic<bool>* stopping, Deadline deadline = {}) {
  pollfd state{fd, static_cast<short>(ssl_error == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN), 0};
  while (!deadline.passed() && !(stopping && *stopping)) {
    if (::poll(&state, 1, 20) > 0) return true;
  }
  return false;
}

bool wants(int error) { return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE; }

/// The handshake, as far as it goes.
TlsSeen greet(SSL* ssl, int fd, bool client, const TlsSettings& settings, const std::atomic<bool>* stopping) {
  TlsSeen seen;
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  SSL_set_fd(ssl, fd);
  if (client) {
    SSL_set_tlsext_host_name(ssl, settings.name.c_str());
    SSL_set1_host(ssl, settings.name.c_str());
    SSL_set_connect_state(ssl);
  } else {
    SSL_set_accept_state(ssl);
  }
  for (;;) {
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl);
    if (result == 1) break;
    const int error = SSL_get_error(ssl, result);
    if (wants(error) && wait_for(fd, error, stopping)) continue;
    seen.error = last_error();
    return seen;
  }
  seen.done = true;
  seen.version = SSL_get_version(ssl);
  const unsigned char* protocol = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl, &protocol, &size);
  seen.protocol.assign(reinterpret_cast<const char*>(protocol), size);
  if (const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name)) seen.name = name;
  if (client) {
    char text[128] = "";
    X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(ssl)), NID_commonName, text, sizeof text);
    seen.certificate = text;
  }
  return seen;
}

/// Passes bytes both ways until both have ended, or one is cut.
class Pump {
 public:
  Pump(SSL* ssl, int tls, int plain, const std::atomic<bool>& stopping)
      : ssl_(ssl), tls_(tls), plain_(plain), stopping_(stopping) {}

  /// Whether the TLS side said that it ends.
  bool run() {
    while (!stopping_ && !cut_ && !(tls_ended_ && plain_ended_)) {
      const bool told = from_tls();
      if (from_plain() || told || cut_) continue;
      pollfd states[2] = {{tls_, static_cast<short>(tls_ended_ ? 0 : POLLIN), 0},
                          {plain_, static_cast<short>(plain_ended_ ? 0 : POLLIN), 0}};
      ::poll(states, 2, 20);
    }
    return said_end_;
  }

 private:
  bool from_tls() {
    if (tls_ended_) return false;
    ERR_clear_error();
    char bytes[16384];
    const int n = SSL_read(ssl_, bytes, sizeof bytes);
    if (n > 0) {
      cut_ = !send_plain({bytes, static_cast<std::size_t>(n)});
      return true;
    }
    const int error = SSL_get_error(ssl_, n);
    if (wants(error)) return false;
    tls_ended_ = true;
    said_end_ = error == SSL_ERROR_ZERO_RETURN;
    if (said_end_) ::shutdown(plain_, SHUT_WR);
    cut_ = !said_end_;
    return true;
  }
  bool from_plain() {
    if (plain_ended_) return false;
    char bytes[16384];
    const ssize_t n = ::recv(plain_, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    if (n > 0) {
      cut_ = !send_tls({bytes, static_cast<std::size_t>(n)});
      return true;
    }
    plain_ended_ = true;
    if (n == 0) {
      ERR_clear_error();
      SSL_shutdown(ssl_);
    } else {
      cut_ = true;
    }
    return true;
  }
  bool send_plain(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::send(plain_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (n > 0) bytes.remove_prefix(static_cast<std::size_t>(n));
      if (n > 0) continue;
      if (errno != EAGAIN && errno != EWOULDBLOCK) return false;
      if (!wait_for(plain_, SSL_ERROR_WANT_WRITE, &stopping_)) return false;
    }
    return true;
  }
  bool send_tls(std::string_view bytes) {
    for (;;) {
      ERR_clear_error();
      const int n = SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()));
      if (n > 0) return true;
      const int error = SSL_get_error(ssl_, n);
      if (!wants(error) || !wait_for(tls_, error, &stopping_)) return false;
    }
  }

  SSL* ssl_;
  int tls_, plain_;
  const std::atomic<bool>& stopping_;
  bool tls_ended_ = false, plain_ended_ = false, said_end_ = false, cut_ = false;
};

Fd connect_to(const Endpoint& to) {
  Stream stream = Stream::connect(to);
  return Fd(::fcntl(stream.fd(), F_DUPFD_CLOEXEC, 0));
}

}  // namespace

TlsSeen shake_hands(const Endpoint& server, const TlsSettings& settings) {
  const std::string protocols = wire_of(settings.protocols);
  const Context context = context_of(true, settings, protocols);
  const Ssl ssl(SSL_new(context.get()), SSL_free);
  const Fd fd = connect_to(server);
  TlsSeen seen = greet(ssl.get(), fd.get(), true, settings, nullptr);
  if (!seen.done) return seen;
  // With TLS 1.3 a server may refuse after the client has done its part.
  SSL_shutdown(ssl.get());
  for (char byte;;) {
    ERR_clear_error();
    const int n = SSL_read(ssl.get(), &byte, 1);
    if (n > 0) continue;
    const int error = SSL_get_error(ssl.get(), n);
    if (wants(error) && wait_for(fd.get(), error, nullptr)) continue;
    seen.said_end = error == SSL_ERROR_ZERO_RETURN;
    seen.ended = true;
    return seen;
  }
}

TlsBridge::TlsBridge(bool to_tls, Endpoint target, TlsSettings settings)
    : to_tls_(to_tls), target_(std::move(target)), settings_(std::move(settings)), listener_(bind_loopback(0, 128)) {
  port_ = port_of(listener_);
  acceptor_ = std::thread([this] { accept_all(); });
}

TlsBridge::~TlsBridge() {
  stopping_ = true;
  ::shutdown(listener_.get(), SHUT_RDWR);
  acceptor_.join();
  for (std::thread& thread : threads_) thread.join();
}

void TlsBridge::accept_all() {
  for (;;) {
    Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!fd.is_open()) return;
    std::lock_guard lock(mutex_);
    if (stopping_) return;
    seen_.emplace_back();
    threads_.emplace_back(
        [this, index = seen_.size() - 1, fd = std::move(fd)]() mutable { serve(std::move(fd), index); });
  }
}

void TlsBridge::serve(Fd near, std::size_t index) {
  const std::string protocols = wire_of(settings_.protocols);
  const Context context = context_of(to_tls_, settings_, protocols);
  const Ssl ssl(SSL_new(context.get()), SSL_free);
  TlsSeen seen;
  Fd far;
  try {
    if (to_tls_) far = connect_to(target_);
    const int tls = to_tls_ ? far.get() : near.get();
    seen = greet(ssl.get(), tls, to_tls_, settings_, &stopping_);
    {
      std::lock_guard lock(mutex_);
      seen_[index] = seen;
    }
    if (seen.done) {
      if (!to_tls_) far = connect_to(target_);
      const int plain = to_tls_ ? near.get() : far.get();
      seen.said_end = Pump(ssl.get(), tls, plain, stopping_).run();
      // A plain connection has no other way to show that it was cut.
      if (!seen.said_end) {
        const linger now{1, 0};
        ::setsockopt(plain, SOL_SOCKET, SO_LINGER, &now, sizeof now);
      }
    }
  } catch (const std::exception& error) {
    seen.error = error.what();
  }
  near.close();
  far.close();
  seen.ended = true;
  std::lock_guard lock(mutex_);
  seen_[index] = seen;
  changed_.notify_all();
}

std::vector<TlsSeen> TlsBridge::seen() const {
  std::lock_guard lock(mutex_);
  return seen_;
}

TlsSeen TlsBridge::wait_for_end(Deadline deadline) const {
  std::unique_lock lock(mutex_);
  const auto ended = [this] { return !seen_.empty() && seen_.back().ended; };
  if (!changed_.wait_until(lock, deadline.at(), ended)) throw TimedOut("the TLS connection did not end");
  return seen_.back();
}

}  // namespace pillion::support
