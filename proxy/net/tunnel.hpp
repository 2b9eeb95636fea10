// A connection that has left HTTP/1.1: after 101 (Switching Protocols), or HTTP/2 with prior knowledge. Bytes both ways
// until both sides are done. Worker-local.
#pragma once

#include "net/client_session.hpp"
#include "net/upstream_connection.hpp"

namespace pillion {

/// Copies both ways with backpressure and half-closes as the sides do; an error on either side ends both. No deadline
/// while both sides are there, but on one that doesn't take what is sent to it; once one has ended, the other may be
/// silent for the upstream's silence timeout. A peer that has vanished is noticed by TCP's keep-alive, after two
/// minutes.
awaitable<void> tunnel(ClientSession& client, UpstreamConnection& upstream);

}  // namespace pillion
