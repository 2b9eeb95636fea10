// What tests of the Redis layer share: a worker's loop with a connection or a client on it, and a scripted server.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
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

/// Answers command by command, on as many connections at a time as are made.
class AnsweringRedis {
 public:
  /// Whole replies as they are sent; empty closes the connection. PING, AUTH and the like are answered before it.
  using Answer = std::function<std::string(const std::vector<std::string>&)>;
  explicit AnsweringRedis(Answer answer)
      : answer_(std::move(answer)), listener_(support::bind_loopback(0, 64)), acceptor_([this] { accept(); }) {}
  ~AnsweringRedis() {
    stop_ = true;
    acceptor_.join();
    for (auto& connection : connections_) connection.join();
  }
  Endpoint endpoint() const { return {"127.0.0.1", support::port_of(listener_), {}}; }
  /// So many commands with this first word have come.
  int seen(const std::string& word) const {
    const std::lock_guard lock(mutex_);
    const auto found = seen_.find(word);
    return found == seen_.end() ? 0 : found->second;
  }

 private:
  void accept() {
    while (!stop_) {
      try {
        connections_.emplace_back(
            [this, fd = support::accept_from(listener_, 50ms)]() mutable { serve(std::move(fd)); });
      } catch (const support::TimedOut&) {
      }
    }
  }
  void serve(support::Fd fd) {
    Stream stream(std::move(fd));
    try {
      for (;;) {
        const std::string reply = reply_to(read_command(stream));
        if (reply.empty()) return;
        stream.write(reply);
      }
    } catch (const std::exception&) {  // closed
    }
  }
  std::vector<std::string> read_command(Stream& stream) {
    while (stream.buffer().empty()) {
      if (stop_) throw std::runtime_error("stopped");
      try {
        if (!stream.fill(50ms)) throw support::ConnectionClosed("end");
      } catch (const support::TimedOut&) {
      }
    }
    const auto number = [&] { return std::stoul(stream.read_until("\r\n").substr(1)); };
    std::vector<std::string> arguments(number());
    for (auto& argument : arguments) {
      argument = stream.read_exactly(number());
      stream.read_exactly(2);
    }
    return arguments;
  }
  std::string reply_to(const std::vector<std::string>& command) {
    {
      const std::lock_guard lock(mutex_);
      ++seen_[command.at(0)];
    }
    if (command[0] == "PING") return "+PONG\r\n";
    if (command[0] == "INFO") return "$0\r\n\r\n";
    if (command[0] == "AUTH" || command[0] == "CLIENT" || command[0] == "ASKING") return "+OK\r\n";
    return answer_(command);
  }

  Answer answer_;
  support::Fd listener_;
  std::atomic<bool> stop_{false};
  mutable std::mutex mutex_;
  std::map<std::string, int> seen_;
  std::deque<std::thread> connections_;
  std::thread acceptor_;
};

inline void greet(Stream& s) {
  s.read_until("PING\r\n");
  s.write("+OK\r\n+PONG\r\n");
}

}  // namespace redis_tests
