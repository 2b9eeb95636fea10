// Records and ids of the invalidation log, as Redis gives them.
#include "flow/log_record.hpp"

#include <doctest/doctest.h>

using namespace pillion;

namespace {

RedisReply text(std::string value) {
  RedisReply reply;
  reply.type = RedisReply::Type::string;
  reply.text = std::move(value);
  return reply;
}

RedisReply list(std::vector<RedisReply> elements) {
  RedisReply reply;
  reply.type = RedisReply::Type::array;
  reply.elements = std::move(elements);
  return reply;
}

RedisReply number(std::int64_t value) {
  RedisReply reply;
  reply.type = RedisReply::Type::integer;
  reply.integer = value;
  return reply;
}

}  // namespace

TEST_CASE("ids keep their order as numbers") {
  const char* ids[] = {"0-1", "5-0", "5-1", "6-0", "1795422608815-0", "1795422608815-7", "1795422608816-0"};
  for (std::size_t i = 1; i < std::size(ids); ++i) CHECK(packed_id(ids[i - 1]) < packed_id(ids[i]));
  for (const char* none : {"", "x", "5", "0-0"}) CHECK(packed_id(none) == 0);
  CHECK(packed_id("18446744073709551615-18446744073709551615") >= packed_id("1-1"));
}

TEST_CASE("a record says what it invalidates; what isn't understood invalidates everything") {
  const auto read = selectors_of_record(list({text("tag"), text("a"), text("path"), text("/b")}));
  REQUIRE(read.size() == 2);
  CHECK(read[0] == Selector{Selector::Kind::tag, "a"});
  CHECK(read[1] == Selector{Selector::Kind::path, "/b"});
  CHECK(selectors_of_record(list({text("begin"), text("x")})).empty());
  const auto unknown = selectors_of_record(list({text("tag"), text("a"), text("of-tomorrow"), text("b")}));
  REQUIRE(unknown.size() == 1);
  CHECK(unknown[0].kind == Selector::Kind::all);
}

TEST_CASE("a selector in a record is of bounded size and invalidates at least the same") {
  const Selector small{Selector::Kind::tag, "a"};
  CHECK(bounded_selector(small) == small);
  const Selector tag{Selector::Kind::tag, std::string(5000, 't')};
  CHECK(bounded_selector(tag).text.size() <= max_record_text);
  CHECK(selector_hashes(bounded_selector(tag)) == selector_hashes(tag));
  const Selector group = group_selector("http", "h", std::string(5000, 'g'));
  CHECK(bounded_selector(group).text.size() <= max_record_text);
  CHECK(selector_hashes(bounded_selector(group)) == selector_hashes(group));
  const Selector url{Selector::Kind::url, "/p?" + std::string(5000, 'q')};
  CHECK(bounded_selector(url).text.size() <= max_record_text);
  CHECK(selects(bounded_selector(url), std::vector<std::uint32_t>{selector_hash(url)}, ""));
  CHECK(selects(bounded_selector(url), std::vector<std::uint32_t>{search_selector("/p")}, ""));
  const Selector pattern{Selector::Kind::pattern, std::string(5000, 'p')};
  CHECK(bounded_selector(pattern).text.size() <= max_record_text);
  CHECK(glob_matches(bounded_selector(pattern).text, pattern.text));
}

TEST_CASE("a stream was trimmed where more was added than is there") {
  CHECK(was_trimmed(list({text("length"), number(5), text("entries-added"), number(9)})));
  CHECK_FALSE(was_trimmed(list({text("length"), number(9), text("entries-added"), number(9)})));
  CHECK_FALSE(was_trimmed(list({text("length"), number(5)})));
  CHECK(named(list({text("a")}), "a") == nullptr);
}

TEST_CASE("an epoch has a number, never 0, and names don't repeat") {
  CHECK(epoch_number("a") != 0);
  CHECK(epoch_number("a") == epoch_number("a"));
  CHECK(epoch_number("a") != epoch_number("b"));
  CHECK(random_epoch_name() != random_epoch_name());
}
