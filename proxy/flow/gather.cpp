#include "flow/gather.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <charconv>

namespace pillion {

namespace {

constexpr std::size_t max_masters = 64;

// What one worker has, with routes still by their counters.
struct OfWorker {
  std::vector<std::pair<Decision, std::optional<Trail>>> decisions;
  std::vector<HotKey> hottest;
  std::uint64_t floor = 0;
  std::vector<std::pair<const RouteCounters*, RouteInsight>> routes;
};

bool is_asked(const InsightsAsked& asked, const Decision& decision, const Trail* trail) {
  if (asked.result && decision.result != *asked.result) return false;
  if (!asked.request_id.empty() && decision.id() != asked.request_id) return false;
  if (asked.path.empty()) return true;
  if (trail) return is_asked_path(trail->target, trail->target.size() >= Trail::max_target, asked.path);
  return is_asked_path(decision.target(), (decision.flags & Decision::target_cut) != 0, asked.path);
}

OfWorker take(const Insights& insights, const InsightsAsked& asked) {
  OfWorker own;
  if (asked.decisions > 0) {
    insights.decisions.for_each([&](const Decision& decision, const Trail* trail) {
      if (is_asked(asked, decision, trail)) {
        own.decisions.emplace_back(decision, trail ? std::optional<Trail>(*trail) : std::nullopt);
      }
      return own.decisions.size() < asked.decisions;
    });
  }
  if (asked.hottest > 0 || asked.key) {
    own.floor = insights.hottest.floor();
    for (const HotKey& entry : insights.hottest.entries()) {
      if (asked.key ? entry.key == *asked.key : !entry.name.empty()) own.hottest.push_back(entry);
    }
  }
  if (asked.routes) own.routes.assign(insights.routes().begin(), insights.routes().end());
  return own;
}

// Each worker's own order stays: of equal times the ring knows which came later.
void merge_decisions(std::vector<OfWorker>& workers, const std::map<const RouteCounters*, std::string>& names,
                     std::size_t limit, std::vector<PastDecision>& out) {
  const Now at = now();
  const std::int64_t steady_ns = std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds(1);
  std::vector<std::size_t> next(workers.size(), 0);
  while (out.size() < limit) {
    std::size_t newest = workers.size();
    for (std::size_t i = 0; i < workers.size(); ++i) {
      if (next[i] == workers[i].decisions.size()) continue;
      if (newest == workers.size() ||
          workers[i].decisions[next[i]].first.finished_ns > workers[newest].decisions[next[newest]].first.finished_ns)
        newest = i;
    }
    if (newest == workers.size()) return;
    auto& [decision, trail] = workers[newest].decisions[next[newest]++];
    const auto name = names.find(decision.route);
    const std::int64_t ago_ms = (steady_ns - decision.finished_ns) / 1'000'000;
    out.push_back(
        {decision, at.wall_ms - ago_ms, name == names.end() ? std::string() : name->second, std::move(trail)});
  }
}

}  // namespace

bool is_asked_path(std::string_view recorded, bool cut, std::string_view asked) noexcept {
  if (recorded == asked) return true;
  if (asked.find('?') == std::string_view::npos) {
    const std::string_view path = recorded.substr(0, recorded.find('?'));
    if (path == asked) return true;
    return cut && path.size() == recorded.size() && asked.starts_with(path);
  }
  return cut && asked.starts_with(recorded);
}

awaitable<InsightsFound> gather(Shared& shared, InsightsAsked asked) {
  std::vector<OfWorker> workers;
  for (WorkerContext* worker : shared.workers) {
    workers.push_back(co_await asio::co_spawn(
        worker->executor,
        [](const Insights& insights, const InsightsAsked& what) -> awaitable<OfWorker> {
          co_return take(insights, what);
        }(worker->insights, asked),
        asio::use_awaitable));
  }
  std::map<const RouteCounters*, std::string> names;
  shared.counters.for_each_route([&](const std::string& name, const std::vector<RouteCounters*>& blocks) {
    for (const RouteCounters* block : blocks) names.emplace(block, name);
  });
  InsightsFound found;
  merge_decisions(workers, names, asked.decisions, found.decisions);
  std::vector<std::vector<HotKey>> sketches;
  std::vector<std::uint64_t> floors;
  for (OfWorker& own : workers) {
    sketches.push_back(std::move(own.hottest));
    floors.push_back(own.floor);
    for (const auto& [counters, insight] : own.routes) {
      const auto name = names.find(counters);
      if (name != names.end()) found.routes[name->second].add(insight);
    }
  }
  found.hottest = merge_hot_keys(sketches, floors, std::max<std::size_t>(asked.hottest, asked.key ? 1 : 0));
  co_return found;
}

void read_redis_figures(std::string_view info, RedisFigures& figures) {
  const auto number = [](std::string_view text, std::uint64_t& out) {
    std::uint64_t value = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc()) out = value;
  };
  while (!info.empty()) {
    std::string_view line = info.substr(0, info.find('\n'));
    info.remove_prefix(std::min(info.size(), line.size() + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view name = line.substr(0, colon), value = line.substr(colon + 1);
    if (name == "used_memory") number(value, figures.memory_bytes);
    if (name == "maxmemory") number(value, figures.memory_limit);
    if (name == "maxmemory_policy") figures.policy = value.substr(0, 32);
    if (name == "evicted_keys") number(value, figures.evicted);
    if (name == "expired_keys") number(value, figures.expired);
    if (name == "keyspace_hits") number(value, figures.hits);
    if (name == "keyspace_misses") number(value, figures.misses);
  }
}

awaitable<std::vector<RedisFigures>> ask_redis(Shared& shared) {
  std::vector<RedisFigures> all;
  if (!shared.redis || shared.workers.empty()) co_return all;
  WorkerContext& worker = *shared.workers.front();
  const RedisViewPtr view = shared.redis->view();
  if (!view) co_return all;
  for (const config::Address& master : view->masters) {
    if (all.size() == max_masters) break;
    RedisFigures figures;
    figures.server = master.to_string();
    for (const char* section : {"memory", "stats"}) {
      const RedisReply reply = co_await asio::co_spawn(
          worker.executor,
          [](WorkerContext& context, config::Address where, std::string what) -> awaitable<RedisReply> {
            std::vector<std::string> words{"INFO", std::move(what)};
            co_return co_await context.redis_client->command_at(where, std::move(words));
          }(worker, master, section),
          asio::use_awaitable);
      figures.reachable = reply.type == RedisReply::Type::string;
      if (!figures.reachable) break;
      read_redis_figures(reply.text, figures);
    }
    all.push_back(std::move(figures));
  }
  co_return all;
}

}  // namespace pillion
