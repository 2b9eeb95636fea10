// Who has applied what, by what the replicas' hash says; and Redis's clock.
#include "flow/replica_table.hpp"

#include <doctest/doctest.h>

#include "flow/log_record.hpp"
#include "flow/redis_clock.hpp"
#include "log_replies.hpp"

using namespace pillion;
using Names = std::vector<std::string>;

TEST_CASE("what a replica writes is what the others read") {
  const auto replicas = parse_replicas(texts_reply({"host-1", replica_value("7-1", 5000)}));
  REQUIRE(replicas.size() == 1);
  CHECK(replicas[0].name == "host-1");
  CHECK(replicas[0].applied == packed_id("7-1"));
  CHECK(replicas[0].said_ms == 5000);
}

TEST_CASE("nonsense in the hash is passed over") {
  const std::string too_long(301, 'n');
  for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{{"", "7-1 5"},
                                                                                    {"a b", "7-1 5"},
                                                                                    {"a\x1b[2J", "7-1 5"},
                                                                                    {too_long, "7-1 5"},
                                                                                    {"a", ""},
                                                                                    {"a", "7-1"},
                                                                                    {"a", "7-1 -5"},
                                                                                    {"a", "7-1 x"},
                                                                                    {"a", "7-1 5 6"}}) {
    CAPTURE(name);
    CAPTURE(value);
    CHECK(parse_replicas(texts_reply({name, value})).empty());
  }
  // Whatever it has applied, it is there.
  CHECK(parse_replicas(texts_reply({"a", "x 5"}))[0].applied == 0);
  CHECK(parse_replicas(RedisReply{}).empty());
  CHECK(parse_replicas(texts_reply({"a"})).empty());
  Names many;
  for (int i = 0; i < 2000; ++i) many.insert(many.end(), {"r" + std::to_string(i), "7-1 5"});
  CHECK(parse_replicas(texts_reply(many)).size() == max_replicas);
}

TEST_CASE("those that count have applied a position or not; who was silent for 5 s doesn't count") {
  const std::vector<Replica> replicas{{"self", packed_id("1-0"), 10000},
                                      {"ahead", packed_id("9-0"), 9000},
                                      {"there", packed_id("7-0"), 5001},
                                      {"behind", packed_id("6-9"), 10000},
                                      {"silent", packed_id("6-9"), 5000}};
  const ReplicasAt at = replicas_at(replicas, packed_id("7-0"), 10000, "self");
  CHECK(at.acknowledged == Names{"ahead", "there"});
  CHECK(at.waiting == Names{"behind"});
  // One that the log has not got: nobody has applied it.
  CHECK(replicas_at(replicas, 0, 10000, "self").waiting == Names{"ahead", "there", "behind"});
}

TEST_CASE("who was silent for a minute is taken out") {
  const std::vector<Replica> replicas{{"old", 0, 39999}, {"young", 0, 40000}};
  CHECK(forgotten_replicas(replicas, 100000) == Names{"old"});
}

TEST_CASE("Redis's clock is known by the middle of a question and its answer") {
  RedisClock clock;
  CHECK_FALSE(clock.at_us(0).has_value());
  CHECK_FALSE(clock.steady_ms(0).has_value());
  clock.learn(texts_reply({"100", "500000"}), 1000, 3000);
  CHECK(clock.at_us(2000) == 100500000);
  CHECK(clock.at_us(1002000) == 101500000);
  CHECK(clock.steady_ms(101500) == 1002);
}

TEST_CASE("an answer that took long, or makes no sense, moves no clock that is known") {
  RedisClock clock;
  clock.learn(texts_reply({"100", "0"}), 0, 500000);  // better than nothing
  REQUIRE(clock.at_us(250000) == 100000000);
  for (const auto& time : std::vector<Names>{{"5"}, {"x", "0"}, {"5", "1000000"}, {"-5", "0"}, {"99999999999999", "0"}})
    clock.learn(texts_reply(time), 0, 0);
  clock.learn(RedisReply{}, 0, 0);
  clock.learn(texts_reply({"200", "0"}), 0, 500000);
  CHECK(clock.at_us(250000) == 100000000);
  clock.learn(texts_reply({"200", "0"}), 0, 0);
  CHECK(clock.at_us(0) == 200000000);
}
