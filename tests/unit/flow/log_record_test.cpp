// Records and ids of the invalidation log, as Redis gives them.
#include "flow/log_record.hpp"

#include <doctest/doctest.h>

#include "log_replies.hpp"

using namespace pillion;

namespace {

LogRecord read(const std::vector<std::string>& fields) {
  const auto record = parse_record(entry_reply("7-1", fields));
  REQUIRE(record.has_value());
  return *record;
}

bool is_hard_all(const LogRecord& record) {
  return record.selectors == std::vector<Selector>{{Selector::Kind::all, {}}} && record.strength == Strength::hard;
}

}  // namespace

TEST_CASE("ids keep their order as numbers") {
  const char* ids[] = {"0-1", "5-0", "5-1", "6-0", "1795422608815-0", "1795422608815-7", "1795422608816-0"};
  for (std::size_t i = 1; i < std::size(ids); ++i) CHECK(packed_id(ids[i - 1]) < packed_id(ids[i]));
  for (const char* none : {"", "x", "5", "0-0", "5-", "-1", "5-1x", "99999999999999999999-0"})
    CHECK(packed_id(none) == 0);
  CHECK(packed_id("18446744073709551615-18446744073709551615") >= packed_id("1-1"));
  CHECK(id_ms(packed_id("1795422608815-7")) == 1795422608815);
}

TEST_CASE("an id that a number can't tell from its neighbours isn't plain") {
  for (const char* plain : {"0-1", "1795422608815-1048574"}) CHECK(is_plain_id(plain));
  for (const char* wild : {"", "x", "1795422608815-1048575", "18446744073709551615-0"}) CHECK_FALSE(is_plain_id(wild));
}

TEST_CASE("the id after a position is greater and plain") {
  CHECK(id_after(0) == "0-1");
  for (const char* id : {"0-1", "5-3", "1795422608815-1048574"}) {
    CHECK(packed_id(id_after(packed_id(id))) > packed_id(id));
    CHECK(is_plain_id(id_after(packed_id(id))));
  }
}

TEST_CASE("a record says what it invalidates, who wrote it and in which epoch") {
  const std::vector<Selector> selectors{{Selector::Kind::tag, "a"}, {Selector::Kind::path, "/b"}};
  for (const Strength strength : {Strength::hard, Strength::soft}) {
    const LogRecord record = read(record_fields(writer_mark("process", 5), "epoch", strength, selectors));
    CHECK(record.id == "7-1");
    CHECK(record.position == packed_id("7-1"));
    CHECK(record.writer == "process");
    CHECK(record.mark == mark_of("process-5"));
    CHECK(record.mark != mark_of("process-6"));
    CHECK(record.epoch == "epoch");
    CHECK(record.strength == strength);
    CHECK(record.selectors == selectors);
    CHECK_FALSE(record.begins);
  }
}

TEST_CASE("what isn't understood in a record invalidates everything, however softly it speaks") {
  CHECK(is_hard_all(read({"tag", "a", "of-tomorrow", "b"})));
  CHECK(is_hard_all(read({"soft", "1", "of-tomorrow", "b"})));
  CHECK(is_hard_all(read({"soft", "2", "tag", "b"})));
  CHECK(is_hard_all(read({"by", "p-1", "in", "e"})));
  CHECK(is_hard_all(read({"tag", "a", "path"})));
  CHECK(is_hard_all(read({})));
  RedisReply without_fields = entry_reply("7-1", {});
  without_fields.elements[1] = RedisReply{};
  REQUIRE(parse_record(without_fields).has_value());
  CHECK(is_hard_all(*parse_record(without_fields)));
}

TEST_CASE("a record that begins an epoch names it") {
  const LogRecord record = read({"begin", "e1"});
  CHECK(record.begins);
  CHECK(record.epoch == "e1");
  CHECK(record.mark != 0);
  CHECK(record.mark != read({"begin", "e2"}).mark);
}

TEST_CASE("the beginning of an epoch names records that were there before, so many at most") {
  std::vector<std::uint64_t> marks{1, 18446744073709551615u};
  CHECK(read(epoch_fields("e1", marks)).after == marks);
  CHECK(read(epoch_fields("e1", {})).after.empty());
  CHECK_FALSE(is_hard_all(read(epoch_fields("e1", marks))));
  marks.resize(max_named_records + 5, 7);
  CHECK(read(epoch_fields("e1", marks)).after.size() == max_named_records);
  // What makes no sense names nothing.
  CHECK(read({"begin", "e1", "after", "x 5 -1 6x  7 99999999999999999999"}).after == std::vector<std::uint64_t>{5, 7});
}

TEST_CASE("a reply to a read is a list of records, nothing, or nonsense") {
  CHECK(parse_read(RedisReply{RedisReply::Type::nil, {}, 0, {}})->empty());
  const RedisReply entries = list_reply({entry_reply("7-1", {"tag", "a"}), entry_reply("7-2", {"tag", "b"})});
  const auto records = parse_read(list_reply({list_reply({text_reply("log"), entries})}));
  REQUIRE(records.has_value());
  REQUIRE(records->size() == 2);
  CHECK((*records)[1].selectors[0].text == "b");
  CHECK_FALSE(parse_read(error_reply("WRONGTYPE")).has_value());
  CHECK_FALSE(parse_read(text_reply("x")).has_value());
  CHECK_FALSE(parse_read(RedisReply{}).has_value());
  CHECK_FALSE(parse_read(list_reply({text_reply("log")})).has_value());
  CHECK_FALSE(parse_read(list_reply({list_reply({text_reply("log"), list_reply({text_reply("x")})})})).has_value());
  CHECK_FALSE(parse_record(entry_reply("nonsense", {"tag", "a"})).has_value());
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

TEST_CASE("what Redis says of the stream: where it begins and ends, and whether anything was cut off") {
  const LogInfo whole = parse_info(info_reply(2, "9-0", "0-0", 2, "5-0"));
  CHECK(whole.state == LogInfo::State::stream);
  CHECK(whole.last == packed_id("9-0"));
  CHECK(whole.first == packed_id("5-0"));
  CHECK(whole.end == 0);
  CHECK(parse_info(info_reply(2, "9-0", "9-0", 3, "5-0", "8-0")).end == packed_id("8-0"));
  CHECK_FALSE(whole.trimmed);
  const LogInfo cut = parse_info(info_reply(1, "9-0", "7-0", 4, "9-0"));
  CHECK(cut.trimmed);
  CHECK(cut.max_deleted == packed_id("7-0"));
  CHECK(parse_info(info_reply(1, "18446744073709551615-0", "0-0", 1, "5-0")).state == LogInfo::State::broken);
  CHECK(parse_info(error_reply("ERR no such key")).state == LogInfo::State::gone);
  CHECK(parse_info(error_reply("WRONGTYPE Operation")).state == LogInfo::State::broken);
  CHECK(parse_info(error_reply("LOADING")).state == LogInfo::State::no_answer);
  CHECK(parse_info(RedisReply{}).state == LogInfo::State::no_answer);
  RedisReply refused;  // `unavailable`, as by the connection
  refused.text = "a reply of too many bytes";
  CHECK(parse_info(refused).state == LogInfo::State::too_large);
  CHECK(parse_info(list_reply({text_reply("length"), number_reply(5)})).state == LogInfo::State::no_answer);
}

TEST_CASE("an epoch has a number, never 0, and names don't repeat") {
  CHECK(epoch_number("a") != 0);
  CHECK(epoch_number("a") == epoch_number("a"));
  CHECK(epoch_number("a") != epoch_number("b"));
  CHECK(random_name() != random_name());
}
