#include "net/connect.hpp"

#include <algorithm>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <optional>

namespace pillion {

namespace {

using Clock = NameCache::Clock;
// RFC 8305 5, Connection Attempt Delay
constexpr std::chrono::milliseconds attempt_delay{250};
// Names of configurations that are no more: forgotten together.
constexpr std::size_t max_names = 1024;
// Before this process began, and not so long that a sum with it overflows.
constexpr Clock::time_point long_ago{-std::chrono::hours(1)};

}  // namespace

struct NameCache::Entry {
  explicit Entry(const asio::any_io_executor& executor)
      : resolver(executor), answered(executor, Clock::time_point::max()) {}
  asio::ip::tcp::resolver resolver;
  asio::steady_timer answered;  // cancelled when an answer came
  std::vector<asio::ip::address> addresses;
  error_code error;
  Clock::time_point answered_at = long_ago;
  bool asking = false;
};

void NameCache::ask(const std::string& name, std::shared_ptr<Entry> entry) {
  entry->asking = true;
  Entry& it = *entry;
  it.resolver.async_resolve(name, "", [entry](error_code error, const asio::ip::tcp::resolver::results_type& found) {
    entry->asking = false;
    entry->error = error;
    if (!error) {
      std::vector<asio::ip::address> fresh_ones;
      for (const auto& result : found) {
        const auto address = result.endpoint().address();
        const bool known = std::find(fresh_ones.begin(), fresh_ones.end(), address) != fresh_ones.end();
        if (!known && fresh_ones.size() < max_addresses) fresh_ones.push_back(address);
      }
      entry->addresses = interleaved(fresh_ones);
      entry->answered_at = Clock::now();
    }
    entry->answered.cancel();
  });
}

awaitable<NameCache::Found> NameCache::find(std::string name, std::chrono::milliseconds age, Clock::time_point until) {
  if (entries_.size() >= max_names && !entries_.contains(name)) entries_.clear();
  std::shared_ptr<Entry>& place = entries_[name];
  if (!place) place = std::make_shared<Entry>(executor_);
  const std::shared_ptr<Entry> entry = place;
  if (Clock::now() < entry->answered_at + std::min<Clock::duration>(fresh, age)) co_return Found{{}, entry->addresses};
  if (!entry->asking) ask(name, entry);
  const auto wait_until = entry->addresses.empty() ? until : std::min(until, Clock::now() + patience);
  // A timer of its own: those who wait may have different times.
  asio::steady_timer late(executor_, wait_until);
  late.async_wait([entry](error_code error) {
    if (!error) entry->answered.cancel();
  });
  while (entry->asking && Clock::now() < wait_until) co_await entry->answered.async_wait(no_throw);
  late.cancel();
  Found found{{}, entry->addresses};
  if (!found.addresses.empty()) co_return found;
  found.error = entry->asking ? error_code(asio::error::timed_out) : entry->error;
  if (!found.error) found.error = asio::error::host_not_found;
  co_return found;
}

void NameCache::doubt(const std::string& name) {
  const auto found = entries_.find(name);
  if (found != entries_.end()) found->second->answered_at = long_ago;
}

std::vector<asio::ip::address> interleaved(const std::vector<asio::ip::address>& addresses) {
  std::vector<asio::ip::address> first, second, all;
  for (const auto& address : addresses)
    (address.is_v6() == addresses.front().is_v6() ? first : second).push_back(address);
  for (std::size_t i = 0; i < std::max(first.size(), second.size()); ++i) {
    if (i < first.size()) all.push_back(first[i]);
    if (i < second.size()) all.push_back(second[i]);
  }
  return all;
}

namespace {

struct Race {
  explicit Race(const asio::any_io_executor& executor) : changed(executor) {}
  std::vector<std::unique_ptr<Socket>> sockets;
  std::optional<std::size_t> winner;
  std::size_t pending = 0;
  error_code error = asio::error::host_not_found;
  asio::steady_timer changed;
};

void begin(const std::shared_ptr<Race>& race, const Socket::endpoint_type& endpoint) {
  const std::size_t i = race->sockets.size();
  Socket& socket = *race->sockets.emplace_back(std::make_unique<Socket>(race->changed.get_executor()));
  error_code error;
  socket.open(endpoint.protocol(), error);
  if (error) {
    race->error = error;
    return;
  }
  ++race->pending;
  socket.async_connect(endpoint, [race, i](error_code failed) {
    --race->pending;
    if (failed) {
      if (failed != asio::error::operation_aborted) race->error = failed;
    } else if (!race->winner) {
      race->winner = i;
    }
    race->changed.cancel();
  });
}

}  // namespace

awaitable<std::pair<error_code, Socket>> connect_to_any(asio::any_io_executor executor, Endpoints endpoints,
                                                        Clock::time_point until) {
  const auto race = std::make_shared<Race>(executor);
  std::size_t next = 0;
  Clock::time_point next_at = Clock::now();
  bool late = false;
  while (!race->winner) {
    const auto now = Clock::now();
    late = now >= until;
    if (late) break;
    if (next < endpoints.size() && (race->pending == 0 || now >= next_at)) {
      begin(race, endpoints[next++]);
      next_at = now + attempt_delay;
      continue;
    }
    if (race->pending == 0) break;
    race->changed.expires_at(next < endpoints.size() ? std::min(next_at, until) : until);
    co_await race->changed.async_wait(no_throw);
  }
  std::pair<error_code, Socket> result{late ? error_code(asio::error::timed_out) : race->error, Socket(executor)};
  if (race->winner) result = {error_code(), std::move(*race->sockets[*race->winner])};
  error_code ignored;
  for (const auto& socket : race->sockets) socket->close(ignored);
  co_return result;
}

awaitable<std::pair<error_code, Socket>> connect_to(asio::any_io_executor executor, NameCache& names,
                                                    const config::Upstream& upstream) {
  const config::Address& address = upstream.address;
  const auto until = Clock::now() + upstream.connect_timeout;
  Endpoints endpoints;
  error_code error;
  bool is_name = false;
  if (address.is_unix()) {
    endpoints.emplace_back(asio::local::stream_protocol::endpoint(address.unix_path));
  } else if (const auto literal = asio::ip::make_address(address.host, error); !error) {
    endpoints.emplace_back(asio::ip::tcp::endpoint(literal, address.port));
  } else {
    is_name = true;
    const auto found = co_await names.find(address.host, upstream.age, until);
    if (found.error) co_return std::pair{found.error, Socket(executor)};
    for (const auto& ip : found.addresses) endpoints.emplace_back(asio::ip::tcp::endpoint(ip, address.port));
  }
  auto result = co_await connect_to_any(executor, std::move(endpoints), until);
  if (result.first && is_name) names.doubt(address.host);
  error_code ignored;
  if (!result.first && !address.is_unix()) result.second.set_option(asio::ip::tcp::no_delay(true), ignored);
  co_return result;
}

}  // namespace pillion
