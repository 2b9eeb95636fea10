// Whether one connection to Redis counts as up, who is told of it, and when Redis is asked for a sign of life. No
// request asks: only PINGs of the connection's own do. Worker-local.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "net/circuit_breaker.hpp"
#include "net/redis_report.hpp"
#include "net/redis_siblings.hpp"

namespace pillion {

class RedisHealth {
 public:
  using Time = CircuitBreaker::Time;

  /// `siblings` may be null. `report` is not used after stop().
  RedisHealth(std::shared_ptr<RedisSiblings> siblings, RedisReport& report)
      : siblings_(std::move(siblings)), report_(report) {}
  /// `doubted`: called on `executor` each time it has become unknown whether Redis answers, since another connection
  /// found that it doesn't: a probe is due.
  void start(boost::asio::any_io_executor executor, std::function<void()> doubted);
  void stop();

  bool is_up() const noexcept { return connected_ && !breaker_.is_open(); }
  /// Called each time is_up() turns true.
  void on_up(std::function<void()> callback) { on_up_.push_back(std::move(callback)); }

  void connected();
  /// Or never made.
  void lost(std::string_view why);
  /// A command was not answered in time, or with an error that means that Redis isn't up. True where a probe is now to
  /// be waited for.
  bool failed();
  void probe_answered();
  /// A probe's time is over, or its answer is an error.
  void probe_failed() { tell(); }

  /// When a probe is due; Time::max() where none is wanted. take_probe(): whether to send it now.
  Time next_probe() const noexcept { return connected_ ? breaker_.next_probe() : Time::max(); }
  bool take_probe(Time now) noexcept { return connected_ && breaker_.take_probe(now); }

 private:
  void doubt(const std::function<void()>& doubted);
  void tell(std::string_view why = "it fails or doesn't answer in time");

  std::shared_ptr<RedisSiblings> siblings_;
  RedisReport& report_;
  CircuitBreaker breaker_;
  Listeners::Membership membership_;
  std::vector<std::function<void()>> on_up_;
  bool connected_ = false, was_up_ = false;
};

}  // namespace pillion
