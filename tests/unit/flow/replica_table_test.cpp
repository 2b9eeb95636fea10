// Who has applied what, by what the replicas' hash says; and Redis's clock.
#include "flow/replica_table.hpp"

#include <doctest/doctest.h>

#include "flow/log_record.hpp"
#include "flow/redis_clock.hpp"
#include "log_replies.hpp"

using namespace pillion;
using Names = std::vector<std::string>;

TEST_CASE("what a replica writes is what the others read") {
  const KnownRecord applied{"7-1", packed_id("7-1"), 18446744073709551615u};
  const auto replicas = parse_replicas(texts_reply({"host-1", replica_value(applied, 5000)}));
  REQUIRE(replicas.size() == 1);
  CHECK(replicas[0].name == "host-1");
  CHECK(replicas[0].applied.id == "7-1");
  CHECK(replicas[0].applied.position == applied.position);
  CHECK(replicas[0].applied.mark == applied.mark);
  CHECK(replicas[0].said_ms == 5000);
  // One that has read nothing yet.
  CHECK(parse_replicas(texts_reply({"host-1", replica_value({}, 5000)}))[0].applied.id.empty());
}

TEST_CASE("nonsense in the hash is passed over") {
  const std::string too_long(301, 'n');
  for (const auto& [name, value] : std::vector<std::pair<std::string, std::string>>{{"", "7-1 5 9"},
                                                                                    {"a b", "7-1 5 9"},
                                                                                    {"a\x1b[2J", "7-1 5 9"},
                                                                                    {too_long, "7-1 5 9"},
                                                                                    {"a", ""},
                                                                                    {"a", "7-1"},
                                                                                    {"a", "7-1 -5 9"},
                                                                                    {"a", "7-1 x 9"},
                                                                                    {"a", "7-1 5"},
                                                                                    {"a", "7-1 5 -9"},
                                                                                    {"a", "7-1 5 6 7"}}) {
    CAPTURE(name);
    CAPTURE(value);
    CHECK(parse_replicas(texts_reply({name, value})).empty());
    CHECK(senseless_fields(texts_reply({name, value, "b", "7-1 5 9"})) == Names{name});
  }
  // Whatever it has applied, it is there.
  CHECK(parse_replicas(texts_reply({"a", "x 5 9"}))[0].applied.position == 0);
  CHECK(parse_replicas(RedisReply{}).empty());
  CHECK(parse_replicas(texts_reply({"a"})).empty());
  Names many;
  for (int i = 0; i < 2000; ++i) many.insert(many.end(), {"r" + std::to_string(i), "7-1 5 9"});
  CHECK(parse_replicas(texts_reply(many)).size() == max_replicas);
}

TEST_CASE("who was silent for 5 s doesn't count, who was for a minute is taken out") {
  const std::vector<Replica> replicas{
      {"self", {}, 100000}, {"there", {}, 100000}, {"quiet", {}, 95001}, {"silent", {}, 95000}, {"gone", {}, 39999}};
  Names living;
  for (const Replica& replica : living_replicas(replicas, 100000, "self")) living.push_back(replica.name);
  CHECK(living == Names{"there", "quiet"});
  CHECK(forgotten_replicas(replicas, 100000) == Names{"gone"});
}

TEST_CASE("who died before Redis's clock was set back doesn't count either") {
  constexpr std::int64_t latest = 9223372036854775807;
  const std::vector<Replica> replicas{
      {"ahead", {}, 104999}, {"dead", {}, 105000}, {"gone", {}, 160001}, {"never", {}, latest}};
  Names living;
  for (const Replica& replica : living_replicas(replicas, 100000, "self")) living.push_back(replica.name);
  CHECK(living == Names{"ahead"});
  CHECK(forgotten_replicas(replicas, 100000) == Names{"gone", "never"});
}

TEST_CASE("Redis's clock is known by the middle of a question and its answer") {
  RedisClock clock;
  CHECK_FALSE(clock.at_us(0).has_value());
  CHECK_FALSE(clock.steady_ms(0).has_value());
  CHECK_FALSE(clock.shared().offset_ms().has_value());
  clock.learn(texts_reply({"100", "500000"}), 1000, 3000);
  CHECK(clock.at_us(2000) == 100500000);
  CHECK(clock.at_us(1002000) == 101500000);
  CHECK(clock.steady_ms(101500) == 1002);
  CHECK(clock.shared().offset_ms() == 100498);
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
