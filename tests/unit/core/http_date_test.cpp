// HTTP-date (RFC 9110 5.6.7).
#include "core/http_date.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <string>

using namespace pillion;

namespace {

constexpr std::int64_t now_s = 1'700'000'000;  // Tue, 14 Nov 2023 22:13:20 GMT

std::string written(std::int64_t seconds) {
  char out[http_date_size];
  write_http_date(seconds, out);
  return {out, http_date_size};
}

}  // namespace

TEST_CASE("http_date: the three formats name one moment") {
  for (const char* text :
       {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"})
    CHECK_MESSAGE(parse_http_date(text, now_s) == 784111777, text);
}

TEST_CASE("http_date: dates at the edges of the calendar") {
  struct Row {
    const char* text;
    std::int64_t seconds;
  };
  const Row rows[] = {
      {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
      {"Wed, 31 Dec 1969 23:59:59 GMT", -1},
      {"Tue, 29 Feb 2000 00:00:00 GMT", 951782400},
      {"Thu, 29 Feb 2024 12:00:00 GMT", 1709208000},
      {"Sat, 01 Jan 0000 00:00:00 GMT", -62167219200},
      {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799},
      {"Sat, 31 Dec 2016 23:59:60 GMT", 1483228800},  // a leap second
      {"Tue Nov 14 22:13:20 2023", now_s},
  };
  for (const Row& row : rows) CHECK_MESSAGE(parse_http_date(row.text, now_s) == row.seconds, row.text);
}

TEST_CASE("http_date: case doesn't matter and the day's name needn't be the right one") {
  CHECK(parse_http_date("sUN, 06 nOV 1994 08:49:37 gmt", now_s) == 784111777);
  CHECK(parse_http_date("Mon, 06 Nov 1994 08:49:37 GMT", now_s) == 784111777);
}

TEST_CASE("http_date: anything else is no date") {
  for (const char* text :
       {"", "0", "-1", "now", "784111777", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 +0000", "Sun, 06 Nov 1994 08:49:37 GMT ", " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun,  06 Nov 1994 08:49:37 GMT", "Sun, 6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 94 08:49:37 GMT",
        "Sun, 06 November 1994 08:49:37 GMT", "Sun, 06 Nov 1994 8:49:37 GMT", "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT", "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT", "Sun, 29 Feb 2023 08:49:37 GMT", "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 06 Foo 1994 08:49:37 GMT", "Foo, 06 Nov 1994 08:49:37 GMT", "Sunday, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT", "Sunday, 06-Nov-1994 08:49:37 GMT", "Sun Nov 6 08:49:37 1994",
        "Sun Nov 06 08:49:37 94", "Sun Nov  6 08:49:37 1994 GMT", "Sun, -6 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:3\xb7 GMT", "Sun, 06 Nov 99999 08:49:37 GMT",
        // a comma, a dash, a colon or a space too few, too many or of another kind
        "Sun 06 Nov 1994 08:49:37 GMT", "Sun,06 Nov 1994 08:49:37 GMT", "Sun,, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06-Nov-1994 08:49:37 GMT", "Sun, 06 Nov 1994, 08:49:37 GMT", "Sun, 06 Nov  1994 08:49:37 GMT",
        "Sun, 06 Nov 1994  08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37  GMT", "Sun, 06 Nov 1994 08:49:37GMT",
        "Sun,\t06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08.49.37 GMT", "Sun, 06 Nov 1994 08-49-37 GMT",
        "Sun, 06 Nov 1994 084937 GMT", "Sun. 06 Nov 1994 08:49:37 GMT", "Sunday 06-Nov-94 08:49:37 GMT",
        "Sunday, 06 Nov 94 08:49:37 GMT", "Sunday,  06-Nov-94 08:49:37 GMT", "Sunday, 06-Nov-94  08:49:37 GMT",
        "Sunday, 06-Nov 94 08:49:37 GMT", "Sun, Nov  6 08:49:37 1994", "Sun  Nov  6 08:49:37 1994",
        "Sun Nov   6 08:49:37 1994", "Sun Nov  6  08:49:37 1994", "Sun Nov  6 08:49:37  1994",
        "Sun Nov-06 08:49:37 1994", "Sunday Nov  6 08:49:37 1994",
        // digits too few or too many
        "Sun, 006 Nov 1994 08:49:37 GMT", "Sun,  6 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:9:37 GMT",
        "Sun, 06 Nov 1994 08:49:7 GMT", "Sun, 06 Nov 1994 008:49:37 GMT", "Sun, 06 Nov 1994 08:49 GMT",
        "Sun, 06 Nov 1994 08:49:37.5 GMT", "Sun, 06 Nov 994 08:49:37 GMT", "Sun, 06 11 1994 08:49:37 GMT",
        "Sunday, 6-Nov-94 08:49:37 GMT", "Sunday, 06-Nov-94 8:49:37 GMT", "Sunday, 06-Nov-994 08:49:37 GMT",
        "Sun Nov  6 8:49:37 1994", "Sun Nov 016 08:49:37 1994", "Sun Nov  16 08:49:37 1994", "Sun Nov  0 08:49:37 1994",
        "Sun, 32 Jan 1994 08:49:37 GMT",
        // zones, signs, names and forms of others
        "Sun, 06 Nov 1994 08:49:37 EST", "Sun, 06 Nov 1994 08:49:37 Z", "Sun, 06 Nov 1994 08:49:37 GMT+1",
        "Sun, 06 Nov 1994 08:49:37 GMT+00:00", "Sun, 06 Nov 1994 08:49:37 gmtx", "Sun, 06 Nov 1994 08:49:37 (GMT)",
        "Sunday, 06-Nov-94 08:49:37 UTC", "Sunday, 06-Nov-94 08:49:37 PST", "Sunday, 06-Nov-94 08:49:37",
        "Sun, 06 Nov -994 08:49:37 GMT", "Sun, 06 Nov +994 08:49:37 GMT", "Su, 06 Nov 1994 08:49:37 GMT",
        "Sonntag, 06-Nov-94 08:49:37 GMT", "06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z", "1994-11-06 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT; x",
        "\"Sun, 06 Nov 1994 08:49:37 GMT\""})
    CHECK_MESSAGE(!parse_http_date(text, now_s), text);
  CHECK_FALSE(parse_http_date(std::string_view("Sun, 06 Nov 1994 08:49:37 GMT\0", 30), now_s));
}

TEST_CASE("http_date: two digits of a year mean the latest such year at most fifty years ahead") {
  const std::int64_t year_2023 = *parse_http_date("Tue, 14 Nov 2023 22:13:20 GMT", now_s);
  struct Row {
    const char* text;
    const char* means;
    std::int64_t now;
  };
  const Row rows[] = {
      {"Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT", year_2023},
      {"Sunday, 06-Nov-24 08:49:37 GMT", "Wed, 06 Nov 2024 08:49:37 GMT", year_2023},
      {"Sunday, 14-Nov-73 22:13:20 GMT", "Tue, 14 Nov 2073 22:13:20 GMT", year_2023},  // fifty years to the second
      {"Sunday, 14-Nov-73 22:13:21 GMT", "Wed, 14 Nov 1973 22:13:21 GMT", year_2023},  // and a second more
      {"Sunday, 06-Nov-10 08:49:37 GMT", "Thu, 06 Nov 2110 08:49:37 GMT",
       *parse_http_date("Mon, 01 Jan 2095 00:00:00 GMT", 0)},
      {"Sunday, 29-Feb-00 00:00:00 GMT", "Tue, 29 Feb 2000 00:00:00 GMT", year_2023},
  };
  for (const Row& row : rows)
    CHECK_MESSAGE(parse_http_date(row.text, row.now) == parse_http_date(row.means, 0), row.text);
}

TEST_CASE("http_date: any clock will do") {
  for (std::int64_t clock : {std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max(),
                             std::int64_t{0}, std::int64_t{-62167219200}}) {
    CHECK(parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT", clock) == 784111777);
    parse_http_date("Sunday, 06-Nov-94 08:49:37 GMT", clock);
  }
}

TEST_CASE("http_date: dates are written in the fixed form") {
  CHECK(written(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT");
  CHECK(written(0) == "Thu, 01 Jan 1970 00:00:00 GMT");
  CHECK(written(-1) == "Wed, 31 Dec 1969 23:59:59 GMT");
  CHECK(written(951782400) == "Tue, 29 Feb 2000 00:00:00 GMT");
  CHECK(written(1709208000) == "Thu, 29 Feb 2024 12:00:00 GMT");
}

TEST_CASE("http_date: years that have more digits are clamped") {
  CHECK(written(std::numeric_limits<std::int64_t>::max()) == "Fri, 31 Dec 9999 23:59:59 GMT");
  CHECK(written(253402300800) == "Fri, 31 Dec 9999 23:59:59 GMT");
  CHECK(written(std::numeric_limits<std::int64_t>::min()) == "Sat, 01 Jan 0000 00:00:00 GMT");
}

TEST_CASE("http_date: what is written is read back") {
  for (std::int64_t s = -62167219200; s <= 253402300799; s += 86400 * 13 + 3607) {
    REQUIRE(parse_http_date(written(s), now_s) == s);
  }
}
