#include "flow/redis_watch.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>

#include "flow/context.hpp"
#include "flow/fleet_lease.hpp"

namespace pillion {

RedisWatch::RedisWatch(asio::any_io_executor control, RedisTopology& topology, LocalOrder& order,
                       WorkerCounters& counters, Log& log)
    : control_(control),
      topology_(topology),
      order_(order),
      counters_(counters),
      log_(log),
      namespace_(topology.settings().key_namespace) {}

RedisWatch::~RedisWatch() { stop(); }

void RedisWatch::watch(std::vector<std::string> prefixes) {
  if (stopped_) return;
  prefixes_ = std::move(prefixes);
  if (!subscription_) subscription_ = topology_.on_change(control_, [this] { follow(); });
  follow();
  for (const Node& node : *nodes_.load()) node.watch->use(prefixes_);
}

void RedisWatch::stop() {
  if (std::exchange(stopped_, true)) return;
  subscription_.reset();
  for (const Node& node : *nodes_.load()) node.watch->stop();
}

// One watch for each master. Who was one before may have lost writes, and another has its keys now: any may have
// changed.
void RedisWatch::follow() {
  if (stopped_) return;
  const auto old = nodes_.load();
  const auto view = topology_.view();
  auto next = std::make_shared<Nodes>();
  const std::vector<config::Address> wanted = prefixes_.empty() ? std::vector<config::Address>{} : view->masters;
  for (const config::Address& address : wanted) {
    const auto known = std::ranges::find(*old, address, &Node::address);
    if (known != old->end()) {
      next->push_back(*known);
      continue;
    }
    ChangeWatch::Told told;
    told.changed = [this](std::string_view key) {
      if (!key.starts_with(namespace_)) return;
      key.remove_prefix(namespace_.size());
      if (!key.starts_with(lease_prefix)) order_.suspect(key, now().mono_ms);
      board_.changed(key);
    };
    told.all = [this] {
      order_.suspect_all();
      board_.all_changed();
    };
    told.deaf = [this] { board_.all_changed(); };
    told.position = [this] { return order_.latest(); };
    next->push_back({address, std::make_shared<ChangeWatch>(control_, topology_.node(address), prefixes_,
                                                            std::move(told), counters_, log_)});
  }
  bool gone = false;
  for (const Node& node : *old) {
    if (std::ranges::find(*next, node.address, &Node::address) != next->end()) continue;
    node.watch->stop();
    gone = true;
  }
  nodes_.store(std::move(next));
  if (!gone) return;
  order_.suspect_all();
  board_.all_changed();
}

std::shared_ptr<ChangeWatch> RedisWatch::watch_of(std::string_view readable_key) const {
  const auto nodes = nodes_.load();
  if (nodes->size() == 1) return nodes->front().watch;
  const auto view = topology_.view();
  const std::uint16_t owner = view->owner_of(namespace_ + std::string(readable_key));
  if (owner >= view->masters.size()) return nullptr;
  const auto found = std::ranges::find(*nodes, view->masters[owner], &Node::address);
  return found == nodes->end() ? nullptr : found->watch;
}

Hearing RedisWatch::hearing(std::string_view readable_key) const {
  const auto watch = watch_of(readable_key);
  return watch ? watch->hearing() : Hearing::deaf;
}

bool RedisWatch::is_up() const {
  const auto nodes = nodes_.load();
  return std::ranges::all_of(*nodes, [](const Node& node) { return node.watch->hearing() == Hearing::up; });
}

awaitable<bool> RedisWatch::was_evicted(std::string_view readable_key, std::uint64_t noticed) const {
  const auto watch = watch_of(readable_key);
  if (!watch) co_return false;
  co_return co_await asio::co_spawn(control_, watch->was_evicted(noticed), asio::use_awaitable);
}

}  // namespace pillion
