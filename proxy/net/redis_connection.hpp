// One pipelined connection to Redis: hiredis as the codec, Asio as the transport. Worker-local: all calls and
// completions on the executor it was made with. It reconnects by itself and never holds a caller longer than its
// budget.
#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/model.hpp"
#include "telemetry/counters.hpp"
#include "telemetry/log.hpp"

namespace pillion {

/// A reply, or what kept one from coming.
struct RedisReply {
  enum class Type : std::uint8_t { nil, string, integer, array, error, unavailable };
  Type type = Type::unavailable;  ///< unavailable: no connection, budget used up, breaker open; text says which
  std::string text;               ///< of string, error and unavailable
  std::int64_t integer = 0;
  std::vector<RedisReply> elements;
  bool ok() const noexcept { return type != Type::error && type != Type::unavailable; }
};

class RedisConnection {
 public:
  /// `max_reply` bounds one reply's bytes: beyond it the connection is closed. Starts connecting at once.
  RedisConnection(boost::asio::any_io_executor executor, const config::RedisSettings& settings, std::size_t max_reply,
                  WorkerCounters& counters, Log& log);
  ~RedisConnection();

  /// Sends one command as an array of binary-safe arguments. Commands of concurrent callers share one write. The budget
  /// (settings.timeout unless given) runs to the first byte of the reply; a late reply is dropped in order and the
  /// connection stays; no progress for 2 s with replies outstanding closes it. Never throws on a Redis fault.
  boost::asio::awaitable<RedisReply> command(std::vector<std::string> arguments,
                                             std::optional<config::Milliseconds> budget = {});

  /// Connected, authenticated, database selected, breaker closed.
  bool is_up() const noexcept;
  /// Called on the executor each time the connection has become usable (first connect and every reconnect).
  void on_up(std::function<void()> callback);
  /// Cancels everything; callers get `unavailable`.
  void stop();

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace pillion
