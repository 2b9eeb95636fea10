// Which of several addresses is connected to, and when an upstream is not asked for a while. The first over sockets of
// loopback.
#include "net/connect.hpp"

#include <doctest/doctest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <cstring>
#include <optional>

#include "net/upstream_breaker.hpp"
#include "support/scripted_upstream.hpp"

using namespace pillion;
using namespace std::chrono_literals;

namespace {

using support::RefusingPort;
using support::SilentPort;

Socket::endpoint_type endpoint_of(const support::Endpoint& at) {
  return asio::ip::tcp::endpoint(asio::ip::make_address(at.host), at.port);
}

template <typename T>
T run(asio::io_context& io, awaitable<T> work) {
  std::optional<T> result;
  const auto keep = [](awaitable<T> from, std::optional<T>& to) -> awaitable<void> {
    to.emplace(co_await std::move(from));
  };
  asio::co_spawn(io, keep(std::move(work), result), asio::detached);
  io.run();
  io.restart();
  REQUIRE(result.has_value());
  return std::move(*result);
}

/// The port that was connected to, or 0 and the error.
std::pair<unsigned, error_code> connected(Endpoints endpoints, std::chrono::milliseconds within = 20s) {
  asio::io_context io(1);
  auto [error, socket] =
      run(io, connect_to_any(io.get_executor(), std::move(endpoints), NameCache::Clock::now() + within));
  if (error) return {0, error};
  const auto generic = socket.remote_endpoint();
  asio::ip::tcp::endpoint remote;
  std::memcpy(remote.data(), generic.data(), generic.size());
  return {remote.port(), error};
}

asio::ip::address address(const char* text) { return asio::ip::make_address(text); }

}  // namespace

TEST_CASE("connect: families take turns, the first one's first, each in its order") {
  const auto turns = [](std::vector<const char*> given) {
    std::vector<asio::ip::address> all;
    for (const char* text : given) all.push_back(address(text));
    std::string out;
    for (const auto& one : interleaved(all)) out += one.to_string() + " ";
    return out;
  };
  CHECK(turns({}) == "");
  CHECK(turns({"1.1.1.1"}) == "1.1.1.1 ");
  CHECK(turns({"::1", "::2", "::3", "1.1.1.1", "2.2.2.2"}) == "::1 1.1.1.1 ::2 2.2.2.2 ::3 ");
  CHECK(turns({"1.1.1.1", "2.2.2.2", "::1"}) == "1.1.1.1 ::1 2.2.2.2 ");
}

TEST_CASE("connect: who is silent or refuses doesn't keep the others from being tried") {
  const support::Fd open = support::bind_loopback(0, 16);
  const unsigned port = support::port_of(open);
  const auto good = endpoint_of({"127.0.0.1", static_cast<std::uint16_t>(port), {}});
  const SilentPort silent, mute;
  const RefusingPort refusing;
  const auto s = endpoint_of(silent.endpoint()), m = endpoint_of(mute.endpoint()), r = endpoint_of(refusing.endpoint());
  CHECK(connected({good}).first == port);
  CHECK(connected({s, good}).first == port);
  CHECK(connected({s, m, r, good}).first == port);
  CHECK(connected({r, r, good, s}).first == port);
  CHECK(connected({good, s}).first == port);
}

TEST_CASE("connect: where nobody accepts, the last failure or the end of the time is told") {
  const SilentPort silent;
  const RefusingPort refusing;
  const auto s = endpoint_of(silent.endpoint()), r = endpoint_of(refusing.endpoint());
  CHECK(connected({r, r}).second == asio::error::connection_refused);
  CHECK(connected({s}, 100ms).second == asio::error::timed_out);
  CHECK(connected({s, r}, 400ms).second == asio::error::timed_out);
  CHECK(connected({}).second == asio::error::host_not_found);
}

TEST_CASE("connect: a name is asked for once by all who wait, and remembered") {
  asio::io_context io(1);
  NameCache names(io.get_executor());
  const auto until = NameCache::Clock::now() + 20s;
  int answers = 0;
  for (int i = 0; i < 3; ++i) {
    asio::co_spawn(io, names.find("localhost", 1min, until), [&](std::exception_ptr, NameCache::Found found) {
      CHECK_FALSE(found.error);
      CHECK(!found.addresses.empty());
      ++answers;
    });
  }
  io.run();
  CHECK(answers == 3);
  io.restart();
  names.doubt("localhost");
  CHECK_FALSE(run(io, names.find("localhost", 1min, until)).addresses.empty());
  CHECK(run(io, names.find("not a name", 1min, until)).error);
}

TEST_CASE("breaker: it opens after so many failures without an answer between them") {
  UpstreamBreaker breaker;
  UpstreamBreaker::Clock::time_point now{};
  breaker.configure(3, 1s);
  for (int i = 0; i < 5; ++i) {
    CHECK_FALSE(breaker.failed(now));
    CHECK_FALSE(breaker.failed(now));
    CHECK_FALSE(breaker.answered());
  }
  CHECK(breaker.lets_pass(now));
  CHECK_FALSE(breaker.failed(now));
  CHECK_FALSE(breaker.failed(now));
  CHECK(breaker.failed(now));
  CHECK(breaker.is_open());
  CHECK_FALSE(breaker.failed(now));  // those that were under way
  CHECK_FALSE(breaker.lets_pass(now + 999ms));
}

TEST_CASE("breaker: open, it lets one pass each time, and closes with any answer") {
  UpstreamBreaker breaker;
  UpstreamBreaker::Clock::time_point now{};
  breaker.configure(1, 1s);
  CHECK(breaker.failed(now));
  now += 1s;
  CHECK(breaker.lets_pass(now));
  CHECK_FALSE(breaker.lets_pass(now));
  CHECK_FALSE(breaker.failed(now));
  CHECK_FALSE(breaker.lets_pass(now + 999ms));
  CHECK(breaker.lets_pass(now + 1s));
  CHECK(breaker.answered());
  CHECK_FALSE(breaker.answered());
  CHECK_FALSE(breaker.is_open());
  CHECK(breaker.lets_pass(now));
  CHECK(breaker.failed(now));
}

TEST_CASE("breaker: with no failures configured it never opens") {
  UpstreamBreaker breaker;
  breaker.configure(0, 1s);
  for (int i = 0; i < 1000; ++i) CHECK_FALSE(breaker.failed({}));
  CHECK(breaker.lets_pass({}));
}
