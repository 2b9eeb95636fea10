// Counters: names of limits, the histogram's buckets, and the blocks that a name gets at its first use.
#include "telemetry/counters.hpp"

#include <bit>

namespace pillion {

void Histogram::observe_us(std::uint64_t us) noexcept {
  // Bucket i holds (64 << (i - 1), 64 << i]: the bit width of (us - 1) / 64.
  const auto i = us == 0 ? 0u : static_cast<unsigned>(std::bit_width((us - 1) >> 6));
  buckets_[i < bucket_count ? i : bucket_count - 1].add();
  sum_.add(us);
}

std::uint64_t Histogram::count() const noexcept {
  std::uint64_t total = 0;
  for (const Counter& c : buckets_) total += c.get();
  return total;
}

std::string_view to_string(Limit limit) noexcept {
  switch (limit) {
    case Limit::target:
      return "target";
    case Limit::head:
      return "head";
    case Limit::fields:
      return "fields";
    case Limit::response_head:
      return "response_head";
    case Limit::response_fields:
      return "response_fields";
    case Limit::trailers:
      return "trailers";
    case Limit::chunk_extensions:
      return "chunk_extensions";
    case Limit::interim_responses:
      return "interim_responses";
    case Limit::body:
      return "body";
    case Limit::connections:
      return "connections";
    case Limit::head_timeout:
      return "head_timeout";
    case Limit::body_timeout:
      return "body_timeout";
    case Limit::idle_timeout:
      return "idle_timeout";
    case Limit::write_timeout:
      return "write_timeout";
    case Limit::connect_timeout:
      return "connect_timeout";
    case Limit::response_timeout:
      return "response_timeout";
    case Limit::silence_timeout:
      return "silence_timeout";
    case Limit::upstream_connections:
      return "upstream_connections";
    case Limit::upstream_wait:
      return "upstream_wait";
    case Limit::in_flight:
      return "in_flight";
    case Limit::refresh_in_flight:
      return "refresh_in_flight";
    case Limit::collapse_wait:
      return "collapse_wait";
    case Limit::object_memory:
      return "object_memory";
    case Limit::object_redis:
      return "object_redis";
    case Limit::variants:
      return "variants";
    case Limit::query_leases:
      return "query_leases";
    case Limit::query_bodies:
      return "query_bodies";
    case Limit::bad_request:
      return "bad_request";
    case Limit::bad_response:
      return "bad_response";
    case Limit::handshake_timeout:
      return "handshake_timeout";
    case Limit::breaker_open:
      return "breaker_open";
  }
  return "";
}
static_assert(static_cast<std::size_t>(Limit::breaker_open) + 1 == limit_count);

std::string_view to_string(TlsFailure failure) noexcept {
  switch (failure) {
    case TlsFailure::timeout:
      return "timeout";
    case TlsFailure::closed:
      return "closed";
    case TlsFailure::plain_http:
      return "plain_http";
    case TlsFailure::version:
      return "version";
    case TlsFailure::protocol:
      return "protocol";
    case TlsFailure::certificate:
      return "certificate";
    case TlsFailure::other:
      return "other";
  }
  return "";
}
static_assert(static_cast<std::size_t>(TlsFailure::other) + 1 == tls_failure_count);

Counters::Counters(std::size_t workers) {
  for (std::size_t i = 0; i < workers; ++i) workers_.push_back(std::make_unique<WorkerCounters>());
}

namespace {
template <typename Block>
const std::vector<Block*>& blocks_of(const std::string& name, std::size_t workers,
                                     std::map<std::string, std::vector<Block*>>& by_name,
                                     std::deque<std::unique_ptr<Block>>& owner) {
  const auto [place, is_new] = by_name.try_emplace(name);
  if (is_new) {
    for (std::size_t i = 0; i < workers; ++i)
      place->second.push_back(owner.emplace_back(std::make_unique<Block>()).get());
  }
  return place->second;
}
}  // namespace

const std::vector<RouteCounters*>& Counters::route(const std::string& name) {
  std::lock_guard lock(mutex_);
  return blocks_of(name, workers_.size(), routes_, route_blocks_);
}

const std::vector<Histogram*>& Counters::upstream(const std::string& name) {
  std::lock_guard lock(mutex_);
  return blocks_of(name, workers_.size(), upstreams_, upstream_blocks_);
}

UpstreamFigures& Counters::upstream_figures(const std::string& name) {
  std::lock_guard lock(mutex_);
  return upstream_figures_[name];
}

bool Counters::redis_up() const noexcept {
  bool any = false;
  for (const auto& worker : workers_) {
    if (!worker->uses_redis.load(std::memory_order_relaxed)) continue;
    if (worker->redis_down.get() > 0) return false;
    any = true;
  }
  return any;
}

}  // namespace pillion
