#include "net/upstream_pool.hpp"

#include <algorithm>
#include <limits>

namespace pillion {

namespace {
constexpr std::chrono::milliseconds sweep_every{250};
// How long an idle connection may serve a request that can't be repeated: servers close idle connections in whole
// seconds.
constexpr std::chrono::milliseconds unsafe_idle{1000};
}  // namespace

UpstreamLimits::Limits UpstreamLimits::of(const config::Upstream& upstream) {
  const std::size_t in_flight = upstream.max_in_flight.value_or(std::numeric_limits<std::size_t>::max());
  std::lock_guard lock(mutex_);
  Limits& limits = limits_[upstream.name];
  if (!limits.connections) {
    limits.connections = std::make_shared<ConcurrencyLimit>(upstream.max_connections, upstream.max_waiting);
    limits.in_flight = std::make_shared<ConcurrencyLimit>(in_flight, upstream.max_waiting);
    limits.health = std::make_shared<UpstreamHealth>(upstream.name, counters_.upstream_figures(upstream.name), log_);
  } else {
    limits.connections->configure(upstream.max_connections, upstream.max_waiting);
    limits.in_flight->configure(in_flight, upstream.max_waiting);
  }
  limits.health->breaker.configure(upstream.breaker_failures, upstream.breaker_open);
  if (upstream.breaker_failures == 0) limits.health->note_answer();
  return limits;
}

UpstreamPool::UpstreamPool(asio::any_io_executor executor, Deadlines& deadlines, UpstreamLimits& limits,
                           WorkerCounters& counters)
    : executor_(executor),
      deadlines_(deadlines),
      limits_(limits),
      counters_(counters),
      names_(executor),
      sweeper_(executor) {}

UpstreamPool::~UpstreamPool() {
  for (auto& [name, group] : groups_) group->limits.connections->remove_holder(group->holder);
}

UpstreamPool::Group& UpstreamPool::group_of(const config::Upstream& upstream) {
  const auto found = groups_.find(GroupView(upstream.name, upstream.url));
  if (found != groups_.end()) return *found->second;
  auto& group = groups_[{upstream.name, upstream.url}];
  group = std::make_unique<Group>();
  group->limits = limits_.of(upstream);
  Group* raw = group.get();  // groups live as long as the pool, and a pool outlives its executor's work
  group->holder = group->limits.connections->add_holder(executor_, [raw] {
    if (!raw->idle.empty()) raw->idle.pop_front();
  });
  return *group;
}

UpstreamPool::Connection UpstreamPool::take_idle(Group& group, const config::Upstream& upstream, bool unsafe) {
  while (!group.idle.empty()) {
    Connection connection = std::move(group.idle.back());
    group.idle.pop_back();
    const auto idle = connection->idle_time();
    // The newest is too old: so are all before it.
    if (unsafe && idle >= std::min(unsafe_idle, upstream.idle)) {
      group.idle.push_back(std::move(connection));
      return nullptr;
    }
    if (idle < std::min(connection->idle_limit(), upstream.idle) && connection->stream().is_quiet()) return connection;
  }
  return nullptr;
}

std::optional<PermitPtr> UpstreamPool::try_begin(const config::Upstream& upstream) {
  if (!upstream.max_in_flight) return PermitPtr();
  PermitPtr permit = group_of(upstream).limits.in_flight->try_acquire();
  if (permit) return permit;
  counters_.limits[static_cast<std::size_t>(Limit::refresh_in_flight)].add();
  return std::nullopt;
}

UpstreamPool::Connection UpstreamPool::acquire_now(const config::Upstream& upstream, Wanted& wanted) {
  if (wanted.fresh) return nullptr;
  Group& group = group_of(upstream);
  if (group.limits.health->breaker.is_open()) return nullptr;
  if (upstream.max_in_flight && !wanted.in_flight) {
    wanted.in_flight = group.limits.in_flight->try_acquire();
    if (!wanted.in_flight) return nullptr;
  }
  Connection connection = take_idle(group, upstream, wanted.unsafe);
  if (connection) connection->hold_in_flight(std::move(wanted.in_flight));
  return connection;
}

awaitable<UpstreamPool::Acquired> UpstreamPool::acquire(const config::Upstream& upstream, const config::Limits& limits,
                                                        Wanted wanted) {
  Group& group = group_of(upstream);
  const auto until = Clock::now() + upstream.max_wait;
  Acquired acquired;
  // What is sent again was let pass the first time.
  if (!wanted.fresh && !group.limits.health->breaker.lets_pass(Clock::now())) {
    counters_.limits[static_cast<std::size_t>(Limit::breaker_open)].add();
    acquired.error = {Detail::breaker_open, true};
    co_return acquired;
  }
  if (upstream.max_in_flight && !wanted.in_flight) {
    wanted.in_flight = co_await wait(*group.limits.in_flight, until, Limit::in_flight, Limit::in_flight);
    if (!wanted.in_flight) {
      acquired.error = {Detail::overloaded, true};
      co_return acquired;
    }
  }
  if (!wanted.fresh) acquired.connection = take_idle(group, upstream, wanted.unsafe);
  if (!acquired.connection) acquired = co_await connect(group, upstream, limits, until);
  if (acquired.connection) acquired.connection->hold_in_flight(std::move(wanted.in_flight));
  co_return acquired;
}

awaitable<PermitPtr> UpstreamPool::wait(ConcurrencyLimit& limit, Clock::time_point until, Limit full, Limit late) {
  PermitPtr permit = limit.try_acquire();
  if (permit) co_return permit;
  bool is_full = false;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
  permit = co_await limit.acquire(std::max(left, std::chrono::milliseconds(0)), is_full);
  if (!permit) counters_.limits[static_cast<std::size_t>(is_full ? full : late)].add();
  co_return permit;
}

awaitable<UpstreamPool::Acquired> UpstreamPool::connect(Group& group, const config::Upstream& upstream,
                                                        const config::Limits& limits, Clock::time_point until) {
  Acquired acquired;
  ConcurrencyLimit& limit = *group.limits.connections;
  PermitPtr permit = limit.try_acquire();
  if (!permit) {
    // An idle connection of our own is as good as a permit.
    if (!group.idle.empty()) group.idle.pop_front();
    permit = co_await wait(limit, until, Limit::upstream_connections, Limit::upstream_wait);
    if (!permit) {
      acquired.error = {Detail::overloaded, true};
      co_return acquired;
    }
  }
  auto [error, socket] = co_await connect_to(executor_, names_, upstream);
  if (error) {
    group.limits.health->note_failure();
    const bool late = error == asio::error::timed_out;
    if (late) counters_.limits[static_cast<std::size_t>(Limit::connect_timeout)].add();
    acquired.error = {late ? Detail::connect_timeout : Detail::connect_failed, true};
    co_return acquired;
  }
  acquired.connection = std::make_unique<UpstreamConnection>(std::move(socket), deadlines_, upstream, limits,
                                                             std::move(permit), group.limits.health, counters_);
  if (upstream.tls) acquired.error = co_await secure(group, upstream, *acquired.connection);
  if (!acquired.error) co_return acquired;
  group.limits.health->note_failure();
  acquired.connection.reset();
  co_return acquired;
}

awaitable<UpstreamError> UpstreamPool::secure(Group& group, const config::Upstream& upstream,
                                              UpstreamConnection& connection) {
  if (!group.tls || group.tls_ca != upstream.tls_ca || group.tls_ca_stamp != upstream.tls_ca_stamp ||
      group.tls_verify != upstream.tls_verify) {
    try {
      group.tls = make_client_tls(upstream.tls_ca, upstream.tls_verify);
    } catch (const std::exception&) {
      co_return UpstreamError{Detail::connect_failed, true};
    }
    group.tls_ca = upstream.tls_ca;
    group.tls_ca_stamp = upstream.tls_ca_stamp;
    group.tls_verify = upstream.tls_verify;
  }
  const error_code error = co_await connection.stream().handshake(group.tls, upstream.address.host, upstream.tls_verify,
                                                                  upstream.connect_timeout);
  if (!error) co_return UpstreamError{};
  const bool late = error == asio::error::timed_out;
  if (late) counters_.limits[static_cast<std::size_t>(Limit::connect_timeout)].add();
  co_return UpstreamError{late ? Detail::connect_timeout : Detail::connect_failed, true};
}

void UpstreamPool::release(Connection connection) {
  if (!connection || !connection->reusable()) return;
  Group& group = group_of(connection->settings());
  if (group.limits.connections->has_waiters()) return;
  connection->mark_idle();
  if (connection->is_too_old()) return;
  group.idle.push_back(std::move(connection));
  if (!armed_) arm();
}

void UpstreamPool::arm() {
  armed_ = true;
  sweeper_.expires_after(sweep_every);
  sweeper_.async_wait([this](error_code error) {
    armed_ = false;
    if (!error) sweep();
  });
}

// Retires what was idle for too long, before the upstream's own idle time ends it under a request's feet.
void UpstreamPool::sweep() {
  bool any = false;
  for (auto& [id, group] : groups_) {
    std::erase_if(group->idle, [](const Connection& connection) {
      return connection->idle_time() >= std::min(connection->idle_limit(), connection->settings().idle);
    });
    any = any || !group->idle.empty();
  }
  if (any) arm();
}

void UpstreamPool::close_idle() {
  for (auto& [id, group] : groups_) group->idle.clear();
}

}  // namespace pillion
