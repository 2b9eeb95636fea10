// The relay that tests put between a proxy and Redis: what it stops must have stopped, and what it holds must arrive.
#include "support/relay.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "support/redis_server.hpp"

using namespace pillion::support;

namespace {

std::string ping(RedisClient& client, Deadline deadline = {}) { return client.command({"PING"}, deadline).text; }

bool answers_in_time(RedisClient& client) {
  try {
    return ping(client, Deadline(200ms)) == "PONG";
  } catch (const TimedOut&) {
    return false;
  }
}

}  // namespace

TEST_CASE("the relay passes bytes on, both ways and in order") {
  RedisServer redis;
  Relay relay(redis.endpoint());
  RedisClient client(relay.endpoint());
  std::string large(3u << 20, 'x');
  CHECK(client.command({"SET", "large", large}).text == "OK");
  CHECK(client.command({"GET", "large"}).text == large);
  CHECK(relay.connections() == 1);
  CHECK(relay.open_connections() == 1);
  CHECK(relay.request_bytes() > large.size());
  CHECK(relay.request_bytes() < large.size() + 100);
}

TEST_CASE("a cut relay ends its connections and refuses new ones until it is resumed") {
  RedisServer redis;
  Relay relay(redis.endpoint());
  RedisClient client(relay.endpoint());
  CHECK(ping(client) == "PONG");
  relay.cut();
  CHECK_THROWS_AS(ping(client), ConnectionClosed);
  CHECK_THROWS_AS(RedisClient{relay.endpoint()}, ConnectionClosed);
  relay.resume();
  RedisClient again(relay.endpoint());
  CHECK(ping(again) == "PONG");
}

TEST_CASE("a blackhole loses nothing and tells nothing; resumed, what it held arrives") {
  RedisServer redis;
  Relay relay(redis.endpoint());
  RedisClient client(relay.endpoint());
  CHECK(ping(client) == "PONG");
  relay.blackhole();
  Stream late = Stream::connect(relay.endpoint());
  late.write("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n");
  CHECK_FALSE(answers_in_time(client));
  CHECK(redis.command({"GET", "a"}).is_null());
  relay.resume();
  CHECK(late.read_until("\r\n") == "+OK\r\n");
  CHECK(redis.command({"GET", "a"}).text == "1");
}

TEST_CASE("a healed relay loses what it held, with its connections") {
  RedisServer redis;
  Relay relay(redis.endpoint());
  Stream client = Stream::connect(relay.endpoint());
  client.write("*1\r\n$4\r\nPING\r\n");
  CHECK(client.read_until("\r\n") == "+PONG\r\n");
  relay.blackhole();
  client.write("*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n");
  relay.heal();
  CHECK(client.closes());
  RedisClient again(relay.endpoint());
  CHECK(ping(again) == "PONG");
  CHECK(redis.command({"GET", "a"}).is_null());
}

TEST_CASE("replies are held back while what they answer is done") {
  RedisServer redis;
  Relay relay(redis.endpoint());
  RedisClient client(relay.endpoint());
  CHECK(ping(client) == "PONG");
  relay.hold_replies();
  CHECK_THROWS_AS(client.command({"SET", "a", "1"}, Deadline(200ms)), TimedOut);
  CHECK(redis.command({"GET", "a"}).text == "1");
  relay.resume();
  CHECK(client.read().text == "OK");
}

TEST_CASE("a limit cuts a reply in its middle; a delay keeps the order") {
  RedisServer redis;
  Relay relay(redis.endpoint());
  redis.command({"SET", "a", std::string(1000, 'x')});
  relay.limit_replies(500);
  RedisClient client(relay.endpoint());
  CHECK_THROWS_AS(client.command({"GET", "a"}), ConnectionClosed);
  relay.limit_replies(0);
  relay.delay(20ms);
  Stream slow = Stream::connect(relay.endpoint());
  slow.write("*1\r\n$4\r\nPING\r\n");
  slow.write("*2\r\n$4\r\nPING\r\n$5\r\nagain\r\n");
  CHECK(slow.read_exactly(18) == "+PONG\r\n$5\r\nagain\r\n");
}

TEST_CASE("uneven delays let one connection overtake another") {
  RedisServer redis;
  Relay relay(redis.endpoint());
  std::vector<Stream> streams;
  for (int i = 0; i < 20; ++i) streams.push_back(Stream::connect(relay.endpoint()));
  REQUIRE(relay.wait_for_connections(20));
  relay.delay_unevenly(50ms);
  bool overtaken = false;
  for (int attempt = 0; attempt < 50 && !overtaken; ++attempt) {
    redis.command({"DEL", "list"});
    for (std::size_t i = 0; i < streams.size(); ++i) {
      std::string name = std::string(1, static_cast<char>('a' + i));
      streams[i].write("*3\r\n$5\r\nRPUSH\r\n$4\r\nlist\r\n$1\r\n" + name + "\r\n");
    }
    for (auto& stream : streams) CHECK(stream.read_until("\r\n").starts_with(":"));
    auto order = redis.command({"LRANGE", "list", "0", "-1"}).elements;
    overtaken = !std::is_sorted(order.begin(), order.end(), [](auto& a, auto& b) { return a.text < b.text; });
  }
  CHECK(overtaken);
}

TEST_CASE("a relay aimed elsewhere brings new connections there, and tells when its target dies") {
  RedisServer one;
  RedisServer two;
  two.command({"SET", "who", "two"});
  Relay relay(one.endpoint());
  RedisClient client(relay.endpoint());
  CHECK(client.command({"GET", "who"}).is_null());
  relay.aim_at(two.endpoint());
  RedisClient other(relay.endpoint());
  CHECK(other.command({"GET", "who"}).text == "two");
  CHECK(client.command({"GET", "who"}).is_null());
  two.kill();
  CHECK_THROWS_AS(ping(other), ConnectionClosed);
}
