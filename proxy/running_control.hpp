// What the admin server asks, answered by the running proxy. Every call is safe from any thread.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>

#include "flow/gather.hpp"
#include "flow/warmer.hpp"
#include "flow/worker.hpp"
#include "net/shared_slot.hpp"
#include "ops/control.hpp"

namespace pillion {

class RunningControl final : public Control {
 public:
  /// `looker` is the worker on which explain looks things up.
  RunningControl(Shared& shared, Worker& looker, SnapshotPtr snapshot);

  enum class State : std::uint8_t { starting, warming, ready, draining };
  using WhenReloaded = std::function<void(ReloadOutcome)>;
  /// What a reload is asked of, from any thread; it calls back from any thread. To be set before the first request.
  void set_reloader(std::function<void(WhenReloaded)> reloader) { reloader_ = std::move(reloader); }
  /// Begins as `starting`. Once it drains it stays so.
  void set_state(State state);
  void set_warmer(Warmer& warmer) { warmer_ = &warmer; }
  void use(SnapshotPtr snapshot) { snapshot_.store(std::move(snapshot)); }

  std::string_view why_not_ready() const override;
  std::shared_ptr<const config::Config> config() const override { return snapshot_.load()->config; }
  std::shared_ptr<const RouteTable> routes() const override { return snapshot_.load()->routes; }
  awaitable<InvalidationReceipt> invalidate(InvalidationRequest request) override;
  awaitable<StoredLookup> find_stored(const RequestHead& request, std::string_view listener) override;
  awaitable<ReloadOutcome> reload() override;
  std::unique_ptr<WarmStream> warm(std::vector<WarmTarget> targets) override;
  Counters& counters() override { return shared_.counters; }
  awaitable<InsightsFound> insights(InsightsAsked asked) override { return gather(shared_, std::move(asked)); }
  awaitable<std::vector<RedisFigures>> redis_figures() override { return ask_redis(shared_); }
  Bypass& bypass() override { return shared_.bypass; }
  MemoryStore::Figures memory_figures() const override;
  bool watch_up() const override;
  std::uint64_t access_log_dropped() const override { return shared_.log.dropped(); }

 private:
  void count(const InvalidationRequest& request, InvalidationReceipt& receipt) const;
  Shared& shared_;
  Worker& looker_;
  SharedSlot<const Snapshot> snapshot_;
  std::function<void(WhenReloaded)> reloader_;
  std::atomic<State> state_{State::starting};
  Warmer* warmer_ = nullptr;
};

}  // namespace pillion
