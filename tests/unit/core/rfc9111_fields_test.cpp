// RFC 9111 read from the front, sections 4.3 to 5: validation, unsafe methods and the fields. See rfc9111_test.cpp.
#include "rfc9111.hpp"

using namespace pillion;
using namespace pillion::test;

TEST_CASE("rfc9111: 4.3.1 a stored response is asked about by its tag, and by its date where it has one") {
  const std::string date_line = std::string("Last-Modified: ") + modified;
  const std::string since = std::string("If-Modified-Since: ") + modified + "\r\n";
  CHECK(validation_fields(*stored("ETag: \"a\"")) == "If-None-Match: \"a\"\r\n");
  CHECK(validation_fields(*stored("ETag: W/\"a\"")) == "If-None-Match: W/\"a\"\r\n");
  CHECK(validation_fields(*stored(date_line)) == since);
  CHECK(validation_fields(*stored("ETag: \"a\"\n" + date_line)) == "If-None-Match: \"a\"\r\n" + since);
  CHECK(validation_fields(*stored("")).empty());
}

TEST_CASE("rfc9111: 4.3.2 a client's date is held against Last-Modified, else Date, else the time of receipt") {
  const auto has_it = [](const std::string& response, std::int64_t offset_s) {
    const ResponseMeta meta = came(response);
    return client_has_it(Lines("If-Modified-Since: " + date(offset_s)), "", meta.last_modified_s, meta.date_s, start_s);
  };
  const std::string both = "Date: " + date(-10) + "\nLast-Modified: " + date(-100);
  CHECK(has_it(both, -100));
  CHECK_FALSE(has_it(both, -101));
  CHECK(has_it("Date: " + date(-10), -9));
  CHECK_FALSE(has_it("Date: " + date(-10), -11));
  CHECK(has_it("", 1));
  CHECK_FALSE(has_it("", -1));
}

TEST_CASE("rfc9111: 4.3.4 a 304 updates what its validators name, and nothing else") {
  struct Row {
    const char *stored, *not_modified;
    bool chosen;  ///< the response that was asked about
    bool others;  ///< another response of that URL
  };
  const Row rows[] = {{"ETag: \"a\"", "ETag: \"a\"", true, true},
                      {"ETag: \"a\"", "ETag: \"b\"", false, false},
                      {"", "ETag: \"a\"", false, false},
                      {"ETag: W/\"a\"", "ETag: \"a\"", false, false},
                      {"ETag: W/\"a\"", "ETag: W/\"a\"", true, false},
                      {"ETag: W/\"a\"", "ETag: W/\"b\"", false, false},
                      {"", "", true, false}};
  for (const Row& row : rows) {
    CAPTURE(row.stored);
    CAPTURE(row.not_modified);
    CHECK(speaks_of(*stored(row.stored), Lines(row.not_modified)) == row.chosen);
    CHECK(same_strong_validator(*stored(row.stored), Lines(row.not_modified)) == row.others);
  }
}

TEST_CASE("rfc9111: 4.3.5 a HEAD's answer freshens what it agrees with and ends what it contradicts") {
  struct Row {
    const char* head;
    HeadEffect effect;
  };
  const Row rows[] = {{"ETag: \"a\"\nContent-Length: 4", HeadEffect::freshen},
                      {"Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT", HeadEffect::freshen},
                      {"ETag: \"b\"\nContent-Length: 4", HeadEffect::outdated},
                      {"ETag: \"a\"\nContent-Length: 5", HeadEffect::outdated},
                      {"Last-Modified: Sun, 06 Nov 1994 08:49:38 GMT", HeadEffect::outdated}};
  const auto response = stored(std::string("ETag: \"a\"\nLast-Modified: ") + modified);
  for (const Row& row : rows) {
    const Lines fields(row.head);
    CHECK_MESSAGE(effect_of_head(*response, {200, "OK", 1, fields}) == row.effect, row.head);
  }
  CHECK(effect_of_head(*response, {503, "", 1, Lines("ETag: \"b\"")}) == HeadEffect::none);
}

TEST_CASE("rfc9111: 4.4 a method whose safety isn't known is unsafe") {
  for (const char* safe : {"GET", "HEAD", "OPTIONS", "TRACE"}) CHECK_MESSAGE(is_safe(method_of(safe)), safe);
  for (const char* unsafe : {"PUT", "POST", "DELETE", "PATCH", "M-SEARCH", "PROPFIND", "QUERY", "get", ""})
    CHECK_MESSAGE(!is_safe(method_of(unsafe)), unsafe);
}

TEST_CASE("rfc9111: 5.1 of an Age that is a list the first member counts, and none where that is no number") {
  check({{"Cache-Control: max-age=60\nAge: 0, 100", 0, "", "answers"},
         {"Cache-Control: max-age=60\nAge: 100, 0", 0, "", "validated"},
         {"Cache-Control: max-age=60\nAge: 0\nAge: 100", 0, "", "answers"},
         {"Cache-Control: max-age=60\nAge: 100\nAge: 0", 0, "", "validated"},
         {"Cache-Control: max-age=60\nAge: -100", 0, "", "answers"},
         {"Cache-Control: max-age=60\nAge: 100.5", 0, "", "answers"},
         {"Cache-Control: max-age=60\nAge: old, 100", 0, "", "answers"}});
}

TEST_CASE("rfc9111: 5.2.1 what a request asks for, directive by directive") {
  const char* minute = "Cache-Control: max-age=60";
  check({{minute, 10'000, "Cache-Control: max-age=10", "answers"},
         {minute, 10'001, "Cache-Control: max-age=10", "validated"},
         {minute, 70'000, "Cache-Control: max-age=100", "validated"},  // no max-stale: not stale
         {minute, 70'000, "Cache-Control: max-stale=10", "answers"},
         {minute, 70'001, "Cache-Control: max-stale=10", "validated"},
         {minute, 70'000, "Cache-Control: max-stale", "answers"},
         {minute, 70'000, "Cache-Control: max-stale, max-age=65", "validated"},
         {minute, 40'000, "Cache-Control: min-fresh=20", "answers"},
         {minute, 40'001, "Cache-Control: min-fresh=20", "validated"},
         {minute, 0, "Cache-Control: no-cache", "validated"},
         {minute, 0, "Cache-Control: no-store", "answers"},
         {minute, 0, "Cache-Control: only-if-cached", "answers"},
         {minute, 0, "Cache-Control: NO-CACHE", "validated"},
         {minute, 10'001, "Cache-Control: max-age=\"10\"", "validated"}});
  CHECK_FALSE(stores(minute, 200, "Cache-Control: no-store"));
  CHECK(asked("Cache-Control: only-if-cached").directives.only_if_cached);
}

TEST_CASE("rfc9111: 5.2.2 what a response says, directive by directive") {
  struct Row {
    const char* directives;
    bool stored;
    const char *fresh, *stale;  ///< to a client that takes anything stale
  };
  const Row rows[] = {
      {"max-age=60", true, "answers", "answers"},
      {"max-age=60, must-revalidate", true, "answers", "validated"},
      {"max-age=60, must-understand", true, "answers", "answers"},
      {"max-age=60, must-understand, no-store", true, "answers", "answers"},
      {"max-age=60, no-cache", true, "validated", "validated"},
      {"max-age=60, no-cache=\"set-cookie\"", true, "validated", "validated"},
      {"max-age=60, no-store", false, "nothing", "nothing"},
      {"max-age=60, no-transform", true, "answers", "answers"},
      {"max-age=60, private", false, "nothing", "nothing"},
      {"max-age=60, private=\"x-own\"", false, "nothing", "nothing"},
      {"max-age=60, proxy-revalidate", true, "answers", "validated"},
      {"max-age=60, public", true, "answers", "answers"},
      {"max-age=0, s-maxage=60", true, "answers", "validated"},
      {"max-age=60, community=\"UCI\", unknown", true, "answers", "answers"},
      {"private, community=\"UCI\", max-age=60", false, "nothing", "nothing"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.directives);
    const std::string response = "ETag: \"a\"\nCache-Control: " + std::string(row.directives);
    CHECK(stores(response) == row.stored);
    CHECK(use(response, 59'999, "Cache-Control: max-stale") == row.fresh);
    CHECK(use(response, 60'000, "Cache-Control: max-stale") == row.stale);
  }
}

TEST_CASE("rfc9111: 5.3 an Expires that is no date is in the past, and none counts beside max-age or s-maxage") {
  for (const char* odd : {"0", "-1", "", "soon", "Tue, 14 Nov 2099 22:13:20 PST", "2099-11-14T22:13:20Z"}) {
    CAPTURE(odd);
    CHECK(use("Expires: " + std::string(odd), 0) == "validated");
    CHECK(use("Cache-Control: max-age=60\nExpires: " + std::string(odd), 0) == "answers");
    CHECK(use("Cache-Control: s-maxage=60\nExpires: " + std::string(odd), 0) == "answers");
  }
  const std::string later = "\nExpires: " + date(600);
  CHECK(use(later, 599'999) == "answers");
  CHECK(use(later, 600'000) == "validated");
  CHECK(use("Cache-Control: max-age=60" + later, 60'000) == "validated");
  CHECK(use("Cache-Control: s-maxage=60" + later, 60'000) == "validated");
}
