#include "flow/replicas.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <set>

#include "net/redis_codec.hpp"

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
      clock_(clock),
      refreshed_(executor, Clock::time_point::max()) {}

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
    std::vector<std::string> words{"HSET", key_, name_, replica_value(follower_.last_applied(), *now_ms)};
    co_await connection_.command(std::move(words));
  }
  announcing_ = false;
}

awaitable<void> Replicas::tick() {
  announce();
  if (!co_await refresh()) co_return;
  std::vector<std::string> words{"HDEL", key_};
  std::ranges::move(forgotten_replicas(replicas_, redis_ms().value_or(0)), std::back_inserter(words));
  std::ranges::move(std::exchange(senseless_, {}), std::back_inserter(words));
  if (words.size() > 2) co_await connection_.command(std::move(words));
}

// One that is under way may have been answered before the call: the next one is waited for then, whoever makes it.
awaitable<bool> Replicas::refresh() {
  if (refreshing_) {
    co_await refreshed_.async_wait(no_throw);
    if (refreshing_) {
      co_await refreshed_.async_wait(no_throw);
      co_return readable_;
    }
  }
  refreshing_ = true;
  readable_ = co_await read();
  refreshing_ = false;
  refreshed_.cancel();
  co_return readable_;
}

// Anyone may have written there: more than can be replicas is not read. Where the user of Redis may not HLEN the reply
// is bounded by the connection alone.
awaitable<bool> Replicas::read() {
  if (senseless_hash_) {
    co_await begin_anew();
    co_return false;
  }
  const RedisReply size = co_await connection_.command({"HLEN", key_});
  if (size.type == RedisReply::Type::unavailable) co_return false;
  const bool too_many = size.type == RedisReply::Type::integer && size.integer > std::int64_t{max_replicas};
  const RedisReply all = too_many ? RedisReply{} : co_await connection_.command({"HGETALL", key_});
  if (too_many || all.text.starts_with(too_much_in_reply) || all.text.starts_with("WRONGTYPE")) {
    co_await begin_anew();
    co_return false;
  }
  if (all.type != RedisReply::Type::array) co_return false;
  replicas_ = parse_replicas(all);
  senseless_ = senseless_fields(all);
  co_return true;
}

// All others that are alive write themselves in again within a second.
awaitable<void> Replicas::begin_anew() {
  // A reply that is too large costs the connection: then with the next one.
  senseless_hash_ = (co_await connection_.command({"DEL", key_})).type == RedisReply::Type::unavailable;
  announce();
}

awaitable<void> Replicas::leave() {
  left_ = true;
  std::vector<std::string> words{"HDEL", key_, name_};
  co_await connection_.command(std::move(words), patience);
}

awaitable<bool> Replicas::stands(KnownRecord record) {
  std::vector<std::string> words{"XRANGE", log_key_, record.id, record.id};
  co_return finds(co_await connection_.command(std::move(words)), record);
}

// Who says that it is further in the log than the record has read the record only if both stand in the same log: after
// a failover there may be two for a while, each with records that the other lacks. So the look at the log comes after
// the one at the hash.
awaitable<ReplicasAt> Replicas::applied_by(KnownRecord record, Clock::time_point until) {
  asio::steady_timer timer(executor_);
  std::set<std::string> sure;
  ReplicasAt at;
  for (milliseconds pause = first_pause;; pause = std::min(pause * 2, longest_pause)) {
    const bool waits = !left_ && !record.id.empty() && Clock::now() < until;
    if (waits) co_await refresh();
    const std::vector<Replica> living = living_replicas(replicas_, redis_ms().value_or(0), name_);
    std::map<std::string, bool> looked;  // by id
    for (const Replica& replica : living) {
      const KnownRecord& applied = replica.applied;
      if (!waits || applied.position < record.position || sure.contains(replica.name)) continue;
      if (looked.empty()) looked[record.id] = co_await stands(record);
      if (!looked[record.id]) break;
      if (!looked.contains(applied.id)) looked[applied.id] = co_await stands(applied);
      if (looked[applied.id]) sure.insert(replica.name);
    }
    at = {{name_}, {}};
    for (const Replica& replica : living)
      (sure.contains(replica.name) ? at.acknowledged : at.waiting).push_back(replica.name);
    if (at.waiting.empty() || !waits) co_return at;
    timer.expires_at(std::min(Clock::now() + pause, until));
    co_await timer.async_wait(no_throw);
  }
}

}  // namespace pillion
