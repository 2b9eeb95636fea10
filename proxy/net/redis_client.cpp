// One connection a master, which of them a command goes to, and redirections.
#include "net/redis_client.hpp"

#include <algorithm>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <utility>

#include "net/async.hpp"
#include "net/redis_link.hpp"
#include "net/redis_slots.hpp"

namespace pillion {
namespace {

using Clock = std::chrono::steady_clock;
using ConnectionPtr = std::shared_ptr<RedisConnection>;

// Nodes that redirections named and the view doesn't.
constexpr std::size_t max_strangers = 16;
constexpr config::Milliseconds try_again_after{20};

RedisReply unavailable(const char* why) {
  RedisReply reply;
  reply.text = why;
  return reply;
}

}  // namespace

struct RedisClient::Impl : std::enable_shared_from_this<Impl> {
  struct Node {
    config::Address address;
    ConnectionPtr connection;  // null until it is needed
  };

  Impl(asio::any_io_executor executor_, RedisTopology& topology_, std::size_t max_reply_, WorkerCounters& counters_,
       Log& log_, std::string home_key_)
      : executor(executor_),
        topology(topology_),
        max_reply(max_reply_),
        counters(counters_),
        log(log_),
        home_key(std::move(home_key_)) {
    counters.uses_redis = true;
    counters.redis_down.add();  // without a home
  }

  void start();
  void follow();
  void take_over(const RedisView& next);
  void move_home();
  ConnectionPtr connect(const config::Address& address);
  ConnectionPtr to_master(std::uint16_t index);
  ConnectionPtr to(const config::Address& address);
  ConnectionPtr redirect(const RedisRedirection& redirection, const config::Address& from);
  config::Address address_of(const RedisConnection& connection) const;
  static awaitable<RedisReply> route(std::shared_ptr<Impl> self, std::vector<std::string> arguments,
                                     config::Milliseconds budget);
  static awaitable<RedisReply> send_at(std::shared_ptr<Impl> self, config::Address master,
                                       std::vector<std::string> arguments, config::Milliseconds budget);
  bool is_same_copy(std::uint64_t copy);
  void stop();

  asio::any_io_executor executor;
  RedisTopology& topology;
  std::size_t max_reply;
  WorkerCounters& counters;
  Log& log;
  std::string home_key;
  RedisViewPtr view;
  std::vector<Node> masters;  // of view, in step
  std::vector<Node> strangers;
  ConnectionPtr home;
  std::vector<std::function<void()>> on_up;
  RedisTopology::Subscription subscription;
  bool stopped = false;
};

// ---- following the topology

void RedisClient::Impl::start() {
  subscription = topology.on_change(executor, [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->follow();
  });
  follow();
}

void RedisClient::Impl::follow() {
  if (stopped) return;
  const RedisViewPtr next = topology.view();
  if (!view || view->masters != next->masters) take_over(*next);
  view = next;
  move_home();
}

void RedisClient::Impl::take_over(const RedisView& next) {
  std::vector<Node> old = std::exchange(masters, {});
  std::ranges::move(std::exchange(strangers, {}), std::back_inserter(old));
  for (const config::Address& address : next.masters) {
    const auto known = std::ranges::find(old, address, &Node::address);
    masters.push_back({address, known == old.end() ? nullptr : std::move(known->connection)});
  }
  // Whoever still waits for one that is no master any more doesn't get its answer.
  for (const Node& node : old) {
    if (node.connection) node.connection->stop();
  }
}

void RedisClient::Impl::move_home() {
  const ConnectionPtr next = to_master(view->owner_of(home_key));
  if (next == home) return;
  if (!next) counters.redis_down.add();
  if (!home) counters.redis_down.sub();
  home = next;
  if (!home || !home->is_up()) return;
  for (const auto& callback : std::vector(on_up)) callback();
}

ConnectionPtr RedisClient::Impl::connect(const config::Address& address) {
  RedisNode node = topology.node(address);
  node.tells_copy = true;
  auto made = std::make_shared<RedisConnection>(executor, std::move(node), max_reply, counters, log);
  made->on_up([weak = weak_from_this(), connection = made.get()] {
    const auto self = weak.lock();
    if (!self || self->home.get() != connection) return;
    for (const auto& callback : std::vector(self->on_up)) callback();
  });
  made->on_trouble([&shared = topology] { shared.refresh_soon(); });
  return made;
}

ConnectionPtr RedisClient::Impl::to_master(std::uint16_t index) {
  if (index >= masters.size()) return nullptr;
  Node& node = masters[index];
  if (!node.connection && !stopped) node.connection = connect(node.address);
  return node.connection;
}

ConnectionPtr RedisClient::Impl::to(const config::Address& address) {
  if (const auto master = std::ranges::find(masters, address, &Node::address); master != masters.end()) {
    return to_master(static_cast<std::uint16_t>(master - masters.begin()));
  }
  if (const auto known = std::ranges::find(strangers, address, &Node::address); known != strangers.end()) {
    return known->connection;
  }
  if (stopped || strangers.size() >= max_strangers) return nullptr;
  strangers.push_back({address, connect(address)});
  return strangers.back().connection;
}

// ---- commands

config::Address RedisClient::Impl::address_of(const RedisConnection& connection) const {
  for (const auto* nodes : {&masters, &strangers}) {
    for (const Node& node : *nodes) {
      if (node.connection.get() == &connection) return node.address;
    }
  }
  return {};
}

ConnectionPtr RedisClient::Impl::redirect(const RedisRedirection& redirection, const config::Address& from) {
  config::Address address = redirection.to;
  if (address.host.empty()) address.host = from.host;
  if (redirection.kind == RedisRedirection::Kind::moved) topology.refresh_soon(address);
  return to(address);
}

awaitable<RedisReply> RedisClient::Impl::route(std::shared_ptr<Impl> self, std::vector<std::string> arguments,
                                               config::Milliseconds budget) {
  const auto deadline = Clock::now() + budget;
  ConnectionPtr node = self->to_master(self->view->owner_of(redis_key_of(arguments).value_or(self->home_key)));
  RedisReply reply = unavailable(self->topology.is_cluster() ? "no node of the cluster is known to serve this key"
                                                             : "no master is known");
  if (!node) self->topology.refresh_soon();
  bool asking = false;
  for (int redirections = 0; node; ++redirections) {
    if (node->is_first_attempt()) co_await node->first_attempt(budget);
    const auto left = std::chrono::ceil<config::Milliseconds>(deadline - Clock::now());
    const bool cancelled = (co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none;
    if (cancelled || left.count() <= 0) co_return unavailable("no reply from Redis within the budget");
    reply = co_await node->command_of(arguments, left, asking);
    if (reply.type != RedisReply::Type::error) break;
    const auto redirection = redis_redirection(reply.text);
    if (!redirection || redirections == max_redirections) {
      const std::string_view code = redis_error_code(reply.text);
      if (code == "MOVED" || code == "ASK" || code == "CLUSTERDOWN") self->topology.refresh_soon();
      break;
    }
    asking = redirection->kind == RedisRedirection::Kind::ask;
    if (redirection->kind == RedisRedirection::Kind::try_again) {
      asio::steady_timer pause(self->executor, try_again_after);
      if (auto [ec] = co_await pause.async_wait(no_throw); ec) co_return unavailable("cancelled");
    } else {
      const config::Address from = self->address_of(*node);
      node = self->redirect(*redirection, from);
    }
  }
  co_return reply;
}

awaitable<RedisReply> RedisClient::Impl::send_at(std::shared_ptr<Impl> self, config::Address master,
                                                 std::vector<std::string> arguments, config::Milliseconds budget) {
  const auto deadline = Clock::now() + budget;
  const ConnectionPtr node = self->to(master);
  if (!node) co_return unavailable("too many nodes");
  if (node->is_first_attempt()) co_await node->first_attempt(budget);
  const auto left = std::chrono::ceil<config::Milliseconds>(deadline - Clock::now());
  const bool cancelled = (co_await asio::this_coro::cancellation_state).cancelled() != asio::cancellation_type::none;
  if (cancelled || left.count() <= 0) co_return unavailable("no reply from Redis within the budget");
  co_return co_await node->command_of(arguments, left);
}

bool RedisClient::Impl::is_same_copy(std::uint64_t copy) {
  const std::uint64_t wanted = topology.copy();
  if (wanted == 0 || copy == 0 || copy == wanted) return true;
  if (home) home->ask_copy();
  return false;
}

void RedisClient::Impl::stop() {
  if (std::exchange(stopped, true)) return;
  if (!home) counters.redis_down.sub();
  subscription.reset();
  on_up.clear();
  for (auto* nodes : {&masters, &strangers}) {
    for (const Node& node : *nodes) {
      if (node.connection) node.connection->stop();
    }
  }
}

// ---- the interface

RedisClient::RedisClient(asio::any_io_executor executor, RedisTopology& topology, std::size_t max_reply,
                         WorkerCounters& counters, Log& log, std::string home_key)
    : impl_(std::make_shared<Impl>(executor, topology, max_reply, counters, log, std::move(home_key))) {
  impl_->start();
}

RedisClient::~RedisClient() { stop(); }

awaitable<RedisReply> RedisClient::command(std::vector<std::string> arguments,
                                           std::optional<config::Milliseconds> budget) {
  const config::Milliseconds time = budget.value_or(impl_->topology.settings().timeout);
  // A single master: nothing to route, and no frame of ours.
  if (!impl_->topology.is_cluster() && impl_->home) return impl_->home->command(std::move(arguments), time);
  return Impl::route(impl_, std::move(arguments), time);
}

awaitable<RedisReply> RedisClient::command_at(const config::Address& master, std::vector<std::string> arguments,
                                              std::optional<config::Milliseconds> budget) {
  return Impl::send_at(impl_, master, std::move(arguments), budget.value_or(impl_->topology.settings().timeout));
}

bool RedisClient::is_up() const noexcept { return impl_->home && impl_->home->is_up(); }

bool RedisClient::is_up(std::string_view key) const noexcept {
  if (!impl_->topology.is_cluster()) return is_up();
  const std::uint16_t owner = impl_->view->owner_of(key);
  if (owner >= impl_->masters.size()) return false;
  const ConnectionPtr& connection = impl_->masters[owner].connection;
  return !connection || connection->is_first_attempt() || connection->is_up();
}

bool RedisClient::is_same_copy(const RedisReply& reply) { return impl_->is_same_copy(reply.copy); }
bool RedisClient::is_same_copy() { return impl_->is_same_copy(impl_->home ? impl_->home->copy() : 0); }
void RedisClient::on_up(std::function<void()> callback) { impl_->on_up.push_back(std::move(callback)); }
void RedisClient::stop() { impl_->stop(); }

}  // namespace pillion
