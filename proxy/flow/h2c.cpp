#include "flow/h2c.hpp"

#include <string>

#include "net/tunnel.hpp"

namespace pillion {

namespace {

// RFC 9113 7
constexpr std::uint8_t internal_error = 0x2, enhance_your_calm = 0xb;

struct Failure {
  unsigned status;
  std::uint8_t code;
  std::string_view why;
};

Failure failure_of(Detail detail) {
  switch (detail) {
    case Detail::overloaded:
      return {503, enhance_your_calm, "The upstream has as many requests as it may have."};
    case Detail::breaker_open:
      return {503, enhance_your_calm, "The upstream has not answered of late, and is not asked for a moment."};
    case Detail::connect_timeout:
      return {504, internal_error, "The upstream did not accept a connection in time."};
    default:
      return {502, internal_error, "The upstream can't be reached."};
  }
}

// A server's preface, which is SETTINGS without a setting (RFC 9113 3.4, 6.5), and GOAWAY with the last stream 0.
std::string go_away(const Failure& failure) {
  constexpr char settings[9] = {0, 0, 0, 4, 0, 0, 0, 0, 0};
  const char head[17] = {0,
                         0,
                         static_cast<char>(8 + failure.why.size()),
                         7,
                         0,
                         0,
                         0,
                         0,
                         0,
                         0,
                         0,
                         0,
                         0,
                         0,
                         0,
                         0,
                         static_cast<char>(failure.code)};
  std::string frames(settings, sizeof settings);
  frames.append(head, sizeof head).append(failure.why);
  return frames;
}

}  // namespace

awaitable<Outcome> tunnel_http2(WorkerContext& context, ClientSession& session, const Snapshot& snapshot) {
  Outcome outcome;
  UpstreamPool::Acquired acquired;
  acquired.error = {Detail::no_route_upstream, true};
  if (snapshot.has_default_upstream) {
    const config::Upstream& upstream = snapshot.config->upstreams[snapshot.unmatched.upstream];
    // A new one: what has spoken HTTP/1.1 can't begin with a preface.
    UpstreamPool::Wanted wanted;
    wanted.unsafe = wanted.fresh = true;
    acquired = co_await context.upstreams.acquire(upstream, snapshot.config->limits, std::move(wanted));
    outcome.upstream_us = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - session.started())
            .count());
  }
  if (acquired.error) {
    const Failure failure = failure_of(acquired.error.detail);
    outcome.status = failure.status;
    outcome.result = Result::error;
    outcome.detail = acquired.error.detail;
    session.out().put(go_away(failure));
    co_return outcome;
  }
  acquired.connection->end_in_flight();
  outcome.status = 101;
  co_await tunnel(session, *acquired.connection);
  co_return outcome;
}

}  // namespace pillion
