#include "flow/invalidation_log.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "flow/log_record.hpp"

namespace pillion {

namespace {

// Undelivered invalidations that are kept one by one; beyond it they become a single 'all'.
constexpr std::size_t max_pending = 1000;
constexpr std::string_view max_length = "65536";
constexpr std::size_t read_batch = 200;
constexpr std::chrono::milliseconds retry_every{250};
constexpr std::chrono::milliseconds watch_every{1000};
constexpr std::chrono::milliseconds last_chance{2000};

const std::vector<Selector> everything{{Selector::Kind::all, {}}};

}  // namespace

InvalidationLog::InvalidationLog(asio::any_io_executor executor, Counters& counters, Log& log)
    : executor_(executor), counters_(counters), log_(log), retry_(executor), watch_(executor) {}

InvalidationLog::~InvalidationLog() = default;

void InvalidationLog::connect(RedisTopology& redis, WorkerCounters& counters, std::function<void()> on_ready) {
  on_ready_ = std::move(on_ready);
  log_key_ = redis.settings().key_namespace + "pillion:log";
  epoch_key_ = redis.settings().key_namespace + "pillion:epoch";
  redis_ = std::make_unique<RedisClient>(executor_, redis, 8u << 20, counters, log_, log_key_);
  redis_->on_up([this] { asio::co_spawn(executor_, synchronise(), asio::detached); });
  asio::co_spawn(executor_, watch_epoch(), asio::detached);
}

void InvalidationLog::stop() {
  stopped_ = true;
  retry_.cancel();
  watch_.cancel();
  if (redis_) redis_->stop();
}

Fence InvalidationLog::fence() const {
  const auto view = view_.load();
  Fence fence;
  if (view && redis_ready()) {
    fence.shared = view->known.load(std::memory_order_acquire);
    fence.epoch = view->epoch;
  }
  fence.local = local_.latest();
  return fence;
}

Standing InvalidationLog::standing_in_redis(const StoredResponse& response) const {
  const auto view = view_.load();
  if (!view || view->epoch != response.epoch()) return {.invalidated = true};
  return standing_by(view->table, response.shared_position(), response);
}

awaitable<InvalidationLog::Outcome> InvalidationLog::invalidate(std::vector<Selector> selectors) {
  for (const Selector& selector : selectors) {
    if (selector.kind != Selector::Kind::hashed) counters_.invalidations[static_cast<std::size_t>(selector.kind)].add();
  }
  // Until the log has given it an id, it stands behind everything that was ever fetched. This order first: a look-up
  // that has taken the new local position must find it when it compares what it read from Redis.
  if (const auto view = view_.load()) view->table.apply(selectors, view->known.load() + 1);
  const std::uint64_t position = local_.invalidate(selectors, Strength::hard, 0);
  Outcome outcome;
  if (!redis_) {
    outcome.position = std::to_string(position);
    co_return outcome;
  }
  outcome.position = co_await asio::co_spawn(executor_, publish(std::move(selectors)), asio::use_awaitable);
  outcome.pending = outcome.position.empty();
  if (outcome.pending) outcome.position = "local-" + std::to_string(position);
  co_return outcome;
}

awaitable<RedisReply> InvalidationLog::command(std::vector<std::string> arguments) {
  co_return co_await redis_->command(std::move(arguments), patience_);
}

awaitable<std::string> InvalidationLog::publish(std::vector<Selector> selectors) {
  std::string id;
  // Behind what waits already: the log keeps the order in which things happened here.
  if (stopped_ || !redis_ready() || !pending_.empty() || !co_await send(selectors, id)) {
    keep_pending(std::move(selectors));
    co_return std::string{};
  }
  co_return id;
}

awaitable<bool> InvalidationLog::send(const std::vector<Selector>& selectors, std::string& id) {
  for (std::size_t from = 0; from < selectors.size(); from += max_record_selectors) {
    const std::size_t n = std::min(max_record_selectors, selectors.size() - from);
    if (!co_await send_record(std::span(selectors).subspan(from, n), id)) co_return false;
  }
  co_return true;
}

awaitable<bool> InvalidationLog::send_record(std::span<const Selector> selectors, std::string& id) {
  // A stream that is gone isn't begun anew in passing: what it said is lost, and that has to be noticed.
  std::vector<std::string> words{"XADD", log_key_, "NOMKSTREAM", "MAXLEN", "~", std::string(max_length), "*"};
  for (const Selector& selector : selectors) {
    Selector small = bounded_selector(selector);
    words.emplace_back(to_string(small.kind));
    words.push_back(std::move(small.text));
  }
  const RedisReply reply = co_await redis_->command(std::move(words));
  const auto view = view_.load();
  if (!view || (reply.type != RedisReply::Type::string && reply.type != RedisReply::Type::nil)) co_return false;
  id = reply.text;
  const std::uint64_t number = packed_id(id);
  if (reply.type == RedisReply::Type::nil || number <= view->known.load()) {
    // Gone, or ids that went down, as in an older copy of the log: nothing fenced by it can be trusted.
    co_await begin_lost_epoch();
    co_return false;
  }
  view->table.apply(selectors, number);
  view->known.store(number, std::memory_order_release);
  co_return true;
}

awaitable<bool> InvalidationLog::begin_lost_epoch() {
  std::string epoch;
  if (!co_await begin_epoch(false, epoch)) co_return false;
  adopt(epoch);
  co_return true;
}

void InvalidationLog::keep_pending(std::vector<Selector> selectors) {
  if (pending_.size() >= max_pending) {
    log_.warn("Redis is out of reach for too many invalidations: all that it has will be invalidated");
    pending_.clear();
    selectors = everything;
  }
  pending_.push_back(std::move(selectors));
  pending_count_ = pending_.size();
  retry_later();
}

void InvalidationLog::retry_later() {
  if (stopped_ || retry_armed_) return;
  retry_armed_ = true;
  retry_.expires_after(retry_every);
  retry_.async_wait([this](error_code error) {
    retry_armed_ = false;
    if (error || stopped_ || (pending_.empty() && redis_ready())) return;
    asio::co_spawn(executor_, synchronise(), asio::detached);
  });
}

awaitable<void> InvalidationLog::deliver_last() {
  if (!redis_ || stopped_) co_return;
  asio::steady_timer pause(executor_);
  const auto until = std::chrono::steady_clock::now() + last_chance;
  while (!pending_.empty() && redis_->is_up() && std::chrono::steady_clock::now() < until) {
    co_await synchronise();
    if (pending_.empty()) break;
    pause.expires_after(retry_every);
    co_await pause.async_wait(no_throw);
  }
}

// A FLUSHALL leaves the connection as it is: the epoch's name is looked at each second.
awaitable<void> InvalidationLog::watch_epoch() {
  while (!stopped_) {
    watch_.expires_after(watch_every);
    co_await watch_.async_wait(no_throw);
    if (stopped_) co_return;
    const auto view = view_.load();
    if (!view || !redis_ready() || !redis_->is_up()) continue;
    const RedisReply name = co_await command({"GET", epoch_key_});
    if (!name.ok() || stopped_) continue;
    if (name.text.empty() || epoch_number(name.text) != view->epoch) co_await synchronise();
  }
}

// Runs at every (re)connection, and again while something could not be delivered.
awaitable<void> InvalidationLog::synchronise() {
  if (synchronising_ || stopped_) {
    again_ = true;
    co_return;
  }
  synchronising_ = true;
  do {
    again_ = false;
    std::string epoch;
    bool lost = false, ok = co_await read_epoch(epoch, lost);
    if (ok && (epoch.empty() || lost)) ok = co_await begin_epoch(!lost, epoch);
    if (ok) {
      adopt(epoch);
      bool older = false;
      ok = co_await read_log(*view_.load(), older);
      if (ok && older) ok = co_await begin_lost_epoch() && co_await read_log(*view_.load(), older);
    }
    if (ok) ok = co_await deliver_pending();
    if (ok) {
      ready_.store(true, std::memory_order_release);
      if (on_ready_) std::exchange(on_ready_, nullptr)();
    } else {
      ready_ = false;
      retry_later();
    }
  } while (again_ && !stopped_);
  synchronising_ = false;
}

// An epoch without its stream, or with one that neither begins where it was begun nor was trimmed, means a log that was
// lost.
awaitable<bool> InvalidationLog::read_epoch(std::string& epoch, bool& lost) {
  const RedisReply name = co_await command({"GET", epoch_key_});
  if (!name.ok()) co_return false;
  epoch = name.text;
  if (epoch.empty()) co_return true;
  const RedisReply first = co_await command({"XRANGE", log_key_, "-", "+", "COUNT", "1"});
  if (!first.ok()) co_return false;
  if (first.elements.empty() || first.elements[0].elements.size() != 2) {
    lost = true;
    co_return true;
  }
  const RedisReply& fields = first.elements[0].elements[1];
  if (!fields.elements.empty() && fields.elements[0].text == "begin") co_return true;
  const RedisReply info = co_await command({"XINFO", "STREAM", log_key_});
  if (!info.ok()) co_return false;
  lost = !was_trimmed(info);
  co_return true;
}

// The stream is begun before its epoch has a name, so whoever sees the name sees the stream.
awaitable<bool> InvalidationLog::begin_epoch(bool only_if_absent, std::string& epoch) {
  epoch = random_epoch_name();
  if (!only_if_absent && !(co_await command({"DEL", log_key_})).ok()) co_return false;
  const RedisReply begun = co_await command({"XADD", log_key_, "*", "begin", epoch});
  if (!begun.ok()) co_return false;
  std::vector<std::string> words{"SET", epoch_key_, epoch};
  if (only_if_absent) words.emplace_back("NX");
  const RedisReply set = co_await command(std::move(words));
  if (!set.ok()) co_return false;
  const RedisReply name = co_await command({"GET", epoch_key_});
  epoch = name.text;
  co_return name.ok() && !epoch.empty();
}

void InvalidationLog::adopt(const std::string& epoch) {
  const auto old = view_.load();
  const std::uint64_t number = epoch_number(epoch);
  if (old && old->epoch == number) return;
  auto view = std::make_shared<View>();
  view->epoch = number;
  view_.store(view);
  if (!old) return;
  local_.invalidate(everything, Strength::hard, 0);
  log_.warn("Redis lost the invalidation log: everything fetched before is fetched anew");
}

// `older`: the log's last id lies before what is known already, as in a copy from before.
awaitable<bool> InvalidationLog::read_log(View& view, bool& older) {
  const std::string from = view.cursor;
  const std::uint64_t known = view.known.load();
  for (;;) {
    const RedisReply batch =
        co_await command({"XRANGE", log_key_, "(" + view.cursor, "+", "COUNT", std::to_string(read_batch)});
    if (batch.type != RedisReply::Type::array) co_return false;
    for (const RedisReply& record : batch.elements) {
      if (record.elements.size() != 2) co_return false;
      const std::vector<Selector> selectors = selectors_of_record(record.elements[1]);
      view.cursor = record.elements[0].text;
      const std::uint64_t number = packed_id(view.cursor);
      if (!selectors.empty()) {
        view.table.apply(selectors, number);
        local_.invalidate(selectors, Strength::hard, 0);
      }
      if (number > view.known.load()) view.known.store(number, std::memory_order_release);
    }
    if (batch.elements.size() < read_batch) break;
  }
  const RedisReply info = co_await command({"XINFO", "STREAM", log_key_});
  const RedisReply* last = named(info, "last-generated-id");
  const RedisReply* first = named(info, "recorded-first-entry-id");
  if (!last || !first) co_return false;
  older = packed_id(last->text) < known;
  // Trimmed past what was read: what it said is lost, so everything before what is left is distrusted.
  if (was_trimmed(info) && packed_id(first->text) > packed_id(from) + 1) {
    view.table.raise_floor(packed_id(first->text) - 1);
    if (from != "0-0") local_.invalidate(everything, Strength::hard, 0);
  }
  co_return true;
}

awaitable<bool> InvalidationLog::deliver_pending() {
  while (!pending_.empty()) {
    // Out of the queue first: while it is on its way the queue may be emptied in favour of a single 'all'.
    std::vector<Selector> selectors = std::move(pending_.front());
    pending_.pop_front();
    std::string id;
    const bool sent = co_await send(selectors, id);
    if (!sent) pending_.push_front(std::move(selectors));
    pending_count_ = pending_.size();
    if (!sent) co_return false;
  }
  co_return true;
}

}  // namespace pillion
