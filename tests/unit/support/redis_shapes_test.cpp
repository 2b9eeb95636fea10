// Redis in its shapes, as tests start it: a Sentinel's failover, a Cluster's slots and deaths, TLS, users.
#include <doctest/doctest.h>

#include <algorithm>
#include <csignal>

#include "support/redis_cluster.hpp"
#include "support/redis_sentinel.hpp"
#include "support/redis_tls.hpp"

using namespace pillion::support;

TEST_CASE("Sentinels fail over on demand and after a death, and nothing in step is lost") {
  RedisSentinel redis;
  Endpoint first = redis.master();
  redis.master_server().command({"SET", "a", "1"});
  CHECK(redis.wait_until_in_step());
  redis.failover();
  Endpoint second = redis.master();
  CHECK(second.port != first.port);
  CHECK(redis.master_server().command({"GET", "a"}).text == "1");
  redis.master_server().kill();
  CHECK(redis.wait_for_new_master(second));
  CHECK(redis.master_server().command({"GET", "a"}).text == "1");
}

TEST_CASE("a cluster serves its slots, moves them, and outlives the loss of a master") {
  RedisCluster redis;
  CHECK(slot_of("123456789") == 12739);
  CHECK(slot_of("{user}.a") == slot_of("user"));
  CHECK(redis.command({"SET", "a", "1"}).text == "OK");
  int slot = slot_of("a");
  int from = redis.owner(slot);
  int to = (from + 1) % 3;
  RedisReply moved = redis.node(to).command({"GET", "a"});
  CHECK(moved.text.starts_with("MOVED " + std::to_string(slot)));
  redis.begin_move(slot, to);
  CHECK(redis.node(from).command({"GET", "a"}).text.starts_with("ASK "));
  redis.finish_move(slot, to);
  CHECK(redis.owner(slot) == to);
  CHECK(redis.command({"GET", "a"}).text == "1");
  redis.failover(from);
  CHECK(redis.command({"SET", "a", "2"}).text == "OK");
  CHECK(redis.wait_until_in_step());
  redis.kill_and_fail_over(to);
  CHECK(redis.command({"GET", "a"}).text == "2");
  redis.restart(to);
  CHECK(redis.wait_until_well());
  CHECK(redis.keys() == std::vector<std::string>{"a"});
}

TEST_CASE("a Redis behind TLS asks for certificates; one on a Unix socket answers there") {
  TlsFiles files;
  std::uint16_t port = free_port();
  RedisServer redis({.arguments = files.redis_arguments(port, true), .unix_socket = true});
  auto cli = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments{"redis-cli", "-p", std::to_string(port), "--tls", "--cacert", files.ca()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    arguments.emplace_back("PING");
    return run(arguments).out;
  };
  CHECK(cli({"--cert", files.client_certificate(), "--key", files.client_key()}) == "PONG\n");
  CHECK(cli({}) != "PONG\n");
  RedisClient local(Endpoint::parse("unix:" + redis.unix_path()));
  CHECK(local.command({"PING"}).text == "PONG");
}

TEST_CASE("a user of Redis may do what its rules say") {
  RedisUser reader{"reader", "word", {"~a:*", "+get", "-@dangerous"}};
  RedisServer redis({.arguments = reader.arguments()});
  RedisClient client(redis.endpoint());
  CHECK(client.command({"AUTH", "reader", "word"}).text == "OK");
  CHECK(client.command({"GET", "a:1"}).is_null());
  CHECK(client.command({"GET", "b:1"}).text.starts_with("NOPERM"));
  CHECK(client.command({"SET", "a:1", "x"}).text.starts_with("NOPERM"));
  CHECK_FALSE(pillion_user().rules.empty());
}
