#include "server.hpp"

#include <algorithm>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <condition_variable>
#include <csignal>
#include <future>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "background.hpp"
#include "client_listeners.hpp"
#include "core/watched_prefixes.hpp"
#include "flow/redis_watch.hpp"
#include "flow/sweep.hpp"
#include "flow/warmer.hpp"
#include "flow/worker.hpp"
#include "net/cpu_quota.hpp"
#include "net/event_loop.hpp"
#include "ops/admin_server.hpp"
#include "ops/held_signals.hpp"
#include "reload.hpp"
#include "reloader.hpp"
#include "running_control.hpp"

namespace pillion {

namespace {

// For the answers of the admin address that are being given when all else has ended.
constexpr std::chrono::seconds last_answers{1};

}  // namespace

struct Server::Impl {
  explicit Impl(ServeOptions o) : options(std::move(o)) {}
  ~Impl() { shut_down(); }

  void start();
  void wait_for_redis(const config::RedisSettings& settings);
  void start_admin(AdminServer& server, const std::string& what, const config::Address& address);
  void use(SnapshotPtr snapshot, const std::vector<std::string>& prefixes);
  void watch_signals();
  void begin_drain(bool with_delay);
  void close_listeners();
  void end_drain(bool late);
  void end_admin(int code);
  void shut_down();

  ServeOptions options;
  Background background;  // before all that it destroys
  ConfigPtr config;       // control thread, once that is there
  std::unique_ptr<Log> log;
  std::unique_ptr<Counters> counters;
  EventLoop control, admin;
  asio::executor_work_guard<asio::io_context::executor_type> control_guard{control.get_executor()};
  asio::executor_work_guard<asio::io_context::executor_type> admin_guard{admin.get_executor()};
  std::unique_ptr<RedisTopology> redis;  // null without Redis
  std::unique_ptr<InvalidationLog> invalidations;
  std::unique_ptr<RedisWatch> redis_watch;  // null without Redis
  std::unique_ptr<Shared> shared;
  std::unique_ptr<Sweep> sweep;    // on the admin thread
  std::unique_ptr<Warmer> warmer;  // likewise
  std::vector<std::unique_ptr<Worker>> workers;
  std::unique_ptr<ClientListeners> listeners;
  std::unique_ptr<RunningControl> running;
  std::unique_ptr<AdminServer> admin_server, metrics_server;
  std::unique_ptr<Reloader> reloader;
  asio::signal_set signals{control};
  asio::steady_timer drain_timer{control};
  std::thread control_thread, admin_thread;
  std::atomic<bool> draining{false};
  bool listening = true, ended = false;
  std::size_t busy_workers = 0;

  std::mutex mutex;
  std::condition_variable exited;
  std::optional<int> exit_code;
};

void Server::Impl::start() {
  ::signal(SIGPIPE, SIG_IGN);
  const HeldSignals held;
  config = options.config ? std::make_shared<const config::Config>(*options.config) : read_first(options.config_path);
  log = std::make_unique<Log>(config->log);
  const std::size_t worker_count = config->workers > 0 ? config->workers : available_cpus();
  // One block more, for the control thread's Redis connection.
  counters = std::make_unique<Counters>(worker_count + 1);
  if (config->redis.enabled) {
    redis = std::make_unique<RedisTopology>(control.get_executor(), config->redis, *log);
  }
  invalidations = std::make_unique<InvalidationLog>(control.get_executor(), redis.get(), counters->worker(worker_count),
                                                    *counters, *log);
  if (redis) {
    redis_watch = std::make_unique<RedisWatch>(control.get_executor(), *redis, invalidations->order(),
                                               counters->worker(worker_count), *log);
  }
  shared = std::make_unique<Shared>(*counters, *log, *invalidations, redis.get(), redis_watch.get(), config->memory);
  background.start();
  const SnapshotPtr snapshot = background.share(std::make_unique<const Snapshot>(config, *counters));
  check_certificates(*config);
  for (std::size_t i = 0; i < worker_count; ++i) workers.push_back(std::make_unique<Worker>(i, *shared, snapshot));
  running = std::make_unique<RunningControl>(*shared, *workers.front(), snapshot);
  running->set_reloader([this](Reloader::WhenReloaded told) {
    asio::post(control, [this, told = std::move(told)]() mutable { reloader->reload(std::move(told)); });
  });
  listeners = std::make_unique<ClientListeners>(control.get_executor(), workers, *shared, snapshot);
  listeners->start();
  admin_server = std::make_unique<AdminServer>(admin, *running, AdminFlavour::full);
  start_admin(*admin_server, "admin", config->admin.address);
  if (config->metrics) {
    metrics_server = std::make_unique<AdminServer>(admin, *running, AdminFlavour::metrics);
    start_admin(*metrics_server, "metrics", *config->metrics);
  }
  for (const int signal : handled_signals) signals.add(signal);
  watch_signals();
  Reloader::Effects effects;
  effects.put_in_force = [this](SnapshotPtr made, const auto& prefixes) { use(std::move(made), prefixes); };
  effects.refresh_certificates = [this](ReloadOutcome& outcome) { listeners->refresh_certificates(outcome); };
  reloader =
      std::make_unique<Reloader>(control.get_executor(), background, *counters, *log,
                                 options.config ? std::string() : options.config_path, config, std::move(effects));
  sweep = std::make_unique<Sweep>(admin.get_executor(), *shared, config->query_cache.has_value());
  sweep->start();
  warmer = std::make_unique<Warmer>(admin.get_executor(), *shared, config);
  running->set_warmer(*warmer);
  const ConfigPtr first = config;  // the control thread replaces it from now on
  for (auto& worker : workers) worker->start();
  const auto tell = [this](const std::string& text) { log->error(text); };
  control_thread = std::thread([this, tell] { control.run_until_stopped(tell); });
  admin_thread = std::thread([this, tell] { admin.run_until_stopped(tell); });
  if (redis) wait_for_redis(first->redis);
  running->set_state(first->warm.any() ? RunningControl::State::warming : RunningControl::State::ready);
  asio::post(admin, [this] { warmer->start([this] { running->set_state(RunningControl::State::ready); }); });
}

void Server::Impl::start_admin(AdminServer& server, const std::string& what, const config::Address& address) {
  try {
    server.start(address);
  } catch (const std::exception& error) {
    throw std::runtime_error("can't serve " + what + " on " + error.what());
  }
  log->info(what + " on " + server.address().to_string());
}

// A Redis that is there is used from the first request on; one that isn't delays nothing for longer than its own
// limits.
void Server::Impl::wait_for_redis(const config::RedisSettings& settings) {
  auto heard = std::make_shared<std::promise<void>>();
  std::future<void> first = heard->get_future();
  asio::post(control, [this, heard] {
    redis->start();
    redis_watch->watch(watched_prefixes(*config));
    invalidations->start([heard] { heard->set_value(); });
  });
  first.wait_for(settings.connect_timeout + settings.timeout);
}

void Server::Impl::watch_signals() {
  signals.async_wait([this](error_code error, int signal) {
    if (error) return;
    if (signal == SIGHUP) {
      reloader->reload({});
    } else {
      begin_drain(signal == SIGTERM);
    }
    watch_signals();
  });
}

// What a reload changes.
void Server::Impl::use(SnapshotPtr snapshot, const std::vector<std::string>& prefixes) {
  config = snapshot->config;
  log->configure(config->log);
  const config::MemorySettings& memory = config->memory;
  shared->memory.resize(memory.enabled ? memory.size : 0, memory.enabled ? memory.max_object : 0);
  if (redis_watch) redis_watch->watch(prefixes);
  running->use(snapshot);
  listeners->use(snapshot);
  for (auto& worker : workers) worker->use(snapshot);
  asio::post(admin, [this, settings = config] { warmer->use(settings); });
}

void Server::Impl::begin_drain(bool with_delay) {
  if (draining) return end_drain(true);  // a second signal ends it at once
  draining = true;
  reloader->end();
  running->set_state(RunningControl::State::draining);
  log->info("draining");
  asio::post(admin, [this] { warmer->stop(); });
  const auto delay = with_delay ? config->drain.delay : config::Milliseconds(0);
  if (delay.count() == 0) return close_listeners();
  drain_timer.expires_after(delay);
  drain_timer.async_wait([this](error_code error) {
    if (!error && listening) close_listeners();
  });
}

void Server::Impl::close_listeners() {
  listening = false;
  listeners->stop();
  drain_timer.expires_after(config->drain.timeout);
  drain_timer.async_wait([this](error_code error) {
    if (!error) end_drain(true);
  });
  busy_workers = workers.size();
  for (auto& worker : workers) {
    // Called again should a connection that was on its way arrive late and end: only the first time counts.
    auto first = std::make_shared<std::atomic<bool>>(true);
    worker->drain([this, first] {
      if (!first->exchange(false)) return;
      asio::post(control, [this] {
        if (--busy_workers == 0) end_drain(false);
      });
    });
  }
}

void Server::Impl::end_drain(bool late) {
  if (ended) return;
  ended = true;
  listening = false;
  drain_timer.cancel();
  std::size_t left = 0;
  for (const auto& worker : workers) left += worker->load();
  if (late && left > 0) log->warn(std::to_string(left) + " connections had to be cut");
  asio::co_spawn(control, invalidations->sign_off(), [this, code = late && left > 0 ? 1 : 0](std::exception_ptr) {
    if (const auto pending = invalidations->pending(); pending > 0) {
      log->error(std::to_string(pending) + " invalidations could not be delivered to Redis");
    }
    end_admin(code);
  });
}

// Nothing keeps a receipt waiting any more: who asked for one gets it before all is closed.
void Server::Impl::end_admin(int code) {
  const auto end = [this, code] {
    std::lock_guard lock(mutex);
    exit_code = code;
    exited.notify_all();
  };
  drain_timer.expires_after(last_answers);
  drain_timer.async_wait([end](error_code error) {
    if (!error) end();
  });
  // What was asked for most is kept meanwhile.
  asio::co_spawn(admin, warmer->finish(), [this, end](std::exception_ptr) {
    admin_server->when_idle([this, end] { asio::post(control, end); });
  });
}

void Server::Impl::shut_down() {
  if (!control_thread.joinable()) {
    if (listeners) listeners->stop();
  } else {
    asio::post(control, [this] {
      listeners->stop();
      reloader->stop();
      invalidations->stop();
      if (redis_watch) redis_watch->stop();
      if (redis) redis->stop();
      error_code ignored;
      signals.cancel(ignored);
      control.stop();
    });
    control_thread.join();
  }
  if (admin_server) admin_server->stop();
  if (metrics_server) metrics_server->stop();
  admin_guard.reset();
  if (admin_thread.joinable()) {
    admin.stop();
    admin_thread.join();
  }
  background.stop();  // what it drops may be answers to the admin thread's clients
  if (sweep) sweep->stop();
  for (auto& worker : workers) worker->abort_all();
  for (auto& worker : workers) worker->join();
  for (auto& worker : workers) worker->drop_pending();
  admin.drop_pending();
  control.drop_pending();
}

Server::Server(ServeOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Server::~Server() = default;

void Server::start() { impl_->start(); }

std::vector<config::Address> Server::addresses() const { return impl_->listeners->addresses(); }

config::Address Server::admin_address() const { return impl_->admin_server->address(); }

int Server::wait() {
  std::unique_lock lock(impl_->mutex);
  impl_->exited.wait(lock, [this] { return impl_->exit_code.has_value(); });
  return *impl_->exit_code;
}

bool Server::is_ending() const { return impl_->draining; }

void Server::stop() {
  asio::post(impl_->control, [impl = impl_.get()] {
    if (!impl->draining) impl->begin_drain(false);
  });
}

}  // namespace pillion
