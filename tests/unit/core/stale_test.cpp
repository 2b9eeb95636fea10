// When a stale response may still answer (RFC 5861, RFC 9111 4.2.4).
#include <doctest/doctest.h>

#include <limits>
#include <string>

#include "core/reuse.hpp"
#include "message_builder.hpp"

using namespace pillion;
using namespace std::chrono_literals;
using pillion::test::Lines;
using pillion::test::start_s;

namespace {

constexpr Now arrival{start_s * 1000, 50'000};

ResponseMeta stored(const std::string& cache_control) {
  const Lines fields("Cache-Control: " + cache_control + "\nETag: \"v\"\n");
  ResponseHead head;
  head.status = 200;
  head.fields = fields;
  return make_meta(head, arrival.mono_ms, arrival);
}

config::Route caching() {
  config::Route route;
  route.cache = config::CacheMode::on;
  return route;
}

config::Route lenient() {
  config::Route route = caching();
  route.stale_while_revalidate = 30s;
  route.stale_if_error = 60s;
  return route;
}

RequestFacts asked(const std::string& lines) {
  const Lines fields(lines);
  RequestHead request;
  request.fields = fields;
  return facts_of(request);
}

/// `fresh`, `behind`, `validate`, and `+error` where it serves errors.
std::string decide(const std::string& cache_control, const config::Route& route, std::int64_t ms,
                   const std::string& request = "") {
  const Now now{arrival.wall_ms + ms, arrival.mono_ms + ms};
  const ReuseDecision decision = may_reuse(asked(request), stored(cache_control), route, now);
  const std::string word = decision.reuse == Reuse::fresh      ? "fresh"
                           : decision.reuse == Reuse::behind   ? "behind"
                           : decision.reuse == Reuse::validate ? "validate"
                                                               : "refuse";
  return word + (decision.serves_error ? "+error" : "");
}

}  // namespace

TEST_CASE("stale: what the response says of stale use, to the millisecond") {
  struct Row {
    const char* cache_control;
    std::int64_t ms;
    const char* decision;
  };
  const Row rows[] = {
      {"max-age=10, stale-while-revalidate=20", 9'999, "fresh"},
      {"max-age=10, stale-while-revalidate=20", 10'000, "behind"},
      {"max-age=10, stale-while-revalidate=20", 30'000, "behind"},
      {"max-age=10, stale-while-revalidate=20", 30'001, "validate"},
      {"max-age=10, stale-if-error=20", 10'000, "validate+error"},
      {"max-age=10, stale-if-error=20", 30'000, "validate+error"},
      {"max-age=10, stale-if-error=20", 30'001, "validate"},
      {"max-age=10, stale-while-revalidate=5, stale-if-error=20", 16'000, "validate+error"},
      {"max-age=10", 10'000, "validate"},
      {"max-age=10, stale-while-revalidate=0, stale-if-error=0", 10'000, "validate"},
      {"max-age=10, stale-while-revalidate=x, stale-if-error=x", 10'000, "validate"},
      {"max-age=10, stale-while-revalidate=99999999999, stale-if-error=99999999999", 2'000'000'000, "behind"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.cache_control);
    CAPTURE(row.ms);
    CHECK(decide(row.cache_control, caching(), row.ms) == row.decision);
  }
}

TEST_CASE("stale: who forbids it, in the response's form and in the route's") {
  for (const std::string forbids : {"must-revalidate", "proxy-revalidate", "s-maxage=10", "no-cache"}) {
    CAPTURE(forbids);
    CHECK(decide("max-age=10, stale-while-revalidate=20, stale-if-error=20, " + forbids, caching(), 11'000) ==
          "validate");
    CHECK(decide("max-age=10, " + forbids, lenient(), 11'000) == "validate");
  }
  config::Route route = lenient();
  route.ignore_no_cache = true;
  CHECK(decide("max-age=10, no-cache", route, 11'000) == "behind");
}

TEST_CASE("stale: the route's windows serve where the response says nothing, and first where the route decides") {
  CHECK(decide("max-age=10", lenient(), 40'000) == "behind");
  CHECK(decide("max-age=10", lenient(), 40'001) == "validate+error");
  CHECK(decide("max-age=10", lenient(), 70'001) == "validate");
  CHECK(decide("max-age=10, stale-while-revalidate=1, stale-if-error=1", lenient(), 12'000) == "validate");
  config::Route route = lenient();
  route.ttl = 10s;
  route.freshness = config::FreshnessFrom::route;
  CHECK(decide("max-age=10, stale-while-revalidate=1", route, 40'000) == "behind");
}

TEST_CASE("stale: what a request wants counts too") {
  const std::string both = "max-age=10, stale-while-revalidate=20, stale-if-error=20";
  CHECK(decide(both, caching(), 11'000, "Cache-Control: no-cache\n") == "validate");
  CHECK(decide(both, caching(), 11'000, "Cache-Control: max-age=0\n") == "validate+error");
  CHECK(decide(both, caching(), 11'000, "Cache-Control: max-age=20\n") == "behind");
  CHECK(decide(both, caching(), 11'000, "Cache-Control: min-fresh=0\n") == "validate+error");
  CHECK(decide(both, caching(), 12'000, "Cache-Control: max-stale=1\n") == "validate+error");
  CHECK(decide(both, caching(), 11'000, "Cache-Control: max-stale=1\n") == "fresh");
  // Still fresh, but the client wants to know: where the upstream fails it has to do.
  CHECK(decide(both, caching(), 5'000, "Cache-Control: max-age=0\n") == "validate+error");
}

namespace {

/// As decide(), of a response that came at 0 and was softly invalidated `soft_ms` later.
std::string decide_soft(const std::string& cache_control, const config::Route& route, std::int64_t soft_ms,
                        std::int64_t ms, const std::string& request = "") {
  const Now now{arrival.wall_ms + ms, arrival.mono_ms + ms};
  const ReuseDecision decision =
      may_reuse(asked(request), stored(cache_control), route, now, arrival.mono_ms + soft_ms);
  const std::string word = decision.reuse == Reuse::fresh      ? "fresh"
                           : decision.reuse == Reuse::behind   ? "behind"
                           : decision.reuse == Reuse::validate ? "validate"
                                                               : "refuse";
  return word + (decision.serves_error ? "+error" : "") +
         (decision.detail == Detail::invalidated ? " invalidated" : "");
}

}  // namespace

TEST_CASE("stale: a soft invalidation begins the windows at its own moment") {
  CHECK(decide_soft("max-age=1000", lenient(), 5'000, 5'000) == "behind");
  CHECK(decide_soft("max-age=1000", lenient(), 5'000, 35'000) == "behind");
  CHECK(decide_soft("max-age=1000", lenient(), 5'000, 35'001) == "validate+error");
  CHECK(decide_soft("max-age=1000", lenient(), 5'000, 65'000) == "validate+error");
  CHECK(decide_soft("max-age=1000", lenient(), 5'000, 65'001) == "validate invalidated");
  const std::string own = "max-age=1000, stale-while-revalidate=20, stale-if-error=40";
  CHECK(decide_soft(own, caching(), 5'000, 25'000) == "behind");
  CHECK(decide_soft(own, caching(), 5'000, 25'001) == "validate+error");
  CHECK(decide_soft(own, caching(), 5'000, 45'001) == "validate invalidated");
  const Now now{arrival.wall_ms + 9'000, arrival.mono_ms + 9'000};
  CHECK(may_reuse({}, stored("max-age=1000"), lenient(), now, arrival.mono_ms + 5'000).ttl_ms == -4'000);
}

TEST_CASE("stale: what had expired before it was softly invalidated counts from then") {
  CHECK(decide_soft("max-age=10", lenient(), 20'000, 40'000) == "behind");
  CHECK(decide_soft("max-age=10", lenient(), 20'000, 40'001) == "validate+error");
  CHECK(decide_soft("max-age=10", lenient(), 20'000, 70'001) == "validate invalidated");
}

TEST_CASE("stale: without a window, or where stale answers are forbidden, a soft invalidation is a hard one") {
  CHECK(decide_soft("max-age=1000", caching(), 5'000, 5'000) == "validate invalidated");
  for (const std::string forbids : {"must-revalidate", "proxy-revalidate", "s-maxage=1000", "no-cache"}) {
    CAPTURE(forbids);
    CHECK(decide_soft("max-age=1000, " + forbids, lenient(), 5'000, 6'000) == "validate invalidated");
  }
}

TEST_CASE("stale: a client that accepts stale answers doesn't get what was softly invalidated for that") {
  CHECK(decide_soft("max-age=1000", caching(), 5'000, 6'000, "Cache-Control: max-stale\n") == "validate invalidated");
  CHECK(decide_soft("max-age=1000", lenient(), 5'000, 6'000, "Cache-Control: max-stale=100\n") == "validate+error");
  CHECK(decide_soft("max-age=1000", lenient(), 5'000, 6'000, "Cache-Control: no-cache\n") == "validate invalidated");
}

TEST_CASE("stale: the time of a soft invalidation may be any number") {
  const Now now{arrival.wall_ms, arrival.mono_ms};
  const ResponseMeta meta = stored("max-age=1000");
  for (const std::int64_t since : {std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max(),
                                   arrival.mono_ms + 1, std::int64_t{0}}) {
    const ReuseDecision decision = may_reuse({}, meta, lenient(), now, since);
    CHECK(decision.reuse != Reuse::fresh);
    CHECK(decision.ttl_ms <= 0);
  }
}
