// Passing a request through untouched: body streamed both ways with backpressure, interim answers and upgrades kept; an
// unsafe request that succeeded, or whose outcome can't be known, invalidates before its answer goes to the client.
// Worker-local.
#pragma once

#include "flow/answer_tap.hpp"
#include "flow/context.hpp"
#include "flow/exchange.hpp"
#include "flow/keeper.hpp"
#include "net/client_session.hpp"

namespace pillion {

class Forwarder {
 public:
  explicit Forwarder(WorkerContext& context) : context_(context), keeper_(context) {}

  /// Forwards and answers. `status` goes into Cache-Status. `found`: what a HEAD found stored, and not fresh. `tap`:
  /// who looks at the answer as it passes, or null.
  awaitable<void> forward(ClientSession& session, const Plan& plan, const Found& found, const SnapshotPtr& snapshot,
                          std::string_view request_id, CacheStatus status, Outcome& outcome, AnswerTap* tap = nullptr);

 private:
  struct Exchange;
  using Connection = std::unique_ptr<UpstreamConnection>;
  bool send_now(Exchange& exchange);
  awaitable<UpstreamError> send(Exchange& exchange, bool again);
  awaitable<UpstreamError> read_final_head(Exchange& exchange, UpstreamError error);
  awaitable<void> pump(Exchange& exchange);
  awaitable<void> stop_pump(Exchange& exchange);
  awaitable<void> invalidate(Exchange& exchange, const ResponseHead* response);
  awaitable<void> invalidate_after(Exchange& exchange);
  void note_answered(Exchange& exchange);
  bool answer_now(Exchange& exchange);
  awaitable<void> answer(Exchange& exchange);
  bool may_serve_error(const Exchange& exchange) const;
  awaitable<bool> update_stored(Exchange& exchange);
  awaitable<void> stream_body(Exchange& exchange);
  void put_head(Exchange& exchange);
  awaitable<void> fail(Exchange& exchange, UpstreamError error);

  WorkerContext& context_;
  Keeper keeper_;
};

}  // namespace pillion
