#include "server.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <condition_variable>
#include <csignal>
#include <future>
#include <iostream>
#include <mutex>
#include <stdexcept>
#include <thread>

#include "background.hpp"
#include "core/watched_prefixes.hpp"
#include "flow/redis_watch.hpp"
#include "flow/sweep.hpp"
#include "flow/worker.hpp"
#include "net/cpu_quota.hpp"
#include "net/event_loop.hpp"
#include "net/listener.hpp"
#include "net/trusted_peers.hpp"
#include "ops/admin_server.hpp"
#include "ops/file_watch.hpp"
#include "ops/held_signals.hpp"
#include "reload.hpp"
#include "running_control.hpp"

namespace pillion {

namespace {

using ConfigPtr = std::shared_ptr<const config::Config>;

// A configuration that has been read again, with what is worked out from it.
struct Prepared {
  ReloadOutcome outcome;
  SnapshotPtr snapshot;               // null where nothing changes
  std::vector<std::string> prefixes;  // for the watch over Redis
};

constexpr const char* ending = "this is ending: nothing is reloaded any more";

// For the answers of the admin address that are being given when all else has ended.
constexpr std::chrono::seconds last_answers{1};

// Connections that leave room for the upstreams' and for everything else (product contract, "Limits").
std::size_t connection_limit(const config::Limits& limits) {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY) return limits.connections;
  return std::max<std::size_t>(1, std::min<std::size_t>(limits.connections, files.rlim_cur / 10 * 8));
}

}  // namespace

struct Server::Impl {
  explicit Impl(ServeOptions o) : options(std::move(o)) {}
  ~Impl() { shut_down(); }

  void start();
  void wait_for_redis(const config::RedisSettings& settings);
  void start_listeners();
  std::unique_ptr<Listener> listen(const config::Listener& settings, const ClientOrigin& origin);
  void start_query_cache();
  void start_admin(AdminServer& server, const std::string& what, const config::Address& address);
  using WhenReloaded = RunningControl::WhenReloaded;
  void reload(WhenReloaded told);
  void begin_reload();
  Prepared prepare(const config::Config& current);
  void end_reload(Prepared prepared, const std::vector<WhenReloaded>& asked);
  void use(SnapshotPtr made, const std::vector<std::string>& prefixes);
  void take(Socket socket, std::string peer, ClientOrigin origin, std::size_t worker);
  void refuse(Socket socket);
  void watch_signals();
  void begin_drain(bool with_delay);
  void close_listeners();
  void end_drain(bool late);
  void end_admin(int code);
  void shut_down();

  ServeOptions options;
  Background background;  // before all that it destroys
  ConfigPtr config;
  SnapshotPtr snapshot;                         // control thread
  std::shared_ptr<const TrustedPeers> trusted;  // control thread
  std::unique_ptr<Log> log;
  std::unique_ptr<Counters> counters;
  EventLoop control, admin;
  asio::executor_work_guard<asio::io_context::executor_type> control_guard{control.get_executor()};
  asio::executor_work_guard<asio::io_context::executor_type> admin_guard{admin.get_executor()};
  std::unique_ptr<RedisTopology> redis;  // null without Redis
  std::unique_ptr<InvalidationLog> invalidations;
  std::unique_ptr<RedisWatch> redis_watch;  // null without Redis
  std::unique_ptr<Shared> shared;
  std::unique_ptr<Sweep> sweep;  // on the admin thread
  std::vector<std::unique_ptr<Worker>> workers;
  std::vector<std::unique_ptr<Listener>> listeners;  // of the configuration's list; the query cache's behind them
  std::unique_ptr<RunningControl> running;
  std::unique_ptr<AdminServer> admin_server, metrics_server;
  std::unique_ptr<FileWatch> watch;
  bool reloading = false;                    // control thread
  std::vector<WhenReloaded> wanting_reload;  // control thread: asked for since the one under way began
  asio::signal_set signals{control};
  asio::steady_timer drain_timer{control};
  std::thread control_thread, admin_thread;
  std::atomic<bool> draining{false};
  bool listening = true, ended = false;
  std::size_t busy_workers = 0;

  std::mutex mutex;
  std::condition_variable done;
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
  snapshot = background.share(std::make_unique<const Snapshot>(config, *counters));
  trusted = std::make_shared<const TrustedPeers>(config->trusted_proxies);
  check_certificates(*config);
  for (std::size_t i = 0; i < worker_count; ++i) workers.push_back(std::make_unique<Worker>(i, *shared, snapshot));
  running = std::make_unique<RunningControl>(*shared, *workers.front(), snapshot);
  running->set_reloader([this](WhenReloaded told) {
    asio::post(control, [this, told = std::move(told)]() mutable { reload(std::move(told)); });
  });
  start_listeners();
  if (config->query_cache) start_query_cache();
  admin_server = std::make_unique<AdminServer>(admin, *running, AdminFlavour::full);
  start_admin(*admin_server, "admin", config->admin.address);
  if (config->metrics) {
    metrics_server = std::make_unique<AdminServer>(admin, *running, AdminFlavour::metrics);
    start_admin(*metrics_server, "metrics", *config->metrics);
  }
  for (const int signal : handled_signals) signals.add(signal);
  watch_signals();
  if (!options.config) {
    watch = std::make_unique<FileWatch>(control.get_executor(), options.config_path, [this] { reload({}); });
  }
  sweep = std::make_unique<Sweep>(admin.get_executor(), *shared, config->query_cache.has_value());
  sweep->start();
  const ConfigPtr first = config;  // the control thread replaces it from now on
  for (auto& worker : workers) worker->start();
  const auto tell = [this](const std::string& text) { log->error(text); };
  control_thread = std::thread([this, tell] { control.run_until_stopped(tell); });
  admin_thread = std::thread([this, tell] { admin.run_until_stopped(tell); });
  if (redis) wait_for_redis(first->redis);
  running->set_ready(true);
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

void Server::Impl::start_listeners() {
  for (const config::Listener& settings : config->listeners) {
    ClientOrigin origin;
    origin.listener = settings.name;
    origin.h2c_tunnel = settings.h2c_tunnel;
    listeners.push_back(listen(settings, origin));
    log->info("listening on " + listeners.back()->address().to_string());
  }
}

void Server::Impl::start_query_cache() {
  config::Listener settings;
  settings.address = config->query_cache->address;
  settings.mode = config->query_cache->mode;
  ClientOrigin origin;
  origin.query_cache = true;
  listeners.push_back(listen(settings, origin));
  log->info("query cache on " + listeners.back()->address().to_string());
}

// `origin`: of every connection, but for whose it is.
std::unique_ptr<Listener> Server::Impl::listen(const config::Listener& settings, const ClientOrigin& origin) {
  auto listener = std::make_unique<Listener>(
      control.get_executor(), settings,
      [this] {
        // Fewest connections first: SO_REUSEPORT would spread a sidecar's few keep-alive connections badly.
        const auto least = std::min_element(workers.begin(), workers.end(),
                                            [](const auto& a, const auto& b) { return a->load() < b->load(); });
        return (*least)->executor();
      },
      [this, origin](Socket socket, std::string peer) {
        const auto executor = socket.get_executor();
        for (std::size_t i = 0; i < workers.size(); ++i) {
          if (workers[i]->executor() == executor) return take(std::move(socket), std::move(peer), origin, i);
        }
      });
  listener->start();
  return listener;
}

void Server::Impl::take(Socket socket, std::string peer, ClientOrigin origin, std::size_t worker) {
  std::size_t open = 0;
  for (const auto& w : workers) open += w->load();
  if (open >= connection_limit(snapshot->config->limits)) return refuse(std::move(socket));
  // Nobody stands before the query cache: its Host is the one that was sent.
  origin.peer_trusted = !origin.query_cache && trusted->contains(peer);
  origin.peer_address = std::move(peer);
  workers[worker]->serve(std::move(socket), std::move(origin));
}

// One short write that fits any socket's buffer; whoever doesn't take it gets a reset.
void Server::Impl::refuse(Socket socket) {
  counters->worker(workers.size()).limits[static_cast<std::size_t>(Limit::connections)].add();
  static constexpr std::string_view answer =
      "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nContent-Length: "
      "87\r\nRetry-After: 1\r\n"
      "Cache-Status: pillion; detail=overloaded\r\nConnection: close\r\n\r\n"
      "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\"detail\":\"Too many.\"}\n";
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(answer.data(), answer.size()), ignored);
  socket.shutdown(Socket::shutdown_send, ignored);
}

void Server::Impl::watch_signals() {
  signals.async_wait([this](error_code error, int signal) {
    if (error) return;
    if (signal == SIGHUP) {
      reload({});
    } else {
      begin_drain(signal == SIGTERM);
    }
    watch_signals();
  });
}

// One at a time. Whoever asks while one is under way gets what the next one says: the file may have changed since.
void Server::Impl::reload(WhenReloaded told) {
  const char* cannot = options.config ? "there is no configuration file: this was started with options alone"
                       : draining     ? ending
                                      : nullptr;
  if (cannot != nullptr) {
    if (told) told({.refused = cannot});
    return;
  }
  wanting_reload.push_back(std::move(told));
  if (!reloading) begin_reload();
}

// All that takes its time is done, and undone, in the background.
void Server::Impl::begin_reload() {
  reloading = true;
  background.post([this, current = config, asked = std::exchange(wanting_reload, {})]() mutable {
    Prepared prepared;
    try {
      prepared = prepare(*current);
    } catch (const std::exception& error) {
      prepared.outcome.refused = std::string("the configuration could not be read: ") + error.what();
    }
    asio::post(control, [this, prepared = std::move(prepared), asked = std::move(asked)]() mutable {
      end_reload(std::move(prepared), asked);
    });
  });
}

Prepared Server::Impl::prepare(const config::Config& current) {
  Reloaded fresh = read_again(options.config_path, current);
  Prepared prepared{std::move(fresh.outcome), nullptr, {}};
  if (!fresh.config) return prepared;
  prepared.snapshot =
      background.share(std::make_unique<const Snapshot>(background.share(std::move(fresh.config)), *counters));
  if (redis_watch) prepared.prefixes = watched_prefixes(*prepared.snapshot->config);
  return prepared;
}

void Server::Impl::end_reload(Prepared prepared, const std::vector<WhenReloaded>& asked) {
  ReloadOutcome& outcome = prepared.outcome;
  if (draining) outcome.refused = ending;
  if (!outcome.refused.empty()) {
    log->error(outcome.refused);
    for (const std::string& error : outcome.errors) log->error(error);
  } else if (!prepared.snapshot) {
    log->info("the configuration is as it was: nothing changes");
  } else {
    use(std::move(prepared.snapshot), prepared.prefixes);
    log->info("the configuration was reloaded");
  }
  for (const WhenReloaded& told : asked)
    if (told) told(outcome);
  reloading = false;
  if (!wanting_reload.empty()) begin_reload();
}

void Server::Impl::use(SnapshotPtr made, const std::vector<std::string>& prefixes) {
  snapshot = std::move(made);
  config = snapshot->config;
  trusted = std::make_shared<const TrustedPeers>(config->trusted_proxies);
  log->configure(config->log);
  const config::MemorySettings& memory = config->memory;
  shared->memory.resize(memory.enabled ? memory.size : 0, memory.enabled ? memory.max_object : 0);
  if (redis_watch) redis_watch->watch(prefixes);
  running->use(snapshot);
  for (auto& worker : workers) worker->use(snapshot);
}

void Server::Impl::begin_drain(bool with_delay) {
  if (draining) return end_drain(true);  // a second signal ends it at once
  draining = true;
  running->set_ready(false);
  log->info("draining");
  const auto delay = with_delay ? config->drain.delay : config::Milliseconds(0);
  if (delay.count() == 0) return close_listeners();
  drain_timer.expires_after(delay);
  drain_timer.async_wait([this](error_code error) {
    if (!error && listening) close_listeners();
  });
}

void Server::Impl::close_listeners() {
  listening = false;
  for (auto& listener : listeners) listener->stop();
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
    done.notify_all();
  };
  drain_timer.expires_after(last_answers);
  drain_timer.async_wait([end](error_code error) {
    if (!error) end();
  });
  admin_server->when_idle([this, end] { asio::post(control, end); });
}

void Server::Impl::shut_down() {
  for (auto& listener : listeners) {
    if (!control_thread.joinable()) listener->stop();
  }
  if (control_thread.joinable()) {
    asio::post(control, [this] {
      for (auto& listener : listeners) listener->stop();
      watch.reset();
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

std::vector<config::Address> Server::addresses() const {
  std::vector<config::Address> addresses;
  for (const auto& listener : impl_->listeners) addresses.push_back(listener->address());
  return addresses;
}

config::Address Server::admin_address() const { return impl_->admin_server->address(); }

int Server::wait() {
  std::unique_lock lock(impl_->mutex);
  impl_->done.wait(lock, [this] { return impl_->exit_code.has_value(); });
  return *impl_->exit_code;
}

bool Server::is_ending() const { return impl_->draining; }

void Server::stop() {
  asio::post(impl_->control, [impl = impl_.get()] {
    if (!impl->draining) impl->begin_drain(false);
  });
}

int run_server(const ServeOptions& options) {
  try {
    Server server(options);
    server.start();
    return server.wait();
  } catch (const std::invalid_argument& error) {
    std::cerr << error.what() << std::endl;
    return 2;
  } catch (const std::exception& error) {
    std::cerr << "pillion: " << error.what() << std::endl;
    return 1;
  }
}

}  // namespace pillion
