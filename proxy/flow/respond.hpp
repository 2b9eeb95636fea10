// Answers put together: a stored response, a stream from a flight, a problem. Worker-local.
#pragma once

#include "flow/exchange.hpp"
#include "flow/flight.hpp"
#include "net/client_session.hpp"

namespace pillion {

/// `Cache-Status: ...` as the route wants it, ended by CRLF, or nothing.
void append_cache_status_field(const CacheStatus& status, const CompiledRoute& route, std::string& out);

/// A lifetime left as Cache-Status says it (RFC 9211 2.6): rounded down, so that what is stale by a part of a second is
/// negative.
constexpr std::int64_t whole_seconds(std::int64_t ms) noexcept { return ms / 1000 - (ms % 1000 < 0 ? 1 : 0); }

/// Queues a stored response (or 304 where the client has it, or the parts of it that were asked for). No waiting.
/// `status` says how it was found; `more_fields` are lines for this client alone.
void put_stored(ClientSession& session, const StoredResponsePtr& stored, const CompiledRoute& route, Now at,
                CacheStatus status, Outcome& outcome, std::string_view more_fields = {});

/// A stale response where the upstream failed (RFC 5861 4): `answered` is its status, 0 where there was none.
void put_stale_if_error(ClientSession& session, const Found& found, const CompiledRoute& route, unsigned answered,
                        CacheStatus status, Outcome& outcome);

/// Streams a flight to the client as it arrives. The flight's phase is streaming or complete.
awaitable<void> stream_flight(ClientSession& session, Flight::Reader& reader, const CompiledRoute& route,
                              CacheStatus status, Outcome& outcome);

/// The answer where the upstream gave none.
void put_upstream_error(ClientSession& session, UpstreamError error, const CompiledRoute& route, CacheStatus status,
                        Outcome& outcome);

}  // namespace pillion
