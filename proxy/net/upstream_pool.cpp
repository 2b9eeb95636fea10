#include "net/upstream_pool.hpp"

#include <algorithm>

namespace pillion {

namespace {
constexpr std::chrono::milliseconds sweep_every{250};
// How long an idle connection may serve a request that can't be repeated: servers close idle connections in whole
// seconds.
constexpr std::chrono::milliseconds unsafe_idle{1000};
}  // namespace

std::shared_ptr<ConnectionLimit> ConnectionLimits::of(const config::Upstream& upstream) {
  std::lock_guard lock(mutex_);
  auto& limit = limits_[upstream.name];
  if (!limit) {
    limit = std::make_shared<ConnectionLimit>(upstream.max_connections, upstream.max_waiting);
  } else {
    limit->configure(upstream.max_connections, upstream.max_waiting);
  }
  return limit;
}

UpstreamPool::UpstreamPool(asio::any_io_executor executor, Deadlines& deadlines, ConnectionLimits& limits,
                           WorkerCounters& counters)
    : executor_(executor), deadlines_(deadlines), limits_(limits), counters_(counters), sweeper_(executor) {}

UpstreamPool::~UpstreamPool() {
  for (auto& [name, group] : groups_) group->limit->remove_holder(group->holder);
}

UpstreamPool::Group& UpstreamPool::group_of(const config::Upstream& upstream) {
  // The name alone doesn't do: a reload may have given it another address.
  const std::string id = upstream.name + ' ' + upstream.url;
  auto& group = groups_[id];
  if (!group) {
    group = std::make_unique<Group>();
    group->limit = limits_.of(upstream);
    Group* raw = group.get();  // groups live as long as the pool, and a pool outlives its executor's work
    group->holder = group->limit->add_holder(executor_, [raw] {
      if (!raw->idle.empty()) raw->idle.pop_front();
    });
  }
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

awaitable<UpstreamPool::Acquired> UpstreamPool::acquire(const config::Upstream& upstream, const config::Limits& limits,
                                                        bool unsafe, bool fresh) {
  Group& group = group_of(upstream);
  if (!fresh) {
    if (Connection connection = take_idle(group, upstream, unsafe)) co_return Acquired{std::move(connection), {}};
  }
  Acquired acquired = co_await connect(group, upstream, limits);
  co_return acquired;
}

awaitable<UpstreamPool::Acquired> UpstreamPool::connect(Group& group, const config::Upstream& upstream,
                                                        const config::Limits& limits) {
  Acquired acquired;
  ConnectionPermitPtr permit = group.limit->try_acquire();
  if (!permit) {
    // An idle connection of our own is as good as a permit.
    if (!group.idle.empty()) group.idle.pop_front();
    bool full = false;
    permit = co_await group.limit->acquire(upstream.max_wait, full);
    if (!permit) {
      const Limit limit = full ? Limit::upstream_connections : Limit::upstream_wait;
      counters_.limits[static_cast<std::size_t>(limit)].add();
      acquired.error = {Detail::overloaded, true};
      co_return acquired;
    }
  }
  auto [error, socket] = co_await connect_to(executor_, upstream.address.host, upstream.address.port,
                                             upstream.address.unix_path, upstream.connect_timeout);
  if (error) {
    const bool late = error == asio::error::timed_out;
    if (late) counters_.limits[static_cast<std::size_t>(Limit::connect_timeout)].add();
    acquired.error = {late ? Detail::connect_timeout : Detail::connect_failed, true};
    co_return acquired;
  }
  acquired.connection = std::make_unique<UpstreamConnection>(std::move(socket), deadlines_, upstream, limits,
                                                             std::move(permit), counters_);
  if (upstream.tls) acquired.error = co_await secure(group, upstream, *acquired.connection);
  if (acquired.error) acquired.connection.reset();
  co_return acquired;
}

awaitable<UpstreamError> UpstreamPool::secure(Group& group, const config::Upstream& upstream,
                                              UpstreamConnection& connection) {
  if (!group.tls || group.tls_ca != upstream.tls_ca || group.tls_verify != upstream.tls_verify) {
    try {
      group.tls = make_client_tls(upstream.tls_ca, upstream.tls_verify);
    } catch (const std::exception&) {
      co_return UpstreamError{Detail::connect_failed, true};
    }
    group.tls_ca = upstream.tls_ca;
    group.tls_verify = upstream.tls_verify;
  }
  const error_code error = co_await connection.stream().handshake(*group.tls, upstream.address.host,
                                                                  upstream.tls_verify, upstream.connect_timeout);
  if (!error) co_return UpstreamError{};
  co_return UpstreamError{error == asio::error::timed_out ? Detail::connect_timeout : Detail::connect_failed, true};
}

void UpstreamPool::release(Connection connection) {
  if (!connection || !connection->reusable()) return;
  Group& group = group_of(connection->settings());
  if (group.limit->has_waiters()) return;
  connection->mark_idle();
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
