// START HERE. A request's whole life: each line of handle() calls one file. Worker-local.
#pragma once

#include <memory>
#include <string>

#include "flow/context.hpp"
#include "flow/exchange.hpp"
#include "flow/fetcher.hpp"
#include "flow/forwarder.hpp"
#include "net/client_session.hpp"

namespace pillion {

class RequestHandler final : public ClientHandler {
 public:
  explicit RequestHandler(WorkerContext& context) : context_(context), fetcher_(context), forwarder_(context) {}

  const config::Config& settings() const override { return *context_.snapshot->config; }
  bool answer_now(ClientSession& session) override;
  awaitable<void> handle(ClientSession& session) override;
  awaitable<void> tunnel_http2(ClientSession& session) override;
  void note_own_answer(ClientSession& session, unsigned status) override;

 private:
  struct Names;
  bool may_share(const Plan& plan, const Flight::Reader& reader, const ClientSession& session, Now at) const;
  awaitable<void> fetch(ClientSession& session, const Plan& plan, const Found& found, const SnapshotPtr& snapshot,
                        std::string_view request_id, Outcome& outcome);
  enum class Reading : std::uint8_t {
    answered,
    alone,  ///< what was joined isn't for this request, or takes too long: it has to fetch for itself
    again,  ///< the leader's fetch failed in a way that may have been the leader's own doing
  };
  bool may_serve_error(const Found& found) const;
  awaitable<Flight::Phase> wait_head(ClientSession& session, const Plan& plan, Flight::Reader& reader);
  awaitable<Reading> read_flight(ClientSession& session, const Plan& plan, const Found& found, Flight::Reader& reader,
                                 CacheStatus status, Outcome& outcome);
  Reading put_settled(ClientSession& session, const Plan& plan, Flight::Reader& reader, CacheStatus status,
                      Outcome& outcome);
  void refresh(ClientSession& session, const Plan& plan, const Found& found, const SnapshotPtr& snapshot,
               std::string_view request_id);
  void put_only_if_cached(ClientSession& session, const Plan& plan, const Found& found, Outcome& outcome);
  std::shared_ptr<FetchJob> make_job(ClientSession& session, const Plan& plan, const Found& found,
                                     const SnapshotPtr& snapshot, std::string_view request_id);
  void put_hit(ClientSession& session, const Plan& plan, const Found& found, Now at, Outcome& outcome);
  void finish(ClientSession& session, const Snapshot& snapshot, const CompiledRoute& route, const Outcome& outcome,
              const Names* names);
  std::string make_request_id();

  WorkerContext& context_;
  Fetcher fetcher_;
  Forwarder forwarder_;
  Plan scratch_;  // of answer_now(), which never waits
  std::uint64_t next_id_ = 0, id_seed_ = 0;
};

}  // namespace pillion
