// Fields of a message as views, and the names that the proxy knows. Pure; views live as long as the buffer they
// were parsed from.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace pillion {

/// Field names that some rule of the proxy looks at. `other` is every name else.
enum class Name : std::uint8_t {
  other,
  accept_encoding,
  accept_language,
  accept_ranges,
  age,
  authorization,
  cache_control,
  cache_group_invalidation,
  cache_groups,
  cache_status,
  cache_tag,
  cdn_cache_control,
  connection,
  content_digest,
  content_encoding,
  content_length,
  content_location,
  content_md5,
  content_range,
  content_type,
  cookie,
  date,
  etag,
  expect,
  expires,
  forwarded,
  host,
  if_match,
  if_modified_since,
  if_none_match,
  if_range,
  if_unmodified_since,
  keep_alive,
  last_modified,
  location,
  max_forwards,
  no_vary_search,
  pillion_cache_control,
  pragma,
  proxy_authenticate,
  proxy_authentication_info,
  proxy_authorization,
  proxy_connection,
  range,
  retry_after,
  server,
  set_cookie,
  surrogate_key,
  te,
  trailer,
  traceparent,
  transfer_encoding,
  upgrade,
  vary,
  via,
  warning,
  x_forwarded_for,
  x_forwarded_host,
  x_forwarded_proto,
  x_request_id,
};

/// Case-insensitive.
Name name_of(std::string_view name) noexcept;

struct Field {
  std::string_view name;   ///< as received
  std::string_view value;  ///< without surrounding white space
  Name id = Name::other;
};

/// A set of names, one bit each.
class NameSet {
 public:
  constexpr void add(Name name) noexcept { bits_ |= bit(name); }
  constexpr bool has(Name name) const noexcept { return (bits_ & bit(name)) != 0; }
  static constexpr NameSet all() noexcept {
    NameSet set;
    set.bits_ = ~std::uint64_t{0};
    return set;
  }

 private:
  static_assert(static_cast<unsigned>(Name::x_request_id) < 64);
  static constexpr std::uint64_t bit(Name name) noexcept { return std::uint64_t{1} << static_cast<unsigned>(name); }
  std::uint64_t bits_ = 0;
};

/// The fields of one message in the order received. Where whoever parsed them says which names occur, questions about
/// others are answered without looking: most rules ask for what most requests don't have.
class Fields : public std::span<const Field> {
 public:
  constexpr Fields() noexcept : names_(NameSet()) {}
  constexpr Fields(std::span<const Field> fields, NameSet names = NameSet::all()) noexcept
      : span(fields), names_(names) {}
  constexpr Fields(const Field* first, std::size_t count) noexcept : span(first, count) {}
  template <typename Container>
    requires std::is_convertible_v<const Container&, std::span<const Field>>
  constexpr Fields(const Container& fields) noexcept : span(fields) {}
  /// False: there is none of that name. True says nothing.
  constexpr bool may_have(Name name) const noexcept { return names_.has(name); }

 private:
  NameSet names_ = NameSet::all();
};

namespace headers_detail {
inline constexpr std::array<bool, 256> token_characters = [] {
  std::array<bool, 256> table{};
  for (int c = '0'; c <= '9'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'a'; c <= 'z'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (int c = 'A'; c <= 'Z'; ++c) table[static_cast<std::size_t>(c)] = true;
  for (char c : std::string_view("!#$%&'*+-.^_`|~")) table[static_cast<unsigned char>(c)] = true;
  return table;
}();

const Field* find(Fields fields, Name id) noexcept;
std::size_t count(Fields fields, Name id) noexcept;
bool list_has(Fields fields, Name id, std::string_view token) noexcept;
}  // namespace headers_detail

/// The first field of that name, or nullptr.
inline const Field* find(const Fields& fields, Name id) noexcept {
  return fields.may_have(id) ? headers_detail::find(fields, id) : nullptr;
}
const Field* find(Fields fields, std::string_view name) noexcept;
inline std::size_t count(const Fields& fields, Name id) noexcept {
  return fields.may_have(id) ? headers_detail::count(fields, id) : 0;
}

/// ASCII case-insensitive equality.
bool iequals(std::string_view a, std::string_view b) noexcept;
/// Without leading and trailing SP and HTAB (RFC 9110 5.5, OWS).
std::string_view trim(std::string_view text) noexcept;
/// RFC 9110 5.6.2.
inline bool is_token_character(char c) noexcept {
  return headers_detail::token_characters[static_cast<unsigned char>(c)];
}
bool is_token(std::string_view text) noexcept;
/// No control characters but HTAB (RFC 9110 5.5).
bool is_field_value(std::string_view text) noexcept;

/// Cuts the next member off a comma-separated list, trimmed; commas in quoted strings don't count, a quote that is
/// never closed is a plain character. Empty members are skipped. nullopt at the end. (RFC 9110 5.6.1) Not for lists of
/// entity tags, which know no escapes.
std::optional<std::string_view> next_member(std::string_view& list) noexcept;
/// Whether a list-valued field, over all its lines, has that token (case-insensitive).
inline bool list_has(const Fields& fields, Name id, std::string_view token) noexcept {
  return fields.may_have(id) && headers_detail::list_has(fields, id, token);
}

/// Fields that concern one connection only and never pass (RFC 9110 7.6.1): Connection and what it always implies; and
/// those between a client and its proxy, never stored either (RFC 9111 3.1).
bool is_hop_by_hop(Name id) noexcept;
/// Whether a Connection field of this message names that field (RFC 9110 7.6.1).
bool is_connection_nominated(Fields fields, std::string_view name) noexcept;

}  // namespace pillion
