// Structured fields (RFC 9651, RFC 8941): dictionaries and lists, as strict as the RFC. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/headers.hpp"

namespace pillion::structured {

struct Token {
  std::string_view text;
};
struct Decimal {
  double value = 0;
};
/// Byte sequences, dates and display strings: well-formed, but of no use here.
struct Unused {};
/// A bare item. Strings are unescaped.
using Item = std::variant<bool, std::int64_t, Decimal, std::string, Token, Unused>;

/// An item or an inner list. Parameters are checked and dropped.
struct Member {
  std::string_view key;  ///< of dictionaries
  bool is_inner_list = false;
  Item item;                ///< of an item
  std::vector<Item> inner;  ///< of an inner list
};

/// All lines of that field together, as one dictionary or list (RFC 9651 4.2). nullopt where it is absent or malformed
/// anywhere; an empty one is there and has no members. A string never reaches over a line. A key given twice has its
/// last value, at its first place. Of a list the first max_members are kept, the others only checked; a dictionary of
/// more counts as malformed, since what it leaves out may forbid. Views live as long as those of `fields`.
inline constexpr std::size_t max_members = 1024;
std::optional<std::vector<Member>> parse_dictionary(Fields fields, Name id);
std::optional<std::vector<Member>> parse_list(Fields fields, Name id);

/// Whether all of it is well-formed UTF-8 (RFC 3629): no surrogates, no overlong forms.
bool is_utf8(std::string_view bytes) noexcept;

}  // namespace pillion::structured
