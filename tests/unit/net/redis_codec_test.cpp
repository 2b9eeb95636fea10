#include "net/redis_codec.hpp"

#include <doctest/doctest.h>

#include <string>
#include <vector>

using namespace pillion;

namespace {

/// A reply in one line: `"text"`, `(error) text`, `5`, `nil`, `[a b]`.
std::string show(const RedisReply& r) {
  switch (r.type) {
    case RedisReply::Type::nil:
      return "nil";
    case RedisReply::Type::string:
      return '"' + r.text + '"';
    case RedisReply::Type::integer:
      return std::to_string(r.integer);
    case RedisReply::Type::error:
      return "(error) " + r.text;
    case RedisReply::Type::unavailable:
      return "unavailable";
    case RedisReply::Type::array:
      break;
  }
  std::string text = "[";
  for (const RedisReply& e : r.elements) text += (text.size() > 1 ? " " : "") + show(e);
  return text + ']';
}

/// All replies in `bytes` fed in pieces of `step`, then `!` and the error, or `...` where a part is left.
std::string read(std::string_view bytes, std::size_t step, std::size_t max_reply = 1000) {
  RedisReplyReader reader(max_reply);
  std::string text;
  while (!bytes.empty()) {
    reader.feed(bytes.substr(0, step));
    bytes.remove_prefix(std::min(step, bytes.size()));
    while (const auto reply = reader.next()) text += show(*reply) + ' ';
  }
  if (!reader.error().empty()) return text + "!" + reader.error();
  return reader.in_reply() ? text + "..." : text;
}

}  // namespace

TEST_CASE("a command is an array of binary-safe strings") {
  std::string out = "before";
  append_redis_command(std::vector<std::string>{"SET", std::string("a\0\r\n", 4), ""}, out);
  CHECK(out == "before*3\r\n$3\r\nSET\r\n$4\r\na" + std::string(1, '\0') + "\r\n\r\n$0\r\n\r\n");
}

TEST_CASE("replies come out the same however the bytes are split") {
  struct Row {
    std::string bytes, expected;
  };
  const Row rows[] = {
      {"+OK\r\n:-12\r\n$-1\r\n$3\r\nabc\r\n-ERR no\r\n", "\"OK\" -12 nil \"abc\" (error) ERR no "},
      {"$0\r\n\r\n$4\r\n\r\n\r\n\r\n", "\"\" \"\r\n\r\n\" "},
      {"*0\r\n*-1\r\n*2\r\n*1\r\n:1\r\n*2\r\n$1\r\na\r\n-E\r\n+x\r\n", "[] nil [[1] [\"a\" (error) E]] \"x\" "},
      {"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", "[[[[[[[1]]]]]]] "},
      {"$10\r\nabc", "..."},
      {"+OK\r\n*2\r\n:1\r\n", "\"OK\" ..."},
      {"$9223372036854775807\r\nabc", "..."},
      {"*2147483647\r\n:1\r\n", "..."},
      {"+OK\r\nHTTP/1.1 400 Bad Request\r\n", "\"OK\" !Protocol error, got \"H\" as reply type byte"},
      {">3\r\n", "!Protocol error, got \">\" as reply type byte"},
      {"$3\r\nabcde+OK\r\n", "!a string without its end"},
      {"$-2\r\n", "!Bulk string length out of range"},
      {"$99999999999999999999\r\n", "!Bad bulk string length"},
      {"*4294967296\r\n", "!Multi-bulk length out of range"},
      {":abc\r\n", "!Bad integer value"},
      {"$" + std::string(40, '1'), "!an endless line"},
      {"*" + std::string(40, '0'), "!an endless line"},
      {"+" + std::string(990, 'x') + "\r\n", '"' + std::string(990, 'x') + "\" "},
  };
  for (const Row& row : rows) {
    CAPTURE(row.bytes);
    for (const std::size_t step : {1u, 2u, 3u, 7u, 100'000u}) {
      CAPTURE(step);
      CHECK(read(row.bytes, step) == row.expected);
    }
  }
  std::string deep;
  for (int i = 0; i < 9; ++i) deep += "*1\r\n";
  CHECK(read(deep, 4).substr(0, 31) == "!No support for nested multi bu");
}

TEST_CASE("all replies of one read come out, small and large ones, and the last is known to be cut") {
  std::string bytes, expected;
  for (std::size_t i = 0; i < 300; ++i) {
    const std::string text(i * 37 % 5000, static_cast<char>('a' + i % 26));
    bytes += '$' + std::to_string(text.size()) + "\r\n" + text + "\r\n";
    expected += '"' + text + "\" ";
  }
  CHECK(read(bytes, bytes.size(), 6000) == expected);
  CHECK(read(bytes + "$5000\r\nabc", bytes.size() + 100, 6000) == expected + "...");
  RedisReplyReader reader(6000);
  reader.feed(bytes);
  CHECK(reader.next());
  CHECK(reader.in_reply());  // more of this read is still to come
}

TEST_CASE("a reply over the bound is an error, complete or not, alone or among others") {
  const std::string fits = "$10\r\n0123456789\r\n";  // 17 bytes
  CHECK(read(fits + fits, 1000, 17) == "\"0123456789\" \"0123456789\" ");
  for (const std::size_t step : {1u, 5u, 1000u}) {
    CAPTURE(step);
    CHECK(read(fits + "$11\r\n0123456789x\r\n", step, 17) == "\"0123456789\" !a reply of too many bytes");
    CHECK(read(fits + "*9\r\n:1\r\n:2\r\n:3\r\n:4\r\n", step, 17) == "\"0123456789\" !a reply of too many bytes");
    CHECK(read("$1000\r\n" + std::string(11, 'x'), step, 17) == "!a reply of too many bytes");
  }
}

TEST_CASE("a reply of too many values is an error") {
  const auto many = [](std::size_t n) {
    std::string bytes = '*' + std::to_string(n) + "\r\n";
    for (std::size_t i = 0; i < n; ++i) bytes += ":1\r\n";
    return bytes;
  };
  const auto last_of = [](const std::string& text) { return text.substr(text.find_last_of("]!")); };
  CHECK(last_of(read(many(RedisReplyReader::max_values - 1), 4096, 1u << 20)) == "] ");
  CHECK(last_of(read(many(RedisReplyReader::max_values), 4096, 1u << 20)) == "!a reply of too many values");
  const std::size_t most = RedisReplyReader::max_values / 3 * 2;  // counted for each reply anew
  CHECK(last_of(read(many(most) + many(most), 4096, 1u << 20)) == "] ");
}

TEST_CASE("nothing comes after an error") {
  RedisReplyReader reader(1000);
  reader.feed("?\r\n");
  CHECK(!reader.next());
  const std::string error = reader.error();
  CHECK(!error.empty());
  reader.feed("+OK\r\n");
  CHECK(!reader.next());
  CHECK(reader.error() == error);
}
