// Fetching what may be stored: one fetch for all who want it, kept while it streams, stored when it is proven whole. A
// fetch belongs to no client's connection. Worker-local.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "flow/context.hpp"
#include "flow/fetch_job.hpp"
#include "flow/keeper.hpp"

namespace pillion {

class Fetcher {
 public:
  explicit Fetcher(WorkerContext& context) : context_(context), keeper_(context) {}

  /// Begins the fetch; its outcome goes to job->flight.
  void start(std::shared_ptr<FetchJob> job);
  /// Whether an answer may be stored, and what readers and stores need of its head. Looks at nothing else of the
  /// connection. The selectors are left out (FetchJob::selectors()).
  std::shared_ptr<FlightHead> judge(const FetchJob& job, UpstreamConnection& connection, Now asked) const;
  /// What is to be stored of an answer that is whole.
  Kept pack(const FetchJob& job, const FlightHead& head, std::string_view body) const;

 private:
  using Connection = std::unique_ptr<UpstreamConnection>;
  awaitable<void> run(std::shared_ptr<FetchJob> job);
  awaitable<bool> is_ours(FetchJob& job);
  awaitable<UpstreamError> ask(FetchJob& job, Connection& connection);
  awaitable<UpstreamError> pass_interim(FetchJob& job, UpstreamConnection& connection);
  /// How a body came to its end.
  struct End {
    bool whole = true;
    std::string trailers;
  };
  awaitable<End> receive(FetchJob& job, UpstreamConnection& connection, Now asked, Kept& kept);
  awaitable<End> receive_body(FetchJob& job, UpstreamConnection& connection,
                              std::optional<UpstreamConnection::Body> part, bool& storing, bool holding);
  awaitable<void> settle(FetchJob& job, Fields not_modified, Now asked, Kept& kept);
  awaitable<void> keep(FetchJob& job, Kept& kept);
  void put(FetchJob& job, Kept& kept);
  awaitable<void> freshen_others(FetchJob& job, const OwnedFields& not_modified, Now asked, Hash128 own);
  void note_failure(const FetchJob& job);
  /// How many requests a stored response has answered, for `adaptive`; nullopt where nothing is to be learned of it.
  std::optional<std::uint64_t> asked_for(const FetchJob& job, const StoredResponse& stored) const;
  void count_learned(const FetchJob& job, const StoredResponse* old, const StoredResponse* fresh) const;

  WorkerContext& context_;
  Keeper keeper_;
};

}  // namespace pillion
