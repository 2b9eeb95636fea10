#include "net/redis_tls.hpp"

#include <sys/stat.h>

#include <boost/system/error_code.hpp>
#include <stdexcept>
#include <utility>

namespace pillion {
namespace {

namespace ssl = boost::asio::ssl;
using boost::system::error_code;

void need(const error_code& error, const char* setting, const std::string& file) {
  if (error) throw std::runtime_error(std::string("store.redis.tls.") + setting + ": " + file + ": " + error.message());
}

std::shared_ptr<ssl::context> make_context(const config::RedisSettings::Tls& settings) {
  auto context = std::make_shared<ssl::context>(ssl::context::tls_client);
  SSL_CTX_set_min_proto_version(context->native_handle(), TLS1_2_VERSION);
  error_code error;
  context->set_verify_mode(settings.verify ? ssl::verify_peer : ssl::verify_none);
  if (!settings.ca.empty()) {
    context->load_verify_file(settings.ca, error);
    need(error, "ca", settings.ca);
  } else if (settings.verify) {
    context->set_default_verify_paths(error);
    need(error, "ca", "the system's certificates");
  }
  if (settings.certificate.empty()) return context;
  // An encrypted key would be asked for at the terminal.
  context->set_password_callback([](std::size_t, ssl::context::password_purpose) { return std::string(); }, error);
  context->use_certificate_chain_file(settings.certificate, error);
  need(error, "certificate", settings.certificate);
  context->use_private_key_file(settings.key, ssl::context::pem, error);
  need(error, "key", settings.key);
  if (SSL_CTX_check_private_key(context->native_handle()) != 1) {
    throw std::runtime_error("store.redis.tls.key: " + settings.key + " is not the key of " + settings.certificate);
  }
  return context;
}

}  // namespace

RedisTls::RedisTls(const config::RedisSettings::Tls& settings)
    : settings_(settings), context_(make_context(settings)), stamp_(stamp()) {}

std::string RedisTls::stamp() const {
  std::string all;
  for (const std::string* file : {&settings_.ca, &settings_.certificate, &settings_.key}) {
    struct stat info{};
    if (file->empty() || ::stat(file->c_str(), &info) != 0) continue;
    all += std::to_string(info.st_ino) + ':' + std::to_string(info.st_size) + ':' +
           std::to_string(info.st_mtim.tv_sec) + '.' + std::to_string(info.st_mtim.tv_nsec) + ' ';
  }
  return all;
}

std::string RedisTls::refresh() {
  std::string now = stamp();
  if (now == stamp_) return {};
  stamp_ = std::move(now);
  try {
    context_.store(make_context(settings_));
    return {};
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace pillion
