#include "net/chunked_body.hpp"

#include <boost/beast/http/basic_parser.hpp>
#include <cstring>
#include <string>

namespace pillion {

namespace http = boost::beast::http;

namespace {

std::string_view std_view(boost::beast::string_view v) noexcept { return {v.data(), v.size()}; }

// Whether a field's value stands on the line of its name. Beast unfolds obs-fold (RFC 9112 5.2), either by skipping to
// the next line or into a buffer of its own; both show in where the value lies.
bool is_folded(std::string_view buffer, std::string_view name, std::string_view value) noexcept {
  if (value.data() < name.data() + name.size() || value.data() + value.size() > buffer.data() + buffer.size())
    return true;
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

class ChunkedBody::Parser final : public http::basic_parser<true> {
  using Code = boost::beast::error_code;
  using View = boost::beast::string_view;

 public:
  // Beast comes to a chunked body by a head alone: it is given the shortest.
  explicit Parser(const ParserLimits& limits) : limits_(limits) {
    constexpr std::string_view head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    body_limit(boost::none);
    Code code;
    for (std::size_t used = 0; used < head.size() && !is_header_done();)
      used += put({head.data() + used, head.size() - used}, code);
    in_head_ = false;
    eager(true);
  }

  BodyPart decode(std::span<char> data) {
    BodyPart part;
    // Once it has asked for more, Beast counts on at least the shortest end of a body, `0 CRLF CRLF`, being there.
    constexpr std::size_t shortest_end = 5;
    if (complete_ || (starved_ && data.size() < shortest_end)) return part;
    out_ = data.data();
    buffer_ = {data.data(), data.size()};
    Code code;
    part.consumed = put({data.data(), data.size()}, code);
    part.size = static_cast<std::size_t>(out_ - data.data());
    starved_ = code == http::error::need_more;
    if (code && !starved_) part.error = refused_ != ParseError::none ? refused_ : error_of(code);
    return part;
  }
  bool complete() const noexcept { return complete_; }
  std::string_view trailers() const noexcept { return trailers_; }

 private:
  void on_request_impl(http::verb, View, View, int, Code&) override {}
  void on_response_impl(int, View, int, Code&) override {}
  void on_header_impl(Code&) override {}
  void on_body_init_impl(boost::optional<std::uint64_t> const&, Code&) override {}
  std::size_t on_body_impl(View body, Code&) override { return body.size(); }
  void on_finish_impl(Code&) override { complete_ = true; }

  void on_field_impl(http::field, View name, View value, Code& code) override {
    if (in_head_) return;
    trailer_bytes_ += name.size() + value.size() + 4;
    if (trailer_bytes_ > limits_.trailers) {
      refused_ = ParseError::trailers;
    } else if (is_folded(buffer_, std_view(name), std_view(value))) {
      refused_ = ParseError::syntax;
    } else if (may_trail(name_of(std_view(name)))) {
      trailers_.append(std_view(name)).append(": ").append(std_view(value)).append("\r\n");
    }
    if (refused_ != ParseError::none) code = http::error::bad_field;
  }

  std::size_t on_chunk_body_impl(std::uint64_t, View body, Code&) override {
    if (out_ != body.data()) std::memmove(out_, body.data(), body.size());
    out_ += body.size();
    return body.size();
  }

  void on_chunk_header_impl(std::uint64_t, View extensions, Code& code) override {
    extension_bytes_ += extensions.size();
    // Beast takes any number of leading zeros; others have cut such sizes short and lost the framing.
    std::size_t digits = 0;
    for (const char* p = extensions.data(); p > buffer_.data() && is_hex(p[-1]); --p) ++digits;
    if (digits <= max_size_digits && extension_bytes_ <= limits_.chunk_extensions) return;
    refused_ = digits > max_size_digits ? ParseError::syntax : ParseError::chunk_extensions;
    code = http::error::bad_chunk_extension;
  }

  static ParseError error_of(const Code& code) noexcept {
    const bool framing = code == http::error::bad_content_length || code == http::error::multiple_content_length ||
                         code == http::error::bad_transfer_encoding;
    return framing ? ParseError::framing : ParseError::syntax;
  }

  ParserLimits limits_;
  std::string_view buffer_;  // what is being decoded
  std::string trailers_;
  char* out_ = nullptr;
  std::size_t extension_bytes_ = 0, trailer_bytes_ = 0;
  ParseError refused_ = ParseError::none;  // what a handler found, when it made the parser stop
  bool in_head_ = true, complete_ = false, starved_ = false;
};

ChunkedBody::ChunkedBody(const ParserLimits& limits) : parser_(std::make_unique<Parser>(limits)) {}
ChunkedBody::~ChunkedBody() = default;

BodyPart ChunkedBody::decode(std::span<char> data) { return parser_->decode(data); }
bool ChunkedBody::complete() const noexcept { return parser_->complete(); }
std::string_view ChunkedBody::trailers() const noexcept { return parser_->trailers(); }

}  // namespace pillion
