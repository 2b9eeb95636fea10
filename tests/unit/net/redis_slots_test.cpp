#include "net/redis_slots.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace pillion;
using Kind = RedisRedirection::Kind;

TEST_CASE("a key's slot is the CRC16 of the key, or of its tag") {
  // The first is the example of Redis's documentation of its clusters.
  CHECK(redis_slot("123456789") == 0x31c3);
  CHECK(redis_slot("") == 0);
  CHECK(redis_slot("foo") == 12182);
  CHECK(redis_slot("{user1000}.following") == redis_slot("user1000"));
  CHECK(redis_slot("a{user1000}b{x}") == redis_slot("user1000"));
  CHECK(redis_slot("foo{}{bar}") != redis_slot("bar"));
  CHECK(redis_slot("foo{{bar}}zap") == redis_slot("{bar"));
  CHECK(redis_slot("foo{bar") != redis_slot("bar"));
  CHECK(redis_slot("}foo{") != redis_slot("foo"));
}

TEST_CASE("a command's key is where its command has it") {
  struct Row {
    std::vector<std::string> arguments;
    const char* key;  // nullptr: none
  };
  const Row rows[] = {
      {{"GET", "k"}, "k"},
      {{"SET", "k", "v", "PX", "1"}, "k"},
      {{"xread", "BLOCK", "1000", "COUNT", "5", "Streams", "s", "0-0"}, "s"},
      {{"XREAD", "STREAMS"}, nullptr},
      {{"XREAD", "COUNT", "1"}, nullptr},
      {{"XINFO", "STREAM", "s"}, "s"},
      {{"XINFO", "STREAM"}, nullptr},
      {{"EVAL", "return 1", "1", "k", "a"}, "k"},
      {{"EVALSHA", "abc", "0", "a"}, nullptr},
      {{"PING"}, nullptr},
      {{"ping", "x"}, nullptr},
      {{"PUBLISH", "channel", "text"}, nullptr},
      {{"SCAN", "0"}, nullptr},
      {{"GET"}, nullptr},
      {{}, nullptr},
  };
  for (const Row& row : rows) {
    const std::string name = row.arguments.empty() ? "" : row.arguments[0];
    CAPTURE(name);
    const auto key = redis_key_of(row.arguments);
    CHECK(key.has_value() == (row.key != nullptr));
    if (key && row.key != nullptr) CHECK(*key == row.key);
  }
}

TEST_CASE("a redirection names a node, and nothing else is one") {
  struct Row {
    const char* text;
    std::optional<Kind> kind;
    const char *host, *port;
  };
  const Row rows[] = {
      {"MOVED 3999 127.0.0.1:6381", Kind::moved, "127.0.0.1", "6381"},
      {"ASK 3999 redis-1.example:1", Kind::ask, "redis-1.example", "1"},
      {"MOVED 0 ::1:7000", Kind::moved, "::1", "7000"},
      {"MOVED 3999 :6381", Kind::moved, "", "6381"},
      {"TRYAGAIN Multiple keys request during rehashing of slot", Kind::try_again, "", "0"},
      {"MOVED 3999 127.0.0.1:0", {}, "", ""},
      {"MOVED 3999 127.0.0.1:65536", {}, "", ""},
      {"MOVED 3999 127.0.0.1:63x", {}, "", ""},
      {"MOVED 3999 127.0.0.1", {}, "", ""},
      {"MOVED 3999 ?:6381", {}, "", ""},
      {"MOVED 3999 h\r\nX:6381", {}, "", ""},
      {"MOVED h:6381", {}, "", ""},
      {"MOVED", {}, "", ""},
      {"MOVEDx 1 h:6381", {}, "", ""},
      {"ERR MOVED 1 h:6381", {}, "", ""},
      {"", {}, "", ""},
  };
  for (const Row& row : rows) {
    CAPTURE(row.text);
    const auto found = redis_redirection(row.text);
    REQUIRE(found.has_value() == row.kind.has_value());
    if (!found) continue;
    CHECK(found->kind == *row.kind);
    CHECK(found->to.host == row.host);
    CHECK(std::to_string(found->to.port) == row.port);
  }
  CHECK_FALSE(redis_redirection("MOVED 1 " + std::string(300, 'a') + ":1"));
}
