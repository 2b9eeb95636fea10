// What comes back for a Redis command. A plain value.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pillion {

/// A reply, or what kept one from coming.
struct RedisReply {
  enum class Type : std::uint8_t { nil, string, integer, array, error, unavailable };
  Type type = Type::unavailable;  ///< unavailable: no connection, budget used up, breaker open; text says which
  std::string text;               ///< of string, error and unavailable
  std::int64_t integer = 0;
  std::vector<RedisReply> elements;
  /// Of a whole reply: which copy of the data it speaks of (RedisConnection::copy()).
  std::uint64_t copy = 0;
  bool ok() const noexcept { return type != Type::error && type != Type::unavailable; }
};

}  // namespace pillion
