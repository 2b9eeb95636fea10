#include "support/redis_tls.hpp"

#include "support/process.hpp"

namespace pillion::support {

namespace {

void openssl(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "openssl");
  Finished done = run(arguments);
  if (done.exit.code != 0) throw std::runtime_error("openssl: " + done.err);
}

std::vector<std::string> key_and_request(const TempDir& folder, const std::string& name) {
  return {"req",    "-newkey", "ec",          "-pkeyopt", "ec_paramgen_curve:P-256",
          "-nodes", "-subj",   "/CN=" + name, "-keyout",  folder / (name + ".key")};
}

void make_authority(const TempDir& folder, const std::string& name) {
  auto arguments = key_and_request(folder, name);
  for (const char* more : {"-x509", "-days", "2", "-out"}) arguments.emplace_back(more);
  arguments.push_back(folder / (name + ".pem"));
  openssl(arguments);
}

void make_signed(const TempDir& folder, const std::string& name, const std::string& extensions) {
  auto arguments = key_and_request(folder, name);
  arguments.insert(arguments.end(), {"-out", folder / (name + ".csr")});
  openssl(arguments);
  openssl({"x509", "-req", "-in", folder / (name + ".csr"), "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key",
           "-CAcreateserial", "-days", "2", "-extfile", folder.write(name + ".ext", extensions), "-out",
           folder / (name + ".pem")});
}

}  // namespace

TlsFiles::TlsFiles() {
  make_authority(folder_, "ca");
  make_authority(folder_, "foreign");
  add_server("server");
  make_signed(folder_, "client", "extendedKeyUsage=clientAuth\n");
}

void TlsFiles::add_server(const std::string& name) {
  make_signed(folder_, name, "subjectAltName=IP:127.0.0.1,DNS:localhost\n");
}

std::vector<std::string> TlsFiles::redis_arguments(std::uint16_t port, bool ask_clients) const {
  return {"--tls-port",         std::to_string(port),
          "--tls-cert-file",    server_certificate(),
          "--tls-key-file",     server_key(),
          "--tls-ca-cert-file", ca(),
          "--tls-auth-clients", ask_clients ? "yes" : "no"};
}

}  // namespace pillion::support
