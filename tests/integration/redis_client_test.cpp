// RedisClient and RedisTopology before real servers of every shape, and before scripted ones for what real ones don't
// do.
#include "net/redis_client.hpp"

#include <doctest/doctest.h>

#include "integration/redis_worker.hpp"
#include "net/redis_discovery.hpp"
#include "net/redis_slots.hpp"
#include "support/redis_cluster.hpp"
#include "support/redis_sentinel.hpp"
#include "support/redis_tls.hpp"

using namespace redis_tests;
using support::RedisCluster;
using support::RedisSentinel;
using support::TlsFiles;

namespace {

config::Address address_of(const Endpoint& at) { return {at.host, at.port, {}}; }

config::RedisSettings cluster_settings(const RedisCluster& cluster) {
  config::RedisSettings settings;
  settings.enabled = true;
  for (int i = 0; i < 3; ++i) settings.cluster.push_back(address_of(cluster.endpoint(i)));
  return settings;
}

config::RedisSettings sentinel_settings(const RedisSentinel& redis) {
  config::RedisSettings settings;
  settings.enabled = true;
  settings.sentinel.master = RedisSentinel::master_name;
  for (const Endpoint& sentinel : redis.sentinels()) settings.sentinel.nodes.push_back(address_of(sentinel));
  return settings;
}

/// A key of which this node is master.
std::string key_of(const RedisCluster& cluster, int node, int from = 0) {
  for (int i = from;; ++i) {
    std::string key = "k" + std::to_string(i);
    if (cluster.owner(support::slot_of(key)) == node) return key;
  }
}

std::string bulk(const std::string& text) { return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n"; }

/// What a node answers that takes `master` for the master of all slots.
std::string cluster_answer(const std::vector<std::string>& command, const Endpoint& master, int epoch = 1,
                           bool well = true) {
  if (command.at(1) == "INFO") {
    return bulk("cluster_state:" + std::string(well ? "ok" : "fail") +
                "\r\ncluster_current_epoch:" + std::to_string(epoch) + "\r\n");
  }
  return "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n" + bulk(master.host) + ":" + std::to_string(master.port) + "\r\n";
}

/// What a sentinel answers that takes `master` for the master.
std::string sentinel_answer(const std::vector<std::string>& command, const Endpoint& master, int epoch) {
  if (command.at(1) == "MASTER") return "*2\r\n" + bulk("config-epoch") + bulk(std::to_string(epoch));
  return "*2\r\n" + bulk(master.host) + bulk(std::to_string(master.port));
}

}  // namespace

TEST_CASE("client: in a cluster each key is found where it is, whichever it is") {
  RedisCluster cluster;
  ClientWorker worker(cluster_settings(cluster));
  REQUIRE(worker.up());
  CHECK(worker.ups == 1);
  for (int i = 0; i < 60; ++i) {
    const std::string key = "key:" + std::to_string(i);
    CAPTURE(key);
    CHECK(worker.connection->is_up(key));
    CHECK(worker.ask({"SET", key, std::to_string(i)}, 1000ms).text == "OK");
    CHECK(worker.ask({"GET", key}, 1000ms).text == std::to_string(i));
    CHECK(cluster.command({"GET", key}).text == std::to_string(i));
  }
  CHECK(worker.topology.view()->masters.size() == 3);
  CHECK(worker.ask({"PING"}).text == "PONG");
  CHECK(worker.counters.redis_errors.get() == 0);
  // Each master alone, for those who look at all keys.
  std::int64_t keys = 0;
  for (const auto& master : worker.topology.view()->masters) {
    keys += worker.result(worker.connection->command_at(master, {"DBSIZE"}, 1000ms)).integer;
  }
  CHECK(keys == 60);
}

TEST_CASE("client: a slot that is moved is followed, and while it moves its keys are found at either end") {
  RedisCluster cluster;
  ClientWorker worker(cluster_settings(cluster));
  REQUIRE(worker.up());
  const std::string key = key_of(cluster, 0);
  const int slot = support::slot_of(key);
  REQUIRE(worker.ask({"SET", key, "one"}, 1000ms).text == "OK");
  cluster.begin_move(slot, 1);
  // The key is there already and the slot isn't: ASK.
  CHECK(worker.ask({"GET", key}, 1000ms).text == "one");
  CHECK(worker.ask({"SET", key, "two"}, 1000ms).text == "OK");
  cluster.finish_move(slot, 1);
  CHECK(worker.ask({"GET", key}, 1000ms).text == "two");
  CHECK(cluster.command({"GET", key}).text == "two");
  // And the view follows.
  const config::Address owner = address_of(cluster.endpoint(1));
  CHECK(worker.until([&] {
    const auto view = worker.topology.view();
    return view->masters[view->owner_of(key)] == owner;
  }));
  CHECK(worker.counters.redis_errors.get() == 0);
}

TEST_CASE("client: a lost node costs its own slots alone, until its replica has taken over") {
  RedisCluster cluster({"--cluster-require-full-coverage", "no"});
  const std::string lost = key_of(cluster, 0), kept = key_of(cluster, 1);
  ClientWorker worker(cluster_settings(cluster), kept);
  REQUIRE(worker.up());
  REQUIRE(worker.ask({"SET", lost, "v"}, 1000ms).text == "OK");
  REQUIRE(worker.ask({"SET", kept, "v"}, 1000ms).text == "OK");
  REQUIRE(cluster.wait_until_in_step());
  cluster.kill(0);
  REQUIRE(worker.until([&] { return !worker.connection->is_up(lost); }));
  CHECK(worker.connection->is_up(kept));
  CHECK(worker.connection->is_up());
  CHECK(worker.ask({"GET", lost}).type == Type::unavailable);
  CHECK(worker.ask({"GET", kept}, 1000ms).text == "v");
  REQUIRE(worker.until([&] { return worker.ask({"GET", lost}, 1000ms).text == "v"; }));
  CHECK(worker.connection->is_up(lost));
  CHECK(worker.until([&] { return worker.counters.redis_down.get() == 0; }));
}

TEST_CASE("client: where the master of the home key changes, it is told as one that came up") {
  RedisCluster cluster;
  const std::string home = key_of(cluster, 2);
  ClientWorker worker(cluster_settings(cluster), home);
  REQUIRE(worker.up());
  CHECK(worker.ups == 1);
  cluster.failover(2);
  REQUIRE(worker.until([&] { return worker.ups >= 2 && worker.connection->is_up(); }));
  CHECK(worker.ask({"SET", home, "v"}, 1000ms).text == "OK");
  CHECK(cluster.owner(support::slot_of(home)) == 5);
}

TEST_CASE("client: a cluster that gives names, or no hosts at all, is one like others") {
  const struct {
    const char *what, *host;
    std::vector<std::string> arguments;
  } rows[] = {
      {"names",
       "localhost",
       {"--cluster-preferred-endpoint-type", "hostname", "--cluster-announce-hostname", "localhost"}},
      {"names without one", "127.0.0.1", {"--cluster-preferred-endpoint-type", "hostname"}},
      {"no hosts", "127.0.0.1", {"--cluster-preferred-endpoint-type", "unknown-endpoint"}},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    RedisCluster cluster(row.arguments);
    ClientWorker worker(cluster_settings(cluster));
    REQUIRE(worker.up());
    for (const auto& master : worker.topology.view()->masters) CHECK(master.host == row.host);
    const std::string key = key_of(cluster, 0);
    CHECK(worker.ask({"SET", key, "v"}, 1000ms).text == "OK");
    // A redirection has no more than they have.
    cluster.move_slot(support::slot_of(key), 1);
    RedisReply found = worker.ask({"GET", key}, 1000ms);
    if (std::string(row.what) != "names without one") CHECK(found.text == "v");  // there it is `?`
    CHECK(worker.until([&] { return worker.ask({"GET", key}, 1000ms).text == "v"; }));
    CHECK(worker.topology.view()->masters.size() == 3);
  }
}

TEST_CASE("client: a slot that nobody serves is no fault of the node that says so") {
  Endpoint self;
  AnsweringRedis node([&](const std::vector<std::string>& command) {
    if (command[0] == "CLUSTER") return cluster_answer(command, self);
    if (command[1] == "lost") return std::string("-CLUSTERDOWN Hash slot not served\r\n");
    return std::string(command[1] == "down" ? "-CLUSTERDOWN The cluster is down\r\n" : "+v\r\n");
  });
  self = node.endpoint();
  config::RedisSettings settings;
  settings.cluster = {address_of(self)};
  ClientWorker worker(settings);
  REQUIRE(worker.up());
  for (int i = 0; i < 20; ++i) CHECK(worker.ask({"GET", "lost"}, 1000ms).text.starts_with("CLUSTERDOWN"));
  CHECK(worker.ask({"GET", "k"}, 1000ms).text == "v");
  for (int i = 0; i < 5; ++i) CHECK(worker.ask({"GET", "down"}, 1000ms).text.starts_with("CLUSTERDOWN"));
  CHECK(worker.ask({"GET", "k"}).type == Type::unavailable);
  // The breaker half-opens by itself.
  CHECK(worker.until([&] { return worker.ask({"GET", "k"}, 1000ms).text == "v"; }));
}

TEST_CASE("client: a cluster and sentinels behind TLS") {
  TlsFiles files;
  config::RedisSettings settings;
  settings.tls = {true, files.ca(), files.client_certificate(), files.client_key(), true};
  {
    const std::uint16_t port = support::free_port();
    auto arguments = files.redis_arguments(port, true);
    arguments.insert(arguments.end(), {"--cluster-enabled", "yes", "--tls-cluster", "yes", "--cluster-port",
                                       std::to_string(support::free_port())});
    RedisServer node({.arguments = arguments});
    node.command({"CLUSTER", "ADDSLOTSRANGE", "0", "16383"});
    REQUIRE(support::eventually(
        [&] { return node.command({"CLUSTER", "INFO"}).text.find("cluster_state:ok") != std::string::npos; }));
    settings.cluster = {{"127.0.0.1", port, {}}};
    ClientWorker worker(settings);
    REQUIRE(worker.up());
    CHECK(worker.ask({"SET", "k", "v"}, 5000ms).text == "OK");
    CHECK(worker.topology.view()->masters == settings.cluster);
    settings.cluster.clear();
  }
  const std::uint16_t port = support::free_port(), sentinel_port = support::free_port();
  RedisServer master({.arguments = files.redis_arguments(port, true)});
  auto arguments = files.redis_arguments(sentinel_port, true);
  std::string lines = "port 0\ntls-replication yes\nsentinel monitor m 127.0.0.1 " + std::to_string(port) + " 1\n";
  for (std::size_t i = 0; i + 1 < arguments.size(); i += 2)
    lines += arguments[i].substr(2) + " " + arguments[i + 1] + "\n";
  support::TempDir folder;
  support::ProcessOptions options;
  options.arguments = {"redis-server", folder.write("sentinel.conf", lines), "--sentinel"};
  support::Process sentinel(std::move(options));
  settings.sentinel = {"m", {{"127.0.0.1", sentinel_port, {}}}, "", "", ""};
  ClientWorker worker(settings);
  REQUIRE(worker.up());
  CHECK(worker.ask({"SET", "k", "v"}, 5000ms).text == "OK");
  CHECK(master.command({"GET", "k"}).text == "v");
}

TEST_CASE("client: several workers follow one topology that lives on a thread of its own") {
  RedisCluster cluster;
  asio::io_context control{1};
  Log log{config::Log{}};
  RedisTopology topology(control.get_executor(), cluster_settings(cluster), log);
  topology.start();
  std::atomic<bool> stop{false};
  std::atomic<int> good{0};
  std::vector<std::jthread> threads;
  for (int w = 0; w < 3; ++w) {
    threads.emplace_back([&, w] {
      Loop loop;
      RedisClient client(loop.io.get_executor(), topology, 1u << 20, loop.counters, log, "home");
      for (int i = 0; !stop; ++i) {
        const std::string key = "k" + std::to_string(w) + ":" + std::to_string(i % 100);
        if (loop.result(client.command({"SET", key, "v"}, 500ms)).ok()) ++good;
      }
      client.stop();
      loop.io.run_for(10ms);
    });
  }
  threads.emplace_back([&] {
    while (!stop) control.run_for(10ms);
    topology.stop();
    control.run_for(10ms);
  });
  const auto more = [&] {
    const int before = good;
    return support::eventually([&] { return good > before + 100; });
  };
  try {
    CHECK(more());
    for (int i = 0; i < 10; ++i) cluster.move_slot(support::slot_of("k0:" + std::to_string(i)), i % 3);
    CHECK(more());
    cluster.failover(0);
    CHECK(more());
  } catch (const std::exception& error) {
    FAIL_CHECK(std::string(error.what()));
  }
  stop = true;
}

TEST_CASE("client: redirections without end are followed three times, within one budget") {
  // Two nodes that name each other.
  std::atomic<int> commands{0};
  Endpoint first, second;
  AnsweringRedis b([&](const std::vector<std::string>& command) {
    if (command[0] == "CLUSTER") return cluster_answer(command, first);
    ++commands;
    return "-MOVED 1 " + first.to_string() + "\r\n";
  });
  second = b.endpoint();
  AnsweringRedis a([&](const std::vector<std::string>& command) {
    if (command[0] == "CLUSTER") return cluster_answer(command, first);
    ++commands;
    return "-MOVED 1 " + second.to_string() + "\r\n";
  });
  first = a.endpoint();
  config::RedisSettings settings;
  settings.cluster = {address_of(first)};
  ClientWorker worker(settings);
  REQUIRE(worker.up());
  const RedisReply reply = worker.ask({"GET", "k"}, 5000ms);
  CHECK(reply.type == Type::error);
  CHECK(reply.text.substr(0, 5) == "MOVED");
  CHECK(commands == 4);
  CHECK(worker.connection->is_up());
}

TEST_CASE("client: asked to try again it does so, three times at most and never past its budget") {
  std::atomic<int> commands{0}, until{2};
  Endpoint self;
  AnsweringRedis node([&](const std::vector<std::string>& command) {
    if (command[0] == "CLUSTER") return cluster_answer(command, self);
    return std::string(++commands > until ? "+v\r\n" : "-TRYAGAIN later\r\n");
  });
  self = node.endpoint();
  config::RedisSettings settings;
  settings.cluster = {address_of(self)};
  ClientWorker worker(settings);
  REQUIRE(worker.up());
  CHECK(worker.ask({"GET", "k"}, 5000ms).text == "v");
  CHECK(commands == 3);
  commands = 0;
  until = 1000;
  CHECK(worker.ask({"GET", "k"}, 5000ms).text.substr(0, 8) == "TRYAGAIN");
  CHECK(commands == 4);
  CHECK(worker.ask({"GET", "k"}, 1ms).type == Type::unavailable);
}

TEST_CASE("client: redirections to anywhere open few connections, and end none that is needed") {
  Endpoint self;
  std::atomic<int> next{1};
  AnsweringRedis node([&](const std::vector<std::string>& command) {
    if (command[0] == "CLUSTER") return cluster_answer(command, self);
    if (command[1] == "good") return std::string("+v\r\n");
    // Nobody listens there.
    return "-MOVED 1 127.0.1." + std::to_string(next++ % 250 + 1) + ":1\r\n";
  });
  self = node.endpoint();
  config::RedisSettings settings;
  settings.cluster = {address_of(self)};
  ClientWorker worker(settings);
  REQUIRE(worker.up());
  for (int i = 0; i < 100; ++i) {
    CHECK(!worker.ask({"GET", "k"}, 1000ms).ok());
    CHECK(worker.ask({"GET", "good"}, 1000ms).text == "v");
  }
  CHECK(worker.counters.redis_down.get() <= 16);
  CHECK(worker.connection->is_up());
}

TEST_CASE("client: a node of a cluster that was cut off from it, or lags behind, is not believed") {
  Endpoint old_master, new_master;
  AnsweringRedis old_node([&](const std::vector<std::string>& command) {
    if (command[0] == "CLUSTER") return cluster_answer(command, old_master, 1, false);
    return std::string("+old\r\n");
  });
  old_master = old_node.endpoint();
  AnsweringRedis new_node([&](const std::vector<std::string>& command) {
    if (command[0] == "CLUSTER") return cluster_answer(command, new_master, 2);
    return std::string("+new\r\n");
  });
  new_master = new_node.endpoint();
  config::RedisSettings settings;
  settings.cluster = {address_of(old_master), address_of(new_master)};
  ClientWorker worker(settings);
  REQUIRE(worker.up());
  CHECK(worker.ask({"GET", "k"}, 1000ms).text == "new");
  for (int looks = old_node.seen("CLUSTER"); old_node.seen("CLUSTER") < looks + 2;) {
    worker.topology.refresh_soon(address_of(old_master));
    REQUIRE(worker.until([&] { return old_node.seen("CLUSTER") > looks; }));
  }
  CHECK(worker.ask({"GET", "k"}, 1000ms).text == "new");
  CHECK(worker.topology.view()->generation == 1);
}

TEST_CASE("client: it begins without a cluster, and without one that makes sense, and finds it when it is there") {
  std::atomic<int> stage{0};
  Endpoint self;
  AnsweringRedis node([&](const std::vector<std::string>& command) {
    if (command[0] != "CLUSTER") return std::string("+v\r\n");
    if (stage == 0) return std::string("-ERR This instance has cluster support disabled\r\n");
    if (stage == 1) return std::string("*1\r\n*1\r\n:0\r\n");
    return cluster_answer(command, self);
  });
  self = node.endpoint();
  config::RedisSettings settings;
  settings.cluster = {{"127.0.0.1", 1, {}}, address_of(self)};
  StderrCapture err;
  ClientWorker worker(settings);
  for (stage = 0; stage < 2; ++stage) {
    const int looks = node.seen("CLUSTER");
    REQUIRE(worker.until([&] {
      worker.topology.refresh_soon();
      return node.seen("CLUSTER") >= looks + 4;
    }));
    CHECK(!worker.connection->is_up());
    CHECK(!worker.connection->is_up("k"));
    CHECK(worker.ask({"GET", "k"}).text == "no node of the cluster is known to serve this key");
    CHECK(worker.counters.redis_down.get() == 1);
  }
  worker.topology.refresh_soon();
  REQUIRE(worker.up());
  CHECK(worker.ask({"GET", "k"}, 1000ms).text == "v");
  CHECK(worker.counters.redis_down.get() == 0);
  CHECK(err.lines_with("cluster support disabled") == 1);
  CHECK(err.lines_with("makes no sense") == 1);
}

TEST_CASE("client: stopping ends what waits, in a cluster too") {
  Endpoint self;
  std::atomic<bool> asked{false};
  AnsweringRedis node([&](const std::vector<std::string>& command) {
    if (command[0] == "CLUSTER") return cluster_answer(command, self);
    asked = true;
    return std::string("$100\r\nnever the rest");
  });
  self = node.endpoint();
  config::RedisSettings settings;
  settings.cluster = {address_of(self)};
  ClientWorker worker(settings);
  REQUIRE(worker.up());
  std::optional<RedisReply> reply;
  worker.send({"GET", "k"}, reply, 5000ms);
  REQUIRE(worker.until([&] { return asked.load(); }));
  worker.connection->stop();
  worker.topology.stop();
  REQUIRE(worker.until([&] { return reply.has_value(); }));
  CHECK(reply->type == Type::unavailable);
  CHECK(worker.ask({"GET", "k"}).type == Type::unavailable);
}

TEST_CASE("client: the master that sentinels name is used, and the one that takes over") {
  RedisSentinel redis({.down_after = 2000ms});
  ClientWorker worker(sentinel_settings(redis));
  REQUIRE(worker.up());
  const Endpoint old = redis.master();
  CHECK(worker.ask({"SET", "k", "one"}, 1000ms).text == "OK");
  CHECK(worker.topology.view()->masters == std::vector{address_of(old)});
  CHECK(worker.connection->is_up("any"));

  redis.failover();
  REQUIRE(worker.until([&] { return worker.topology.view()->masters.front() == address_of(redis.master()); }));
  REQUIRE(worker.up());
  CHECK(redis.master().port != old.port);
  CHECK(worker.ask({"GET", "k"}, 1000ms).text == "one");
  CHECK(worker.ask({"SET", "k", "two"}, 1000ms).text == "OK");
  CHECK(worker.ups == 2);
  CHECK(worker.counters.redis_down.get() == 0);
}

TEST_CASE("client: a master that died is left for the one that is elected, and not gone back to when it returns") {
  RedisSentinel redis({.down_after = 1000ms});
  ClientWorker worker(sentinel_settings(redis));
  REQUIRE(worker.up());
  CHECK(worker.ask({"SET", "k", "one"}, 1000ms).text == "OK");
  REQUIRE(redis.wait_until_in_step());
  const Endpoint old = redis.master();
  redis.master_server().kill();
  REQUIRE(redis.wait_for_new_master(old, Deadline(60s)));
  REQUIRE(worker.until([&] { return worker.ask({"SET", "k", "two"}, 1000ms).text == "OK"; }));
  CHECK(worker.topology.view()->masters.front() != address_of(old));
  // It comes back as the master that it was, until the sentinels see it.
  redis.server(0).start();
  for (int i = 0; i < 100; ++i) CHECK(worker.ask({"SET", "k", std::to_string(i)}, 1000ms).text == "OK");
  CHECK(redis.master_server().command({"GET", "k"}).text == "99");
  CHECK(worker.topology.view()->masters.front() != address_of(old));
}

TEST_CASE("client: a master that the sentinels have replaced is left, though it answers as it did") {
  RedisServer old, fresh;
  std::atomic<int> epoch{1};
  const auto sentinel = [&](const std::vector<std::string>& command) {
    const int at = epoch;
    return sentinel_answer(command, at == 1 ? old.endpoint() : fresh.endpoint(), at);
  };
  AnsweringRedis s0(sentinel), s1(sentinel);
  // Cut off from the other two: it never hears of the failover.
  AnsweringRedis cut_off(
      [&](const std::vector<std::string>& command) { return sentinel_answer(command, old.endpoint(), 1); });
  config::RedisSettings settings;
  settings.sentinel = {"m", {address_of(cut_off.endpoint()), address_of(s0.endpoint()), address_of(s1.endpoint())}};
  ClientWorker worker(settings);
  REQUIRE(worker.up());
  CHECK(worker.ask({"SET", "k", "one"}, 1000ms).text == "OK");
  epoch = 2;
  REQUIRE(worker.until([&] { return worker.topology.view()->masters.front() == address_of(fresh.endpoint()); }));
  REQUIRE(worker.until([&] { return worker.ask({"SET", "k", "two"}, 1000ms).text == "OK"; }));
  CHECK(old.command({"GET", "k"}).text == "one");
  CHECK(fresh.command({"GET", "k"}).text == "two");
  // Nothing leads back there.
  const int asked = cut_off.seen("SENTINEL");
  worker.topology.refresh_soon();
  REQUIRE(worker.until([&] { return cut_off.seen("SENTINEL") >= asked + 4; }));
  CHECK(worker.topology.view()->generation == 2);
}

TEST_CASE("client: a server that says it is a replica is not used, whatever the sentinels say") {
  RedisSentinel redis({.down_after = 2000ms});
  const Endpoint replica = redis.server(1).endpoint();
  AnsweringRedis sentinel(
      [&](const std::vector<std::string>& command) { return sentinel_answer(command, replica, 1); });
  config::RedisSettings settings;
  settings.sentinel = {"m", {address_of(sentinel.endpoint())}};
  StderrCapture err;
  ClientWorker worker(settings);
  REQUIRE(worker.until([&] { return worker.counters.redis_errors.get() >= 2; }));
  CHECK(!worker.connection->is_up());
  CHECK(worker.ask({"GET", "k"}).type == Type::unavailable);
  CHECK(err.lines_with("it is a replica, not the master") == 1);
  // Promoted, it is.
  redis.failover();
  CHECK(worker.up());
}

TEST_CASE("client: a master that turns into a replica under a connection is left at its first READONLY") {
  std::atomic<bool> is_master{true};
  AnsweringRedis node([&](const std::vector<std::string>& command) {
    if (command[0] == "ROLE") return is_master ? std::string("*1\r\n") + bulk("master") : "*1\r\n" + bulk("slave");
    return std::string(is_master ? "+OK\r\n" : "-READONLY You can't write against a read only replica.\r\n");
  });
  AnsweringRedis sentinel(
      [&](const std::vector<std::string>& command) { return sentinel_answer(command, node.endpoint(), 1); });
  config::RedisSettings settings;
  settings.sentinel = {"m", {address_of(sentinel.endpoint())}};
  ClientWorker worker(settings);
  REQUIRE(worker.up());
  CHECK(worker.ask({"SET", "k", "v"}, 1000ms).text == "OK");
  is_master = false;
  CHECK(worker.ask({"SET", "k", "v"}, 1000ms).text.substr(0, 8) == "READONLY");
  REQUIRE(worker.until([&] { return !worker.connection->is_up(); }));
  CHECK(worker.ask({"GET", "k"}).type == Type::unavailable);
}

TEST_CASE(
    "client: one server behind a name that says READONLY is looked up anew now and then; by its address it isn't") {
  RedisServer replica({.arguments = {"--replicaof", "127.0.0.1", "1"}});
  auto settings = settings_for(replica.endpoint());
  ClientWorker by_address(settings);
  settings.address.host = "localhost";
  ClientWorker by_name(settings);
  REQUIRE(by_name.up());
  REQUIRE(by_address.up());
  REQUIRE(by_name.until(
      [&] {
        CHECK(by_address.ask({"SET", "k", "v"}, 1000ms).type == Type::error);
        const RedisReply reply = by_name.ask({"SET", "k", "v"}, 1000ms);
        CHECK(!reply.ok());
        return by_name.ups > 1;
      },
      Deadline(30s)));
  CHECK(by_address.ups == 1);
}

TEST_CASE("client: sentinels that are gone, don't know the master or want a login are told of once; the master stays") {
  RedisSentinel redis({.down_after = 2000ms});
  auto settings = sentinel_settings(redis);
  StderrCapture err;
  settings.sentinel.master = "another";
  {
    ClientWorker worker(settings);
    REQUIRE(worker.until([&] { return err.lines_with("doesn't name the master 'another': ERR No such master") == 3; }));
    CHECK(!worker.connection->is_up());
    CHECK(!worker.connection->is_up("k"));
    CHECK(worker.ask({"GET", "k"}).text == "no master is known");
  }
  settings.sentinel.master = RedisSentinel::master_name;
  for (const Endpoint& sentinel : redis.sentinels()) {
    // As the README has it for the sentinels.
    support::RedisClient client(sentinel);
    client.command({"ACL", "SETUSER", "pillion", "on", ">s3cret", "+ping", "+client|setname", "+sentinel|master",
                    "+sentinel|get-master-addr-by-name"});
    client.command({"ACL", "SETUSER", "default", "resetpass", ">another"});
  }
  settings.sentinel.password = "wr0ng";
  {
    ClientWorker worker(settings);
    REQUIRE(worker.until([&] { return err.lines_with("AUTH refused: WRONGPASS") == 3; }));
    CHECK(!worker.connection->is_up());
  }
  settings.sentinel.user = "pillion";
  settings.sentinel.password = "s3cret";
  ClientWorker worker(settings);
  REQUIRE(worker.up());
  for (const Endpoint& sentinel : redis.sentinels()) {
    support::RedisClient client(sentinel);
    client.command({"AUTH", "another"});
    for (const auto& refused : client.command({"ACL", "LOG"}).elements) CHECK(refused.elements.at(3).text == "auth");
  }
  for (std::size_t i = 0; i < 3; ++i) redis.kill_sentinel(i);
  REQUIRE(worker.until([&] { return err.lines_with("Connection refused") >= 3; }));
  CHECK(worker.ask({"SET", "k", "v"}, 1000ms).text == "OK");
  CHECK(err.text().find("s3cret") == std::string::npos);
  CHECK(err.text().find("wr0ng") == std::string::npos);
}

TEST_CASE("client: TLS with an authority of one's own, a client's certificate, and a name that is verified") {
  TlsFiles files;
  std::uint16_t port = support::free_port();
  RedisServer redis({.arguments = files.redis_arguments(port, true)});
  auto settings = settings_for({"127.0.0.1", port, {}});
  settings.tls = {true, files.ca(), files.client_certificate(), files.client_key(), true};
  struct Row {
    const char* what;
    std::function<void(config::RedisSettings&)> change;
    std::string problem;  // empty: it works
  };
  const Row rows[] = {
      {"as it should be", [](auto&) {}, ""},
      {"by name", [](auto& s) { s.address.host = "localhost"; }, ""},
      {"another name", [](auto& s) { s.address.host = "127.0.0.2"; }, "IP address mismatch"},
      {"another name, unverified", [](auto& s) { s.address.host = "127.0.0.2", s.tls.verify = false; }, ""},
      {"another authority", [&](auto& s) { s.tls.ca = files.foreign_ca(); }, "certificate verify failed"},
      {"another authority, unverified", [&](auto& s) { s.tls.ca = files.foreign_ca(), s.tls.verify = false; }, ""},
      {"the system's authorities", [](auto& s) { s.tls.ca.clear(); }, "certificate verify failed"},
      {"no certificate of our own", [](auto& s) { s.tls.certificate.clear(), s.tls.key.clear(); }, "down"},
      {"TLS where there is none", [&](auto& s) { s.address.port = redis.port(); }, "down"},
      {"none where there is TLS", [](auto& s) { s.tls.enabled = false; }, "down"},
  };
  REQUIRE(redis.command({"CONFIG", "SET", "bind", "127.0.0.1 127.0.0.2"}).text == "OK");
  for (const Row& row : rows) {
    CAPTURE(row.what);
    auto changed = settings;
    row.change(changed);
    StderrCapture err;
    ClientWorker worker(changed);
    if (row.problem.empty()) {
      REQUIRE(worker.up());
      const std::string value(300'000, 'v');
      CHECK(worker.ask({"SET", "k", value}, 5000ms).text == "OK");
      CHECK(worker.ask({"GET", "k"}, 5000ms).text == value);
    } else {
      CHECK(worker.until([&] { return err.lines_with(": down") == 1; }));
      const std::string said = err.text();
      CAPTURE(said);
      CHECK(said.find(row.problem) != std::string::npos);
      CHECK(!worker.connection->is_up());
    }
  }
}

TEST_CASE("client: files of TLS that can't be used are told by name, and renewed ones are used without a restart") {
  TlsFiles files;
  const auto problem_of = [](const config::RedisSettings::Tls& tls) -> std::string {
    try {
      RedisTls made(tls);
      return "";
    } catch (const std::runtime_error& error) {
      return error.what();
    }
  };
  CHECK(problem_of({true, files.ca(), files.client_certificate(), files.client_key(), true}) == "");
  CHECK(problem_of({true, "/no/such", "", "", true}).starts_with("store.redis.tls.ca: /no/such: "));
  CHECK(problem_of({true, files.ca(), "/no/such", files.client_key(), true})
            .starts_with("store.redis.tls.certificate: "));
  CHECK(problem_of({true, files.ca(), files.client_certificate(), "/no/such", true})
            .starts_with("store.redis.tls.key: "));
  CHECK(problem_of({true, files.ca(), files.client_certificate(), files.server_key(), true})
            .starts_with("store.redis.tls.key: "));

  support::TempDir folder;
  const auto copy = [&](const std::string& from) { folder.write("ca.pem", support::read_file(from)); };
  copy(files.foreign_ca());
  std::uint16_t port = support::free_port();
  RedisServer redis({.arguments = files.redis_arguments(port, false)});
  auto settings = settings_for({"127.0.0.1", port, {}});
  settings.tls = {true, folder / "ca.pem", "", "", true};
  ClientWorker worker(settings);
  REQUIRE(worker.until([&] { return worker.counters.redis_errors.get() >= 2; }));
  const auto tls = worker.topology.node(settings.address).tls;
  CHECK(tls->refresh() == "");
  CHECK(!worker.connection->is_up());
  folder.write("ca.pem", "nothing");
  CHECK(tls->refresh().starts_with("store.redis.tls.ca: "));
  copy(files.ca());
  CHECK(tls->refresh() == "");
  CHECK(worker.up());
}

TEST_CASE(
    "client: it knows whether its server has the copy of the data that is meant, through changes under its feet") {
  RedisServer redis;
  config::RedisSettings settings;
  settings.enabled = true;
  settings.address = address_of(redis.endpoint());
  ClientWorker worker(settings);
  REQUIRE(worker.up());
  const auto copy = [&] { return copy_of(worker.ask({"INFO", "replication"}, 1000ms)); };
  const std::uint64_t first = copy();
  REQUIRE(first != 0);
  CHECK(worker.ask({"PING"}).copy == first);
  CHECK(worker.connection->is_same_copy());  // nobody says which is meant
  worker.topology.set_copy(first + 1);
  CHECK_FALSE(worker.connection->is_same_copy());
  CHECK_FALSE(worker.connection->is_same_copy(worker.ask({"PING"})));
  worker.topology.set_copy(first);
  CHECK(worker.ask({"PING"}).copy == first);
  CHECK(worker.connection->is_same_copy());

  // Another copy takes the place of its data, and every connection stays.
  redis.command({"REPLICAOF", "127.0.0.1", "1"});
  redis.command({"REPLICAOF", "NO", "ONE"});
  const std::uint64_t second = copy();
  CHECK(second != first);
  worker.topology.set_copy(second);
  CHECK_FALSE(worker.connection->is_same_copy());
  CHECK(worker.until([&] { return worker.connection->is_same_copy(); }));
  CHECK(worker.ask({"PING"}).copy == second);
  CHECK(worker.ups == 1);
}
