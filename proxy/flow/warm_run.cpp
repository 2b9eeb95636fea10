#include "flow/warm_run.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include "flow/gather.hpp"

namespace pillion {

namespace {

using namespace std::chrono_literals;

// Between two tries, doubled each time.
constexpr std::chrono::milliseconds first_pause{50}, longest_pause{1000};
// How long an upstream may have all the requests that it may have before a URL is given up.
constexpr std::chrono::seconds busy_patience{30};
// So many URLs one after the other that found no room: the rest would find none either.
constexpr std::size_t most_without_room = 16;
// After so many URLs Redis is asked again whether it has room.
constexpr std::size_t look_at_redis_every = 64;

// It is about to evict, or does so already.
bool is_full(const RedisFigures& server) {
  return server.memory_limit > 0 && server.policy != "noeviction" &&
         server.memory_bytes >= server.memory_limit - server.memory_limit / 20;
}

}  // namespace

void WarmSlots::set_most(std::size_t most) {
  most_ = most;
  wake();
}

awaitable<bool> WarmSlots::take(const bool& stopped) {
  // Never set anew: that would wake all the others, who would do the same.
  while (!stopped && taken_ >= most_) co_await freed_.async_wait(no_throw);
  if (stopped) co_return false;
  ++taken_;
  co_return true;
}

void WarmSlots::give_back() {
  --taken_;
  wake();
}

WarmRun::WarmRun(asio::any_io_executor executor, Shared& shared, WarmSlots& slots, std::vector<WarmTarget> targets,
                 Clock::time_point retry_until)
    : executor_(executor),
      shared_(shared),
      slots_(slots),
      targets_(std::move(targets)),
      retry_until_(retry_until),
      wake_(executor) {}

void WarmRun::start() {
  const std::size_t lanes = std::min(slots_.most(), targets_.size());
  for (std::size_t i = 0; i < lanes; ++i) {
    asio::co_spawn(
        executor_,
        [](std::shared_ptr<WarmRun> self, std::size_t worker) -> awaitable<void> { co_await self->lane(worker); }(
                                                                  shared_from_this(), i % shared_.workers.size()),
        asio::detached);
  }
}

awaitable<std::optional<WarmedUrl>> WarmRun::next() {
  while (done_.empty() && told_ < targets_.size()) {
    wake_.expires_at(asio::steady_timer::time_point::max());
    co_await wake_.async_wait(no_throw);
  }
  if (done_.empty()) co_return std::nullopt;
  WarmedUrl url = std::move(done_.front());
  done_.pop_front();
  ++told_;
  co_return url;
}

void WarmRun::stop() {
  if (stopped_) return;
  stopped_ = true;
  drop_rest(WarmResult::stopped);
  for (asio::steady_timer* pause : pauses_) pause->cancel();
  slots_.wake();
}

void WarmRun::drop_rest(WarmResult result) {
  while (next_ < targets_.size()) {
    Warmed warmed;
    warmed.result = result;
    finish(std::move(targets_[next_++]), std::move(warmed));
  }
}

void WarmRun::finish(WarmTarget target, Warmed warmed) {
  shared_.counters.warmed[static_cast<std::size_t>(warmed.result)].add();
  done_.push_back({std::move(target), std::move(warmed)});
  wake_.cancel();
}

awaitable<void> WarmRun::lane(std::size_t worker) {
  while (next_ < targets_.size()) {
    if (!co_await slots_.take(stopped_)) break;
    if (next_ == targets_.size()) {
      slots_.give_back();
      break;
    }
    WarmTarget target = std::move(targets_[next_++]);
    if (begun_++ % look_at_redis_every == 0) co_await look_at_redis();
    Warmed warmed = co_await attempt(target, worker);
    const WarmResult result = warmed.result;
    finish(std::move(target), std::move(warmed));
    if (result == WarmResult::no_room) ++without_room_;
    if (result == WarmResult::stored) without_room_ = 0;
    if (without_room_ >= most_without_room) drop_rest(WarmResult::no_room);
  }
}

// Begins with a slot, and gives it back while it waits and at its end.
awaitable<Warmed> WarmRun::attempt(const WarmTarget& target, std::size_t worker) {
  const auto busy_until = Clock::now() + busy_patience;
  for (auto pause = first_pause;; pause = std::min(pause * 2, longest_pause)) {
    WorkerContext& context = *shared_.workers[worker];
    Warmed warmed = co_await asio::co_spawn(context.executor, warm_one(context, target), asio::use_awaitable);
    slots_.give_back();
    const auto until = warmed.busy ? std::max(busy_until, retry_until_) : retry_until_;
    if (!warmed.again || stopped_ || Clock::now() >= until) co_return warmed;
    asio::steady_timer timer(executor_, std::min(Clock::now() + pause, until));
    pauses_.insert(&timer);
    co_await timer.async_wait(no_throw);
    pauses_.erase(&timer);
    if (!co_await slots_.take(stopped_)) co_return warmed;
  }
}

awaitable<void> WarmRun::look_at_redis() {
  const std::vector<RedisFigures> servers = co_await ask_redis(shared_);
  shared_.redis_full.store(std::ranges::any_of(servers, is_full), std::memory_order_relaxed);
}

}  // namespace pillion
