// Connecting, the handshake, shared writes and the reading loop of one socket to Redis.
#include "net/redis_link.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/error.hpp>
#include <boost/asio/write.hpp>
#include <tuple>
#include <utility>

#include "net/redis_codec.hpp"
#include "net/redis_discovery.hpp"

namespace pillion {
namespace {

constexpr std::size_t read_size = 16u << 10;
constexpr std::size_t kept_capacity = 256u << 10;  // of the write buffers between large commands

std::string refusal(const std::string& command, const RedisReply& reply, const config::RedisSettings& settings) {
  if (command == "ROLE" && reply.type == RedisReply::Type::array) {
    const bool is_master = !reply.elements.empty() && reply.elements[0].text == "master";
    return is_master ? std::string() : "it is a replica, not the master";
  }
  if (reply.type != RedisReply::Type::error) return {};
  if (command == "AUTH") {  // an error of AUTH may quote what was sent: its first word alone
    return "AUTH refused: " + std::string(redis_error_code(reply.text));
  }
  if (command == "SELECT") return "SELECT refused: " + without_password(reply.text, settings);
  if (command == "ROLE") return "ROLE refused: " + without_password(reply.text, settings);
  return means_not_up(reply.text) ? "not ready: " + without_password(reply.text, settings) : std::string();
}

/// PING comes last: it is refused while Redis loads, without its master and without a password, unlike SETNAME.
std::vector<std::vector<std::string>> handshake_commands(const RedisNode& node) {
  const config::RedisSettings& settings = node.settings;
  std::vector<std::vector<std::string>> commands;
  if (!settings.user.empty())
    commands.push_back({"AUTH", settings.user, settings.password});
  else if (!settings.password.empty())
    commands.push_back({"AUTH", settings.password});
  if (settings.database != 0) commands.push_back({"SELECT", std::to_string(settings.database)});
  commands.push_back({"CLIENT", "SETNAME", "pillion"});
  if (node.must_be_master()) commands.push_back({"ROLE"});
  if (node.tells_copy) commands.push_back({"INFO", "replication"});
  commands.push_back({"PING"});
  return commands;
}

}  // namespace

std::string_view redis_error_code(std::string_view text) noexcept { return text.substr(0, text.find(' ')); }

bool means_not_up(std::string_view error_text) noexcept {
  const std::string_view code = redis_error_code(error_text);
  // CLUSTERDOWN may be said of one slot alone, which nobody serves.
  return code == "LOADING" || code == "MASTERDOWN" || code == "NOAUTH" || code == "WRONGPASS" || code == "BUSY" ||
         (code == "CLUSTERDOWN" && error_text.find("slot") == std::string_view::npos);
}

std::string without_password(std::string text, const config::RedisSettings& settings) {
  constexpr std::string_view mask = "***";
  if (settings.password.empty()) return text;
  for (std::size_t at = 0; (at = text.find(settings.password, at)) != std::string::npos; at += mask.size())
    text.replace(at, settings.password.size(), mask);
  return text;
}

RedisLink::RedisLink(asio::any_io_executor executor, RedisNode node, std::size_t max_reply, std::size_t max_values)
    : node_(std::move(node)),
      socket_(executor),
      resolver_(executor),
      limit_(executor),
      reader_(max_reply, max_values),
      in_(read_size) {}

void RedisLink::close(std::string why) {
  if (closed_) return;
  closed_ = true;
  why_closed_ = std::move(why);
  error_code ignored;
  socket_.close(ignored);
  resolver_.cancel();
  limit_.cancel();
}

std::string RedisLink::reason(const error_code& ec) const {
  if (closed_) return why_closed_;
  if (ec == asio::error::eof || ec == asio::ssl::error::stream_truncated) return "closed by the server";
  return (ec.category() == asio::error::get_ssl_category() ? "TLS: " : "") + ec.message();
}

void RedisLink::limit(std::chrono::milliseconds time, const char* why) {
  limit_.expires_after(time);
  limit_.async_wait([weak = weak_from_this(), why](const error_code& ec) {
    if (const auto self = weak.lock(); self && !ec) self->close(why);
  });
}

awaitable<std::string> RedisLink::open() {
  const auto self = shared_from_this();
  const auto time = node_.settings.connect_timeout;
  limit(time, "connecting took too long");
  std::string problem = co_await connect();
  if (problem.empty()) {
    limit(time, "connected, but nothing answers");
    if (node_.tls) problem = co_await start_tls();
  }
  if (problem.empty()) {
    problem = co_await handshake();
  }
  if (closed_) co_return why_closed_;  // the limit may have come with the last reply
  limit_.cancel();
  if (!problem.empty()) close(problem);
  co_return problem;
}

awaitable<std::string> RedisLink::connect() {
  std::vector<Socket::endpoint_type> endpoints;
  const config::Address& address = node_.settings.address;
  error_code ec;
  if (address.is_unix()) {
    if (address.unix_path.size() >= 108) co_return "the path of the Unix socket is too long";
    endpoints.emplace_back(asio::local::stream_protocol::endpoint(address.unix_path));
  } else if (const auto ip = asio::ip::make_address(address.host, ec); !ec) {
    endpoints.emplace_back(asio::ip::tcp::endpoint(ip, address.port));
  } else {
    auto [failed, found] = co_await resolver_.async_resolve(address.host, std::to_string(address.port), no_throw);
    if (failed) co_return reason(failed);
    for (const auto& entry : found) endpoints.emplace_back(entry.endpoint());
  }
  ec = asio::error::host_not_found;
  for (const auto& endpoint : endpoints) {
    if (closed_) break;
    error_code ignored;
    socket_.close(ignored);
    auto [failed] = co_await socket_.async_connect(endpoint, no_throw);
    ec = failed;
    if (!ec) break;
  }
  if (closed_ || ec) co_return reason(ec);
  if (!address.is_unix()) socket_.set_option(asio::ip::tcp::no_delay(true), ec);
  co_return std::string();
}

awaitable<std::string> RedisLink::start_tls() {
  context_ = node_.tls->context();
  tls_ = std::make_unique<asio::ssl::stream<Socket&>>(socket_, *context_);
  SSL* ssl = tls_->native_handle();
  const std::string& host = node_.settings.address.host;
  error_code ec;
  asio::ip::make_address(host, ec);
  const bool is_name = static_cast<bool>(ec);
  if (is_name) SSL_set_tlsext_host_name(ssl, host.c_str());
  if (node_.tls->verify()) {
    X509_VERIFY_PARAM* wanted = SSL_get0_param(ssl);
    const int set = is_name ? X509_VERIFY_PARAM_set1_host(wanted, host.c_str(), host.size())
                            : X509_VERIFY_PARAM_set1_ip_asc(wanted, host.c_str());
    if (set != 1) co_return "TLS: the server's name can't be verified";
  }
  std::tie(ec) = co_await tls_->async_handshake(asio::ssl::stream_base::client, no_throw);
  if (closed_) co_return why_closed_;
  if (!ec) co_return std::string();
  const long verdict = SSL_get_verify_result(ssl);
  co_return reason(ec) + (verdict == X509_V_OK ? "" : std::string(": ") + X509_verify_cert_error_string(verdict));
}

awaitable<std::string> RedisLink::handshake() {
  const auto commands = handshake_commands(node_);
  std::string bytes;
  for (const auto& command : commands) append_redis_command(command, bytes);
  error_code ec;
  std::size_t written = 0;
  if (tls_)
    std::tie(ec, written) = co_await asio::async_write(*tls_, asio::buffer(bytes), no_throw);
  else
    std::tie(ec, written) = co_await asio::async_write(socket_, asio::buffer(bytes), no_throw);
  if (ec) co_return reason(ec);
  for (const auto& command : commands) {
    std::optional<RedisReply> reply;
    while (!(reply = reader_.next())) {
      std::string problem = co_await read_some();
      if (!problem.empty()) co_return problem;
    }
    if (command.front() == "INFO") copy_ = copy_of(*reply);
    std::string refused = refusal(command.front(), *reply, node_.settings);
    if (!refused.empty()) co_return refused;
  }
  co_return std::string();
}

awaitable<std::string> RedisLink::read_some() {
  if (const std::string& problem = reader_.error(); !problem.empty())
    co_return problem.starts_with(too_much_in_reply) ? problem : "not the Redis protocol: " + problem;
  error_code ec;
  std::size_t n = 0;
  if (tls_)
    std::tie(ec, n) = co_await tls_->async_read_some(asio::buffer(in_), no_throw);
  else
    std::tie(ec, n) = co_await socket_.async_read_some(asio::buffer(in_), no_throw);
  if (closed_ || ec) co_return reason(ec);
  last_read_ = std::chrono::steady_clock::now();
  reader_.feed({in_.data(), n});
  co_return std::string();
}

awaitable<std::string> RedisLink::receive(std::function<void(RedisReply)> on_reply) {
  const auto self = shared_from_this();
  for (bool was_in_reply = false;;) {
    bool any = false;
    while (auto reply = reader_.next()) {
      any = true;
      on_reply(std::move(*reply));
      if (closed_) co_return why_closed_;
    }
    if (in_reply() && (any || !was_in_reply)) reply_began_ = last_read_;
    was_in_reply = in_reply();
    std::string problem = co_await read_some();
    if (!problem.empty()) {
      close(problem);
      co_return problem;
    }
  }
}

void RedisLink::send(std::span<const std::string> arguments) {
  append_redis_command(arguments, out_);
  if (flush_posted_ || writing_) return;
  flush_posted_ = true;
  asio::post(socket_.get_executor(), [self = shared_from_this()] {
    self->flush_posted_ = false;
    self->flush();
  });
}

void RedisLink::flush() {
  if (closed_ || writing_ || out_.empty()) return;
  writing_ = true;
  sending_.clear();
  if (sending_.capacity() > kept_capacity) sending_.shrink_to_fit();
  sending_.swap(out_);
  auto written = [self = shared_from_this()](const error_code& ec, std::size_t) {
    self->writing_ = false;
    self->sending_.clear();
    if (ec) return self->close(self->reason(ec));
    self->flush();
  };
  if (tls_)
    asio::async_write(*tls_, asio::buffer(sending_), std::move(written));
  else
    asio::async_write(socket_, asio::buffer(sending_), std::move(written));
}

}  // namespace pillion
