#include "flow/warmer.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "flow/hot_list.hpp"
#include "flow/redis_watch.hpp"
#include "flow/site_pages.hpp"

namespace pillion {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds keep_every = 1min;
constexpr std::chrono::milliseconds ask_again = 250ms;
// Redis is in nobody's way: where it can't say what was hot, that isn't waited for.
constexpr std::chrono::milliseconds redis_patience = 2s;
constexpr std::chrono::milliseconds look_again = 20ms;
constexpr std::size_t most_told = 10;  // failures that are told one by one

awaitable<bool> answers(WorkerContext& worker) {
  co_return co_await asio::co_spawn(
      worker.executor,
      [](WorkerContext& context) -> awaitable<bool> {
        co_return (co_await context.redis_client->command(std::vector<std::string>{"PING"})).ok();
      }(worker),
      asio::use_awaitable);
}

}  // namespace

Warmer::Warmer(asio::any_io_executor executor, Shared& shared, std::shared_ptr<const config::Config> config)
    : executor_(executor),
      shared_(shared),
      config_(std::move(config)),
      slots_(executor, config_->warm.concurrency),
      ready_timer_(executor),
      pause_(executor),
      keep_timer_(executor) {}

void Warmer::start(std::function<void()> when_ready) {
  when_ready_ = std::move(when_ready);
  begun_ = Clock::now();
  until_ = begun_ + config_->warm.ready_after;
  asio::co_spawn(executor_, keep_hottest(), asio::detached);
  if (!config_->warm.any()) return end_start();
  shared_.counters.warming.store(true, std::memory_order_relaxed);
  if (config_->warm.ready_after.count() == 0) be_ready();
  ready_timer_.expires_at(until_);
  ready_timer_.async_wait([this](error_code error) {
    if (error || !when_ready_) return;
    shared_.counters.warm_late.add();
    shared_.log.warn("ready before all is warmed: ready_after is over; " + summary());
    be_ready();
  });
  asio::co_spawn(executor_, warm_at_start(), asio::detached);
}

void Warmer::be_ready() {
  if (auto ready = std::exchange(when_ready_, nullptr)) ready();
}

void Warmer::end_start() {
  start_ended_ = true;
  shared_.counters.warming.store(false, std::memory_order_relaxed);
  ready_timer_.cancel();
  be_ready();
}

void Warmer::use(std::shared_ptr<const config::Config> config) {
  const bool others = config->warm != config_->warm;
  config_ = std::move(config);
  if (!others) return;
  slots_.set_most(config_->warm.concurrency);
  if (start_ended_) return;
  shared_.log.info("warming at start ends: its settings have changed");
  if (start_run_) start_run_->stop();
  end_start();
  pause_.cancel();
}

std::shared_ptr<WarmRun> Warmer::begin(std::vector<WarmTarget> targets) {
  std::erase_if(runs_, [](const auto& run) { return run.expired(); });
  if (stopped_ || runs_.size() >= max_runs) return nullptr;
  auto run = std::make_shared<WarmRun>(executor_, shared_, slots_, std::move(targets), Clock::time_point::min());
  runs_.push_back(run);
  run->start();
  return run;
}

void Warmer::stop() {
  stopped_ = true;
  when_ready_ = nullptr;
  ready_timer_.cancel();
  pause_.cancel();
  keep_timer_.cancel();
  if (start_run_) start_run_->stop();
  for (const auto& weak : runs_)
    if (const auto run = weak.lock()) run->stop();
}

awaitable<void> Warmer::pause(std::chrono::milliseconds time) {
  pause_.expires_after(time);
  co_await pause_.async_wait(no_throw);
}

// What was chosen by hand first; then what is likely to be asked for; then all the rest.
awaitable<void> Warmer::warm_at_start() {
  if (shared_.redis) co_await wait_for_redis();
  if (!may_go_on()) co_return;
  std::vector<WarmTarget> targets;
  for (const std::string& url : config_->warm.urls) targets.push_back({{}, url});
  co_await warm_all(std::move(targets));
  if (may_go_on() && config_->warm.hottest > 0) co_await warm_hottest();
  if (may_go_on() && !config_->warm.sitemap.empty()) co_await warm_pages();
  if (stopped_ || start_ended_) co_return;
  shared_.log.info(summary());
  end_start();
}

// What others have there is found, and they are waited for, only once its log and its changes are heard.
awaitable<void> Warmer::wait_for_redis() {
  const auto until = std::min(until_, Clock::now() + redis_patience);
  const auto hears = [&] { return shared_.invalidations.redis_ready() && shared_.watch && shared_.watch->is_up(); };
  while (may_go_on() && !hears() && Clock::now() < until) co_await pause(look_again);
  // Each worker has a connection of its own, which may be later.
  for (WorkerContext* worker : shared_.workers) {
    while (may_go_on() && Clock::now() < until && !co_await answers(*worker)) co_await pause(look_again);
  }
}

awaitable<void> Warmer::warm_hottest() {
  const auto until = std::min(until_, Clock::now() + redis_patience);
  for (;;) {
    const config::Warm settings = config_->warm;
    const config::RedisSettings redis = config_->redis;
    const auto hottest = co_await load_hottest(shared_, settings, redis);
    if (!may_go_on()) co_return;
    if (hottest) {
      std::vector<WarmTarget> targets;
      for (const HotUrl& hot : *hottest) targets.push_back(hot.target);
      co_return co_await warm_all(std::move(targets));
    }
    if (!settings.file.empty() || Clock::now() >= until) break;
    co_await pause(ask_again);
    if (!may_go_on()) co_return;
  }
  shared_.log.warn("what was asked for most before the last end can't be read from " +
                   (config_->warm.file.empty() ? "Redis" : config_->warm.file));
}

awaitable<void> Warmer::warm_pages() {
  for (;;) {
    const std::string sitemap = config_->warm.sitemap, host = config_->canonical_host;
    SitePages site = co_await site_pages(*shared_.workers.front(), sitemap, host, max_pages);
    if (!may_go_on()) co_return;
    if (site.again && Clock::now() < until_) {
      co_await pause(ask_again);
      if (!may_go_on()) co_return;
      continue;
    }
    if (!site.wrong.empty()) shared_.log.warn("sitemap " + site.wrong);
    if (site.left_out > 0) {
      shared_.log.warn("sitemap " + sitemap + ": left out " + std::to_string(site.left_out) +
                       ": of another host (is canonical_host right?), no URLs, or over " + std::to_string(max_pages));
    }
    co_return co_await warm_all(std::move(site.pages));
  }
}

awaitable<void> Warmer::warm_all(std::vector<WarmTarget> targets) {
  std::erase_if(targets, [&](const WarmTarget& target) { return !seen_.insert(target).second; });
  if (targets.empty()) co_return;
  shared_.counters.warm_of.fetch_add(targets.size(), std::memory_order_relaxed);
  const auto run = std::make_shared<WarmRun>(executor_, shared_, slots_, std::move(targets), until_);
  start_run_ = run;
  run->start();
  while (const auto url = co_await run->next()) {
    shared_.counters.warm_done.fetch_add(1, std::memory_order_relaxed);
    note(*url);
  }
}

void Warmer::note(const WarmedUrl& url) {
  ++tally_.results[static_cast<std::size_t>(url.warmed.result)];
  if (url.warmed.result != WarmResult::failed || tally_.told >= most_told) return;
  ++tally_.told;
  shared_.log.warn(
      url.target.url + " is not warmed: " +
      (url.warmed.status != 0 ? "the upstream answered " + std::to_string(url.warmed.status) : url.warmed.reason));
}

std::string Warmer::summary() const {
  std::size_t done = 0;
  std::string parts;
  for (std::size_t i = 0; i < warm_result_count; ++i) {
    done += tally_.results[i];
    if (tally_.results[i] == 0) continue;
    parts += (parts.empty() ? ": " : ", ") + std::to_string(tally_.results[i]) + ' ' +
             std::string(to_string(static_cast<WarmResult>(i)));
  }
  const auto ms = (Clock::now() - begun_) / std::chrono::milliseconds(1);
  return "warmed " + std::to_string(done) + " of " +
         std::to_string(shared_.counters.warm_of.load(std::memory_order_relaxed)) + " URLs in " + std::to_string(ms) +
         " ms" + parts;
}

awaitable<void> Warmer::keep_hottest() {
  while (!stopped_) {
    keep_timer_.expires_after(keep_every);
    co_await keep_timer_.async_wait(no_throw);
    if (!stopped_) co_await keep_hottest_now();
  }
}

awaitable<void> Warmer::keep_hottest_now() {
  const config::Warm settings = config_->warm;
  const config::RedisSettings redis = config_->redis;
  if (settings.hottest == 0) co_return;
  const bool failed = !co_await save_hottest(shared_, settings, redis);
  if (failed && !keeping_failed_) {
    shared_.log.warn("what is asked for most can't be kept in " +
                     (settings.file.empty() ? std::string("Redis") : settings.file) + ": the next start won't warm it");
  }
  keeping_failed_ = failed;
}

awaitable<void> Warmer::finish() { co_await keep_hottest_now(); }

}  // namespace pillion
