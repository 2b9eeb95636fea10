#include "support/redis_sentinel.hpp"

#include <algorithm>
#include <csignal>
#include <random>

namespace pillion::support {

namespace {

std::string random_id() {
  static constexpr char hex[] = "0123456789abcdef";
  std::random_device random;
  std::string id;
  for (int i = 0; i < 40; ++i) id += hex[random() % 16];
  return id;
}

/// Empty where nobody answers.
RedisReply ask(const Endpoint& server, const std::vector<std::string>& command) {
  try {
    return RedisClient(server).command(command, Deadline(1s));
  } catch (const std::runtime_error&) {
    return {};
  }
}

std::string role(const Endpoint& server) {
  RedisReply reply = ask(server, {"ROLE"});
  return reply.elements.empty() ? "" : reply.elements[0].text;
}

bool follows(const Endpoint& server, const Endpoint& master) {
  RedisReply reply = ask(server, {"ROLE"});
  return reply.elements.size() >= 4 && reply.elements[0].text == "slave" && reply.elements[2].integer == master.port &&
         reply.elements[3].text == "connected";
}

}  // namespace

RedisSentinel::RedisSentinel(SentinelOptions options) : options_(std::move(options)) {
  auto arguments = options_.redis_arguments;
  arguments.insert(arguments.end(), {"--repl-diskless-sync", "no"});
  servers_.push_back(std::make_unique<RedisServer>(RedisOptions{.arguments = arguments}));
  arguments.insert(arguments.end(), {"--replicaof", "127.0.0.1", std::to_string(servers_[0]->port())});
  for (int i = 0; i < options_.replicas; ++i)
    servers_.push_back(std::make_unique<RedisServer>(RedisOptions{.arguments = arguments}));
  for (int attempt = 0; attempt < 5; ++attempt) {
    launch();
    if (eventually([&] { return is_ready(); }, Deadline(10s))) return;
  }
  throw std::runtime_error("the Sentinels did not agree: " + sentinels_[0].process->out());
}

RedisSentinel::~RedisSentinel() {
  for (auto& sentinel : sentinels_) {
    if (sentinel.process) sentinel.process->signal(SIGKILL);
  }
}

/// They know each other from the start: to find out by themselves takes them seconds.
void RedisSentinel::launch() {
  folder_ = std::make_unique<TempDir>(TempDir::In::memory);
  for (auto& sentinel : sentinels_) {
    sentinel.process.reset();
    sentinel.port = free_port();
    sentinel.id = random_id();
  }
  std::string name(master_name);
  for (std::size_t i = 0; i < sentinels_.size(); ++i) {
    const Sentinel& me = sentinels_[i];
    std::string text = "bind 127.0.0.1\nport " + std::to_string(me.port) + "\ndir " + folder_->path().string() +
                       "\nsentinel myid " + me.id + "\nsentinel monitor " + name + " 127.0.0.1 " +
                       std::to_string(servers_[0]->port()) + " 2\nsentinel down-after-milliseconds " + name + " " +
                       std::to_string(options_.down_after.count()) + "\nsentinel failover-timeout " + name + " 2000\n";
    for (const auto& line : options_.sentinel_arguments) text += line + "\n";
    for (std::size_t s = 1; s < servers_.size(); ++s)
      text += "sentinel known-replica " + name + " 127.0.0.1 " + std::to_string(servers_[s]->port()) + "\n";
    for (const Sentinel& other : sentinels_) {
      if (&other == &me) continue;
      text += "sentinel known-sentinel " + name + " 127.0.0.1 " + std::to_string(other.port) + " " + other.id + "\n";
    }
    folder_->write("sentinel" + std::to_string(i) + ".conf", text);
    launch_sentinel(i);
  }
}

void RedisSentinel::launch_sentinel(std::size_t i) {
  ProcessOptions options;
  options.arguments = {"redis-server", *folder_ / ("sentinel" + std::to_string(i) + ".conf"), "--sentinel"};
  sentinels_[i].process = std::make_unique<Process>(std::move(options));
  Endpoint me{"127.0.0.1", sentinels_[i].port, {}};
  // Their usual seconds between looks are made for networks, not for tests. The leader of a failover looks at the
  // promoted replica each second, whatever is set here; for longer than that (four times the period of publishing) the
  // others must not turn it back.
  eventually([&] {
    return ask(me, {"SENTINEL", "DEBUG", "INFO-PERIOD", "200", "PING-PERIOD", "100", "ASK-PERIOD", "100",
                    "PUBLISH-PERIOD", "500"})
               .text == "OK";
  });
}

bool RedisSentinel::is_ready() const {
  for (const auto& sentinel : sentinels()) {
    if (!ask(sentinel, {"SENTINEL", "CKQUORUM", std::string(master_name)}).text.starts_with("OK 3")) return false;
    // A failover looks for replicas among those whose state it has seen.
    RedisReply known = ask(sentinel, {"SENTINEL", "REPLICAS", std::string(master_name)});
    if (known.elements.size() != servers_.size() - 1) return false;
    for (const auto& replica : known.elements) {
      bool linked = false;
      for (std::size_t i = 0; i + 1 < replica.elements.size(); i += 2) {
        linked = linked || (replica.elements[i].text == "master-link-status" && replica.elements[i + 1].text == "ok");
      }
      if (!linked) return false;
    }
  }
  return wait_until_in_step(Deadline(0ms));
}

std::array<Endpoint, 3> RedisSentinel::sentinels() const {
  std::array<Endpoint, 3> out;
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = {"127.0.0.1", sentinels_[i].port, {}};
  return out;
}

std::string RedisSentinel::settings() const {
  std::string nodes;
  for (const auto& sentinel : sentinels()) nodes += (nodes.empty() ? "" : ", ") + sentinel.to_string();
  return "    sentinel: { master: " + std::string(master_name) + ", nodes: [" + nodes + "] }\n";
}

Endpoint RedisSentinel::master() const {
  for (const auto& sentinel : sentinels()) {
    RedisReply reply = ask(sentinel, {"SENTINEL", "GET-MASTER-ADDR-BY-NAME", std::string(master_name)});
    if (reply.elements.size() == 2) return Endpoint::parse(reply.elements[0].text + ":" + reply.elements[1].text);
  }
  throw std::runtime_error("no Sentinel names a master");
}

std::size_t RedisSentinel::index_of(const Endpoint& server) const {
  for (std::size_t i = 0; i < servers_.size(); ++i) {
    if (servers_[i]->port() == server.port) return i;
  }
  throw std::runtime_error("the Sentinels name a server that is none of ours");
}

void RedisSentinel::failover() {
  Endpoint old = master();
  // Given up where a busy machine has let the replica look dead for a moment: it is ordered until it has come about.
  bool done = eventually([&] {
    RedisReply named = ask(sentinels()[0], {"SENTINEL", "GET-MASTER-ADDR-BY-NAME", std::string(master_name)});
    if (named.elements.size() == 2 && named.elements[1].text != std::to_string(old.port)) return true;
    ask(sentinels()[0], {"SENTINEL", "FAILOVER", std::string(master_name)});
    return false;
  });
  if (!done || !wait_for_new_master(old) || !wait_until_in_step())
    throw std::runtime_error("the failover did not come about: " + sentinels_[0].process->out());
}

bool RedisSentinel::wait_for_new_master(const Endpoint& old, Deadline deadline) const {
  return eventually(
      [&] {
        auto all = sentinels();
        return std::all_of(all.begin(), all.end(), [&](const Endpoint& sentinel) {
          RedisReply reply = ask(sentinel, {"SENTINEL", "GET-MASTER-ADDR-BY-NAME", std::string(master_name)});
          if (reply.elements.size() != 2) return true;  // this one has been killed
          auto named = Endpoint::parse(reply.elements[0].text + ":" + reply.elements[1].text);
          return named.port != old.port && role(named) == "master";
        });
      },
      deadline);
}

bool RedisSentinel::wait_until_in_step(Deadline deadline) const {
  return eventually(
      [&] {
        Endpoint now = master();
        int followers = 0;
        for (const auto& server : servers_) {
          if (server->port() == now.port || !server->process().running()) continue;
          if (!follows(server->endpoint(), now)) return false;
          ++followers;
        }
        return role(now) == "master" && servers_.at(index_of(now))->wait_for_replicas(followers, 1s);
      },
      deadline);
}

void RedisSentinel::kill_sentinel(std::size_t i) {
  sentinels_.at(i).process->signal(SIGKILL);
  sentinels_.at(i).process->wait();
}

}  // namespace pillion::support
