// TLS towards Redis: certificates, and the key, from their files. Shared, locks inside.
#pragma once

#include <boost/asio/ssl/context.hpp>
#include <memory>
#include <string>

#include "config/model.hpp"
#include "net/shared_slot.hpp"

namespace pillion {

class RedisTls {
 public:
  /// Reads the files. Throws std::runtime_error naming the one that can't be used.
  explicit RedisTls(const config::RedisSettings::Tls& settings);

  /// For the next connection.
  std::shared_ptr<boost::asio::ssl::context> context() const { return context_.load(); }
  /// Whether the server's certificate has to be good, and its own.
  bool verify() const noexcept { return settings_.verify; }
  /// Reads the files again where one of them has changed since: certificates are renewed while the process runs.
  /// Returns what is wrong with the new ones, which then aren't used. From one thread at a time.
  std::string refresh();

 private:
  /// Changes whenever one of the files does.
  std::string stamp() const;
  config::RedisSettings::Tls settings_;
  SharedSlot<boost::asio::ssl::context> context_;
  std::string stamp_;
};

}  // namespace pillion
