#include "ops/metrics.hpp"

#include <prometheus/text_serializer.h>

#include <limits>
#include <sstream>

#include "core/invalidation.hpp"
#include "core/reasons.hpp"
#include "ops/stats.hpp"
#include "ops/version.hpp"

namespace pillion {
namespace {

namespace prom = prometheus;
using Labels = std::vector<prom::ClientMetric::Label>;
using Families = std::vector<prom::MetricFamily>;

prom::MetricFamily family(std::string name, std::string help, prom::MetricType type) {
  return {std::move(name), std::move(help), type, {}};
}
prom::MetricFamily counter(std::string name, std::string help) {
  return family(std::move(name), std::move(help), prom::MetricType::Counter);
}
prom::MetricFamily gauge(std::string name, std::string help) {
  return family(std::move(name), std::move(help), prom::MetricType::Gauge);
}
prom::MetricFamily histogram(std::string name, std::string help) {
  return family(std::move(name), std::move(help), prom::MetricType::Histogram);
}

void add(prom::MetricFamily& to, Labels labels, std::uint64_t value) {
  prom::ClientMetric metric;
  metric.label = std::move(labels);
  (to.type == prom::MetricType::Counter ? metric.counter.value : metric.gauge.value) = static_cast<double>(value);
  to.metric.push_back(std::move(metric));
}

void add(prom::MetricFamily& to, Labels labels, const HistogramSum& sum) {
  prom::ClientMetric metric;
  metric.label = std::move(labels);
  std::uint64_t cumulative = 0;
  for (std::size_t i = 0; i < sum.buckets.size(); ++i) {
    cumulative += sum.buckets[i];
    const bool last = i + 1 == sum.buckets.size();
    metric.histogram.bucket.push_back({cumulative, last ? std::numeric_limits<double>::infinity()
                                                        : static_cast<double>(Histogram::bound_us(i)) / 1e6});
  }
  metric.histogram.sample_count = cumulative;
  metric.histogram.sample_sum = static_cast<double>(sum.sum_us) / 1e6;
  to.metric.push_back(std::move(metric));
}

/// Adds up one field of every block.
template <typename Blocks, typename Field>
std::uint64_t total(const Blocks& blocks, Field&& field) {
  std::uint64_t sum = 0;
  for (const auto* block : blocks) sum += field(*block).get();
  return sum;
}

void add_routes(const Counters& counters, Families& out) {
  auto requests = counter("pillion_requests_total", "Requests answered, by route and result.");
  auto seconds = histogram("pillion_request_seconds", "Time from a request's head to the end of its answer.");
  auto hits = counter("pillion_hits_total", "Answers from a store, by the tier that they came from.");
  auto stored = counter("pillion_stored_total", "Responses stored.");
  auto collapsed = counter("pillion_collapsed_total", "Requests that waited for another's fetch.");
  auto unsure =
      counter("pillion_unsure_total", "Answers from memory while the invalidations of other replicas were not heard.");
  auto ahead = counter("pillion_refreshed_ahead_total", "Fetches begun before what they replace had expired.");
  auto lifetimes = counter("pillion_lifetimes_changed_total", "Lifetimes that a refresh has lengthened or shortened.");
  auto shadow = counter("pillion_shadow_total",
                        "Answers of the application beside which a cache's would have been the same, or another.");
  auto encoded = counter("pillion_compressed_answers_total", "Answers from a store with a body compressed here.");
  auto encoded_saved =
      counter("pillion_compressed_saved_bytes_total", "Bytes that these have less than the plain ones.");
  auto bytes = counter("pillion_response_bytes_total", "Bytes of bodies sent to clients.");
  auto details = counter("pillion_details_total", "Answers by the detail of their Cache-Status.");
  counters.for_each_route([&](const std::string& name, const std::vector<RouteCounters*>& blocks) {
    for (std::size_t i = 0; i < result_count; ++i) {
      const std::string result(to_string(static_cast<Result>(i)));
      add(requests, {{"route", name}, {"result", result}},
          total(blocks, [i](const RouteCounters& b) -> const Counter& { return b.results[i]; }));
      HistogramSum sum;
      for (const RouteCounters* block : blocks) sum.add(block->seconds[i]);
      if (sum.count() != 0) add(seconds, {{"route", name}, {"result", result}}, sum);
    }
    using C = const Counter&;
    add(hits, {{"route", name}, {"tier", "memory"}},
        total(blocks, [](const RouteCounters& b) -> C { return b.hits_memory; }));
    add(hits, {{"route", name}, {"tier", "redis"}},
        total(blocks, [](const RouteCounters& b) -> C { return b.hits_redis; }));
    add(stored, {{"route", name}}, total(blocks, [](const RouteCounters& b) -> C { return b.stored; }));
    add(collapsed, {{"route", name}}, total(blocks, [](const RouteCounters& b) -> C { return b.collapsed; }));
    add(unsure, {{"route", name}}, total(blocks, [](const RouteCounters& b) -> C { return b.unsure; }));
    const std::uint64_t early = total(blocks, [](const RouteCounters& b) -> C { return b.refreshed_ahead; });
    if (early != 0) add(ahead, {{"route", name}}, early);
    const std::uint64_t longer = total(blocks, [](const RouteCounters& b) -> C { return b.lengthened; });
    const std::uint64_t shorter = total(blocks, [](const RouteCounters& b) -> C { return b.shortened; });
    if (longer + shorter != 0) {
      add(lifetimes, {{"route", name}, {"to", "longer"}}, longer);
      add(lifetimes, {{"route", name}, {"to", "shorter"}}, shorter);
    }
    const std::uint64_t same = total(blocks, [](const RouteCounters& b) -> C { return b.shadow_same; });
    const std::uint64_t other = total(blocks, [](const RouteCounters& b) -> C { return b.shadow_other; });
    if (same + other != 0) {
      add(shadow, {{"route", name}, {"same", "true"}}, same);
      add(shadow, {{"route", name}, {"same", "false"}}, other);
    }
    const std::uint64_t compressed = total(blocks, [](const RouteCounters& b) -> C { return b.encoded; });
    if (compressed != 0) {
      add(encoded, {{"route", name}}, compressed);
      add(encoded_saved, {{"route", name}}, total(blocks, [](const RouteCounters& b) -> C { return b.encoded_saved; }));
    }
    add(bytes, {{"route", name}}, total(blocks, [](const RouteCounters& b) -> C { return b.bytes; }));
    for (std::size_t i = 0; i < std::tuple_size_v<decltype(RouteCounters::details)>; ++i) {
      const std::string_view word = to_string(static_cast<Detail>(i));
      const std::uint64_t n = total(blocks, [i](const RouteCounters& b) -> C { return b.details[i]; });
      if (n != 0 && !word.empty()) add(details, {{"route", name}, {"detail", std::string(word)}}, n);
    }
  });
  for (auto* f : {&requests, &seconds, &hits, &stored, &collapsed, &unsure, &ahead, &lifetimes, &shadow, &encoded,
                  &encoded_saved, &bytes, &details})
    out.push_back(std::move(*f));
}

void add_upstreams(const Counters& counters, Families& out) {
  auto seconds =
      histogram("pillion_upstream_seconds", "Time from forwarding a request to the upstream's response head.");
  counters.for_each_upstream([&](const std::string& name, const std::vector<Histogram*>& blocks) {
    HistogramSum sum;
    for (const Histogram* block : blocks) sum.add(*block);
    add(seconds, {{"upstream", name}}, sum);
  });
  out.push_back(std::move(seconds));
  auto open = gauge("pillion_upstream_breaker_open", "1 while the upstream is not asked since it has not answered.");
  auto opened = counter("pillion_upstream_breaker_opened_total", "Times that the upstream was given up for a while.");
  counters.for_each_upstream_figures([&](const std::string& name, const UpstreamFigures& figures) {
    add(open, {{"upstream", name}}, figures.breaker_open.load(std::memory_order_relaxed) ? 1 : 0);
    add(opened, {{"upstream", name}}, figures.breaker_opened.get());
  });
  out.push_back(std::move(open));
  out.push_back(std::move(opened));
}

void add_stores(const Counters& counters, const MetricsExtras& extras, Families& out) {
  if (extras.memory_enabled) {
    out.push_back(gauge("pillion_store_bytes", "Bytes that stored responses occupy."));
    add(out.back(), {{"tier", "memory"}}, extras.memory.bytes);
    out.push_back(gauge("pillion_store_entries", "Stored responses; each variant counts."));
    add(out.back(), {{"tier", "memory"}}, extras.memory.entries);
    out.push_back(counter("pillion_store_evictions_total", "Stored responses that had to make room."));
    add(out.back(), {{"tier", "memory"}}, extras.memory.evictions);
  }
  if (extras.memory_enabled) {
    out.push_back(counter("pillion_compressed_total", "Stored responses compressed for clients, by coding."));
    for (std::size_t i = 0; i < coding_count; ++i)
      add(out.back(), {{"coding", std::string(to_string(static_cast<Coding>(i)))}}, counters.compressed[i].get());
    out.push_back(counter("pillion_compression_left_total",
                          "Hot responses that were not compressed: since it saved under an eighth, or since too many "
                          "waited (these are tried again)."));
    add(out.back(), {{"why", "given-up"}}, counters.compression_given_up.get());
    add(out.back(), {{"why", "postponed"}}, counters.compression_postponed.get());
  }
  out.push_back(
      counter("pillion_swept_total", "Stored responses removed since an invalidation had made them useless."));
  if (extras.memory_enabled) add(out.back(), {{"tier", "memory"}}, counters.swept_memory.get());
  if (extras.redis_enabled) add(out.back(), {{"tier", "redis"}}, counters.swept_redis.get());
  if (extras.redis_enabled) {
    out.push_back(gauge("pillion_redis_up", "1 while Redis is used, 0 while it is out of reach."));
    add(out.back(), {}, counters.redis_up() ? 1 : 0);
    out.push_back(gauge("pillion_watch_up", "1 while what others change in Redis is heard of."));
    add(out.back(), {}, extras.watch_up ? 1 : 0);
  }
}

void add_log(const Counters& counters, const MetricsExtras& extras, Families& out) {
  if (!extras.redis_enabled) return;
  out.push_back(gauge("pillion_log_up", "1 while the invalidation log in Redis is heard, to its end."));
  add(out.back(), {}, counters.log_up.load(std::memory_order_relaxed) ? 1 : 0);
  out.push_back(counter("pillion_log_lost_total", "Times that the invalidation log was lost and all was distrusted."));
  add(out.back(), {}, counters.log_lost.get());
  out.push_back(gauge("pillion_invalidations_pending", "Invalidations made here that Redis has not got yet."));
  add(out.back(), {}, counters.invalidations_pending.load(std::memory_order_relaxed));
  HistogramSum lag;
  lag.add(counters.invalidation_lag);
  out.push_back(histogram("pillion_invalidation_lag_seconds",
                          "Time from another replica's invalidation, by its millisecond in the log, to its being "
                          "applied here."));
  add(out.back(), {}, lag);
}

void add_workers(Counters& counters, const MetricsExtras& extras, Families& out) {
  std::vector<const WorkerCounters*> workers;
  for (std::size_t i = 0; i < counters.worker_count(); ++i) workers.push_back(&counters.worker(i));
  using C = const Counter&;
  using W = const WorkerCounters&;
  out.push_back(gauge("pillion_connections", "Open connections."));
  add(out.back(), {{"side", "client"}}, total(workers, [](W w) -> C { return w.client_connections; }));
  add(out.back(), {{"side", "upstream"}}, total(workers, [](W w) -> C { return w.upstream_connections; }));
  out.push_back(counter("pillion_connections_accepted_total", "Client connections accepted."));
  add(out.back(), {}, total(workers, [](W w) -> C { return w.accepted; }));
  out.push_back(counter("pillion_tls_handshakes_total", "TLS handshakes with clients, by what came of them."));
  add(out.back(), {{"outcome", "done"}}, total(workers, [](W w) -> C { return w.tls_handshakes; }));
  for (std::size_t i = 0; i < tls_failure_count; ++i)
    add(out.back(), {{"outcome", std::string(to_string(static_cast<TlsFailure>(i)))}},
        total(workers, [i](W w) -> C { return w.tls_failures[i]; }));
  out.push_back(counter("pillion_limits_total", "Limits and deadlines that fired, each by its name."));
  for (std::size_t i = 0; i < limit_count; ++i)
    add(out.back(), {{"limit", std::string(to_string(static_cast<Limit>(i)))}},
        total(workers, [i](W w) -> C { return w.limits[i]; }));
  if (!extras.redis_enabled) return;
  out.push_back(counter("pillion_suspects_total",
                        "Copies in memory whose key had changed in Redis: compared with it, and dropped since it has "
                        "none or another."));
  add(out.back(), {{"outcome", "compared"}}, total(workers, [](W w) -> C { return w.suspects_compared; }));
  add(out.back(), {{"outcome", "dropped"}}, total(workers, [](W w) -> C { return w.suspects_dropped; }));
  HistogramSum redis;
  for (const WorkerCounters* worker : workers) redis.add(worker->redis_seconds);
  out.push_back(histogram("pillion_redis_seconds", "Time of a command to Redis until its reply."));
  add(out.back(), {}, redis);
  out.push_back(
      counter("pillion_redis_failures_total", "Commands to Redis that gave nothing; skipped: not sent at all."));
  add(out.back(), {{"kind", "error"}}, total(workers, [](W w) -> C { return w.redis_errors; }));
  add(out.back(), {{"kind", "timeout"}}, total(workers, [](W w) -> C { return w.redis_timeouts; }));
  add(out.back(), {{"kind", "skipped"}}, total(workers, [](W w) -> C { return w.redis_skipped; }));
}

void add_process(const Counters& counters, const MetricsExtras& extras, Families& out) {
  out.push_back(counter("pillion_invalidations_total", "Invalidations applied, by what they name."));
  for (std::size_t i = 0; i < std::size(counters.invalidations); ++i)
    add(out.back(), {{"kind", std::string(to_string(static_cast<Selector::Kind>(i)))}},
        counters.invalidations[i].get());
  out.push_back(counter("pillion_access_log_dropped_total", "Lines that the access log could not take."));
  add(out.back(), {}, extras.access_log_dropped);
  out.push_back(gauge("pillion_bypass", "1 while POST /bypass has switched the cache of a route off; `*`: of all."));
  for (const std::string& route : extras.bypassed) add(out.back(), {{"route", route.empty() ? "*" : route}}, 1);
  out.push_back(gauge("pillion_ready", "1 while ready to serve, 0 while starting, warming or draining."));
  add(out.back(), {}, extras.ready ? 1 : 0);
  out.push_back(gauge("pillion_warming", "1 until what is to be warmed at start has been."));
  add(out.back(), {}, counters.warming.load(std::memory_order_relaxed) ? 1 : 0);
  out.push_back(counter("pillion_warmed_total", "URLs that were to be warmed, by what became of them."));
  for (std::size_t i = 0; i < warm_result_count; ++i)
    add(out.back(), {{"result", std::string(to_string(static_cast<WarmResult>(i)))}}, counters.warmed[i].get());
  out.push_back(
      counter("pillion_warm_late_total", "Starts that were ready before all was warmed: ready_after was over."));
  add(out.back(), {}, counters.warm_late.get());
  out.push_back(gauge("pillion_build_info", "Always 1; the version is in the label."));
  add(out.back(), {{"version", std::string(version())}}, 1);
}

}  // namespace

std::string prometheus_text(Counters& counters, const MetricsExtras& extras) {
  Families families;
  add_routes(counters, families);
  add_upstreams(counters, families);
  add_stores(counters, extras, families);
  add_log(counters, extras, families);
  add_workers(counters, extras, families);
  add_process(counters, extras, families);
  // The format gives a family without series no lines but its HELP and TYPE, which nobody needs.
  std::erase_if(families, [](const prom::MetricFamily& f) { return f.metric.empty(); });
  std::ostringstream text;
  text.imbue(std::locale::classic());
  prom::TextSerializer().Serialize(text, families);
  return std::move(text).str();
}

}  // namespace pillion
