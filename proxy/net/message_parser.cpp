#include "net/message_parser.hpp"

#include <cstring>

namespace pillion {

namespace http = boost::beast::http;

namespace {

std::string_view std_view(boost::beast::string_view v) noexcept { return {v.data(), v.size()}; }

// Whether a field's value stands on the line of its name. Beast unfolds obs-fold (RFC 9112 5.2), either by skipping to
// the next line or into a buffer of its own; both show in where the value lies.
bool is_folded(std::string_view head, std::string_view name, std::string_view value) noexcept {
  if (value.data() < name.data() + name.size() || value.data() + value.size() > head.data() + head.size()) return true;
  const char* gap = name.data() + name.size();
  return std::memchr(gap, '\n', static_cast<std::size_t>(value.data() - gap)) != nullptr;
}

constexpr std::size_t max_size_digits = 16;

bool is_hex(char c) noexcept { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

// Fields that decide about framing, routing, caching or access have no say behind the body (RFC 9110 6.5.1).
bool may_trail(Name id) noexcept {
  switch (id) {
    case Name::host:
    case Name::content_length:
    case Name::transfer_encoding:
    case Name::trailer:
    case Name::te:
    case Name::content_encoding:
    case Name::content_type:
    case Name::content_range:
    case Name::cache_control:
    case Name::cdn_cache_control:
    case Name::age:
    case Name::expires:
    case Name::date:
    case Name::vary:
    case Name::pragma:
    case Name::expect:
    case Name::range:
    case Name::authorization:
    case Name::cookie:
    case Name::set_cookie:
    case Name::location:
    case Name::max_forwards:
    case Name::surrogate_key:
    case Name::cache_tag:
    case Name::cache_status:
      return false;
    default:
      return !is_hop_by_hop(id);
  }
}

}  // namespace

template <bool IsRequest>
MessageParser<IsRequest>::MessageParser(std::vector<Field>& fields, const ParserLimits& limits)
    : fields_(fields), limits_(limits) {
  fields_.clear();
  this->eager(false);
  this->header_limit(static_cast<std::uint32_t>(limits.head));
  this->body_limit(boost::none);
}

template <bool IsRequest>
ParseError MessageParser<IsRequest>::parse_head(std::string_view head, bool no_body) {
  head_ = head;
  if (no_body) this->skip(true);
  Code code;
  std::size_t used = 0;
  while (used < head.size() && !this->is_header_done()) {
    const std::size_t n = this->put({head.data() + used, head.size() - used}, code);
    used += n;
    if (code) return error_of(code);
    if (n == 0) break;
  }
  if (!this->is_header_done() || used != head.size()) return ParseError::syntax;
  in_head_ = false;
  this->eager(true);
  return check_framing();
}

// Beast reads "gzip, chunked" as chunked and takes a Transfer-Encoding in HTTP/1.0: a proxy must not (RFC
// 9112 6.1, 11.2).
template <bool IsRequest>
ParseError MessageParser<IsRequest>::check_framing() {
  const Field* coding = find(Fields(fields_), Name::transfer_encoding);
  const bool has_length = find(Fields(fields_), Name::content_length) != nullptr;
  if (coding) {
    if (minor_ == 0 || has_length || count(Fields(fields_), Name::transfer_encoding) != 1) return ParseError::framing;
    if (!iequals(coding->value, "chunked")) return ParseError::transfer_coding;
  }
  if (complete_) {
    framing_ = Framing::none;
  } else if (this->chunked()) {
    framing_ = Framing::chunked;
  } else if (has_length) {
    framing_ = Framing::length;
  } else {
    framing_ = IsRequest ? Framing::none : Framing::until_close;
  }
  if (has_length) length_ = this->content_length().value_or(0);
  return ParseError::none;
}

template <bool IsRequest>
auto MessageParser<IsRequest>::decode(std::span<char> data) -> BodyPart {
  BodyPart part;
  // Once it has asked for more, Beast counts on at least the shortest end of a body, `0 CRLF CRLF`, being there.
  constexpr std::size_t shortest_end = 5;
  if (complete_ || (starved_ && data.size() < shortest_end)) return part;
  out_ = data.data();
  head_ = {data.data(), data.size()};
  Code code;
  part.consumed = this->put({data.data(), data.size()}, code);
  part.size = static_cast<std::size_t>(out_ - data.data());
  starved_ = code == http::error::need_more;
  if (code && !starved_) part.error = error_of(code);
  return part;
}

template <bool IsRequest>
bool MessageParser<IsRequest>::finish_at_close() {
  if (framing_ != Framing::until_close || complete_) return complete_;
  Code code;
  this->put_eof(code);
  return complete_ && !code;
}

template <bool IsRequest>
void MessageParser<IsRequest>::on_request_impl(http::verb, View method, View target, int version, Code&) {
  method_ = std_view(method);
  target_ = std_view(target);
  minor_ = static_cast<unsigned>(version % 10);
}

template <bool IsRequest>
void MessageParser<IsRequest>::on_response_impl(int code, View reason, int version, Code&) {
  status_ = static_cast<unsigned>(code);
  reason_ = std_view(reason);
  minor_ = static_cast<unsigned>(version % 10);
}

template <bool IsRequest>
void MessageParser<IsRequest>::on_field_impl(http::field, View name, View value, Code& code) {
  if (!in_head_) {
    trailer_bytes_ += name.size() + value.size() + 4;
    if (trailer_bytes_ > limits_.trailers) {
      refused_ = ParseError::trailers;
    } else if (is_folded(head_, std_view(name), std_view(value))) {
      refused_ = ParseError::syntax;
    } else if (may_trail(name_of(std_view(name)))) {
      trailers_.append(std_view(name)).append(": ").append(std_view(value)).append("\r\n");
    }
  } else if (fields_.size() >= limits_.fields) {
    refused_ = ParseError::too_many_fields;
  } else if (is_folded(head_, std_view(name), std_view(value))) {
    refused_ = ParseError::syntax;
  } else {
    fields_.push_back({std_view(name), std_view(value), name_of(std_view(name))});
  }
  if (refused_ != ParseError::none) code = http::error::bad_field;
}

template <bool IsRequest>
void MessageParser<IsRequest>::keep(View body) {
  if (out_ != body.data()) std::memmove(out_, body.data(), body.size());
  out_ += body.size();
}

template <bool IsRequest>
std::size_t MessageParser<IsRequest>::on_body_impl(View body, Code&) {
  keep(body);
  return body.size();
}

template <bool IsRequest>
std::size_t MessageParser<IsRequest>::on_chunk_body_impl(std::uint64_t, View body, Code&) {
  keep(body);
  return body.size();
}

template <bool IsRequest>
void MessageParser<IsRequest>::on_chunk_header_impl(std::uint64_t, View extensions, Code& code) {
  extension_bytes_ += extensions.size();
  // Beast takes any number of leading zeros; others have cut such sizes short and lost the framing.
  std::size_t digits = 0;
  for (const char* p = extensions.data(); p > head_.data() && is_hex(p[-1]); --p) ++digits;
  if (digits <= max_size_digits && extension_bytes_ <= limits_.chunk_extensions) return;
  refused_ = digits > max_size_digits ? ParseError::syntax : ParseError::chunk_extensions;
  code = http::error::bad_chunk_extension;
}

template <bool IsRequest>
ParseError MessageParser<IsRequest>::error_of(const Code& code) const {
  if (refused_ != ParseError::none) return refused_;
  if (code == http::error::bad_version) return ParseError::version;
  if (code == http::error::bad_content_length || code == http::error::multiple_content_length ||
      code == http::error::bad_transfer_encoding) {
    return ParseError::framing;
  }
  return ParseError::syntax;
}

template class MessageParser<true>;
template class MessageParser<false>;

std::size_t find_head_end(std::string_view buffer, std::size_t& from) noexcept {
  while (from < buffer.size()) {
    const void* hit = std::memchr(buffer.data() + from, '\n', buffer.size() - from);
    if (!hit) {
      from = buffer.size();
      return 0;
    }
    const auto at = static_cast<std::size_t>(static_cast<const char*>(hit) - buffer.data());
    if (at == 0 || buffer[at - 1] != '\r') return std::string_view::npos;
    if (at >= 3 && buffer[at - 2] == '\n') return at + 1;
    from = at + 1;
  }
  return 0;
}

}  // namespace pillion
