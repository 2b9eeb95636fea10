// Hashes of cache keys and of invalidation selectors. Pure.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace pillion {

/// 128 bits of a whole primary key: spreads keys and names them in Redis. Never trusted alone:
/// whoever finds an entry by it compares the whole key that the entry carries.
struct Hash128 {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
  friend auto operator<=>(const Hash128&, const Hash128&) = default;
};

Hash128 hash128(std::string_view bytes) noexcept;
std::uint64_t hash64(std::string_view bytes, std::uint64_t seed = 0) noexcept;
/// 32 lower-case hexadecimal digits.
std::string to_hex(const Hash128& hash);
void append_hex(const Hash128& hash, std::string& out);

}  // namespace pillion

template <>
struct std::hash<pillion::Hash128> {
  std::size_t operator()(const pillion::Hash128& h) const noexcept { return static_cast<std::size_t>(h.low); }
};
