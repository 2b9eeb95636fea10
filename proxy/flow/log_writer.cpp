#include "flow/log_writer.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

namespace pillion {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::string_view max_length = "65536";
constexpr milliseconds retry_every{250}, last_chance{2000}, glance{2};
constexpr milliseconds patience{1000};  // with a record that nobody waits for

const std::vector<Selector> everything{{Selector::Kind::all, {}}};

}  // namespace

LogWriter::LogWriter(asio::any_io_executor executor, const config::RedisSettings& settings, RedisClient& connection,
                     LogFollower& follower, LogReader& reader, UnsentInvalidations& unsent, Counters& counters,
                     Log& log)
    : executor_(executor),
      key_(settings.key_namespace + "pillion:log"),
      connection_(connection),
      follower_(follower),
      reader_(reader),
      unsent_(unsent),
      counters_(counters),
      log_(log),
      retry_(executor) {}

void LogWriter::stop() {
  stopped_ = true;
  retry_.cancel();
}

awaitable<KnownRecord> LogWriter::publish(OutgoingInvalidation invalidation, Time until) {
  KnownRecord sent;
  if (co_await may_write(until)) sent = co_await send(invalidation, until);
  if (sent.id.empty()) {
    keep(std::move(invalidation));
  } else {
    unsent_.done(invalidation.ticket);
  }
  co_return sent;
}

// A log that is just being looked at is ready in a moment, and what is being delivered is soon out of the way.
awaitable<bool> LogWriter::may_write(Time until) {
  asio::steady_timer timer(executor_);
  const auto is_busy = [this] { return delivering_ || !pending_.empty(); };
  const auto soon = [&] { return reader_.is_live() ? is_busy() : !is_busy() && reader_.is_connected(); };
  if (reader_.is_live() && is_busy()) asio::co_spawn(executor_, deliver(), asio::detached);
  while (!stopped_ && soon() && Clock::now() < until) {
    timer.expires_after(glance);
    co_await timer.async_wait(no_throw);
  }
  co_return !stopped_ && reader_.is_live() && !is_busy();
}

awaitable<KnownRecord> LogWriter::send(const OutgoingInvalidation& invalidation, Time until) {
  const std::span<const Selector> all(invalidation.selectors);
  KnownRecord sent;
  for (std::size_t from = 0; from < all.size(); from += max_record_selectors) {
    const auto some = all.subspan(from, std::min(max_record_selectors, all.size() - from));
    LogRecord record;
    record.strength = invalidation.strength;
    record.selectors.assign(some.begin(), some.end());
    sent = co_await send_record(std::move(record), invalidation.mono_ms, until);
    if (sent.id.empty()) break;
  }
  co_return sent;
}

awaitable<KnownRecord> LogWriter::send_record(LogRecord record, std::int64_t mono_ms, Time until) {
  const auto left = std::chrono::ceil<milliseconds>(until - Clock::now());
  if (left.count() <= 0 || !reader_.is_live() || !connection_.is_same_copy()) co_return KnownRecord{};
  const std::string by = follower_.next_mark();
  // A stream that is gone isn't begun anew in passing: what it said is lost, and that has to be noticed.
  std::vector<std::string> words{"XADD", key_, "NOMKSTREAM", "MAXLEN", "~", std::string(max_length), "*"};
  const auto fields = record_fields(by, follower_.epoch(), record.strength, record.selectors);
  words.insert(words.end(), fields.begin(), fields.end());
  const std::uint64_t before = follower_.known_position();
  const RedisReply reply = co_await connection_.command(std::move(words), left);
  if (stopped_ || (reply.type != RedisReply::Type::string && reply.type != RedisReply::Type::nil))
    co_return KnownRecord{};
  // Another copy of the log has it than the one that is read, and may be given up.
  if (!connection_.is_same_copy(reply)) co_return KnownRecord{};
  record.id = reply.text;
  record.position = packed_id(reply.text);
  record.mark = mark_of(by);
  if (follower_.written(record, before, mono_ms)) co_return KnownRecord{record.id, record.position, record.mark};
  // Gone, or ids that went down, as in an older copy of the log: nothing fenced by it can be trusted.
  reader_.look_again();
  co_return KnownRecord{};
}

void LogWriter::keep(OutgoingInvalidation invalidation) {
  for (Selector& selector : invalidation.selectors) selector = bounded_selector(selector);
  pending_selectors_ += invalidation.selectors.size();
  pending_.push_back(std::move(invalidation));
  if (pending_.size() > max_pending || pending_selectors_ > max_pending_selectors) give_up_details();
  count_pending();
  retry_later();
}

void LogWriter::give_up_details() {
  log_.warn("Redis is out of reach for too many invalidations: all that it has will be invalidated");
  // The first ticket stands for all: while it is outstanding, so is what came after it.
  OutgoingInvalidation all;
  all.selectors = everything;
  all.ticket = std::ranges::min_element(pending_, {}, &OutgoingInvalidation::ticket)->ticket;
  for (const OutgoingInvalidation& one : pending_) {
    if (one.ticket != all.ticket) unsent_.done(one.ticket);
  }
  pending_.clear();
  pending_.push_back(std::move(all));
  pending_selectors_ = 1;
}

void LogWriter::count_pending() {
  pending_count_.store(pending_.size(), std::memory_order_relaxed);
  counters_.invalidations_pending.store(pending_.size(), std::memory_order_relaxed);
}

void LogWriter::retry_later() {
  if (stopped_ || retry_armed_) return;
  retry_armed_ = true;
  retry_.expires_after(retry_every);
  retry_.async_wait([this](error_code error) {
    retry_armed_ = false;
    if (!error && !stopped_ && !pending_.empty()) asio::co_spawn(executor_, deliver(), asio::detached);
  });
}

awaitable<void> LogWriter::deliver() {
  if (delivering_) co_return;
  delivering_ = true;
  while (!pending_.empty() && !stopped_ && reader_.is_live()) {
    // Out of the queue first: while it is on its way the queue may be emptied in favour of a single `all`.
    OutgoingInvalidation first = std::move(pending_.front());
    pending_.pop_front();
    pending_selectors_ -= first.selectors.size();
    const KnownRecord sent = co_await send(first, Clock::now() + patience);
    if (sent.id.empty()) {
      pending_selectors_ += first.selectors.size();
      pending_.push_front(std::move(first));
      break;
    }
    unsent_.done(first.ticket);
    count_pending();
  }
  delivering_ = false;
  count_pending();
  if (!pending_.empty()) retry_later();
}

awaitable<void> LogWriter::deliver_last() {
  asio::steady_timer pause(executor_);
  const auto until = Clock::now() + last_chance;
  while (!pending_.empty() && !stopped_ && connection_.is_up() && Clock::now() < until) {
    co_await deliver();
    if (pending_.empty()) break;
    pause.expires_after(retry_every);
    co_await pause.async_wait(no_throw);
  }
}

}  // namespace pillion
