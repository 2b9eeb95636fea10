// From a parsed request to the effective one: target form, Host, forwarded scheme and host (RFC 9112 3, RFC 9110 7.1).
// Pure; refuses what is ambiguous.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "core/message.hpp"

namespace pillion {

/// Why a request is refused before anything else looks at it; `status` 0 means it is not.
struct Refusal {
  unsigned status = 0;
  std::string_view why;  ///< one sentence, static
  explicit operator bool() const noexcept { return status != 0; }
};

struct RawRequest {
  std::string_view method;
  std::string_view target;
  unsigned minor = 1;
  Fields fields;
  bool secure = false;  ///< it came over TLS
};

/// Fills `head`. `peer_trusted`: X-Forwarded-Proto and X-Forwarded-Host decide scheme and host; well-formed single
/// values only.
Refusal make_effective(const RawRequest& raw, bool peer_trusted, RequestHead& head) noexcept;

/// The number in a Max-Forwards field (RFC 9110 7.6.2): digits alone. Those over 2^31 - 1, the largest known here,
/// count as that; anything else has no number.
std::optional<std::uint32_t> parse_max_forwards(std::string_view value) noexcept;
/// OPTIONS with Max-Forwards: 0 must not be forwarded: this proxy is who answers it.
bool is_final_recipient(const RequestHead& head) noexcept;

/// `host [":" port]` of RFC 3986, without user information, not empty.
bool is_authority(std::string_view text) noexcept;

}  // namespace pillion
