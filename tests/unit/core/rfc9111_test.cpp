// RFC 9111 read from the front, sections 1 to 4.2: what the rules of the core decide together. What each of them does
// with odd input stands in the test of its own file; tests/README.md says which requirement is shown where.
#include "rfc9111.hpp"

#include <cstdlib>
#include <ctime>

#include "core/cache_key.hpp"

using namespace pillion;
using namespace pillion::test;

TEST_CASE("rfc9111: 1.2.2 what is larger than any number here is as large as can be, and no sum of such turns young") {
  check({{"Cache-Control: max-age=2147483648", 0, "", "answers"},
         {"Cache-Control: max-age=18446744073709551617", 0, "", "answers"},
         {"Cache-Control: max-age=2147483648\nAge: 2147483648", 0, "", "validated"},
         {"Cache-Control: max-age=18446744073709551617\nAge: 18446744073709551617", 0, "", "validated"},
         {"Cache-Control: max-age=60\nAge: 2147483647", 2'147'483'647'000, "", "validated"},
         {"Cache-Control: max-age=60", 0, "Cache-Control: min-fresh=18446744073709551617", "validated"},
         {"Cache-Control: max-age=60", 0, "Cache-Control: max-age=18446744073709551617", "answers"},
         {"Cache-Control: max-age=60", 120'000, "Cache-Control: max-stale=18446744073709551617", "answers"}});
}

TEST_CASE("rfc9111: 3 a response is stored where each of the conditions holds, and not where one doesn't") {
  const std::string fresh = "Cache-Control: max-age=60";
  CHECK(stores(fresh));
  for (Method method : {Method::post, Method::put, Method::options, Method::head, Method::other})
    CHECK_FALSE(stores(fresh, 200, "", method));
  for (unsigned status : {100u, 102u, 103u, 199u, 206u, 304u}) CHECK_MESSAGE(!stores(fresh, status), status);
  CHECK(stores(fresh + ", must-understand"));
  CHECK_FALSE(stores(fresh + ", must-understand", 299));
  CHECK_FALSE(stores(fresh + ", no-store"));
  CHECK_FALSE(stores(fresh + ", private"));
  CHECK_FALSE(stores(fresh, 200, "Authorization: Basic eDp5"));
  CHECK(stores(fresh + ", public", 200, "Authorization: Basic eDp5"));
  // At least one thing says that it may be: directives, Expires, or the definition of the status.
  for (const char* says : {"Cache-Control: public, no-cache\nETag: \"a\"", "Expires: Fri, 31 Dec 9999 23:59:59 GMT",
                           "Cache-Control: max-age=60", "Cache-Control: s-maxage=60"})
    CHECK_MESSAGE(stores(says, 302), says);
  CHECK_FALSE(stores("Cache-Control: no-cache\nETag: \"a\"", 302));
  CHECK(stores("Cache-Control: no-cache\nETag: \"a\"", 301));
}

TEST_CASE("rfc9111: 3.2 each field of a newer message is taken over, but those that what is stored rests upon") {
  for (const char* name : {"Cache-Control", "Expires", "Last-Modified", "Vary", "Content-Language", "Content-Location",
                           "Content-Disposition", "Content-Security-Policy", "Link", "X-Unknown", "Warning"}) {
    CAPTURE(name);
    const auto response = stored(std::string(name) + ": old\nX-Kept: 1");
    CHECK(freshened_head(*response, Lines(std::string(name) + ": new")) ==
          "HTTP/1.1 200 OK\r\nX-Kept: 1\r\n" + std::string(name) + ": new\r\n");
    CHECK(freshened_head(*stored("X-Kept: 1"), Lines(std::string(name) + ": new")) ==
          "HTTP/1.1 200 OK\r\nX-Kept: 1\r\n" + std::string(name) + ": new\r\n");
  }
  for (const char* name : {"Content-Length", "Content-Range", "Connection", "Proxy-Authenticate",
                           "Proxy-Authentication-Info", "Proxy-Authorization"}) {
    CAPTURE(name);
    CHECK(freshened_head(*stored("X-Kept: 1"), Lines(std::string(name) + ": 1")) == "HTTP/1.1 200 OK\r\nX-Kept: 1\r\n");
  }
}

TEST_CASE("rfc9111: 3.5 what answered a request with Authorization is for others where a directive allows it") {
  struct Row {
    const char* response;
    bool shared;
  };
  const Row rows[] = {{"Cache-Control: max-age=60", false},
                      {"Expires: Fri, 31 Dec 9999 23:59:59 GMT", false},
                      {"Cache-Control: max-age=60, proxy-revalidate", false},
                      {"Cache-Control: max-age=60, public", true},
                      {"Cache-Control: max-age=60, must-revalidate", true},
                      {"Cache-Control: s-maxage=60", true}};
  for (const Row& row : rows) {
    CAPTURE(row.response);
    ResponseMeta meta = came(row.response);
    meta.request_had_authorization = true;
    CHECK((may_reuse(asked(""), meta, caching(), arrival).reuse == Reuse::fresh) == row.shared);
    CHECK(stores(row.response, 200, "Authorization: x") == row.shared);
  }
}

TEST_CASE("rfc9111: 4 a stored response answers while it is fresh, where stale is allowed, or once it is validated") {
  check({{"Cache-Control: max-age=60", 0, "", "answers"},
         {"Cache-Control: max-age=60", 59'999, "", "answers"},
         {"Cache-Control: max-age=60", 60'000, "", "validated"},  // fresh is what has some lifetime left
         {"Cache-Control: max-age=60, no-cache", 0, "", "validated"},
         {"Cache-Control: max-age=60", 70'000, "Cache-Control: max-stale", "answers"},
         {"Cache-Control: max-age=60, stale-while-revalidate=60", 70'000, "", "answers and is refreshed"},
         {"Cache-Control: max-age=60, stale-if-error=60", 70'000, "", "validated, or where that fails answers"},
         {"Cache-Control: no-store, max-age=60", 0, "", "nothing"}});
}

TEST_CASE("rfc9111: 4.1 requests match where one can be turned into the other by what means nothing") {
  struct Row {
    const char *vary, *first, *second;
    bool match;
  };
  const Row rows[] = {
      {"x-a", "X-A: 1", "x-a: 1", true},
      {"x-a", "X-A: 1, 2", "X-A: 1\nX-A: 2", true},
      {"accept", "Accept: a,b", "Accept: a ,\tb", true},
      {"x-a", "X-A: 1\nX-B: 1", "X-A: 1\nX-B: 2", true},
      {"accept-encoding", "Accept-Encoding: gzip, br", "Accept-Encoding: BR;q=1.0,gzip", true},
      {"x-a", "", "", true},
      {"x-a", "X-A: 1", "X-A: 2", false},
      {"x-a", "X-A: a", "X-A: A", false},  // nothing says that its case doesn't matter
      {"x-a", "X-A: 1, 2", "X-A: 2, 1", false},
      {"x-a", "", "X-A:", false},
      {"accept-encoding", "", "Accept-Encoding:", false},
      {"accept-encoding", "Accept-Encoding: gzip", "Accept-Encoding: gzip;q=0.5", false},
      {"x-a,x-b", "X-A: 1", "X-B: 1", false},
      {"x-a,x-b", "X-A: 1\nX-B: 2", "X-A: 12", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.first);
    CAPTURE(row.second);
    CHECK((variant_key(row.vary, Lines(row.first)) == variant_key(row.vary, Lines(row.second))) == row.match);
  }
  for (const char* star : {"*", "x-a, *", "*,x-a", "x-a\nVary: *"})
    CHECK_FALSE(stores("Cache-Control: max-age=60\nVary: " + std::string(star)));
}

TEST_CASE("rfc9111: 4.2 no time zone of this machine counts, neither for reading a date nor for writing one") {
  const char* before = std::getenv("TZ");
  const std::string kept = before ? before : "";
  for (const char* zone : {"UTC", "XXX-14", "XXX+12", "XXX-5:45"}) {
    CAPTURE(zone);
    ::setenv("TZ", zone, 1);
    ::tzset();
    for (const char* text : {modified, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"})
      CHECK(parse_http_date(text, start_s) == 784111777);
    CHECK(date(0) == "Tue, 14 Nov 2023 22:13:20 GMT");
    CHECK(came("Date: " + date(-100)).initial_age_ms == 100'000);
    CHECK(explicit_lifetime(came("Date: " + date(-100) + "\nExpires: " + date(50))).ms == 150'000);
  }
  if (before) {
    ::setenv("TZ", kept.c_str(), 1);
  } else {
    ::unsetenv("TZ");
  }
  ::tzset();
}

TEST_CASE("rfc9111: 4.2.1 the first lifetime that is there counts, for a cache that is shared") {
  const std::string later = "Date: " + date(0) + "\nExpires: " + date(300);
  struct Row {
    std::string response;
    std::int64_t seconds;
  };
  const Row rows[] = {{"Cache-Control: max-age=60, s-maxage=10\n" + later, 10},
                      {"Cache-Control: max-age=60\n" + later, 60},
                      {later, 300},
                      {"Expires: " + date(300), 300},  // without Date: from receipt
                      {"Cache-Control: max-age=60, max-age=30", 30},
                      {later + "\nExpires: " + date(300), 0},
                      {"Cache-Control: max-age=1.5\n" + later, 0}};
  for (const Row& row : rows)
    CHECK_MESSAGE(explicit_lifetime(came(row.response)).ms == row.seconds * 1000, row.response);
}

TEST_CASE("rfc9111: 4.2.2 a lifetime is guessed only where none is given and the status or `public` lets it be") {
  config::Route route = caching();
  route.heuristic = 0.1;
  const std::string old = "\nLast-Modified: " + date(-1000);
  for (unsigned status : {200u, 203u, 204u, 300u, 301u, 308u, 404u, 405u, 410u})
    CHECK_MESSAGE(stores(old, status, "", Method::get, route), status);
  for (unsigned status : {201u, 202u, 302u, 303u, 307u, 299u, 499u})
    CHECK_MESSAGE(!stores(old, status, "", Method::get, route), status);
  CHECK(stores("Cache-Control: public" + old, 302, "", Method::get, route));
  CHECK(use(old, 99'999, "", route) == "answers");
  CHECK(use(old, 100'000, "", route) == "validated");
  for (const char* given : {"Cache-Control: max-age=0", "Cache-Control: s-maxage=0", "Expires: 0", "Expires: soon"})
    CHECK_MESSAGE(use(given + old, 0, "", route) == "validated", given);
}

TEST_CASE("rfc9111: 4.2.3 an age that came is counted from when the request was sent, and grows from then") {
  struct Row {
    std::string response;
    std::int64_t delay_ms, age_ms;
  };
  const Row rows[] = {{"Age: 10", 0, 10'000},
                      {"Age: 10", 5000, 15'000},
                      {"Date: " + date(-30), 5000, 30'000},
                      {"Date: " + date(30), 0, 0},
                      {"Age: 40\nDate: " + date(-30), 5000, 45'000}};
  for (const Row& row : rows) {
    CAPTURE(row.response);
    const ResponseMeta meta = came(row.response, 200, row.delay_ms);
    CHECK(current_age_ms(meta, arrival) == row.age_ms);
    CHECK(current_age_ms(meta, {arrival.wall_ms + 7000, arrival.mono_ms + 7000}) == row.age_ms + 7000);
  }
}

TEST_CASE("rfc9111: 4.2.4 nothing stale where a directive forbids it, nor where nobody allows it") {
  for (const std::string forbids : {"no-cache", "must-revalidate", "proxy-revalidate", "s-maxage=10"}) {
    for (const char* request : {"", "Cache-Control: max-stale", "Cache-Control: max-stale=3600"}) {
      CAPTURE(forbids);
      CAPTURE(request);
      const std::string windows = "Cache-Control: max-age=10, stale-while-revalidate=60, stale-if-error=60, ";
      CHECK(use(windows + forbids, 20'000, request) == "validated");
    }
  }
  check({{"Cache-Control: max-age=10", 10'000, "", "validated"},
         {"Cache-Control: max-age=10", 20'000, "Cache-Control: max-stale=9", "validated"},
         {"Cache-Control: max-age=10", 20'000, "Cache-Control: max-stale=10", "answers"}});
}
