#include "config/model.hpp"

namespace pillion::config {

std::string Address::to_string() const {
  if (is_unix()) return "unix:" + unix_path;
  const bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

bool Address::has_name() const {
  if (is_unix() || host.find(':') != std::string::npos) return false;
  return host.find_first_not_of("0123456789.") != std::string::npos;
}

bool Upstream::RequestHeader::is(std::string_view lower_name) const {
  if (name.size() != lower_name.size()) return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c) != lower_name[i]) return false;
  }
  return true;
}

}  // namespace pillion::config
