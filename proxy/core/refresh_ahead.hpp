// `refresh: { ahead }` of a route: when a hit has what it answered with fetched anew before it expires. Pure.
#pragma once

#include <cstdint>

namespace pillion {

/// A stored response is hot that has answered so many requests. If all rates of asking are as likely, one asked for n
/// times since it came is asked for not at all in as long a time with a chance of 1 in 2^(n + 1): of those refreshed
/// ahead one in thirty-two is fetched for nobody.
inline constexpr std::uint64_t hot_hits = 4;

/// Whether a fresh response, `ttl_ms` of whose lifetime of `lifetime_ms` are left, is to be refreshed. `ahead`: the
/// share of the lifetime, at its end, in which that may be. `draw`: this process's lot for this very response, from
/// all 64-bit numbers: the moment within that share. It is drawn once for a response, not with each request, so that
/// the replica with the earliest lot refreshes and the others hear of it before theirs comes: if each of a thousand
/// requests a second drew anew, all replicas would begin in the first moment.
bool is_due_ahead(std::int64_t ttl_ms, std::int64_t lifetime_ms, double ahead, std::uint64_t hits,
                  std::uint64_t draw) noexcept;

}  // namespace pillion
