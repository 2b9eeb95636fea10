#include <doctest/doctest.h>

#include "net/circuit_breaker.hpp"

using pillion::CircuitBreaker;
using namespace std::chrono_literals;

namespace {
CircuitBreaker::Time at(std::chrono::milliseconds ms) { return CircuitBreaker::Time{} + 1h + ms; }
}  // namespace

TEST_CASE("the breaker opens at the fifth failure within a second") {
  struct Row {
    const char* what;
    std::chrono::milliseconds failures[6];
    int opens_at;  // index, -1: never
  };
  const Row rows[] = {
      {"five at once", {0ms, 0ms, 0ms, 0ms, 0ms, 0ms}, 4},
      {"five in exactly a second", {0ms, 250ms, 500ms, 750ms, 1000ms, 1001ms}, 4},
      {"spread over more", {0ms, 251ms, 502ms, 753ms, 1004ms, 1300ms}, -1},
      {"an old one doesn't count", {0ms, 1500ms, 1600ms, 1700ms, 1800ms, 1900ms}, 5},
  };
  for (const Row& row : rows) {
    CAPTURE(row.what);
    CircuitBreaker breaker;
    int opened = -1;
    for (int i = 0; i < 6; ++i) {
      if (breaker.failed(at(row.failures[i]))) {
        CHECK(opened == -1);
        opened = i;
      }
      CHECK(breaker.is_open() == (opened >= 0));
    }
    CHECK(opened == row.opens_at);
  }
}

TEST_CASE("in doubt the breaker is open until a probe that is due at once") {
  CircuitBreaker breaker;
  CHECK(breaker.doubt(at(0ms)));
  CHECK(breaker.is_open());
  CHECK(!breaker.doubt(at(1ms)));
  CHECK(breaker.next_probe() == at(0ms));
  CHECK(breaker.take_probe(at(0ms)));
  CHECK(!breaker.take_probe(at(999ms)));
  CHECK(breaker.take_probe(at(1000ms)));
  CHECK(breaker.succeeded());
  CHECK(!breaker.is_open());
}

TEST_CASE("an open breaker asks for one probe a second and closes at a success") {
  CircuitBreaker breaker;
  CHECK(breaker.next_probe() == CircuitBreaker::Time::max());
  CHECK(!breaker.take_probe(at(0ms)));
  CHECK(!breaker.succeeded());
  for (int i = 0; i < 5; ++i) breaker.failed(at(0ms));
  CHECK(breaker.next_probe() == at(1000ms));
  CHECK(!breaker.take_probe(at(999ms)));
  CHECK(breaker.take_probe(at(1000ms)));
  CHECK(!breaker.take_probe(at(1001ms)));
  CHECK(breaker.is_open());
  CHECK(!breaker.failed(at(1050ms)));
  CHECK(breaker.take_probe(at(2100ms)));
  CHECK(breaker.succeeded());
  CHECK(!breaker.is_open());
  CHECK(!breaker.take_probe(at(9000ms)));
}

TEST_CASE("what failed before it opened is forgotten when it closes") {
  CircuitBreaker breaker;
  for (int i = 0; i < 5; ++i) breaker.failed(at(0ms));
  REQUIRE(breaker.succeeded());  // a new connection, say
  for (int i = 0; i < 4; ++i) CHECK(!breaker.failed(at(20ms)));
  CHECK(breaker.failed(at(20ms)));
}

TEST_CASE("successes between failures don't hide them") {
  CircuitBreaker breaker;
  for (int i = 0; i < 4; ++i) {
    breaker.failed(at(0ms));
    CHECK(!breaker.succeeded());
  }
  CHECK(breaker.failed(at(10ms)));
}
