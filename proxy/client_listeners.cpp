#include "client_listeners.hpp"

#include <sys/resource.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace pillion {

namespace {

// What a client that knows no name sends as Host.
std::string host_of(const config::Address& address) {
  if (address.is_unix()) return "localhost";
  const bool any = address.host == "0.0.0.0" || address.host == "::";
  return any ? "localhost:" + std::to_string(address.port) : address.to_string();
}

// Connections that leave room for the upstreams' and for everything else (product contract, "Limits").
std::size_t connection_limit(const config::Limits& limits) {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == RLIM_INFINITY) return limits.connections;
  return std::max<std::size_t>(1, std::min<std::size_t>(limits.connections, files.rlim_cur / 10 * 8));
}

}  // namespace

ClientListeners::ClientListeners(asio::any_io_executor control, const Workers& workers, Shared& shared,
                                 SnapshotPtr snapshot)
    : control_(std::move(control)), workers_(workers), shared_(shared) {
  use(std::move(snapshot));
}

void ClientListeners::use(SnapshotPtr snapshot) {
  snapshot_ = std::move(snapshot);
  trusted_ = std::make_unique<const TrustedPeers>(snapshot_->config->trusted_proxies);
}

void ClientListeners::start() {
  const config::Config& config = *snapshot_->config;
  for (const config::Listener& settings : config.listeners) {
    ClientOrigin origin;
    origin.listener = settings.name;
    origin.h2c_tunnel = settings.h2c_tunnel;
    const ListenerTls* tls = nullptr;
    if (settings.tls.enabled()) tls = certificates_.emplace_back(std::make_unique<ListenerTls>(settings)).get();
    listen(settings, origin, tls);
    const config::Address address = listeners_.back()->address();
    shared_.log.info("listening on " + address.to_string() + (tls ? " with TLS" : ""));
    if (shared_.own_host.empty() && settings.name.empty()) shared_.own_host = host_of(address);
  }
  if (shared_.own_host.empty()) shared_.own_host = host_of(listeners_.front()->address());
  if (!config.query_cache) return;
  config::Listener settings;
  settings.address = config.query_cache->address;
  settings.mode = config.query_cache->mode;
  ClientOrigin origin;
  origin.query_cache = true;
  listen(settings, origin, nullptr);
  shared_.log.info("query cache on " + listeners_.back()->address().to_string());
}

void ClientListeners::stop() {
  for (auto& listener : listeners_) listener->stop();
}

std::vector<config::Address> ClientListeners::addresses() const {
  std::vector<config::Address> addresses;
  for (const auto& listener : listeners_) addresses.push_back(listener->address());
  return addresses;
}

void ClientListeners::refresh_certificates(ReloadOutcome& outcome) {
  for (const auto& tls : certificates_) {
    const auto change = tls->refresh();
    if (!change) continue;
    change->good ? shared_.log.info(change->text) : shared_.log.error(change->text);
    (change->good ? outcome.changed : outcome.warnings).push_back(change->good ? "listeners.tls" : change->text);
  }
}

void ClientListeners::listen(const config::Listener& settings, const ClientOrigin& origin, const ListenerTls* tls) {
  auto listener = std::make_unique<Listener>(
      control_, settings,
      [this] {
        // Fewest connections first: SO_REUSEPORT would spread a sidecar's few keep-alive connections badly.
        const auto least = std::min_element(workers_.begin(), workers_.end(),
                                            [](const auto& a, const auto& b) { return a->load() < b->load(); });
        return (*least)->executor();
      },
      [this, origin, tls](Socket socket, std::string peer) {
        ClientOrigin its = origin;
        if (tls) its.tls = tls->context();
        take(std::move(socket), std::move(peer), std::move(its));
      });
  listener->start();
  listeners_.push_back(std::move(listener));
}

void ClientListeners::take(Socket socket, std::string peer, ClientOrigin origin) {
  std::size_t open = 0;
  for (const auto& worker : workers_) open += worker->load();
  if (open >= connection_limit(snapshot_->config->limits)) return refuse(std::move(socket), origin.tls != nullptr);
  // Nobody stands before the query cache: its Host is the one that was sent.
  origin.peer_trusted = !origin.query_cache && trusted_->contains(peer);
  origin.peer_address = std::move(peer);
  const auto executor = socket.get_executor();
  const auto chosen =
      std::ranges::find_if(workers_, [&](const auto& worker) { return worker->executor() == executor; });
  if (chosen != workers_.end()) (*chosen)->serve(std::move(socket), std::move(origin));
}

// One short write that fits any socket's buffer; whoever doesn't take it gets a reset. Who speaks TLS would not
// understand it, and a handshake costs what is to be saved.
void ClientListeners::refuse(Socket socket, bool tls) {
  shared_.counters.worker(workers_.size()).limits[static_cast<std::size_t>(Limit::connections)].add();
  if (tls) return;
  static constexpr std::string_view answer =
      "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nContent-Length: "
      "87\r\nRetry-After: 1\r\n"
      "Cache-Status: pillion; detail=overloaded\r\nConnection: close\r\n\r\n"
      "{\"type\":\"about:blank\",\"title\":\"Service Unavailable\",\"status\":503,\"detail\":\"Too many.\"}\n";
  error_code ignored;
  socket.non_blocking(true, ignored);
  socket.write_some(asio::buffer(answer.data(), answer.size()), ignored);
  socket.shutdown(Socket::shutdown_send, ignored);
}

}  // namespace pillion
