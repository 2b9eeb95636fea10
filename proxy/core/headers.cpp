// Fields and names: the byte-level rules of RFC 9110 5. See headers.hpp.
#include "core/headers.hpp"

#include <cstring>

namespace pillion {
namespace {

constexpr char to_lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

/// Eight bytes at once: of lower-case names only letters have bit 0x40, so that bit, moved to 0x20, says where the
/// text may differ by case. Everything else (`-`, digits) must be equal.
template <typename Word>
bool word_matches(const char* text, const char* lower) noexcept {
  Word a, b;
  std::memcpy(&a, text, sizeof a);
  std::memcpy(&b, lower, sizeof b);
  constexpr Word letter_bit = static_cast<Word>(~Word{0}) / 0xff * 0x40;
  return (a | ((b & letter_bit) >> 1)) == b;
}

/// Whether `text`, of the same size as `lower`, is that lower-case name in any case. Sizes are compile-time constants,
/// so this is two or three comparisons.
template <std::size_t size>
inline bool is(const char* text, const char (&lower)[size]) noexcept {
  constexpr std::size_t n = size - 1;
  if constexpr (n >= 8) {
    for (std::size_t i = 0; i + 8 <= n; i += 8)
      if (!word_matches<std::uint64_t>(text + i, lower + i)) return false;
    return n % 8 == 0 || word_matches<std::uint64_t>(text + n - 8, lower + n - 8);
  } else if constexpr (n >= 4) {
    return word_matches<std::uint32_t>(text, lower) && word_matches<std::uint32_t>(text + n - 4, lower + n - 4);
  } else {
    for (std::size_t i = 0; i < n; ++i)
      if (to_lower(text[i]) != lower[i]) return false;
    return true;
  }
}

Name name_up_to_9(const char* t, std::size_t size) noexcept {
  switch (size) {
    case 2:
      return is(t, "te") ? Name::te : Name::other;
    case 3:
      if (is(t, "age")) return Name::age;
      return is(t, "via") ? Name::via : Name::other;
    case 4:
      if (is(t, "host")) return Name::host;
      if (is(t, "date")) return Name::date;
      if (is(t, "etag")) return Name::etag;
      return is(t, "vary") ? Name::vary : Name::other;
    case 5:
      return is(t, "range") ? Name::range : Name::other;
    case 6:
      if (is(t, "cookie")) return Name::cookie;
      if (is(t, "server")) return Name::server;
      if (is(t, "pragma")) return Name::pragma;
      return is(t, "expect") ? Name::expect : Name::other;
    case 7:
      if (is(t, "expires")) return Name::expires;
      if (is(t, "upgrade")) return Name::upgrade;
      if (is(t, "trailer")) return Name::trailer;
      return is(t, "warning") ? Name::warning : Name::other;
    case 8:
      if (is(t, "location")) return Name::location;
      if (is(t, "if-match")) return Name::if_match;
      return is(t, "if-range") ? Name::if_range : Name::other;
    case 9:
      if (is(t, "forwarded")) return Name::forwarded;
      return is(t, "cache-tag") ? Name::cache_tag : Name::other;
    default:
      return Name::other;
  }
}

Name name_10_to_13(const char* t, std::size_t size) noexcept {
  switch (size) {
    case 10:
      if (is(t, "connection")) return Name::connection;
      if (is(t, "keep-alive")) return Name::keep_alive;
      return is(t, "set-cookie") ? Name::set_cookie : Name::other;
    case 11:
      if (is(t, "traceparent")) return Name::traceparent;
      if (is(t, "content-md5")) return Name::content_md5;
      return is(t, "retry-after") ? Name::retry_after : Name::other;
    case 12:
      if (is(t, "content-type")) return Name::content_type;
      if (is(t, "cache-groups")) return Name::cache_groups;
      if (is(t, "cache-status")) return Name::cache_status;
      if (is(t, "x-request-id")) return Name::x_request_id;
      return is(t, "max-forwards") ? Name::max_forwards : Name::other;
    case 13:
      if (is(t, "cache-control")) return Name::cache_control;
      if (is(t, "authorization")) return Name::authorization;
      if (is(t, "last-modified")) return Name::last_modified;
      if (is(t, "accept-ranges")) return Name::accept_ranges;
      if (is(t, "if-none-match")) return Name::if_none_match;
      if (is(t, "content-range")) return Name::content_range;
      return is(t, "surrogate-key") ? Name::surrogate_key : Name::other;
    default:
      return Name::other;
  }
}

Name name_over_13(const char* t, std::size_t size) noexcept {
  switch (size) {
    case 14:
      if (is(t, "content-length")) return Name::content_length;
      if (is(t, "content-digest")) return Name::content_digest;
      return is(t, "no-vary-search") ? Name::no_vary_search : Name::other;
    case 15:
      if (is(t, "accept-encoding")) return Name::accept_encoding;
      if (is(t, "accept-language")) return Name::accept_language;
      return is(t, "x-forwarded-for") ? Name::x_forwarded_for : Name::other;
    case 16:
      if (is(t, "content-encoding")) return Name::content_encoding;
      if (is(t, "content-location")) return Name::content_location;
      if (is(t, "proxy-connection")) return Name::proxy_connection;
      return is(t, "x-forwarded-host") ? Name::x_forwarded_host : Name::other;
    case 17:
      if (is(t, "if-modified-since")) return Name::if_modified_since;
      if (is(t, "transfer-encoding")) return Name::transfer_encoding;
      if (is(t, "x-forwarded-proto")) return Name::x_forwarded_proto;
      return is(t, "cdn-cache-control") ? Name::cdn_cache_control : Name::other;
    case 18:
      return is(t, "proxy-authenticate") ? Name::proxy_authenticate : Name::other;
    case 19:
      if (is(t, "if-unmodified-since")) return Name::if_unmodified_since;
      return is(t, "proxy-authorization") ? Name::proxy_authorization : Name::other;
    case 21:
      return is(t, "pillion-cache-control") ? Name::pillion_cache_control : Name::other;
    case 24:
      return is(t, "cache-group-invalidation") ? Name::cache_group_invalidation : Name::other;
    case 25:
      return is(t, "proxy-authentication-info") ? Name::proxy_authentication_info : Name::other;
    default:
      return Name::other;
  }
}

constexpr bool is_space(char c) noexcept { return c == ' ' || c == '\t'; }

/// Index after the quoted string that begins at `open`, or npos where it never ends.
std::size_t after_quoted(std::string_view text, std::size_t open) noexcept {
  for (std::size_t i = open + 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      return i + 1;
    }
  }
  return std::string_view::npos;
}

/// Index of the comma that ends the first member, or the size of the text.
///
/// A quote that is never closed is a plain character: what stands after it is still read as members, so that a broken
/// line can't hide its `no-store` (and lines read one by one say what their concatenation says). Outside of quotes `\"`
/// and `\\` are skipped as pairs: quotes after an unclosed one then never open another search, and the whole list is
/// read in linear time.
std::size_t end_of_member(std::string_view text) noexcept {
  std::size_t i = 0;
  while (i < text.size() && text[i] != ',') {
    if (text[i] == '"') {
      const std::size_t after = after_quoted(text, i);
      i = after == std::string_view::npos ? i + 1 : after;
    } else if (text[i] == '\\' && i + 1 < text.size() && (text[i + 1] == '"' || text[i + 1] == '\\')) {
      i += 2;
    } else {
      ++i;
    }
  }
  return i;
}

}  // namespace

Name name_of(std::string_view name) noexcept {
  const char* text = name.data();
  const std::size_t size = name.size();
  if (size <= 9) return name_up_to_9(text, size);
  if (size <= 13) return name_10_to_13(text, size);
  return name_over_13(text, size);
}

const Field* headers_detail::find(Fields fields, Name id) noexcept {
  for (const Field& field : fields)
    if (field.id == id) return &field;
  return nullptr;
}

const Field* find(Fields fields, std::string_view name) noexcept {
  for (const Field& field : fields)
    if (iequals(field.name, name)) return &field;
  return nullptr;
}

std::size_t headers_detail::count(Fields fields, Name id) noexcept {
  std::size_t n = 0;
  for (const Field& field : fields) n += field.id == id;
  return n;
}

bool iequals(std::string_view a, std::string_view b) noexcept {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i)
    if (to_lower(a[i]) != to_lower(b[i])) return false;
  return true;
}

std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
  return text;
}

bool is_token(std::string_view text) noexcept {
  for (char c : text)
    if (!is_token_character(c)) return false;
  return !text.empty();
}

bool is_field_value(std::string_view text) noexcept {
  for (char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && byte != '\t') || byte == 0x7f) return false;
  }
  return true;
}

std::optional<std::string_view> next_member(std::string_view& list) noexcept {
  while (!list.empty()) {
    const std::size_t end = end_of_member(list);
    const std::string_view member = trim(list.substr(0, end));
    list.remove_prefix(end < list.size() ? end + 1 : end);
    if (!member.empty()) return member;
  }
  return std::nullopt;
}

bool headers_detail::list_has(Fields fields, Name id, std::string_view token) noexcept {
  for (const Field& field : fields) {
    if (field.id != id) continue;
    std::string_view list = field.value;
    while (const auto member = next_member(list))
      if (iequals(*member, token)) return true;
  }
  return false;
}

bool is_hop_by_hop(Name id) noexcept {
  switch (id) {
    case Name::connection:  // RFC 9110 7.6.1, all down to Upgrade
    case Name::proxy_connection:
    case Name::keep_alive:
    case Name::te:
    case Name::transfer_encoding:
    case Name::upgrade:
    case Name::proxy_authenticate:  // between a client and its proxy: never stored (RFC 9111 3.1), not the
                                    // application's
    case Name::proxy_authentication_info:
    case Name::proxy_authorization:
      return true;
    default:
      return false;
  }
}

bool is_connection_nominated(Fields fields, std::string_view name) noexcept {
  return list_has(fields, Name::connection, name);
}

}  // namespace pillion
