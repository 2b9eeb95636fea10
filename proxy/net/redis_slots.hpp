// Where a command belongs in a Redis Cluster: its key, the key's slot, and what a node answers that isn't the right
// one. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "config/model.hpp"

namespace pillion {

inline constexpr std::uint16_t redis_slots = 16384;

/// CRC16 of the key, or of what stands between its first `{` and the next `}` where that isn't empty.
std::uint16_t redis_slot(std::string_view key) noexcept;

/// The key of a command, a view into its arguments: the first argument for most, further behind for XREAD, XINFO,
/// OBJECT, MEMORY and EVAL; nullopt for commands without any (PING, INFO, PUBLISH...).
std::optional<std::string_view> redis_key_of(std::span<const std::string> arguments) noexcept;

struct RedisRedirection {
  enum class Kind : std::uint8_t { moved, ask, try_again };
  Kind kind = Kind::moved;
  /// Where to go; its host is empty where the node that answered has it too. Unset for try_again.
  config::Address to;
};
/// What an error reply says of the right node; nullopt for every other error, and for one that is malformed.
std::optional<RedisRedirection> redis_redirection(std::string_view error_text);

/// A host and port as Redis gives them: the host may be empty. False where either can't be.
bool is_redis_host(std::string_view host) noexcept;
std::optional<std::uint16_t> redis_port(std::string_view digits) noexcept;

}  // namespace pillion
