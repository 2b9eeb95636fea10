#include "flow/fleet_lease.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <charconv>

#include "flow/endless_lease.hpp"
#include "store/store_id.hpp"

namespace pillion {

namespace {

using Clock = std::chrono::steady_clock;

// Compared and removed in one step: it may have run out since, and be another's. Removed as what is stored is
// (store/redis_store.cpp).
constexpr std::string_view remove_if_equal =
    "if redis.call('GET',KEYS[1])==ARGV[1] then return redis.call('PEXPIREAT',KEYS[1],1) end return 0";

// As SET NX GET, but that one text may be replaced.
constexpr std::string_view take_if_equal =
    "local held=redis.call('GET',KEYS[1]) if held and held~=ARGV[1] then return held end "
    "redis.call('SET',KEYS[1],ARGV[2],'PX',ARGV[3]) return false";

// Where Redis is away, again until then: others may be waiting for it.
awaitable<void> remove(asio::any_io_executor executor, RedisClient& client, std::vector<std::string> words,
                       Clock::time_point until) {
  constexpr std::chrono::milliseconds pause(200);
  asio::steady_timer timer(executor);
  for (;;) {
    if ((co_await client.command(words)).type != RedisReply::Type::unavailable) co_return;
    if (Clock::now() + pause >= until) co_return;
    timer.expires_after(pause);
    co_await timer.async_wait(no_throw);
  }
}

}  // namespace

std::string lease_text(const Fence& fence) {
  std::string out;
  char digits[17];
  for (const std::uint64_t number : {fence.epoch, fence.shared, new_store_id()}) {
    const auto end = std::to_chars(digits, digits + sizeof digits, number, 16).ptr;
    out.append(out.empty() ? "" : "-").append(digits, end);
  }
  return out;
}

std::optional<Fence> fence_of_lease(std::string_view text) noexcept {
  Fence fence;
  const char* const end = text.data() + text.size();
  const auto epoch = std::from_chars(text.data(), end, fence.epoch, 16);
  if (epoch.ec != std::errc() || epoch.ptr == end || *epoch.ptr != '-') return std::nullopt;
  const auto shared = std::from_chars(epoch.ptr + 1, end, fence.shared, 16);
  if (shared.ec != std::errc() || shared.ptr == end || *shared.ptr != '-') return std::nullopt;
  return fence;
}

FleetLease::FleetLease(asio::any_io_executor executor, RedisClient& client, std::string_view name_space,
                       std::string name)
    : executor_(std::move(executor)), client_(client), name_(std::move(name)), key_(std::string(name_space) + name_) {}

FleetLease::FleetLease(asio::any_io_executor executor, RedisClient& client, std::string_view name_space,
                       const Hash128& hash)
    : FleetLease(std::move(executor), client, name_space, std::string(lease_prefix) + to_hex(hash)) {}

FleetLease::~FleetLease() { release(); }

awaitable<FleetLease::Taken> FleetLease::take(const Fence& fence, std::chrono::milliseconds time) {
  value_ = lease_text(fence);
  std::vector<std::string> words{"SET", key_, value_, "NX", "GET", "PX", std::to_string(time.count())};
  co_return co_await take_by(std::move(words), time);
}

awaitable<FleetLease::Taken> FleetLease::take_over(const Fence& fence, std::chrono::milliseconds time) {
  value_ = lease_text(fence);
  std::vector<std::string> words{"EVAL", std::string(take_if_equal),  "1", key_, held_text_,
                                 value_, std::to_string(time.count())};
  co_return co_await take_by(std::move(words), time);
}

awaitable<FleetLease::Taken> FleetLease::take_by(std::vector<std::string> words, std::chrono::milliseconds time) {
  const RedisReply reply = co_await client_.command(std::move(words));
  // Where no reply came it may have been granted all the same.
  if (reply.type == RedisReply::Type::nil || reply.type == RedisReply::Type::unavailable)
    ours_until_ = Clock::now() + time;
  granted_ = reply.type == RedisReply::Type::nil;
  if (granted_) co_return Taken::granted;
  if (reply.type != RedisReply::Type::string) co_return Taken::unavailable;
  held_text_ = reply.text;
  held_by_ = fence_of_lease(reply.text);
  co_return Taken::held;
}

awaitable<std::optional<bool>> FleetLease::is_held() {
  const RedisReply reply = co_await client_.command(std::vector<std::string>{"GET", key_});
  if (!reply.ok()) co_return std::nullopt;
  co_return reply.type != RedisReply::Type::nil;
}

awaitable<std::optional<bool>> FleetLease::is_own() {
  const RedisReply reply = co_await client_.command(std::vector<std::string>{"GET", key_});
  if (!reply.ok()) co_return std::nullopt;
  co_return (reply.type == RedisReply::Type::string && reply.text == value_);
}

awaitable<std::optional<std::chrono::milliseconds>> FleetLease::left() {
  const RedisReply reply = co_await client_.command(std::vector<std::string>{"PTTL", key_});
  if (reply.type != RedisReply::Type::integer || reply.integer < 0) co_return std::nullopt;
  co_return std::chrono::milliseconds(reply.integer);
}

std::string FleetLease::keep() {
  granted_ = false;
  ours_until_ = {};
  return std::exchange(value_, {});
}

void FleetLease::resume(std::string text, Clock::time_point until) {
  value_ = std::move(text);
  ours_until_ = until;
  granted_ = true;
}

// Where the user of Redis may not PTTL it stays.
awaitable<void> FleetLease::end_if_endless(std::chrono::milliseconds usual) {
  LeaseCommand command = [this](std::vector<std::string> words) { return client_.command(std::move(words)); };
  const auto longest = std::max<std::chrono::milliseconds>(std::chrono::hours(1), usual);
  co_await pillion::end_if_endless(std::move(command), key_, longest);
}

void FleetLease::release() {
  const Clock::time_point until = std::exchange(ours_until_, {});
  if (Clock::now() >= until) return;
  std::vector<std::string> words{"EVAL", std::string(remove_if_equal), "1", key_, value_};
  asio::co_spawn(executor_, remove(executor_, client_, std::move(words), granted_ ? until : Clock::time_point()),
                 asio::detached);
}

}  // namespace pillion
