// Putting responses into the stores, and taking them out: memory first, then Redis; variants and their marker together.
// Worker-local.
#pragma once

#include <string>
#include <vector>

#include "flow/context.hpp"
#include "flow/exchange.hpp"

namespace pillion {

/// Where the responses of one URL stand.
struct Place {
  SnapshotPtr snapshot;
  const CompiledRoute* route = nullptr;
  std::string primary_key;
  Hash128 primary_hash;
  std::string readable_key;  ///< `{key}:{hash}` of the primary key
  StoredResponsePtr marker;  ///< the one that the look-up found, if any
  Fence fence;
  InRedis seen;                  ///< what stood in Redis under readable_key before the fetch
  InRedis seen_variant;          ///< and under that of the variant that was looked for
  std::string seen_variant_key;  ///< empty: none was
  bool cold = false;             ///< no client has asked for it: nothing hotter makes room (MemoryStore::store_cold())
};

/// A response on its way into the stores.
struct Kept {
  StoredResponsePtr response;  ///< nullptr: nothing is stored
  std::string vary;            ///< canonical; empty where the URL doesn't vary
  Hash128 variant;             ///< of its variant's key, where it varies
  StoredResponsePtr marker;    ///< made by put()
  std::int64_t marker_ttl_ms = 0;
  std::vector<Hash128> dropped;  ///< variants that made room
};

class Keeper {
 public:
  explicit Keeper(WorkerContext& context) : context_(context) {}

  bool uses_redis(const Place& place) const;
  /// Head and body together, bytes; 0 where nothing can be stored.
  std::size_t largest(const Place& place) const;
  void count_too_large(const Place& place) const;
  /// Why nothing would be kept of a response that may be stored: no store at all, or Redis alone and no time left
  /// there.
  Detail cannot_keep(const Place& place, const ResponseMeta& meta) const;

  /// Into memory; works out the marker.
  void put(const Place& place, Kept& kept);
  awaitable<void> put_in_redis(const Place& place, const Kept& kept);
  /// Lets go of what is to be kept where something in Redis was removed or replaced since the fetch began: whoever did
  /// that has the last word. Before put().
  awaitable<void> drop_overtaken(Place& place, Kept& kept);

  /// Whether nothing more recent has taken the place of a response in memory since it was found. True where memory
  /// isn't used.
  bool still_stands(const Place& place, const StoredResponse& stored) const;
  /// Replaces one stored variant (or the only response) by its freshened form, where nothing else has meanwhile.
  awaitable<void> replace(const Place& place, StoredResponsePtr old, StoredResponsePtr fresh);
  /// Takes a response out of both stores: it is known not to hold any more.
  awaitable<void> forget(const Place& place, StoredResponsePtr stored);

 private:
  void store_in_memory(const Place& place, const Hash128& hash, StoredResponsePtr response);
  bool take_in_memory(const Place& place, const Hash128& hash, const StoredResponsePtr& response);
  awaitable<void> store_in_redis(StoredResponsePtr response, std::int64_t ttl_ms);
  void drop_in_memory(const Place& place, const std::vector<Hash128>& variants);

  WorkerContext& context_;
};

/// A marker lives as long as the longest-lived variant it names. What is left of that, in milliseconds; 0 without one.
std::int64_t marker_left_ms(const StoredResponse* marker, Now at);
/// The steady time when a response or marker expires in Redis.
std::int64_t expires_in_redis_ms(const StoredResponse& stored, const config::Route& route, Now at);

/// How long an entry is worth its place in Redis: its lifetime, its longest stale window, and `keep` where it can be
/// validated.
std::int64_t redis_ttl_ms(const ResponseMeta& meta, const config::Route& route, Now now);

}  // namespace pillion
