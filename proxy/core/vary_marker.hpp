// What stands under the primary key of a URL whose responses vary (RFC 9111 4.1): by which fields they do, and which
// variants there are. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/hash.hpp"
#include "core/stored_response.hpp"

namespace pillion {

/// Responses of one URL may differ in what they vary by (a CORS answer names Origin, another doesn't): each stored
/// variant belongs to one list of fields.
struct VaryMarker {
  struct Variant {
    std::uint8_t list = 0;  ///< index into lists
    Hash128 hash;           ///< of variant_key() (core/cache_key.hpp)
    friend bool operator==(const Variant&, const Variant&) = default;
  };
  static constexpr std::size_t max_lists = 4;
  std::vector<std::string> lists;  ///< canonical (canonical_vary()), the one stored last first
  std::vector<Variant> variants;   ///< the one stored last first
  /// A random number that one marker hands on to the next. Another one: it was removed and made anew since, and what it
  /// doesn't name is gone with the one before. 0: none yet.
  std::uint64_t family = 0;
  friend bool operator==(const VaryMarker&, const VaryMarker&) = default;
};

/// Reads what to_parts() has written; what is malformed has no variants. Empty where `marker` is nullptr or no marker.
VaryMarker read_marker(const StoredResponse* marker);

/// Head and body of the stored form. Lists stand in the head, one a line: next_list() reads them without a copy.
struct MarkerBytes {
  std::string head, body;
};
MarkerBytes write_marker(const VaryMarker& marker);

/// Whether a marker names that variant: a response that it doesn't name isn't there, wherever it may stand.
bool names_variant(const StoredResponse& marker, const Hash128& variant) noexcept;
/// VaryMarker::family of a marker; 0 of anything else.
std::uint64_t family_of(const StoredResponse& marker) noexcept;

/// Cuts the next list off a marker's head; empty at the end.
std::string_view next_list(std::string_view& head) noexcept;

/// Notes that a variant was stored. At most `limit` variants (at least 1) and max_lists lists stay: those stored
/// longest ago go, and their hashes come back.
std::vector<Hash128> note_variant(VaryMarker& marker, std::string_view list, const Hash128& variant, std::size_t limit);

}  // namespace pillion
