// The running proxy as a whole: the composition root. The commands `serve` and `demo` use it, and nobody else.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/model.hpp"

namespace pillion {

struct ServeOptions {
  std::string config_path;               ///< read at start and at each reload; empty where `config` is set
  std::optional<config::Config> config;  ///< made from flags instead of a file: there is nothing to reload
};

class Server {
 public:
  explicit Server(ServeOptions options);
  ~Server();  ///< stop() and wait for all threads
  Server(const Server&) = delete;

  /// Loads the configuration, binds every address and starts the workers; returns once it serves. It is ready then, or
  /// once what is to be warmed has been.
  /// Throws std::runtime_error with one line for standard error (a port in use, Unix socket in the way...), and
  /// std::invalid_argument with one line an error for a configuration that is refused.
  void start();
  /// Where it listens, in the configuration's order, the query cache's last, with the ports that the kernel chose.
  std::vector<config::Address> addresses() const;
  config::Address admin_address() const;
  /// Blocks until SIGTERM, SIGINT or stop() and all is drained. The exit code: 0, or 1 where requests had to be cut.
  int wait();
  /// A signal or stop() has begun to end it. From any thread.
  bool is_ending() const;
  /// Begins to drain without the delay. From any thread, any number of times.
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pillion
