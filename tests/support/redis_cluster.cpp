#include "support/redis_cluster.hpp"

#include <algorithm>
#include <map>
#include <random>
#include <set>

namespace pillion::support {

namespace {

std::string random_id() {
  static constexpr char hex[] = "0123456789abcdef";
  std::random_device random;
  std::string id;
  for (int i = 0; i < 40; ++i) id += hex[random() % 16];
  return id;
}

/// CRC-16/XMODEM.
int crc16(std::string_view bytes) {
  unsigned crc = 0;
  for (char c : bytes) {
    crc ^= static_cast<unsigned>(static_cast<unsigned char>(c)) << 8;
    for (int bit = 0; bit < 8; ++bit) crc = (crc & 0x8000u) != 0 ? (crc << 1) ^ 0x1021u : crc << 1;
  }
  return static_cast<int>(crc & 0xffffu);
}

}  // namespace

int slot_of(std::string_view key) {
  auto open = key.find('{');
  if (open != std::string_view::npos) {
    auto close = key.find('}', open + 1);
    if (close != std::string_view::npos && close > open + 1) key = key.substr(open + 1, close - open - 1);
  }
  return crc16(key) % RedisCluster::slots;
}

RedisCluster::RedisCluster(std::vector<std::string> redis_arguments) {
  for (int attempt = 0; attempt < 5; ++attempt) {
    if (launch(redis_arguments)) return;
  }
  throw std::runtime_error("the cluster did not come up");
}

/// Each node begins with a file that names all of them: meeting by themselves takes them seconds.
bool RedisCluster::launch(const std::vector<std::string>& arguments) {
  servers_.clear();
  std::array<std::uint16_t, nodes> ports{}, buses{};
  for (int i = 0; i < nodes; ++i) {
    auto n = static_cast<std::size_t>(i);
    ids_[n] = random_id();
    ports[n] = free_port();
    buses[n] = free_port();
  }
  static constexpr const char* ranges[] = {"0-5460", "5461-10922", "10923-16383"};
  try {
    for (std::size_t me = 0; me < ids_.size(); ++me) {
      std::string text;
      for (std::size_t i = 0; i < ids_.size(); ++i) {
        std::string epoch = std::to_string(i % 3 + 1);
        text += ids_[i] + " 127.0.0.1:" + std::to_string(ports[i]) + "@" + std::to_string(buses[i]) + " " +
                (i == me ? "myself," : "") + (i < 3 ? "master -" : "slave " + ids_[i - 3]) + " 0 0 " + epoch +
                " connected" + (i < 3 ? std::string(" ") + ranges[i] : "") + "\n";
      }
      text += "vars currentEpoch 3 lastVoteEpoch 0\n";
      RedisOptions options;
      options.port = ports[me];
      options.files = {{"nodes.conf", text}};
      options.arguments = {"--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-port",
                           std::to_string(buses[me]), "--cluster-node-timeout", "1000",
                           // A replica stands for election whatever it had received.
                           "--cluster-replica-validity-factor", "0", "--repl-diskless-sync", "no"};
      options.arguments.insert(options.arguments.end(), arguments.begin(), arguments.end());
      servers_.push_back(std::make_unique<RedisServer>(std::move(options)));
    }
  } catch (const std::runtime_error&) {  // a port was taken meanwhile
    return false;
  }
  return wait_until_well() && wait_until_in_step();
}

bool RedisCluster::wait_until_in_step() const {
  for (int i : masters()) {
    int followers = 0;
    for (int other = 0; other < nodes; ++other) {
      RedisReply role = at(other, {"ROLE"});
      if (role.elements.size() >= 3 && role.elements[0].text == "slave" && role.elements[2].integer == endpoint(i).port)
        ++followers;
    }
    if (!servers_[static_cast<std::size_t>(i)]->wait_for_replicas(followers)) return false;
  }
  return true;
}

RedisReply RedisCluster::at(int i, const std::vector<std::string>& command) const {
  try {
    return RedisClient(endpoint(i)).command(command, Deadline(2s));
  } catch (const std::runtime_error&) {
    return {};
  }
}

std::string RedisCluster::settings() const {
  return "    cluster: [" + endpoint(0).to_string() + ", " + endpoint(1).to_string() + ", " + endpoint(2).to_string() +
         "]\n";
}

int RedisCluster::node_of_port(std::int64_t port) const {
  for (int i = 0; i < nodes; ++i) {
    if (endpoint(i).port == port) return i;
  }
  throw std::runtime_error("a node that is none of ours");
}

int RedisCluster::owner(int slot) const {
  for (int i = 0; i < nodes; ++i) {
    if (!servers_[static_cast<std::size_t>(i)]->process().running()) continue;
    for (const auto& range : at(i, {"CLUSTER", "SLOTS"}).elements) {
      if (range.elements.size() < 3 || slot < range.elements[0].integer || slot > range.elements[1].integer) continue;
      return node_of_port(range.elements[2].elements.at(1).integer);
    }
  }
  throw std::runtime_error("nobody serves slot " + std::to_string(slot));
}

std::vector<int> RedisCluster::masters() const {
  std::vector<int> out;
  for (int i = 0; i < nodes; ++i) {
    RedisReply role = at(i, {"ROLE"});
    if (!role.elements.empty() && role.elements[0].text == "master") out.push_back(i);
  }
  return out;
}

RedisReply RedisCluster::command(const std::vector<std::string>& arguments) const {
  return at(owner(slot_of(arguments.at(1))), arguments);
}

std::vector<std::string> RedisCluster::keys(const std::string& pattern) const {
  std::vector<std::string> out;
  for (int i : masters()) {
    for (auto& key : at(i, {"KEYS", pattern}).elements) out.push_back(std::move(key.text));
  }
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

void RedisCluster::begin_move(int slot, int to) {
  int from = owner(slot);
  if (from == to) return;
  std::string number = std::to_string(slot);
  at(to, {"CLUSTER", "SETSLOT", number, "IMPORTING", ids_.at(static_cast<std::size_t>(from))});
  at(from, {"CLUSTER", "SETSLOT", number, "MIGRATING", ids_.at(static_cast<std::size_t>(to))});
  for (;;) {
    RedisReply keys = at(from, {"CLUSTER", "GETKEYSINSLOT", number, "100"});
    if (keys.elements.empty()) return;
    std::vector<std::string> migrate{"MIGRATE", "127.0.0.1", std::to_string(endpoint(to).port), "", "0", "2000",
                                     "REPLACE", "KEYS"};
    for (const auto& key : keys.elements) migrate.push_back(key.text);
    RedisReply moved = at(from, migrate);
    if (moved.text != "OK" && moved.text != "NOKEY") throw std::runtime_error("MIGRATE: " + moved.to_string());
  }
}

void RedisCluster::finish_move(int slot, int to) {
  const std::string& id = ids_.at(static_cast<std::size_t>(to));
  // The one that takes it first, so that nobody is told of a node that doesn't know yet.
  at(to, {"CLUSTER", "SETSLOT", std::to_string(slot), "NODE", id});
  for (int i : masters()) at(i, {"CLUSTER", "SETSLOT", std::to_string(slot), "NODE", id});
}

int RedisCluster::replica_of(int master) const {
  for (int i = 0; i < nodes; ++i) {
    RedisReply role = at(i, {"ROLE"});
    if (role.elements.size() >= 4 && role.elements[0].text == "slave" &&
        role.elements[2].integer == endpoint(master).port && role.elements[3].text == "connected")
      return i;
  }
  throw std::runtime_error("no replica follows node " + std::to_string(master));
}

/// The port that serves each slot, as node `i` sees it.
std::vector<std::int64_t> RedisCluster::ports_of_slots(int i) const {
  std::vector<std::int64_t> ports(slots);
  for (const auto& range : at(i, {"CLUSTER", "SLOTS"}).elements) {
    if (range.elements.size() < 3) continue;
    for (auto slot = range.elements[0].integer; slot <= range.elements[1].integer && slot < slots; ++slot)
      ports[static_cast<std::size_t>(slot)] = range.elements[2].elements.at(1).integer;
  }
  return ports;
}

/// A replica that hasn't heard of the last moves would take over other slots than its master had. And where the news
/// of a move crosses older news, each of two masters can take the other for the owner for good, so that nobody takes
/// over from one that dies: it is told again.
void RedisCluster::wait_until_agreed() {
  const Deadline soon(5s);
  std::size_t told = 0;
  const auto agreed = [&] {
    const std::vector<int> serving = masters();
    std::map<int, std::set<int>> disputed;  // and who may be meant
    std::vector<std::vector<std::int64_t>> maps;
    for (int i = 0; i < nodes; ++i) {
      if (servers_[static_cast<std::size_t>(i)]->process().running()) maps.push_back(ports_of_slots(i));
    }
    for (int slot = 0; slot < slots; ++slot) {
      std::set<std::int64_t> ports;
      for (const auto& map : maps) ports.insert(map[static_cast<std::size_t>(slot)]);
      std::set<int> owners;
      for (int i : serving) {
        if (ports.contains(endpoint(i).port)) owners.insert(i);
      }
      if (ports.size() != 1 || owners.size() != 1) disputed[slot] = std::move(owners);
    }
    if (!disputed.empty() && soon.passed()) {
      // A node that still holds keys of it doesn't let it go: then another is tried.
      ++told;
      for (const auto& [slot, owners] : disputed) {
        const std::vector<int> choice = owners.empty() ? serving : std::vector<int>(owners.begin(), owners.end());
        finish_move(slot, choice[told % choice.size()]);
      }
    }
    return disputed.empty();
  };
  if (!eventually(agreed, Deadline(60s))) throw std::runtime_error("the nodes don't agree on who serves what");
}

void RedisCluster::failover(int master) {
  wait_until_agreed();
  int replica = replica_of(master);
  const auto done = [&] {
    auto now = masters();
    return std::find(now.begin(), now.end(), replica) != now.end() &&
           std::find(now.begin(), now.end(), master) == now.end();
  };
  // Redis gives one up after five seconds, as may happen where the machine is busy.
  for (int attempt = 0; attempt < 4; ++attempt) {
    at(replica, {"CLUSTER", "FAILOVER"});
    if (eventually(done, Deadline(6s))) return;
  }
  throw std::runtime_error("the replica did not take over: " + node(replica).process().out());
}

void RedisCluster::kill_and_fail_over(int master) {
  wait_until_agreed();
  int replica = replica_of(master);
  kill(master);
  const auto elected = [&](Deadline deadline) {
    return eventually(
        [&] {
          auto now = masters();
          return std::find(now.begin(), now.end(), replica) != now.end();
        },
        deadline);
  };
  // An election comes to nothing where the machine is so busy that those who vote look dead to each other: then it is
  // ordered, again and again, of those who have to agree all the same.
  bool done = elected(Deadline(20s));
  for (int attempt = 0; !done && attempt < 8; ++attempt) {
    at(replica, {"CLUSTER", "FAILOVER", "FORCE"});
    done = elected(Deadline(6s));
  }
  if (done) wait_until_agreed();
  if (!done || !wait_until_well(Deadline(60s)))
    throw std::runtime_error("the replica was not elected: " + node(replica).process().out());
}

void RedisCluster::restart(int i) {
  node(i).start();
  eventually([&] { return at(i, {"CLUSTER", "INFO"}).text.find("cluster_state:ok") != std::string::npos; });
}

bool RedisCluster::wait_until_well(Deadline deadline) const {
  return eventually(
      [&] {
        for (int i = 0; i < nodes; ++i) {
          if (!servers_[static_cast<std::size_t>(i)]->process().running()) continue;
          if (at(i, {"CLUSTER", "INFO"}).text.find("cluster_state:ok") == std::string::npos) return false;
        }
        return true;
      },
      deadline);
}

}  // namespace pillion::support
