// The real binary, started with a configuration of the test's own, on ports that the kernel chooses. For tests.
// The binary is named by the environment variable PILLION_BIN, or was built beside the tests.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/files.hpp"
#include "support/http.hpp"
#include "support/json.hpp"
#include "support/process.hpp"
#include "support/redis_server.hpp"
#include "support/scripted_upstream.hpp"
#include "support/stores.hpp"

namespace pillion::support {

/// Path of the binary under test. Throws std::runtime_error where there is none.
std::string pillion_binary();
/// `pillion ARGUMENTS...`, run to its end.
Finished run_pillion(std::vector<std::string> arguments, Deadline deadline = {});
/// The repository's root.
std::string source_folder();

struct PillionOptions {
  std::vector<std::string> arguments;  ///< instead of `serve --config FILE`
  std::vector<std::string> wrapper;    ///< a command that runs the one behind it, in a world of its own
  std::map<std::string, std::string> environment;
  std::size_t file_limit = 0;  ///< RLIMIT_NOFILE; 0: as it is here
  std::size_t listeners = 0;   ///< how many addresses to wait for; 0: as many as `config` has
  bool wait_until_ready = true;
  /// Where `config` (or an argument) names a Redis: wait until it is used, so that the first request finds it.
  bool wait_for_redis = true;
};

/// The environment of a process whose wall clock is ahead by so many seconds, or behind (PillionOptions).
std::map<std::string, std::string> with_clock_ahead(long seconds);
/// A proxy.yaml of the usual shape: a TCP listener and an admin address on free ports, one upstream `app`, and `rest`
/// (routes and whatever else, as top-level YAML).
std::string config_for(const Endpoint& upstream, std::string_view rest);
/// Lines below `redis:`: it may take as long as a busy machine makes it. For tests that are not about that time: where
/// Redis pauses or is out of reach, requests wait as long.
inline constexpr std::string_view unhurried = "    timeout: 5s\n    connect_timeout: 5s\n";
/// For tests in which Redis pauses: longer than a busy machine's hiccup, and short enough to be waited for.
inline constexpr std::string_view not_in_haste = "    timeout: 500ms\n    connect_timeout: 5s\n";
/// The section `store:` for the Redis that `settings` (of any shape) name; more lines for `redis:` may follow. `memory`
/// is a size or `off`; empty: as it is by default. `time`: one of these, or empty for what is so by default.
std::string redis_store(const std::string& settings, std::string_view memory = {}, std::string_view time = unhurried);
/// One route that caches everything the upstream allows explicitly, with Redis as second tier where one is given (as
/// the only one, where the suite runs with Redis alone).
std::string caching_config(const Endpoint& upstream, const RedisServer* redis = nullptr, std::string_view rest = {});

/// A running proxy. What it stores stands where PILLION_TEST_STORES says (stores.hpp), with a redis-server of its own,
/// unless `config` has a `store:` section. Its end is part of each test: one that died, or that a sanitizer complained
/// of, fails it.
class Pillion {
 public:
  /// Writes `config` to proxy.yaml in a folder of its own, starts, and waits for the addresses (and readiness).
  explicit Pillion(std::string_view config, PillionOptions options = {});
  ~Pillion();
  Pillion(const Pillion&) = delete;
  Pillion& operator=(const Pillion&) = delete;

  const Endpoint& client(std::size_t listener = 0) const { return clients_.at(listener); }
  const Endpoint& admin() const { return admin_; }
  const Endpoint& metrics() const { return metrics_.value(); }
  /// Of the query cache, where `config` has one.
  const Endpoint& queries() const { return queries_.value(); }
  Process& process() { return *process_; }
  const TempDir& folder() const { return folder_; }
  std::string config_file() const { return folder_ / "proxy.yaml"; }

  /// On connections of their own. Where the suite runs with Redis, they return when Redis has what the answer calls
  /// `stored` (a request in the moment before it would join the fetch just ended); it fails the test where that never
  /// comes.
  Response get(std::string_view target, const Fields& fields = {}) { return request("GET", target, fields); }
  Response request(std::string_view method, std::string_view target, const Fields& fields = {},
                   std::string_view body = {});
  HttpClient connect() const { return HttpClient(client()); }
  /// A request to the query cache, with the Host of this machine unless `fields` has one.
  Response query(std::string_view method, std::string_view target, Fields fields = {}, std::string_view body = {});
  Response admin_get(std::string_view target, const Fields& fields = {}) {
    return fetch(admin(), "GET", target, fields);
  }
  Response admin_post(std::string_view target, std::string_view json, const Fields& fields = {});
  /// POST /invalidate, which must succeed; the receipt.
  Json invalidate(std::string_view json);
  /// Value of a line of /metrics that begins with `name_and_labels`, all such lines added up; 0 without one.
  double metric(std::string_view name_and_labels);

  /// Ends it and starts it again with the same file (ports may change).
  void restart();
  /// Ends it in the quickest orderly way. Fails the test where it crashed.
  void stop();

 private:
  void start();
  void wait_until_usable();
  void read_addresses();
  std::string add_store(std::string_view config);
  TempDir folder_;
  std::unique_ptr<RedisServer> own_redis_;
  std::optional<Endpoint> watched_redis_;  ///< whose values requests wait for
  PillionOptions options_;
  std::size_t listeners_ = 1;
  bool has_metrics_ = false;
  bool has_queries_ = false;
  bool has_redis_ = false;
  std::unique_ptr<Process> process_;
  std::vector<Endpoint> clients_;
  Endpoint admin_;
  std::optional<Endpoint> metrics_, queries_;
};

}  // namespace pillion::support
