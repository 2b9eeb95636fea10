// The bytes of one entry in Redis, version 1. All numbers little-endian:
//
//   magic "PLN" and version byte                                      4
//   flags: bit 0 vary marker, 1.. facts of the meta                   4
//   status                                                            2
//   directives: one bit each                                          2
//   max-age, s-maxage, stale-while-revalidate, stale-if-error     4 * 4
//   expires, initial age                                          2 * 4
//   date, last-modified, received (wall clock)                    3 * 8
//   shared position, epoch                                        2 * 8
//   sizes: selectors (count), primary key, readable key, etag, head, body   6 * 4
//   selectors, primary key, readable key, etag, head, body
//   XXH3-64 of all before it                                          8
//
// Whoever changes this layout or the meaning of a number in it takes the next version byte.
#include <algorithm>
#include <array>
#include <limits>
#include <type_traits>
#include <vector>

#include "core/stored_response.hpp"

namespace pillion {
namespace {

constexpr std::string_view magic{"PLN\x01", 4};
constexpr std::size_t fixed_size = 4 + 4 + 2 + 2 + 6 * 4 + 3 * 8 + 2 * 8 + 6 * 4;
constexpr std::size_t checksum_size = 8;
constexpr std::int64_t max_date_s = std::int64_t{1} << 40;

template <typename T>
void put(std::string& out, T value) {
  auto bits = static_cast<std::make_unsigned_t<T>>(value);
  char bytes[sizeof(T)];
  for (char& byte : bytes) {
    byte = static_cast<char>(bits & 0xff);
    bits = static_cast<decltype(bits)>(bits >> 8);
  }
  out.append(bytes, sizeof bytes);
}

template <typename T>
T get(std::string_view bytes, std::size_t at) {
  std::uint64_t bits = 0;
  for (std::size_t i = sizeof(T); i-- > 0;) bits = (bits << 8) | static_cast<unsigned char>(bytes[at + i]);
  return static_cast<T>(bits);
}

/// Reads numbers one after the other. The caller has made sure that they are there.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {}
  template <typename T>
  void read(T& value) {
    value = get<T>(bytes_, at_);
    at_ += sizeof(T);
  }
  std::string_view read_bytes(std::size_t size) {
    at_ += size;
    return bytes_.substr(at_ - size, size);
  }

 private:
  std::string_view bytes_;
  std::size_t at_ = 0;
};

/// The flags of a struct in the order of their bits. One list serves both directions.
using DirectiveFlag = bool ResponseDirectives::*;
constexpr std::array<DirectiveFlag, 11> directive_flags{&ResponseDirectives::present,
                                                        &ResponseDirectives::no_store,
                                                        &ResponseDirectives::no_cache,
                                                        &ResponseDirectives::private_,
                                                        &ResponseDirectives::public_,
                                                        &ResponseDirectives::must_revalidate,
                                                        &ResponseDirectives::proxy_revalidate,
                                                        &ResponseDirectives::must_understand,
                                                        &ResponseDirectives::no_transform,
                                                        &ResponseDirectives::immutable,
                                                        &ResponseDirectives::own};
using DirectiveNumber = std::int32_t ResponseDirectives::*;
constexpr std::array<DirectiveNumber, 4> directive_numbers{&ResponseDirectives::max_age, &ResponseDirectives::s_maxage,
                                                           &ResponseDirectives::stale_while_revalidate,
                                                           &ResponseDirectives::stale_if_error};
using MetaFlag = bool ResponseMeta::*;
constexpr std::array<MetaFlag, 5> meta_flags{&ResponseMeta::request_had_cookie,
                                             &ResponseMeta::request_had_authorization, &ResponseMeta::had_set_cookie,
                                             &ResponseMeta::has_strong_etag, &ResponseMeta::has_validator};

template <typename Bits, typename Struct, std::size_t n>
Bits pack(const Struct& from, const std::array<bool Struct::*, n>& flags) {
  Bits bits = 0;
  for (std::size_t i = 0; i < n; ++i) bits = static_cast<Bits>(bits | (from.*flags[i] ? Bits{1} << i : Bits{0}));
  return bits;
}

/// False where a bit is set that means nothing in this version.
template <typename Bits, typename Struct, std::size_t n>
bool unpack(Bits bits, const std::array<bool Struct::*, n>& flags, Struct& to) {
  for (std::size_t i = 0; i < n; ++i) to.*flags[i] = ((bits >> i) & 1) != 0;
  return (bits >> n) == 0;
}

struct Sizes {
  std::array<std::uint32_t, 6> of{};  // selectors (count), primary key, readable key, etag, head, body
  std::uint64_t total() const {
    std::uint64_t sum = fixed_size + checksum_size + std::uint64_t{of[0]} * 4;
    for (std::size_t i = 1; i < of.size(); ++i) sum += of[i];
    return sum;
  }
};

bool is_date(std::int64_t seconds) { return seconds >= -max_date_s && seconds <= max_date_s; }

bool in_range(const ResponseMeta& meta) {
  const auto delta_ok = [&](DirectiveNumber number) { return meta.directives.*number >= no_delta; };
  return meta.status <= 999 && std::ranges::all_of(directive_numbers, delta_ok) && meta.expires_s >= no_delta &&
         meta.initial_age_ms >= 0 && is_date(meta.date_s) && is_date(meta.last_modified_s) &&
         meta.received_wall_ms >= 0;
}

/// The time since receipt is all that one process can learn from another's clock.
void rebase(ResponseMeta& meta, Now now) {
  meta.received_wall_ms = std::min(meta.received_wall_ms, std::max<std::int64_t>(now.wall_ms, 0));
  const std::int64_t since = std::max<std::int64_t>(now.wall_ms, 0) - meta.received_wall_ms;
  constexpr std::int64_t earliest = std::numeric_limits<std::int64_t>::min();
  meta.received_mono_ms = now.mono_ms < earliest + since ? earliest : now.mono_ms - since;
}

}  // namespace

std::string encode(const StoredResponse& response) {
  const ResponseMeta& meta = response.meta();
  const std::span<const std::uint32_t> selectors = response.selectors();
  const std::array<std::string_view, 5> parts{response.primary_key(), response.readable_key(), response.etag(),
                                              response.head(), response.body()};
  Sizes sizes;
  sizes.of[0] = static_cast<std::uint32_t>(selectors.size());
  for (std::size_t i = 0; i < parts.size(); ++i) sizes.of[i + 1] = static_cast<std::uint32_t>(parts[i].size());

  std::string out;
  out.reserve(sizes.total());
  out += magic;
  put(out,
      static_cast<std::uint32_t>((response.is_vary_marker() ? 1u : 0u) | (pack<std::uint32_t>(meta, meta_flags) << 1)));
  put(out, meta.status);
  put(out, pack<std::uint16_t>(meta.directives, directive_flags));
  for (const DirectiveNumber number : directive_numbers) put(out, meta.directives.*number);
  put(out, meta.expires_s);
  put(out, meta.initial_age_ms);
  put(out, meta.date_s);
  put(out, meta.last_modified_s);
  put(out, meta.received_wall_ms);
  put(out, response.shared_position());
  put(out, response.epoch());
  for (const std::uint32_t size : sizes.of) put(out, size);
  for (const std::uint32_t selector : selectors) put(out, selector);
  for (const std::string_view part : parts) out += part;
  put(out, hash64(out));
  return out;
}

StoredResponsePtr decode(std::string_view bytes, std::string_view primary_key, Now now, std::uint64_t local_position,
                         KeyMatch match) {
  if (bytes.size() < fixed_size + checksum_size || !bytes.starts_with(magic)) return nullptr;
  const std::size_t checked = bytes.size() - checksum_size;
  if (get<std::uint64_t>(bytes, checked) != hash64(bytes.substr(0, checked))) return nullptr;

  Reader reader(bytes.substr(magic.size()));
  StoredParts parts;
  ResponseMeta& meta = parts.meta;
  std::uint32_t flags = 0;
  std::uint16_t directives = 0;
  reader.read(flags);
  reader.read(meta.status);
  reader.read(directives);
  for (const DirectiveNumber number : directive_numbers) reader.read(meta.directives.*number);
  reader.read(meta.expires_s);
  reader.read(meta.initial_age_ms);
  reader.read(meta.date_s);
  reader.read(meta.last_modified_s);
  reader.read(meta.received_wall_ms);
  reader.read(parts.shared_position);
  reader.read(parts.epoch);
  Sizes sizes;
  for (std::uint32_t& size : sizes.of) reader.read(size);
  if (sizes.total() != bytes.size() || !in_range(meta)) return nullptr;
  if (!unpack(static_cast<std::uint32_t>(flags >> 1), meta_flags, meta)) return nullptr;
  if (!unpack(directives, directive_flags, meta.directives)) return nullptr;
  parts.vary_marker = (flags & 1) != 0;

  std::vector<std::uint32_t> selectors(sizes.of[0]);
  for (std::uint32_t& selector : selectors) reader.read(selector);
  parts.selectors = selectors;
  parts.primary_key = reader.read_bytes(sizes.of[1]);
  const bool ours =
      match == KeyMatch::whole ? parts.primary_key == primary_key : parts.primary_key.starts_with(primary_key);
  if (!ours) return nullptr;
  parts.readable_key = reader.read_bytes(sizes.of[2]);
  parts.etag = reader.read_bytes(sizes.of[3]);
  parts.head = reader.read_bytes(sizes.of[4]);
  parts.body = reader.read_bytes(sizes.of[5]);
  parts.position = local_position;
  rebase(meta, now);
  return StoredResponse::make(parts);
}

}  // namespace pillion
