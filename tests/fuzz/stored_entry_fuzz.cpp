// Stored entries. Random bytes are a miss; with a checksum that holds they are a miss or an entry that encodes to the
// same; an entry made of random parts comes back whole, and with one bit flipped is a miss.
#include <algorithm>
#include <string>
#include <vector>

#include "core/stored_response_codec.hpp"
#include "input.hpp"

using namespace pillion;
using fuzz::require;

namespace {

/// Of the shared clock, which says what this machine's does.
constexpr std::int64_t offset = 1'699'999'000'000;
const SharedNow now({1'700'000'000'000, 1'000'000}, offset);
constexpr std::size_t checksum_size = 8;
/// Where the time of receipt stands: the one number that decode() may change, when it lies in the future.
constexpr std::size_t received_at = 108;
constexpr std::size_t primary_size_at = 36;
constexpr std::size_t fixed_size = 132;

std::uint64_t little_endian(std::string_view bytes, std::size_t at, std::size_t size) {
  std::uint64_t out = 0;
  for (std::size_t i = size; i-- > 0;) out = (out << 8) | static_cast<unsigned char>(bytes[at + i]);
  return out;
}

void put(std::string& bytes, std::size_t at, std::uint64_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) bytes[at + i] = static_cast<char>(value >> (8 * i));
}

void reseal(std::string& bytes) {
  const std::size_t at = bytes.size() - checksum_size;
  put(bytes, at, hash64(std::string_view(bytes).substr(0, at)), checksum_size);
}

/// The primary key that the bytes claim, so that decode() gets past comparing it.
std::string_view claimed_key(std::string_view bytes) {
  if (bytes.size() < fixed_size + checksum_size) return {};
  const std::uint64_t start = fixed_size + 4 * little_endian(bytes, primary_size_at - 4, 4);
  const std::uint64_t size = little_endian(bytes, primary_size_at, 4);
  return start + size <= bytes.size() ? bytes.substr(start, size) : std::string_view{};
}

void check_hostile(std::string_view bytes) {
  require(decode(bytes, {}, now, 1) == nullptr, "random bytes decode");
  if (bytes.size() < checksum_size) return;
  std::string sealed = "PLN\x04" + std::string(bytes);
  reseal(sealed);
  const StoredResponsePtr entry = decode(sealed, claimed_key(sealed), now, 1);
  const auto front = read_front(sealed);
  if (entry == nullptr) return;
  require(front && front->epoch == entry->epoch() && front->shared_position == entry->shared_position() &&
              std::ranges::equal(front->selectors, entry->selectors()),
          "the front alone says something else");
  require(entry->footprint() < sealed.size() + 1024, "an entry is larger than its bytes");
  if (little_endian(sealed, received_at, 8) > static_cast<std::uint64_t>(now.now.wall_ms)) {
    put(sealed, received_at, static_cast<std::uint64_t>(now.now.wall_ms), 8);
    reseal(sealed);
  }
  require(encode(*entry, offset) == sealed, "an accepted entry does not encode to itself");
}

void check_own(fuzz::Input input) {
  StoredParts parts;
  const auto flags = input.byte();
  const std::size_t flip = input.number<std::uint32_t>();
  parts.vary_marker = flags & 1;
  parts.meta.has_validator = flags & 2;
  parts.meta.directives.no_cache = flags & 4;
  parts.meta.status = static_cast<std::uint16_t>(input.number<std::uint16_t>() % 1000);
  parts.meta.date_s = input.number<std::int32_t>();
  parts.meta.received_wall_ms = input.number<std::uint32_t>();
  parts.meta.initial_age_ms = static_cast<std::int32_t>(input.number<std::uint32_t>() >> 1);
  const std::vector<std::uint32_t> selectors(input.byte() % 8, input.number<std::uint32_t>());
  parts.selectors = selectors;
  parts.shared_position = input.number<std::uint64_t>();
  parts.store_id = ~parts.shared_position;
  parts.primary_key = input.line();
  parts.readable_key = input.line();
  parts.etag = input.line();
  parts.head = input.line();
  parts.body = input.rest();
  const StoredResponsePtr made = StoredResponse::make(parts);
  std::string bytes = encode(*made, offset);
  const StoredResponsePtr back = decode(bytes, parts.primary_key, now, 1);
  require(back != nullptr, "an encoded entry does not decode");
  require(back->primary_key() == parts.primary_key && back->readable_key() == parts.readable_key &&
              back->etag() == parts.etag && back->head() == parts.head && back->body() == parts.body &&
              back->is_vary_marker() == parts.vary_marker && back->shared_position() == parts.shared_position &&
              back->meta().status == parts.meta.status && back->meta().date_s == parts.meta.date_s &&
              encode(*back, offset) == bytes,
          "a decoded entry differs");
  require(store_id_of(std::string_view(bytes).substr(0, store_id_prefix)) == parts.store_id, "another store id");
  const std::size_t bit = flip % (bytes.size() * 8);
  bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
  require(decode(bytes, parts.primary_key, now, 1) == nullptr, "a flipped bit went unseen");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  if (input.byte() & 1) {
    check_hostile(input.rest());
  } else {
    check_own(input);
  }
  return 0;
}
