#include "flow/shadow.hpp"

#include <doctest/doctest.h>

#include "flow/gather.hpp"

using namespace pillion;

namespace {

StoredResponsePtr stored(std::string_view head, std::string_view body) {
  StoredParts parts;
  parts.meta.status = 200;
  parts.primary_key = "k";
  parts.readable_key = "k:1";
  parts.head = head;
  parts.body = body;
  return StoredResponse::make(parts);
}

constexpr std::string_view head =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Mon, 01 Jan 2026 00:00:00 GMT\r\n";

Field field(std::string_view name, std::string_view value) { return {name, value, name_of(name)}; }

}  // namespace

TEST_CASE("shadow: status, body and what tells a client how to read it have to be the same") {
  const StoredResponsePtr kept = stored(head, "body");
  const std::vector<Field> same{field("Content-Type", "text/plain"), field("Date", "Mon, 02 Feb 2026 00:00:00 GMT"),
                                field("ETag", "\"other\"")};
  CHECK(is_same_answer(*kept, 200, Fields(same), "body"));
  CHECK_FALSE(is_same_answer(*kept, 404, Fields(same), "body"));
  CHECK_FALSE(is_same_answer(*kept, 200, Fields(same), "Body"));
  CHECK_FALSE(is_same_answer(*kept, 200, Fields(same), "body "));
  const std::vector<Field> other{field("Content-Type", "text/html")};
  CHECK_FALSE(is_same_answer(*kept, 200, Fields(other), "body"));
  CHECK_FALSE(is_same_answer(*kept, 200, Fields(std::vector<Field>{}), "body"));
  const std::vector<Field> more{field("Content-Type", "text/plain"), field("Content-Encoding", "gzip")};
  CHECK_FALSE(is_same_answer(*kept, 200, Fields(more), "body"));
}

TEST_CASE("gather: a recorded target answers for itself, for its path, and as far as it goes where it was cut") {
  CHECK(is_asked_path("/a?b=c", false, "/a?b=c"));
  CHECK(is_asked_path("/a?b=c", false, "/a"));
  CHECK_FALSE(is_asked_path("/a?b=c", false, "/a?b"));
  CHECK_FALSE(is_asked_path("/ab", false, "/a"));
  CHECK_FALSE(is_asked_path("/a", false, "/ab"));
  CHECK(is_asked_path("/a", true, "/ab"));
  CHECK(is_asked_path("/a?b=c", true, "/a?b=cd"));
  CHECK(is_asked_path("/a?b=c", true, "/a"));
  CHECK_FALSE(is_asked_path("/a?b=c", true, "/ab"));
}

TEST_CASE("gather: INFO is read as far as it makes sense") {
  RedisFigures figures;
  read_redis_figures(
      "# Memory\r\nused_memory:1048576\r\nmaxmemory:2097152\r\nmaxmemory_policy:volatile-lru\r\n# Stats\r\n"
      "evicted_keys:3\r\nexpired_keys:4\r\nkeyspace_hits:30\r\nkeyspace_misses:10\r\nnonsense\r\nexpired_keys:x\r\n",
      figures);
  CHECK(figures.memory_bytes == 1048576);
  CHECK(figures.memory_limit == 2097152);
  CHECK(figures.policy == "volatile-lru");
  CHECK(figures.evicted == 3);
  CHECK(figures.expired == 4);
  CHECK(figures.hits == 30);
  CHECK(figures.misses == 10);
  read_redis_figures("", figures);
  CHECK(figures.hits == 30);
}
