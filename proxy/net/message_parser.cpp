#include "net/message_parser.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "core/scan.hpp"
#include "net/chunked_body.hpp"

namespace pillion {

namespace {

bool is_space(char c) noexcept { return c == ' ' || c == '\t'; }
bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }

// Of a request target all but white space and control characters; what may stand where is make_effective()'s business.
bool is_target_character(char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  return byte > 0x20 && byte != 0x7f;
}

std::string_view between(const char* begin, const char* end) noexcept {
  return {begin, static_cast<std::size_t>(end - begin)};
}

// Heads end in CRLF, which is part of no token, target or value: what skips over these stops there at the latest.
const char* skip_token(const char* at, const char* end) noexcept {
  at = skip_plain_name(at, end);
  while (is_token_character(*at)) ++at;
  return at;
}

// `HTTP/1.0` or `HTTP/1.1`. nullptr: another.
const char* skip_version(const char* at, const char* end, unsigned& minor) noexcept {
  constexpr std::string_view known = "HTTP/1.";
  if (end - at <= static_cast<std::ptrdiff_t>(known.size()) || std::memcmp(at, known.data(), known.size()) != 0)
    return nullptr;
  at += known.size();
  if (*at != '0' && *at != '1') return nullptr;
  minor = *at == '1' ? 1 : 0;
  return at + 1;
}

// RFC 9110 7.6.1: a list of tokens, members may be empty.
bool is_token_list(std::string_view list) noexcept {
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    const std::string_view member = trim(list.substr(0, comma));
    if (!member.empty() && !is_token(member)) return false;
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return true;
}

}  // namespace

template <bool IsRequest>
MessageParser<IsRequest>::MessageParser(std::vector<Field>& fields, const ParserLimits& limits)
    : fields_(fields), limits_(limits) {
  fields_.clear();
}

template <bool IsRequest>
MessageParser<IsRequest>::~MessageParser() = default;

template <bool IsRequest>
ParseError MessageParser<IsRequest>::parse_head(std::string_view head, bool no_body) {
  if (head.size() > limits_.head || !head.ends_with("\r\n\r\n")) return ParseError::syntax;
  const char* const end = head.data() + head.size();
  ParseError error = ParseError::none;
  const char* const fields = parse_start_line(head.data(), end, error);
  if (!fields) return error;
  error = parse_fields(fields, end);
  return error == ParseError::none ? check_framing(no_body) : error;
}

// RFC 9112 3: method SP request-target SP HTTP-version CRLF. One space each, and nothing else that counts as one.
template <>
const char* MessageParser<true>::parse_start_line(const char* at, const char* end, ParseError& error) {
  error = ParseError::syntax;
  const char* begin = at;
  at = skip_token(at, end);
  if (at == begin || *at != ' ') return nullptr;
  method_ = between(begin, at);
  begin = ++at;
  while (is_target_character(*at)) ++at;
  if (at == begin || *at != ' ') return nullptr;
  target_ = between(begin, at);
  error = ParseError::version;
  at = skip_version(at + 1, end, minor_);
  if (!at || at[0] != '\r' || at[1] != '\n') return nullptr;
  return at + 2;
}

// RFC 9112 4: HTTP-version SP status-code SP [ reason-phrase ] CRLF.
template <>
const char* MessageParser<false>::parse_start_line(const char* at, const char* end, ParseError& error) {
  error = ParseError::version;
  at = skip_version(at, end, minor_);
  if (!at || *at != ' ') return nullptr;
  ++at;
  error = ParseError::syntax;
  if (end - at < 5 || !is_digit(at[0]) || !is_digit(at[1]) || !is_digit(at[2]) || at[3] != ' ') return nullptr;
  status_ = static_cast<unsigned>((at[0] - '0') * 100 + (at[1] - '0') * 10 + (at[2] - '0'));
  const char* const begin = at + 4;
  at = find_control(begin, end);
  if (at[0] != '\r' || at[1] != '\n') return nullptr;
  reason_ = between(begin, at);
  return at + 2;
}

// RFC 9112 5: field-name ":" OWS field-value OWS CRLF, then an empty line, with which the head ends. A line that goes
// on the one before (obs-fold, 5.2) is refused.
template <bool IsRequest>
ParseError MessageParser<IsRequest>::parse_fields(const char* at, const char* end) {
  while (*at != '\r') {
    const char* const name = at;
    at = skip_token(at, end);
    if (at == name || *at != ':') return ParseError::syntax;
    const char* const name_end = at;
    do ++at;
    while (is_space(*at));
    const char* const value = at;
    at = find_control(at, end);
    if (at[0] != '\r' || at[1] != '\n') return ParseError::syntax;
    const char* value_end = at;
    while (value_end != value && is_space(value_end[-1])) --value_end;
    at += 2;
    if (is_space(*at)) return ParseError::syntax;

    Field field{between(name, name_end), between(value, value_end)};
    field.id = name_of(field.name);
    if (const ParseError error = check_field(field); error != ParseError::none) return error;
    if (fields_.size() >= limits_.fields) return ParseError::too_many_fields;
    names_.add(field.id);
    fields_.push_back(field);
  }
  return end - at == 2 && at[1] == '\n' ? ParseError::none : ParseError::syntax;
}

template <bool IsRequest>
ParseError MessageParser<IsRequest>::check_field(const Field& field) {
  switch (field.id) {
    case Name::connection:
    case Name::proxy_connection:
      return is_token_list(field.value) ? ParseError::none : ParseError::syntax;
    case Name::content_length:
      return names_.has(Name::transfer_encoding) ? ParseError::framing : note_length(field.value);
    case Name::transfer_encoding: {
      const bool in_doubt = names_.has(Name::content_length) || names_.has(Name::transfer_encoding);
      return in_doubt ? ParseError::framing : ParseError::none;
    }
    default:
      return ParseError::none;
  }
}

// Digits alone. The same number several times, in one line or in several, is taken for that number (RFC 9110 8.6).
template <bool IsRequest>
ParseError MessageParser<IsRequest>::note_length(std::string_view value) {
  bool known = names_.has(Name::content_length);
  for (;;) {
    const std::size_t comma = std::min(value.find(','), value.size());
    const std::string_view member = trim(value.substr(0, comma));
    if (member.empty() || !std::all_of(member.begin(), member.end(), is_digit)) return ParseError::framing;
    std::uint64_t length = 0;
    const auto [last, error] = std::from_chars(member.data(), member.data() + member.size(), length);
    if (error != std::errc{} || (known && length != length_)) return ParseError::framing;
    length_ = length;
    known = true;
    if (comma == value.size()) return ParseError::none;
    value.remove_prefix(comma + 1);
  }
}

// RFC 9112 6.3. A Transfer-Encoding in HTTP/1.0 and one that isn't exactly `chunked` leave the length in doubt (6.1,
// 11.2).
template <bool IsRequest>
ParseError MessageParser<IsRequest>::check_framing(bool no_body) {
  const Field* coding = find(fields(), Name::transfer_encoding);
  const bool has_length = names_.has(Name::content_length);
  if (coding) {
    if (minor_ == 0) return ParseError::framing;
    if (!iequals(coding->value, "chunked")) return ParseError::transfer_coding;
  }
  if (!IsRequest) no_body = no_body || status_ / 100 == 1 || status_ == 204 || status_ == 304;
  if (no_body || (has_length ? length_ == 0 : IsRequest && !coding)) {
    complete_ = true;
  } else if (coding) {
    framing_ = Framing::chunked;
    chunked_ = std::make_unique<ChunkedBody>(limits_);
  } else if (has_length) {
    framing_ = Framing::length;
    left_ = length_;
  } else {
    framing_ = Framing::until_close;
  }
  return ParseError::none;
}

template <bool IsRequest>
BodyPart MessageParser<IsRequest>::decode(std::span<char> data) {
  BodyPart part;
  if (complete_) return part;
  if (chunked_) {
    part = chunked_->decode(data);
    complete_ = chunked_->complete();
    return part;
  }
  part.size = part.consumed = data.size();
  if (framing_ == Framing::until_close) return part;
  part.size = part.consumed = static_cast<std::size_t>(std::min<std::uint64_t>(left_, data.size()));
  left_ -= part.size;
  complete_ = left_ == 0;
  return part;
}

template <bool IsRequest>
std::string_view MessageParser<IsRequest>::trailers() const noexcept {
  return chunked_ ? chunked_->trailers() : std::string_view{};
}

template <bool IsRequest>
bool MessageParser<IsRequest>::finish_at_close() {
  if (framing_ == Framing::until_close) complete_ = true;
  return complete_;
}

template class MessageParser<true>;
template class MessageParser<false>;

std::size_t find_head_end(std::string_view buffer, std::size_t& from) noexcept {
  const char* const begin = buffer.data();
  const char* const end = begin + buffer.size();
  std::size_t size = 0;
  for_each_line_feed(begin + from, end, [&](const char* at) {
    if (at == begin || at[-1] != '\r') {
      size = std::string_view::npos;
    } else if (at - begin >= 3 && at[-2] == '\n') {
      size = static_cast<std::size_t>(at - begin) + 1;
    }
    return size == 0;
  });
  if (size == 0) from = buffer.size();
  return size;
}

}  // namespace pillion
