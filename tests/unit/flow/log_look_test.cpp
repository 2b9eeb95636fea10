// What a look at the log asks of Redis, and what it makes of refusals: replies by hand instead of Redis.
#include <doctest/doctest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <map>

#include "flow/log_reader.hpp"
#include "log_replies.hpp"

using namespace pillion;

namespace {

using Replies = std::map<std::string, RedisReply>;  // by command

LogLook look(Replies replies, std::vector<KnownRecord> known) {
  asio::io_context context;
  LogLook result;
  const LogCommand command = [&](std::vector<std::string> words) -> awaitable<RedisReply> {
    co_return replies[words[0]];
  };
  asio::co_spawn(context, look_at_log(command, "log", std::move(known)), [&](std::exception_ptr error, LogLook look) {
    CHECK_FALSE(error);
    result = std::move(look);
  });
  context.run();
  return result;
}

const KnownRecord known{"5-0", packed_id("5-0"), mark_of("me-1")};

Replies whole() {
  return {{"XRANGE", list_reply({entry_reply("5-0", {"by", "me-1", "in", "e", "tag", "a"})})},
          {"EXISTS", number_reply(1)},
          {"XINFO", info_reply(1, "5-0", "0-0", 1, "5-0")}};
}

}  // namespace

TEST_CASE("a look at a log that has the record shows that it is the same") {
  CHECK(judge(look(whole(), {known}), known.position) == LogVerdict::same);
  Replies without = whole();
  without["XRANGE"] = list_reply({});
  CHECK(judge(look(without, {known}), known.position) == LogVerdict::replaced);
  Replies gone = without;
  gone["EXISTS"] = number_reply(0);
  CHECK(judge(look(gone, {known}), known.position) == LogVerdict::gone);
}

TEST_CASE("what Redis can't say for now is no sign that anything is missing") {
  for (const char* refusal : {"LOADING Redis is loading the dataset in memory", "MASTERDOWN Link with MASTER is down",
                              "BUSY Redis is busy", "NOPERM this user has no permissions"}) {
    for (const char* command : {"XRANGE", "EXISTS", "XINFO"}) {
      CAPTURE(refusal);
      CAPTURE(command);
      Replies replies = whole();
      replies[command] = error_reply(refusal);
      CHECK(judge(look(replies, {known}), known.position) == LogVerdict::unknown);
    }
  }
  Replies cut = whole();
  cut["XRANGE"] = RedisReply{};
  CHECK(judge(look(cut, {known}), known.position) == LogVerdict::unknown);
}

TEST_CASE("something else in its place is no log") {
  const char* wrong = "WRONGTYPE Operation against a key holding the wrong kind of value";
  const LogLook other =
      look({{"XRANGE", error_reply(wrong)}, {"EXISTS", number_reply(1)}, {"XINFO", error_reply(wrong)}}, {known});
  CHECK(judge(other, known.position) == LogVerdict::senseless);
}
