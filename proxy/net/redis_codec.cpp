// hiredis 0.14 reads the protocol. Its own reply objects are not used, since they are laid out by the lengths that the
// server declares; ours grow as elements arrive.
#include "net/redis_codec.hpp"

#include <hiredis/hiredis.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <new>
#include <utility>

namespace pillion {

namespace {

void append_count(char kind, std::size_t count, std::string& out) {
  char line[24];
  line[0] = kind;
  char* end = std::to_chars(line + 1, line + sizeof line - 2, count).ptr;
  *end++ = '\r';
  *end++ = '\n';
  out.append(line, end);
}

}  // namespace

// Not hiredis' formatter, which builds each command in memory of its own first.
void append_redis_command(std::span<const std::string> arguments, std::string& out) {
  append_count('*', arguments.size(), out);
  for (const std::string& argument : arguments) {
    append_count('$', argument.size(), out);
    out.append(argument).append("\r\n", 2);
  }
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
  if (error_.empty()) waiting_ = bytes;
}

// hiredis moves all that it holds to the front after each reply: with all that one read brings that took a seventh of a
// hit from Redis (6,400 instructions of 45,000). So it is given about a reply at a time, more where that doesn't do.
bool RedisReplyReader::feed_slice() {
  constexpr std::size_t smallest = 2u << 10;
  slice_ = std::max(slice_, smallest);
  const std::string_view bytes = waiting_.substr(0, slice_);
  if (bytes.empty()) return false;
  waiting_.remove_prefix(bytes.size());
  slice_ *= 2;
  fed_ += bytes.size();
  if (redisReaderFeed(builder_->reader, bytes.data(), bytes.size()) == REDIS_OK) return true;
  error_ = builder_->reader->errstr;
  return false;
}

std::optional<RedisReply> RedisReplyReader::next() {
  redisReader* reader = builder_->reader;
  void* root = nullptr;
  do {
    if (!error_.empty()) return std::nullopt;
    if (redisReaderGetReply(reader, &root) != REDIS_OK) {
      error_ = builder_->refused ? builder_->refused : reader->errstr;
      return std::nullopt;
    }
    const std::uint64_t reached = root ? fed_ - (reader->len - reader->pos) : fed_;
    if (reached - reply_began_ > max_reply_) {
      error_ = "a reply of too many bytes";
    } else if (!root && in_reply() && builder_->is_endless_line()) {
      error_ = "an endless line";
    }
    if (root) {
      const std::unique_ptr<RedisReply> owner(static_cast<RedisReply*>(root));
      if (!error_.empty()) return std::nullopt;
      reply_began_ = reached;
      builder_->values = 0;
      slice_ = 0;
      return std::move(*owner);
    }
  } while (error_.empty() && feed_slice());
  return std::nullopt;
}

bool RedisReplyReader::in_reply() const noexcept { return fed_ + waiting_.size() != reply_began_; }

}  // namespace pillion
