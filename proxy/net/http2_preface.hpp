// The first bytes of a client that speaks HTTP/2 with prior knowledge (RFC 9113 3.3, 3.4). Pure. For client sessions.
#pragma once

#include <cstdint>
#include <string_view>

namespace pillion {

/// It was chosen so that an HTTP/1.1 server takes it for a request of an unknown version and stops there.
inline constexpr std::string_view http2_preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

enum class Preface : std::uint8_t {
  none,
  part,  ///< so far it could become one
  whole
};

/// What `begin`, all that has come on a connection so far, is. Nothing at all is none.
constexpr Preface match_preface(std::string_view begin) noexcept {
  if (begin.empty() || !http2_preface.starts_with(begin.substr(0, http2_preface.size()))) return Preface::none;
  return begin.size() < http2_preface.size() ? Preface::part : Preface::whole;
}

}  // namespace pillion
