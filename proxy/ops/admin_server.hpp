// The server of the admin API and of the metrics address: HTTP/1.1 by Boost.Beast, as coroutines on a thread of its
// own. Bounded: 64 connections besides those that wait for
// an answer, 512 of these, heads of 8 KiB, bodies of 1 MiB, 10 s for each request and each answer. Prints nothing.
#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>

#include "config/model.hpp"
#include "ops/admin_api.hpp"
#include "ops/control.hpp"

namespace pillion {

class AdminServer {
 public:
  /// `context` is run by one thread, the caller's. `control` outlives the context's last run.
  AdminServer(boost::asio::io_context& context, Control& control, AdminFlavour flavour);
  /// Stops; from a thread that does not run the context only once it is stopped.
  ~AdminServer();
  AdminServer(const AdminServer&) = delete;

  /// Binds and begins to serve. Throws std::runtime_error with one line, such as `127.0.0.1:9901: Address already in
  /// use`. A Unix socket that nobody serves any more is replaced; its mode is 0660.
  void start(const config::Address& address);
  /// Where it listens, with the port that the kernel chose.
  config::Address address() const;
  /// Calls once every request that has been read by now is answered, on the context's thread. From any thread.
  void when_idle(std::function<void()> done);
  /// Closes the listener and every connection, so that the context runs out of work. From any thread.
  void stop();

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace pillion
