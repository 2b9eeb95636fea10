// Connecting, and connecting again. The socket: redis_link.cpp; the commands: redis_pipeline.cpp.
#include "net/redis_connection.hpp"

#include <boost/asio/append.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <random>
#include <tuple>
#include <utility>

#include "net/async.hpp"
#include "net/redis_link.hpp"
#include "net/redis_pipeline.hpp"

namespace pillion {
namespace {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;

constexpr std::chrono::milliseconds first_pause{50}, longest_pause{1000};

}  // namespace

struct RedisConnection::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::any_io_executor executor_, RedisNode node_, std::size_t max_reply_, WorkerCounters& counters_, Log& log_)
      : executor(executor_),
        node(std::move(node_)),
        max_reply(max_reply_),
        pipeline(std::make_shared<RedisPipeline>(executor_, node, counters_, log_)),
        pause(executor_),
        first(executor_, Time::max()),
        random(std::random_device{}()) {}

  static awaitable<void> run(std::shared_ptr<Impl> self);
  template <typename Arguments>
  static awaitable<RedisReply> sent(std::shared_ptr<Impl> self, Arguments&& arguments, config::Milliseconds budget,
                                    bool asking);
  static awaitable<void> first_attempt(std::shared_ptr<Impl> self, config::Milliseconds time);
  void connection_failed(const std::string& why);
  void first_attempt_ended();
  void stop();

  asio::any_io_executor executor;
  RedisNode node;
  std::size_t max_reply;
  std::shared_ptr<RedisPipeline> pipeline;
  std::shared_ptr<RedisLink> link;  // or what is to become one
  asio::steady_timer pause;         // before connecting again
  asio::steady_timer first;         // cancelled when the first attempt has ended
  bool first_ended = false;
  std::minstd_rand random;
  std::function<void()> on_trouble;
  bool stopped = false;
};

// ---- connecting

awaitable<void> RedisConnection::Impl::run(std::shared_ptr<Impl> self) {
  auto backoff = first_pause;
  while (!self->stopped) {
    self->link = std::make_shared<RedisLink>(self->executor, self->node, self->max_reply);
    std::string problem = co_await self->link->open();
    if (self->stopped) break;
    if (problem.empty()) {
      const Time began = Clock::now();
      self->first_attempt_ended();
      self->pipeline->connected(self->link);
      if (self->stopped) break;  // by who was told
      problem = co_await self->link->receive(
          [pipeline = self->pipeline](RedisReply reply) { pipeline->answered(std::move(reply)); });
      if (self->stopped) break;
      // One that is accepted and cut at once must not be tried twenty times a second.
      if (Clock::now() - began >= longest_pause) backoff = first_pause;
    }
    self->connection_failed(problem);
    if (self->stopped) break;  // by who was told
    self->pause.expires_after(std::uniform_int_distribution<std::chrono::milliseconds::rep>(
                                  backoff.count() / 2, backoff.count())(self->random) *
                              std::chrono::milliseconds(1));
    backoff = std::min(backoff * 2, longest_pause);
    co_await self->pause.async_wait(no_throw);
  }
}

void RedisConnection::Impl::connection_failed(const std::string& why) {
  link.reset();
  first_attempt_ended();
  pipeline->lost(why);
  if (on_trouble) on_trouble();
}

void RedisConnection::Impl::first_attempt_ended() {
  if (!std::exchange(first_ended, true)) first.cancel();
}

awaitable<void> RedisConnection::Impl::first_attempt(std::shared_ptr<Impl> self, config::Milliseconds time) {
  if (self->first_ended) co_return;
  // Whoever's limit comes first ends it for all: what takes that long is out of reach.
  asio::steady_timer limit(self->executor, time);
  limit.async_wait([weak = std::weak_ptr(self)](const error_code& ec) {
    if (const auto impl = weak.lock(); impl && !ec) impl->first_attempt_ended();
  });
  co_await self->first.async_wait(no_throw);
}

// ---- commands

/// Sends it and completes with its reply, or with why it isn't sent. Who waits doesn't own Impl, since Impl owns what
/// resumes them. Of `Arguments` it keeps what it is given, a value or a reference.
template <typename Arguments>
awaitable<RedisReply> RedisConnection::Impl::sent(std::shared_ptr<Impl> self, Arguments&& arguments,
                                                  config::Milliseconds budget, bool asking) {
  auto initiate = [self = std::move(self), held = std::tuple<Arguments>(std::forward<Arguments>(arguments)), budget,
                   asking](auto handler) mutable {
    const std::shared_ptr<Impl> impl = std::exchange(self, nullptr);
    RedisPipeline& pipeline = *impl->pipeline;
    const std::vector<std::string>& command = std::get<0>(held);
    if (const char* why = pipeline.why_not(command)) {
      asio::post(impl->executor, asio::append(std::move(handler), pipeline.skipped(why)));
    } else {
      pipeline.start(RedisWaiters::Handler(std::move(handler)), command, budget, asking);
    }
  };
  return asio::async_initiate<const asio::use_awaitable_t<>, void(RedisReply)>(std::move(initiate),
                                                                               asio::use_awaitable);
}

void RedisConnection::Impl::stop() {
  if (std::exchange(stopped, true)) return;
  on_trouble = nullptr;
  first_attempt_ended();
  if (link) link->close("stopped");  // run() holds on to it until it has noticed
  pause.cancel();
  pipeline->stop();
}

// ---- the interface

RedisConnection::RedisConnection(asio::any_io_executor executor, RedisNode node, std::size_t max_reply,
                                 WorkerCounters& counters, Log& log)
    : impl_(std::make_shared<Impl>(executor, std::move(node), max_reply, counters, log)) {
  asio::co_spawn(executor, Impl::run(impl_), asio::detached);
}

RedisConnection::~RedisConnection() { stop(); }

awaitable<RedisReply> RedisConnection::command(std::vector<std::string> arguments,
                                               std::optional<config::Milliseconds> budget) {
  return Impl::sent(impl_, std::move(arguments), budget.value_or(impl_->node.settings.timeout), false);
}

awaitable<RedisReply> RedisConnection::command_of(const std::vector<std::string>& arguments,
                                                  config::Milliseconds budget, bool asking) {
  return Impl::sent(impl_, arguments, budget, asking);
}

awaitable<void> RedisConnection::first_attempt(config::Milliseconds time) { return Impl::first_attempt(impl_, time); }
bool RedisConnection::is_first_attempt() const noexcept {
  const auto& siblings = impl_->node.siblings;
  return !impl_->first_ended && !(siblings && siblings->was_silent());
}
std::uint64_t RedisConnection::copy() const noexcept { return impl_->pipeline->copy(); }
void RedisConnection::ask_copy() { impl_->pipeline->ask_copy(); }
bool RedisConnection::is_up() const noexcept { return impl_->pipeline->health().is_up(); }
void RedisConnection::on_up(std::function<void()> callback) { impl_->pipeline->health().on_up(std::move(callback)); }
void RedisConnection::on_trouble(std::function<void()> callback) { impl_->on_trouble = std::move(callback); }
void RedisConnection::stop() { impl_->stop(); }

}  // namespace pillion
