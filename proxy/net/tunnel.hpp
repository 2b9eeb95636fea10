// After 101 (Switching Protocols): bytes both ways until both sides are done. Worker-local.
#pragma once

#include "net/client_session.hpp"
#include "net/upstream_connection.hpp"

namespace pillion {

/// Copies both ways with backpressure and half-closes as the sides do; an error on either side ends both. No deadline
/// but on a peer that doesn't take what is sent to it.
awaitable<void> tunnel(ClientSession& client, UpstreamConnection& upstream);

}  // namespace pillion
