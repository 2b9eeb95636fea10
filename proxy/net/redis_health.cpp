#include "net/redis_health.hpp"

#include <utility>

namespace pillion {

namespace {
using Clock = std::chrono::steady_clock;
}

void RedisHealth::start(boost::asio::any_io_executor executor, std::function<void()> doubted) {
  if (!siblings_) return;
  membership_ = siblings_->join(std::move(executor), [this, doubted = std::move(doubted)] { doubt(doubted); });
}

void RedisHealth::stop() {
  connected_ = false;
  membership_.reset();
  on_up_.clear();
  report_.stop();
}

void RedisHealth::connected() {
  connected_ = true;
  breaker_.succeeded();
  if (siblings_) siblings_->answers();
  report_.connected();
  tell({});
}

void RedisHealth::lost(std::string_view why) {
  connected_ = false;
  breaker_.failed(Clock::now());
  tell(why);
}

bool RedisHealth::failed() {
  if (!breaker_.failed(Clock::now())) return false;
  tell();
  if (siblings_) siblings_->is_silent();
  return true;
}

void RedisHealth::probe_answered() {
  if (!breaker_.succeeded()) return;
  if (siblings_) siblings_->answers();
  tell({});
}

// Down, but nothing is said of it yet: most likely the answer comes at once.
void RedisHealth::doubt(const std::function<void()>& doubted) {
  if (!connected_ || !breaker_.doubt(Clock::now())) return;
  was_up_ = false;
  doubted();
}

void RedisHealth::tell(std::string_view why) {
  const bool up = is_up();
  report_.state(up, why);
  if (std::exchange(was_up_, up) == up || !up) return;
  for (const auto& callback : std::vector(on_up_)) callback();
}

}  // namespace pillion
