// Names, lists and bytes of fields (RFC 9110 5, 7.6.1, 9.1).
#include "core/headers.hpp"

#include <doctest/doctest.h>

#include <cctype>
#include <string>
#include <vector>

#include "core/message.hpp"
#include "message_builder.hpp"

using namespace pillion;
using pillion::test::Lines;

namespace {

struct Known {
  const char* text;
  Name name;
};

const Known known[] = {
    {"accept-encoding", Name::accept_encoding},
    {"accept-language", Name::accept_language},
    {"accept-ranges", Name::accept_ranges},
    {"age", Name::age},
    {"authorization", Name::authorization},
    {"cache-control", Name::cache_control},
    {"cache-group-invalidation", Name::cache_group_invalidation},
    {"cache-groups", Name::cache_groups},
    {"cache-status", Name::cache_status},
    {"cache-tag", Name::cache_tag},
    {"cdn-cache-control", Name::cdn_cache_control},
    {"connection", Name::connection},
    {"content-digest", Name::content_digest},
    {"content-encoding", Name::content_encoding},
    {"content-length", Name::content_length},
    {"content-location", Name::content_location},
    {"content-md5", Name::content_md5},
    {"content-range", Name::content_range},
    {"content-type", Name::content_type},
    {"cookie", Name::cookie},
    {"date", Name::date},
    {"etag", Name::etag},
    {"expect", Name::expect},
    {"expires", Name::expires},
    {"forwarded", Name::forwarded},
    {"host", Name::host},
    {"if-match", Name::if_match},
    {"if-modified-since", Name::if_modified_since},
    {"if-none-match", Name::if_none_match},
    {"if-range", Name::if_range},
    {"if-unmodified-since", Name::if_unmodified_since},
    {"keep-alive", Name::keep_alive},
    {"last-modified", Name::last_modified},
    {"location", Name::location},
    {"max-forwards", Name::max_forwards},
    {"no-vary-search", Name::no_vary_search},
    {"pillion-cache-control", Name::pillion_cache_control},
    {"pragma", Name::pragma},
    {"proxy-authenticate", Name::proxy_authenticate},
    {"proxy-authentication-info", Name::proxy_authentication_info},
    {"proxy-authorization", Name::proxy_authorization},
    {"proxy-connection", Name::proxy_connection},
    {"range", Name::range},
    {"retry-after", Name::retry_after},
    {"server", Name::server},
    {"set-cookie", Name::set_cookie},
    {"surrogate-key", Name::surrogate_key},
    {"te", Name::te},
    {"trailer", Name::trailer},
    {"traceparent", Name::traceparent},
    {"transfer-encoding", Name::transfer_encoding},
    {"upgrade", Name::upgrade},
    {"vary", Name::vary},
    {"via", Name::via},
    {"warning", Name::warning},
    {"x-forwarded-for", Name::x_forwarded_for},
    {"x-forwarded-host", Name::x_forwarded_host},
    {"x-forwarded-proto", Name::x_forwarded_proto},
    {"x-request-id", Name::x_request_id},
};

std::vector<std::string> members(std::string_view list) {
  std::vector<std::string> out;
  while (const auto member = next_member(list)) out.emplace_back(*member);
  return out;
}

using Strings = std::vector<std::string>;

}  // namespace

TEST_CASE("every known name is recognised in any case") {
  CHECK(std::size(known) == static_cast<std::size_t>(Name::x_request_id));  // none is missing from the table
  for (const Known& row : known) {
    CAPTURE(row.text);
    CHECK(name_of(row.text) == row.name);
    std::string upper = row.text, mixed = row.text;
    for (std::size_t i = 0; i < upper.size(); ++i) {
      upper[i] = static_cast<char>(std::toupper(static_cast<unsigned char>(upper[i])));
      if (i % 2 == 0) mixed[i] = upper[i];
    }
    CHECK(name_of(upper) == row.name);
    CHECK(name_of(mixed) == row.name);
  }
}

TEST_CASE("a name that differs from a known one by any one byte is another name") {
  for (const Known& row : known) {
    const std::string text = row.text;
    CAPTURE(text);
    CHECK(name_of(text + "x") == Name::other);
    CHECK(name_of(text + " ") == Name::other);
    CHECK(name_of(text.substr(1)) == Name::other);
    for (std::size_t i = 0; i < text.size(); ++i) {
      for (int byte = 0; byte < 256; ++byte) {
        std::string near = text;
        near[i] = static_cast<char>(byte);
        if (iequals(near, text)) continue;
        // The one change may make another known name (`te` and `via` are short), never this one.
        CAPTURE(i);
        CAPTURE(byte);
        REQUIRE(name_of(near) != row.name);
      }
    }
  }
}

TEST_CASE("a name of any other length or content is unknown") {
  for (const char* text : {"", "a", "x", "accept", "x-forwarded-port", "cookie2", "if-none-matcH-", "date\r", "host ",
                           "proxy-authentication-informat", "content\xadtype", "a-very-long-name-that-no-rule-knows"})
    CHECK_MESSAGE(name_of(text) == Name::other, text);
  CHECK(name_of(std::string(100000, 'a')) == Name::other);
}

TEST_CASE("fields are found by name, the first one, and counted") {
  const Lines lines("Vary: a\nX-One: 1\nvary: b\nx-one: 2");
  CHECK(find(lines, Name::vary)->value == "a");
  CHECK(find(lines, "x-ONE")->value == "1");
  CHECK(find(lines, Name::date) == nullptr);
  CHECK(find(lines, "x-two") == nullptr);
  CHECK(count(lines, Name::vary) == 2);
  CHECK(count(lines, Name::date) == 0);
}

TEST_CASE("only ASCII letters compare without case") {
  CHECK(iequals("ETag", "eTAG"));
  CHECK(iequals("", ""));
  CHECK_FALSE(iequals("etag", "etags"));
  CHECK_FALSE(iequals("@[`{", "`{@["));
  CHECK_FALSE(iequals("\xc4", "\xe4"));
}

TEST_CASE("white space around a value is SP and HTAB alone") {
  CHECK(trim(" \t a b \t") == "a b");
  CHECK(trim("\t ") == "");
  CHECK(trim("") == "");
  CHECK(trim("\r\na\v") == "\r\na\v");
}

TEST_CASE("tokens are of the characters that RFC 9110 names") {
  const std::string allowed = "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  CHECK(is_token(allowed));
  CHECK_FALSE(is_token(""));
  for (int byte = 0; byte < 256; ++byte) {
    const std::string one(1, static_cast<char>(byte));
    CHECK_MESSAGE(is_token(one) == (allowed.find(one) != std::string::npos), byte);
  }
}

TEST_CASE("field values hold no control characters but the tab") {
  for (int byte = 0; byte < 256; ++byte) {
    const bool good = byte == '\t' || (byte >= 0x20 && byte != 0x7f);
    CHECK_MESSAGE(is_field_value("a" + std::string(1, static_cast<char>(byte)) + "b") == good, byte);
  }
  CHECK(is_field_value(""));
}

TEST_CASE("a list is cut at commas outside of quoted strings") {
  CHECK(members("a,b") == Strings{"a", "b"});
  CHECK(members(" \ta ,\t b\t") == Strings{"a", "b"});
  CHECK(members(",, a,, ,b,") == Strings{"a", "b"});  // empty members (RFC 9110 5.6.1.2)
  CHECK(members("") == Strings{});
  CHECK(members(" , ,") == Strings{});
  CHECK(members("a=\"1,2\", b") == Strings{"a=\"1,2\"", "b"});
  CHECK(members("a=\"\\\",\", b") == Strings{"a=\"\\\",\"", "b"});  // an escaped quote doesn't end the string
  CHECK(members("a=\"\\\\\", b") == Strings{"a=\"\\\\\"", "b"});    // an escaped backslash escapes nothing
  CHECK(members("\"a\"\"b,c\",d") == Strings{"\"a\"\"b,c\"", "d"});
}

TEST_CASE("a quote that is never closed hides nothing") {
  CHECK(members("a=\"b, no-store") == Strings{"a=\"b", "no-store"});
  CHECK(members("a, \"") == Strings{"a", "\""});
  CHECK(members("a=\"b\\\", no-store") == Strings{"a=\"b\\\"", "no-store"});
  CHECK(members("a=\"b\\") == Strings{"a=\"b\\"});
  CHECK(members("a\\, b") == Strings{"a\\", "b"});  // outside of quotes a backslash escapes no comma
}

TEST_CASE("a list of nothing but escaped quotes is read in linear time") {
  // Quadratic reading would take minutes here.
  std::string list = "\"";
  for (int i = 0; i < 500000; ++i) list += "\\\",";
  CHECK(members(list).size() == 500000);
  std::string closed;
  for (int i = 0; i < 500000; ++i) closed += "\"a\",";
  CHECK(members(closed).size() == 500000);
}

TEST_CASE("a token is looked for in all lines of a list") {
  const Lines lines("Connection: a, b\nX-Other: d\nConnection: c");
  CHECK(list_has(lines, Name::connection, "a"));
  CHECK(list_has(lines, Name::connection, "B"));
  CHECK(list_has(lines, Name::connection, "c"));
  CHECK_FALSE(list_has(lines, Name::connection, "d"));
  CHECK_FALSE(list_has(lines, Name::connection, "a, b"));
  CHECK_FALSE(list_has(lines, Name::vary, "a"));
}

TEST_CASE("fields of one connection never pass") {
  const Name never[] = {
      Name::connection,         Name::proxy_connection, Name::keep_alive,         Name::te,
      Name::transfer_encoding,  Name::upgrade,          Name::proxy_authenticate, Name::proxy_authentication_info,
      Name::proxy_authorization};
  std::size_t hop_by_hop = 0;
  for (const Known& row : known) hop_by_hop += is_hop_by_hop(row.name);
  CHECK(hop_by_hop == std::size(never));
  for (Name name : never) CHECK(is_hop_by_hop(name));
  CHECK_FALSE(is_hop_by_hop(Name::other));
}

TEST_CASE("a field that Connection names is of this connection") {
  const Lines lines("Connection: close, X-Secret\nConnection: x-other");
  CHECK(is_connection_nominated(lines, "x-secret"));
  CHECK(is_connection_nominated(lines, "X-Other"));
  CHECK_FALSE(is_connection_nominated(lines, "x-third"));
  CHECK_FALSE(is_connection_nominated(Lines("X-A: x-secret"), "x-secret"));
}

TEST_CASE("methods are case-sensitive and unknown ones unsafe") {
  CHECK(method_of("GET") == Method::get);
  CHECK(method_of("HEAD") == Method::head);
  CHECK(method_of("POST") == Method::post);
  CHECK(method_of("PUT") == Method::put);
  CHECK(method_of("PATCH") == Method::patch);
  CHECK(method_of("DELETE") == Method::del);
  CHECK(method_of("OPTIONS") == Method::options);
  CHECK(method_of("CONNECT") == Method::connect);
  CHECK(method_of("TRACE") == Method::trace);
  for (const char* text : {"get", "Get", "GETS", "", "PURGE", "GE"}) CHECK(method_of(text) == Method::other);
  for (Method m : {Method::get, Method::head, Method::options, Method::trace}) CHECK(is_safe(m));
  for (Method m : {Method::post, Method::put, Method::patch, Method::del, Method::connect, Method::other})
    CHECK_FALSE(is_safe(m));
}
