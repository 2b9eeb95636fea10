#include "flow/replicas.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <set>

namespace pillion {

namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Between two looks at the hash while somebody waits: the first ones soon, since most answer within a millisecond.
constexpr milliseconds first_pause{1}, longest_pause{16};
constexpr milliseconds patience{200};

std::int64_t steady_us() {
  return std::chrono::duration_cast<std::chrono::microseconds>(Clock::now().time_since_epoch()).count();
}

// In a cluster it has to stand on the log's node (stands() says why): what is in braces decides.
std::string replicas_key(const config::RedisSettings& settings) {
  const std::string& space = settings.key_namespace;
  return space + "pillion:replicas" + (settings.cluster.empty() ? "" : ":{" + space + "pillion:log}");
}

}  // namespace

Replicas::Replicas(asio::any_io_executor executor, const config::RedisSettings& settings, std::string name,
                   RedisClient& connection, const LogFollower& follower, const RedisClock& clock)
    : executor_(executor),
      name_(std::move(name)),
      key_(replicas_key(settings)),
      log_key_(settings.key_namespace + "pillion:log"),
      connection_(connection),
      follower_(follower),
      clock_(clock) {}

std::optional<std::int64_t> Replicas::redis_ms() const {
  const auto us = clock_.at_us(steady_us());
  return us ? std::optional(*us / 1000) : std::nullopt;
}

void Replicas::announce() {
  again_ = true;
  if (announcing_ || left_) return;
  asio::co_spawn(executor_, announce_now(), asio::detached);
}

awaitable<void> Replicas::announce_now() {
  announcing_ = true;
  while (std::exchange(again_, false) && !left_) {
    const auto now_ms = redis_ms();
    if (!now_ms) break;
    std::vector<std::string> words{"HSET", key_, name_, replica_value(follower_.cursor(), *now_ms)};
    co_await connection_.command(std::move(words));
  }
  announcing_ = false;
}

awaitable<void> Replicas::tick() {
  announce();
  if (!co_await refresh()) co_return;
  std::vector<std::string> words{"HDEL", key_};
  std::ranges::move(forgotten_replicas(replicas_, redis_ms().value_or(0)), std::back_inserter(words));
  if (words.size() > 2) co_await connection_.command(std::move(words));
}

awaitable<bool> Replicas::refresh() {
  if (refreshing_) co_return false;
  refreshing_ = true;
  const RedisReply all = co_await connection_.command({"HGETALL", key_});
  refreshing_ = false;
  if (all.type != RedisReply::Type::array) co_return false;
  replicas_ = parse_replicas(all);
  co_return true;
}

awaitable<void> Replicas::leave() {
  left_ = true;
  std::vector<std::string> words{"HDEL", key_, name_};
  co_await connection_.command(std::move(words), patience);
}

// Who says that it is further in the log than the record has read the record only if that stands in the same log: a
// Redis that lost it in a failover goes on with other records. So the look at the log comes after the one at the hash.
awaitable<bool> Replicas::stands(std::string id) {
  std::vector<std::string> words{"XRANGE", log_key_, id, id};
  const RedisReply found = co_await connection_.command(std::move(words));
  co_return found.type == RedisReply::Type::array&& found.elements.size() == 1;
}

awaitable<ReplicasAt> Replicas::applied_by(std::string id, Clock::time_point until) {
  asio::steady_timer timer(executor_);
  std::set<std::string> sure;
  ReplicasAt at;
  for (milliseconds pause = first_pause;; pause = std::min(pause * 2, longest_pause)) {
    const bool waits = packed_id(id) != 0 && Clock::now() < until;
    if (waits) co_await refresh();
    at = replicas_at(replicas_, packed_id(id), redis_ms().value_or(0), name_);
    const bool news = std::ranges::any_of(at.acknowledged, [&](const auto& name) { return !sure.contains(name); });
    if (news && waits && co_await stands(id)) sure.insert(at.acknowledged.begin(), at.acknowledged.end());
    const auto unsure = std::ranges::partition(at.acknowledged, [&](const auto& name) { return sure.contains(name); });
    at.waiting.insert(at.waiting.end(), unsure.begin(), unsure.end());
    at.acknowledged.erase(unsure.begin(), unsure.end());
    if (at.waiting.empty() || !waits) break;
    timer.expires_at(std::min(Clock::now() + pause, until));
    co_await timer.async_wait(no_throw);
  }
  at.acknowledged.insert(at.acknowledged.begin(), name_);
  std::ranges::sort(at.waiting);
  co_return at;
}

}  // namespace pillion
