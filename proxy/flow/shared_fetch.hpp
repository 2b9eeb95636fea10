// Answering with what is fetched for all: joining the flight of a key or leading it, reading it, and what serves where
// it fails. Worker-local.
#pragma once

#include <memory>
#include <string_view>

#include "flow/context.hpp"
#include "flow/exchange.hpp"
#include "flow/fetcher.hpp"
#include "net/client_session.hpp"

namespace pillion {

class SharedFetch {
 public:
  explicit SharedFetch(WorkerContext& context) : context_(context), fetcher_(context) {}

  /// Fetches, or joins who does, and answers. `found`: what is stored, and not fresh.
  awaitable<void> answer(ClientSession& session, const Plan& plan, const Found& found, const SnapshotPtr& snapshot,
                         std::string_view request_id, Outcome& outcome);
  /// Begins to refresh what was just answered with, stale or ahead of its time, in the background, unless that is under
  /// way or has failed lately, or has ended since it was looked up. Whether it did.
  bool refresh(ClientSession& session, const Plan& plan, const Found& found, Now looked_up, const SnapshotPtr& snapshot,
               std::string_view request_id);
  /// What a fetch for this request would need to know. `found` may be empty.
  std::shared_ptr<FetchJob> make_job(const RequestHead& request, const ClientOrigin& origin, const Plan& plan,
                                     const Found& found, const SnapshotPtr& snapshot, std::string_view request_id);
  /// Joins the flight that is under way for the job's key, or begins one; the job has it then. True where it leads: the
  /// fetch has to be started.
  bool join(FetchJob& job, const Plan& plan);
  void start(std::shared_ptr<FetchJob> job) { fetcher_.start(std::move(job)); }

 private:
  enum class Reading : std::uint8_t {
    answered,
    alone,  ///< what was joined isn't for this request, or takes too long: it has to fetch for itself
    again,  ///< the leader's fetch failed in a way that may have been the leader's own doing
  };
  bool may_serve_error(const Found& found) const;
  bool shares_with_fleet(const Plan& plan) const;
  bool is_selected(const Plan& plan, const StoredResponse& stored, const ClientSession& session) const;
  bool may_share(const Plan& plan, const Flight::Reader& reader, const ClientSession& session, Now at) const;
  awaitable<Flight::Phase> wait_head(ClientSession& session, Flight::Reader& reader, config::Milliseconds patience,
                                     Flight::Phase phase);
  awaitable<Reading> read_flight(ClientSession& session, const Plan& plan, const Found& found, Flight::Reader& reader,
                                 CacheStatus status, Outcome& outcome);
  Reading put_settled(ClientSession& session, const Plan& plan, Flight::Reader& reader, CacheStatus status,
                      Outcome& outcome);

  WorkerContext& context_;
  Fetcher fetcher_;
};

}  // namespace pillion
