// One socket to Redis, from connecting to closing: plain, TLS or Unix. For those who keep a connection of their own.
// Worker-local; held by shared_ptr, since writes and time limits under way keep it alive.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "config/model.hpp"
#include "net/async.hpp"
#include "net/redis_codec.hpp"
#include "net/redis_node.hpp"

namespace pillion {

/// The first word of an error reply, such as `NOAUTH`.
std::string_view redis_error_code(std::string_view text) noexcept;
/// Whether Redis says that it can serve nobody like us for now, however often asked.
bool means_not_up(std::string_view error_text) noexcept;
/// Some servers quote the arguments of a command in an error: the password goes.
std::string without_password(std::string text, const config::RedisSettings& settings);

class RedisLink : public std::enable_shared_from_this<RedisLink> {
 public:
  using Time = std::chrono::steady_clock::time_point;

  /// `max_reply` and `max_values` bound one reply (net/redis_codec.hpp).
  RedisLink(asio::any_io_executor executor, RedisNode node, std::size_t max_reply,
            std::size_t max_values = RedisReplyReader::max_values);

  /// Resolves, connects, authenticates, selects the database and asks whether it is a master where it must be one;
  /// `connect_timeout` for the connection and once more for the rest. Returns what went wrong, fit for a log; empty
  /// where it is ready.
  awaitable<std::string> open();
  /// Sends a command with the others of this turn of the loop.
  void send(std::span<const std::string> arguments);
  /// Hands every reply to `on_reply` until the connection ends; returns why it did.
  awaitable<std::string> receive(std::function<void(RedisReply)> on_reply);
  /// Ends open() or receive(), which then return `why`.
  void close(std::string why);

  /// Which copy of the data the server had when it was opened; 0 where it didn't say, or wasn't asked.
  std::uint64_t copy() const noexcept { return copy_; }

  /// Bytes that wait to be written.
  std::size_t unsent() const noexcept { return out_.size() + sending_.size(); }
  /// Whether a part of the next reply has come, and since when.
  bool in_reply() const noexcept { return reader_.in_reply(); }
  Time reply_began() const noexcept { return reply_began_; }
  Time last_read() const noexcept { return last_read_; }

 private:
  awaitable<std::string> connect();
  awaitable<std::string> start_tls();
  awaitable<std::string> handshake();
  awaitable<std::string> read_some();
  void limit(std::chrono::milliseconds time, const char* why);
  std::string reason(const error_code& ec) const;
  void flush();

  RedisNode node_;
  Socket socket_;
  std::shared_ptr<asio::ssl::context> context_;
  std::unique_ptr<asio::ssl::stream<Socket&>> tls_;  // once connected, with TLS
  asio::ip::tcp::resolver resolver_;
  asio::steady_timer limit_;
  RedisReplyReader reader_;
  std::vector<char> in_;
  std::string out_, sending_;
  bool flush_posted_ = false, writing_ = false, closed_ = false;
  std::string why_closed_;
  Time last_read_{}, reply_began_{};
  std::uint64_t copy_ = 0;
};

}  // namespace pillion
