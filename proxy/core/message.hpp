// Heads of messages as parsed: views into the connection's buffer. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/headers.hpp"

namespace pillion {

enum class Method : std::uint8_t { get, head, post, put, patch, del, options, connect, trace, other };
/// Case-sensitive (RFC 9110 9.1).
Method method_of(std::string_view method) noexcept;
/// RFC 9110 9.2.1: GET, HEAD, OPTIONS, TRACE. Any other method, an unknown one too, counts as unsafe.
constexpr bool is_safe(Method m) noexcept {
  return m == Method::get || m == Method::head || m == Method::options || m == Method::trace;
}

/// A request after its head was found well-formed and its target and host were made effective.
struct RequestHead {
  Method method = Method::get;
  std::string_view method_name;
  std::string_view target;  ///< origin-form (or `*`), as received: what is routed, keyed and forwarded
  std::string_view path;    ///< target up to `?`
  std::string_view query;   ///< after the first `?`; meaningful where has_query
  bool has_query = false;
  std::string_view host;  ///< effective Host, as received (RFC 9112 3.2): absolute-form wins; may be empty in HTTP/1.0
  std::string_view scheme;  ///< effective scheme: "http" or "https"
  unsigned minor = 1;       ///< HTTP/1.minor
  Fields fields;
};

struct ResponseHead {
  unsigned status = 0;
  std::string_view reason;
  unsigned minor = 1;
  Fields fields;
};

enum class Framing : std::uint8_t { none, length, chunked, until_close };

}  // namespace pillion
