// The versioned bytes of one entry in Redis, independent of the compiler's layout: a front of numbers, which always
// stands plain, so that a GETRANGE of a value's beginning tells what it is; its strings, plain or packed
// (store/compression.hpp); a checksum over both. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/shared_clock.hpp"
#include "core/stored_response.hpp"

namespace pillion {

/// What every value begins with, of whatever version.
inline constexpr std::string_view value_mark = "PLN";

/// A value with its strings plain. `shared_offset_ms` is the shared clock's (SharedClock::offset_ms()), which tells its
/// readers when it was received.
std::string encode(const StoredResponse& response, std::optional<std::int64_t> shared_offset_ms = {});

/// nullptr for anything that is not exactly an entry of this version, with plain strings, whose primary key is
/// `primary_key` (or, where asked, begins with it): foreign, cut, flipped, of another version or of another key, or
/// with numbers out of range (times from 0 on and dates within 2^40 s of 1970, so that arithmetic on them can't
/// overflow). Never allocates more than the size of `bytes` plus a constant. `now` turns the time of receipt into this
/// process's steady one (a time in the future counts as now); `local_position` becomes position().
StoredResponsePtr decode(std::string_view bytes, std::string_view primary_key, const SharedNow& now,
                         std::uint64_t local_position, KeyMatch match = KeyMatch::whole);

/// So many bytes of a value's beginning are enough for store_id_of(): `GETRANGE key 0 11`.
inline constexpr std::size_t store_id_prefix = 12;
/// The store id (StoredResponse::store_id()) of the value that begins so; nullopt where it is none of this version.
std::optional<std::uint64_t> store_id_of(std::string_view prefix) noexcept;

/// What a value's beginning tells of when it was fetched and what selects it: enough to know whether it was
/// invalidated.
struct ValueFront {
  std::uint64_t epoch = 0, shared_position = 0;
  std::vector<std::uint32_t> selectors;
};
/// So many bytes are enough for front_size_of().
inline constexpr std::size_t front_prefix = 36;
/// How many bytes of the value that begins so are its front; nullopt where it is none of this version.
std::optional<std::size_t> front_size_of(std::string_view prefix) noexcept;
/// nullopt unless the whole front is there. Nothing tells whether its bytes are right: the checksum is of the whole
/// value.
std::optional<ValueFront> read_front(std::string_view prefix);

/// How the strings of a value stand there.
enum class ValueForm : std::uint16_t { plain, zstd };

/// A value taken apart: views into its bytes.
struct ValueParts {
  std::string_view front;
  std::string_view strings;  ///< as they stand there
  ValueForm form = ValueForm::plain;
  std::uint64_t strings_size = 0;  ///< of the plain strings, as the front declares it: not yet held to any bound
};

/// nullopt unless magic, version and checksum are right and the front is whole.
std::optional<ValueParts> open_value(std::string_view bytes) noexcept;
/// As decode(), of a value that open_value() took apart, its strings plain by now.
StoredResponsePtr decode(const ValueParts& value, std::string_view plain_strings, std::string_view primary_key,
                         const SharedNow& now, std::uint64_t local_position, KeyMatch match);

/// Front and plain strings, without the checksum.
struct PlainValue {
  std::string bytes;
  std::size_t front_size = 0;
};
PlainValue encode_plain(const StoredResponse& response, std::optional<std::int64_t> shared_offset_ms = {});
/// Changes the form that a front names.
void set_form(std::string& bytes, ValueForm form);
/// Appends the checksum, which makes front and strings a value.
void seal(std::string& bytes);

}  // namespace pillion
