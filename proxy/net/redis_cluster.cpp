// The nodes of a Redis Cluster and whose the slots are. One node is asked every few seconds, and at once when a node
// was lost or said that a slot isn't its own. What a node says that is cut off from most of the others, or behind what
// is known already, counts only where nobody knows better.
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <optional>
#include <span>

#include "net/redis_asker.hpp"
#include "net/redis_discovery.hpp"
#include "net/redis_finder.hpp"

namespace pillion {
namespace {

constexpr std::chrono::milliseconds ask_every{5000};
constexpr std::size_t most_asked = 16;         // nodes in one look
constexpr std::size_t most_values = 1u << 18;  // of CLUSTER SLOTS: each slot a range of its own
constexpr std::size_t most_masters_told = 8;

class ClusterFinder : public RedisFinder, public std::enable_shared_from_this<ClusterFinder> {
 public:
  ClusterFinder(asio::any_io_executor control, RedisTopology& topology, Log& log)
      : control_(control), topology_(topology), log_(log), pause_(control, ask_every) {}

  void start() override { asio::co_spawn(control_, watch(shared_from_this()), asio::detached); }
  void stop() override {
    stopped_ = true;
    pause_.stop();
    if (asking_) asking_->stop();
  }
  void hurry(const config::Address& ask_first) override {
    if (ask_first.is_set()) hint_ = ask_first;
    pause_.hurry();
  }

 private:
  using AskerPtr = std::shared_ptr<RedisAsker>;
  static awaitable<void> watch(std::shared_ptr<ClusterFinder> self);
  static awaitable<void> look(std::shared_ptr<ClusterFinder> self);
  static awaitable<std::optional<RedisClusterMap>> ask(std::shared_ptr<ClusterFinder> self, config::Address address);
  std::vector<config::Address> whom_to_ask();
  void take(RedisClusterMap map);
  void tell(const std::string& problem);

  asio::any_io_executor control_;
  RedisTopology& topology_;
  Log& log_;
  FinderPause pause_;
  AskerPtr asking_;       // the node asked last, with its connection
  config::Address hint_;  // who knows best, as a redirection said; unset: nobody
  std::uint64_t epoch_ = 0;
  std::string problem_, told_;
  bool stopped_ = false;
};

awaitable<void> ClusterFinder::watch(std::shared_ptr<ClusterFinder> self) {
  while (!self->stopped_) {
    co_await look(self);
    co_await self->pause_.wait();
  }
}

std::vector<config::Address> ClusterFinder::whom_to_ask() {
  std::vector<config::Address> all;
  const auto add = [&](const config::Address& address) {
    if (address.is_set() && all.size() < most_asked && std::ranges::find(all, address) == all.end())
      all.push_back(address);
  };
  add(std::exchange(hint_, {"", 0, {}}));
  if (asking_) add(asking_->address());
  const RedisViewPtr view = topology_.view();
  std::ranges::for_each(std::span(view->masters).first(std::min(view->masters.size(), most_asked / 2)), add);
  std::ranges::for_each(topology_.settings().cluster, add);
  return all;
}

awaitable<std::optional<RedisClusterMap>> ClusterFinder::ask(std::shared_ptr<ClusterFinder> self,
                                                             config::Address address) {
  AskerPtr asker = self->asking_;
  if (!asker || asker->address() != address) {
    asker = std::make_shared<RedisAsker>(self->control_, self->topology_.node(address), most_values);
    self->asking_ = asker;
  }
  RedisAsker::Commands commands{{"CLUSTER", "INFO"}, {"CLUSTER", "SLOTS"}};
  const RedisAsker::Answer answer = co_await asker->ask(std::move(commands), finder_patience);
  self->problem_ = answer.problem;
  if (!answer.problem.empty()) co_return std::nullopt;
  auto map = read_cluster_map(answer.replies[0], answer.replies[1], address);
  for (const RedisReply& reply : answer.replies) {
    if (!map && reply.type == RedisReply::Type::error) self->problem_ = reply.text;
  }
  if (!map && self->problem_.empty()) self->problem_ = "an answer that makes no sense";
  if (!map) self->problem_ = address.to_string() + ": " + self->problem_;
  co_return map;
}

awaitable<void> ClusterFinder::look(std::shared_ptr<ClusterFinder> self) {
  std::optional<RedisClusterMap> best;
  for (const config::Address& address : self->whom_to_ask()) {
    auto map = co_await ask(self, address);
    if (self->stopped_) co_return;
    if (!map) continue;
    const bool is_good = map->is_ok && map->epoch >= self->epoch_;
    if (!best || std::pair(map->is_ok, map->epoch) > std::pair(best->is_ok, best->epoch)) best = std::move(map);
    if (is_good) break;
  }
  self->tell(best ? std::string() : self->problem_);
  if (best && (best->is_ok || best->epoch >= self->epoch_)) self->take(std::move(*best));
}

void ClusterFinder::take(RedisClusterMap map) {
  epoch_ = map.epoch;
  if (topology_.view()->masters != map.masters) {
    std::string names;
    for (std::size_t i = 0; i < std::min(map.masters.size(), most_masters_told); ++i) {
      names += (i > 0 ? ", " : "") + map.masters[i].to_string();
    }
    if (map.masters.size() > most_masters_told) names += "...";
    log_.info("redis: the cluster's " + std::to_string(map.masters.size()) + " masters are " + names);
  }
  topology_.publish(std::move(map.masters), std::move(map.slots));
}

void ClusterFinder::tell(const std::string& problem) {
  if (problem == told_) return;
  told_ = problem;
  if (problem.empty()) return log_.info("redis cluster: answers again");
  log_.warn("redis cluster: no node says whose the slots are: " + problem.substr(0, 200));
}

}  // namespace

std::shared_ptr<RedisFinder> make_cluster_finder(asio::any_io_executor control, RedisTopology& topology, Log& log) {
  return std::make_shared<ClusterFinder>(std::move(control), topology, log);
}

}  // namespace pillion
