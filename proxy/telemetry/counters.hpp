// Counters of requests, stores and limits. Each worker writes its own block (single writer, relaxed atomics, no sharing
// on the hot path, whence the alignment to cache lines); whoever reports sums over workers at any time.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/reasons.hpp"

namespace pillion {

/// A number that one thread adds to and any thread may read. `add` is no atomic read-modify-write: one writer only.
class Counter {
 public:
  void add(std::uint64_t n = 1) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
  void sub(std::uint64_t n = 1) noexcept { add(~n + 1); }
  std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// As Counter, for several writers.
class SharedCounter {
 public:
  void add(std::uint64_t n = 1) noexcept { value_.fetch_add(n, std::memory_order_relaxed); }
  void sub(std::uint64_t n = 1) noexcept { value_.fetch_sub(n, std::memory_order_relaxed); }
  std::uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

/// Durations in microseconds, in buckets of powers of two from 64 us to 67 s. Histograms of equal shape add up.
class alignas(64) Histogram {
 public:
  static constexpr std::size_t bucket_count = 22;  ///< the last one is +Inf
  /// Upper bound of bucket `i` in microseconds (inclusive); the last has none.
  static constexpr std::uint64_t bound_us(std::size_t i) noexcept { return std::uint64_t{64} << i; }
  void observe_us(std::uint64_t us) noexcept;
  std::uint64_t bucket(std::size_t i) const noexcept { return buckets_[i].get(); }
  std::uint64_t sum_us() const noexcept { return sum_.get(); }
  std::uint64_t count() const noexcept;

 private:
  std::array<Counter, bucket_count> buckets_;
  Counter sum_;
};

/// One worker's figures of one route.
struct alignas(64) RouteCounters {
  std::array<Counter, result_count> results;
  std::array<Histogram, result_count> seconds;
  std::array<Counter, 64> details;  ///< by Detail: misses by reason
  Counter hits_memory, hits_redis, collapsed, bytes, stored;
  Counter shadow_same, shadow_other;  ///< answers beside which the stored one was the same, or another
  Counter encoded, encoded_saved;     ///< answers with an encoded form's body; bytes that the plain one has more
  Counter refreshed_ahead;            ///< fetches begun before what they replace expired
  Counter learned, learned_ms;        ///< refreshes that `adaptive` has learned from; the lifetimes it gave then
  Counter lengthened, shortened;      ///< of these, how many changed the lifetime
  Counter unsure;                     ///< answered from memory while other replicas' invalidations weren't heard
};

/// Limits and deadlines that fired, each by name (product contract, "Limits").
enum class Limit : std::uint8_t {
  target,
  head,
  fields,
  response_head,
  response_fields,
  trailers,
  chunk_extensions,
  interim_responses,
  body,
  connections,
  head_timeout,
  body_timeout,
  idle_timeout,
  write_timeout,
  connect_timeout,
  response_timeout,
  silence_timeout,
  upstream_connections,
  upstream_wait,
  in_flight,
  refresh_in_flight,
  collapse_wait,
  object_memory,
  object_redis,
  variants,
  query_leases,
  query_bodies,
  bad_request,
  bad_response,
  handshake_timeout,
  breaker_open,
};
inline constexpr std::size_t limit_count = 31;
std::string_view to_string(Limit) noexcept;  ///< words with `_`

/// Why a client that was to speak TLS didn't come to terms with this server.
enum class TlsFailure : std::uint8_t { timeout, closed, plain_http, version, protocol, certificate, other };
inline constexpr std::size_t tls_failure_count = 7;
std::string_view to_string(TlsFailure) noexcept;  ///< words with `_`

/// One worker's figures that belong to no route.
struct alignas(64) WorkerCounters {
  std::array<Counter, limit_count> limits;
  Counter client_connections;    ///< open now
  Counter upstream_connections;  ///< open now
  Counter accepted;
  Counter tls_handshakes;                               ///< of clients, done
  std::array<Counter, tls_failure_count> tls_failures;  ///< by TlsFailure
  Counter redis_errors, redis_timeouts, redis_skipped;  ///< skipped: the breaker was open
  Counter suspects_compared, suspects_dropped;          ///< copies in memory whose key had changed in Redis
  Histogram redis_seconds;
  std::atomic<bool> uses_redis{false};  ///< this worker has connections to Redis
  Counter redis_down;                   ///< of those, how many are not up
};

/// Of one upstream, whichever worker asks it.
struct UpstreamFigures {
  std::atomic<bool> breaker_open{false};
  SharedCounter breaker_opened;
};

/// All figures of the process. `route` and `upstream` blocks live as long as this object: a reload only adds names.
class Counters {
 public:
  explicit Counters(std::size_t workers);

  WorkerCounters& worker(std::size_t index) { return *workers_[index]; }
  std::size_t worker_count() const { return workers_.size(); }
  /// One block a worker, made at the first call for that name. Thread-safe; not for the hot path.
  const std::vector<RouteCounters*>& route(const std::string& name);
  const std::vector<Histogram*>& upstream(const std::string& name);
  UpstreamFigures& upstream_figures(const std::string& name);

  SharedCounter invalidations[6];           ///< by Selector::Kind, but for `hashed`, which the log alone has
  SharedCounter evictions;                  ///< of memory
  SharedCounter swept_memory, swept_redis;  ///< stored responses taken out since they were invalidated
  SharedCounter compressed[3];              ///< forms of stored responses made, by Coding
  SharedCounter compression_given_up;       ///< too little saved, or no memory for it
  SharedCounter compression_postponed;      ///< hot, but too many were waiting already
  // Of warming (flow/warmer.hpp).
  SharedCounter warmed[warm_result_count];  ///< URLs, by WarmResult
  std::atomic<bool> warming{false};         ///< what is to be warmed at start isn't yet
  std::atomic<std::uint64_t> warm_done{0};  ///< of it: URLs done
  std::atomic<std::uint64_t> warm_of{0};    ///< and known so far
  SharedCounter warm_late;                  ///< readiness has waited for as long as it may
  // Of the invalidation log; the control thread writes.
  std::atomic<bool> log_up{false};
  std::atomic<std::uint64_t> invalidations_pending{0};  ///< that Redis has not got yet
  Counter log_lost;                                     ///< times that it was lost, and everything distrusted
  Histogram invalidation_lag;                           ///< from a record's id to its being applied here
  /// Every connection to Redis is up; false where there is none.
  bool redis_up() const noexcept;

  template <typename F>
  void for_each_route(F&& f) const {
    std::lock_guard lock(mutex_);
    for (const auto& [name, blocks] : routes_) f(name, blocks);
  }
  template <typename F>
  void for_each_upstream(F&& f) const {
    std::lock_guard lock(mutex_);
    for (const auto& [name, blocks] : upstreams_) f(name, blocks);
  }
  template <typename F>
  void for_each_upstream_figures(F&& f) const {
    std::lock_guard lock(mutex_);
    for (const auto& [name, figures] : upstream_figures_) f(name, figures);
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<WorkerCounters>> workers_;
  std::deque<std::unique_ptr<RouteCounters>> route_blocks_;
  std::deque<std::unique_ptr<Histogram>> upstream_blocks_;
  std::map<std::string, std::vector<RouteCounters*>> routes_;
  std::map<std::string, std::vector<Histogram*>> upstreams_;
  std::map<std::string, UpstreamFigures> upstream_figures_;
};

}  // namespace pillion
