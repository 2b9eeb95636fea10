#include "support/netns.hpp"

#include <unistd.h>

#include <csignal>
#include <sstream>

namespace pillion::support {

namespace {

/// `ip` with these words; false where it fails.
bool ip(const std::string& words) {
  std::vector<std::string> arguments{"ip"};
  std::istringstream in(words);
  for (std::string word; in >> word;) arguments.push_back(word);
  try {
    return run(arguments).exit.code == 0;
  } catch (const std::runtime_error&) {
    return false;
  }
}

void must(const std::string& words) {
  if (!ip(words)) throw std::runtime_error("ip " + words + " failed");
}

}  // namespace

bool RedisBehindCables::is_possible() {
  std::string name = "pn" + std::to_string(::getpid()) + "p";
  if (!ip("netns add " + name)) return false;
  bool linked = ip("link add " + name + "o type veth peer name " + name + "i netns " + name);
  ip("netns del " + name);
  return linked;
}

RedisBehindCables::RedisBehindCables(int cables)
    : name_("pn" + std::to_string(::getpid())), subnet_(static_cast<int>(::getpid() % 250)) {
  must("netns add " + name_);
  for (int i = 0; i < cables; ++i) {
    std::string outer = name_ + "o" + std::to_string(i);
    std::string base = "10.213." + std::to_string(subnet_) + ".";
    must("link add " + outer + " type veth peer name " + inner(i) + " netns " + name_);
    must("addr add " + base + std::to_string(4 * i + 1) + "/30 dev " + outer);
    must("link set " + outer + " up");
    must("-n " + name_ + " addr add " + base + std::to_string(4 * i + 2) + "/30 dev " + inner(i));
    must("-n " + name_ + " link set " + inner(i) + " up");
  }
  ProcessOptions options;
  options.arguments = {"ip",     "netns",   "exec",   name_, "redis-server", "--port", "6379",
                       "--bind", "0.0.0.0", "--save", "",    "--appendonly", "no",     "--protected-mode",
                       "no"};
  redis_ = std::make_unique<Process>(std::move(options));
  redis_->wait_for_out_line("Ready to accept connections");
}

RedisBehindCables::~RedisBehindCables() {
  redis_.reset();
  ip("netns del " + name_);
}

Endpoint RedisBehindCables::endpoint(int i) const {
  return {"10.213." + std::to_string(subnet_) + "." + std::to_string(4 * i + 2), 6379, {}};
}

void RedisBehindCables::pull(int i) { must("-n " + name_ + " link set " + inner(i) + " down"); }
void RedisBehindCables::plug_in(int i) { must("-n " + name_ + " link set " + inner(i) + " up"); }

}  // namespace pillion::support
