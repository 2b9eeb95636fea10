// The master that sentinels name. Each is asked every second, and at once when somebody has lost the master: what the
// one with the latest failover says counts, so that a sentinel that was cut off brings nobody back to a replaced
// master, and a master that was cut off itself is left. Whether the server takes itself for the master is asked by
// whoever connects to it (net/redis_link.cpp).
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <deque>
#include <optional>

#include "net/redis_asker.hpp"
#include "net/redis_codec.hpp"
#include "net/redis_discovery.hpp"
#include "net/redis_finder.hpp"

namespace pillion {
namespace {

constexpr std::chrono::milliseconds ask_every{1000};

RedisNode sentinel_node(const RedisTopology& topology, const config::Address& address) {
  RedisNode node = topology.node(address);
  node.settings.user = node.settings.sentinel.user;
  node.settings.password = node.settings.sentinel.password;
  node.settings.database = 0;
  node.settings.sentinel = {};
  return node;
}

class SentinelFinder : public RedisFinder, public std::enable_shared_from_this<SentinelFinder> {
 public:
  SentinelFinder(asio::any_io_executor control, RedisTopology& topology, Log& log)
      : control_(control), topology_(topology), log_(log), name_(topology.settings().sentinel.master) {
    for (const config::Address& address : topology.settings().sentinel.nodes) {
      sentinels_.emplace_back(control, sentinel_node(topology, address));
    }
  }

  void start() override {
    for (Sentinel& sentinel : sentinels_) {
      asio::co_spawn(control_, watch(shared_from_this(), sentinel), asio::detached);
    }
  }
  void stop() override {
    stopped_ = true;
    for (Sentinel& sentinel : sentinels_) {
      sentinel.pause.stop();
      sentinel.asker.stop();
    }
  }
  void hurry(const config::Address&) override {
    for (Sentinel& sentinel : sentinels_) sentinel.pause.hurry();
  }

 private:
  struct Sentinel {
    Sentinel(asio::any_io_executor control, RedisNode node)
        : asker(control, std::move(node), RedisReplyReader::max_values), pause(control, ask_every) {}
    RedisAsker asker;
    FinderPause pause;
    std::optional<RedisNamedMaster> answer;  // the last one; none where it didn't answer
    std::string told;                        // the problem that was told last
  };

  static awaitable<void> watch(std::shared_ptr<SentinelFinder> self, Sentinel& sentinel);
  void take(Sentinel& sentinel, const RedisAsker::Answer& answer);
  void choose();

  asio::any_io_executor control_;
  RedisTopology& topology_;
  Log& log_;
  std::string name_;
  std::deque<Sentinel> sentinels_;
  std::uint64_t epoch_ = 0;  // of the master that was chosen
  bool stopped_ = false;
};

awaitable<void> SentinelFinder::watch(std::shared_ptr<SentinelFinder> self, Sentinel& sentinel) {
  while (!self->stopped_) {
    RedisAsker::Commands commands{{"SENTINEL", "GET-MASTER-ADDR-BY-NAME", self->name_},
                                  {"SENTINEL", "MASTER", self->name_}};
    const RedisAsker::Answer answer = co_await sentinel.asker.ask(std::move(commands), finder_patience);
    if (self->stopped_) break;
    self->take(sentinel, answer);
    co_await sentinel.pause.wait();
  }
}

void SentinelFinder::take(Sentinel& sentinel, const RedisAsker::Answer& answer) {
  sentinel.answer.reset();
  std::string problem = answer.problem;
  if (problem.empty()) {
    sentinel.answer = read_named_master(answer.replies[0], answer.replies[1]);
    const bool refused = answer.replies[1].type == RedisReply::Type::error;
    if (!sentinel.answer) problem = refused ? answer.replies[1].text : "an answer that makes no sense";
  }
  if (problem != sentinel.told) {
    const std::string who = "redis sentinel " + sentinel.asker.address().to_string() + ": ";
    if (problem.empty())
      log_.info(who + "answers again");
    else
      log_.warn(who + "doesn't name the master '" + name_ + "': " + problem.substr(0, 200));
    sentinel.told = problem;
  }
  choose();
}

void SentinelFinder::choose() {
  const RedisNamedMaster* best = nullptr;
  std::size_t answers = 0;
  for (const Sentinel& sentinel : sentinels_) {
    if (!sentinel.answer) continue;
    ++answers;
    if (best == nullptr || sentinel.answer->epoch > best->epoch) best = &*sentinel.answer;
  }
  if (best == nullptr) return;
  // An earlier failover than the one we know of: a few sentinels that were cut off, or most of them set up anew.
  if (best->epoch < epoch_ && answers * 2 <= sentinels_.size()) return;
  epoch_ = best->epoch;
  const RedisViewPtr view = topology_.view();
  if (view->masters.empty() || view->masters.front() != best->address) {
    log_.info("redis: the sentinels' master '" + name_ + "' is " + best->address.to_string());
  }
  topology_.publish({best->address}, {});
}

}  // namespace

std::shared_ptr<RedisFinder> make_sentinel_finder(asio::any_io_executor control, RedisTopology& topology, Log& log) {
  return std::make_shared<SentinelFinder>(std::move(control), topology, log);
}

}  // namespace pillion
