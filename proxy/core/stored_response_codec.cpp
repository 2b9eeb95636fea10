// The bytes of one entry in Redis, version 4. All numbers little-endian:
//
//   magic "PLN" and version byte                                      4
//   store id                                                          8   at 4
//   epoch, shared position                                        2 * 8   at 12
//   form: 0 plain, 1 zstd (the strings are one frame of it)           2   at 28
//   flags: bit 0 vary marker, 1.. facts of the meta                   2   at 30
//   sizes: selectors (count), primary key, readable key, etag, head, body   6 * 4   at 32
//   status                                                            2   at 56
//   directives: one bit each                                          2
//   max-age, s-maxage, stale-while-revalidate, stale-if-error     4 * 4   at 60
//   expires, initial age                                          2 * 4
//   date, last-modified                                           2 * 8   at 84
//   received: by its receiver's wall clock, by the shared clock   2 * 8   at 100
//   lifetime learned, lot for the jitter                          2 * 2   at 116
//   history of changes: how many, watched for how long            4 + 8   at 120
//   selectors                                                     n * 4   at 132
//   strings: primary key, readable key, etag, head, body
//   XXH3-64 of all before it                                          8
//
// What tells whether a value is still the same, and whether it was invalidated, stands first: GETRANGE reads it alone.
// Whoever changes this layout or the meaning of a number in it takes the next version byte.
#include "core/stored_response_codec.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <type_traits>
#include <vector>

#include "core/compressible.hpp"
#include "core/validation.hpp"

namespace pillion {
namespace {

constexpr std::string_view magic{"PLN\x04", 4};
constexpr std::size_t epoch_at = 12, form_at = 28, sizes_at = 32;
constexpr std::size_t fixed_size = 4 + 3 * 8 + 2 * 2 + 6 * 4 + 2 * 2 + 6 * 4 + 4 * 8 + 2 * 2 + 4 + 8;
constexpr std::size_t checksum_size = 8;
constexpr std::int64_t max_date_s = std::int64_t{1} << 40;
constexpr unsigned max_status = 999, max_learned = 1023, max_draw = 127;

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

/// Calls `visit` with each flag, in the order of their bits; what it returns becomes the flag. One list serves both
/// directions.
template <typename Visit>
void visit_flags(ResponseDirectives& d, Visit visit) {
  d.present = visit(d.present);
  d.no_store = visit(d.no_store);
  d.no_cache = visit(d.no_cache);
  d.private_ = visit(d.private_);
  d.public_ = visit(d.public_);
  d.must_revalidate = visit(d.must_revalidate);
  d.proxy_revalidate = visit(d.proxy_revalidate);
  d.must_understand = visit(d.must_understand);
  d.no_transform = visit(d.no_transform);
  d.immutable = visit(d.immutable);
  d.own = visit(d.own);
}
template <typename Visit>
void visit_flags(ResponseMeta& m, Visit visit) {
  m.request_had_cookie = visit(m.request_had_cookie);
  m.request_had_authorization = visit(m.request_had_authorization);
  m.had_set_cookie = visit(m.had_set_cookie);
  m.has_strong_etag = visit(m.has_strong_etag);
  m.has_validator = visit(m.has_validator);
}

using DirectiveNumber = std::int32_t ResponseDirectives::*;
constexpr std::array<DirectiveNumber, 4> directive_numbers{&ResponseDirectives::max_age, &ResponseDirectives::s_maxage,
                                                           &ResponseDirectives::stale_while_revalidate,
                                                           &ResponseDirectives::stale_if_error};

template <typename Struct>
std::uint16_t pack(Struct from) {
  unsigned bits = 0, bit = 1;
  visit_flags(from, [&](bool flag) {
    if (flag) bits |= bit;
    bit <<= 1;
    return flag;
  });
  return static_cast<std::uint16_t>(bits);
}

/// False where a bit is set that means nothing in this version.
template <typename Struct>
bool unpack(unsigned bits, Struct& to) {
  visit_flags(to, [&](bool) {
    const bool flag = (bits & 1) != 0;
    bits >>= 1;
    return flag;
  });
  return bits == 0;
}

struct Sizes {
  std::array<std::uint32_t, 6> of{};  // selectors (count), primary key, readable key, etag, head, body
  std::uint64_t front() const { return fixed_size + std::uint64_t{of[0]} * 4; }
  std::uint64_t strings() const {
    std::uint64_t sum = 0;
    for (std::size_t i = 1; i < of.size(); ++i) sum += of[i];
    return sum;
  }
};

/// The caller has made sure that the fixed part is there.
Sizes read_sizes(std::string_view bytes) {
  Sizes sizes;
  for (std::size_t i = 0; i < sizes.of.size(); ++i) sizes.of[i] = get<std::uint32_t>(bytes, sizes_at + 4 * i);
  return sizes;
}

bool is_date(std::int64_t seconds) { return seconds >= -max_date_s && seconds <= max_date_s; }

bool in_range(const ResponseMeta& meta) {
  const auto delta_ok = [&](DirectiveNumber number) { return meta.directives.*number >= no_delta; };
  return std::ranges::all_of(directive_numbers, delta_ok) && meta.expires_s >= no_delta && meta.initial_age_ms >= 0 &&
         is_date(meta.date_s) && meta.received_wall_ms >= 0;
}

std::int64_t saturating_add(std::int64_t a, std::int64_t b) {
  std::int64_t sum = 0;
  using Limits = std::numeric_limits<std::int64_t>;
  return __builtin_add_overflow(a, b, &sum) ? (b < 0 ? Limits::min() : Limits::max()) : sum;
}

/// When it was received, for whoever has another clock.
std::int64_t received_by_shared_clock(const ResponseMeta& meta, std::optional<std::int64_t> offset_ms) {
  const std::int64_t at = offset_ms ? saturating_add(meta.received_mono_ms, *offset_ms) : meta.received_wall_ms;
  return std::max<std::int64_t>(at, 0);
}

/// By this process's steady clock. The time since receipt is all that is learned from another's.
std::int64_t received_here(std::int64_t received_shared_ms, const SharedNow& at) {
  const std::int64_t now = at.offset_ms ? saturating_add(at.now.mono_ms, *at.offset_ms) : at.now.wall_ms;
  const std::int64_t since = std::max<std::int64_t>(std::max<std::int64_t>(now, 0) - received_shared_ms, 0);
  return saturating_add(at.now.mono_ms, -since);
}

}  // namespace

PlainValue encode_plain(const StoredResponse& response, std::optional<std::int64_t> shared_offset_ms) {
  const ResponseMeta& meta = response.meta();
  const std::span<const std::uint32_t> selectors = response.selectors();
  const std::string readable_key = response.readable_key();
  const std::array<std::string_view, 5> parts{response.primary_key(), readable_key, response.etag(), response.head(),
                                              response.body()};
  Sizes sizes;
  sizes.of[0] = static_cast<std::uint32_t>(selectors.size());
  for (std::size_t i = 0; i < parts.size(); ++i) sizes.of[i + 1] = static_cast<std::uint32_t>(parts[i].size());

  std::string out;
  out.reserve(sizes.front() + sizes.strings() + checksum_size);
  out += magic;
  put(out, response.store_id());
  put(out, response.epoch());
  put(out, response.shared_position());
  put(out, static_cast<std::uint16_t>(ValueForm::plain));
  put(out, static_cast<std::uint16_t>((response.is_vary_marker() ? 1u : 0u) | (unsigned{pack(meta)} << 1)));
  for (const std::uint32_t size : sizes.of) put(out, size);
  put(out, static_cast<std::uint16_t>(meta.status));
  put(out, pack(meta.directives));
  for (const DirectiveNumber number : directive_numbers) put(out, meta.directives.*number);
  put(out, meta.expires_s);
  put(out, meta.initial_age_ms);
  put(out, meta.date_s);
  put(out, std::int64_t{meta.last_modified_s});
  put(out, meta.received_wall_ms);
  put(out, received_by_shared_clock(meta, shared_offset_ms));
  const ChangeHistory history = response.history();
  put(out, static_cast<std::uint16_t>(meta.learned));
  put(out, static_cast<std::uint16_t>(meta.draw));
  put(out, history.changes);
  put(out, history.watched_ms);
  for (const std::uint32_t selector : selectors) put(out, selector);
  for (const std::string_view part : parts) out += part;
  return {std::move(out), static_cast<std::size_t>(sizes.front())};
}

void set_form(std::string& bytes, ValueForm form) {
  bytes[form_at] = static_cast<char>(form);
  bytes[form_at + 1] = 0;
}

void seal(std::string& bytes) { put(bytes, hash64(bytes)); }

std::string encode(const StoredResponse& response, std::optional<std::int64_t> shared_offset_ms) {
  PlainValue value = encode_plain(response, shared_offset_ms);
  seal(value.bytes);
  return std::move(value.bytes);
}

std::optional<std::uint64_t> store_id_of(std::string_view prefix) noexcept {
  if (prefix.size() < store_id_prefix || !prefix.starts_with(magic)) return std::nullopt;
  return get<std::uint64_t>(prefix, magic.size());
}

std::optional<std::size_t> front_size_of(std::string_view prefix) noexcept {
  if (prefix.size() < front_prefix || !prefix.starts_with(magic)) return std::nullopt;
  return fixed_size + std::size_t{get<std::uint32_t>(prefix, sizes_at)} * 4;
}

std::optional<ValueFront> read_front(std::string_view prefix) {
  const auto size = front_size_of(prefix);
  if (!size || prefix.size() < *size) return std::nullopt;
  ValueFront front;
  front.epoch = get<std::uint64_t>(prefix, epoch_at);
  front.shared_position = get<std::uint64_t>(prefix, epoch_at + 8);
  front.selectors.resize((*size - fixed_size) / 4);
  for (std::size_t i = 0; i < front.selectors.size(); ++i) {
    front.selectors[i] = get<std::uint32_t>(prefix, fixed_size + 4 * i);
  }
  return front;
}

std::optional<ValueParts> open_value(std::string_view bytes) noexcept {
  if (bytes.size() < fixed_size + checksum_size || !bytes.starts_with(magic)) return std::nullopt;
  const std::size_t end = bytes.size() - checksum_size;
  if (get<std::uint64_t>(bytes, end) != hash64(bytes.substr(0, end))) return std::nullopt;
  const Sizes sizes = read_sizes(bytes);
  if (sizes.front() > end) return std::nullopt;
  const auto front = static_cast<std::size_t>(sizes.front());
  const auto form = get<std::uint16_t>(bytes, form_at);
  if (form > static_cast<std::uint16_t>(ValueForm::zstd)) return std::nullopt;
  return ValueParts{bytes.substr(0, front), bytes.substr(front, end - front), static_cast<ValueForm>(form),
                    sizes.strings()};
}

StoredResponsePtr decode(std::string_view bytes, std::string_view primary_key, const SharedNow& now,
                         std::uint64_t local_position, KeyMatch match) {
  const auto value = open_value(bytes);
  if (!value || value->form != ValueForm::plain) return nullptr;
  return decode(*value, value->strings, primary_key, now, local_position, match);
}

StoredResponsePtr decode(const ValueParts& value, std::string_view plain_strings, std::string_view primary_key,
                         const SharedNow& now, std::uint64_t local_position, KeyMatch match) {
  Reader reader(value.front.substr(magic.size()));
  StoredParts parts;
  ResponseMeta& meta = parts.meta;
  std::uint16_t form = 0, flags = 0, status = 0, directives = 0, learned = 0, draw = 0;
  std::int64_t last_modified_s = 0, received = 0;
  Sizes sizes;
  reader.read(parts.store_id);
  reader.read(parts.epoch);
  reader.read(parts.shared_position);
  reader.read(form);
  reader.read(flags);
  for (std::uint32_t& size : sizes.of) reader.read(size);
  reader.read(status);
  reader.read(directives);
  for (const DirectiveNumber number : directive_numbers) reader.read(meta.directives.*number);
  reader.read(meta.expires_s);
  reader.read(meta.initial_age_ms);
  reader.read(meta.date_s);
  reader.read(last_modified_s);
  reader.read(meta.received_wall_ms);
  reader.read(received);
  reader.read(learned);
  reader.read(draw);
  reader.read(parts.history.changes);
  reader.read(parts.history.watched_ms);
  if (status > max_status || learned > max_learned || draw > max_draw || !parts.history.is_sane() ||
      !is_date(last_modified_s))
    return nullptr;
  meta.status = status;
  meta.learned = learned;
  meta.draw = draw;
  meta.last_modified_s = last_modified_s;
  if (sizes.strings() != plain_strings.size() || received < 0 || !in_range(meta)) return nullptr;
  if (!unpack(unsigned{flags} >> 1, meta)) return nullptr;
  if (!unpack(directives, meta.directives)) return nullptr;
  parts.vary_marker = (flags & 1) != 0;

  std::vector<std::uint32_t> selectors(sizes.of[0]);
  for (std::uint32_t& selector : selectors) reader.read(selector);
  parts.selectors = selectors;
  Reader strings(plain_strings);
  parts.primary_key = strings.read_bytes(sizes.of[1]);
  const bool ours =
      match == KeyMatch::whole ? parts.primary_key == primary_key : parts.primary_key.starts_with(primary_key);
  if (!ours) return nullptr;
  parts.readable_key = strings.read_bytes(sizes.of[2]);
  parts.etag = strings.read_bytes(sizes.of[3]);
  parts.head = strings.read_bytes(sizes.of[4]);
  parts.body = strings.read_bytes(sizes.of[5]);
  if (!parts.vary_marker) describe_coding(fields_of_head(parts.head), meta);
  parts.position = local_position;
  parts.in_redis = true;
  meta.received_mono_ms = received_here(received, now);
  return StoredResponse::make(parts);
}

}  // namespace pillion
