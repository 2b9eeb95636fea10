#include "net/redis_slots.hpp"

#include <algorithm>
#include <array>
#include <boost/crc.hpp>
#include <charconv>

namespace pillion {
namespace {

bool is_word(std::string_view text, std::string_view upper) noexcept {
  return std::ranges::equal(text, upper,
                            [](char a, char b) { return (a >= 'a' && a <= 'z' ? static_cast<char>(a - 32) : a) == b; });
}

bool is_one_of(std::string_view text, std::span<const std::string_view> words) noexcept {
  return std::ranges::any_of(words, [text](std::string_view word) { return is_word(text, word); });
}

constexpr std::array<std::string_view, 21> keyless = {
    "PING",    "INFO",     "TIME",    "PUBLISH", "SUBSCRIBE", "PSUBSCRIBE", "UNSUBSCRIBE",
    "CLIENT",  "CONFIG",   "CLUSTER", "ROLE",    "WAIT",      "SCAN",       "DBSIZE",
    "FLUSHDB", "FLUSHALL", "SCRIPT",  "COMMAND", "HELLO",     "AUTH",       "READONLY"};
constexpr std::array<std::string_view, 5> key_is_third = {"XINFO", "XGROUP", "OBJECT", "MEMORY", "DEBUG"};
constexpr std::array<std::string_view, 4> key_is_fourth = {"EVAL", "EVALSHA", "EVAL_RO", "EVALSHA_RO"};

}  // namespace

std::uint16_t redis_slot(std::string_view key) noexcept {
  if (const std::size_t open = key.find('{'); open != std::string_view::npos) {
    const std::size_t close = key.find('}', open + 1);
    if (close != std::string_view::npos && close != open + 1) key = key.substr(open + 1, close - open - 1);
  }
  boost::crc_optimal<16, 0x1021, 0, 0, false, false> crc;
  crc.process_bytes(key.data(), key.size());
  return crc.checksum() % redis_slots;
}

std::optional<std::string_view> redis_key_of(std::span<const std::string> arguments) noexcept {
  if (arguments.size() < 2 || is_one_of(arguments[0], keyless)) return std::nullopt;
  std::size_t at = 1;
  if (is_word(arguments[0], "XREAD")) {
    while (at < arguments.size() && !is_word(arguments[at], "STREAMS")) ++at;
    ++at;
  } else if (is_one_of(arguments[0], key_is_third)) {
    at = 2;
  } else if (is_one_of(arguments[0], key_is_fourth)) {
    if (arguments.size() < 3 || arguments[2] == "0") return std::nullopt;
    at = 3;
  }
  if (at >= arguments.size()) return std::nullopt;
  return arguments[at];
}

bool is_redis_host(std::string_view host) noexcept {
  constexpr std::size_t longest_name = 253;
  return host.size() <= longest_name && std::ranges::all_of(host, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' ||
                  c == '_' || c == ':' || c == '%';
         });
}

std::optional<std::uint16_t> redis_port(std::string_view digits) noexcept {
  std::uint16_t port = 0;
  const auto [rest, failure] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (failure != std::errc() || rest != digits.data() + digits.size() || port == 0) return std::nullopt;
  return port;
}

std::optional<RedisRedirection> redis_redirection(std::string_view text) {
  const std::string_view code = text.substr(0, text.find(' '));
  if (code == "TRYAGAIN") return RedisRedirection{RedisRedirection::Kind::try_again, {}};
  if (code != "MOVED" && code != "ASK") return std::nullopt;
  // MOVED 3999 127.0.0.1:6381, the host empty where it isn't known, IPv6 without brackets.
  const std::size_t space = text.rfind(' '), colon = text.rfind(':');
  if (space <= code.size() || colon == std::string_view::npos || colon < space) return std::nullopt;
  const std::string_view host = text.substr(space + 1, colon - space - 1);
  const auto port = redis_port(text.substr(colon + 1));
  if (!port || !is_redis_host(host)) return std::nullopt;
  return RedisRedirection{code == "ASK" ? RedisRedirection::Kind::ask : RedisRedirection::Kind::moved,
                          {std::string(host), *port, {}}};
}

}  // namespace pillion
