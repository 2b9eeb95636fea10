// What a change in Redis means here: a suspect copy in memory is compared with what stands there, and what a fetch
// brought isn't stored where something changed under it. Worker-local.
#pragma once

#include "core/stored_response.hpp"
#include "flow/context.hpp"
#include "flow/keeper.hpp"

namespace pillion {

/// Whether a suspect copy may be used: it is still what stands in Redis, or is known to have made room there, or its
/// time there was over. True as well where Redis can't be asked. Otherwise it is taken out of memory, from `place`.
awaitable<bool> is_still_good(WorkerContext& context, const config::Route& route, const Hash128& place,
                              StoredResponsePtr copy, Now at);

/// What was noticed of a key since a fetch began.
struct Noticed {
  unsigned times = 0;        ///< LocalOrder::noticed_since()
  std::int64_t last_ms = 0;  ///< the last time, by the steady clock
};
/// Whether that forbids to store what the fetch brought: `before` is what stood there when it began, `after` what does
/// now.
bool is_overtaken(const Noticed& noticed, const InRedis& before, const InRedis& after) noexcept;

/// The same of everything that a fetch would write: the response's key, and the marker's where the URL varies. Puts the
/// marker that stands in Redis now into place.marker where it was read. Doesn't wait unless something changed.
awaitable<bool> is_overtaken(WorkerContext& context, Place& place, const StoredResponse& response, bool varies);

}  // namespace pillion
