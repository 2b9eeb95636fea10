// Evicted or removed: what a server's counts tell of a value that is gone.
#include "flow/removal_history.hpp"

#include <doctest/doctest.h>

#include "flow/suspects.hpp"

using namespace pillion;

namespace {

RemovalCounts counts(std::uint64_t evicted, std::uint64_t removing, std::string run = "r") {
  return {std::move(run), evicted, removing};
}

}  // namespace

TEST_CASE("removal history: INFO is read as far as it concerns this") {
  const auto read = parse_removal_counts(
      "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\n# Stats\r\nevicted_keys:12\r\nevicted_clients:3\r\n"
      "# Commandstats\r\ncmdstat_del:calls=5,usec=1\r\ncmdstat_get:calls=900,usec=1\r\n"
      "cmdstat_client|id:calls=7,usec=1\r\ncmdstat_set:calls=8,usec=2\r\ncmdstat_my.module:calls=2,usec=9\r\n");
  REQUIRE(read);
  CHECK(*read == counts(12, 7, "abc"));
}

TEST_CASE("removal history: INFO without one of its parts, or malformed, says nothing") {
  for (const char* info :
       {"", "run_id:a\r\nevicted_keys:1\r\n", "run_id:a\r\ncmdstat_get:calls=1\r\n",
        "evicted_keys:1\r\ncmdstat_get:calls=1\r\n", "run_id:a\r\nevicted_keys:x\r\ncmdstat_get:calls=1\r\n",
        "run_id:a\r\nevicted_keys:1\r\ncmdstat_del:calls=\r\n", "run_id:a\r\nevicted_keys:1\r\ncmdstat_del:5\r\n",
        "run_id:a\r\nevicted_keys:1\r\ncmdstat_del\r\n",
        "run_id:a\r\nevicted_keys:99999999999999999999\r\ncmdstat_get:calls=1\r\n"}) {
    CAPTURE(info);
    CHECK_FALSE(parse_removal_counts(info));
  }
  CHECK_FALSE(parse_removal_counts(std::string(2u << 20, 'x')));
}

TEST_CASE("removal history: a command removes unless it is known not to") {
  for (const char* command :
       {"del",      "unlink", "flushall",    "flushdb",     "getdel",  "getex",     "expire",      "pexpire",
        "expireat", "rename", "renamenx",    "move",        "migrate", "restore",   "copy",        "swapdb",
        "sort",     "bitop",  "zunionstore", "sinterstore", "debug",   "replicaof", "some.module", ""}) {
    CAPTURE(command);
    CHECK_FALSE(never_removes(command));
  }
  for (const char* command : {"get", "set", "getrange", "info", "xadd", "scan", "keys", "client", "config", "persist",
                              "pexpireat", "eval", "hdel", "replconf", "zunion", "acl"}) {
    CAPTURE(command);
    CHECK(never_removes(command));
  }
}

TEST_CASE("removal history: room was made where keys were evicted and nobody removed any") {
  CHECK(removal_between(counts(1, 1), counts(2, 1)) == Removal::evicted);
  CHECK(removal_between(counts(1, 1), counts(1, 1)) == Removal::removed);
  CHECK(removal_between(counts(1, 1), counts(1, 2)) == Removal::removed);
  CHECK(removal_between(counts(1, 1), counts(2, 2)) == Removal::unclear);
  CHECK(removal_between(counts(1, 1), counts(2, 1, "other")) == Removal::unclear);
  CHECK(removal_between(counts(3, 1), counts(2, 1)) == Removal::unclear);
  CHECK(removal_between(counts(1, 3), counts(2, 1)) == Removal::unclear);
}

TEST_CASE("removal history: what had been counted before a notice is the last count of an earlier position") {
  RemovalHistory history;
  CHECK(history.before(10) == nullptr);
  history.note(5, counts(1, 0));
  history.note(7, counts(1, 0));
  history.note(9, counts(2, 0));
  CHECK(history.before(5) == nullptr);
  CHECK(*history.before(6) == counts(1, 0));
  CHECK(*history.before(9) == counts(1, 0));
  CHECK(*history.before(10) == counts(2, 0));
  for (std::uint64_t i = 0; i < RemovalHistory::max_entries; ++i) history.note(20 + i, counts(10 + i, 0));
  CHECK(history.before(10) == nullptr);
  CHECK(*history.before(21) == counts(10, 0));
}

TEST_CASE("removal history: a fetch is overtaken by what changed under it, not by what was told late") {
  using State = InRedis::State;
  const InRedis unknown, absent{State::absent}, one{State::present, 1}, two{State::present, 2}, foreign{State::present};
  const Noticed never, once{1, 100}, twice{2, 100};
  for (const InRedis& any : {unknown, absent, one, foreign}) CHECK_FALSE(is_overtaken(never, any, unknown));
  for (const InRedis& any : {unknown, absent, one, foreign}) {
    CHECK(is_overtaken(once, unknown, any));
    CHECK(is_overtaken(once, any, unknown));
    CHECK(is_overtaken(once, foreign, any));
  }
  CHECK_FALSE(is_overtaken(once, one, one));
  CHECK_FALSE(is_overtaken(twice, one, one));
  CHECK(is_overtaken(once, one, two));
  CHECK(is_overtaken(once, one, absent));
  CHECK_FALSE(is_overtaken(once, absent, absent));
  CHECK(is_overtaken(twice, absent, absent));
  CHECK(is_overtaken(once, absent, one));
}

TEST_CASE("removal history: what expired while it was fetched anew wasn't removed by anybody") {
  using State = InRedis::State;
  const InRedis absent{State::absent}, expiring{State::present, 1, 100};
  CHECK_FALSE(is_overtaken({1, 100}, expiring, absent));
  CHECK(is_overtaken({1, 99}, expiring, absent));
  CHECK(is_overtaken({2, 100}, expiring, absent));
  CHECK(is_overtaken({1, 100}, expiring, {State::present, 2}));
}
