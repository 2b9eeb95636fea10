#include "store/query_store.hpp"

#include <utility>
#include <vector>

#include "core/stored_response_codec.hpp"
#include "store/compression.hpp"

namespace pillion {

namespace {

// KEYS: the value, its lease. ARGV: the lease's text or nothing, what values of Pillion's begin with, the value, its
// time in milliseconds. What Pillion removes itself is removed by PEXPIREAT (flow/removal_history.hpp).
constexpr std::string_view script =
    "if ARGV[1]~='' and redis.call('GET',KEYS[2])~=ARGV[1] then return 'lost' end "
    "local there=redis.pcall('GETRANGE',KEYS[1],0,#ARGV[2]-1) "
    "local free=there==ARGV[2] or (there=='' and redis.call('EXISTS',KEYS[1])==0) "
    "if free then redis.call('SET',KEYS[1],ARGV[3],'PX',ARGV[4]) end "
    "if ARGV[1]~='' then redis.call('PEXPIREAT',KEYS[2],1) end "
    "return free and 'yes' or 'foreign'";

}  // namespace

QueryStore::QueryStore(RedisClient& client, const config::RedisSettings& settings, const SharedClock& clock)
    : client_(client),
      clock_(clock),
      one_copy_(settings.cluster.empty()),
      namespace_(settings.key_namespace),
      max_object_(settings.max_object),
      compress_(settings.compress) {}

boost::asio::awaitable<QueryStore::Stored> QueryStore::store(StoredResponsePtr value, std::int64_t ttl_ms,
                                                             std::string lease_name, std::string lease_text) {
  if (!value || ttl_ms <= 0 || !fits_in_redis(*value, max_object_)) co_return Stored::no;
  if (one_copy_ && !client_.is_same_copy()) co_return Stored::no;
  value->set_in_redis(true);  // before: from here on what happens to the key concerns it
  std::vector<std::string> words{"EVAL",
                                 std::string(script),
                                 "2",
                                 namespace_ + std::string(value->readable_key()),
                                 namespace_ + lease_name,
                                 std::move(lease_text),
                                 std::string(value_mark),
                                 write_value(*value, compress_, clock_.offset_ms()),
                                 std::to_string(ttl_ms)};
  const RedisReply reply = co_await client_.command(std::move(words));
  if (reply.type == RedisReply::Type::unavailable) co_return Stored::unknown;
  const bool answered = reply.type == RedisReply::Type::string;
  if (answered && reply.text == "yes") co_return Stored::yes;
  value->set_in_redis(false);
  if (answered && reply.text == "lost") co_return Stored::lost;
  co_return answered&& reply.text == "foreign" ? Stored::foreign : Stored::no;
}

}  // namespace pillion
