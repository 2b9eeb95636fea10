#include "flow/worker.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <memory>
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

void Worker::drop_pending() {
  on_empty_ = nullptr;  // whom it would tell is gone
  io_.drop_pending();
}

void Worker::serve(Socket socket, ClientOrigin origin) {
  load_.fetch_add(1, std::memory_order_relaxed);
  asio::post(io_, [this, socket = std::move(socket), origin = std::move(origin)]() mutable {
    ClientHandler& handler = origin.query_cache ? static_cast<ClientHandler&>(*query_handler_) : handler_;
    ClientSessionPtr session(new ClientSession(std::move(socket), std::move(origin), handler, workspaces_,
                                               context_.deadlines, context_.counters),
                             EndOfSession{this});
    sessions_.insert(session.get());
    if (on_empty_) session->finish_soon();
    context_.counters.accepted.add();
    ClientSession::wait(std::move(session));
  });
}

// A connection that is idle has no coroutine: that is most of what it would take of memory.
void Worker::go_on(ClientSessionPtr session) {
  asio::co_spawn(
      io_,
      [](ClientSessionPtr served) -> awaitable<void> {
        if (co_await served->run()) ClientSession::wait(std::move(served));
      }(std::move(session)),
      asio::detached);
}

void Worker::end(ClientSession* session) noexcept {
  sessions_.erase(session);
  delete session;
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
