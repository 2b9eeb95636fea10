// Single values: what they are read as. What is wrong with wrong ones stands in value_problems_test.cpp.
#include "config/scalars.hpp"

#include <doctest/doctest.h>

#include "config/dump.hpp"
#include "config/nearest.hpp"
#include "config/tree.hpp"

using namespace pillion::config;

TEST_CASE("durations and sizes are read, and printed to be read again") {
  const std::pair<const char*, std::int64_t> durations[] = {{"0s", 0},
                                                            {"250ms", 250},
                                                            {"30s", 30'000},
                                                            {"5m", 300'000},
                                                            {"1h", 3600'000},
                                                            {"7d", 604'800'000},
                                                            {"3650d", 315'360'000'000},
                                                            {"1500ms", 1500}};
  for (const auto& [text, ms] : durations) {
    CAPTURE(text);
    CHECK(parse_duration(text).value == Milliseconds(ms));
    CHECK(duration_text(Milliseconds(ms)) == text);
  }
  const std::pair<const char*, std::uint64_t> sizes[] = {{"0B", 0},
                                                         {"100B", 100},
                                                         {"512KiB", 524'288},
                                                         {"64MiB", 67'108'864},
                                                         {"1GiB", 1'073'741'824},
                                                         {"3TiB", 3298534883328}};
  for (const auto& [text, bytes] : sizes) {
    CAPTURE(text);
    CHECK(parse_size(text).value == bytes);
    CHECK(size_text(bytes) == text);
  }
  for (const char* wrong : {"", "s", "+1s", " 1s", "1 s", "1S", "0x1s", "315360000001ms", "18446744073709551616ms"}) {
    CAPTURE(wrong);
    CHECK_FALSE(parse_duration(wrong).value.has_value());
  }
  for (const char* wrong : {"", "1", "1kib", "1KB", "1048577TiB", "-1B", "16777216TiB"}) {
    CAPTURE(wrong);
    CHECK_FALSE(parse_size(wrong).value.has_value());
  }
}

TEST_CASE("percentages are read, and printed to be read again") {
  const std::pair<const char*, double> shares[] = {
      {"10%", 0.1}, {"0.5%", 0.005}, {"100%", 1}, {"0.0001%", 0.000001}, {"33.3333%", 0.333333}};
  for (const auto& [text, share] : shares) {
    CAPTURE(text);
    CHECK(parse_percentage(text).value == share);
    CHECK(percentage_text(share) == text);
  }
  for (const char* wrong : {"", "%", "10", "0%", "100.1%", ".5%", "5.%", "1e1%", "-1%", "1.00001%", "0100%"}) {
    CAPTURE(wrong);
    CHECK_FALSE(parse_percentage(wrong).value.has_value());
  }
}

TEST_CASE("redis URLs are taken apart, and printed without their password") {
  struct {
    const char *url, *address;
    unsigned database;
    const char *user, *password, *hidden;
  } const urls[] = {
      {"redis://h", "h:6379", 0, "", "", "redis://h"},
      {"redis://h:1/2", "h:1", 2, "", "", "redis://h:1/2"},
      {"redis://[::1]/", "[::1]:6379", 0, "", "", "redis://[::1]/"},
      {"redis://u:p@h", "h:6379", 0, "u", "p", "redis://u:***@h"},
      {"redis://:p%2F%40:x@h/1", "h:6379", 1, "", "p/@:x", "redis://:***@h/1"},
      {"rediss://u:p@h/2", "h:6379", 2, "u", "p", "rediss://u:***@h/2"},
      {"unix:///run/r.sock", "unix:/run/r.sock", 0, "", "", "unix:///run/r.sock"},
      {"unix://u:p@/run/r.sock?db=7", "unix:/run/r.sock", 7, "u", "p", "unix://u:***@/run/r.sock?db=7"},
  };
  for (const auto& expected : urls) {
    CAPTURE(expected.url);
    const auto parsed = parse_redis_url(expected.url);
    REQUIRE(parsed.value.has_value());
    CHECK(parsed.value->address.to_string() == expected.address);
    CHECK(parsed.value->tls.enabled == std::string_view(expected.url).starts_with("rediss:"));
    CHECK(parsed.value->database == expected.database);
    CHECK(parsed.value->user == expected.user);
    CHECK(parsed.value->password == expected.password);
    CHECK(hide_password(expected.url) == expected.hidden);
  }
  for (const char* wrong :
       {"", "redis://", "redis://h:0", "redis://h:70000", "redis://h/1/2", "redis://:%zz@h", "unix://run",
        "unix:///a?x=1", "redis://h/70000", "REDIS://h", "rediss://", "redisss://h", "redis://secret@x@"}) {
    CAPTURE(wrong);
    const auto parsed = parse_redis_url(wrong);
    CHECK_FALSE(parsed.value.has_value());
    CHECK(parsed.wrong.find("secret") == std::string::npos);
  }
}

TEST_CASE("only loopback addresses and Unix sockets are local") {
  for (const char* local : {"127.0.0.1:1", "127.9.9.9:1", "[::1]:1", "localhost:1", "unix:/s"}) {
    CAPTURE(local);
    CHECK(is_local(*parse_address(local).value));
  }
  for (const char* remote : {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "localhost.example:1", "[::ffff:10.0.0.1]:1"}) {
    CAPTURE(remote);
    CHECK_FALSE(is_local(*parse_address(remote).value));
  }
}

TEST_CASE("ports have five digits at most, up to 65535") {
  CHECK(parse_address("h:65535").value->port == 65535);
  CHECK(parse_address("h:0").value->port == 0);
  for (const char* wrong : {"h:65536", "h:000080", "h:-1", "h:", "h:8x", "h", "[h]:1", "[::1]1", "unix:", "unix:/",
                            "a b:1", "-h:1", "a..b:1"}) {
    CAPTURE(wrong);
    CHECK_FALSE(parse_address(wrong).value.has_value());
  }
  CHECK_FALSE(parse_address("unix:/" + std::string(107, 'x')).value.has_value());
  CHECK(parse_address("unix:/" + std::string(106, 'x')).value.has_value());
}

TEST_CASE("networks are brought into one form") {
  CHECK(parse_network("10.1.2.3/8").value == "10.0.0.0/8");
  CHECK(parse_network("10.1.2.3").value == "10.1.2.3/32");
  CHECK(parse_network("0.0.0.0/0").value == "0.0.0.0/0");
  CHECK(parse_network("FD00::1/9").value == "fd00::/9");
  CHECK_FALSE(parse_network("10.0.0.0/08x").value.has_value());
  CHECK_FALSE(parse_network("::/129").value.has_value());
  CHECK_FALSE(parse_network("/8").value.has_value());
}

TEST_CASE("the nearest known word is found by edits, swaps of neighbours among them") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("abc", "") == 3);
  CHECK(edit_distance("ttl", "tlt") == 1);
  CHECK(edit_distance("kitten", "sitting") == 3);
  CHECK(nearest("rotues", {"routes", "store"}) == "routes");
  CHECK(nearest("x", {}) == "");
  CHECK(edit_distance(std::string(100'000, 'a'), std::string(100'000, 'b')) == 64);
}

TEST_CASE("what is no UTF-8 is found") {
  for (const char* good : {"", "abc", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"}) {
    CHECK(find_invalid_utf8(good) == std::string_view::npos);
  }
  for (const char* bad :
       {"\x80", "\xc0\xaf", "\xc3", "\xe2\x82", "\xed\xa0\x80", "\xe0\x80\x80", "\xf4\x90\x80\x80", "\xf8", "\xff"}) {
    CAPTURE(bad);
    CHECK(find_invalid_utf8("a" + std::string(bad)) == 1);
  }
}
