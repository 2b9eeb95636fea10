// Range requests answered from a stored response (RFC 9110 13.1.5, 14).
#include "core/ranges.hpp"

#include <doctest/doctest.h>

#include <string>

#include "core/hash.hpp"
#include "message_builder.hpp"

using namespace pillion;
using pillion::test::Lines;
using pillion::test::start_s;

namespace {

constexpr std::int64_t modified_s = 784111777;
constexpr const char* modified = "Sun, 06 Nov 1994 08:49:37 GMT";

Representation representation(std::uint64_t size, std::string_view etag = "\"a\"") {
  return {etag, modified_s, modified_s + 3600, size};
}

/// `whole`, `unsatisfiable`, or the ranges as they would stand in a Range.
std::string selected(const std::string& lines, const Representation& stored) {
  const RangeAnswer answer = select_ranges(Lines(lines), stored, start_s);
  CHECK(answer.ranges.empty() == (answer.kind != RangeAnswer::Kind::partial));
  if (answer.kind == RangeAnswer::Kind::whole) return "whole";
  if (answer.kind == RangeAnswer::Kind::unsatisfiable) return "unsatisfiable";
  std::string out;
  for (const ByteRange& range : answer.ranges)
    out += (out.empty() ? "" : ",") + std::to_string(range.first) + "-" + std::to_string(range.last);
  return out;
}

std::string selected(const std::string& lines, std::uint64_t size = 10) {
  return selected(lines, representation(size));
}

struct Row {
  std::string lines;
  const char* expected;
};

}  // namespace

TEST_CASE("ranges: one range is first to last, open or a suffix, and ends where the body ends") {
  const Row rows[] = {
      {"Range: bytes=0-4", "0-4"},    {"Range: bytes=0-0", "0-0"},
      {"Range: bytes=9-9", "9-9"},    {"Range: bytes=0-9", "0-9"},
      {"Range: bytes=4-", "4-9"},     {"Range: bytes=0-", "0-9"},
      {"Range: bytes=4-100", "4-9"},  {"Range: bytes=-4", "6-9"},
      {"Range: bytes=-10", "0-9"},    {"Range: bytes=-11", "0-9"},
      {"Range: bytes=00-004", "0-4"}, {"Range: BYTES=0-4", "0-4"},
      {"range: Bytes=0-4", "0-4"},    {"", "whole"},
  };
  for (const Row& row : rows) CHECK_MESSAGE(selected(row.lines) == row.expected, row.lines);
}

TEST_CASE("ranges: several come in the order asked for, without those that lie past the end") {
  const Row rows[] = {
      {"Range: bytes=0-1,4-5", "0-1,4-5"},
      {"Range: bytes=4-5,0-1", "4-5,0-1"},
      {"Range: bytes=0-1, 4-5 ,\t-1", "0-1,4-5,9-9"},
      {"Range: bytes=0-1,,4-5,", "0-1,4-5"},
      {"Range: bytes=,0-1", "0-1"},
      {"Range: bytes=0-1,10-12", "0-1"},
      {"Range: bytes=10-,-0,3-4", "3-4"},
      {"Range: bytes=0-4,2-6", "0-4,2-6"},
  };
  for (const Row& row : rows) CHECK_MESSAGE(selected(row.lines) == row.expected, row.lines);
}

TEST_CASE("ranges: unsatisfiable is what lies past the end in all of its ranges") {
  const Row rows[] = {
      {"Range: bytes=10-", "unsatisfiable"}, {"Range: bytes=10-10", "unsatisfiable"},
      {"Range: bytes=-0", "unsatisfiable"},  {"Range: bytes=-0,10-,99-100", "unsatisfiable"},
      {"Range: bytes=-0,9-", "9-9"},
  };
  for (const Row& row : rows) CHECK_MESSAGE(selected(row.lines) == row.expected, row.lines);
}

TEST_CASE("ranges: numbers over sixty-four bits are as large as can be") {
  const Row rows[] = {
      {"Range: bytes=0-18446744073709551615", "0-9"},
      {"Range: bytes=0-18446744073709551616", "0-9"},
      {"Range: bytes=0-99999999999999999999999999999999", "0-9"},
      {"Range: bytes=-18446744073709551616", "0-9"},
      {"Range: bytes=-99999999999999999999999999999999", "0-9"},
      {"Range: bytes=18446744073709551615-", "unsatisfiable"},
      {"Range: bytes=18446744073709551616-", "unsatisfiable"},
      {"Range: bytes=18446744073709551620-18446744073709551621", "unsatisfiable"},
      {"Range: bytes=18446744073709551616-3", "whole"},
  };
  for (const Row& row : rows) CHECK_MESSAGE(selected(row.lines) == row.expected, row.lines);
  const std::uint64_t most = ~std::uint64_t{0};
  CHECK(selected("Range: bytes=18446744073709551614-", most) == "18446744073709551614-18446744073709551614");
  CHECK(selected("Range: bytes=0-,0-", most) == "whole");
}

TEST_CASE("ranges: what is malformed anywhere, of another unit or repeated is ignored") {
  for (const char* value :
       {"bytes",         "bytes=",        "bytes=,",     "bytes=-",     "bytes=a-b",     "bytes=0-1a",
        "bytes=0x0-1",   "bytes=+0-1",    "bytes=0--1",  "bytes=--1",   "bytes=0-1-2",   "bytes=4-3",
        "bytes=0 - 1",   "bytes=0- 1",    "bytes= 0-1",  "bytes =0-1",  "bytes:0-1",     "bytes=0-1;2-3",
        "bytes=0-1 2-3", "bytes=\"0-1\"", "bytes=0-1,x", "bytes=x,0-1", "bytes=0-1,4-3", "byte=0-1",
        "bytess=0-1",    "items=0-1",     "seconds=1-2", "=0-1",        "0-1",           "",
        "bytes=0.5-1",   "none",          "bytes=*",     "bytes==0-1"})
    CHECK_MESSAGE(selected("Range: " + std::string(value)) == "whole", value);
  CHECK(selected("Range: bytes=0-1\nRange: bytes=0-1") == "whole");
  CHECK(selected("Range: bytes=0-1\nRange: x") == "whole");
}

TEST_CASE("ranges: more bytes than the body has, or more ranges than the bound, is the whole") {
  CHECK(selected("Range: bytes=0-,0-") == "whole");
  CHECK(selected("Range: bytes=0-5,5-9") == "whole");
  CHECK(selected("Range: bytes=0-4,5-9") == "0-4,5-9");
  CHECK(selected("Range: bytes=0-9,-0,10-") == "0-9");
  std::string many = "Range: bytes=0-0";
  for (std::size_t i = 1; i < max_ranges; ++i) many += "," + std::to_string(i) + "-" + std::to_string(i);
  const RangeAnswer all = select_ranges(Lines(many), representation(1000), start_s);
  CHECK(all.kind == RangeAnswer::Kind::partial);
  CHECK(all.ranges.size() == max_ranges);
  CHECK(selected(many + ",999-", 1000) == "whole");
  CHECK(selected(many + ",5000-", 1000) == "whole");  // one past the end counts too
}

TEST_CASE("ranges: of an empty body a suffix is the whole and nothing else can be had") {
  CHECK(selected("Range: bytes=0-", 0) == "unsatisfiable");
  CHECK(selected("Range: bytes=0-0", 0) == "unsatisfiable");
  CHECK(selected("Range: bytes=-0", 0) == "unsatisfiable");
  CHECK(selected("Range: bytes=0-,5-9", 0) == "unsatisfiable");
  CHECK(selected("Range: bytes=-1", 0) == "whole");
  CHECK(selected("Range: bytes=0-,-1", 0) == "whole");
  CHECK(selected("Range: bytes=x", 0) == "whole");
  CHECK(selected("", 0) == "whole");
}

TEST_CASE("ranges: If-Range holds for the very same strong entity tag alone") {
  const auto with = [](const std::string& if_range, std::string_view etag) {
    return selected("Range: bytes=0-4\nIf-Range: " + if_range, representation(10, etag));
  };
  CHECK(with("\"a\"", "\"a\"") == "0-4");
  CHECK(with("\"\"", "\"\"") == "0-4");
  CHECK(with("\"b\"", "\"a\"") == "whole");
  CHECK(with("\"A\"", "\"a\"") == "whole");
  CHECK(with("W/\"a\"", "W/\"a\"") == "whole");
  CHECK(with("\"a\"", "W/\"a\"") == "whole");
  CHECK(with("W/\"a\"", "\"a\"") == "whole");
  CHECK(with("\"a\"", "") == "whole");
  for (const char* odd : {"a", "", "*", "\"a", "\"a\", \"b\"", "\"a\"x", "\"a\" "})
    CHECK_MESSAGE(with(odd, "\"a\"") == (std::string_view(odd) == "\"a\" " ? "0-4" : "whole"), odd);
  CHECK(selected("Range: bytes=0-4\nIf-Range: \"a\"\nIf-Range: \"a\"") == "whole");
  CHECK(selected("Range: bytes=99-\nIf-Range: \"b\"") == "whole");  // not 416: the range is ignored (RFC 9110 13.1.5)
  CHECK(selected("Range: bytes=99-\nIf-Range: \"a\"") == "unsatisfiable");
  CHECK(selected("If-Range: \"a\"") == "whole");
  CHECK(selected("If-Range: \"b\"") == "whole");
}

TEST_CASE("ranges: If-Range holds for the date of the last change where that is a strong validator") {
  struct Dated {
    const char* if_range;
    std::int64_t last_modified_s, date_s;
    const char* expected;
  };
  const Dated rows[] = {
      {modified, modified_s, modified_s + 1, "0-4"},
      {modified, modified_s, modified_s, "whole"},  // within one second it may have changed twice
      {modified, modified_s, modified_s - 1, "whole"},
      {modified, modified_s + 1, modified_s + 60, "whole"},  // later
      {modified, modified_s - 1, modified_s + 60, "whole"},  // earlier: not `since`, but the same
      {modified, -1, modified_s + 60, "whole"},
      {"Sunday, 06-Nov-94 08:49:37 GMT", modified_s, modified_s + 1, "0-4"},
      {"Sun Nov  6 08:49:37 1994", modified_s, modified_s + 1, "0-4"},
      {"Sun, 06 Nov 1994 08:49:37 UTC", modified_s, modified_s + 1, "whole"},
      {"784111777", modified_s, modified_s + 1, "whole"},
      {"Wed, 31 Dec 1969 23:59:59 GMT", -1, 60, "whole"},  // -1 stands for none
  };
  for (const Dated& row : rows) {
    CAPTURE(row.if_range);
    CAPTURE(row.last_modified_s);
    CHECK(selected("Range: bytes=0-4\nIf-Range: " + std::string(row.if_range),
                   Representation{"\"a\"", row.last_modified_s, row.date_s, 10}) == row.expected);
  }
}

TEST_CASE("ranges: Content-Range says which bytes of how many") {
  CHECK(content_range({0, 4}, 10) == "bytes 0-4/10");
  CHECK(content_range({5, 5}, 18446744073709551615u) == "bytes 5-5/18446744073709551615");
  CHECK(unsatisfied_content_range(10) == "bytes */10");
  CHECK(unsatisfied_content_range(0) == "bytes */0");
}

namespace {

std::string written(const Multipart& parts, const std::vector<ByteRange>& ranges, std::string_view body) {
  REQUIRE(parts.before.size() == ranges.size());
  std::string out;
  for (std::size_t i = 0; i < ranges.size(); ++i)
    out += parts.before[i] + std::string(body.substr(ranges[i].first, ranges[i].size()));
  return out + parts.end;
}

}  // namespace

TEST_CASE("ranges: several become one body of parts, each with its place") {
  const std::vector<ByteRange> ranges{{0, 1}, {8, 9}};
  const std::string body = "0123456789";
  const Multipart parts = make_multipart(ranges, "text/plain", body);
  const std::string b = parts.boundary;
  CHECK(written(parts, ranges, body) ==
        "--" + b + "\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01\r\n--" + b +
            "\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-9/10\r\n\r\n89\r\n--" + b + "--\r\n");
  CHECK(parts.length == written(parts, ranges, body).size());
  const Multipart untyped = make_multipart(ranges, "", body);
  CHECK(untyped.before[0] == "--" + b + "\r\nContent-Range: bytes 0-1/10\r\n\r\n");
  CHECK(untyped.length == written(untyped, ranges, body).size());
}

TEST_CASE("ranges: a boundary is the same for equal bodies, differs with them and is never in them") {
  const std::vector<ByteRange> ranges{{0, 0}, {2, 2}};
  const std::string first = make_multipart(ranges, "", "0123456789").boundary;
  CHECK(make_multipart(ranges, "text/plain", "0123456789").boundary == first);
  CHECK(make_multipart(ranges, "", "0123456780").boundary != first);
  CHECK(is_token(first));
  CHECK(first.size() <= 70);  // RFC 2046 5.1.1
}
