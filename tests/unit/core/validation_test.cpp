// Conditional requests (RFC 9110 8.8, 13; RFC 9111 3.2, 4.3).
#include "core/validation.hpp"

#include <doctest/doctest.h>

#include <string>

#include "core/freshness.hpp"
#include "core/http_date.hpp"
#include "message_builder.hpp"

using namespace pillion;
using pillion::test::Lines;
using pillion::test::start_s;

namespace {

constexpr Now arrival{start_s * 1000, 50'000};

/// A stored 200 with these end-to-end fields.
StoredResponsePtr stored(const std::string& lines, unsigned status = 200) {
  const Lines fields(lines);
  ResponseHead head;
  head.status = status;
  head.fields = fields;
  std::string wire = "HTTP/1.1 200 OK\r\n";
  for (const Field& field : fields.fields()) wire.append(field.name).append(": ").append(field.value).append("\r\n");
  StoredParts parts;
  parts.meta = make_meta(head, arrival.mono_ms, arrival);
  parts.head = wire;
  parts.etag = entity_tag_of(fields);
  parts.body = "body";
  return StoredResponse::make(parts);
}

constexpr std::int64_t modified_s = 784111777;
constexpr const char* modified = "Sun, 06 Nov 1994 08:49:37 GMT";
constexpr const char* before = "Sun, 06 Nov 1994 08:49:36 GMT";

bool matches(const std::string& if_none_match, std::string_view etag) {
  return etag_matches_weakly(Lines("If-None-Match: " + if_none_match), etag);
}

}  // namespace

TEST_CASE("validation: an entity tag counts where it is alone and well-formed") {
  CHECK(entity_tag_of(Lines("ETag: \"a\"")) == "\"a\"");
  CHECK(entity_tag_of(Lines("ETag: W/\"a\"")) == "W/\"a\"");
  CHECK(entity_tag_of(Lines("ETag: \"\"")) == "\"\"");
  CHECK(entity_tag_of(Lines("ETag: \"a\\\"")) == "\"a\\\"");  // no escapes
  CHECK(entity_tag_of(Lines("ETag: \"\xc3\xa9!,\"")) == "\"\xc3\xa9!,\"");
  for (const char* odd : {"", "a", "\"", "\"a", "a\"", "w/\"a\"", "W/", "W/a", "W/ \"a\"", "\"a b\"", "\"a\"b",
                          "\"a\", \"b\"", "\"a\x7f\"", "\"\t\"", "*"})
    CHECK_MESSAGE(entity_tag_of(Lines("ETag: " + std::string(odd))) == "", odd);
  CHECK(entity_tag_of(Lines("ETag: \"a\"\nETag: \"a\"")) == "");
  CHECK(entity_tag_of(Lines("")) == "");
  CHECK(is_strong("\"a\""));
  CHECK_FALSE(is_strong("W/\"a\""));
  CHECK_FALSE(is_strong(""));
}

TEST_CASE("validation: If-None-Match names an entity tag by weak comparison") {
  struct Row {
    const char* list;
    const char* etag;
    bool match;
  };
  const Row rows[] = {
      {"\"a\"", "\"a\"", true},
      {"W/\"a\"", "\"a\"", true},
      {"\"a\"", "W/\"a\"", true},
      {"W/\"a\"", "W/\"a\"", true},
      {"\"b\"", "\"a\"", false},
      {"\"A\"", "\"a\"", false},
      {"\"b\", \"a\"", "\"a\"", true},
      {"\"b\",\"c\" ,\tW/\"a\"", "\"a\"", true},
      {",, \"b\",, \"a\",", "\"a\"", true},
      {"\"a,b\"", "\"a,b\"", true},
      {"\"a,b\"", "\"b\"", false},
      {"\"x\\\", \"a\"", "\"a\"", true},  // a backslash escapes nothing
      {"\"x\\\", \"a\"", "\"x\\\"", true},
      {"*", "\"a\"", true},
      {"*", "", true},
      {"*", "garbage", true},
      {"\"*\"", "\"a\"", false},
      {"*, \"a\"", "\"a\"", false},
      {"\"b\", *", "\"a\"", false},
      {"", "\"a\"", false},
      {"a", "a", false},
      {"a", "\"a\"", false},
      {"a, \"a\"", "\"a\"", false},
      {"\"b\" \"a\"", "\"a\"", false},
      {"\"b\"\"a\"", "\"a\"", false},
      {"w/\"a\"", "\"a\"", false},
      {"\"a", "\"a\"", false},
      {"\"\"", "", false},
      {"\"a\"", "", false},
      {"\"\"", "\"\"", true},
  };
  for (const Row& row : rows) {
    CAPTURE(row.list);
    CAPTURE(row.etag);
    CHECK(matches(row.list, row.etag) == row.match);
  }
  CHECK(etag_matches_weakly(Lines("If-None-Match: \"b\"\nIf-None-Match: \"a\""), "\"a\""));
  CHECK_FALSE(etag_matches_weakly(Lines("If-None-Match: \"b\"\nIf-None-Match: *"), "\"a\""));
  CHECK_FALSE(etag_matches_weakly(Lines("If-Match: \"a\""), "\"a\""));
}

TEST_CASE("validation: without Last-Modified a date after Date will do, the same second won't") {
  const auto asked = [](std::int64_t since_s) {
    char date[http_date_size];
    write_http_date(since_s, date);
    const std::string line = "If-Modified-Since: " + std::string(date, http_date_size);
    return client_has_it(Lines(line), "\"a\"", -1, start_s, start_s + 60);
  };
  CHECK_FALSE(asked(start_s - 1));
  CHECK_FALSE(asked(start_s));
  CHECK(asked(start_s + 1));
}

TEST_CASE("validation: a client that has it is told so") {
  struct Row {
    std::string request;
    const char* etag;
    std::int64_t last_modified_s;
    bool has;
  };
  const std::string since = std::string("If-Modified-Since: ") + modified;
  const std::string older = std::string("If-Modified-Since: ") + before;
  const Row rows[] = {
      {"", "\"a\"", modified_s, false},
      {"If-None-Match: \"a\"", "\"a\"", -1, true},
      {"If-None-Match: \"b\"", "\"a\"", -1, false},
      {since, "", modified_s, true},
      {since, "\"a\"", modified_s, true},
      {since, "", modified_s - 1, true},
      {since, "", modified_s + 1, false},
      {older, "", modified_s, false},
      {since, "", -1, false},
      {"If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT", "", modified_s, true},
      {"If-Modified-Since: Sun Nov  6 08:49:37 1994", "", modified_s, true},
      {"If-Modified-Since: later", "", modified_s, false},
      {"If-Modified-Since: 9999999999", "", modified_s, false},
      {since + "\n" + since, "", modified_s, false},
      // If-None-Match goes before (RFC 9110 13.2.2), even where it names nothing.
      {"If-None-Match: \"b\"\n" + since, "\"a\"", modified_s, false},
      {"If-None-Match: \"a\"\n" + older, "\"a\"", modified_s, true},
      {"If-None-Match: garbage\n" + since, "\"a\"", modified_s, false},
      {"If-None-Match: \"a\"\n" + since, "", modified_s, false},
      {"If-Unmodified-Since: " + std::string(modified), "", modified_s, false},
      {"If-Range: \"a\"", "\"a\"", modified_s, false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.request);
    CAPTURE(row.last_modified_s);
    CHECK(client_has_it(Lines(row.request), row.etag, row.last_modified_s, start_s - 10, start_s) == row.has);
  }
}

TEST_CASE("validation: conditions that only the application can judge") {
  CHECK(has_write_precondition(Lines("If-Match: \"a\"")));
  CHECK(has_write_precondition(Lines("if-unmodified-since: x")));
  CHECK_FALSE(has_write_precondition(Lines("If-None-Match: \"a\"\nIf-Modified-Since: x\nIf-Range: \"a\"")));
  for (Name id : {Name::if_match, Name::if_none_match, Name::if_modified_since, Name::if_unmodified_since,
                  Name::if_range, Name::range})
    CHECK(is_client_condition(id));
  for (Name id : {Name::other, Name::etag, Name::cookie, Name::content_range, Name::cache_control})
    CHECK_FALSE(is_client_condition(id));
}

TEST_CASE("validation: a validation asks by every validator there is") {
  CHECK(validation_fields(*stored("ETag: \"a\"")) == "If-None-Match: \"a\"\r\n");
  CHECK(validation_fields(*stored("ETag: W/\"a\"")) == "If-None-Match: W/\"a\"\r\n");
  CHECK(validation_fields(*stored(std::string("Last-Modified: ") + modified)) ==
        "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
  CHECK(validation_fields(*stored("Last-Modified: Sunday, 06-Nov-94 08:49:37 GMT\nETag: \"a\"")) ==
        "If-None-Match: \"a\"\r\nIf-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
  CHECK(validation_fields(*stored("")) == "");
  CHECK(validation_fields(*stored("ETag: a\nLast-Modified: x")) == "");
}

TEST_CASE("validation: a malformed stored tag is never sent") {
  StoredParts parts;
  parts.etag = "\"a\"\r\nX-Evil: 1";
  CHECK(validation_fields(*StoredResponse::make(parts)) == "");
}

TEST_CASE("validation: a 304 speaks of a stored response by its validators") {
  struct Row {
    std::string stored;
    std::string not_modified;
    bool speaks;
  };
  const std::string date = std::string("Last-Modified: ") + modified;
  const std::string other_date = std::string("Last-Modified: ") + before;
  const Row rows[] = {
      {"ETag: \"a\"", "ETag: \"a\"", true},
      {"ETag: \"a\"", "ETag: \"b\"", false},
      {"ETag: W/\"a\"", "ETag: W/\"a\"", true},
      {"ETag: \"a\"", "ETag: W/\"a\"", true},
      {"ETag: W/\"a\"", "ETag: \"a\"", false},  // a strong one must be the very same
      {"ETag: \"a\"", "ETag: a", false},
      {"ETag: \"a\"", "ETag: \"a\"\nETag: \"b\"", false},
      {date, "ETag: \"a\"", false},
      {"ETag: \"a\"\n" + date, "ETag: \"a\"\n" + other_date, true},
      {"ETag: \"a\"\n" + date, "ETag: \"b\"\n" + date, false},
      {date, date, true},
      {date, other_date, false},
      {date, "Last-Modified: Sunday, 06-Nov-94 08:49:37 GMT", true},
      {date, "Last-Modified: x", false},
      {date, date + "\n" + date, false},
      {"", "Last-Modified: Wed, 31 Dec 1969 23:59:59 GMT", false},  // -1 stands for none
      {"ETag: \"a\"", date, false},
      {"ETag: \"a\"\n" + date, date, true},
      {"ETag: \"a\"\n" + date, other_date, false},
      {"ETag: \"a\"", "", true},
      {date, "Date: " + std::string(modified), true},
      {"", "", true},
  };
  for (const Row& row : rows) {
    CAPTURE(row.stored);
    CAPTURE(row.not_modified);
    CHECK(speaks_of(*stored(row.stored), Lines(row.not_modified)) == row.speaks);
  }
}

TEST_CASE("validation: a 304 freshens the head it speaks of") {
  const auto response =
      stored("Content-Type: text/plain\nCache-Control: max-age=5\nX-One: a\nX-Two: b\nETag: \"a\"\nDate: " +
             std::string(before));
  CHECK(freshened_head(*response, Lines("Cache-Control: max-age=60\nx-one: c\nDate: " + std::string(modified) +
                                        "\nX-New: d\nETag: \"a\"")) ==
        "HTTP/1.1 200 OK\r\n"
        "Content-Type: text/plain\r\n"
        "X-Two: b\r\n"
        "ETag: \"a\"\r\n"
        "Cache-Control: max-age=60\r\n"
        "x-one: c\r\n"
        "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
        "X-New: d\r\n");
  // The old Date would make it look as old as before: without a new one, that of receipt counts.
  CHECK(freshened_head(*response, {}) ==
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCache-Control: max-age=5\r\nX-One: a\r\nX-Two: b\r\n"
        "ETag: \"a\"\r\n");
}

TEST_CASE("validation: all lines of a field are replaced by all of the new ones") {
  const auto response = stored("X-One: a\nLink: <1>\nX-One: b\nLink: <2>");
  CHECK(freshened_head(*response, Lines("X-One: c\nX-ONE: d")) ==
        "HTTP/1.1 200 OK\r\nLink: <1>\r\nLink: <2>\r\nX-One: c\r\nX-ONE: d\r\n");
}

TEST_CASE("validation: a 304 changes nothing that describes the stored body or concerns one connection or client") {
  const auto response = stored(
      "Content-Length: 4\nContent-Encoding: gzip\nContent-Type: text/plain\nContent-MD5: x\nETag: \"a\"\n"
      "X-Named: kept");
  const Lines not_modified(
      "Content-Length: 0\nContent-Encoding: br\nContent-Type: text/html\nContent-Range: bytes 0-1/2\nContent-MD5: y\n"
      "Content-Digest: sha-256=:x:\nETag: W/\"a\"\n"
      "Connection: close, x-named, x-other\nX-Named: gone\nX-Other: gone\nKeep-Alive: timeout=5\nTransfer-Encoding: "
      "chunked\n"
      "Upgrade: h2c\nTE: trailers\nProxy-Authenticate: Basic\nProxy-Connection: close\nAge: 5\nCache-Status: other; "
      "hit\n"
      "Set-Cookie: session=1");
  CHECK(freshened_head(*response, not_modified) == response->head());
}

TEST_CASE("validation: a 304 with a strong entity tag selects every stored response of that tag") {
  struct Row {
    const char *stored, *not_modified;
    bool same;
  };
  const Row rows[] = {
      {"ETag: \"a\"", "ETag: \"a\"", true},
      {"ETag: \"a\"", "ETag: \"b\"", false},
      {"ETag: \"a\"", "ETag: \"A\"", false},
      {"ETag: W/\"a\"", "ETag: \"a\"", false},
      {"ETag: \"a\"", "ETag: W/\"a\"", false},
      {"ETag: W/\"a\"", "ETag: W/\"a\"", false},  // weak ones may be shared by variants that differ
      {"ETag: \"a\"", "ETag: \"a\"\nETag: \"a\"", false},
      {"", "ETag: \"a\"", false},
      {"", "", false},
      {"ETag: \"a\"", "", false},
      {"Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT", "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT", false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.stored);
    CAPTURE(row.not_modified);
    CHECK(same_strong_validator(*stored(row.stored), Lines(row.not_modified)) == row.same);
  }
}

namespace {

std::string_view effect(const std::string& stored_lines, unsigned status, const std::string& lines,
                        unsigned stored_status = 200) {
  const Lines fields(lines);
  ResponseHead head;
  head.status = status;
  head.fields = fields;
  switch (effect_of_head(*stored(stored_lines, stored_status), head)) {
    case HeadEffect::none:
      return "none";
    case HeadEffect::freshen:
      return "freshen";
    case HeadEffect::outdated:
      return "outdated";
  }
  return "";
}

}  // namespace

TEST_CASE("validation: a HEAD's 200 freshens what it agrees with and outdates what it doesn't") {
  const std::string date = std::string("Last-Modified: ") + modified;
  const std::string other_date = std::string("Last-Modified: ") + before;
  struct Row {
    std::string stored, head;
    const char* expected;
  };
  const Row rows[] = {
      {"", "", "none"},  // silence agrees with nothing
      {"ETag: \"a\"\n" + date, "", "none"},
      {"ETag: \"a\"\n" + date, "Content-Length: 4", "none"},
      {"ETag: \"a\"\n" + date, "Content-Length: 5", "outdated"},
      {"", "Content-Length: 4", "freshen"},  // the stored body's length, whatever its fields say
      {"Content-Length: 4", "Content-Length: 4", "freshen"},
      {"", "Content-Length: 5", "outdated"},
      {"", "Content-Length: 0", "outdated"},
      {"", "Content-Length: 4x", "outdated"},
      {"", "Content-Length: +4", "outdated"},
      {"", "Content-Length: -4", "outdated"},
      {"", "Content-Length:", "outdated"},
      {"", "Content-Length: 18446744073709551620", "outdated"},  // 4 in 64 bits
      {"", "Content-Length: 4\nContent-Length: 4", "outdated"},
      {"ETag: \"a\"", "ETag: \"a\"", "freshen"},
      {"ETag: \"a\"", "ETag: \"b\"", "outdated"},
      {"ETag: \"a\"", "ETag: W/\"a\"", "freshen"},
      {"ETag: W/\"a\"", "ETag: W/\"a\"", "freshen"},
      {"ETag: W/\"a\"", "ETag: W/\"b\"", "outdated"},
      {"ETag: W/\"a\"", "ETag: \"a\"", "outdated"},
      {"ETag: \"a\"", "ETag: a", "outdated"},
      {"", "ETag: \"a\"", "outdated"},
      {date, "ETag: \"a\"", "outdated"},
      {date, date, "freshen"},
      {date, "Last-Modified: Sunday, 06-Nov-94 08:49:37 GMT", "freshen"},
      {date, other_date, "outdated"},
      {date, "Last-Modified: x", "outdated"},
      {date, date + "\n" + date, "outdated"},
      {"", date, "outdated"},
      {"ETag: \"a\"", date, "outdated"},
      {"ETag: \"a\"\n" + date, "ETag: \"a\"\n" + date + "\nContent-Length: 4", "freshen"},
      {"ETag: \"a\"\n" + date, "ETag: \"b\"\n" + date + "\nContent-Length: 4", "outdated"},
      {"ETag: \"a\"\n" + date, "ETag: \"a\"\n" + other_date + "\nContent-Length: 4", "outdated"},
      {"ETag: \"a\"\n" + date, "ETag: \"a\"\n" + date + "\nContent-Length: 3", "outdated"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.stored);
    CAPTURE(row.head);
    CHECK(effect(row.stored, 200, row.head) == row.expected);
  }
}

TEST_CASE("validation: a length too large for any body is not that of an empty one") {
  StoredParts parts;
  parts.meta.status = 200;
  ResponseHead head;
  head.status = 200;
  const Lines empty("Content-Length: 0"), large("Content-Length: 18446744073709551616");
  head.fields = empty;
  CHECK(effect_of_head(*StoredResponse::make(parts), head) == HeadEffect::freshen);
  head.fields = large;
  CHECK(effect_of_head(*StoredResponse::make(parts), head) == HeadEffect::outdated);
}

TEST_CASE("validation: a HEAD of another status outdates where it speaks of the resource") {
  for (unsigned status : {201u, 203u, 204u, 299u, 300u, 301u, 302u, 307u, 308u, 404u, 410u})
    CHECK_MESSAGE(effect("", status, "") == "outdated", status);
  for (unsigned status : {0u,   100u, 103u, 206u, 304u, 400u, 401u, 403u, 405u, 412u,
                          416u, 429u, 451u, 499u, 500u, 502u, 503u, 599u, 600u, 999u})
    CHECK_MESSAGE(effect("", status, "") == "none", status);
  CHECK(effect("", 200, "", 404) == "outdated");
  CHECK(effect("", 200, "", 203) == "outdated");
  // RFC 9111 4.3.5 speaks of a 200: what is stored of another status keeps its lifetime where nothing has changed it.
  for (unsigned status : {203u, 301u, 404u, 410u})
    CHECK_MESSAGE(effect("ETag: \"a\"", status, "ETag: \"b\"", status) == "none", status);
}

TEST_CASE("validation: a HEAD's fields freshen the head as a 304's do") {
  const auto response = stored("Content-Length: 4\nContent-Type: text/plain\nCache-Control: max-age=5\nETag: \"a\"");
  CHECK(freshened_head(*response, Lines("Content-Length: 4\nContent-Type: text/html\nCache-Control: max-age=60\n"
                                        "ETag: W/\"a\"\nX-New: d\nConnection: close")) ==
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Type: text/plain\r\nETag: \"a\"\r\n"
        "Cache-Control: max-age=60\r\nX-New: d\r\n");
}

TEST_CASE("validation: nothing that isn't a field gets into a freshened head") {
  const auto response = stored("X-One: a");
  const Field odd[] = {
      {"bad name", "1", Name::other}, {"X-Two", "a\r\nX-Evil: 1", Name::other}, {"", "x", Name::other}};
  CHECK(freshened_head(*response, odd) == response->head());
}

TEST_CASE("validation: a head on the wire is read back into fields") {
  const auto fields = fields_of_head("HTTP/1.1 200 OK\r\nETag: \"a\"\r\nX-Empty:\r\nX-Space:  a b \t\r\n");
  REQUIRE(fields.size() == 3);
  CHECK(fields[0].name == "ETag");
  CHECK(fields[0].value == "\"a\"");
  CHECK(fields[0].id == Name::etag);
  CHECK(fields[1].name == "X-Empty");
  CHECK(fields[1].value == "");
  CHECK(fields[1].id == Name::other);
  CHECK(fields[2].value == "a b");
}

TEST_CASE("validation: what isn't a head has no fields") {
  for (const char* head : {"", "HTTP/1.1 200 OK", "HTTP/1.1 200 OK\r\n", "\r\n", "\r\n\r\n", "X-One: a",
                           "HTTP/1.1 200 OK\r\nno colon\r\n: no name\r\nbad name: x\r\n"})
    CHECK_MESSAGE(fields_of_head(head).empty(), head);
  CHECK(fields_of_head("HTTP/1.1 200 OK\r\nX-One: cut").size() == 1);
}
