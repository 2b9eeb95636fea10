// Lifetime and age (RFC 9111 4.2, 5.3; RFC 9110 6.6.1).
#include "core/freshness.hpp"

#include <doctest/doctest.h>

#include <array>
#include <limits>
#include <string>

#include "core/http_date.hpp"
#include "message_builder.hpp"

using namespace pillion;
using namespace std::chrono_literals;
using config::FreshnessFrom;
using pillion::test::Lines;
using pillion::test::start_s;

namespace {

constexpr Now arrival{start_s * 1000 + 400, 50'000};
constexpr std::int64_t max_i64 = std::numeric_limits<std::int64_t>::max();
constexpr std::int32_t max_i32 = std::numeric_limits<std::int32_t>::max();

std::string date(std::int64_t offset_s) {
  char out[http_date_size];
  write_http_date(start_s + offset_s, out);
  return {out, http_date_size};
}

/// Of a response that took `delay_ms` to come.
ResponseMeta meta_of(const std::string& lines, unsigned status = 200, std::int64_t delay_ms = 0, Now now = arrival) {
  const Lines fields(lines);
  ResponseHead head;
  head.status = status;
  head.fields = fields;
  return make_meta(head, now.mono_ms - delay_ms, now);
}

config::Route route_with_ttl(config::Milliseconds ttl, FreshnessFrom from = FreshnessFrom::origin_first) {
  config::Route route;
  route.cache = config::CacheMode::on;
  route.ttl = ttl;
  route.freshness = from;
  return route;
}

}  // namespace

TEST_CASE("Date is that of the response, or else the time of receipt") {
  CHECK(meta_of("Date: " + date(-10)).date_s == start_s - 10);
  CHECK(meta_of("Date: " + date(10)).date_s == start_s + 10);
  for (const char* lines : {"", "Date: yesterday", "Date: 0", "Date:"})
    CHECK_MESSAGE(meta_of(lines).date_s == start_s, lines);
  CHECK(meta_of("Date: " + date(-10) + "\nDate: " + date(-20)).date_s == start_s);
}

TEST_CASE("freshness: Expires counts for nothing beside a targeted field") {
  const std::string expires = "Date: " + date(0) + "\nExpires: " + date(100) + "\n";
  CHECK(meta_of(expires + "CDN-Cache-Control: unknown").expires_s == no_delta);
  CHECK(meta_of(expires + "Pillion-Cache-Control: public").expires_s == no_delta);
  CHECK_FALSE(explicit_lifetime(meta_of(expires + "CDN-Cache-Control: public")).is_explicit());
  CHECK(explicit_lifetime(meta_of(expires + "CDN-Cache-Control: max-age=5")).ms == 5000);
  CHECK(meta_of(expires + "CDN-Cache-Control: max-age=x").expires_s == 100);
  CHECK(meta_of(expires + "CDN-Cache-Control:").expires_s == 100);
}

TEST_CASE("the explicit lifetime is s-maxage, else max-age, else Expires less Date") {
  struct Row {
    std::string lines;
    std::int64_t ms;
    LifetimeFrom from;
  };
  const std::string now = "Date: " + date(0) + "\n";
  const Row rows[] = {
      {"Cache-Control: s-maxage=5, max-age=60\nExpires: " + date(600), 5000, LifetimeFrom::s_maxage},
      {"Cache-Control: s-maxage=0, max-age=60", 0, LifetimeFrom::s_maxage},
      {"Cache-Control: s-maxage=x, max-age=60", 0, LifetimeFrom::s_maxage},
      {"Cache-Control: max-age=60\nExpires: " + date(600), 60'000, LifetimeFrom::max_age},
      {"Cache-Control: max-age=0\nExpires: " + date(600), 0, LifetimeFrom::max_age},
      {"Cache-Control: max-age=4294967296", 2'147'483'647'000, LifetimeFrom::max_age},
      {now + "Expires: " + date(600), 600'000, LifetimeFrom::expires},
      {now + "Cache-Control: public\nExpires: " + date(600), 600'000, LifetimeFrom::expires},
      {"Date: " + date(3600) + "\nExpires: " + date(4200), 600'000, LifetimeFrom::expires},  // clocks may differ
      {"Date: " + date(-30) + "\nExpires: " + date(30), 60'000, LifetimeFrom::expires},
      {"Expires: " + date(30), 30'000, LifetimeFrom::expires},  // without Date: from receipt
      {now + "Expires: " + date(0), 0, LifetimeFrom::expires},
      {now + "Expires: " + date(-600), 0, LifetimeFrom::expires},
      {now + "Expires: 0", 0, LifetimeFrom::expires},
      {now + "Expires: -1", 0, LifetimeFrom::expires},
      {now + "Expires:", 0, LifetimeFrom::expires},
      {now + "Expires: " + date(600) + ", " + date(600), 0, LifetimeFrom::expires},
      {now + "Expires: " + date(600) + "\nExpires: " + date(600), 0, LifetimeFrom::expires},
      {now + "Expires: Fri, 31 Dec 9999 23:59:59 GMT", 2'147'483'647'000, LifetimeFrom::expires},
      {now, 0, LifetimeFrom::none},
      {"Cache-Control: public, no-cache", 0, LifetimeFrom::none},
      {"Pragma: no-cache\nLast-Modified: " + date(-600), 0, LifetimeFrom::none},
  };
  for (const Row& row : rows) {
    CAPTURE(row.lines);
    const Lifetime lifetime = explicit_lifetime(meta_of(row.lines));
    CHECK(lifetime.ms == row.ms);
    CHECK(lifetime.from == row.from);
    CHECK(lifetime.is_explicit() == (row.from != LifetimeFrom::none));
  }
}

TEST_CASE("who decides the lifetime is the route's to say") {
  struct Row {
    FreshnessFrom from;
    const char* lines;
    std::int64_t ms;
    LifetimeFrom source;
  };
  const Row rows[] = {
      {FreshnessFrom::origin_first, "Cache-Control: max-age=60", 60'000, LifetimeFrom::max_age},
      {FreshnessFrom::origin_first, "Cache-Control: max-age=0", 0, LifetimeFrom::max_age},
      {FreshnessFrom::origin_first, "Expires: 0", 0, LifetimeFrom::expires},
      {FreshnessFrom::origin_first, "", 5000, LifetimeFrom::ttl},
      {FreshnessFrom::origin_first, "Cache-Control: public", 5000, LifetimeFrom::ttl},
      {FreshnessFrom::route, "Cache-Control: s-maxage=60", 5000, LifetimeFrom::ttl},
      {FreshnessFrom::route, "Cache-Control: max-age=0", 5000, LifetimeFrom::ttl},
      {FreshnessFrom::route, "", 5000, LifetimeFrom::ttl},
      {FreshnessFrom::origin, "Cache-Control: max-age=60", 60'000, LifetimeFrom::max_age},
      {FreshnessFrom::origin, "", 0, LifetimeFrom::none},
  };
  for (const Row& row : rows) {
    CAPTURE(row.lines);
    CAPTURE(static_cast<int>(row.from));
    const Lifetime lifetime = lifetime_of(meta_of(row.lines), route_with_ttl(5s, row.from));
    CHECK(lifetime.ms == row.ms);
    CHECK(lifetime.from == row.source);
  }
}

TEST_CASE("ttl serves the statuses that are lasting answers, others need a lifetime of their own") {
  config::Route route = route_with_ttl(5s);
  for (unsigned status : {200u, 203u, 204u, 300u, 301u, 308u, 410u}) {
    CAPTURE(status);
    CHECK(lifetime_of(meta_of("", status), route).from == LifetimeFrom::ttl);
  }
  for (unsigned status :
       {201u, 202u, 206u, 302u, 303u, 304u, 307u, 400u, 401u, 403u, 404u, 405u, 414u, 418u, 429u, 500u, 501u, 503u}) {
    CAPTURE(status);
    CHECK(lifetime_of(meta_of("", status), route).from == LifetimeFrom::none);
    CHECK(lifetime_of(meta_of("Cache-Control: max-age=60", status), route).ms == 60'000);
  }
  route.ttl_by_status = {{404, 10s}, {200, 1s}, {302, 0s}};
  CHECK(lifetime_of(meta_of("", 404), route).ms == 10'000);
  CHECK(lifetime_of(meta_of("", 404), route).from == LifetimeFrom::ttl_by_status);
  CHECK(lifetime_of(meta_of("", 200), route).ms == 1000);
  CHECK(lifetime_of(meta_of("", 302), route).ms == 0);
  CHECK(lifetime_of(meta_of("Cache-Control: max-age=60", 404), route).from == LifetimeFrom::max_age);
  route.freshness = FreshnessFrom::route;
  CHECK(lifetime_of(meta_of("Cache-Control: max-age=60", 404), route).ms == 10'000);
  CHECK(lifetime_of(meta_of("Cache-Control: max-age=60", 405), route).ms == 60'000);
  route.freshness = FreshnessFrom::origin;
  CHECK(lifetime_of(meta_of("", 404), route).from == LifetimeFrom::none);
  CHECK(explicit_lifetime(meta_of("", 404)).from == LifetimeFrom::none);
}

TEST_CASE("a lifetime beyond all bounds is bounded") {
  CHECK(lifetime_of(meta_of(""), route_with_ttl(config::Milliseconds(max_i64))).ms == 2'147'483'647'000);
  CHECK(lifetime_of(meta_of(""), route_with_ttl(-5s)).ms == 0);
}

TEST_CASE("heuristic lifetimes are off unless asked for, and a share of the time unchanged") {
  const std::string lines = "Date: " + date(0) + "\nLast-Modified: " + date(-1000);
  config::Route route;
  CHECK(lifetime_of(meta_of(lines), route).from == LifetimeFrom::none);
  route.heuristic = 0.1;
  CHECK(lifetime_of(meta_of(lines), route).ms == 100'000);
  CHECK(lifetime_of(meta_of(lines), route).from == LifetimeFrom::heuristic);
  CHECK_FALSE(lifetime_of(meta_of(lines), route).is_explicit());
  CHECK(lifetime_of(meta_of("Cache-Control: max-age=5\n" + lines), route).from == LifetimeFrom::max_age);
  CHECK(lifetime_of(meta_of("Expires: 0\n" + lines), route).ms == 0);
  CHECK(lifetime_of(meta_of("Date: " + date(0)), route).from == LifetimeFrom::none);
  CHECK(lifetime_of(meta_of("Last-Modified: soon"), route).from == LifetimeFrom::none);
  CHECK(lifetime_of(meta_of("Date: " + date(0) + "\nLast-Modified: " + date(500)), route).ms == 0);
  CHECK(lifetime_of(meta_of("Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT"), route).ms == max_heuristic_ms);
  for (unsigned status : {203u, 204u, 300u, 301u, 308u, 404u, 405u, 410u})
    CHECK(lifetime_of(meta_of(lines, status), route).from == LifetimeFrom::heuristic);
  for (unsigned status : {201u, 302u, 307u, 400u, 403u, 500u})
    CHECK(lifetime_of(meta_of(lines, status), route).from == LifetimeFrom::none);
  CHECK(lifetime_of(meta_of("Cache-Control: public\n" + lines, 302), route).from == LifetimeFrom::heuristic);
  route.ttl = 7s;  // what the route says goes before what may be guessed
  CHECK(lifetime_of(meta_of(lines), route).ms == 7000);
  route.freshness = FreshnessFrom::origin;
  CHECK(lifetime_of(meta_of(lines), route).from == LifetimeFrom::heuristic);
  for (double odd : {-1.0, std::numeric_limits<double>::quiet_NaN(), 1e300, std::numeric_limits<double>::infinity()}) {
    route.heuristic = odd;
    CHECK(lifetime_of(meta_of(lines), route).ms <= max_heuristic_ms);
    CHECK(lifetime_of(meta_of(lines), route).ms >= 0);
  }
}

TEST_CASE("the age at arrival is the greater of Date's and of Age with the time on the way") {
  struct Row {
    std::string lines;
    std::int64_t delay_ms;
    std::int64_t age_ms;
  };
  const Row rows[] = {
      {"", 0, 0},
      {"Date: " + date(0), 0, 0},  // arrived 400 ms later by our clock: the same second
      {"Date: " + date(-1), 0, 1000},
      {"Date: " + date(-100), 0, 100'000},
      {"Date: " + date(100), 0, 0},  // their clock is ahead
      {"Date: " + date(0), 250, 250},
      {"Date: " + date(-100), 250, 100'000},
      {"Age: 30", 0, 30'000},
      {"Age: 30", 250, 30'250},
      {"Age: 30\nDate: " + date(-100), 250, 100'000},
      {"Age: 200\nDate: " + date(-100), 250, 200'250},
      {"Age: 30, 40", 0, 30'000},
      {"Age: abc\nDate: " + date(-100), 0, 100'000},
      {"Age: -5", 0, 0},
      {"", -250, 0},  // a clock that ran backwards
  };
  for (const Row& row : rows) {
    CAPTURE(row.lines);
    CAPTURE(row.delay_ms);
    CHECK(current_age_ms(meta_of(row.lines, 200, row.delay_ms), arrival) == row.age_ms);
  }
}

TEST_CASE("age grows by the steady clock, whatever the wall clock does") {
  const ResponseMeta meta = meta_of("Age: 30\nDate: " + date(0));
  CHECK(current_age_ms(meta, {arrival.wall_ms, arrival.mono_ms + 1234}) == 31'234);
  CHECK(current_age_ms(meta, {arrival.wall_ms + 3'600'000, arrival.mono_ms}) == 30'000);
  CHECK(current_age_ms(meta, {0, arrival.mono_ms + 1}) == 30'001);
  CHECK(current_age_ms(meta, {arrival.wall_ms, arrival.mono_ms - 999}) == 30'000);
}

TEST_CASE("what is so old that its age can't be kept is older than any lifetime") {
  for (const std::string& lines : {std::string("Age: 2147484"), std::string("Age: 99999999999999999999"),
                                   std::string("Date: Thu, 01 Jan 1970 00:00:00 GMT")}) {
    CAPTURE(lines);
    const ResponseMeta meta = meta_of(lines + "\nCache-Control: max-age=2147483647");
    CHECK(current_age_ms(meta, arrival) > explicit_lifetime(meta).ms);
  }
  CHECK(current_age_ms(meta_of("Age: 2147483"), arrival) == 2'147'483'000);
}

TEST_CASE("no clock and no stored number overflows") {
  for (std::int64_t a : {std::int64_t{0}, max_i64, std::numeric_limits<std::int64_t>::min(), std::int64_t{-1}}) {
    for (std::int64_t b : {std::int64_t{0}, max_i64, std::numeric_limits<std::int64_t>::min()}) {
      const Lines fields(
          "Age: 5\nExpires: Fri, 31 Dec 9999 23:59:59 GMT\nLast-Modified: Thu, 01 Jan 1970 00:00:00 GMT");
      ResponseHead head;
      head.status = 200;
      head.fields = fields;
      ResponseMeta meta = make_meta(head, a, {b, a});
      CHECK(meta.initial_age_ms >= 0);
      meta.received_mono_ms = b;
      meta.initial_age_ms = max_i32 - 1;
      CHECK(current_age_ms(meta, {0, a}) >= 0);
      meta.initial_age_ms = std::numeric_limits<std::int32_t>::min();
      CHECK(current_age_ms(meta, {0, a}) >= 0);
      meta.date_s = a;
      meta.last_modified_s = b;
      config::Route route;
      route.heuristic = 1.0;
      CHECK(lifetime_of(meta, route).ms >= 0);
    }
  }
}

TEST_CASE("the other facts of a head") {
  CHECK(meta_of("", 404).status == 404);
  CHECK(meta_of("Set-Cookie: a=b").had_set_cookie);
  CHECK_FALSE(meta_of("Cookie: a=b").had_set_cookie);
  CHECK(meta_of("").received_mono_ms == arrival.mono_ms);
  CHECK(meta_of("").received_wall_ms == arrival.wall_ms);
  CHECK(meta_of("Cache-Control: no-store").directives.no_store);
}

TEST_CASE("validators are a well-formed entity tag or a date") {
  struct Row {
    std::string lines;
    bool validator;
    bool strong;
    std::int64_t last_modified_s;
  };
  const Row rows[] = {
      {"", false, false, -1},
      {"ETag: \"a\"", true, true, -1},
      {"ETag: W/\"a\"", true, false, -1},
      {"ETag: a", false, false, -1},
      {"ETag: w/\"a\"", false, false, -1},
      {"ETag: \"a", false, false, -1},
      {"ETag: \"a\"\nETag: \"b\"", false, false, -1},
      {"Last-Modified: " + date(-5), true, false, start_s - 5},
      {"Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT", true, false, 0},
      {"Last-Modified: Wed, 31 Dec 1969 23:59:59 GMT", false, false, -1},
      {"Last-Modified: Wed, 31 Dec 1900 23:59:59 GMT", false, false, -1},
      {"Last-Modified: 0", false, false, -1},
      {"Last-Modified: " + date(-5) + "\nLast-Modified: " + date(-6), false, false, -1},
      {"ETag: \"a\"\nLast-Modified: " + date(-5), true, true, start_s - 5},
  };
  for (const Row& row : rows) {
    CAPTURE(row.lines);
    const ResponseMeta meta = meta_of(row.lines);
    CHECK(meta.has_validator == row.validator);
    CHECK(meta.has_strong_etag == row.strong);
    CHECK(meta.last_modified_s == row.last_modified_s);
  }
}

TEST_CASE("the words for where a lifetime is from") {
  CHECK(to_string(LifetimeFrom::none) == "");
  CHECK(to_string(LifetimeFrom::s_maxage) == "s-maxage");
  CHECK(to_string(LifetimeFrom::max_age) == "max-age");
  CHECK(to_string(LifetimeFrom::expires) == "expires");
  CHECK(to_string(LifetimeFrom::ttl) == "ttl");
  CHECK(to_string(LifetimeFrom::ttl_by_status) == "ttl_by_status");
  CHECK(to_string(LifetimeFrom::heuristic) == "heuristic");
}

namespace {

config::Route adaptive_route(FreshnessFrom from = FreshnessFrom::origin_first) {
  config::Route route = route_with_ttl(5min, from);
  route.adaptive = {30s, 1h};
  return route;
}

std::int64_t lifetime_ms(const config::Route& route, const std::string& lines, std::int64_t learned_ms,
                         unsigned status = 200) {
  ResponseMeta meta = meta_of(lines, status);
  meta.learned = learned_ms == 0 ? 0 : pack_lifetime(learned_ms);
  return lifetime_of(meta, route).ms;
}

}  // namespace

TEST_CASE("freshness: a learned lifetime takes the place of the route's, within its bounds") {
  const config::Route route = adaptive_route();
  CHECK(lifetime_ms(route, "", 0) == 300'000);
  CHECK(lifetime_ms(route, "", 600'000) == unpack_lifetime(pack_lifetime(600'000)));
  CHECK(lifetime_ms(route, "", 10'000) == 30'000);
  CHECK(lifetime_ms(route, "", 90'000'000) == 3'600'000);
  CHECK(lifetime_ms(route_with_ttl(5min), "", 600'000) == 300'000);
  // A reload binds what was learned before.
  config::Route later = route;
  later.adaptive = {1s, 2min};
  CHECK(lifetime_ms(later, "", 600'000) == 120'000);
  CHECK(lifetime_ms(later, "", 0) == 120'000);
}

TEST_CASE("freshness: a learned lifetime never goes past what the response itself allows") {
  const config::Route route = adaptive_route();
  for (const std::string& lines : {std::string("Cache-Control: max-age=60"), std::string("Cache-Control: s-maxage=60"),
                                   "Date: " + date(0) + "\nExpires: " + date(60)}) {
    CAPTURE(lines);
    CHECK(lifetime_ms(route, lines, 0) == 60'000);
    CHECK(lifetime_ms(route, lines, 3'600'000) == 60'000);
    CHECK(lifetime_ms(route, lines, 40'000) == unpack_lifetime(pack_lifetime(40'000)));
  }
  CHECK(lifetime_ms(route, "Cache-Control: max-age=5", 3'600'000) == 5'000);  // nor up to the least
  CHECK(lifetime_ms(route, "Cache-Control: max-age=0", 3'600'000) == 0);
  CHECK(lifetime_ms(route, "Expires: 0", 3'600'000) == 0);
  CHECK(lifetime_ms(route, "Cache-Control: max-age=86400", 0) == 3'600'000);
  CHECK(lifetime_ms(adaptive_route(FreshnessFrom::origin), "", 600'000) == 0);
}

TEST_CASE("freshness: where the route decides, a learned lifetime goes no further than it or the response does") {
  const config::Route route = adaptive_route(FreshnessFrom::route);
  CHECK(lifetime_ms(route, "Cache-Control: max-age=60", 0) == 300'000);
  CHECK(lifetime_ms(route, "Cache-Control: max-age=60", 3'600'000) == 300'000);
  CHECK(lifetime_ms(route, "Cache-Control: max-age=60", 31'000) <= 32'000);
  CHECK(lifetime_ms(route, "Cache-Control: max-age=3600", 3'600'000) == 3'600'000);
  CHECK(lifetime_ms(route, "", 3'600'000) == 3'600'000);
}

TEST_CASE("freshness: lifetimes by status aren't learned") {
  config::Route route = adaptive_route();
  route.ttl_by_status[404] = 10s;
  CHECK(lifetime_ms(route, "", 600'000, 404) == 10'000);
}

TEST_CASE("freshness: jitter shortens a lifetime by its lot, never lengthens it, and says the same everywhere") {
  config::Route route = route_with_ttl(100s);
  ResponseMeta meta = meta_of("");
  meta.draw = 127;
  CHECK(lifetime_of(meta, route).ms == 100'000);
  route.refresh.jitter = 0.05;
  CHECK(lifetime_of(meta, route).ms == 95'040);
  meta.draw = 64;
  CHECK(lifetime_of(meta, route).ms == 97'500);
  meta.draw = 0;
  CHECK(lifetime_of(meta, route).ms == 100'000);
  // Of what the response says itself too, and never to nothing.
  meta = meta_of("Cache-Control: max-age=100");
  meta.draw = 64;
  CHECK(lifetime_of(meta, route).ms == 97'500);
  meta = meta_of("Cache-Control: max-age=0");
  meta.draw = 127;
  CHECK(lifetime_of(meta, route).ms == 0);
}

TEST_CASE("freshness: the lots of keys received together are spread evenly, and one key's is always the same") {
  std::array<int, 4> quarters{};
  for (int i = 0; i < 4000; ++i) {
    const std::string key = "app/api/characters/" + std::to_string(i);
    const std::uint8_t draw = lifetime_draw(key, 1'700'000'000'000);
    REQUIRE(draw < 128);
    CHECK(draw == lifetime_draw(key, 1'700'000'000'000));
    ++quarters[draw / 32];
  }
  for (const int n : quarters) CHECK((n > 850 && n < 1150));
  int other = 0;
  for (int i = 0; i < 100; ++i) other += lifetime_draw("a", i) != lifetime_draw("a", i + 1) ? 1 : 0;
  CHECK(other > 90);  // the next time it is another lot
}
