// What TLS connections are made with: trusted certificates, or a certificate and its key. Shared once made: OpenSSL
// counts and locks by itself.
#pragma once

#include <memory>
#include <string>

struct ssl_ctx_st;

namespace pillion {

/// OpenSSL's SSL_CTX.
using TlsContext = std::shared_ptr<ssl_ctx_st>;

/// For connections to upstreams: TLS 1.2 and up, ALPN http/1.1. `ca`: a file of trusted certificates; empty: the
/// system's. Throws std::runtime_error naming a file that can't be used.
TlsContext make_client_tls(const std::string& ca, bool verify);

/// For clients' connections: TLS 1.2 and up, ALPN http/1.1, no renegotiation. Both texts are PEM: the certificate first
/// in its chain. Throws std::runtime_error in whose text `the certificate` or `the key` is at fault.
TlsContext make_server_tls(const std::string& certificate, const std::string& key);

}  // namespace pillion
