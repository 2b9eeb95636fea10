// Which Redis servers are masters now, and which part of the keys is whose. One for the process, shared, locks inside.
// For a single server there is nothing to find out; the masters of Sentinel and Cluster are looked for on the control
// executor, over small connections of their own (net/redis_sentinel.cpp, net/redis_cluster.cpp).
#pragma once

#include <atomic>
#include <boost/asio/any_io_executor.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "config/model.hpp"
#include "net/listeners.hpp"
#include "net/redis_node.hpp"
#include "net/shared_slot.hpp"
#include "telemetry/log.hpp"

namespace pillion {

/// What is known at one time. Immutable.
struct RedisView {
  static constexpr std::uint16_t unserved = 0xffff;

  std::vector<config::Address> masters;  ///< each once; empty while none is known
  std::vector<std::uint16_t> slots;      ///< in a cluster, by slot: an index into masters, or unserved. Else empty
  std::uint64_t generation = 0;          ///< one more at each change

  /// The index of the master that has this key, unserved where there is none.
  std::uint16_t owner_of(std::string_view key) const noexcept;
};
using RedisViewPtr = std::shared_ptr<const RedisView>;

class RedisFinder;

class RedisTopology {
 public:
  /// A master count over it is not believed.
  static constexpr std::size_t max_masters = 1024;

  /// `control` has to outlive this object, and so does `log`. Throws std::runtime_error where a file of settings.tls
  /// can't be used.
  RedisTopology(boost::asio::any_io_executor control, const config::RedisSettings& settings, Log& log);
  ~RedisTopology();
  RedisTopology(const RedisTopology&) = delete;

  /// Both on the control executor; nothing is found out before start() or after stop().
  void start();
  void stop();

  // --- from any thread ---
  const config::RedisSettings& settings() const noexcept { return node_.settings; }
  bool is_cluster() const noexcept { return node_.is_of_cluster(); }
  RedisViewPtr view() const { return view_.load(); }
  /// How to speak to this one of view()->masters, or to one that a redirection named.
  RedisNode node(const config::Address& address) const;
  /// Something suggests that the view is old: a connection was lost, a node says that it isn't the right one. Cheap,
  /// and bounded however often it is called. `ask_first`: the node that may know best; unset where there is none.
  void refresh_soon(const config::Address& ask_first = {"", 0, {}});

  /// The copy of the data (copy_of() in net/redis_discovery.hpp) whose invalidation log is the one that is followed; 0
  /// where that isn't known. What another copy has isn't to be trusted.
  void set_copy(std::uint64_t copy) noexcept { copy_.store(copy, std::memory_order_release); }
  std::uint64_t copy() const noexcept { return copy_.load(std::memory_order_acquire); }

  using Subscription = Listeners::Membership;
  /// `callback` is called on `executor` after each change of the view, until the subscription is dropped there.
  [[nodiscard]] Subscription on_change(boost::asio::any_io_executor executor, std::function<void()> callback) {
    return subscribers_.add(std::move(executor), std::move(callback));
  }

  // --- for finders, on the control executor ---
  /// Takes over what was found; tells those who subscribed, where it is anything new.
  void publish(std::vector<config::Address> masters, std::vector<std::uint16_t> slots);

 private:
  std::shared_ptr<RedisSiblings> siblings_of(const config::Address& address) const;
  struct Renewal;
  boost::asio::any_io_executor control_;
  RedisNode node_;
  SharedSlot<const RedisView> view_;
  std::shared_ptr<RedisFinder> finder_;          // null for a single server
  std::shared_ptr<Renewal> renewal_;             // of certificates; null without TLS
  std::shared_ptr<std::atomic<bool>> hurrying_;  // a hurry() is on its way
  std::atomic<bool> stopped_{false};
  std::atomic<std::uint64_t> copy_{0};
  Listeners subscribers_;
  mutable std::mutex mutex_;
  /// Of every server that was connected to, masters or not; those that nobody is connected to go when there are many.
  mutable std::vector<std::pair<config::Address, std::shared_ptr<RedisSiblings>>> siblings_;  // under mutex_
};

}  // namespace pillion
