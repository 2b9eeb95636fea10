// Parsing of messages: heads by a parser of our own that notes views into the connection's buffer, with the strictness
// that a proxy needs (RFC 9112 11.1, request smuggling); chunked bodies by Beast's. Sans-I/O, worker-local.
//
// Heads went through Beast's basic_parser before: a hit took 800 instructions more, and 7,900 more with a browser's
// head of fourteen lines. Now 650 of a hit's are spent on its head, 3,500 with the browser's.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
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

/// A piece of a body, decoded in place.
struct BodyPart {
  std::size_t consumed = 0;  ///< bytes of the buffer that are done with
  std::size_t size = 0;      ///< decoded bytes, moved to the front of the buffer
  ParseError error = ParseError::none;
};

class ChunkedBody;

/// One message: its head in one piece, then its body as it arrives.
template <bool IsRequest>
class MessageParser final {
 public:
  /// `fields` is cleared and filled; it is the caller's so that its memory is reused.
  MessageParser(std::vector<Field>& fields, const ParserLimits& limits);
  ~MessageParser();
  MessageParser(const MessageParser&) = delete;

  /// Parses a complete head, empty line included. Views point into `head`. `no_body`: a response to HEAD.
  ParseError parse_head(std::string_view head, bool no_body = false);

  /// Start line, as received.
  std::string_view method() const noexcept { return method_; }
  std::string_view target() const noexcept { return target_; }
  std::string_view reason() const noexcept { return reason_; }
  unsigned status() const noexcept { return status_; }
  unsigned minor() const noexcept { return minor_; }
  /// The fields, and which names they have.
  Fields fields() const noexcept { return {std::span<const Field>(fields_), names_}; }

  /// How the body of this message is delimited (RFC 9112 6.3).
  Framing framing() const noexcept { return framing_; }
  /// Of Framing::length.
  std::uint64_t length() const noexcept { return length_; }
  /// The whole message has been parsed.
  bool complete() const noexcept { return complete_; }

  /// Decodes what is there. `data` is changed: body bytes without chunk framing are moved to its front. Without
  /// progress (consumed 0, no error) more bytes are needed behind those that are there.
  BodyPart decode(std::span<char> data);
  /// Trailer fields that may be passed on, each line ended by CRLF; known once the message is complete.
  std::string_view trailers() const noexcept;
  /// The peer closed: true if the message is complete by that (Framing::until_close alone).
  bool finish_at_close();

 private:
  const char* parse_start_line(const char* at, const char* end, ParseError& error);
  ParseError parse_fields(const char* at, const char* end);
  ParseError check_field(const Field& field);
  ParseError note_length(std::string_view value);
  ParseError check_framing(bool no_body);

  std::vector<Field>& fields_;
  NameSet names_;
  ParserLimits limits_;
  std::string_view method_, target_, reason_;
  std::uint64_t length_ = 0, left_ = 0;  // Content-Length, and what is still to come of it
  std::unique_ptr<ChunkedBody> chunked_;
  unsigned status_ = 0, minor_ = 1;
  Framing framing_ = Framing::none;
  bool complete_ = false;
};

using RequestParser = MessageParser<true>;
using ResponseParser = MessageParser<false>;

/// Where a head ends: the size up to and including its empty line, 0 if it isn't all there, npos if it can't become one
/// (a line feed without a carriage return). `from` says how much was looked at before without result.
std::size_t find_head_end(std::string_view buffer, std::size_t& from) noexcept;

}  // namespace pillion
