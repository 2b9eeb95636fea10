// Entries in Redis: names, one GET, one SET. What the bytes mean: core/stored_response_codec.cpp.
#include "store/redis_store.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <memory>
#include <utility>
#include <vector>

#include "core/stored_response_codec.hpp"
#include "net/async.hpp"
#include "store/compression.hpp"

namespace pillion {

namespace {

// An empty string is what GETRANGE gives of a key that isn't there.
InRedis in_redis(const RedisReply& reply) {
  const bool there = reply.type == RedisReply::Type::string && !reply.text.empty();
  if (there) return {.state = InRedis::State::present, .id = store_id_of(reply.text).value_or(0)};
  if (reply.type == RedisReply::Type::error)
    return {.state = reply.text.starts_with("WRONGTYPE") ? InRedis::State::present : InRedis::State::unknown};
  return {.state = reply.ok() ? InRedis::State::absent : InRedis::State::unknown};
}

// Not by an initializer list, which copies: a value may be large.
template <typename... Texts>
std::vector<std::string> command_of(Texts&&... texts) {
  std::vector<std::string> arguments;
  arguments.reserve(sizeof...(texts));
  (arguments.emplace_back(std::forward<Texts>(texts)), ...);
  return arguments;
}

}  // namespace

RedisStore::RedisStore(RedisClient& client, const config::RedisSettings& settings, const SharedClock& clock)
    : client_(client),
      clock_(clock),
      one_copy_(settings.cluster.empty()),
      namespace_(settings.key_namespace),
      max_object_(settings.max_object),
      compress_(settings.compress) {}

std::string RedisStore::redis_key(std::string_view readable_key) const {
  std::string key;
  key.reserve(namespace_.size() + readable_key.size());
  key.append(namespace_).append(readable_key);
  return key;
}

boost::asio::awaitable<StoredResponsePtr> RedisStore::find(std::string readable_key, std::string primary_key, Now now,
                                                           std::uint64_t local_position, KeyMatch match,
                                                           InRedis* seen) {
  RedisReply reply;
  if (may_ask()) reply = trusted(co_await client_.command(command_of("GET", redis_key(readable_key))));
  if (seen) *seen = in_redis(reply);
  if (reply.type != RedisReply::Type::string) co_return nullptr;
  co_return read_value(reply.text, largest_value(max_object_), primary_key, {now, clock_.offset_ms()}, local_position,
                       match);
}

boost::asio::awaitable<InRedis> RedisStore::peek(std::string readable_key) {
  if (!may_ask()) co_return InRedis{};
  auto arguments = command_of("GETRANGE", redis_key(readable_key), "0", std::to_string(store_id_prefix - 1));
  co_return in_redis(trusted(co_await client_.command(std::move(arguments))));
}

// What it said of another copy of the data is no answer.
RedisReply RedisStore::trusted(RedisReply reply) {
  if (one_copy_ && !client_.is_same_copy(reply)) return {};
  return reply;
}

bool fits_in_redis(const StoredResponse& response, std::size_t max_object) noexcept {
  // A key and an entity tag of tens of KiB each: what can't be read again isn't written.
  return response.head().size() + response.body().size() <= max_object &&
         response.footprint() <= RedisStore::largest_value(max_object);
}

bool RedisStore::takes(const StoredResponse& response) const noexcept { return fits_in_redis(response, max_object_); }

boost::asio::awaitable<RedisStore::Stored> RedisStore::store(StoredResponsePtr response, std::int64_t ttl_ms) {
  if (!response || ttl_ms <= 0 || !takes(*response)) co_return Stored::no;
  if (!may_ask()) co_return Stored::no;
  response->set_in_redis(true);  // before: from here on what happens to the key concerns it
  auto arguments = command_of("SET", redis_key(response->readable_key()),
                              write_value(*response, compress_, clock_.offset_ms()), "PX", std::to_string(ttl_ms));
  const RedisReply reply = co_await client_.command(std::move(arguments));
  if (reply.type == RedisReply::Type::unavailable) co_return Stored::unknown;
  if (reply.type == RedisReply::Type::string && reply.text == "OK") co_return Stored::yes;
  response->set_in_redis(false);
  co_return Stored::no;
}

boost::asio::awaitable<void> RedisStore::erase(std::vector<std::string> readable_keys) {
  if (readable_keys.empty()) co_return;
  const auto executor = co_await boost::asio::this_coro::executor;
  // All are sent before the first is answered; whoever is answered last ends the waiting.
  auto left = std::make_shared<std::size_t>(readable_keys.size());
  auto done = std::make_shared<boost::asio::steady_timer>(executor, boost::asio::steady_timer::time_point::max());
  for (const std::string& key : readable_keys) {
    // Not UNLINK: what Pillion itself removes is counted apart from what others do (flow/removal_history.hpp).
    std::vector<std::string> arguments{"PEXPIREAT", redis_key(key), "1"};
    boost::asio::co_spawn(executor, client_.command(std::move(arguments)),
                          [left, done](std::exception_ptr, RedisReply) {
                            if (--*left == 0) done->cancel();
                          });
  }
  if (*left > 0) co_await done->async_wait(no_throw);
}

}  // namespace pillion
