// Addresses, URLs and networks of a configuration (scalars.hpp).
#include <arpa/inet.h>

#include <algorithm>
#include <charconv>

#include "config/scalars.hpp"
#include "config/tree.hpp"

namespace pillion::config {

namespace {

// sun_path holds 108 bytes, the last of them NUL.
constexpr std::size_t max_socket_path = 107;

bool is_alnum(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

bool is_v4(const std::string& text) {
  in_addr address;
  return inet_pton(AF_INET, text.c_str(), &address) == 1;
}
bool is_v6(const std::string& text) {
  in6_addr address;
  return inet_pton(AF_INET6, text.c_str(), &address) == 1;
}

/// A DNS name or IPv4 address. What is all digits and dots must be a whole IPv4 address.
bool is_name(std::string_view text) {
  if (text.empty() || text.size() > 253 || text.front() == '-' || text.front() == '.') return false;
  if (!std::all_of(text.begin(), text.end(), [](char c) { return is_alnum(c) || c == '-' || c == '.' || c == '_'; })) {
    return false;
  }
  if (text.find("..") != std::string_view::npos) return false;
  const bool numeric = std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
  return !numeric || is_v4(std::string(text));
}

bool parse_port(std::string_view text, std::uint16_t& port) {
  if (text.empty() || text.size() > 5) return false;
  const auto [rest, failure] = std::from_chars(text.data(), text.data() + text.size(), port);
  return failure == std::errc() && rest == text.data() + text.size();
}

/// Cuts `host`, `host:port`, `[v6]` or `[v6]:port`. The port is empty where there is none.
bool cut_host(std::string_view text, std::string& host, std::string_view& port) {
  port = {};
  std::string_view rest;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return false;
    host = std::string(text.substr(1, end - 1));
    if (!is_v6(host)) return false;
    rest = text.substr(end + 1);
  } else {
    const std::size_t colon = std::min(text.find(':'), text.size());
    host = std::string(text.substr(0, colon));
    if (!is_name(host)) return false;
    rest = text.substr(colon);
  }
  if (rest.empty()) return true;
  if (rest.front() != ':' || rest.size() == 1) return false;
  port = rest.substr(1);
  return true;
}

bool is_socket_path(std::string_view path) {
  return path.size() > 1 && path.size() <= max_socket_path && path.front() == '/' && path.find('\t') == path.npos;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool percent_decode(std::string_view text, std::string& out) {
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size()) return false;
    const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
    if (high < 0 || low < 0) return false;
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return true;
}

}  // namespace

bool is_host(std::string_view text) {
  std::string host;
  std::string_view port;
  return cut_host(text, host, port) && port.empty();
}

Parsed<std::string> parse_authority(std::string_view text) {
  std::string host;
  std::string_view port;
  std::uint16_t number = 0;
  if (cut_host(text, host, port) && (port.empty() || parse_port(port, number))) return std::string(text);
  return Parsed<std::string>::error(quoted(text) + " is not a host: write app.example.com or app.example.com:8080");
}

Parsed<std::string> parse_request_url(std::string_view text) {
  constexpr std::size_t longest = 2048;
  if (text.size() > longest) return Parsed<std::string>::error("this is too long: a URL has 2048 bytes at most");
  const auto wrong = [&](const std::string& why) { return Parsed<std::string>::error(quoted(text) + why); };
  if (!is_visible_ascii(text)) return wrong(" has a space, or a character outside ASCII: percent-encode it");
  if (text.find('#') != text.npos) return wrong(" has a fragment, which isn't sent to a server: leave it out");
  if (text.starts_with('/')) return std::string(text);
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!text.starts_with(scheme)) continue;
    const std::string_view rest = text.substr(scheme.size());
    if (parse_authority(rest.substr(0, rest.find_first_of("/?"))).value) return std::string(text);
  }
  return wrong(" is no URL: write a path such as /api/status, or http://app.example.com/api/status");
}

Parsed<Address> parse_address(std::string_view text) {
  const std::string want = ": write 127.0.0.1:8080, [::1]:8080 or unix:/path";
  if (text.starts_with("unix:")) {
    const std::string_view path = text.substr(5);
    if (is_socket_path(path)) return Address{{}, 0, std::string(path)};
    return Parsed<Address>::error(quoted(text) +
                                  " is not a Unix socket: write unix:/path, absolute, 107 bytes at most");
  }
  Address address;
  std::string_view port;
  if (!cut_host(text, address.host, port)) return Parsed<Address>::error(quoted(text) + " is not an address" + want);
  if (port.empty()) return Parsed<Address>::error(quoted(text) + " has no port" + want);
  if (!parse_port(port, address.port)) {
    return Parsed<Address>::error(quoted(text) + " has no port from 0 to 65535" + want);
  }
  return address;
}

bool is_local(const Address& address) {
  if (address.is_unix() || address.host == "localhost") return true;
  in_addr v4;
  if (inet_pton(AF_INET, address.host.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  in6_addr v6;
  return inet_pton(AF_INET6, address.host.c_str(), &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

Parsed<std::string> parse_network(std::string_view text) {
  const auto wrong =
      Parsed<std::string>::error(quoted(text) + " is not a network: write 10.0.0.0/8, 192.168.1.7 or fd00::/8");
  const std::size_t slash = std::min(text.find('/'), text.size());
  const std::string address(text.substr(0, slash));
  unsigned char bytes[16] = {};
  const int family = address.find(':') == std::string::npos ? AF_INET : AF_INET6;
  if (inet_pton(family, address.c_str(), bytes) != 1) return wrong;
  const std::uint64_t bits = family == AF_INET ? 32 : 128;
  std::uint64_t length = bits;
  if (slash < text.size()) {
    const auto parsed = parse_number(text.substr(slash + 1), 0, bits);
    if (!parsed.value) return wrong;
    length = *parsed.value;
  }
  for (std::uint64_t bit = length; bit < bits; ++bit)
    bytes[bit / 8] &= static_cast<unsigned char>(~(0x80u >> (bit % 8)));
  char printed[INET6_ADDRSTRLEN];
  inet_ntop(family, bytes, printed, sizeof printed);
  return std::string(printed) + "/" + std::to_string(length);
}

Parsed<Upstream> parse_upstream_url(std::string_view text) {
  const std::string want = ": write http://127.0.0.1:8000 or https://host";
  Upstream upstream;
  upstream.url = std::string(text);
  std::string_view rest = text;
  if (rest.starts_with("https://")) {
    upstream.tls = true;
    rest.remove_prefix(8);
  } else if (rest.starts_with("http://")) {
    rest.remove_prefix(7);
  } else {
    return Parsed<Upstream>::error(quoted(text) + " is not an http:// or https:// URL" + want);
  }
  if (rest.find('@') != std::string_view::npos) {
    // Not quoted: what stands before the '@' may be a secret.
    return Parsed<Upstream>::error("this URL holds a user: use request_headers: { Authorization: { file: ... } }");
  }
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.find_first_of("/?#") != std::string_view::npos) {
    return Parsed<Upstream>::error(quoted(text) + " has a path: leave it out, and give the routes a rewrite:");
  }
  std::string_view port;
  if (!cut_host(rest, upstream.address.host, port)) {
    return Parsed<Upstream>::error(quoted(text) + " names no host" + want);
  }
  upstream.address.port = upstream.tls ? 443 : 80;
  if (!port.empty() && (!parse_port(port, upstream.address.port) || upstream.address.port == 0)) {
    return Parsed<Upstream>::error(quoted(text) + " has no port from 1 to 65535" + want);
  }
  upstream.authority = std::string(rest);
  return upstream;
}

Parsed<RedisSettings> parse_redis_url(std::string_view text) {
  const auto wrong = [](std::string what) {
    return Parsed<RedisSettings>::error(
        what + ": write redis://127.0.0.1:6379/0, redis://user:password@host:6379/0 or unix:///run/redis.sock?db=0");
  };
  RedisSettings redis;
  redis.enabled = true;
  redis.url = std::string(text);
  const bool socket = text.starts_with("unix://");
  redis.tls.enabled = text.starts_with("rediss://");
  if (!socket && !redis.tls.enabled && !text.starts_with("redis://")) {
    return wrong("this is not a redis://, rediss:// or unix:// URL");
  }
  std::string_view rest = text.substr(text.find("://") + 3);
  if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
    const std::string_view credentials = rest.substr(0, at);
    const std::size_t colon = std::min(credentials.find(':'), credentials.size());
    if (!percent_decode(credentials.substr(0, colon), redis.user))
      return wrong("this URL's user is not percent-encoded");
    if (colon < credentials.size() && !percent_decode(credentials.substr(colon + 1), redis.password)) {
      return wrong("this URL's password is not percent-encoded");
    }
    rest.remove_prefix(at + 1);
  }
  std::string_view database;
  const std::size_t cut = std::min(rest.find(socket ? '?' : '/'), rest.size());
  if (cut < rest.size()) database = rest.substr(cut + 1);
  if (socket) {
    if (!is_socket_path(rest.substr(0, cut))) return wrong("this URL has no absolute path of at most 107 bytes");
    redis.address = Address{{}, 0, std::string(rest.substr(0, cut))};
    if (!database.empty() && !database.starts_with("db=")) return wrong("after '?' only db= is known");
    if (!database.empty()) database.remove_prefix(3);
  } else {
    std::string_view port;
    if (!cut_host(rest.substr(0, cut), redis.address.host, port)) return wrong("this URL names no host");
    if (!port.empty() && (!parse_port(port, redis.address.port) || redis.address.port == 0)) {
      return wrong("this URL has no port from 1 to 65535");
    }
  }
  if (!database.empty()) {
    const auto number = parse_number(database, 0, 65535);
    if (!number.value) return wrong("this URL's database is not a number from 0 to 65535");
    redis.database = static_cast<unsigned>(*number.value);
  }
  return redis;
}

std::string hide_password(std::string_view redis_url) {
  const std::size_t scheme = redis_url.find("://");
  const std::size_t at = redis_url.rfind('@');
  if (scheme == std::string_view::npos || at == std::string_view::npos || at < scheme + 3)
    return std::string(redis_url);
  const std::size_t colon = redis_url.find(':', scheme + 3);
  if (colon > at) return std::string(redis_url);
  return std::string(redis_url.substr(0, colon + 1)) + "***" + std::string(redis_url.substr(at));
}

}  // namespace pillion::config
