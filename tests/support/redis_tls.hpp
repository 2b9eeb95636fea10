// Certificates for servers behind TLS, made by openssl in a folder of their own. For tests.
#pragma once

#include <string>
#include <vector>

#include "support/files.hpp"

namespace pillion::support {

/// An authority, a server's certificate for 127.0.0.1 and localhost, a client's, and a second authority that signed
/// neither. Throws std::runtime_error where openssl fails.
class TlsFiles {
 public:
  TlsFiles();
  std::string ca() const { return folder_ / "ca.pem"; }
  std::string foreign_ca() const { return folder_ / "foreign.pem"; }
  std::string server_certificate() const { return folder_ / "server.pem"; }
  std::string server_key() const { return folder_ / "server.key"; }
  std::string client_certificate() const { return folder_ / "client.pem"; }
  std::string client_key() const { return folder_ / "client.key"; }

  /// One more like the server's, NAME.pem with NAME.key, where path() leads.
  void add_server(const std::string& name);
  std::string path(const std::string& file) const { return folder_ / file; }

  /// For redis-server, which then speaks TLS on `port` too; clients need a certificate where `ask_clients`.
  std::vector<std::string> redis_arguments(std::uint16_t port, bool ask_clients) const;

 private:
  TempDir folder_;
};

}  // namespace pillion::support
