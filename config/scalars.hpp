// Single values of a configuration: text becomes a duration, a size, an address... or a sentence saying what is wrong
// and what would be right. Pure; used inside config only. Every number is bounded; nothing overflows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "config/model.hpp"

namespace pillion::config {

/// A value, or why there is none.
template <class T>
struct Parsed {
  std::optional<T> value;
  std::string wrong;

  Parsed(T good) : value(std::move(good)) {}
  static Parsed error(std::string message) {
    Parsed parsed;
    parsed.wrong = std::move(message);
    return parsed;
  }

 private:
  Parsed() = default;
};

/// The longest duration there is: ten years of 365 days.
inline constexpr Milliseconds max_duration{std::int64_t{3650} * 24 * 3600 * 1000};
/// The largest size there is: 1 EiB.
inline constexpr std::uint64_t max_size = std::uint64_t{1} << 60;

/// `250ms`, `30s`, `5m`, `1h`, `7d`: digits and a unit, at most max_duration.
Parsed<Milliseconds> parse_duration(std::string_view text);
/// `100B`, `512KiB`, `64MiB`, `1GiB`, `2TiB`, at most max_size.
Parsed<std::uint64_t> parse_size(std::string_view text);
/// Decimal digits, `least` to `most`.
Parsed<std::uint64_t> parse_number(std::string_view text, std::uint64_t least, std::uint64_t most);
/// `10%`, `0.5%`: more than 0, at most 100, up to four decimals. 0.1 for `10%`.
Parsed<double> parse_percentage(std::string_view text);
/// The percentage that parse_percentage reads to the same number.
std::string percentage_text(double share);
/// on, off, true or false.
Parsed<bool> parse_switch(std::string_view text);
/// `0660`: octal digits of a file's mode, at most 0777.
Parsed<unsigned> parse_mode(std::string_view text);

/// Name of a route, listener, upstream or lifetime: letters, digits, `.`, `_`, `-`; 64 at most.
Parsed<std::string> parse_name(std::string_view text);
/// An HTTP field name (RFC 9110 5.1), 128 bytes at most.
Parsed<std::string> parse_field_name(std::string_view text);
bool is_token(std::string_view text);
/// All of 0x21 to 0x7e.
bool is_visible_ascii(std::string_view text);

/// `host:port`, `[v6]:port` or `unix:/path`. Port 0 is allowed (the kernel chooses).
Parsed<Address> parse_address(std::string_view text);
/// Host of a URL or Host field without a port: a name, IPv4 or [IPv6].
bool is_host(std::string_view text);
/// `host` or `host:port`: what a Host field may hold.
Parsed<std::string> parse_authority(std::string_view text);
/// A path with its query, or an http(s) URL, as they are sent to a server: visible ASCII, no fragment, 2 KiB at most.
Parsed<std::string> parse_request_url(std::string_view text);
/// Loopback or a Unix socket: nobody beyond this machine reaches it.
bool is_local(const Address& address);
/// `10.0.0.0/8`, `::1`: the block in its canonical form, with a length.
Parsed<std::string> parse_network(std::string_view text);

/// `http://host[:port]` or `https://...` into url, tls, address and authority of an Upstream.
Parsed<Upstream> parse_upstream_url(std::string_view text);
/// `redis://[[user]:password@]host[:port][/db]`, the same with `rediss://`, or `unix://[[user]:password@]/path[?db=0]`
/// into url, address, tls.enabled, database, user and password. Never quotes the text in `wrong`: it may hold a
/// password.
Parsed<RedisSettings> parse_redis_url(std::string_view text);
/// The same URL with `***` for its password.
std::string hide_password(std::string_view redis_url);

}  // namespace pillion::config
