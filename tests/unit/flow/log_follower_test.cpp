// What becomes of records that are read, and what is concluded from a look at the log: a log kept by hand instead of
// Redis.
#include "flow/log_follower.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "core/message.hpp"
#include "log_replies.hpp"

using namespace pillion;

namespace {

/// A stream as Redis keeps it.
struct HandLog {
  std::vector<LogRecord> records;
  std::string last_id = "0-0";
  bool trimmed = false;
  std::uint64_t max_deleted = 0;

  void add(const std::string& id, const std::vector<std::string>& fields) {
    records.push_back(*parse_record(entry_reply(id, fields)));
    last_id = id;
  }
  void invalidate(const std::string& id, const std::string& writer, const std::string& tag,
                  Strength strength = Strength::hard) {
    add(id, record_fields(writer_mark(writer, packed_id(id)), "e1", strength,
                          std::vector<Selector>{{Selector::Kind::tag, tag}}));
  }
  void trim(std::size_t left) {
    records.erase(records.begin(), records.end() - static_cast<std::ptrdiff_t>(left));
    trimmed = true;
  }
  void remove(const std::string& id) {
    std::erase_if(records, [&](const LogRecord& record) { return record.id == id; });
    max_deleted = std::max(max_deleted, packed_id(id));
    trimmed = true;  // as far as the count of entries tells
  }
  std::vector<LogRecord> after(std::uint64_t position) const {
    std::vector<LogRecord> out;
    for (const LogRecord& record : records) {
      if (record.position > position) out.push_back(record);
    }
    return out;
  }
  LogInfo info() const {
    return {.state = LogInfo::State::stream,
            .last = packed_id(last_id),
            .first = records.empty() ? 0 : records.front().position,
            .end = records.empty() ? 0 : records.back().position,
            .max_deleted = max_deleted,
            .trimmed = trimmed};
  }
  LogLook look(const std::vector<KnownRecord>& known) const {
    LogLook look{info(), known, {}};
    for (const KnownRecord& wanted : known) {
      look.stands.push_back(std::ranges::any_of(records, [&](const LogRecord& record) {
        return record.position == wanted.position && record.mark == wanted.mark;
      }));
    }
    return look;
  }
};

StoredResponsePtr response(const std::string& tag, std::uint64_t local, std::uint64_t shared = 0) {
  static const std::string head = "HTTP/1.1 200 OK\r\n\r\n";
  const std::vector<std::uint32_t> selectors{selector_hash({Selector::Kind::tag, tag})};
  StoredParts parts;
  parts.primary_key = "key";
  parts.readable_key = "api:key";
  parts.head = head;
  parts.selectors = selectors;
  parts.position = local;
  parts.shared_position = shared;
  return StoredResponse::make(parts);
}

/// A process that follows it.
struct Process {
  RedisClock clock;
  LocalOrder order;
  SharedSlot<LogView> slot;
  LogFollower follower{"me", order, slot, clock};

  LogVerdict look(const HandLog& log) const { return judge(log.look(follower.known()), follower.read_before_doubt()); }
  std::size_t read(const HandLog& log, std::int64_t mono_ms = 1000) {
    return follower.read(log.after(follower.position()), mono_ms);
  }
  /// Reads to the end after a cut, without mending anything.
  LogVerdict catch_up(const HandLog& log) {
    follower.doubt();
    read(log);
    const LogVerdict verdict = look(log);
    if (verdict != LogVerdict::same) return verdict;
    return follower.vouch(log.look(follower.known())) ? verdict : LogVerdict::unnamed;
  }
  bool holds_here(const StoredResponsePtr& stored) const { return order.standing(*stored).is_good(); }
  bool holds_in_redis(const StoredResponsePtr& stored) const {
    return standing_by(slot.load()->table, stored->shared_position(), *stored).is_good();
  }
};

HandLog begun() {
  HandLog log;
  log.add("0-1", {"begin", "e1"});
  return log;
}

}  // namespace

TEST_CASE("a process that comes reads all of the log before it says what holds in Redis") {
  HandLog log = begun();
  log.invalidate("5-0", "other", "a");
  Process process;
  CHECK_FALSE(process.follower.has_view());
  CHECK(process.catch_up(log) == LogVerdict::same);
  REQUIRE(process.follower.has_view());
  const auto view = process.slot.load();
  CHECK(view->epoch == epoch_number("e1"));
  CHECK(view->known.load() == packed_id("5-0"));
  CHECK_FALSE(process.holds_in_redis(response("a", 0, packed_id("4-0"))));
  CHECK(process.holds_in_redis(response("a", 0, packed_id("5-0"))));
  CHECK(process.holds_in_redis(response("b", 0, packed_id("4-0"))));
}

TEST_CASE("what memory holds when the log is read for the first time was fetched without hearing it") {
  HandLog log = begun();
  Process process;
  const auto stored = response("a", process.order.latest());
  CHECK(process.catch_up(log) == LogVerdict::same);
  CHECK_FALSE(process.holds_here(stored));
  CHECK(process.holds_here(response("a", process.order.latest())));
}

TEST_CASE("another's record is applied in both orders, one's own in that of Redis alone") {
  HandLog log = begun();
  Process process;
  process.catch_up(log);
  const auto theirs = response("theirs", process.order.latest(), packed_id("1-0"));
  const auto mine = response("mine", process.order.latest(), packed_id("1-0"));
  log.invalidate("5-0", "other", "theirs");
  log.invalidate("6-0", "me", "mine");
  CHECK(process.read(log) == 0);
  CHECK_FALSE(process.holds_here(theirs));
  CHECK_FALSE(process.holds_in_redis(theirs));
  CHECK(process.holds_here(mine));
  CHECK_FALSE(process.holds_in_redis(mine));
}

TEST_CASE("a soft record leaves a stale response, since the time of its id") {
  HandLog log = begun();
  Process process;
  process.clock.learn(texts_reply({"10", "0"}), 2'000'000, 2'000'000);  // Redis's 10 s are our 2 s
  process.catch_up(log);
  const auto stored = response("a", process.order.latest(), packed_id("1-0"));
  log.invalidate("9500-0", "other", "a", Strength::soft);
  process.read(log, 2000);
  CHECK(process.order.standing(*stored).stale_since_ms == 1500);
  CHECK(standing_by(process.slot.load()->table, stored->shared_position(), *stored).stale_since_ms == 1500);
  CHECK_FALSE(process.order.standing(*stored).invalidated);
  // A clock that is ahead makes nothing stale in the future.
  const auto later = response("b", process.order.latest());
  log.invalidate("99000-0", "other", "b", Strength::soft);
  process.read(log, 2100);
  CHECK(process.order.standing(*later).stale_since_ms == 2100);
}

TEST_CASE("what was missed during a cut is applied after it, once") {
  HandLog log = begun();
  Process process;
  process.catch_up(log);
  log.invalidate("5-0", "other", "a");
  process.read(log);
  const auto untouched = response("a", process.order.latest());
  const auto missed = response("b", process.order.latest());
  log.invalidate("6-0", "other", "b");
  CHECK(process.catch_up(log) == LogVerdict::same);
  CHECK(process.holds_here(untouched));
  CHECK_FALSE(process.holds_here(missed));
  CHECK(process.follower.last_read().id == "6-0");
}

TEST_CASE("the reply to a write moves the fence but not what is read next") {
  HandLog log = begun();
  Process process;
  process.catch_up(log);
  const auto stored = response("a", process.order.latest(), packed_id("1-0"));
  const std::uint64_t before = process.follower.known_position();
  log.invalidate("5-0", "other", "a");
  log.invalidate("6-0", "me", "b");
  CHECK(process.follower.written(log.records.back(), before, 1000));
  CHECK(process.slot.load()->known.load() == packed_id("6-0"));
  CHECK(process.holds_here(stored));
  process.read(log);
  CHECK_FALSE(process.holds_here(stored));
  CHECK_FALSE(process.holds_in_redis(stored));
}

TEST_CASE("an id that is no later than what was known when it was asked for comes from an older log") {
  HandLog log = begun();
  Process process;
  log.invalidate("5-0", "other", "a");
  process.catch_up(log);
  const std::uint64_t before = process.follower.known_position();
  HandLog older = begun();
  older.invalidate("4-0", "me", "b");
  CHECK_FALSE(process.follower.written(older.records.back(), before, 1000));
  // What was heard meanwhile says nothing against it.
  log.invalidate("6-0", "me", "b");
  const LogRecord mine = log.records.back();
  log.invalidate("7-0", "other", "c");
  process.read(log);
  CHECK(process.follower.written(mine, before, 1000));
}

TEST_CASE("another epoch distrusts everything, in memory and in Redis") {
  HandLog log = begun();
  Process process;
  process.catch_up(log);
  const auto stored = response("a", process.order.latest(), packed_id("1-0"));
  const auto view = process.slot.load();
  log.add("9-0", {"begin", "e2"});
  log.invalidate("10-0", "other", "b");
  process.follower.doubt();
  CHECK(process.read(log) == 1);
  CHECK_FALSE(process.holds_here(stored));
  CHECK(process.slot.load() != view);
  CHECK(process.slot.load()->epoch == epoch_number("e2"));
  CHECK(process.follower.epoch() == "e2");
  CHECK_FALSE(process.holds_in_redis(response("b", 0, packed_id("9-0"))));
  CHECK(process.holds_in_redis(response("c", 0, packed_id("9-0"))));
}

TEST_CASE("of several epochs in a log that is read for the first time the last one counts") {
  HandLog log = begun();
  log.invalidate("5-0", "other", "a");
  log.add("9-0", {"begin", "e2"});
  Process process;
  CHECK(process.catch_up(log) == LogVerdict::same);
  CHECK(process.slot.load()->epoch == epoch_number("e2"));
  CHECK_FALSE(process.holds_in_redis(response("c", 0, packed_id("8-0"))));
  CHECK(process.holds_in_redis(response("a", 0, packed_id("9-0"))));
}

TEST_CASE(
    "a log whose beginning was trimmed has its epoch from its records, and distrusts what is older than they are") {
  HandLog log = begun();
  for (const char* id : {"5-0", "6-0", "7-0"}) log.invalidate(id, "other", "a");
  log.trim(2);
  Process process;
  CHECK(process.catch_up(log) == LogVerdict::same);
  CHECK(process.slot.load()->epoch == epoch_number("e1"));
  CHECK_FALSE(process.holds_in_redis(response("x", 0, packed_id("4-0"))));
  CHECK(process.holds_in_redis(response("x", 0, packed_id("6-0"))));
}

TEST_CASE("a log a record of which was deleted distrusts what is older than that one") {
  HandLog log = begun();
  for (const char* id : {"5-0", "7-0"}) log.invalidate(id, "other", "a");
  log.remove("5-0");
  Process process;
  CHECK(process.catch_up(log) == LogVerdict::same);
  CHECK_FALSE(process.holds_in_redis(response("x", 0, packed_id("4-0"))));
  CHECK(process.holds_in_redis(response("x", 0, packed_id("5-0"))));
}

TEST_CASE("nothing in a log says its epoch: none is made up") {
  HandLog log;
  log.add("5-0", {"tag", "a"});
  Process process;
  CHECK(process.catch_up(log) == LogVerdict::unnamed);
  CHECK_FALSE(process.follower.has_view());
  log.trim(0);
  CHECK(process.catch_up(log) == LogVerdict::unnamed);
}

TEST_CASE("a look tells a log that goes on from one that was lost, replaced, or is older") {
  HandLog log = begun();
  Process process;
  log.invalidate("5-0", "other", "a");
  process.catch_up(log);
  CHECK(process.look(log) == LogVerdict::same);

  LogLook look{{}, process.follower.known(), {true}};
  CHECK(judge(look, 0) == LogVerdict::unknown);
  look.info.state = LogInfo::State::gone;
  CHECK(judge(look, 0) == LogVerdict::gone);
  look.info.state = LogInfo::State::broken;
  CHECK(judge(look, 0) == LogVerdict::senseless);
  look.info.state = LogInfo::State::too_large;
  CHECK(judge(look, 0) == LogVerdict::senseless);

  HandLog older = begun();
  older.invalidate("4-0", "other", "x");
  CHECK(process.look(older) == LogVerdict::older);
  HandLog went_on = older;
  went_on.invalidate("9-0", "other", "y");
  CHECK(process.look(went_on) == LogVerdict::replaced);
  // The same id, and another record.
  HandLog twin = begun();
  twin.invalidate("5-0", "third", "a");
  CHECK(process.look(twin) == LogVerdict::replaced);
}

TEST_CASE("reading the replacement doesn't hide that what was known is gone") {
  HandLog log = begun();
  Process process;
  log.invalidate("5-0", "other", "a");
  process.catch_up(log);
  HandLog replacement = begun();
  replacement.invalidate("9-0", "other", "y");
  for (int i = 0; i < 3; ++i) CHECK(process.catch_up(replacement) == LogVerdict::replaced);
  // What mends it: an epoch, with an id that nobody else has taken since.
  CHECK(process.follower.next_epoch_id(replacement.info()) == "10-0");
  const std::vector<std::string> epoch = process.follower.next_epoch();
  REQUIRE(epoch.size() == 4);
  replacement.add("10-0", epoch);
  CHECK(process.catch_up(replacement) == LogVerdict::same);
  CHECK(process.slot.load()->epoch == epoch_number(epoch[1]));
  CHECK_FALSE(process.follower.owes());
}

TEST_CASE("an epoch that others began is enough where they knew what is known here, and else another is needed") {
  HandLog log = begun();
  Process process, other;
  log.invalidate("5-0", "third", "a");
  process.catch_up(log);
  other.catch_up(log);
  HandLog anew;
  anew.add("6-0", other.follower.next_epoch());
  SUBCASE("they knew as much") {
    CHECK(process.catch_up(anew) == LogVerdict::same);
    CHECK_FALSE(process.follower.owes());
  }
  SUBCASE("they knew more") {
    log.invalidate("6-0", "third", "b");
    other.read(log);
    HandLog later;
    later.add("7-0", other.follower.next_epoch());
    CHECK(process.catch_up(later) == LogVerdict::same);
  }
  SUBCASE("they knew nothing") {
    HandLog empty;
    empty.add("6-0", {"begin", "e2"});
    CHECK(process.catch_up(empty) == LogVerdict::replaced);
    CHECK(process.catch_up(empty) == LogVerdict::replaced);
  }
  SUBCASE("they didn't know what was written here, and it stays so however often the log is read anew") {
    log.invalidate("5-1", "me", "b");
    REQUIRE(process.follower.written(log.records.back(), process.follower.known_position(), 1000));
    SUBCASE("not read yet") {}
    SUBCASE("read as well") { process.read(log); }
    CHECK(process.catch_up(anew) == LogVerdict::replaced);
    process.follower.restart();
    CHECK(process.catch_up(anew) == LogVerdict::replaced);
    CHECK(process.follower.owes());
    CHECK(process.follower.last_applied().id.empty());
    anew.add("7-0", process.follower.next_epoch());
    CHECK(process.catch_up(anew) == LogVerdict::same);
    CHECK(process.follower.last_applied().id == "7-0");
    // The other one knows nothing of what was lost.
    CHECK(other.catch_up(anew) == LogVerdict::same);
  }
}

TEST_CASE("however many epochs a log has seen, the one that names what is known here is enough") {
  HandLog log = begun();
  Process process;
  log.invalidate("5-0", "third", "a");
  process.catch_up(log);
  log.invalidate("5-1", "me", "b");
  REQUIRE(process.follower.written(log.records.back(), process.follower.known_position(), 1000));
  HandLog other;
  int id = 10;
  const auto add_epochs = [&](int n) {
    for (int i = 0; i < n; ++i, ++id) {
      std::vector<std::uint64_t> marks;
      for (std::uint64_t m = 0; m < max_named_records; ++m) marks.push_back(1'000'000 + id * 1000u + m);
      other.add(std::to_string(id) + "-0", epoch_fields("e" + std::to_string(id), marks));
    }
  };
  add_epochs(30);
  CHECK(process.catch_up(other) == LogVerdict::replaced);
  process.follower.restart();
  other.add(std::to_string(id++) + "-0", process.follower.next_epoch());
  SUBCASE("the last one") {}
  SUBCASE("one before many others") { add_epochs(30); }
  CHECK(process.catch_up(other) == LogVerdict::same);
  CHECK_FALSE(process.follower.owes());
}

TEST_CASE("an id that comes after the look at the log is looked for at the next one") {
  HandLog log = begun();
  Process process;
  process.catch_up(log);
  const std::uint64_t before = process.follower.known_position();
  HandLog copy = log;
  copy.invalidate("5-0", "me", "lost");
  process.follower.doubt();
  const LogLook look = log.look(process.follower.known());
  REQUIRE(process.follower.written(copy.records.back(), before, 1000));
  CHECK(process.follower.vouch(look));
  log.invalidate("6-0", "me", "b");
  REQUIRE(process.follower.written(log.records.back(), before, 1000));
  CHECK(process.catch_up(log) == LogVerdict::replaced);
}

TEST_CASE("others are told what was applied, and nothing that may turn out to be of another log") {
  HandLog log = begun();
  log.invalidate("5-0", "other", "a");
  Process process;
  process.follower.doubt();
  process.read(log);
  CHECK(process.follower.last_applied().id.empty());
  process.catch_up(log);
  CHECK(process.follower.last_applied().id == "5-0");
  log.invalidate("6-0", "other", "a");
  process.follower.doubt();
  process.read(log);
  CHECK(process.follower.last_applied().id == "5-0");
  CHECK(process.catch_up(log) == LogVerdict::same);
  CHECK(process.follower.last_applied().id == "6-0");
  // Read from its beginning, it isn't applied in memory before its end.
  process.follower.restart();
  process.read(log);
  CHECK(process.follower.last_applied().id.empty());
}

TEST_CASE("an epoch's id lies past all that is known, in an older log too") {
  HandLog log = begun();
  Process process;
  CHECK(process.follower.next_epoch_id(LogInfo{}) == "0-1");
  log.invalidate("5-3", "other", "a");
  process.catch_up(log);
  CHECK(process.follower.next_epoch_id(begun().info()) == "6-0");
}

TEST_CASE("a log that is trimmed goes on, as long as nothing went that wasn't read") {
  HandLog log = begun();
  Process process;
  for (const char* id : {"5-0", "6-0"}) log.invalidate(id, "other", "a");
  process.catch_up(log);
  log.trim(1);
  CHECK(process.catch_up(log) == LogVerdict::same);
  log.invalidate("7-0", "other", "a");
  CHECK(process.catch_up(log) == LogVerdict::same);
  log.trim(0);
  CHECK(process.catch_up(log) == LogVerdict::same);
  for (const char* id : {"8-0", "9-0"}) log.invalidate(id, "other", "a");
  log.trim(1);
  CHECK(process.catch_up(log) == LogVerdict::past_us);
  log.trim(0);
  CHECK(process.catch_up(log) == LogVerdict::past_us);
}

TEST_CASE("a record that was deleted before it was read is missed") {
  HandLog log = begun();
  Process process;
  process.catch_up(log);
  log.invalidate("5-0", "other", "a");
  log.invalidate("6-0", "other", "b");
  process.follower.doubt();
  process.follower.read(std::vector<LogRecord>{log.records.back()}, 1000);
  LogLook look = log.look(process.follower.known());
  look.info.max_deleted = packed_id("5-0");
  CHECK(judge(look, process.follower.read_before_doubt()) == LogVerdict::past_us);
}

TEST_CASE("a log that begins again from its beginning distrusts memory, and keeps the old view until it is read") {
  HandLog log = begun();
  Process process;
  process.catch_up(log);
  const auto view = process.slot.load();
  log.invalidate("5-0", "other", "a");
  process.follower.restart();
  CHECK(process.follower.position() == 0);
  CHECK_FALSE(process.follower.has_view());
  CHECK(process.slot.load() == view);
  const auto stored = response("x", process.order.latest());
  CHECK(process.catch_up(log) == LogVerdict::same);
  CHECK(process.slot.load() != view);
  CHECK_FALSE(process.holds_here(stored));
}

TEST_CASE("a record of an epoch that nobody saw begin shows that another log has taken the place of the known one") {
  HandLog log = begun();
  Process process;
  process.catch_up(log);
  log.add("5-0", {"begin", "e2"});
  // Its writer hasn't heard of it.
  log.invalidate("6-0", "other", "a");
  CHECK(process.catch_up(log) == LogVerdict::same);
  CHECK_FALSE(process.follower.is_strange());
  log.add("7-0", {"by", "other-1", "in", "e3", "tag", "a"});
  process.read(log);
  CHECK(process.follower.is_strange());
  process.follower.restart();
  CHECK_FALSE(process.follower.is_strange());
  // What was read last in the log that was vouched for must stand here too.
  CHECK(process.look(begun()) == LogVerdict::older);
  log.add("8-0", {"tag", "of a hand that knows no epochs"});
  CHECK(process.catch_up(log) == LogVerdict::same);
  CHECK(process.follower.epoch() == "e2");
  CHECK_FALSE(process.follower.is_strange());
}

TEST_CASE("an id beyond all sense is strange, and no reason to begin an epoch behind it") {
  HandLog log = begun();
  Process process;
  process.catch_up(log);
  log.add("18446744073709551615-1", {"tag", "a"});
  process.read(log);
  CHECK(process.follower.is_strange());
  // Somebody else has put it right.
  CHECK(process.look(begun()) == LogVerdict::past_us);
}

TEST_CASE("each of what was read and what was written must stand in the log") {
  HandLog log = begun();
  Process process;
  log.invalidate("5-0", "other", "a");
  process.catch_up(log);
  // Written to another copy than the one that is read: that copy lacks what was read before.
  HandLog copy = begun();
  copy.invalidate("9-0", "me", "b");
  REQUIRE(process.follower.written(copy.records.back(), process.follower.known_position(), 1000));
  CHECK(process.follower.known().size() == 2);
  CHECK(process.look(copy) == LogVerdict::replaced);
  CHECK(process.look(log) == LogVerdict::older);
}

TEST_CASE("what was read of another copy, before the right one was found again, moves nothing") {
  HandLog log = begun();
  Process process;
  log.invalidate("5-0", "other", "a");
  process.catch_up(log);
  const auto stored = response("c", process.order.latest());
  HandLog copy = log;
  SUBCASE("a record") { copy.invalidate("8-0", "other", "b"); }
  SUBCASE("another epoch") { copy.add("8-0", {"begin", "e2"}); }
  process.follower.doubt();
  process.read(copy);
  log.invalidate("7-0", "other", "c");
  log.invalidate("9-0", "other", "d");
  CHECK(process.catch_up(log) == LogVerdict::same);
  CHECK(process.follower.epoch() == "e1");
  CHECK_FALSE(process.holds_here(stored));
  CHECK_FALSE(process.holds_in_redis(response("c", 0, packed_id("6-0"))));
}
