// Cache-Status (RFC 9211), written as a structured field. Pure.
#pragma once

#include <string>

#include "core/reasons.hpp"

namespace pillion {

/// Appends the value, such as `pillion; hit; ttl=271; detail=memory`. Order: hit, or else fwd, fwd-status, stored,
/// collapsed; then ttl, key, detail, and `coding` (no parameter of the RFC's) of an
/// encoded form. Of a hit what belongs to forwarding is left out. The key goes in as a quoted
/// sf-string, with bytes outside 0x20-0x7e percent-encoded.
void append_cache_status(const CacheStatus& status, std::string& out);

}  // namespace pillion
