// Fetching what may be stored: one fetch for all who want it, kept while it streams, stored when it is proven whole. A
// fetch belongs to no client's connection. Worker-local.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/message.hpp"
#include "flow/context.hpp"
#include "flow/exchange.hpp"
#include "flow/flight.hpp"
#include "flow/keeper.hpp"

namespace pillion {

/// Fields with the bytes they look into.
struct OwnedFields {
  std::string bytes;
  std::vector<Field> fields;
  void copy(Fields from);
};

/// Everything a fetch needs, owned: the client that asked may be gone before it ends.
struct FetchJob {
  Place place;
  const config::Upstream* upstream = nullptr;
  std::shared_ptr<Flight> flight;
  bool collapsing = false;  ///< the collapser knows the flight under `hash`
  std::string wire;         ///< the request to send
  std::string validators;   ///< the lines of it that make it conditional
  OwnedFields request;      ///< the client's fields: for Vary
  RequestFacts facts;
  std::string key;  ///< what it was looked up by: primary, or primary and variant
  Hash128 hash;
  Hash128 plan_hash;                ///< of the primary key it was looked up by
  std::string path_key, exact_key;  ///< the primary key without query, and with all of it
  std::string search_rule;          ///< under which the primary key was made; empty: none
  std::vector<std::string> tags;
  std::string scheme, host, path, query;
  bool has_query = false;
  StoredResponsePtr stale;       ///< what stands there now, not fresh
  StoredResponsePtr validating;  ///< the same where it is asked about with a condition
  bool strong_only = false;      ///< it was invalidated: a strong entity tag alone can tell that it holds
  bool serves_error = false;     ///< `stale` answers where the upstream fails: an error doesn't take its place

  /// Hashes of all that selects the response; false in `complete` where it names more than can be kept.
  std::vector<std::uint32_t> selectors(Fields response_fields, bool& complete) const;
  /// Makes the place that of a response with another search rule.
  void use_rule(const std::string& rule);
};

class Fetcher {
 public:
  explicit Fetcher(WorkerContext& context) : context_(context), keeper_(context) {}

  /// Begins the fetch; its outcome goes to job->flight.
  void start(std::shared_ptr<FetchJob> job);

 private:
  using Connection = std::unique_ptr<UpstreamConnection>;
  awaitable<void> run(std::shared_ptr<FetchJob> job);
  awaitable<UpstreamError> ask(FetchJob& job, Connection& connection);
  awaitable<UpstreamError> read_final_head(FetchJob& job, UpstreamConnection& connection);
  /// How a body came to its end.
  struct End {
    bool whole = true;
    std::string trailers;
  };
  awaitable<End> receive(FetchJob& job, UpstreamConnection& connection, Now asked, Kept& kept);
  awaitable<End> receive_body(FetchJob& job, UpstreamConnection& connection, bool& storing);
  std::shared_ptr<FlightHead> judge(const FetchJob& job, UpstreamConnection& connection, Now asked) const;
  void settle(FetchJob& job, Fields not_modified, Now asked, Kept& kept);
  awaitable<void> freshen_others(FetchJob& job, const OwnedFields& not_modified, Now asked, Hash128 own);
  Kept pack(const FetchJob& job, const FlightHead& head, std::string_view body) const;
  void note_failure(const FetchJob& job);

  WorkerContext& context_;
  Keeper keeper_;
};

}  // namespace pillion
