#include "named_files.hpp"

#include <exception>
#include <utility>

#include "config/loader.hpp"
#include "net/tls_context.hpp"

namespace pillion {

std::vector<std::string> named_files(const config::Config& config) {
  std::vector<std::string> files;
  for (const config::Listener& listener : config.listeners) {
    if (!listener.tls.enabled()) continue;
    files.push_back(listener.tls.certificate);
    files.push_back(listener.tls.key);
  }
  for (const config::Upstream& upstream : config.upstreams) {
    if (!upstream.tls_ca.empty()) files.push_back(upstream.tls_ca);
    for (const auto& header : upstream.request_headers) {
      if (!header.file.empty()) files.push_back(header.file);
    }
  }
  return files;
}

namespace {

void reread_headers(config::Upstream& upstream, std::vector<std::string>& errors) {
  for (auto& header : upstream.request_headers) {
    if (header.file.empty()) continue;
    config::Secret secret = config::secret_in(header.file, config::read_small_file(header.file));
    if (secret.text) {
      header.value = std::move(*secret.text);
    } else {
      errors.push_back("upstreams." + upstream.name + ".request_headers." + header.name + ": " + secret.wrong +
                       "; the old value stays in force");
    }
  }
}

void reread_authorities(config::Upstream& upstream, std::vector<std::string>& errors) {
  if (upstream.tls_ca.empty()) return;
  const config::FileContent content = config::read_small_file(upstream.tls_ca);
  try {
    if (upstream.tls) make_client_tls(upstream.tls_ca, upstream.tls_verify);
    if (content.text) upstream.tls_ca_stamp = config::stamp_of(*content.text);
  } catch (const std::exception& error) {
    errors.push_back("upstreams." + upstream.name + "." + error.what() + "; the old ones stay in force");
  }
}

}  // namespace

Reread reread_files(const config::Config& current) {
  Reread result;
  config::Config fresh = current;
  for (config::Upstream& upstream : fresh.upstreams) {
    reread_headers(upstream, result.errors);
    reread_authorities(upstream, result.errors);
  }
  if (fresh.upstreams != current.upstreams) result.config = std::move(fresh);
  return result;
}

}  // namespace pillion
