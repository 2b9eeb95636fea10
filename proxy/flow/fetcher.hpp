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

namespace pillion {

/// Everything a fetch needs, owned: the client that asked may be gone before it ends.
struct FetchJob {
  SnapshotPtr snapshot;
  const CompiledRoute* route = nullptr;
  const config::Upstream* upstream = nullptr;
  std::shared_ptr<Flight> flight;
  bool collapsing = false;    ///< the collapser knows the flight under `hash`
  std::string wire;           ///< the request to send
  std::string validators;     ///< the lines of it that make it conditional
  std::string head_bytes;     ///< what `fields` look into
  std::vector<Field> fields;  ///< of the client's request: for Vary
  RequestFacts facts;
  std::string primary_key;
  Hash128 primary_hash;
  std::string key;  ///< what it was looked up by: primary, or primary and variant
  Hash128 hash;
  std::string readable_key;  ///< `{key}:{hash}` of the primary key
  std::vector<std::string> tags;
  std::string scheme, host, path, query;
  bool has_query = false;
  StoredResponsePtr validating;  ///< asked about with a condition
  Fence fence;

  /// Copies the fields of a request into head_bytes and fields.
  void copy_fields(Fields from);
  std::vector<std::uint32_t> selectors(Fields response_fields, bool& complete) const;
};

class Fetcher {
 public:
  explicit Fetcher(WorkerContext& context) : context_(context) {}

  /// Begins the fetch; its outcome goes to job->flight.
  void start(std::shared_ptr<FetchJob> job);

 private:
  using Connection = std::unique_ptr<UpstreamConnection>;
  struct Kept {
    StoredResponsePtr response;  ///< nullptr: nothing is stored
    StoredResponsePtr marker;    ///< where the URL varies: says by which fields
    Hash128 hash;
    std::int64_t redis_ttl_ms = 0;
  };
  awaitable<void> run(std::shared_ptr<FetchJob> job);
  awaitable<UpstreamError> ask(FetchJob& job, Connection& connection);
  awaitable<void> receive(FetchJob& job, UpstreamConnection& connection, Now asked, Kept& kept, bool& whole);
  awaitable<bool> receive_body(FetchJob& job, UpstreamConnection& connection, bool& storing);
  std::shared_ptr<FlightHead> judge(const FetchJob& job, UpstreamConnection& connection, Now asked) const;
  std::size_t largest_storable(const FetchJob& job) const;
  void count_too_large(const FetchJob& job) const;
  Kept freshen(const FetchJob& job, UpstreamConnection& connection, Now asked, StoredResponsePtr& fresh) const;
  Kept pack(const FetchJob& job, const FlightHead& head, std::string_view body) const;
  void keep_in_memory(const FetchJob& job, const Kept& kept);
  awaitable<void> keep_in_redis(const FetchJob& job, const Kept& kept);
  bool uses_redis(const FetchJob& job) const;

  WorkerContext& context_;
};

}  // namespace pillion
