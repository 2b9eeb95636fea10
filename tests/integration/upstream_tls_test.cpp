// An upstream behind TLS: a real nginx with a certificate made for the test.
#include "integration.hpp"

namespace {

/// nginx that answers `secure` on a TLS port; its certificate is for 127.0.0.1 and signed by itself.
class TlsNginx {
 public:
  TlsNginx() {
    const Finished made = run({"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                               "-nodes", "-days", "2", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1",
                               "-keyout", folder_ / "key.pem", "-out", certificate()});
    if (made.exit.code != 0) throw std::runtime_error("openssl: " + made.err);
    for (int attempt = 0; attempt < 5; ++attempt) {
      port_ = free_port();
      folder_.write("nginx.conf", settings());
      ProcessOptions options;
      options.arguments = {"nginx", "-p", folder_.path().string(), "-c", folder_ / "nginx.conf", "-e", "stderr"};
      process_ = std::make_unique<Process>(options);
      if (eventually([&] { return !process_->running() || accepts(); }) && process_->running()) return;
    }
    throw std::runtime_error("nginx did not start: " + process_->err());
  }
  std::string certificate() const { return folder_ / "certificate.pem"; }
  std::string config(std::string_view tls) const {
    return "listeners: [ { address: 127.0.0.1:0 } ]\nadmin: { address: 127.0.0.1:0 }\nupstreams:\n  app:\n    url: "
           "https://127.0.0.1:" +
           std::to_string(port_) + "\n" + std::string(tls) + "routes:\n  - { name: all, path: /**, ttl: 60s }\n";
  }

 private:
  bool accepts() const {
    try {
      // nginx says so where plain HTTP comes to a TLS port.
      return fetch(Endpoint{"127.0.0.1", port_, {}}, "GET", "/").status == 400;
    } catch (const std::exception&) {
      return false;
    }
  }
  std::string settings() const {
    const std::string folder = folder_.path().string();
    std::string temporary;
    for (const char* kind : {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"}) {
      temporary += std::string("  ") + kind + "_temp_path " + folder + "/" + kind + ";\n";
    }
    return "daemon off;\nmaster_process off;\npid " + folder +
           "/nginx.pid;\nerror_log stderr;\nevents {}\nhttp {\n  access_log off;\n" + temporary +
           "  server {\n    listen 127.0.0.1:" + std::to_string(port_) + " ssl;\n    ssl_certificate " + certificate() +
           ";\n    ssl_certificate_key " + folder + "/key.pem;\n    location / { return 200 secure; }\n  }\n}\n";
  }

  TempDir folder_;
  std::uint16_t port_ = 0;
  std::unique_ptr<Process> process_;
};

}  // namespace

TEST_CASE("upstream tls: with its certificate trusted, answers are fetched, stored and served") {
  TlsNginx nginx;
  Pillion proxy(nginx.config("    tls: { ca: " + nginx.certificate() + " }\n"));
  Response first = proxy.get("/a");
  CHECK(first.status == 200);
  CHECK(first.body == "secure");
  CHECK(proxy.get("/a").fields["Cache-Status"].find("hit") != std::string::npos);
  CHECK(proxy.get("/b").body == "secure");
}

TEST_CASE("upstream tls: a certificate that nobody trusts is a 502, unless verification is off") {
  TlsNginx nginx;
  Pillion careful(nginx.config(""));
  Response refused = careful.get("/a");
  CHECK(refused.status == 502);
  CHECK(refused.fields["Cache-Status"].find("connect-failed") != std::string::npos);
  Pillion careless(nginx.config("    tls: { verify: false }\n"));
  CHECK(careless.get("/a").body == "secure");
}
