// What requests are served with: the configuration in force, what the whole process shares, what a worker owns.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "config/model.hpp"
#include "core/route_table.hpp"
#include "core/time.hpp"
#include "flow/bypass.hpp"
#include "flow/collapser.hpp"
#include "flow/hit_counts.hpp"
#include "flow/invalidation_log.hpp"
#include "flow/notice_board.hpp"
#include "flow/query_leases.hpp"
#include "flow/search_rules.hpp"
#include "net/deadline.hpp"
#include "net/upstream_pool.hpp"
#include "store/answer_compressor.hpp"
#include "store/memory_store.hpp"
#include "store/redis_store.hpp"
#include "store/store_id.hpp"
#include "telemetry/counters.hpp"
#include "telemetry/insights.hpp"
#include "telemetry/log.hpp"

namespace pillion {

/// One configuration with everything that is worked out from it. Immutable; requests keep the one they began with.
struct Snapshot {
  Snapshot(std::shared_ptr<const config::Config> settings, Counters& counters);

  std::shared_ptr<const config::Config> config;
  std::shared_ptr<const RouteTable> routes;
  std::vector<std::string> listeners;  ///< their names, each once; empty for unnamed ones
  CompiledRoute unmatched;             ///< for what no route matches: passed through; named `-`
  bool has_default_upstream = false;   ///< unmatched.upstream means something
  /// Of the query cache: a type as a route, called `query:{type}`; nullptr where there is no such type.
  const CompiledRoute* query_type(std::string_view type) const {
    const auto found = query_types.find(type);
    return found == query_types.end() ? nullptr : &found->second;
  }
  std::map<std::string, CompiledRoute, std::less<>> query_types;
  CompiledRoute query_unmatched;  ///< for what names none; called `query:-`
  std::vector<const std::vector<RouteCounters*>*>
      route_counters;  ///< by route index, one block a worker; unmatched and the query cache's stand behind
  std::vector<const std::vector<Histogram*>*> upstream_counters;  ///< by upstream index
};
using SnapshotPtr = std::shared_ptr<const Snapshot>;

class RedisWatch;
class SharedFetch;
struct WorkerContext;

/// Of the whole process. Every member hides its locks.
struct Shared {
  Shared(Counters& c, Log& l, InvalidationLog& i, RedisTopology* r, RedisWatch* w, const config::MemorySettings& m)
      : counters(c),
        log(l),
        invalidations(i),
        redis(r),
        watch(w),
        memory(m.enabled ? m.size : 0, m.enabled ? m.max_object : 0),
        compressor(memory, c),
        lot(new_store_id()) {}
  Counters& counters;
  Log& log;
  InvalidationLog& invalidations;
  RedisTopology* redis;  ///< null without Redis
  RedisWatch* watch;     ///< likewise
  MemoryStore memory;
  AnswerCompressor compressor;  ///< of what stands in `memory`
  Collapser collapser;
  SearchRules search_rules;
  std::array<std::mutex, 64> variant_locks;  ///< of a URL's marker, by its hash (flow/keeper.cpp)
  UpstreamLimits upstream_limits{counters, log};
  QueryLeases query_leases;
  NoticeBoard query_board;                   ///< without Redis; else that of `watch` serves
  std::atomic<std::size_t> query_bodies{0};  ///< bytes of values for the query cache that are on their way
  Bypass bypass;
  std::string
      own_host;  ///< of paths that are warmed without a canonical_host: where it listens; set before threads are
  std::atomic<bool> redis_full{false};  ///< it would have to evict for what is stored; known while something is warmed
  HitCounts hits;
  const std::uint64_t lot;              ///< of this process alone: when it refreshes ahead
  std::vector<WorkerContext*> workers;  ///< all of them, before the first request; as long as this object is used
};

/// Of one worker; used on its thread alone.
struct WorkerContext {
  WorkerContext(std::size_t i, asio::any_io_executor e, Shared& s)
      : index(i),
        executor(e),
        shared(s),
        counters(s.counters.worker(i)),
        deadlines(e),
        upstreams(e, deadlines, s.upstream_limits, counters) {
    shared.workers.push_back(this);
  }
  std::size_t index;
  asio::any_io_executor executor;
  Shared& shared;
  WorkerCounters& counters;
  Deadlines deadlines;
  UpstreamPool upstreams;
  std::unique_ptr<RedisClient> redis_client;
  std::unique_ptr<RedisStore> redis;
  SnapshotPtr snapshot;
  Insights insights;
  SharedFetch* shared_fetch = nullptr;  ///< its request handler's, which sets it

  RouteCounters& route_counters(const Snapshot& s, const CompiledRoute& route) const {
    return *(*s.route_counters[route.index])[index];
  }
};

Now now();
/// The moment of a reading of the steady clock that is of just now; its wall clock is right to a few milliseconds.
/// Three times cheaper than now().
Now now_at(std::chrono::steady_clock::time_point mono);

}  // namespace pillion
