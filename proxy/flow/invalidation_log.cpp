#include "flow/invalidation_log.hpp"

#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <random>

#include "flow/log_follower.hpp"
#include "flow/log_reader.hpp"
#include "flow/log_view.hpp"
#include "flow/log_writer.hpp"
#include "flow/replicas.hpp"
#include "net/redis_client.hpp"
#include "net/shared_slot.hpp"

namespace pillion {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds watch_every{400};
constexpr milliseconds grace{20};  // for the control thread to say that the budget is used up
constexpr std::size_t max_reply = 8u << 20;

// Host and a number that lasts as long as the process: in a pod every process has the same id.
std::string replica_name() {
  char host[256] = "localhost";
  ::gethostname(host, sizeof host - 1);
  std::random_device device;
  return std::string(host) + '-' + std::to_string(device());
}

std::int64_t steady_ms(Clock::time_point at) {
  return std::chrono::duration_cast<milliseconds>(at.time_since_epoch()).count();
}

/// Between who waits for Redis and the control thread. Used on the waiter's thread alone.
struct Delivery {
  explicit Delivery(const asio::any_io_executor& executor) : wake(executor) {}
  asio::steady_timer wake;
  KnownRecord record;
};

}  // namespace

struct InvalidationLog::Parts {
  Parts(asio::any_io_executor e, RedisTopology& r, WorkerCounters& connection_counters, Counters& c, Log& l,
        LocalOrder& local, const std::string& replica)
      : executor(e),
        redis_topology(r),
        redis(r.settings()),
        key(redis.key_namespace + "pillion:log"),
        counters(c),
        follower(random_name(), local, view, clock),
        connection(e, r, max_reply, connection_counters, l, key),
        reader(e, r, follower, clock, c, l),
        writer(e, redis, connection, follower, reader, unsent, c, l),
        replicas(e, redis, replica, connection, follower, clock),
        pause(e) {}

  awaitable<void> watch();
  awaitable<void> verify();
  awaitable<void> publish(OutgoingInvalidation invalidation, Clock::time_point until,
                          std::shared_ptr<Delivery> delivery);
  void heard(const LogRecord& record);

  const asio::any_io_executor executor;
  RedisTopology& redis_topology;
  const config::RedisSettings& redis;
  const std::string key;
  Counters& counters;
  RedisClock clock;
  SharedSlot<LogView> view;
  UnsentInvalidations unsent;
  LogFollower follower;
  RedisClient connection;  // the reader has another
  LogReader reader;
  LogWriter writer;
  Replicas replicas;
  std::function<void()> on_ready;
  asio::steady_timer pause;
  std::uint64_t end_seen = 0;
  bool stopped = false;
};

InvalidationLog::InvalidationLog(asio::any_io_executor executor, RedisTopology* redis,
                                 WorkerCounters& connection_counters, Counters& counters, Log& log)
    : counters_(counters), replica_(replica_name()) {
  if (!redis) return;
  parts_ = std::make_unique<Parts>(std::move(executor), *redis, connection_counters, counters, log, local_, replica_);
}

InvalidationLog::~InvalidationLog() = default;

void InvalidationLog::start(std::function<void()> on_ready) {
  if (!parts_) return;
  Parts& parts = *parts_;
  parts.on_ready = std::move(on_ready);
  parts.reader.start({[&parts] {
                        parts.replicas.announce();
                        asio::co_spawn(parts.executor, parts.writer.deliver(), asio::detached);
                        if (parts.on_ready) std::exchange(parts.on_ready, nullptr)();
                      },
                      [&parts] { parts.replicas.announce(); },
                      [&parts](const LogRecord& record) { parts.heard(record); }});
  parts.connection.on_up([&parts] { parts.pause.cancel(); });
  asio::co_spawn(parts.executor, parts.watch(), asio::detached);
}

void InvalidationLog::stop() {
  if (!parts_) return;
  parts_->stopped = true;
  parts_->pause.cancel();
  parts_->writer.stop();
  parts_->reader.stop();
  parts_->connection.stop();
}

awaitable<void> InvalidationLog::sign_off() {
  if (!parts_ || parts_->stopped) co_return;
  co_await parts_->writer.deliver_last();
  co_await parts_->replicas.leave();
}

const SharedClock& InvalidationLog::clock() const noexcept { return parts_->clock.shared(); }

Fence InvalidationLog::fence() const {
  Fence fence;
  if (redis_ready()) {
    if (const auto view = parts_->view.load()) {
      fence.shared = view->known.load(std::memory_order_acquire);
      fence.epoch = view->epoch;
    }
  }
  fence.local = local_.latest();
  return fence;
}

Fence InvalidationLog::last_in_log() const {
  Fence last;
  const auto view = redis_ready() ? parts_->view.load() : nullptr;
  if (!view) return last;
  last.shared = view->last_hard.load(std::memory_order_acquire);
  last.epoch = view->epoch;
  return last;
}

Standing InvalidationLog::standing_in_redis(const StoredResponse& response) const {
  if (!redis_ready() || parts_->unsent.name(response.selectors(), response.readable_key()))
    return {.invalidated = true};
  const auto view = parts_->view.load();
  if (!view || view->epoch != response.epoch()) return {.invalidated = true};
  return standing_by(view->table, response.shared_position(), response);
}

bool InvalidationLog::redis_ready() const noexcept { return parts_ && parts_->reader.is_live(); }

bool InvalidationLog::is_unsure(Now now) const noexcept {
  return parts_ && now.mono_ms - parts_->reader.heard_at_ms() > parts_->redis.max_silence.count();
}

std::uint64_t InvalidationLog::pending() const noexcept { return parts_ ? parts_->writer.pending() : 0; }

awaitable<InvalidationLog::Outcome> InvalidationLog::invalidate(std::vector<Selector> selectors, Strength strength) {
  for (const Selector& selector : selectors) {
    if (selector.kind != Selector::Kind::hashed) counters_.invalidations[static_cast<std::size_t>(selector.kind)].add();
  }
  OutgoingInvalidation outgoing{{}, strength, steady_ms(Clock::now()), 0};
  // Before it has its place in the order here: a look-up that has taken the new local position must find it when it
  // compares what it read from Redis.
  if (parts_) outgoing.ticket = parts_->unsent.add(selectors);
  const std::uint64_t position = local_.invalidate(selectors, strength, outgoing.mono_ms);
  if (!parts_) co_return Outcome{std::to_string(position), false, {}, position};
  outgoing.selectors = std::move(selectors);

  const auto until = Clock::now() + parts_->redis.timeout;
  const auto delivery = std::make_shared<Delivery>(co_await asio::this_coro::executor);
  delivery->wake.expires_at(until + grace);
  asio::post(parts_->executor, [parts = parts_.get(), outgoing = std::move(outgoing), until, delivery]() mutable {
    asio::co_spawn(parts->executor, parts->publish(std::move(outgoing), until, delivery), asio::detached);
  });
  co_await delivery->wake.async_wait(no_throw);
  Outcome outcome{delivery->record.id, delivery->record.id.empty(), delivery->record, position};
  if (outcome.pending) outcome.position = "local-" + std::to_string(position);
  co_return outcome;
}

awaitable<void> InvalidationLog::Parts::publish(OutgoingInvalidation invalidation, Clock::time_point until,
                                                std::shared_ptr<Delivery> delivery) {
  KnownRecord record = co_await writer.publish(std::move(invalidation), until);
  asio::post(delivery->wake.get_executor(), [delivery, record = std::move(record)]() mutable {
    delivery->record = std::move(record);
    delivery->wake.cancel();
  });
}

awaitable<ReplicasAt> InvalidationLog::applied_by(KnownRecord record, milliseconds wait) {
  if (!parts_) co_return ReplicasAt{{replica_}, {}};
  co_return co_await asio::co_spawn(
      parts_->executor, parts_->replicas.applied_by(std::move(record), Clock::now() + wait), asio::use_awaitable);
}

void InvalidationLog::Parts::heard(const LogRecord& record) {
  const auto now_us =
      clock.at_us(std::chrono::duration_cast<std::chrono::microseconds>(Clock::now().time_since_epoch()).count());
  if (!now_us) return;
  counters.invalidation_lag.observe_us(
      static_cast<std::uint64_t>(std::max<std::int64_t>(0, *now_us - id_ms(record.position) * 1000)));
}

awaitable<void> InvalidationLog::Parts::watch() {
  while (!stopped) {
    if (connection.is_up()) {
      co_await learn_clock([this](auto words) { return connection.command(std::move(words)); }, clock);
      co_await replicas.tick();
    }
    if (connection.is_up()) co_await verify();
    if (stopped) co_return;
    pause.expires_after(watch_every);
    co_await pause.async_wait(no_throw);
  }
}

// A FLUSHALL, or a failover that the reader's connection outlived, cuts nothing: the log is looked at by the connection
// that writes, too.
awaitable<void> InvalidationLog::Parts::verify() {
  if (!reader.is_live()) {
    end_seen = 0;
    co_return;
  }
  const auto ask = [this](auto words) { return connection.command(std::move(words)); };
  const LogLook look = co_await look_at_log(ask, key, follower.known());
  const std::uint64_t copy = co_await learn_copy(ask);
  if (stopped || !reader.is_live()) co_return;
  // A server may become another's replica, or its own master, and keep all connections.
  const bool another = copy != 0 && redis_topology.copy() != 0 && copy != redis_topology.copy();
  const LogVerdict verdict = judge(look, 0);
  if (verdict == LogVerdict::unknown) co_return;
  // What stood at its end a while ago should have been heard by now.
  const bool deaf = end_seen > follower.position();
  end_seen = look.info.end;
  if (verdict != LogVerdict::same || deaf || another) reader.look_again();
}

}  // namespace pillion
