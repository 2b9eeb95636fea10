// `cache: shadow`: the application answers each request as if nothing were cached; what a cache would have answered is
// looked up, compared with that and counted; what it would have fetched is stored. So whatever is wrong with the
// route's key or lifetime shows in the figures and in no answer. Worker-local.
#pragma once

#include "flow/context.hpp"
#include "flow/exchange.hpp"
#include "flow/fetcher.hpp"
#include "flow/forwarder.hpp"
#include "flow/keeper.hpp"
#include "flow/shared_fetch.hpp"
#include "net/client_session.hpp"

namespace pillion {

/// Whether a stored response is what the upstream answers: status, body, and the fields that tell a client what it has
/// (compared_fields below). Dates, validators and directives may differ.
bool is_same_answer(const StoredResponse& stored, unsigned status, Fields fields, std::string_view body);
inline constexpr Name compared_fields[] = {Name::content_type, Name::content_encoding, Name::location};

class Shadow {
 public:
  Shadow(WorkerContext& context, SharedFetch& shared_fetch, Forwarder& forwarder)
      : context_(context), shared_fetch_(shared_fetch), forwarder_(forwarder), judge_(context), keeper_(context) {}

  /// Answers from the upstream. `plan` is one whose `why` is Detail::shadow.
  awaitable<void> answer(ClientSession& session, const Plan& plan, const SnapshotPtr& snapshot,
                         std::string_view request_id, Outcome& outcome);

 private:
  class Tap;
  awaitable<void> store(std::shared_ptr<FetchJob> job, std::shared_ptr<FlightHead> head, std::string body);

  WorkerContext& context_;
  SharedFetch& shared_fetch_;
  Forwarder& forwarder_;
  Fetcher judge_;
  Keeper keeper_;
};

}  // namespace pillion
