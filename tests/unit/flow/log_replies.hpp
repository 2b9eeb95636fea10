// Replies of Redis about the invalidation log, made by hand. For tests.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "net/redis_reply.hpp"

namespace pillion {

inline RedisReply text_reply(std::string value) {
  RedisReply reply;
  reply.type = RedisReply::Type::string;
  reply.text = std::move(value);
  return reply;
}

inline RedisReply error_reply(std::string value) {
  RedisReply reply = text_reply(std::move(value));
  reply.type = RedisReply::Type::error;
  return reply;
}

inline RedisReply number_reply(std::int64_t value) {
  RedisReply reply;
  reply.type = RedisReply::Type::integer;
  reply.integer = value;
  return reply;
}

inline RedisReply list_reply(std::vector<RedisReply> elements) {
  RedisReply reply;
  reply.type = RedisReply::Type::array;
  reply.elements = std::move(elements);
  return reply;
}

inline RedisReply texts_reply(const std::vector<std::string>& values) {
  std::vector<RedisReply> elements;
  for (const std::string& value : values) elements.push_back(text_reply(value));
  return list_reply(std::move(elements));
}

/// One entry of a stream.
inline RedisReply entry_reply(std::string id, const std::vector<std::string>& fields) {
  return list_reply({text_reply(std::move(id)), texts_reply(fields)});
}

/// XINFO STREAM.
inline RedisReply info_reply(std::int64_t length, std::string last, std::string deleted, std::int64_t added,
                             std::string first, std::string end = {}) {
  return list_reply({text_reply("length"), number_reply(length), text_reply("last-generated-id"),
                     text_reply(std::move(last)), text_reply("max-deleted-entry-id"), text_reply(std::move(deleted)),
                     text_reply("entries-added"), number_reply(added), text_reply("recorded-first-entry-id"),
                     text_reply(std::move(first)), text_reply("last-entry"),
                     end.empty() ? RedisReply{RedisReply::Type::nil} : entry_reply(std::move(end), {}),
                     text_reply("groups"), number_reply(0)});
}

}  // namespace pillion
