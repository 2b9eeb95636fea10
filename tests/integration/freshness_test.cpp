// How long a response is fresh (RFC 9111 4.2, 5.1 to 5.4; RFC 8246): dates, Age, directives, heuristics, statuses.
#include <ctime>

#include "integration.hpp"

namespace {

/// The time `seconds` from now, as strftime(3) writes it.
std::string date_as(const char* format, long seconds) {
  std::time_t at = std::time(nullptr) + seconds;
  std::tm parts{};
  ::gmtime_r(&at, &parts);
  char text[64];
  std::strftime(text, sizeof text, format, &parts);
  return text;
}

constexpr const char* rfc850 = "%A, %d-%b-%y %H:%M:%S GMT";
constexpr const char* asctime_form = "%a %b %e %H:%M:%S %Y";

Fields expires(std::string value) { return {{"Expires", std::move(value)}}; }

ReuseRow expiring(const std::string& value, bool reused) { return {"Expires: " + value, expires(value), reused}; }

ReuseRow directive(const std::string& value, bool reused) {
  return {"Cache-Control: " + value, caching(value), reused};
}

}  // namespace

TEST_CASE("freshness: Expires in each of the three formats of a date, however its names are cased") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  check_reuse(proxy, upstream,
              {
                  expiring(http_date(3600), true),
                  expiring(date_as(rfc850, 3600), true),
                  expiring(date_as(asctime_form, 3600), true),
                  expiring(lower(http_date(3600)), true),
                  expiring("Thu, 18 AUG 2050 02:01:18 gMT", true),
                  expiring("Thu, 18 Aug 2050 02:01:18 GMT", true),
                  expiring("Fri, 31 Dec 9999 23:59:59 GMT", true),
                  expiring(http_date(-3600), false),
                  expiring(date_as(rfc850, -3600), false),
                  expiring(date_as(asctime_form, -3600), false),
                  expiring("Thu, 01 Jan 1970 00:00:00 GMT", false),
                  // Two digits of a year that would lie more than 50 years ahead are of the past.
                  expiring(date_as("%A, %d-%b-", 0) + date_as("%y", 60L * 366 * 86400) + " 00:00:00 GMT", false),
              });
}

TEST_CASE("freshness: what is no date is in the past") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  std::vector<ReuseRow> rows;
  for (const char* value : {"",
                            "0",
                            "-1",
                            "never",
                            "9999999999",
                            "2050-08-18T02:01:18Z",
                            "Thu, 18 Aug 2050 02:01:18",
                            "Thu, 18 Aug 2050 02:01:18 UTC",
                            "Thu, 18 Aug 2050 02:01:18 AEST",
                            "Thu, 18 Aug 2050 02:01:18 +0000",
                            "Thu, 18 Aug 2050 02:01:18 GMT+2",
                            "Thu, 18 Aug 50 02:01:18 GMT",
                            "Thu 18 Aug 2050 02:01:18 GMT",
                            "Thu, 18-Aug-2050 02:01:18 GMT",
                            "Thu, 18 Aug 2050 2:01:18 GMT",
                            "Thu, 8 Aug 2050 02:01:18 GMT",
                            "Thu, 18  Aug 2050 02:01:18 GMT",
                            "Thu, 18 Aug 2050 02.01.18 GMT",
                            "Thu, 18 Aug 2050 24:01:18 GMT",
                            "Thu, 31 Jun 2050 02:01:18 GMT",
                            "18 Aug 2050 02:01:18 GMT",
                            "Thu Aug 18 02:01:18 2050 GMT",
                            "Thu, 18 Aug 2050 02:01:18 GMT; soon"}) {
    rows.push_back(expiring(value, false));
  }
  check_reuse(proxy, upstream, rows);
}

TEST_CASE("freshness: several Expires lines are stale at once, whatever they say") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  std::string later = http_date(3600);
  check_reuse(proxy, upstream,
              {
                  {"two in the future", {{"Expires", later}, {"Expires", http_date(7200)}}, false},
                  {"twice the same", {{"Expires", later}, {"Expires", later}}, false},
                  {"the first in the past", {{"Expires", http_date(-60)}, {"Expires", later}}, false},
                  {"the second in the past", {{"Expires", later}, {"Expires", http_date(-60)}}, false},
                  {"max-age beside them wins", caching("max-age=60", {{"Expires", later}, {"Expires", "0"}}), true},
              });
}

TEST_CASE("freshness: Expires counts from Date, and Date says how old the response came") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  check_reuse(proxy, upstream,
              {
                  {"equal to Date", {{"Expires", http_date(3600)}, {"Date", http_date(3600)}}, false},
                  {"a lifetime that the time since Date uses up",
                   {{"Expires", http_date(-10)}, {"Date", http_date(-100)}},
                   false},
                  {"some of it left", {{"Expires", http_date(600)}, {"Date", http_date(-600)}}, true},
                  {"a Date of the future makes nothing older", caching("max-age=60", {{"Date", http_date(900)}}), true},
                  {"an old Date", caching("max-age=60", {{"Date", http_date(-120)}}), false},
                  {"an old Date of RFC 850", caching("max-age=60", {{"Date", date_as(rfc850, -120)}}), false},
                  {"an old Date of asctime", caching("max-age=60", {{"Date", date_as(asctime_form, -120)}}), false},
                  {"a Date that is none counts as now",
                   caching("max-age=60", {{"Date", "Thu, 18 Aug 2016 02:01:18 UTC"}}), true},
                  {"and Expires counts from now then", {{"Expires", http_date(600)}, {"Date", "yesterday"}}, true},
              });
}

TEST_CASE("freshness: Age, its first member where it is a list, and nothing where it is no number") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  auto aged = [](const std::string& age, bool reused) {
    return ReuseRow{"Age: " + age, caching("max-age=3600", {{"Age", age}}), reused};
  };
  check_reuse(proxy, upstream,
              {
                  aged("0", true),
                  aged("3000", true),
                  aged("0003000", true),
                  aged("3600", false),
                  aged("7200", false),
                  aged("2147483647", false),
                  aged("2147483648", false),
                  aged("2147483649", false),
                  aged("4294967296", false),
                  aged("18446744073709551616", false),
                  aged("99999999999999999999999999999999999999", false),
                  aged("0, 7200", true),
                  aged("7200, 0", false),
                  {"two lines, the first counts", caching("max-age=3600", {{"Age", "0"}, {"Age", "7200"}}), true},
                  {"two lines, the first is old", caching("max-age=3600", {{"Age", "7200"}, {"Age", "0"}}), false},
                  aged("", true),
                  aged("-7200", true),
                  aged("+7200", true),
                  aged("7200.0", true),
                  aged("7200s", true),
                  aged("a7200", true),
                  aged("7200;x=1", true),
                  aged("\"7200\"", true),
                  aged("abc, 7200", true),
              });
}

TEST_CASE("freshness: the Age that clients see is one number, and it grows from what came") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  struct Row {
    Fields fields;
    long age, ttl;  ///< of a hit at once
  };
  const Row rows[] = {
      {caching("max-age=3600"), 0, 3600},
      {caching("max-age=3600", {{"Age", "1000"}}), 1000, 2600},
      {caching("max-age=3600", {{"Age", "1000, 2000"}}), 1000, 2600},
      {caching("max-age=3600", {{"Age", "-5"}}), 0, 3600},
      {caching("max-age=3600", {{"Date", http_date(-1000)}}), 1000, 2600},
      {caching("max-age=3600", {{"Date", http_date(-1000)}, {"Age", "300"}}), 1000, 2600},
      {caching("max-age=3600", {{"Date", http_date(-300)}, {"Age", "1000"}}), 1000, 2600},
      {caching("max-age=99999999999999999999"), 0, 2147483648},
  };
  int n = 0;
  for (const Row& row : rows) {
    std::string target = "/" + std::to_string(n++) + "/";
    CAPTURE(target);
    upstream.answer(target, numbered(row.fields));
    proxy.get(target);
    Response hit = proxy.get(target);
    REQUIRE(outcome(hit) == "hit");
    REQUIRE(hit.fields.count("Age") == 1);
    CHECK(std::stol(hit["Age"]) >= row.age);
    CHECK(std::stol(hit["Age"]) <= row.age + 30);
    CHECK(*cache_status(hit).ttl <= row.ttl);
    CHECK(*cache_status(hit).ttl >= row.ttl - 30);
  }
}

TEST_CASE("freshness: the time that an answer took counts to its age") {
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    gate.wait();
    exchange.respond(200, caching("max-age=60", {{"Age", "10"}}), "x");
  });
  Pillion proxy(caching_config(upstream.endpoint()));
  HttpClient client = proxy.connect();
  client.send_request("GET", "/");
  CHECK(client.stream().stays_silent(1100ms));
  gate.open();
  CHECK(client.read_response().body == "x");
  CHECK(eventually([&] { return outcome(proxy.get("/")) == "hit"; }));
  CHECK(std::stol(proxy.get("/")["Age"]) >= 11);
}

TEST_CASE("freshness: s-maxage wins over max-age, max-age over Expires") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  std::string past = http_date(-60);
  std::string later = http_date(3600);
  check_reuse(proxy, upstream,
              {
                  {"s-maxage alone", caching("s-maxage=60"), true},
                  {"s-maxage first", caching("max-age=0, s-maxage=60", {{"Expires", past}}), true},
                  {"s-maxage=0 too", caching("s-maxage=0, max-age=60", {{"Expires", later}}), false},
                  {"max-age then", caching("max-age=60", {{"Expires", past}}), true},
                  {"max-age=0 too", caching("max-age=0", {{"Expires", later}}), false},
                  {"a malformed s-maxage isn't passed over", caching("s-maxage=soon, max-age=60"), false},
                  {"a malformed max-age isn't passed over", caching("max-age=soon", {{"Expires", later}}), false},
                  {"public gives no lifetime", caching("public"), false},
                  {"nor does immutable", caching("immutable"), false},
                  {"immutable beside one", caching("max-age=60, immutable"), true},
                  {"immutable is not beyond it", caching("max-age=10, immutable", {{"Age", "20"}}), false},
              });
}

TEST_CASE("freshness: directives in odd spellings") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  check_reuse(proxy, upstream,
              {
                  directive("MAX-AGE=60", true),
                  directive("mAx-AgE=60", true),
                  directive("max-age=\"60\"", true),
                  directive("S-MaxAge=\"60\"", true),
                  directive("max-age=0060", true),
                  directive("max-age=99999999999999999999999", true),
                  directive(",, max-age=60 ,", true),
                  directive("public,max-age=60", true),
                  directive("unknown, max-age=60, other=\"a, b\"", true),
                  directive("max-age=0, max-age=60", false),
                  {"two lines, the first counts or none",
                   {{"Cache-Control", "max-age=0"}, {"Cache-Control", "max-age=60"}},
                   false},
                  {"a second line", {{"Cache-Control", "unknown"}, {"Cache-Control", "max-age=60"}}, true},
                  directive("max-age", false),
                  directive("max-age=", false),
                  directive("max-age=\"\"", false),
                  directive("max-age='60'", false),
                  directive("max-age=-1", false),
                  directive("max-age=+60", false),
                  directive("max-age=60.5", false),
                  directive("max-age=60s", false),
                  directive("max-age=1e3", false),
                  directive("max-age=0x60", false),
                  directive("max-age=60;x", false),
                  directive("max-age=60 x", false),
                  directive("max-age=\"60", false),
                  directive("max-age =60", false),
                  directive("max-age= 60", false),
                  directive("x-max-age=60", false),
                  directive("max-agee=60", false),
                  directive("\"max-age=60\"", false),
                  directive("other=\"max-age=60\"", false),
                  directive("other=\"a, max-age=60\"", false),
                  directive("other=\"a\\\", max-age=60\"", false),
                  directive("other=\"no-store, max-age=0\", max-age=60", true),
                  directive("no-store-please, max-age=60", true),
              });
}

TEST_CASE("freshness: a heuristic lifetime where a route turns it on") {
  ScriptedUpstream upstream;
  Pillion proxy(one_route(upstream.endpoint(), "    cache: on\n    heuristic: 10%\n"));
  std::string old = http_date(-100000);
  check_reuse(proxy, upstream,
              {
                  {"from Last-Modified", {{"Last-Modified", old}}, true},
                  {"a Date that uses it up", {{"Last-Modified", old}, {"Date", http_date(-20000)}}, false},
                  {"404", {{"Last-Modified", old}}, true, 404},
                  {"301", {{"Last-Modified", old}}, true, 301},
                  {"302 is none of the statuses for it", {{"Last-Modified", old}}, false, 302},
                  {"nor is an unknown one", {{"Last-Modified", old}}, false, 299},
                  {"302 that is public", caching("public", {{"Last-Modified", old}}), true, 302},
                  {"no Last-Modified", {}, false},
                  {"Last-Modified of the future", {{"Last-Modified", http_date(3600)}}, false},
                  {"Last-Modified that is no date", {{"Last-Modified", "1990"}}, false},
                  {"an explicit lifetime", caching("max-age=0", {{"Last-Modified", old}}), false},
                  {"an explicit Expires", {{"Last-Modified", old}, {"Expires", "0"}}, false},
                  {"no-store", caching("no-store", {{"Last-Modified", old}}), false},
              });
  upstream.answer("/ttl", numbered({{"Last-Modified", old}}));
  proxy.get("/ttl");
  long ttl = cache_status(proxy.get("/ttl")).ttl.value_or(0);
  CHECK(ttl > 9900);
  CHECK(ttl <= 10030);
}

TEST_CASE("freshness: no heuristic lifetime where nobody asks for one") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  std::string old = http_date(-100000);
  check_reuse(proxy, upstream,
              {
                  {"Last-Modified alone", {{"Last-Modified", old}}, false},
                  {"public doesn't", caching("public", {{"Last-Modified", old}}), false},
              });
}

TEST_CASE("freshness: statuses that are kept with an explicit lifetime, unknown ones too") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  std::vector<ReuseRow> rows;
  for (int status : {200, 203, 204, 299, 300, 301, 302, 307, 308, 399, 404, 405, 410, 451, 499, 599}) {
    rows.push_back({std::to_string(status), caching("max-age=60"), true, status});
    rows.push_back({std::to_string(status) + " without one", {}, false, status});
  }
  check_reuse(proxy, upstream, rows);
}

TEST_CASE("freshness: a route's ttl isn't for statuses that it doesn't name") {
  ScriptedUpstream upstream;
  Pillion proxy(one_route(upstream.endpoint(), "    ttl: 60s\n    ttl_by_status: { 299: 60s }\n"));
  check_reuse(proxy, upstream,
              {
                  {"203", {}, true, 203},
                  {"204", {}, true, 204},
                  {"300", {}, true, 300},
                  {"308", {}, true, 308},
                  {"299 is named", {}, true, 299},
                  {"404", {}, false, 404},
                  {"499", {}, false, 499},
                  {"599", {}, false, 599},
              });
}

TEST_CASE("freshness: must-understand opens no-store where the status is understood, and forbids where it isn't") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  check_reuse(proxy, upstream,
              {
                  {"understood", caching("must-understand, no-store, max-age=60"), true},
                  {"understood, 404", caching("no-store, must-understand, max-age=60"), true, 404},
                  {"not understood", caching("must-understand, no-store, max-age=60"), false, 299},
                  {"not understood, without no-store", caching("must-understand, max-age=60"), false, 599},
                  {"private stays", caching("must-understand, private, max-age=60"), false},
              });
}

TEST_CASE("freshness: Pragma says nothing in responses, and in requests where there is no Cache-Control") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  check_reuse(proxy, upstream,
              {
                  {"in a response", caching("max-age=60", {{"Pragma", "no-cache"}}), true},
                  {"in a request", caching("max-age=60"), false, 200, {}, Fields{{"Pragma", "no-cache"}}},
                  {"in any case", caching("max-age=60"), false, 200, {}, Fields{{"Pragma", "No-Cache"}}},
                  {"beside Cache-Control",
                   caching("max-age=60"),
                   true,
                   200,
                   {},
                   Fields{{"Pragma", "no-cache"}, {"Cache-Control", "max-age=60"}}},
                  {"another word", caching("max-age=60"), true, 200, {}, Fields{{"Pragma", "fast"}}},
              });
}
