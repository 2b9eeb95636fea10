// A worker's keep-alive connections to its upstreams. Worker-local; the process-wide bound is ConcurrencyLimit's.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "config/model.hpp"
#include "net/concurrency_limit.hpp"
#include "net/connect.hpp"
#include "net/upstream_connection.hpp"
#include "telemetry/log.hpp"

namespace pillion {

/// The process's limits by upstream name, kept over reloads. Thread-safe.
class UpstreamLimits {
 public:
  UpstreamLimits(Counters& counters, Log& log) : counters_(counters), log_(log) {}
  struct Limits {
    std::shared_ptr<ConcurrencyLimit> connections;
    std::shared_ptr<ConcurrencyLimit> in_flight;  ///< asked where the upstream has max_in_flight
    std::shared_ptr<UpstreamHealth> health;
  };
  /// With the bounds of these settings from now on.
  Limits of(const config::Upstream& upstream);

 private:
  Counters& counters_;
  Log& log_;
  std::mutex mutex_;
  std::map<std::string, Limits> limits_;
};

class UpstreamPool {
 public:
  UpstreamPool(asio::any_io_executor executor, Deadlines& deadlines, UpstreamLimits& limits, WorkerCounters& counters);
  ~UpstreamPool();

  using Connection = std::unique_ptr<UpstreamConnection>;
  struct Acquired {
    Connection connection;
    UpstreamError error;
  };
  struct Wanted {
    bool unsafe = false;  ///< takes a pooled one only if it was idle for under a second: it can't be sent again
    bool fresh = false;   ///< a new one
    PermitPtr in_flight;  ///< of a request that is sent again, or by try_begin()
  };
  /// The right to be in flight where max_in_flight asks for one, and a pooled connection that still lives or a new one.
  /// Waits for both together for max_wait at most. Refused at once (Detail::breaker_open) where the upstream hasn't
  /// answered of late, unless this is to see whether it does.
  awaitable<Acquired> acquire(const config::Upstream& upstream, const config::Limits& limits, Wanted wanted);
  /// The same where nothing has to be waited for, without a coroutine: nullptr where acquire() has to be awaited, with
  /// `wanted` as this leaves it.
  Connection acquire_now(const config::Upstream& upstream, Wanted& wanted);
  /// The right to be in flight (nullptr where max_in_flight asks for none), for what isn't worth waiting; nullopt where
  /// there is none to be had.
  std::optional<PermitPtr> try_begin(const config::Upstream& upstream);
  /// Gives it back; it is pooled if its state is beyond doubt and nobody waits elsewhere.
  void release(Connection connection);
  /// Closes all idle connections: at a reload and at the end.
  void close_idle();

 private:
  struct Group {
    std::deque<Connection> idle;  // the most recently used last
    UpstreamLimits::Limits limits;
    std::size_t holder = 0;
    TlsContext tls;
    std::string tls_ca;
    std::uint64_t tls_ca_stamp = 0;
    bool tls_verify = true;
  };
  Group& group_of(const config::Upstream& upstream);
  Connection take_idle(Group& group, const config::Upstream& upstream, bool unsafe);
  using Clock = std::chrono::steady_clock;
  awaitable<PermitPtr> wait(ConcurrencyLimit& limit, Clock::time_point until, Limit full, Limit late);
  awaitable<Acquired> connect(Group& group, const config::Upstream& upstream, const config::Limits& limits,
                              Clock::time_point until);
  awaitable<UpstreamError> secure(Group& group, const config::Upstream& upstream, UpstreamConnection& connection);
  void sweep();
  void arm();

  asio::any_io_executor executor_;
  Deadlines& deadlines_;
  UpstreamLimits& limits_;
  WorkerCounters& counters_;
  NameCache names_;
  // By name and URL: a reload may give a name another address.
  using GroupName = std::pair<std::string, std::string>;
  using GroupView = std::pair<std::string_view, std::string_view>;
  struct ByName {
    using is_transparent = void;
    static GroupView view(const GroupView& name) noexcept { return name; }
    static GroupView view(const GroupName& name) noexcept { return {name.first, name.second}; }
    bool operator()(const auto& a, const auto& b) const noexcept { return view(a) < view(b); }
  };
  std::map<GroupName, std::unique_ptr<Group>, ByName> groups_;
  asio::steady_timer sweeper_;
  bool armed_ = false;
};

}  // namespace pillion
