// Who may send, who waits for how long, when Redis counts as down, and reconnecting. The socket: redis_link.cpp.
#include "net/redis_connection.hpp"

#include <algorithm>
#include <boost/asio/append.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <random>
#include <utility>

#include "net/async.hpp"
#include "net/redis_discovery.hpp"
#include "net/redis_health.hpp"
#include "net/redis_link.hpp"
#include "net/redis_report.hpp"
#include "net/redis_waiters.hpp"

namespace pillion {
namespace {

using Clock = std::chrono::steady_clock;
using Time = Clock::time_point;

constexpr std::chrono::milliseconds first_pause{50}, longest_pause{1000};
constexpr std::chrono::seconds looked_up_anew{10};  // at most so often

RedisReply unavailable(std::string why) {
  RedisReply reply;
  reply.text = std::move(why);
  return reply;
}

/// One server, found by a name that may lead to another by now.
bool is_by_name(const RedisNode& node) {
  error_code not_an_address;
  asio::ip::make_address(node.settings.address.host, not_an_address);
  return !node.is_of_cluster() && !node.settings.address.is_unix() && not_an_address;
}

std::uint64_t microseconds(Clock::duration d) {
  return static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::microseconds>(d).count()));
}

}  // namespace

struct RedisConnection::Impl : std::enable_shared_from_this<Impl> {
  Impl(asio::any_io_executor executor_, RedisNode node_, std::size_t max_reply_, WorkerCounters& counters_, Log& log_)
      : executor(executor_),
        node(std::move(node_)),
        max_reply(max_reply_),
        counters(counters_),
        report(node.settings.address.to_string(), counters_, log_),
        health(node.siblings, report),
        timer(executor_),
        pause(executor_),
        first(executor_, Time::max()),
        random(std::random_device{}()) {}

  static awaitable<void> run(std::shared_ptr<Impl> self);
  static awaitable<RedisReply> command(std::shared_ptr<Impl> self, std::vector<std::string> arguments,
                                       config::Milliseconds budget);
  static awaitable<RedisReply> command_of(std::shared_ptr<Impl> self, const std::vector<std::string>& arguments,
                                          config::Milliseconds budget, bool asking);
  static auto sent(std::shared_ptr<Impl>& self, const std::vector<std::string>& arguments, config::Milliseconds budget,
                   bool asking);
  static awaitable<void> first_attempt(std::shared_ptr<Impl> self, config::Milliseconds time);
  RedisReply skipped(const char* why);
  const char* why_not(const std::vector<std::string>& arguments) const;
  void start(RedisWaiters::Handler handler, const std::vector<std::string>& arguments, config::Milliseconds budget,
             bool asking);
  void answered(RedisReply reply);
  void connection_failed(const std::string& why);
  void on_timer();
  void probe_if_due(Time now);
  void arm(Time at);
  void arm_for_next();
  void complete(RedisWaiters::Handler handler, RedisReply reply);
  void fail_all(const char* why);
  void refused(RedisReply& reply);
  void ask_copy();
  void first_attempt_ended();
  void stop();

  /// The last sign of life that counts while replies are outstanding.
  Time last_progress() const noexcept { return std::max(waiting_since, link->last_read()); }

  asio::any_io_executor executor;
  RedisNode node;
  std::size_t max_reply;
  WorkerCounters& counters;  // counters and report: not after stop()
  RedisReport report;
  RedisHealth health;
  std::shared_ptr<RedisLink> opening, link;  // link: once its handshake is done
  std::uint64_t copy = 0;
  bool asking_copy = false;
  Time connected_since{};
  RedisWaiters waiters;
  Time waiting_since{};      // since when some reply has been outstanding
  asio::steady_timer timer;  // the earliest of all deadlines
  Time armed_for = Time::max();
  asio::steady_timer pause;  // before connecting again
  asio::steady_timer first;  // cancelled when the first attempt has ended
  bool first_ended = false;
  std::minstd_rand random;
  std::function<void()> on_trouble;
  bool stopped = false;
};

// ---- connecting

awaitable<void> RedisConnection::Impl::run(std::shared_ptr<Impl> self) {
  auto backoff = first_pause;
  while (!self->stopped) {
    self->opening = std::make_shared<RedisLink>(self->executor, self->node, self->max_reply);
    std::string problem = co_await self->opening->open();
    if (self->stopped) break;
    if (problem.empty()) {
      self->link = self->opening;
      self->copy = self->link->copy();
      self->asking_copy = false;
      const Time began = self->connected_since = Clock::now();
      self->first_attempt_ended();
      self->health.connected();
      if (self->stopped) break;  // by who was told
      problem = co_await self->link->receive([&impl = *self](RedisReply reply) { impl.answered(std::move(reply)); });
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
  opening.reset();
  link.reset();
  counters.redis_errors.add();
  fail_all("the connection to Redis was lost");
  first_attempt_ended();
  health.lost(why);
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

/// Sends it and completes with its reply. The frame that waits doesn't own Impl, since Impl owns what resumes the
/// frame.
auto RedisConnection::Impl::sent(std::shared_ptr<Impl>& self, const std::vector<std::string>& arguments,
                                 config::Milliseconds budget, bool asking) {
  auto initiate = [&self, &arguments, budget, asking](auto handler) {
    std::exchange(self, nullptr)->start(RedisWaiters::Handler(std::move(handler)), arguments, budget, asking);
  };
  return asio::async_initiate<const asio::use_awaitable_t<>, void(RedisReply)>(initiate, asio::use_awaitable);
}

awaitable<RedisReply> RedisConnection::Impl::command(std::shared_ptr<Impl> self, std::vector<std::string> arguments,
                                                     config::Milliseconds budget) {
  if (const char* why = self->why_not(arguments)) co_return self->skipped(why);
  co_return co_await sent(self, arguments, budget, false);
}

awaitable<RedisReply> RedisConnection::Impl::command_of(std::shared_ptr<Impl> self,
                                                        const std::vector<std::string>& arguments,
                                                        config::Milliseconds budget, bool asking) {
  if (const char* why = self->why_not(arguments)) co_return self->skipped(why);
  co_return co_await sent(self, arguments, budget, asking);
}

RedisReply RedisConnection::Impl::skipped(const char* why) {
  if (!stopped) counters.redis_skipped.add();
  return unavailable(why);
}

const char* RedisConnection::Impl::why_not(const std::vector<std::string>& arguments) const {
  if (stopped) return "stopped";
  if (!link) return "not connected to Redis";
  if (!health.is_up()) return "Redis doesn't answer in time, waiting for a probe";
  if (waiters.size() >= max_in_flight) return "too many commands in flight to Redis";
  if (link->unsent() > max_unsent) return "too many bytes on their way to Redis";
  return arguments.empty() ? "an empty command" : nullptr;
}

void RedisConnection::Impl::start(RedisWaiters::Handler handler, const std::vector<std::string>& arguments,
                                  config::Milliseconds budget, bool asking) {
  const Time now = Clock::now();
  if (waiters.empty()) waiting_since = now;
  if (asking) {
    waiters.push_probe(now, now + budget);
    link->send(std::vector<std::string>{"ASKING"});
  }
  auto slot = asio::get_associated_cancellation_slot(handler);
  const std::uint64_t ticket = waiters.push(std::move(handler), now, now + budget);
  if (slot.is_connected()) {
    // Left in the slot when the reply has come: the ticket is then unknown, and nothing happens.
    slot.assign([weak = weak_from_this(), ticket](asio::cancellation_type) {
      const auto self = weak.lock();
      if (!self) return;
      if (auto waiting = self->waiters.cancel(ticket)) self->complete(std::move(waiting), unavailable("cancelled"));
    });
  }
  link->send(arguments);
  arm(std::min(now + budget, last_progress() + no_progress));
}

void RedisConnection::Impl::complete(RedisWaiters::Handler handler, RedisReply reply) {
  // Posted, since whoever waits may do anything next, end this connection for one.
  if (handler) asio::post(executor, asio::append(std::move(handler), std::move(reply)));
}

void RedisConnection::Impl::fail_all(const char* why) {
  for (auto& handler : waiters.take_all()) complete(std::move(handler), unavailable(why));
}

void RedisConnection::Impl::answered(RedisReply reply) {
  if (waiters.empty()) return link->close("a reply to nothing that was asked");
  RedisWaiters::Waiter waiter = waiters.pop();
  if (waiter.asks_copy) {
    copy = copy_of(reply);
    asking_copy = false;
    return;
  }
  reply.copy = copy;
  counters.redis_seconds.observe_us(microseconds(Clock::now() - waiter.sent));
  if (reply.type == RedisReply::Type::error) {
    refused(reply);
    if (waiter.probe) health.probe_failed();
  } else if (waiter.probe && !waiter.over) {
    health.probe_answered();
  }
  complete(std::move(waiter.handler), std::move(reply));
}

void RedisConnection::Impl::refused(RedisReply& reply) {
  reply.text = without_password(std::move(reply.text), node.settings);
  const std::string_view code = redis_error_code(reply.text);
  if (node.is_of_cluster() && (code == "MOVED" || code == "ASK" || code == "TRYAGAIN")) return;  // the client's matter
  counters.redis_errors.add();
  report.error(reply.text);
  // No longer the master: nothing more is asked of it. The next handshake tells what it is, or a name leads to another.
  const bool is_old = Clock::now() - connected_since >= looked_up_anew;
  if (code == "READONLY" && (node.must_be_master() || (is_old && is_by_name(node)))) {
    return link->close("it says READONLY: no longer the master");
  }
  if (means_not_up(reply.text) && health.failed()) arm(health.next_probe());
}

void RedisConnection::Impl::ask_copy() {
  if (!health.is_up() || !node.tells_copy || std::exchange(asking_copy, true)) return;
  const Time now = Clock::now();
  if (waiters.empty()) waiting_since = now;
  waiters.push_copy(now, now + node.settings.timeout);
  link->send(std::vector<std::string>{"INFO", "replication"});
  arm(now + node.settings.timeout);
}

// ---- deadlines

void RedisConnection::Impl::on_timer() {
  if (!link) return;
  const Time now = Clock::now();
  // Where a large reply is arriving, those behind it are late for no fault of the server.
  const bool flowing = link->in_reply() && now - link->last_read() < node.settings.timeout;
  for (auto& handler : waiters.expire(now, link->in_reply())) {
    if (!handler) {
      health.probe_failed();
      continue;
    }
    counters.redis_timeouts.add();
    complete(std::move(handler), unavailable("no reply from Redis within the budget"));
    if (!flowing) health.failed();
  }
  if (!waiters.empty() && now - last_progress() >= no_progress) return link->close("nothing came for 2 s");
  if (link->in_reply() && now - link->reply_began() >= longest_reply) return link->close("a reply took over 10 s");
  probe_if_due(now);
  arm_for_next();
}

void RedisConnection::Impl::probe_if_due(Time now) {
  if (!health.take_probe(now)) return;
  if (waiters.empty()) waiting_since = now;
  waiters.push_probe(now, now + node.settings.timeout);
  link->send(std::vector<std::string>{"PING"});
}

void RedisConnection::Impl::arm_for_next() {
  Time next = std::min(health.next_probe(), waiters.next_deadline(link->in_reply()));
  if (!waiters.empty()) next = std::min(next, last_progress() + no_progress);
  if (next != Time::max()) arm(next);
}

void RedisConnection::Impl::arm(Time at) {
  if (at >= armed_for) return;
  armed_for = at;
  timer.expires_at(at);
  timer.async_wait([weak = weak_from_this(), at](const error_code& ec) {
    const auto self = weak.lock();
    if (ec || !self || self->stopped || self->armed_for != at) return;
    self->armed_for = Time::max();
    self->on_timer();
  });
}

void RedisConnection::Impl::stop() {
  if (std::exchange(stopped, true)) return;
  health.stop();
  on_trouble = nullptr;
  first_attempt_ended();
  if (opening) opening->close("stopped");
  link.reset();  // the same one; run() holds on to it until it has noticed
  timer.cancel();
  pause.cancel();
  fail_all("stopped");
}

// ---- the interface

RedisConnection::RedisConnection(asio::any_io_executor executor, RedisNode node, std::size_t max_reply,
                                 WorkerCounters& counters, Log& log)
    : impl_(std::make_shared<Impl>(executor, std::move(node), max_reply, counters, log)) {
  impl_->health.start(executor, [impl = impl_.get()] {
    impl->probe_if_due(Clock::now());
    impl->arm_for_next();
  });
  asio::co_spawn(executor, Impl::run(impl_), asio::detached);
}

RedisConnection::~RedisConnection() { stop(); }

awaitable<RedisReply> RedisConnection::command(std::vector<std::string> arguments,
                                               std::optional<config::Milliseconds> budget) {
  return Impl::command(impl_, std::move(arguments), budget.value_or(impl_->node.settings.timeout));
}

awaitable<RedisReply> RedisConnection::command_of(const std::vector<std::string>& arguments,
                                                  config::Milliseconds budget, bool asking) {
  return Impl::command_of(impl_, arguments, budget, asking);
}

awaitable<void> RedisConnection::first_attempt(config::Milliseconds time) { return Impl::first_attempt(impl_, time); }
bool RedisConnection::is_first_attempt() const noexcept {
  const auto& siblings = impl_->node.siblings;
  return !impl_->first_ended && !(siblings && siblings->was_silent());
}
std::uint64_t RedisConnection::copy() const noexcept { return impl_->link ? impl_->copy : 0; }
void RedisConnection::ask_copy() { impl_->ask_copy(); }
bool RedisConnection::is_up() const noexcept { return impl_->health.is_up(); }
void RedisConnection::on_up(std::function<void()> callback) { impl_->health.on_up(std::move(callback)); }
void RedisConnection::on_trouble(std::function<void()> callback) { impl_->on_trouble = std::move(callback); }
void RedisConnection::stop() { impl_->stop(); }

}  // namespace pillion
