// Which peers may say what scheme and host a request was for. Immutable.
#pragma once

#include <boost/asio/ip/network_v4.hpp>
#include <boost/asio/ip/network_v6.hpp>
#include <string>
#include <vector>

#include "net/async.hpp"

namespace pillion {

class TrustedPeers {
 public:
  /// CIDR blocks or single addresses, already checked by the loader; what isn't one is left out.
  explicit TrustedPeers(const std::vector<std::string>& blocks);
  /// `address` as text; empty (a Unix socket) is trusted.
  bool contains(const std::string& address) const;

 private:
  std::vector<asio::ip::network_v4> v4_;
  std::vector<asio::ip::network_v6> v6_;
};

}  // namespace pillion
