// Chunked bodies (RFC 9112 7.1) by Beast's parser: sizes and extensions bounded, framing strict, trailers checked.
// Sans-I/O, worker-local. For message_parser.cpp.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "net/message_parser.hpp"

namespace pillion {

class ChunkedBody {
 public:
  explicit ChunkedBody(const ParserLimits& limits);
  ~ChunkedBody();

  /// As MessageParser::decode().
  BodyPart decode(std::span<char> data);
  bool complete() const noexcept;
  std::string_view trailers() const noexcept;

 private:
  class Parser;
  std::unique_ptr<Parser> parser_;
};

}  // namespace pillion
