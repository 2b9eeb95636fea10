// One listening address: accepts and hands each connection over at once. Used on the control thread alone.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>

#include "config/model.hpp"
#include "net/async.hpp"

namespace pillion {

class Listener {
 public:
  /// Where the next connection's socket is to live: the executor of the worker that will serve it.
  using Choose = std::function<asio::any_io_executor()>;
  /// Takes a connection. `peer` is the client's IP address as text, empty on a Unix socket.
  using Take = std::function<void(Socket socket, std::string peer)>;

  Listener(asio::any_io_executor executor, config::Listener settings, Choose choose, Take take);
  ~Listener();
  Listener(const Listener&) = delete;

  /// Binds and begins to accept. Throws std::runtime_error with one line naming the address. A Unix socket's file that
  /// nobody listens at is replaced.
  void start();
  /// With the port that the kernel chose.
  const config::Address& address() const noexcept { return settings_.address; }
  /// Refuses new connections from now on.
  void stop();

 private:
  void bind();
  void bind_unix();
  awaitable<void> accept();
  asio::any_io_executor executor_;
  config::Listener settings_;
  Choose choose_;
  Take take_;
  struct Acceptor;
  std::shared_ptr<Acceptor> acceptor_;
};

}  // namespace pillion
