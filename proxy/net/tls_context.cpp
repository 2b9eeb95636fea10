#include "net/tls_context.hpp"

#include <openssl/err.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/ssl/context.hpp>
#include <stdexcept>
#include <string_view>

namespace pillion {

namespace {

namespace ssl = boost::asio::ssl;
using boost::system::error_code;

TlsContext owned(std::shared_ptr<ssl::context> context) {
  SSL_CTX* native = context->native_handle();
  SSL_CTX_set_min_proto_version(native, TLS1_2_VERSION);
  // An idle connection keeps no buffers; a write that has to wait may go on from another place.
  SSL_CTX_set_mode(native, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_options(native, SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_read_ahead(native, 1);
  SSL_CTX_set_session_cache_mode(native, SSL_SESS_CACHE_OFF);  // clients resume by tickets, which need no memory here
  return {std::move(context), native};
}

// RFC 7301 3.2: of what the client offers, HTTP/1.1, or 1.0; one who offers neither is refused.
int choose_protocol(SSL*, const unsigned char** chosen, unsigned char* size, const unsigned char* offered,
                    unsigned offered_size, void*) {
  for (const std::string_view known : {"http/1.1", "http/1.0"}) {
    for (unsigned at = 0; at < offered_size; at += 1u + offered[at]) {
      if (offered_size - at - 1 < offered[at]) break;
      if (std::string_view(reinterpret_cast<const char*>(offered) + at + 1, offered[at]) != known) continue;
      *chosen = offered + at + 1;
      *size = offered[at];
      return SSL_TLSEXT_ERR_OK;
    }
  }
  return SSL_TLSEXT_ERR_ALERT_FATAL;
}

[[noreturn]] void fail(std::string_view what, const std::string& why) {
  throw std::runtime_error(std::string(what) + ": " + why);
}

}  // namespace

TlsContext make_client_tls(const std::string& ca, bool verify) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_client);
  static constexpr unsigned char alpn[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  SSL_CTX_set_alpn_protos(context->native_handle(), alpn, sizeof alpn);
  if (!verify) {
    context->set_verify_mode(ssl::verify_none);
    return owned(std::move(context));
  }
  context->set_verify_mode(ssl::verify_peer);
  error_code error;
  if (ca.empty()) {
    context->set_default_verify_paths(error);
  } else {
    context->load_verify_file(ca, error);
  }
  if (error) fail("tls.ca", (ca.empty() ? "the system's certificates" : ca) + ": " + error.message());
  return owned(std::move(context));
}

TlsContext make_server_tls(const std::string& certificate, const std::string& key) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_server);
  error_code error;
  // An encrypted key would be asked for at the terminal.
  context->set_password_callback([](std::size_t, ssl::context::password_purpose) { return std::string(); }, error);
  context->use_certificate_chain(boost::asio::buffer(certificate), error);
  if (error) fail("the certificate", error.message());
  context->use_private_key(boost::asio::buffer(key), ssl::context::pem, error);
  if (error && ERR_GET_REASON(static_cast<unsigned long>(error.value())) == X509_R_KEY_VALUES_MISMATCH)
    fail("the key", "it is not the key of this certificate");
  if (error) fail("the key", error.message());
  SSL_CTX_set_alpn_select_cb(context->native_handle(), choose_protocol, nullptr);
  return owned(std::move(context));
}

}  // namespace pillion
