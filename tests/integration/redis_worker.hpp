// What tests of the Redis layer share: a worker's loop with a connection or a client on it, and a scripted server.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <functional>
#include <optional>
#include <thread>

#include "net/redis_client.hpp"
#include "net/redis_connection.hpp"
#include "support/redis_server.hpp"

namespace asio = boost::asio;
using namespace pillion;
using namespace std::chrono_literals;
using support::Deadline;
using support::Endpoint;
using support::RedisServer;
using support::Stream;
using Type = RedisReply::Type;

namespace redis_tests {

inline config::RedisSettings settings_for(const Endpoint& at) {
  config::RedisSettings settings;
  settings.enabled = true;
  if (at.unix_path.empty())
    settings.address = {at.host, at.port, {}};
  else
    settings.address = {{}, 0, at.unix_path};
  return settings;
}

/// What goes to standard error while it lives, and to nobody's terminal.
class StderrCapture {
 public:
  StderrCapture() : saved_(::dup(STDERR_FILENO)) {
    REQUIRE(::pipe2(ends_, O_CLOEXEC | O_NONBLOCK) == 0);
    ::dup2(ends_[1], STDERR_FILENO);
  }
  ~StderrCapture() {
    ::dup2(saved_, STDERR_FILENO);
    for (const int fd : {saved_, ends_[0], ends_[1]}) ::close(fd);
  }
  std::string text() {
    char bytes[4096];
    for (ssize_t n; (n = ::read(ends_[0], bytes, sizeof bytes)) > 0;) text_.append(bytes, static_cast<std::size_t>(n));
    return text_;
  }
  std::size_t lines_with(std::string_view word) {
    std::size_t n = 0;
    const std::string all = text();
    for (std::size_t at = 0; (at = all.find(word, at)) != std::string::npos; at += word.size()) ++n;
    return n;
  }

 private:
  int saved_, ends_[2];
  std::string text_;
};

/// A loop that runs while a test waits for something.
struct Loop {
  bool until(const std::function<bool()>& condition, Deadline deadline = {}) {
    while (!condition()) {
      if (deadline.passed()) return false;
      if (io.stopped()) io.restart();  // it had nothing left to do
      io.run_one_for(10ms);
    }
    return true;
  }
  template <typename T>
  T result(asio::awaitable<T> awaited) {
    std::optional<T> value;
    asio::co_spawn(io, std::move(awaited), [&](std::exception_ptr failed, T got) {
      CHECK(!failed);
      value = std::move(got);
    });
    REQUIRE(until([&] { return value.has_value(); }));
    return *value;
  }
  void finish(asio::awaitable<void> awaited) {
    bool done = false;
    asio::co_spawn(io, std::move(awaited), [&](std::exception_ptr failed) {
      CHECK(!failed);
      done = true;
    });
    REQUIRE(until([&] { return done; }));
  }

  asio::io_context io{1};
  WorkerCounters counters;
  Log log{config::Log{}};
};

/// One worker with something that has RedisConnection's interface.
template <typename Connection>
struct WorkerOf : Loop {
  bool up() {
    return until([&] { return connection->is_up(); });
  }
  /// Puts the reply there once it is known.
  void send(std::vector<std::string> arguments, std::optional<RedisReply>& reply,
            std::optional<config::Milliseconds> budget = {}) {
    asio::co_spawn(io, connection->command(std::move(arguments), budget),
                   [&reply](std::exception_ptr failed, RedisReply got) {
                     CHECK(!failed);
                     reply = std::move(got);
                   });
  }
  RedisReply ask(std::vector<std::string> arguments, std::optional<config::Milliseconds> budget = {}) {
    std::optional<RedisReply> reply;
    send(std::move(arguments), reply, budget);
    REQUIRE(until([&] { return reply.has_value(); }));
    return *reply;
  }

  int ups = 0;
  std::optional<Connection> connection;  // goes before the loop
};

struct Worker : WorkerOf<RedisConnection> {
  explicit Worker(const config::RedisSettings& settings, std::size_t max_reply = 1u << 20) {
    connection.emplace(io.get_executor(), settings, max_reply, counters, log);
    connection->on_up([this] { ++ups; });
  }
};

/// One worker with a topology of its own on the same loop.
struct ClientWorker : WorkerOf<RedisClient> {
  explicit ClientWorker(const config::RedisSettings& settings, std::string home_key = "home",
                        std::size_t max_reply = 1u << 20)
      : topology(io.get_executor(), settings, log) {
    topology.start();
    connection.emplace(io.get_executor(), topology, max_reply, counters, log, std::move(home_key));
    connection->on_up([this] { ++ups; });
  }
  ~ClientWorker() { connection.reset(); }
  RedisTopology topology;
};

/// Runs one script a connection, in order of arrival; later connections get the last script.
class FakeRedis {
 public:
  using Script = std::function<void(Stream&)>;
  explicit FakeRedis(std::vector<Script> scripts)
      : listener_(support::bind_loopback(0, 16)), thread_([this, scripts] {
          for (std::size_t i = 0; !stop_; ++i) {
            try {
              Stream stream(support::accept_from(listener_, 50ms));
              scripts[std::min(i, scripts.size() - 1)](stream);
            } catch (const support::TimedOut&) {
              --i;
            } catch (const support::ConnectionClosed&) {
            }
          }
        }) {}
  ~FakeRedis() {
    stop_ = true;
    thread_.join();
  }
  Endpoint endpoint() const { return {"127.0.0.1", support::port_of(listener_), {}}; }

 private:
  support::Fd listener_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

inline void greet(Stream& s) {
  s.read_until("PING\r\n");
  s.write("+OK\r\n+PONG\r\n");
}

}  // namespace redis_tests
