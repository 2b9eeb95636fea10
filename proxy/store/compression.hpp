// Stored responses as values in Redis, compressed with zstd where that saves. Any thread: each keeps contexts of its
// own, which grow to what its largest value needs and are used again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/model.hpp"
#include "core/shared_clock.hpp"
#include "core/stored_response.hpp"

namespace pillion {

/// Whether compressing could save: not where the head says that the body is compressed already, by its Content-Encoding
/// or its media type.
bool may_compress(std::string_view head);

/// The value of a response: compressed where head and body together are of `min` or more (and of max_compressed at
/// most), may_compress() says so, and the strings become smaller by an eighth at least; else plain. `shared_offset_ms`
/// as for encode().
std::string write_value(const StoredResponse& response, const config::CompressSettings& settings,
                        std::optional<std::int64_t> shared_offset_ms = {});

/// Head and body together, bytes: beyond it a worker would be away for too long.
inline constexpr std::size_t max_compressed = 8u << 20;

/// As decode() (core/stored_response_codec.hpp), of either form. Of a compressed value whose strings are of more than
/// `largest` bytes, or not of just the size that the value declares, it is a miss; never allocates more than that.
StoredResponsePtr read_value(std::string_view bytes, std::size_t largest, std::string_view primary_key,
                             const SharedNow& now, std::uint64_t local_position, KeyMatch match = KeyMatch::whole);

}  // namespace pillion
