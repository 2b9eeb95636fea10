// The content codings that Pillion makes, and which of them a client wants (RFC 9110 8.4.1, 12.5.3). Pure.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/headers.hpp"

namespace pillion {

/// In the order of preference where a client likes several as much; `identity` is the body as the upstream sent it.
enum class Coding : std::uint8_t { zstd, br, gzip, identity };
/// Of those that something is made with: all but identity.
inline constexpr std::size_t coding_count = 3;

/// As Content-Encoding says it.
std::string_view to_string(Coding) noexcept;

/// What Accept-Encoding means for the codings that we make.
struct CodingWishes {
  std::array<Coding, coding_count>
      order{};  ///< `count` of them, the best first: those wanted at least as much as plain
  std::uint8_t count = 0;
  bool refuses_plain = false;  ///< `identity;q=0`, or `*;q=0` and identity isn't named

  bool wants_any() const noexcept { return count > 0; }
  friend bool operator==(const CodingWishes&, const CodingWishes&) = default;
};

/// Over all lines of Accept-Encoding. None where it is absent or empty (who says nothing may not know how to decode),
/// where it is malformed, and where it gives one coding two weights. Higher weights first. `*` gives its weight to
/// whatever isn't named, identity too; without `*` an identity that isn't named is wanted least of all. `x-gzip` is
/// gzip. Allocates nothing; what browsers and common libraries send is known by its text.
CodingWishes coding_wishes(const Fields& request_fields) noexcept;

}  // namespace pillion
