// The query cache: values that the application loads itself, kept where responses are, with leases that say who is to
// load a missing one. What HTTP is made of its answers: flow/query_handler.cpp. Worker-local.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/query_key.hpp"
#include "core/reasons.hpp"
#include "flow/context.hpp"
#include "flow/fleet_lease.hpp"
#include "flow/notice_board.hpp"
#include "flow/query_leases.hpp"
#include "store/query_store.hpp"

namespace pillion {

/// One value that is asked for or told of.
struct Query {
  SnapshotPtr snapshot;
  const CompiledRoute* type = nullptr;  ///< of the snapshot
  std::string type_name;
  QueryKey key;
};

/// What a caller has loaded.
struct QueryValue {
  std::string head;               ///< fields of the answer that are kept, each ended by CRLF
  std::vector<std::string> tags;  ///< besides its own
  std::int32_t max_age = -1;      ///< seconds; no_delta: the type's lifetime; 0: not to be kept at all
  std::string body;
};

struct QueryAnswer {
  StoredResponsePtr value;  ///< nullptr: missing, or not trusted
  Detail tier = Detail::none;
  std::string lease;    ///< where it is missing: this caller is to load it; empty: somebody else is
  bool unsure = false;  ///< the value in memory may be older than an invalidation that isn't heard of
  bool waited = false;  ///< for somebody else's loading
  Now at{};
};

/// A caller who may leave while it waits.
struct QueryCaller {
  bool gone = false;
  NoticeBoard::Waiter* waiting = nullptr;
  void leave() {
    gone = true;
    if (waiting) waiting->wake();
  }
};

enum class QueryPut : std::uint8_t {
  stored,   ///< or, with a lifetime of 0, given up as asked
  lost,     ///< nothing was stored: the lease is unknown or over
  voided,   ///< nothing was stored: it was invalidated since
  pending,  ///< a write: done here, and the other replicas hear of it when Redis is back
};

class QueryCache {
 public:
  explicit QueryCache(WorkerContext& context);

  /// From memory; doesn't wait, and gives no lease.
  QueryAnswer find_now(const Query& query, Now at) const;
  /// The value, from memory or Redis, or as soon as whoever loads it has stored it, within that time; or the lease.
  awaitable<QueryAnswer> get(Query query, std::chrono::milliseconds wait, QueryCaller& caller);
  /// The value without waiting, and without a lease.
  awaitable<QueryAnswer> peek(Query query);
  /// A lease that could not be told to its caller, or is of no use: whoever waits gets it.
  void give_back(const Query& query, const std::string& lease);
  /// It was loaded, and is too large: for a while nobody waits for it. Ends the lease.
  void too_large(const Query& query, const std::string& lease);

  /// Head and body together, bytes: more is not taken.
  std::size_t largest(const Snapshot& snapshot) const;
  awaitable<QueryPut> put(Query query, std::string lease, QueryValue value);
  /// Whatever is stored or being loaded is invalidated first.
  awaitable<QueryPut> write(Query query, QueryValue value);
  /// False where Redis is configured and has not got it yet. `key`: of the one value that it names, if it is one.
  awaitable<bool> invalidate(Selector selector, const QueryKey* key);

  /// Whoever waits gets an answer now, and nobody waits any more.
  void finish_soon();

 private:
  using Time = QueryLeases::Time;
  struct Sought;
  class Seeking;
  class Ending;

  NoticeBoard& board() const;
  bool uses_redis(const Query& query) const;
  bool can_keep(const Query& query) const;
  bool hears(const Query& query) const;
  bool is_void(const Query& query, const Fence& fence, bool in_redis) const;
  std::string lease_name(const Query& query) const;
  FleetLease fleet_lease(const Query& query) const;
  bool is_trusted(const Query& query, const StoredResponse& value, Now came, QueryAnswer& answer) const;
  awaitable<QueryAnswer> find_in_memory(const Query& query, Now came) const;
  awaitable<StoredResponsePtr> find_in_redis(const Query& query, InRedis& seen) const;
  awaitable<Sought> seek(const Query& query) const;
  awaitable<QueryAnswer> look_again(const Query& query, Now came, std::shared_ptr<QueryLeases::Seek> seek) const;
  awaitable<QueryAnswer> wait_or_lead(const Query& query, Now came, Time until, QueryCaller& caller,
                                      NoticeBoard::Waiter& waiter);
  StoredResponsePtr make_value(const Query& query, const QueryValue& value, const Fence& fence) const;
  void keep_in_memory(const Query& query, const StoredResponsePtr& value) const;
  awaitable<bool> is_overtaken_since(const Query& query, const QueryLeases::Lease& lease) const;
  awaitable<QueryPut> put_here(const Query& query, const QueryLeases::Lease& lease, StoredResponsePtr value);
  awaitable<QueryPut> put_in_redis(const Query& query, const std::optional<QueryLeases::Lease>& lease,
                                   std::string token, StoredResponsePtr value);

  WorkerContext& context_;
  std::optional<QueryStore> store_;  // none without Redis
  std::unordered_set<NoticeBoard::Waiter*> waiting_;
  bool finishing_ = false;
};

}  // namespace pillion
