#include "net/trusted_peers.hpp"

#include <algorithm>
#include <boost/asio/ip/address.hpp>

namespace pillion {

TrustedPeers::TrustedPeers(const std::vector<std::string>& blocks) {
  for (const std::string& block : blocks) {
    error_code error;
    const bool single = block.find('/') == std::string::npos;
    const bool is_v6 = block.find(':') != std::string::npos;
    const std::string text = single ? block + (is_v6 ? "/128" : "/32") : block;
    if (is_v6) {
      const auto network = asio::ip::make_network_v6(text, error);
      if (!error) v6_.push_back(network.canonical());
    } else {
      const auto network = asio::ip::make_network_v4(text, error);
      if (!error) v4_.push_back(network.canonical());
    }
  }
}

bool TrustedPeers::contains(const std::string& text) const {
  if (text.empty()) return true;
  error_code error;
  const auto address = asio::ip::make_address(text, error);
  if (error) return false;
  if (address.is_v4()) {
    return std::any_of(v4_.begin(), v4_.end(), [&](const auto& n) {
      return asio::ip::network_v4(address.to_v4(), n.prefix_length()).canonical() == n;
    });
  }
  return std::any_of(v6_.begin(), v6_.end(), [&](const auto& n) {
    return asio::ip::network_v6(address.to_v6(), n.prefix_length()).canonical() == n;
  });
}

}  // namespace pillion
