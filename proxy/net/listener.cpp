#include "net/listener.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cstring>
#include <stdexcept>

namespace pillion {

namespace {

// How long to wait when the process has no file descriptor left: accepting again at once would only spin.
constexpr std::chrono::milliseconds full_pause{100};
constexpr int backlog = 4096;

[[noreturn]] void fail(const config::Address& address, const error_code& error) {
  throw std::runtime_error("can't listen on " + address.to_string() + ": " + error.message());
}

// The client's IP address as text; empty where it has gone already.
std::string prepare_tcp(Socket& socket) {
  error_code error;
  socket.set_option(asio::ip::tcp::no_delay(true), error);
  const auto generic = socket.remote_endpoint(error);
  asio::ip::tcp::endpoint endpoint;
  if (error || generic.size() > endpoint.capacity()) return {};
  std::memcpy(endpoint.data(), generic.data(), generic.size());
  endpoint.resize(generic.size());
  auto ip = endpoint.address();
  if (ip.is_v6() && ip.to_v6().is_v4_mapped()) ip = asio::ip::make_address_v4(asio::ip::v4_mapped, ip.to_v6());
  return ip.to_string();
}

}  // namespace

struct Listener::Acceptor {
  explicit Acceptor(const asio::any_io_executor& e) : tcp(e), local(e), pause(e) {}
  asio::ip::tcp::acceptor tcp;
  asio::local::stream_protocol::acceptor local;
  asio::steady_timer pause;
  bool stopped = false;
};

Listener::Listener(asio::any_io_executor executor, config::Listener settings, Choose choose, Take take)
    : executor_(std::move(executor)),
      settings_(std::move(settings)),
      choose_(std::move(choose)),
      take_(std::move(take)) {}

Listener::~Listener() { stop(); }

void Listener::start() {
  acceptor_ = std::make_shared<Acceptor>(executor_);
  if (settings_.address.is_unix()) {
    bind_unix();
  } else {
    bind();
  }
  asio::co_spawn(executor_, accept(), asio::detached);
}

void Listener::bind() {
  config::Address& address = settings_.address;
  error_code error;
  auto ip = asio::ip::make_address(address.host, error);
  if (error) {
    asio::ip::tcp::resolver resolver(executor_);
    const auto found =
        resolver.resolve(address.host, std::to_string(address.port), asio::ip::tcp::resolver::passive, error);
    if (error || found.empty()) fail(address, error);
    ip = found.begin()->endpoint().address();
  }
  const asio::ip::tcp::endpoint endpoint(ip, address.port);
  auto& acceptor = acceptor_->tcp;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(backlog, error);
  if (error) fail(address, error);
  address.port = acceptor.local_endpoint(error).port();
}

void Listener::bind_unix() {
  const config::Address& address = settings_.address;
  error_code error;
  if (address.unix_path.size() >= sizeof(sockaddr_un::sun_path)) fail(address, asio::error::name_too_long);
  const asio::local::stream_protocol::endpoint endpoint(address.unix_path);
  struct stat status{};
  if (::lstat(address.unix_path.c_str(), &status) == 0) {
    if (!S_ISSOCK(status.st_mode))
      throw std::runtime_error("can't listen on " + address.to_string() + ": a file that is no socket is there");
    asio::local::stream_protocol::socket probe(executor_);
    probe.connect(endpoint, error);
    if (!error) fail(address, asio::error::address_in_use);
    ::unlink(address.unix_path.c_str());
  }
  auto& acceptor = acceptor_->local;
  error = {};
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error && ::chmod(address.unix_path.c_str(), settings_.mode) != 0)
    error.assign(errno, boost::system::system_category());
  if (!error) acceptor.listen(backlog, error);
  if (error) fail(address, error);
}

awaitable<void> Listener::accept() {
  const auto acceptor = acceptor_;
  while (!acceptor->stopped) {
    Socket socket(choose_());
    std::string peer;
    error_code error;
    if (settings_.address.is_unix()) {
      std::tie(error) = co_await acceptor->local.async_accept(socket, no_throw);
    } else {
      std::tie(error) = co_await acceptor->tcp.async_accept(socket, no_throw);
      if (!error) peer = prepare_tcp(socket);
    }
    if (acceptor->stopped) co_return;
    if (!error) {
      take_(std::move(socket), std::move(peer));
    } else if (error != asio::error::connection_aborted) {
      acceptor->pause.expires_after(full_pause);
      co_await acceptor->pause.async_wait(no_throw);
    }
  }
}

void Listener::stop() {
  if (!acceptor_ || acceptor_->stopped) return;
  acceptor_->stopped = true;
  error_code ignored;
  const bool local = acceptor_->local.is_open();
  acceptor_->tcp.close(ignored);
  acceptor_->local.close(ignored);
  acceptor_->pause.cancel();
  if (local) ::unlink(settings_.address.unix_path.c_str());
}

}  // namespace pillion
