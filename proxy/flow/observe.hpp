// What is remembered of requests and answers beside their counters (telemetry/insights.hpp): trails for `why`, digests
// for /advice, the hottest keys. Worker-local.
#pragma once

#include <string>
#include <vector>

#include "core/invalidation.hpp"
#include "flow/answer_tap.hpp"
#include "flow/context.hpp"
#include "flow/exchange.hpp"
#include "flow/fetch_job.hpp"

namespace pillion {

/// What the stores had for a request, after look_up().
void note_look_up(const WorkerContext& context, const Plan& plan, const Found& found, TrailFacts& trail);
/// Names of what is invalidated, as far as there is room.
void note_invalidated(const std::vector<Selector>& selectors, TrailNotes& trail);

/// A response that was fetched to be stored, whole: beside the expired one that it replaces, and beside other answers.
void observe_fetch(WorkerContext& context, const FetchJob& job, const StoredResponse& fetched, Now asked);
/// The upstream said 304: what has expired still holds.
void observe_unchanged(WorkerContext& context, const FetchJob& job);

/// A request's URL in its parts, and by whom it came.
struct AskedUrl {
  std::string_view scheme, host, target, listener;
};
/// What goes into the sketch of hot keys. `weight`: requests that this one stands for. The URL is kept of those GETs
/// that anyone might send: without credentials, on a route whose key has no header, answered with what is stored.
void observe_key(WorkerContext& context, const Plan& plan, const Outcome& outcome, std::uint64_t bytes,
                 std::uint64_t weight, const AskedUrl& url);
/// A request that was no hit in memory, into its route's figures.
void observe_miss(WorkerContext& context, const RouteCounters& route, const Outcome& outcome, std::uint64_t bytes);

/// Looks at answers that aren't stored: would they have been worth it?
class PassWatch final : public AnswerTap {
 public:
  /// Whether answers to such requests are looked at: GETs of whole resources on uncached routes.
  static bool wants(const RequestHead& request, const Plan& plan, bool has_body);
  /// Takes what it needs of the request.
  PassWatch(WorkerContext& context, const RequestHead& request, const Plan& plan, const RouteCounters& route);
  ~PassWatch() override;
  void head(UpstreamConnection& connection, CacheStatus& status) override;
  void body(std::string_view data) override;
  awaitable<void> end() override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace pillion
