#include "net/tunnel.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/write.hpp>
#include <vector>

namespace pillion {

namespace {

constexpr std::size_t buffer_size = 16u << 10;

void cancel_client(void* session) {
  error_code ignored;
  static_cast<ClientSession*>(session)->socket().cancel(ignored);
}

struct Tunnel {
  Tunnel(ClientSession& c, UpstreamConnection& u)
      : client(c),
        upstream(u),
        silence(u.settings().silence_timeout),
        client_silence(c.deadlines(), cancel_client, &c) {}
  ClientSession& client;
  UpstreamConnection& upstream;
  const std::chrono::milliseconds silence;
  Deadline client_silence;
  bool client_ended = false, upstream_ended = false;
  bool reading_client = false, reading_upstream = false;
};

void note_silence(Tunnel& t) { t.client.counters().limits[static_cast<std::size_t>(Limit::silence_timeout)].add(); }

// Tells of a peer that has vanished without a word: 60 s idle, then four probes 15 s apart.
void keep_watch(Socket& socket) {
  error_code ignored;
  socket.set_option(asio::socket_base::keep_alive(true), ignored);
  constexpr int idle = 60, interval = 15, probes = 4;
  ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
  ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
  ::setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

awaitable<IoResult> read_client(Tunnel& t, asio::mutable_buffer buffer) {
  t.reading_client = true;
  if (t.upstream_ended) t.client_silence.expires_after(t.silence);
  const IoResult read = co_await t.client.read_some(buffer, t.client_silence);
  t.client_silence.clear();
  if (read.error && t.client_silence.expired()) note_silence(t);
  t.reading_client = false;
  co_return read;
}

awaitable<IoResult> read_upstream(Tunnel& t, asio::mutable_buffer buffer) {
  t.reading_upstream = true;
  const auto timeout = t.client_ended ? t.silence : std::chrono::milliseconds(0);
  const IoResult read = co_await t.upstream.stream().read_some(buffer, timeout);
  t.reading_upstream = false;
  if (read.error == asio::error::timed_out) note_silence(t);
  co_return read;
}

// Ends when its source does; then the other direction may go on.
awaitable<error_code> to_upstream(Tunnel& t, std::string first) {
  if (!first.empty()) {
    if (const error_code error = co_await t.upstream.send(first)) co_return error;
  }
  std::vector<char> buffer(buffer_size);
  for (;;) {
    const auto [size, error] = co_await read_client(t, asio::buffer(buffer));
    if (error == asio::error::eof) {
      t.client_ended = true;
      if (t.reading_upstream) t.upstream.stream().limit_read(t.silence);
      t.upstream.stream().shutdown_send();
      co_return error_code{};
    }
    if (error) co_return error;
    if (const error_code failed = co_await t.upstream.send({buffer.data(), size})) co_return failed;
  }
}

awaitable<error_code> to_client(Tunnel& t) {
  t.client.out().put(t.upstream.left_over());
  if (const error_code error = co_await t.client.flush()) co_return error;
  std::vector<char> buffer(buffer_size);
  for (;;) {
    const IoResult read = co_await read_upstream(t, asio::buffer(buffer));
    if (read.error == asio::error::eof) {
      t.upstream_ended = true;
      if (t.reading_client) t.client_silence.expires_after(t.silence);
      t.client.shutdown_send();
      co_return error_code{};
    }
    if (read.error) co_return read.error;
    t.client.out().refer({buffer.data(), read.size});
    t.client.set_body_bytes(t.client.body_bytes() + read.size);
    if (const error_code failed = co_await t.client.flush()) co_return failed;
  }
}

}  // namespace

awaitable<void> tunnel(ClientSession& client, UpstreamConnection& upstream) {
  client.clear_deadlines();
  client.close_after();
  upstream.spoil();
  keep_watch(client.socket());
  keep_watch(upstream.stream().socket());
  Tunnel t(client, upstream);
  const auto executor = client.socket().get_executor();
  asio::steady_timer done(executor, asio::steady_timer::time_point::max());
  bool finished = false;
  std::string first(client.take_left_over());
  asio::co_spawn(executor, to_upstream(t, std::move(first)), [&](std::exception_ptr, error_code error) {
    finished = true;
    if (error) {
      client.cut();
      upstream.stream().close();
    }
    done.cancel();
  });
  if (co_await to_client(t)) {
    client.cut();
    upstream.stream().close();
  }
  if (!finished) co_await done.async_wait(no_throw);
  client.cut();
}

}  // namespace pillion
