#include "net/tunnel.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/write.hpp>
#include <vector>

namespace pillion {

namespace {

constexpr std::size_t buffer_size = 16u << 10;

// Ends when its source does; then the other direction may go on.
awaitable<error_code> to_upstream(ClientSession& client, UpstreamConnection& upstream, std::string first) {
  if (!first.empty()) {
    if (const error_code error = co_await upstream.send(first)) co_return error;
  }
  std::vector<char> buffer(buffer_size);
  for (;;) {
    auto [error, size] = co_await client.socket().async_read_some(asio::buffer(buffer), no_throw);
    if (error == asio::error::eof) {
      upstream.stream().shutdown_send();
      co_return error_code{};
    }
    if (error) co_return error;
    if (const error_code failed = co_await upstream.send({buffer.data(), size})) co_return failed;
  }
}

awaitable<error_code> to_client(ClientSession& client, UpstreamConnection& upstream) {
  client.out().put(upstream.left_over());
  if (const error_code error = co_await client.flush()) co_return error;
  std::vector<char> buffer(buffer_size);
  for (;;) {
    const IoResult read = co_await upstream.stream().read_some(asio::buffer(buffer), std::chrono::milliseconds(0));
    if (read.error == asio::error::eof) {
      error_code ignored;
      client.socket().shutdown(Socket::shutdown_send, ignored);
      co_return error_code{};
    }
    if (read.error) co_return read.error;
    client.out().refer({buffer.data(), read.size});
    client.set_body_bytes(client.body_bytes() + read.size);
    if (const error_code failed = co_await client.flush()) co_return failed;
  }
}

}  // namespace

awaitable<void> tunnel(ClientSession& client, UpstreamConnection& upstream) {
  client.clear_deadlines();
  client.close_after();
  upstream.spoil();
  const auto executor = client.socket().get_executor();
  asio::steady_timer done(executor, asio::steady_timer::time_point::max());
  bool finished = false;
  std::string first(client.take_left_over());
  asio::co_spawn(executor, to_upstream(client, upstream, std::move(first)), [&](std::exception_ptr, error_code error) {
    finished = true;
    if (error) {
      client.cut();
      upstream.stream().close();
    }
    done.cancel();
  });
  if (co_await to_client(client, upstream)) {
    client.cut();
    upstream.stream().close();
  }
  if (!finished) co_await done.async_wait(no_throw);
  client.cut();
}

}  // namespace pillion
