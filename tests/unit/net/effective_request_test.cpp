// From a parsed request to the effective one: target forms, Host, forwarded scheme and host.
#include "net/effective_request.hpp"

#include <doctest/doctest.h>

#include "unit/core/message_builder.hpp"

using namespace pillion;
using test::Lines;

namespace {
unsigned status_of(const char* method, const char* target, const Lines& lines, unsigned minor = 1) {
  RequestHead head;
  return make_effective({method, target, minor, lines}, false, head).status;
}
}  // namespace

TEST_CASE("a request needs exactly one well-formed Host") {
  struct Row {
    const char* lines;
    unsigned minor, status;
  };
  const Row rows[] = {
      {"Host: a", 1, 0},
      {"", 1, 400},
      {"", 0, 0},
      {"Host: a\nHost: a", 1, 400},
      {"Host: a\nHost: a", 0, 400},
      {"Host:", 1, 400},
      {"Host: a b", 1, 400},
      {"Host: a/b", 1, 400},
      {"Host: u@a", 1, 400},
      {"Host: a:80", 1, 0},
      {"Host: a:x", 1, 400},
      {"Host: [::1]", 1, 0},
      {"Host: [::1]:8", 1, 0},
      {"Host: [g]", 1, 400},
      {"Host: a:123456", 1, 400},
      {"Host: a,b", 1, 0},
      {"Host: %zz", 1, 400},
      {"Host: :80", 1, 400},
  };
  for (const Row& row : rows) {
    CAPTURE(row.lines);
    CHECK(status_of("GET", "/", row.lines, row.minor) == row.status);
  }
}

TEST_CASE("targets of a form that a method doesn't take are refused") {
  struct Row {
    const char* method;
    const char* target;
    unsigned status;
  };
  const Row rows[] = {
      {"GET", "/", 0},           {"GET", "*", 400},          {"OPTIONS", "*", 0},        {"GET", "a", 400},
      {"GET", "/a#b", 400},      {"GET", "http://h/a", 0},   {"GET", "ftp://h/a", 400},  {"GET", "http://u@h/a", 400},
      {"GET", "http:///a", 400}, {"GET", "http://h?a", 400}, {"CONNECT", "h:80", 405},   {"TRACE", "/", 405},
      {"GET", "https://h", 0},   {"M-SEARCH", "*", 400},     {"OPTIONS", "http://h", 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.method);
    CAPTURE(row.target);
    CHECK(status_of(row.method, row.target, "Host: h") == row.status);
  }
}

TEST_CASE("the authority of an absolute target goes before Host") {
  const Lines lines("Host: other");
  RequestHead head;
  CHECK_FALSE(make_effective({"GET", "http://real:81/a?b=c", 1, lines}, false, head));
  CHECK(head.host == "real:81");
  CHECK(head.target == "/a?b=c");
  CHECK(head.path == "/a");
  CHECK(head.query == "b=c");
  CHECK_FALSE(make_effective({"GET", "http://real", 1, lines}, false, head));
  CHECK(head.target == "/");
  CHECK_FALSE(make_effective({"OPTIONS", "http://real", 1, lines}, false, head));
  CHECK(head.target == "*");
}

TEST_CASE("X-Forwarded-Proto and -Host count from trusted peers alone, one well-formed value each") {
  struct Row {
    const char* lines;
    bool trusted;
    const char *scheme, *host;
  };
  const Row rows[] = {
      {"Host: a\nX-Forwarded-Proto: https\nX-Forwarded-Host: b", true, "https", "b"},
      {"Host: a\nX-Forwarded-Proto: https\nX-Forwarded-Host: b", false, "http", "a"},
      {"Host: a\nX-Forwarded-Proto: gopher\nX-Forwarded-Host: b c", true, "http", "a"},
      {"Host: a\nX-Forwarded-Host: b\nX-Forwarded-Host: c", true, "http", "a"},
      {"Host: a\nX-Forwarded-Proto: https, http", true, "http", "a"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.lines);
    const Lines lines(row.lines);
    RequestHead head;
    CHECK_FALSE(make_effective({"GET", "/", 1, lines}, row.trusted, head));
    CHECK(head.scheme == row.scheme);
    CHECK(head.host == row.host);
  }
}

TEST_CASE("an expectation other than 100-continue is refused") {
  CHECK(status_of("POST", "/", "Host: a\nExpect: 100-continue") == 0);
  CHECK(status_of("POST", "/", "Host: a\nExpect: 100-Continue") == 0);
  CHECK(status_of("POST", "/", "Host: a\nExpect: magic") == 417);
  CHECK(status_of("POST", "/", "Host: a\nExpect: 100-continue\nExpect: 100-continue") == 417);
}

TEST_CASE("a number of hops is digits alone, and no larger than is known here") {
  struct Row {
    const char* text;
    std::optional<std::uint32_t> number;
  };
  const Row rows[] = {{"0", 0},
                      {"00", 0},
                      {"1", 1},
                      {"010", 10},
                      {"2147483646", 2147483646},
                      {"2147483647", 2147483647},
                      {"2147483648", 2147483647},
                      {"4294967296", 2147483647},
                      {"18446744073709551616", 2147483647},
                      {"100000000000000000000000000000000000000000", 2147483647},
                      {"", std::nullopt},
                      {"-0", std::nullopt},
                      {"+1", std::nullopt},
                      {"1 ", std::nullopt},
                      {"1,2", std::nullopt},
                      {"0x1", std::nullopt},
                      {"1.0", std::nullopt}};
  for (const Row& row : rows) {
    CAPTURE(row.text);
    CHECK(parse_max_forwards(row.text) == row.number);
  }
}

TEST_CASE("OPTIONS that may go no further is for this proxy to answer, whatever else it is about") {
  struct Row {
    const char *method, *target, *lines;
    bool final;
  };
  const Row rows[] = {{"OPTIONS", "/", "Host: a\nMax-Forwards: 0", true},
                      {"OPTIONS", "*", "Host: a\nmax-forwards: 000", true},
                      {"OPTIONS", "/", "Host: a\nMax-Forwards: 3\nMax-Forwards: 0", true},
                      {"OPTIONS", "/", "Host: a\nMax-Forwards: 1", false},
                      {"OPTIONS", "/", "Host: a\nMax-Forwards: -0", false},
                      {"OPTIONS", "/", "Host: a", false},
                      {"GET", "/", "Host: a\nMax-Forwards: 0", false},
                      {"options", "/", "Host: a\nMax-Forwards: 0", false}};
  for (const Row& row : rows) {
    CAPTURE(row.lines);
    const Lines lines(row.lines);
    RequestHead head;
    REQUIRE_FALSE(make_effective({row.method, row.target, 1, lines}, false, head));
    CHECK(is_final_recipient(head) == row.final);
  }
}
