// What may answer from the store (RFC 9111 4, 5.2; product contract, "Lifetime").
#include "core/reuse.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <string>

#include "message_builder.hpp"

using namespace pillion;
using namespace std::chrono_literals;
using config::FreshnessFrom;
using config::Personal;
using pillion::test::Lines;
using pillion::test::start_s;

namespace {

constexpr Now arrival{start_s * 1000, 50'000};

constexpr Now after_ms(std::int64_t ms) { return {arrival.wall_ms + ms, arrival.mono_ms + ms}; }

RequestFacts asked(const std::string& lines) {
  const Lines fields(lines);
  RequestHead request;
  request.fields = fields;
  return facts_of(request);
}

/// A stored response and what the request that fetched it had.
ResponseMeta stored(const std::string& lines, const std::string& request_lines = "", unsigned status = 200) {
  const Lines fields(lines);
  ResponseHead head;
  head.status = status;
  head.fields = fields;
  ResponseMeta meta = make_meta(head, arrival.mono_ms, arrival);
  const RequestFacts facts = asked(request_lines);
  meta.request_had_cookie = facts.has_cookie;
  meta.request_had_authorization = facts.has_authorization;
  return meta;
}

config::Route caching() {
  config::Route route;
  route.cache = config::CacheMode::on;
  return route;
}

config::Route with_ttl(FreshnessFrom from = FreshnessFrom::origin_first) {
  config::Route route = caching();
  route.ttl = 60s;
  route.freshness = from;
  return route;
}

/// The whole decision in words: `fresh`, `validate stale`, `refuse request cookie`...
std::string words(const ReuseDecision& decision) {
  std::string out = decision.reuse == Reuse::fresh      ? "fresh"
                    : decision.reuse == Reuse::validate ? "validate"
                                                        : "refuse";
  if (decision.forward != Forward::none) out.append(" ").append(to_string(decision.forward));
  if (decision.detail != Detail::none) out.append(" ").append(to_string(decision.detail));
  return out;
}

std::string decide(const std::string& request, const ResponseMeta& meta, const config::Route& route, std::int64_t ms) {
  return words(may_reuse(asked(request), meta, route, after_ms(ms)));
}

}  // namespace

TEST_CASE("a stored response is fresh while its lifetime exceeds its age") {
  const ResponseMeta meta = stored("Cache-Control: max-age=60\nAge: 10");
  CHECK(decide("", meta, caching(), 0) == "fresh");
  CHECK(decide("", meta, caching(), 49'999) == "fresh");
  CHECK(decide("", meta, caching(), 50'000) == "validate stale");
  CHECK(decide("", meta, caching(), 90'000) == "validate stale");
  const ReuseDecision fresh = may_reuse({}, meta, caching(), after_ms(5500));
  CHECK(fresh.age_ms == 15'500);
  CHECK(fresh.ttl_ms == 44'500);
  const ReuseDecision stale = may_reuse({}, meta, caching(), after_ms(53'000));
  CHECK(stale.age_ms == 63'000);
  CHECK(stale.ttl_ms == -3000);
}

TEST_CASE("the route's lifetime is that of now, not of when it was stored") {
  const ResponseMeta meta = stored("");
  config::Route route = with_ttl();
  CHECK(decide("", meta, route, 30'000) == "fresh");
  route.ttl = 10s;
  CHECK(decide("", meta, route, 30'000) == "validate stale");
  route.ttl.reset();
  CHECK(decide("", meta, route, 30'000) == "refuse miss no-lifetime");
  CHECK(decide("", stored("ETag: \"a\""), route, 30'000) == "refuse miss no-lifetime");
  CHECK(decide("", meta, with_ttl(FreshnessFrom::origin), 0) == "refuse miss no-lifetime");
  CHECK(decide("", stored("Cache-Control: max-age=5"), with_ttl(FreshnessFrom::route), 30'000) == "fresh");
  CHECK(decide("", stored("Cache-Control: max-age=5"), with_ttl(), 30'000) == "validate stale");
}

TEST_CASE("what the route of today would not store is not reused") {
  config::Route ignoring = with_ttl();
  ignoring.ignore_no_store = ignoring.ignore_private = true;
  ignoring.set_cookie = config::SetCookie::store;
  ignoring.ttl_by_status = {{500, 60s}, {404, 60s}};
  struct Row {
    ResponseMeta meta;
    const char* today;
  };
  const Row rows[] = {
      {stored("Cache-Control: no-store"), "refuse miss no-store"},
      {stored("Cache-Control: private"), "refuse miss private"},
      {stored("Set-Cookie: a=b"), "refuse miss set-cookie"},
      {stored("", "", 500), "refuse miss status"},
      {stored("", "", 404), "refuse miss no-lifetime"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.today);
    CHECK(decide("", row.meta, ignoring, 1000) == "fresh");
    CHECK(decide("", row.meta, with_ttl(), 1000) == row.today);
  }
  CHECK(decide("", stored("Cache-Control: max-age=60"), config::Route{}, 0) == "refuse bypass cache-off");
  CHECK(decide("", stored("Cache-Control: max-age=60", "", 206), caching(), 0) == "refuse miss partial");
  CHECK(decide("", stored("Cache-Control: max-age=60, must-understand", "", 299), caching(), 0) ==
        "refuse miss must-understand");
}

TEST_CASE("what a personal request fetched under lenient rules is refused under careful ones") {
  config::Route lenient = with_ttl();
  lenient.personal_cookies = Personal::ignore;
  lenient.personal_authorization = Personal::key;
  const ResponseMeta by_cookie = stored("", "Cookie: a=b");
  const ResponseMeta by_authorization = stored("Cache-Control: max-age=60", "Authorization: Bearer x");
  CHECK(decide("", by_cookie, lenient, 0) == "fresh");
  CHECK(decide("", by_authorization, lenient, 0) == "fresh");
  CHECK(decide("", by_cookie, with_ttl(), 0) == "refuse miss cookie");
  CHECK(decide("", by_authorization, with_ttl(), 0) == "refuse miss authorization");
}

TEST_CASE("what the route's ttl keeps for guests is not for those who are logged in") {
  const ResponseMeta guests = stored("ETag: \"a\"");
  CHECK(decide("", guests, with_ttl(), 0) == "fresh");
  CHECK(decide("Cookie: a=b", guests, with_ttl(), 0) == "refuse request cookie");
  CHECK(decide("Authorization: Bearer x", guests, with_ttl(), 0) == "refuse request authorization");
  CHECK(decide("Cookie: a=b", guests, with_ttl(FreshnessFrom::route), 0) == "refuse request cookie");
  config::Route guessing = caching();
  guessing.heuristic = 0.5;
  const ResponseMeta guessed = stored("Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT");
  CHECK(decide("", guessed, guessing, 0) == "fresh");
  CHECK(decide("Cookie: a=b", guessed, guessing, 0) == "refuse request cookie");
  config::Route lenient = with_ttl();
  lenient.personal_cookies = Personal::ignore;
  CHECK(decide("Cookie: a=b", guests, lenient, 0) == "fresh");
  CHECK(decide("Cookie: a=b\nAuthorization: x", guests, lenient, 0) == "refuse request authorization");
}

TEST_CASE("what a response explicitly allows is for everybody") {
  CHECK(decide("Cookie: a=b", stored("Cache-Control: max-age=60"), with_ttl(), 0) == "fresh");
  CHECK(decide("Authorization: x", stored("Cache-Control: max-age=60"), with_ttl(), 0) ==
        "refuse request authorization");
  for (const char* response : {"Cache-Control: public, max-age=60", "Cache-Control: s-maxage=60",
                               "Cache-Control: max-age=60, must-revalidate"}) {
    CAPTURE(response);
    CHECK(decide("Authorization: x", stored(response), caching(), 0) == "fresh");
    CHECK(decide("Authorization: x\nCookie: a=b", stored(response, "Authorization: y\nCookie: b=c"), caching(), 0) ==
          "fresh");
  }
}

TEST_CASE("a route's longer ttl doesn't count where a request is personal") {
  const config::Route route = with_ttl(FreshnessFrom::route);
  const ResponseMeta guests = stored("Cache-Control: public, max-age=5");
  CHECK(decide("", guests, route, 30'000) == "fresh");
  CHECK(decide("Cookie: a=b", guests, route, 4000) == "fresh");
  CHECK(decide("Cookie: a=b", guests, route, 30'000) == "validate stale");
  CHECK(decide("Authorization: x", guests, route, 30'000) == "validate stale");
  CHECK(decide("", stored("Cache-Control: max-age=5", "Cookie: a=b"), route, 30'000) == "validate stale");
}

TEST_CASE("no-cache of a response means a validation each time") {
  const ResponseMeta meta = stored("Cache-Control: no-cache, max-age=60\nETag: \"a\"");
  CHECK(decide("", meta, caching(), 0) == "validate stale");
  CHECK(decide("", meta, with_ttl(FreshnessFrom::route), 0) == "validate stale");
  CHECK(decide("Cache-Control: max-stale", meta, caching(), 0) == "validate stale");
  CHECK(decide("", stored("Cache-Control: no-cache\nETag: \"a\""), caching(), 0) == "validate stale");
  CHECK(decide("", stored("Cache-Control: no-cache=\"x\", max-age=60\nETag: \"a\""), caching(), 0) == "validate stale");
  config::Route ignoring = caching();
  ignoring.ignore_no_cache = true;
  CHECK(decide("", meta, ignoring, 0) == "fresh");
}

TEST_CASE("a request may want more than freshness") {
  struct Row {
    const char* request;
    std::int64_t ms;
    const char* decision;
  };
  const Row rows[] = {
      {"Cache-Control: max-age=10", 10'000, "fresh"},
      {"Cache-Control: max-age=10", 10'001, "validate request"},
      {"Cache-Control: max-age=0", 0, "validate request"},
      {"Cache-Control: max-age=abc", 0, "validate request"},
      {"Cache-Control: max-age=600", 60'000, "validate stale"},
      {"Cache-Control: min-fresh=20", 40'000, "fresh"},
      {"Cache-Control: min-fresh=20", 40'001, "validate request"},
      {"Cache-Control: min-fresh=abc", 0, "validate request"},
      {"Cache-Control: no-cache", 0, "validate request"},
      {"Pragma: no-cache", 0, "validate request"},
      {"Cache-Control: no-cache", 70'000, "validate stale"},
      {"Cache-Control: no-store", 0, "fresh"},
      {"Cache-Control: only-if-cached", 0, "fresh"},
      {"Cache-Control: foo", 0, "fresh"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.request);
    CAPTURE(row.ms);
    CHECK(decide(row.request, stored("Cache-Control: max-age=60"), caching(), row.ms) == row.decision);
  }
}

TEST_CASE("max-stale accepts what is stale by no more than that") {
  struct Row {
    const char* request;
    std::int64_t ms;
    const char* decision;
  };
  const Row rows[] = {
      {"Cache-Control: max-stale=10", 70'000, "fresh"},
      {"Cache-Control: max-stale=10", 70'001, "validate stale"},
      {"Cache-Control: max-stale", 86'400'000, "fresh"},
      {"Cache-Control: max-stale=0", 60'000, "fresh"},
      {"Cache-Control: max-stale=abc", 60'001, "validate stale"},
      {"Cache-Control: max-stale, max-age=65", 65'000, "fresh"},
      {"Cache-Control: max-stale, max-age=65", 65'001, "validate request"},
      {"Cache-Control: max-stale, min-fresh=1", 60'000, "validate request"},
      {"Cache-Control: max-stale, no-cache", 60'000, "validate request"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.request);
    CAPTURE(row.ms);
    CHECK(decide(row.request, stored("Cache-Control: max-age=60"), caching(), row.ms) == row.decision);
  }
  CHECK(may_reuse(asked("Cache-Control: max-stale"), stored("Cache-Control: max-age=60"), caching(), after_ms(63'000))
            .ttl_ms == -3000);
}

TEST_CASE("must-revalidate, proxy-revalidate and s-maxage forbid stale answers") {
  for (const char* response :
       {"Cache-Control: max-age=60, must-revalidate", "Cache-Control: max-age=60, proxy-revalidate",
        "Cache-Control: s-maxage=60", "Cache-Control: max-age=60, must-revalidate=x"}) {
    CAPTURE(response);
    CHECK(decide("Cache-Control: max-stale", stored(response), caching(), 59'999) == "fresh");
    CHECK(decide("Cache-Control: max-stale", stored(response), caching(), 60'000) == "validate stale");
    CHECK(decide("Cache-Control: max-stale=600", stored(response), caching(), 60'000) == "validate stale");
  }
}

TEST_CASE("a stale response of a personal kind is refused before its age is looked at") {
  CHECK(decide("Cookie: a=b\nCache-Control: max-stale", stored(""), with_ttl(), 90'000) == "refuse request cookie");
}

TEST_CASE("an age that can't be known is stale") {
  CHECK(decide("", stored("Cache-Control: max-age=2147483647\nAge: 99999999"), caching(), 0) == "validate stale");
}

TEST_CASE("no clock makes a response younger than it came") {
  const ResponseMeta meta = stored("Cache-Control: max-age=60\nAge: 60");
  CHECK(decide("", meta, caching(), -1'000'000) == "validate stale");
  CHECK(words(may_reuse({}, meta, caching(), {0, std::numeric_limits<std::int64_t>::min()})) == "validate stale");
  CHECK(words(may_reuse({}, meta, caching(), {0, std::numeric_limits<std::int64_t>::max()})) == "validate stale");
}
