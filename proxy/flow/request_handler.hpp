// START HERE. A request's whole life: each line of handle() calls one file. Worker-local.
#pragma once

#include <memory>
#include <string>

#include "flow/context.hpp"
#include "flow/exchange.hpp"
#include "flow/forwarder.hpp"
#include "flow/shadow.hpp"
#include "flow/shared_fetch.hpp"
#include "net/client_session.hpp"

namespace pillion {

class PassWatch;

class RequestHandler final : public ClientHandler {
 public:
  explicit RequestHandler(WorkerContext& context)
      : context_(context), shared_fetch_(context), forwarder_(context), shadow_(context, shared_fetch_, forwarder_) {
    context_.shared_fetch = &shared_fetch_;
  }

  const config::Config& settings() const override { return *context_.snapshot->config; }
  bool answer_now(ClientSession& session) override;
  awaitable<void> handle(ClientSession& session) override;
  awaitable<void> tunnel_http2(ClientSession& session) override;
  void note_own_answer(ClientSession& session, unsigned status) override;

  /// What the access log says of a request, kept for when its head is gone, and what `why` will.
  struct Names {
    std::string method, target, request_id, trace_id;
    TrailNotes trail;
    std::string host{};
    bool https = false;
  };
  Names names_of(const RequestHead& request);
  /// Counters, access log, and what is remembered of the request (`names` is taken over). Without `names` the head has
  /// to be there yet. `plan`: null where there was no route to be found.
  void finish(ClientSession& session, const Snapshot& snapshot, const CompiledRoute& route, const Plan* plan,
              const Outcome& outcome, Names* names);

 private:
  void put_only_if_cached(ClientSession& session, const Plan& plan, Outcome& outcome);
  void put_hit(ClientSession& session, const Plan& plan, const Found& found, Now at, Outcome& outcome);
  bool refresh_ahead(ClientSession& session, const Plan& plan, const Found& found, Now at, const SnapshotPtr& snapshot,
                     std::string_view request_id);
  void remember(ClientSession& session, const RouteCounters& counters, const Plan* plan, const Outcome& outcome,
                std::chrono::steady_clock::time_point finished, std::uint64_t us, Names* names,
                std::string_view made_id);
  std::unique_ptr<PassWatch> watch_pass(ClientSession& session, const Plan& plan, const Snapshot& snapshot);
  std::string make_request_id();

  WorkerContext& context_;
  SharedFetch shared_fetch_;
  Forwarder forwarder_;
  Shadow shadow_;
  Plan scratch_;  // of answer_now(), which never waits
  std::uint64_t next_id_ = 0, id_seed_ = 0;
};

}  // namespace pillion
