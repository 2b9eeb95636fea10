// Parsing of messages: Beast's basic_parser with handlers that note views into the connection's buffer, and the
// strictness that a proxy needs on top (RFC 9112 11.1, request smuggling). Sans-I/O, worker-local. Costly to include:
// .cpp files only.
#pragma once

#include <boost/beast/http/basic_parser.hpp>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/message.hpp"

namespace pillion {

struct ParserLimits {
  std::size_t head = 32u << 10;
  std::size_t fields = 100;
  std::size_t trailers = 8u << 10;
  std::size_t chunk_extensions = 4u << 10;
};

/// What is wrong with a message. Which status a client gets for it is the session's business.
enum class ParseError : std::uint8_t {
  none,
  syntax,   ///< not HTTP, or of a form that is refused: folds, bare LF, odd names
  version,  ///< an HTTP version other than 1.0 and 1.1
  too_many_fields,
  framing,           ///< Content-Length and Transfer-Encoding contradict each other or are malformed
  transfer_coding,   ///< a transfer coding other than chunked
  chunk_extensions,  ///< over the limit
  trailers,          ///< over the limit
};

/// One message: its head in one piece, then its body as it arrives.
template <bool IsRequest>
class MessageParser final : private boost::beast::http::basic_parser<IsRequest> {
  using Base = boost::beast::http::basic_parser<IsRequest>;

 public:
  /// `fields` is cleared and filled; it is the caller's so that its memory is reused.
  MessageParser(std::vector<Field>& fields, const ParserLimits& limits);

  /// Parses a complete head, empty line included. Views point into `head`. `no_body`: a response to HEAD.
  ParseError parse_head(std::string_view head, bool no_body = false);

  /// Start line, as received.
  std::string_view method() const noexcept { return method_; }
  std::string_view target() const noexcept { return target_; }
  std::string_view reason() const noexcept { return reason_; }
  unsigned status() const noexcept { return status_; }
  unsigned minor() const noexcept { return minor_; }

  /// How the body of this message is delimited (RFC 9112 6.3).
  Framing framing() const noexcept { return framing_; }
  /// Of Framing::length.
  std::uint64_t length() const noexcept { return length_; }
  /// The whole message has been parsed.
  bool complete() const noexcept { return complete_; }

  struct BodyPart {
    std::size_t consumed = 0;  ///< bytes of the buffer that are done with
    std::size_t size = 0;      ///< decoded bytes, moved to the front of the buffer
    ParseError error = ParseError::none;
  };
  /// Decodes what is there. `data` is changed: body bytes without chunk framing are moved to its front. Without
  /// progress (consumed 0, no error) more bytes are needed behind those that are there.
  BodyPart decode(std::span<char> data);
  /// Trailer fields that may be passed on, each line ended by CRLF; known once the message is complete.
  std::string_view trailers() const noexcept { return trailers_; }
  /// The peer closed: true if the message is complete by that (Framing::until_close alone).
  bool finish_at_close();

 private:
  using Code = boost::beast::error_code;
  using View = boost::beast::string_view;
  void on_request_impl(boost::beast::http::verb, View method, View target, int version, Code&) override;
  void on_response_impl(int code, View reason, int version, Code&) override;
  void on_field_impl(boost::beast::http::field, View name, View value, Code&) override;
  void on_header_impl(Code&) override {}
  void on_body_init_impl(boost::optional<std::uint64_t> const&, Code&) override {}
  std::size_t on_body_impl(View body, Code&) override;
  void on_chunk_header_impl(std::uint64_t size, View extensions, Code&) override;
  std::size_t on_chunk_body_impl(std::uint64_t remain, View body, Code&) override;
  void on_finish_impl(Code&) override { complete_ = true; }

  ParseError check_framing();
  ParseError error_of(const Code& code) const;
  void keep(View body);

  std::vector<Field>& fields_;
  ParserLimits limits_;
  std::string_view head_;  // or the body's buffer, while that is decoded
  std::string trailers_;
  std::string_view method_, target_, reason_;
  std::uint64_t length_ = 0;
  char* out_ = nullptr;
  std::size_t extension_bytes_ = 0, trailer_bytes_ = 0;
  unsigned status_ = 0, minor_ = 1;
  ParseError refused_ = ParseError::none;  // what a handler found, when it made the parser stop
  Framing framing_ = Framing::none;
  bool in_head_ = true, complete_ = false, starved_ = false;
};

using RequestParser = MessageParser<true>;
using ResponseParser = MessageParser<false>;

/// Where a head ends: the size up to and including its empty line, 0 if it isn't all there, npos if it can't become one
/// (a line feed without a carriage return). `from` says how much was looked at before without result.
std::size_t find_head_end(std::string_view buffer, std::size_t& from) noexcept;

}  // namespace pillion
