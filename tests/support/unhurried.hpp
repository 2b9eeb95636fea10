// Time for Redis, for tests that are not about how long it takes: one that is stopped or killed refuses at once.
#pragma once

namespace pillion::support {

/// Settings of `store.redis`. A machine that runs many tests at once may be slower than the product allows a Redis to
/// be, and a miss or an invalidation that is pending for that reason would change what is counted.
inline constexpr auto unhurried = "    timeout: 5s\n    connect_timeout: 5s\n";

}  // namespace pillion::support
