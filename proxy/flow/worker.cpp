#include "flow/worker.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <vector>

namespace pillion {

Worker::Worker(std::size_t index, Shared& shared, SnapshotPtr snapshot)
    : context_(index, io_.get_executor(), shared), handler_(context_) {
  context_.snapshot = std::move(snapshot);
  if (shared.redis) {
    const config::RedisSettings& redis = context_.snapshot->config->redis;
    context_.redis_client =
        std::make_unique<RedisClient>(io_.get_executor(), *shared.redis, RedisStore::largest_value(redis.max_object),
                                      context_.counters, shared.log, redis.key_namespace + "pillion:log");
    context_.redis = std::make_unique<RedisStore>(*context_.redis_client, redis, shared.invalidations.clock());
  }
  query_handler_.emplace(context_, handler_);
}

Worker::~Worker() { join(); }

void Worker::start() {
  thread_ = std::thread(
      [this] { io_.run_until_stopped([this](const std::string& text) { context_.shared.log.error(text); }); });
}

void Worker::join() {
  if (!thread_.joinable()) return;
  asio::post(io_, [this] {
    if (context_.redis_client) context_.redis_client->stop();
    context_.upstreams.close_idle();
    io_.stop();
  });
  thread_.join();
}

void Worker::serve(Socket socket, ClientOrigin origin) {
  load_.fetch_add(1, std::memory_order_relaxed);
  asio::co_spawn(io_, run_session(std::move(socket), std::move(origin)), asio::detached);
}

awaitable<void> Worker::run_session(Socket socket, ClientOrigin origin) {
  {
    ClientHandler& handler = origin.query_cache ? static_cast<ClientHandler&>(*query_handler_) : handler_;
    ClientSession session(std::move(socket), std::move(origin), handler, context_.deadlines, context_.counters);
    sessions_.insert(&session);
    if (on_empty_) session.finish_soon();
    context_.counters.accepted.add();
    co_await session.run();
    sessions_.erase(&session);
  }
  load_.fetch_sub(1, std::memory_order_relaxed);
  if (sessions_.empty() && on_empty_) on_empty_();
}

void Worker::drain(std::function<void()> on_empty) {
  asio::post(io_, [this, on_empty = std::move(on_empty)]() mutable {
    on_empty_ = std::move(on_empty);
    query_handler_->finish_soon();
    const std::vector<ClientSession*> all(sessions_.begin(), sessions_.end());
    for (ClientSession* session : all) session->finish_soon();
    if (all.empty()) on_empty_();
  });
}

void Worker::abort_all() {
  asio::post(io_, [this] {
    const std::vector<ClientSession*> all(sessions_.begin(), sessions_.end());
    for (ClientSession* session : all) session->abort();
  });
}

void Worker::use(SnapshotPtr snapshot) {
  asio::post(io_, [this, snapshot = std::move(snapshot)]() mutable {
    context_.snapshot = std::move(snapshot);
    for (const config::Upstream& upstream : context_.snapshot->config->upstreams)
      context_.shared.upstream_limits.of(upstream);
    context_.upstreams.close_idle();  // made with the old settings
  });
}

}  // namespace pillion
