// hiredis 0.14 as the codec. Its own reply objects are not used, since they are laid out by the lengths that the
// server declares; ours grow as elements arrive.
#include "net/redis_codec.hpp"

#include <hiredis/hiredis.h>

#include <cstring>
#include <new>
#include <utility>
#include <vector>

namespace pillion {

void append_redis_command(std::span<const std::string> arguments, std::string& out) {
  std::vector<const char*> texts;
  std::vector<std::size_t> sizes;
  texts.reserve(arguments.size());
  sizes.reserve(arguments.size());
  for (const std::string& argument : arguments) {
    texts.push_back(argument.data());
    sizes.push_back(argument.size());
  }
  char* formatted = nullptr;
  const int size = redisFormatCommandArgv(&formatted, static_cast<int>(texts.size()), texts.data(), sizes.data());
  if (size < 0) throw std::bad_alloc();
  const std::unique_ptr<char, decltype(&redisFreeCommand)> owner(formatted, &redisFreeCommand);
  out.append(formatted, static_cast<std::size_t>(size));
}

/// The reader and the functions that build our replies for it. The objects that hiredis passes around are RedisReply:
/// the root is owned by the reader until next() takes it, elements stand in their parent. An element that is an array
/// itself is filled before its parent grows again, so pointers to it hold. A nullptr makes hiredis give up.
struct RedisReplyReader::Builder {
  redisReplyObjectFunctions functions{};
  redisReader* reader = nullptr;
  const std::size_t most_values;
  std::size_t values = 0;  // of the reply being built
  const char* refused = nullptr;

  explicit Builder(std::size_t most) : most_values(most) {
    functions.createString = [](const redisReadTask* task, char* text, std::size_t size) -> void* {
      // hiredis takes two bytes after a string for granted; here they have to be a line's end.
      if (std::memcmp(text + size, "\r\n", 2) != 0) return of(task).refuse("a string without its end");
      RedisReply* reply =
          of(task).add(task, task->type == REDIS_REPLY_ERROR ? RedisReply::Type::error : RedisReply::Type::string);
      try {
        if (reply) reply->text.assign(text, size);
        return reply;
      } catch (const std::bad_alloc&) {
        if (!task->parent) delete reply;
        return nullptr;
      }
    };
    functions.createArray = [](const redisReadTask* task, int) -> void* {
      return of(task).add(task, RedisReply::Type::array);
    };
    functions.createInteger = [](const redisReadTask* task, long long value) -> void* {
      RedisReply* reply = of(task).add(task, RedisReply::Type::integer);
      if (reply) reply->integer = value;
      return reply;
    };
    functions.createNil = [](const redisReadTask* task) -> void* { return of(task).add(task, RedisReply::Type::nil); };
    functions.freeObject = [](void* root) { delete static_cast<RedisReply*>(root); };
    reader = redisReaderCreateWithFunctions(&functions);
    if (!reader) throw std::bad_alloc();
    // Every task carries it, set when the first task of a reply begins.
    reader->privdata = this;
  }
  ~Builder() { redisReaderFree(reader); }

  static Builder& of(const redisReadTask* task) { return *static_cast<Builder*>(task->privdata); }

  RedisReply* refuse(const char* why) {
    refused = why;
    return nullptr;
  }

  RedisReply* add(const redisReadTask* task, RedisReply::Type type) try {
    if (++values > most_values) return refuse("a reply of too many values");
    RedisReply* reply =
        task->parent ? &static_cast<RedisReply*>(task->parent->obj)->elements.emplace_back() : new RedisReply;
    reply->type = type;
    return reply;
  } catch (const std::bad_alloc&) {
    return nullptr;
  }

  /// hiredis looks for the end of a line anew at every call; only strings with a length may be long.
  bool is_endless_line() const {
    constexpr std::size_t longest_line = 64u << 10, longest_length = 32;
    const std::size_t size = reader->len - reader->pos;  // after the type's byte
    if (reader->ridx < 0 || size <= longest_length) return false;
    const int type = reader->rstack[reader->ridx].type;
    if (type < 0) return false;
    if (type == REDIS_REPLY_STATUS || type == REDIS_REPLY_ERROR) return size > longest_line;
    return std::memchr(reader->buf + reader->pos, '\n', longest_length) == nullptr;
  }
};

RedisReplyReader::RedisReplyReader(std::size_t max_reply, std::size_t most_values)
    : builder_(std::make_unique<Builder>(most_values)), max_reply_(max_reply) {}
RedisReplyReader::~RedisReplyReader() = default;

void RedisReplyReader::feed(std::string_view bytes) {
  if (!error_.empty() || bytes.empty()) return;
  fed_ += bytes.size();
  if (redisReaderFeed(builder_->reader, bytes.data(), bytes.size()) != REDIS_OK) error_ = builder_->reader->errstr;
}

std::optional<RedisReply> RedisReplyReader::next() {
  if (!error_.empty()) return std::nullopt;
  redisReader* reader = builder_->reader;
  void* root = nullptr;
  if (redisReaderGetReply(reader, &root) != REDIS_OK) {
    error_ = builder_->refused ? builder_->refused : reader->errstr;
    return std::nullopt;
  }
  const std::unique_ptr<RedisReply> owner(static_cast<RedisReply*>(root));
  const std::uint64_t reached = root ? fed_ - (reader->len - reader->pos) : fed_;
  if (reached - reply_began_ > max_reply_) {
    error_ = "a reply of too many bytes";
  } else if (!root && in_reply() && builder_->is_endless_line()) {
    error_ = "an endless line";
  }
  if (!root || !error_.empty()) return std::nullopt;
  reply_began_ = reached;
  builder_->values = 0;
  return std::move(*owner);
}

bool RedisReplyReader::in_reply() const noexcept { return fed_ != reply_began_; }

}  // namespace pillion
