#include "flow/endless_lease.hpp"

namespace pillion {

awaitable<bool> end_if_endless(LeaseCommand command, std::string key, std::chrono::milliseconds longest) {
  std::vector<std::string> question{"PTTL", key};
  const RedisReply left = co_await command(std::move(question));
  if (left.type != RedisReply::Type::integer || left.integer == -2) co_return false;
  if (left.integer >= 0 && left.integer <= longest.count()) co_return false;
  std::vector<std::string> end{"PEXPIREAT", std::move(key), "1"};
  co_return (co_await command(std::move(end))).type == RedisReply::Type::integer;
}

}  // namespace pillion
