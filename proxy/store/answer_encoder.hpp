// A body in another content coding: zstd, brotli, gzip, each at a level that takes its time, since it is done once and
// sent many times. For the answer compressor's thread.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "core/content_coding.hpp"

namespace pillion {

/// The whole of `body` in that coding; nullopt where that takes more than `limit` bytes, where `go_on` says no (asked
/// after each slice of 64 KiB), where memory is short, and for identity.
std::optional<std::string> encode_body(Coding coding, std::string_view body, std::size_t limit,
                                       const std::function<bool()>& go_on);

}  // namespace pillion
