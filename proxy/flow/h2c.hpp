// HTTP/2 with prior knowledge, where the listener passes it on: the connection becomes a tunnel to the default
// upstream. Worker-local; called by the request handler.
#pragma once

#include "flow/exchange.hpp"
#include "net/client_session.hpp"

namespace pillion {

/// Passes every byte on both ways, those read so far first, until both sides are done. Nothing of it is cached, and
/// nothing invalidates. The tunnel has an upstream connection of its own, which counts against the upstream's limit.
/// The outcome has status 101, as of an upgrade; where the upstream can't be reached it has 502, 503 or 504, and the
/// client is told so in HTTP/2: GOAWAY with no stream processed, so that it may try again (RFC 9113 6.8).
awaitable<Outcome> tunnel_http2(WorkerContext& context, ClientSession& session, const Snapshot& snapshot);

}  // namespace pillion
