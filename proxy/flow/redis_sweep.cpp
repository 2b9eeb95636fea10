#include "flow/redis_sweep.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <charconv>

#include "core/cache_key.hpp"
#include "core/query_key.hpp"
#include "core/stored_response_codec.hpp"
#include "flow/endless_lease.hpp"
#include "store/store_id.hpp"

namespace pillion {

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

constexpr std::chrono::milliseconds look_every{1s};   // whether there is something to do
constexpr std::chrono::milliseconds retry_after{5s};  // where another sweeps, or Redis fails; or once it is up
constexpr std::chrono::milliseconds between_scans{50};
constexpr std::chrono::milliseconds lease_time{30s};
constexpr std::chrono::milliseconds least_rest{60s};  // after a round, for all replicas; or ten times what it took
constexpr std::chrono::milliseconds longest_rest{1h};
constexpr std::chrono::milliseconds longest_lease = 2 * longest_rest;  // one that lasts longer is nobody's
constexpr std::chrono::hours swept_time{24};
constexpr config::Milliseconds patience{1000};  // for one command: nobody waits for it
constexpr std::string_view scan_count = "200";
constexpr std::size_t first_look = 512;  // bytes of a value: the front of most
constexpr std::size_t largest_front = 64u << 10;
constexpr std::size_t max_reply = 4u << 20;  // of SCAN: some hundred names

std::uint64_t number_in(std::string_view text) noexcept {
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::string ms_text(std::chrono::milliseconds time) { return std::to_string(time.count()); }

}  // namespace

RedisSweep::RedisSweep(asio::any_io_executor executor, RedisTopology& redis, InvalidationLog& invalidations,
                       Counters& counters, Log& log, bool query_cache)
    : executor_(executor),
      redis_(redis),
      invalidations_(invalidations),
      counters_(counters),
      log_(log),
      timer_(executor),
      namespace_(redis.settings().key_namespace),
      lease_key_(namespace_ + "pillion:sweep"),
      swept_key_(namespace_ + "pillion:swept"),
      token_(std::to_string(new_store_id())),
      query_cache_(query_cache) {}

RedisSweep::~RedisSweep() { stop(); }

void RedisSweep::start() { asio::co_spawn(executor_, run(), asio::detached); }

void RedisSweep::stop() {
  stopped_ = true;
  timer_.cancel();
  if (client_) client_->stop();
}

awaitable<RedisReply> RedisSweep::command(std::vector<std::string> arguments) {
  co_return co_await client_->command(std::move(arguments), patience);
}

awaitable<void> RedisSweep::pause(std::chrono::milliseconds time) {
  if (stopped_) co_return;
  timer_.expires_after(time);
  co_await timer_.async_wait(no_throw);
}

awaitable<void> RedisSweep::run() {
  while (!stopped_) {
    if (!is_due(invalidations_.last_in_log())) {
      co_await pause(look_every);
      continue;
    }
    if (!client_) {
      client_ = std::make_unique<RedisClient>(executor_, redis_, max_reply, own_, log_, lease_key_);
      client_->on_up([this] { timer_.cancel(); });
    }
    if (!client_->is_up() || !co_await attempt()) co_await pause(retry_after);
  }
}

bool RedisSweep::is_due(const Fence& last) const noexcept {
  return last.shared != 0 && (last.epoch != swept_.epoch || last.shared > swept_.shared);
}

// What was invalidated up to now, if no other replica has seen to it. False where another is doing so, or Redis fails.
awaitable<bool> RedisSweep::attempt() {
  const Fence target = invalidations_.last_in_log();
  co_await read_swept();
  if (!is_due(target)) co_return true;
  const RedisViewPtr view = redis_.view();
  if (view->masters.empty() || !co_await take_lease()) co_return false;
  const auto begun = Clock::now();
  for (const config::Address& master : view->masters) {
    if (!co_await walk(master)) co_return false;
  }
  swept_ = target;
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - begun);
  co_await command({"SET", swept_key_, std::to_string(target.epoch) + ':' + std::to_string(target.shared), "PX",
                    ms_text(swept_time)});
  // The lease stays while all rest.
  co_await hold_lease(std::clamp(took * 10, least_rest, longest_rest));
  co_return true;
}

// How far another replica has come.
awaitable<void> RedisSweep::read_swept() {
  const RedisReply reply = co_await command({"GET", swept_key_});
  const std::string_view text = reply.text;
  const std::size_t colon = text.find(':');
  if (reply.type != RedisReply::Type::string || colon == std::string_view::npos) co_return;
  Fence swept;
  swept.epoch = number_in(text.substr(0, colon));
  swept.shared = number_in(text.substr(colon + 1));
  // What lies beyond the log's end is no place in it, and would keep everybody from sweeping.
  if (swept.shared <= invalidations_.fence().shared) swept_ = swept;
}

awaitable<bool> RedisSweep::take_lease() {
  const std::vector<std::string> words{"SET", lease_key_, token_, "NX", "PX", ms_text(lease_time)};
  RedisReply reply = co_await command(words);
  if (reply.type == RedisReply::Type::nil) {
    // What somebody else wrote there would keep all replicas from sweeping.
    LeaseCommand ask = [this](std::vector<std::string> question) { return command(std::move(question)); };
    if (co_await end_if_endless(std::move(ask), lease_key_, longest_lease)) reply = co_await command(words);
  }
  co_return reply.type == RedisReply::Type::string&& reply.text == "OK";
}

// Two at a time would do no harm, so that nothing more is asked of a lease than this.
awaitable<bool> RedisSweep::hold_lease(std::chrono::milliseconds time) {
  const RedisReply holder = co_await command({"GET", lease_key_});
  if (holder.type != RedisReply::Type::string || holder.text != token_) co_return false;
  const RedisReply reply = co_await command({"SET", lease_key_, token_, "XX", "PX", ms_text(time)});
  co_return reply.type == RedisReply::Type::string;
}

awaitable<bool> RedisSweep::walk(config::Address master) {
  std::string cursor = "0";
  do {
    if (!co_await hold_lease(lease_time)) co_return false;
    std::vector<std::string> scan{"SCAN", cursor, "COUNT", std::string(scan_count), "TYPE", "string"};
    if (!namespace_.empty()) scan.insert(scan.end(), {"MATCH", namespace_ + '*'});
    const RedisReply batch = co_await client_->command_at(master, std::move(scan), patience);
    if (batch.elements.size() != 2 || batch.elements[0].type != RedisReply::Type::string) co_return false;
    cursor = batch.elements[0].text;
    for (const RedisReply& name : batch.elements[1].elements) {
      if (name.text.size() <= namespace_.size() || !name.text.starts_with(namespace_)) continue;
      const std::string_view readable = std::string_view(name.text).substr(namespace_.size());
      if (!is_response_key(readable) && !(query_cache_ && is_query_key(readable))) continue;
      if (!co_await look_at(name.text)) co_return false;
    }
    co_await pause(between_scans);
  } while (cursor != "0" && !stopped_);
  co_return !stopped_;
}

// The beginning of a value, and a little more at most; empty where it is none of ours.
awaitable<std::string> RedisSweep::front_of(const std::string& name) {
  std::size_t wanted = first_look;
  for (;;) {
    RedisReply reply = co_await command({"GETRANGE", name, "0", std::to_string(wanted - 1)});
    if (reply.type != RedisReply::Type::string) co_return std::string{};
    const auto size = front_size_of(reply.text);
    if (!size || *size > largest_front || (*size > reply.text.size() && wanted > first_look)) co_return std::string{};
    if (*size <= reply.text.size()) co_return std::move(reply.text);
    wanted = *size;
  }
}

// Not UNLINK: what Pillion itself removes is counted apart from what others do (flow/removal_history.hpp).
awaitable<RedisReply> RedisSweep::remove(std::string name, std::string_view front) {
  constexpr std::string_view if_still =
      "if redis.call('GETRANGE',KEYS[1],0,#ARGV[1]-1)==ARGV[1] then return redis.call('PEXPIREAT',KEYS[1],1) end "
      "return 0";
  if (is_response_key(std::string_view(name).substr(namespace_.size())))
    co_return co_await command({"PEXPIREAT", std::move(name), "1"});
  std::string known(front.substr(0, store_id_prefix));
  co_return co_await command({"EVAL", std::string(if_still), "1", std::move(name), std::move(known)});
}

// False where the round has to end: Redis fails, or the log isn't heard.
awaitable<bool> RedisSweep::look_at(std::string name) {
  if (stopped_) co_return false;
  const std::string bytes = co_await front_of(name);
  const auto front = read_front(bytes);
  if (!front) co_return client_->is_up();
  // Of another log nothing is known here: it may be that of a namespace that this one has no share in. What an old one
  // has left expires.
  if (!invalidations_.redis_ready()) co_return false;
  if (front->epoch != invalidations_.fence().epoch) co_return true;
  StoredParts parts;
  parts.epoch = front->epoch;
  parts.shared_position = front->shared_position;
  parts.selectors = front->selectors;
  parts.readable_key = std::string_view(name).substr(namespace_.size());
  const StoredResponsePtr known = StoredResponse::make(parts);
  if (!invalidations_.standing_in_redis(*known).invalidated) co_return true;
  const RedisReply reply = co_await remove(std::move(name), bytes);
  if (reply.type != RedisReply::Type::integer) co_return false;
  counters_.swept_redis.add(static_cast<std::uint64_t>(std::max<std::int64_t>(0, reply.integer)));
  co_return true;
}

}  // namespace pillion
