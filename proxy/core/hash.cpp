// Hashes by xxHash's XXH3, the only file that includes it.
#include "core/hash.hpp"

#define XXH_INLINE_ALL
#include <xxhash.h>

namespace pillion {

Hash128 hash128(std::string_view bytes) noexcept {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.high64, hash.low64};
}

std::uint64_t hash64(std::string_view bytes, std::uint64_t seed) noexcept {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), seed);
}

void append_hex(const Hash128& hash, std::string& out) {
  static constexpr char digits[] = "0123456789abcdef";
  char text[32];
  for (int i = 0; i < 16; ++i) {
    const int shift = 60 - 4 * i;
    text[i] = digits[(hash.high >> shift) & 0xf];
    text[16 + i] = digits[(hash.low >> shift) & 0xf];
  }
  out.append(text, sizeof text);
}

std::string to_hex(const Hash128& hash) {
  std::string out;
  append_hex(hash, out);
  return out;
}

}  // namespace pillion
