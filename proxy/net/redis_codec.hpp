// The Redis protocol (RESP2) without a socket: hiredis' reader inside. Worker-local, no I/O.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "net/redis_reply.hpp"

namespace pillion {

/// Appends one command as an array of binary-safe arguments; there must be one at least.
void append_redis_command(std::span<const std::string> arguments, std::string& out);

/// How the error begins that a reply beyond the reader's bounds is; and the text of `unavailable` for who asked for it.
inline constexpr std::string_view too_much_in_reply = "a reply of too many";

/// Bytes in, replies out, however the bytes are split. Memory is bounded by the bytes received: lengths that a server
/// declares reserve nothing. After the first error no reply comes any more and the connection has to be closed.
class RedisReplyReader {
 public:
  static constexpr std::size_t max_values = 1u << 16;

  /// `max_reply`: bytes of one reply as sent; `most_values`: values in one reply, nested ones counted. More is an
  /// error.
  explicit RedisReplyReader(std::size_t max_reply, std::size_t most_values = max_values);
  ~RedisReplyReader();
  RedisReplyReader(const RedisReplyReader&) = delete;

  /// Takes in what was read. Ask next() until it has nothing before the next call: the bytes have to stay until then.
  void feed(std::string_view bytes);
  /// The next whole reply, nullopt where more bytes are needed or after an error.
  std::optional<RedisReply> next();
  /// What was wrong; empty while all is well.
  const std::string& error() const noexcept { return error_; }
  /// Whether a part of a reply has been fed that next() has not returned.
  bool in_reply() const noexcept;

 private:
  struct Builder;
  bool feed_slice();
  std::unique_ptr<Builder> builder_;
  const std::size_t max_reply_;
  std::string_view waiting_;                 // not yet given to hiredis
  std::size_t slice_ = 0;                    // how much of it is given next
  std::uint64_t fed_ = 0, reply_began_ = 0;  // offsets in the stream
  std::string error_;
};

}  // namespace pillion
