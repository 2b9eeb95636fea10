// A real redis-server on a free port, and a plain client for assertions. For tests; one thread at a time.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "support/files.hpp"
#include "support/process.hpp"
#include "support/socket.hpp"

namespace pillion::support {

/// One RESP2 reply.
struct RedisReply {
  enum class Type { simple, error, integer, bulk, null, array };
  Type type = Type::null;
  std::string text;  ///< simple, error and bulk
  std::int64_t integer = 0;
  std::vector<RedisReply> elements;
  bool is_null() const { return type == Type::null; }
  bool is_error() const { return type == Type::error; }
  /// For messages of failed checks.
  std::string to_string() const;
};

/// A blocking client. Throws ConnectionClosed or TimedOut where the server doesn't answer.
class RedisClient {
 public:
  explicit RedisClient(const Endpoint& server) : stream_(Stream::connect(server)) {}
  RedisReply command(const std::vector<std::string>& arguments, Deadline deadline = {});
  /// What arrives without a command: a message of a subscription, a line of MONITOR.
  RedisReply read(Deadline deadline = {}) { return read_reply(deadline, 0); }
  /// Keys that match a glob, sorted.
  std::vector<std::string> keys(const std::string& pattern = "*");

 private:
  RedisReply read_reply(Deadline deadline, int depth);
  Stream stream_;
};

/// A user of Redis besides `default`.
struct RedisUser {
  std::string name;
  std::string password;
  std::vector<std::string> rules;  ///< what follows in ACL SETUSER, such as {"~*", "+@all"}
  /// For redis-server's command line.
  std::vector<std::string> arguments() const;
};

/// Pillion's own user: the smallest ACL that works, as the README gives it (its `ACL SETUSER pillion on >... ` line),
/// with password `s3cret`; `ns` replaces the README's empty namespace.
RedisUser pillion_user(const std::string& ns = {});
/// The same with what the README adds to it for something in particular, such as "with `collapse: fleet`" (its words).
RedisUser pillion_user_for(std::string_view purpose);

struct RedisOptions {
  std::vector<std::string> arguments;          ///< more for redis-server, such as {"--maxmemory", "1mb"}
  bool persistent = false;                     ///< keeps its data over stop() and start() (append-only file)
  std::uint16_t port = 0;                      ///< 0: a free one
  std::map<std::string, std::string> files{};  ///< name and content, put into its folder before it starts
  bool unix_socket = false;                    ///< on unix_path() too
  /// Proxies that are given url(), settings() or a relay before it come as this user. Tests stay the default user.
  std::optional<RedisUser> user{};
};

class RedisServer {
 public:
  /// Starts it and waits until it accepts connections.
  explicit RedisServer(RedisOptions options = {});
  ~RedisServer();
  RedisServer(const RedisServer&) = delete;
  RedisServer& operator=(const RedisServer&) = delete;

  Endpoint endpoint() const;
  std::string url(int database = 0) const { return url_of(endpoint(), database); }
  /// As url(), by way of somebody who passes things on.
  std::string url_of(const Endpoint& relay, int database = 0) const;
  std::uint16_t port() const { return port_; }
  std::string unix_path() const { return folder_ / "redis.sock"; }
  /// Lines below `redis:` of a proxy.yaml.
  std::string settings() const { return "    url: " + url() + "\n"; }
  Process& process() { return *process_; }

  /// An orderly shutdown.
  void stop();
  /// SIGKILL.
  void kill();
  /// On the same port; empty unless persistent.
  void start();
  /// Connections are accepted by the kernel, and nothing answers.
  void pause();
  void resume();

  /// One command on a new connection.
  RedisReply command(const std::vector<std::string>& arguments) const;
  std::vector<std::string> keys(const std::string& pattern = "*") const;
  /// Waits until so many replicas have all that was written here before this call.
  bool wait_for_replicas(int n, Milliseconds time = 30s) const;

 private:
  bool launch();
  TempDir folder_{TempDir::In::memory};
  RedisOptions options_;
  std::uint16_t port_ = 0;
  std::unique_ptr<Process> process_;
};

}  // namespace pillion::support
