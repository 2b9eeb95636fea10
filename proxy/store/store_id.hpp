// Names for values in Redis. Any thread.
#pragma once

#include <cstdint>

namespace pillion {

/// 64 random bits, never 0: a fresh one for each response that is made to be stored.
std::uint64_t new_store_id();

}  // namespace pillion
