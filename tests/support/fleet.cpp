#include "support/fleet.hpp"

#include <algorithm>
#include <csignal>
#include <stdexcept>

namespace pillion::support {

Fleet::Fleet(const Endpoint& upstream, const std::string& settings, FleetOptions options)
    : options_(std::move(options)) {
  for (int i = 0; i < options_.replicas; ++i) add(upstream, settings, nullptr);
}

Fleet::Fleet(const Endpoint& upstream, const std::vector<std::string>& settings, FleetOptions options)
    : options_(std::move(options)) {
  for (const auto& mine : settings) add(upstream, mine, nullptr);
}

Fleet::Fleet(const Endpoint& upstream, const RedisServer& redis, FleetOptions options) : options_(std::move(options)) {
  for (int i = 0; i < options_.replicas; ++i) {
    auto relay = std::make_unique<Relay>(redis.endpoint());
    std::string settings = "    url: " + redis.url_of(relay->endpoint()) + "\n";
    add(upstream, settings, std::move(relay));
  }
}

void Fleet::add(const Endpoint& upstream, const std::string& settings, std::unique_ptr<Relay> relay) {
  Replica replica;
  replica.relay = std::move(relay);
  std::string config = config_for(upstream, options_.routes + "store:\n" + options_.store + "  redis:\n" + settings +
                                                options_.redis + std::string(options_.time));
  // The upstream is this program, which a busy machine may leave waiting for longer than an application should.
  const std::string app = "app: " + upstream.url();
  config.replace(config.find(app), app.size(), "app: { url: " + upstream.url() + ", timeouts: { connect: 20s } }");
  replica.proxy = std::make_unique<Pillion>(config);
  replica.name = learn_name(*replica.proxy);
  replicas_.push_back(std::move(replica));
}

std::string Fleet::learn_name(Pillion& proxy) const {
  std::string found;
  // Right after its start Redis may still be strange to it, and the answer 503.
  bool known = eventually([&] {
    Response response = proxy.admin_post("/invalidate", R"({"tags": ["fleet: who are you"]})");
    if (response.status != 200) return false;
    Json receipt = Json::parse(response.body);
    for (const Json& name : receipt["replicas"]["acknowledged"].array) {
      bool other =
          past_names_.contains(name.string) ||
          std::any_of(replicas_.begin(), replicas_.end(), [&](const Replica& r) { return r.name == name.string; });
      if (!other) found = name.string;
    }
    return !found.empty();
  });
  if (!known) throw std::runtime_error("a replica doesn't name itself in its receipts");
  return found;
}

int Fleet::index_of(const std::string& name) const {
  for (std::size_t i = 0; i < replicas_.size(); ++i) {
    if (replicas_[i].name == name) return static_cast<int>(i);
  }
  return -1;
}

Json Fleet::invalidate(int i, const std::string& selectors, const std::string& wait) {
  auto end = selectors.rfind('}');
  return (*this)[i].invalidate(selectors.substr(0, end) + R"(, "wait": ")" + wait + "\"}");
}

std::set<int> Fleet::acknowledged(const Json& receipt) const {
  std::set<int> out;
  for (const Json& name : receipt["replicas"]["acknowledged"].array) {
    int i = index_of(name.string);
    if (i >= 0) out.insert(i);
  }
  return out;
}

bool Fleet::wait_until_in_step(Deadline deadline) {
  for (int i = 0; i < size(); ++i) {
    bool all = eventually(
        [&] {
          Response response = (*this)[i].admin_post("/invalidate", R"({"tags": ["fleet: in step"], "wait": "1s"})");
          return response.status == 200 && acknowledged(Json::parse(response.body)).size() == replicas_.size();
        },
        deadline);
    if (!all) return false;
  }
  return true;
}

void Fleet::crash(int i) {
  Process& process = (*this)[i].process();
  process.signal(SIGKILL);
  process.wait();
}

void Fleet::restart(int i) {
  Replica& replica = replicas_.at(static_cast<std::size_t>(i));
  past_names_.insert(replica.name);
  replica.proxy->restart();
  replica.name = learn_name(*replica.proxy);
}

}  // namespace pillion::support
