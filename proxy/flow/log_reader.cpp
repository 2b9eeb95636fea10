#include "flow/log_reader.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <iterator>
#include <ranges>
#include <string_view>

#include "net/redis_codec.hpp"
#include "net/redis_discovery.hpp"

namespace pillion {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr std::size_t read_batch = 200;
constexpr milliseconds block{400};      // well under what ends a connection for lack of progress
constexpr milliseconds patience{1000};  // with one command of a look at the log
constexpr milliseconds retry_every{250};
constexpr int attempts = 4;  // at a log that others begin too
constexpr std::size_t max_reply = 8u << 20;
constexpr std::string_view no_stream = "WRONGTYPE";

std::int64_t ms_of(Clock::time_point at) {
  return std::chrono::duration_cast<milliseconds>(at.time_since_epoch()).count();
}

}  // namespace

LogReader::LogReader(asio::any_io_executor executor, RedisTopology& redis, LogFollower& follower, RedisClock& clock,
                     Counters& counters, Log& log)
    : executor_(executor),
      redis_(redis),
      key_(redis.settings().key_namespace + "pillion:log"),
      follower_(follower),
      clock_(clock),
      counters_(counters),
      log_(log),
      pause_(executor),
      batch_(read_batch),
      heard_at_ms_(ms_of(Clock::now())) {}

void LogReader::start(Events events) {
  events_ = std::move(events);
  connect();
  asio::co_spawn(executor_, run(), asio::detached);
}

void LogReader::stop() {
  stopped_ = true;
  pause_.cancel();
  if (connection_) connection_->stop();
}

void LogReader::connect() {
  ++generation_;
  connection_ = std::make_unique<RedisClient>(executor_, redis_, max_reply, own_counters_, log_, key_);
  connection_->on_up([this] { pause_.cancel(); });
}

void LogReader::look_again() {
  if (stopped_) return;
  live_.store(false, std::memory_order_release);
  connect();
}

void LogReader::set_live(bool live, bool tell) {
  live_.store(live, std::memory_order_release);
  counters_.log_up.store(live, std::memory_order_relaxed);
  if (live && std::exchange(told_, false)) log_.info("the invalidation log in Redis is heard again");
  if (!live && tell && !std::exchange(told_, true))
    log_.warn("the invalidation log in Redis is not heard: what stands there is not used meanwhile");
}

awaitable<RedisReply> LogReader::command(std::vector<std::string> arguments, milliseconds budget) {
  const std::uint64_t asked = generation_;
  RedisReply reply = co_await connection_->command(std::move(arguments), budget);
  // What a connection says that was given up doesn't count.
  if (stopped_ || asked != generation_) co_return RedisReply{};
  co_return reply;
}

awaitable<void> LogReader::run() {
  while (!stopped_) {
    if (is_connected() && co_await catch_up()) {
      set_live(true, false);
      events_.live();
      Step step = Step::on;
      while (step == Step::on) step = co_await read_on();
      if (stopped_) co_return;
      set_live(false, step == Step::failed);
      if (step == Step::behind) continue;
    }
    if (stopped_) co_return;
    pause_.expires_after(retry_every);
    co_await pause_.async_wait(no_throw);
  }
}

// Reads what is there, then looks whether it is the log that was known, and all of it. True: it is, as of a moment ago.
awaitable<bool> LogReader::catch_up() {
  follower_.doubt();
  if (std::exchange(too_large_, false) && !co_await mend(LogVerdict::senseless, {}, true)) co_return false;
  if (!follower_.has_view())
    co_await learn_clock([this](auto words) { return command(std::move(words), patience); }, clock_);
  const auto ask = [this](auto words) { return command(std::move(words), patience); };
  for (int attempt = 0; attempt < attempts; ++attempt) {
    const std::uint64_t copy = co_await learn_copy(ask);
    const auto sent = co_await read_to_end();
    if (!sent) co_return false;
    const LogLook look = co_await look_at_log(ask, key_, follower_.known());
    too_large_ = look.info.state == LogInfo::State::too_large;
    if (too_large_) co_return false;  // that cost the connection: it is mended with the next
    if (co_await learn_copy(ask) != copy) continue;
    const LogInfo& info = look.info;
    LogVerdict verdict = judge(look, follower_.read_before_doubt());
    if (verdict == LogVerdict::same) {
      if (follower_.vouch(look)) {
        redis_.set_copy(copy);
        heard_at_ms_.store(ms_of(*sent), std::memory_order_relaxed);
        co_return true;
      }
      verdict = LogVerdict::unnamed;
    }
    // What was added meanwhile may begin an epoch, and then all is well.
    const bool alone = attempt < attempts / 2;
    const bool read_first = alone && (verdict == LogVerdict::replaced || verdict == LogVerdict::unnamed);
    if (read_first && info.end > follower_.position()) continue;
    // Who hasn't followed it yet has nothing to say about what it was.
    if (!follower_.has_view() && !follower_.owes() &&
        (verdict == LogVerdict::replaced || verdict == LogVerdict::older)) {
      follower_.restart();
      continue;
    }
    if (!co_await mend(verdict, info, alone)) co_return false;
  }
  co_return false;
}

awaitable<std::optional<LogReader::Time>> LogReader::read_to_end() {
  for (;;) {
    const auto sent = Clock::now();
    const std::size_t asked = batch_;
    std::vector<std::string> words{"XREAD", "COUNT", std::to_string(asked), "STREAMS", key_, cursor()};
    const RedisReply reply = co_await command(std::move(words), patience);
    if (reply.text.starts_with(no_stream)) co_return sent;  // that shows at the look
    const auto records = records_in(reply);
    if (!records) co_return std::nullopt;
    // Where another log turns out to stand there, it is read from its beginning.
    if (!apply(*records) || records->size() == asked) continue;
    batch_ = read_batch;
    co_return sent;
  }
}

// Many records together may be more than a reply may hold; no single one of Pillion's is.
std::optional<std::vector<LogRecord>> LogReader::records_in(const RedisReply& reply) {
  if (reply.text.starts_with(too_much_in_reply)) {
    too_large_ = batch_ == 1;
    batch_ = 1;
  }
  return reply.ok() ? parse_read(reply) : std::nullopt;
}

awaitable<LogReader::Step> LogReader::read_on() {
  const auto sent = Clock::now();
  std::vector<std::string> words{
      "XREAD", "COUNT", std::to_string(batch_), "BLOCK", std::to_string(block.count()), "STREAMS", key_, cursor()};
  const milliseconds longest = block + std::max(redis_.settings().timeout, milliseconds(200));
  const RedisReply reply = co_await command(std::move(words), longest);
  const auto records = records_in(reply);
  if (!records) co_return Step::failed;
  // Whether it may be trusted is found out first.
  if (std::ranges::any_of(*records, &LogRecord::begins) || !apply(*records)) co_return Step::behind;
  if (!records->empty()) events_.applied();
  // What lay here while the process was stopped says nothing of what came since.
  if (Clock::now() - sent > longest) co_return Step::behind;
  heard_at_ms_.store(ms_of(sent), std::memory_order_relaxed);
  co_return records->size() < batch_ ? Step::on : Step::behind;
}

bool LogReader::apply(std::span<const LogRecord> records) {
  const bool first_time = !follower_.has_view();
  const std::size_t begun = follower_.read(records, ms_of(Clock::now()));
  counters_.log_lost.add(begun);
  if (begun > 0) log_.warn("Redis lost the invalidation log: everything fetched before is fetched anew");
  if (follower_.is_strange()) {
    read_anew("another invalidation log stands in Redis in the place of the known one");
    return false;
  }
  if (first_time) return true;
  for (const LogRecord& record : records) {
    if (!record.begins && !follower_.is_own(record)) events_.foreign(record);
  }
  return true;
}

awaitable<std::uint64_t> learn_copy(LogCommand command) {
  co_return copy_of(co_await command({"INFO", "replication"}));
}

awaitable<void> learn_clock(LogCommand command, RedisClock& clock) {
  const auto us = [](Clock::time_point at) {
    return std::chrono::duration_cast<std::chrono::microseconds>(at.time_since_epoch()).count();
  };
  const auto sent = Clock::now();
  const RedisReply time = co_await command({"TIME"});
  clock.learn(time, us(sent), us(Clock::now()));
}

// A stream that isn't there has no XINFO, which Redis would call an error. What Redis can't say for now (LOADING,
// MASTERDOWN) is no sign that anything is missing.
awaitable<LogLook> look_at_log(LogCommand command, std::string key, std::vector<KnownRecord> known) {
  LogLook look;
  look.known = std::move(known);
  for (const KnownRecord& record : look.known) {
    const RedisReply found = co_await command({"XRANGE", key, record.id, record.id});
    if (!found.ok() && !found.text.starts_with(no_stream)) co_return look;
    look.stands.push_back(finds(found, record));
  }
  const RedisReply there = co_await command({"EXISTS", key});
  if (there.type != RedisReply::Type::integer) co_return look;
  look.info.state = LogInfo::State::gone;
  if (there.integer != 0) look.info = parse_info(co_await command({"XINFO", "STREAM", key}));
  co_return look;
}

void LogReader::read_anew(const std::string& why) {
  log_.warn(why + ": everything fetched before is fetched anew");
  counters_.log_lost.add();
  follower_.restart();
}

// True where the log is to be looked at again.
awaitable<bool> LogReader::mend(LogVerdict verdict, const LogInfo& info, bool alone) {
  if (verdict == LogVerdict::unknown) co_return false;
  if (verdict == LogVerdict::past_us || verdict == LogVerdict::senseless) {
    read_anew(verdict == LogVerdict::past_us ? "the invalidation log in Redis was trimmed past what was read"
                                             : key_ + " in Redis is no invalidation log, another is begun");
    if (verdict == LogVerdict::past_us) co_return true;
    co_return (co_await command({"DEL", key_}, patience)).ok();
  }
  // Of many that begin it, one does: the id is past all that is known, so whoever knows as much hears of it. Where too
  // much is written for that, rather several than none.
  std::vector<std::string> words{"XADD", key_, alone ? follower_.next_epoch_id(info) : "*"};
  std::ranges::move(follower_.next_epoch(), std::back_inserter(words));
  const RedisReply begun = co_await command(std::move(words), patience);
  co_return begun.type != RedisReply::Type::unavailable;
}

}  // namespace pillion
