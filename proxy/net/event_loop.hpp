// One thread's event loop.
#pragma once

#include <boost/asio/io_context.hpp>
#include <exception>
#include <string>

namespace pillion {

class EventLoop : public boost::asio::io_context {
 public:
  EventLoop() : io_context(1) {}

  /// Runs until it is stopped. What a coroutine throws (memory that isn't there, a fault of ours) ends that coroutine
  /// alone; `tell` is given its message.
  template <typename Tell>
  void run_until_stopped(Tell&& tell) {
    for (;;) {
      try {
        run();
        return;
      } catch (const std::exception& error) {
        tell(std::string("internal error: ") + error.what());
      }
    }
  }

  /// Destroys every coroutine and handler that still waits, once the loop has stopped for good: they refer to objects
  /// that are destroyed before the loop is.
  void drop_pending() { shutdown(); }
};

}  // namespace pillion
