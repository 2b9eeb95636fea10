#include "net/redis_topology.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <utility>

#include "net/async.hpp"
#include "net/redis_finder.hpp"
#include "net/redis_slots.hpp"

namespace pillion {

std::uint16_t RedisView::owner_of(std::string_view key) const noexcept {
  if (masters.empty()) return unserved;
  return slots.empty() ? std::uint16_t{0} : slots[redis_slot(key)];
}

/// Looks at the files of certificates from time to time.
struct RedisTopology::Renewal : std::enable_shared_from_this<Renewal> {
  static constexpr std::chrono::seconds every{10};
  Renewal(asio::any_io_executor executor, std::shared_ptr<RedisTls> t, Log& l)
      : timer(executor), tls(std::move(t)), log(l) {}
  void wait() {
    timer.expires_after(every);
    timer.async_wait([weak = weak_from_this()](const error_code& ec) {
      const auto self = weak.lock();
      if (ec || !self) return;
      if (const std::string problem = self->tls->refresh(); !problem.empty()) {
        self->log.error(problem + "; the certificates read before stay in use");
      }
      self->wait();
    });
  }
  asio::steady_timer timer;
  std::shared_ptr<RedisTls> tls;
  Log& log;
};

RedisTopology::RedisTopology(asio::any_io_executor control, const config::RedisSettings& settings, Log& log)
    : control_(control), node_(settings), hurrying_(std::make_shared<std::atomic<bool>>(false)) {
  if (node_.tls) renewal_ = std::make_shared<Renewal>(control, node_.tls, log);
  auto view = std::make_shared<RedisView>();
  if (!settings.cluster.empty())
    finder_ = make_cluster_finder(control, *this, log);
  else if (!settings.sentinel.nodes.empty())
    finder_ = make_sentinel_finder(control, *this, log);
  else
    view->masters = {settings.address};
  view_.store(std::move(view));
}

RedisTopology::~RedisTopology() = default;

void RedisTopology::start() {
  if (finder_) finder_->start();
  if (renewal_) renewal_->wait();
}

void RedisTopology::stop() {
  stopped_ = true;
  if (finder_) finder_->stop();
  if (renewal_) renewal_->timer.cancel();
}

RedisNode RedisTopology::node(const config::Address& address) const {
  RedisNode node = node_;
  node.settings.address = address;
  node.siblings = siblings_of(address);
  return node;
}

std::shared_ptr<RedisSiblings> RedisTopology::siblings_of(const config::Address& address) const {
  using Of = std::pair<config::Address, std::shared_ptr<RedisSiblings>>;
  const std::lock_guard lock(mutex_);
  const auto known = std::ranges::find(siblings_, address, &Of::first);
  if (known != siblings_.end()) return known->second;
  if (siblings_.size() >= max_masters)
    std::erase_if(siblings_, [](const Of& of) { return of.second.use_count() == 1; });
  return siblings_.emplace_back(address, std::make_shared<RedisSiblings>()).second;
}

void RedisTopology::refresh_soon(const config::Address& ask_first) {
  if (!finder_ || stopped_ || hurrying_->exchange(true)) return;
  asio::post(control_, [weak = std::weak_ptr(finder_), hurrying = hurrying_, ask_first] {
    *hurrying = false;
    if (const auto finder = weak.lock()) finder->hurry(ask_first);
  });
}

void RedisTopology::publish(std::vector<config::Address> masters, std::vector<std::uint16_t> slots) {
  const RedisViewPtr old = view_.load();
  if (stopped_ || (old->masters == masters && old->slots == slots)) return;
  view_.store(std::make_shared<RedisView>(RedisView{std::move(masters), std::move(slots), old->generation + 1}));
  subscribers_.call_all();
}

}  // namespace pillion
