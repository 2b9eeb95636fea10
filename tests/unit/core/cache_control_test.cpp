// Cache-Control, Pragma and Age (RFC 9111 5.1, 5.2, 5.4).
#include "core/cache_control.hpp"

#include <doctest/doctest.h>

#include <initializer_list>
#include <string>

#include "message_builder.hpp"

using namespace pillion;
using pillion::test::Lines;

namespace {

constexpr std::int32_t max_delta = 2147483647;

ResponseDirectives response(const char* value) {
  return parse_response_directives(Lines("Cache-Control: " + std::string(value)));
}
RequestDirectives request(const char* value) {
  return parse_request_directives(Lines("Cache-Control: " + std::string(value)));
}

}  // namespace

TEST_CASE("without Cache-Control nothing is said") {
  const ResponseDirectives d = parse_response_directives(Lines("Pragma: no-cache\nX-Cache-Control: no-store"));
  CHECK_FALSE(d.present);
  CHECK_FALSE((d.no_store || d.no_cache || d.private_ || d.public_ || d.must_revalidate || d.proxy_revalidate ||
               d.must_understand || d.no_transform || d.immutable));
  CHECK(d.max_age == no_delta);
  CHECK(d.s_maxage == no_delta);
  CHECK(d.stale_while_revalidate == no_delta);
  CHECK(d.stale_if_error == no_delta);
}

TEST_CASE("each response directive is read, in any case") {
  using D = ResponseDirectives;
  struct Row {
    const char* value;
    bool D::* flag;
  };
  const Row rows[] = {
      {"must-revalidate", &D::must_revalidate},
      {"Must-Revalidate", &D::must_revalidate},
      {"must-understand", &D::must_understand},
      {"no-cache", &D::no_cache},
      {"NO-STORE", &D::no_store},
      {"no-transform", &D::no_transform},
      {"private", &D::private_},
      {"proxy-revalidate", &D::proxy_revalidate},
      {"pUBLIC", &D::public_},
      {"immutable", &D::immutable},
  };
  for (const Row& row : rows) {
    CAPTURE(row.value);
    const D d = response(row.value);
    CHECK(d.present);
    for (bool D::* flag : {&D::must_revalidate, &D::must_understand, &D::no_cache, &D::no_store, &D::no_transform,
                           &D::private_, &D::proxy_revalidate, &D::public_, &D::immutable})
      CHECK(d.*flag == (flag == row.flag));
  }
  const D d = response("max-age=1, S-MaxAge=2, stale-while-revalidate=3, stale-if-error=4");
  CHECK(d.max_age == 1);
  CHECK(d.s_maxage == 2);
  CHECK(d.stale_while_revalidate == 3);
  CHECK(d.stale_if_error == 4);
}

TEST_CASE("members may stand in any white space, in any line, after any other") {
  for (const char* value : {"no-store,max-age=60", "max-age=60 ,\tno-store", ",,max-age=60,, ,no-store,",
                            "max-age=60\nCache-Control: no-store", "foo, bar=1, x=\"a,b\", max-age=60, no-store",
                            "x=\"max-age=1, public\", max-age=60, no-store"}) {
    CAPTURE(value);
    const ResponseDirectives d = response(value);
    CHECK(d.no_store);
    CHECK(d.max_age == 60);
    CHECK_FALSE(d.public_);
  }
}

TEST_CASE("unknown directives are ignored, and so is what only looks like a known one") {
  for (const char* value : {"foo", "no-stores", "xno-store", "no_store", "\"no-store\"", "x=no-store",
                            "x=\"a, no-store\"", "=no-store", "="}) {
    CAPTURE(value);
    CHECK_FALSE(response(value).no_store);
    CHECK(response(value).present);
  }
  CHECK(response("max-agee=60").max_age == no_delta);
  CHECK(response("x-max-age=60").max_age == no_delta);
}

TEST_CASE("what forbids counts however it is written") {
  for (const char* value :
       {"no-store=1", "no-store=\"x\"", "no-store=", "no-store; max-age=60", "no-store x", "x=\"y, no-store"})
    CHECK_MESSAGE(response(value).no_store, value);
  for (const char* value : {"private=\"x\"", "private=x", "private=", "private;", "private=\"set-cookie, x\""})
    CHECK_MESSAGE(response(value).private_, value);
  for (const char* value : {"no-cache=\"set-cookie\"", "no-cache=x", "no-cache=\"\""})
    CHECK_MESSAGE(response(value).no_cache, value);
  CHECK(response("proxy-revalidate=1").proxy_revalidate);
  CHECK(response("no-transform=1").no_transform);
}

TEST_CASE("what allows counts only as the RFC writes it") {
  for (const char* value : {"public=foo", "public=", "public;", "public x", "\"public\"", "x=public"})
    CHECK_MESSAGE(!response(value).public_, value);
  CHECK_FALSE(response("immutable=1").immutable);
  CHECK_FALSE(response("must-understand=1").must_understand);
  // It forbids stale answers and permits sharing: oddly written it keeps the first effect alone.
  CHECK_FALSE(response("must-revalidate=1").must_revalidate);
  CHECK(response("must-revalidate=1").proxy_revalidate);
}

TEST_CASE("numbers may be quoted, have leading zeros and saturate") {
  struct Row {
    const char* value;
    std::int32_t seconds;
  };
  const Row rows[] = {
      {"max-age=60", 60},
      {"max-age=\"60\"", 60},
      {"max-age=0", 0},
      {"max-age=00060", 60},
      {"max-age=2147483647", max_delta},
      {"max-age=2147483648", max_delta},
      {"max-age=99999999999999999999999999999999", max_delta},
  };
  for (const Row& row : rows) CHECK_MESSAGE(response(row.value).max_age == row.seconds, row.value);
}

TEST_CASE("a malformed number makes a response stale") {
  for (const char* argument :
       {"",    "=",     "=abc",  "=-1",   "=+1",   "=1.5",  "=60s",      "=6 0",     "= 60",       " =60",
        " 60", "=\"\"", "=\"60", "=60\"", "='60'", "=0x60", "=\"6\\0\"", "=\"-60\"", "=60;public", "==60"}) {
    CAPTURE(argument);
    CHECK(response(("max-age" + std::string(argument)).c_str()).max_age == 0);
    CHECK(response(("s-maxage" + std::string(argument)).c_str()).s_maxage == 0);
    CHECK(response(("stale-if-error" + std::string(argument)).c_str()).stale_if_error == 0);
    CHECK(response(("stale-while-revalidate" + std::string(argument)).c_str()).stale_while_revalidate == 0);
  }
}

TEST_CASE("of a number given twice the smallest holds") {
  CHECK(response("max-age=60, max-age=30").max_age == 30);
  CHECK(response("max-age=30, max-age=60").max_age == 30);
  CHECK(response("max-age=60\nCache-Control: max-age=30").max_age == 30);
  CHECK(response("max-age=60, max-age=abc").max_age == 0);
  CHECK(response("max-age=abc, max-age=60").max_age == 0);
  CHECK(response("s-maxage=60, s-maxage=5").s_maxage == 5);
}

TEST_CASE("a list cut into lines says what it says in one") {
  const char* parts[] = {"no-store", "private=\"a\"", "max-age=5", "x=\"y", "public", "z\"", "no-cache"};
  for (const char* a : parts) {
    for (const char* b : parts) {
      const ResponseDirectives one = response((std::string(a) + ", " + b).c_str());
      const ResponseDirectives two = response((std::string(a) + "\nCache-Control: " + b).c_str());
      CAPTURE(a);
      CAPTURE(b);
      // A quote may reach over a comma, never over a line: the lines are at least as strict.
      CHECK(two.no_store >= one.no_store);
      CHECK(two.private_ >= one.private_);
      CHECK(two.no_cache >= one.no_cache);
      CHECK(two.max_age == one.max_age);
    }
  }
}

TEST_CASE("each request directive is read") {
  CHECK(request("no-store").no_store);
  CHECK(request("No-Cache").no_cache);
  CHECK(request("only-if-cached").only_if_cached);
  CHECK(request("max-age=5").max_age == 5);
  CHECK(request("min-fresh=6").min_fresh == 6);
  CHECK(request("max-stale=7").max_stale == 7);
  CHECK_FALSE(request("max-stale=7").max_stale_any);
  CHECK(request("max-stale").max_stale_any);
  CHECK(request("max-stale").max_stale == no_delta);
  const RequestDirectives none = request("foo");
  CHECK_FALSE((none.no_store || none.no_cache || none.only_if_cached || none.max_stale_any));
  CHECK(none.max_age == no_delta);
  CHECK(none.min_fresh == no_delta);
  CHECK(none.max_stale == no_delta);
}

TEST_CASE("of an odd request the stricter reading holds") {
  CHECK(request("max-age=abc").max_age == 0);
  CHECK(request("max-age=9, max-age=3").max_age == 3);
  CHECK(request("min-fresh=9, min-fresh=3").min_fresh == 9);
  CHECK(request("min-fresh=abc").min_fresh == max_delta);
  CHECK(request("max-stale=abc").max_stale == 0);
  CHECK_FALSE(request("max-stale=abc").max_stale_any);
  CHECK(request("max-stale=9, max-stale=3").max_stale == 3);
  CHECK(request("max-stale, max-stale=3").max_stale == 3);
  CHECK_FALSE(request("max-stale, max-stale=3").max_stale_any);
}

TEST_CASE("Pragma speaks for a request only where Cache-Control is silent") {
  CHECK(parse_request_directives(Lines("Pragma: no-cache")).no_cache);
  CHECK(parse_request_directives(Lines("Pragma: foo, No-Cache")).no_cache);
  CHECK_FALSE(parse_request_directives(Lines("Pragma: foo")).no_cache);
  CHECK_FALSE(parse_request_directives(Lines("Pragma: no-cache\nCache-Control: max-age=60")).no_cache);
}

TEST_CASE("Age is the first member of the first line, where that is a number") {
  struct Row {
    const char* lines;
    std::int32_t seconds;
  };
  const Row rows[] = {
      {"", no_delta},
      {"Age: 0", 0},
      {"Age: 60", 60},
      {"Age: 60, 70", 60},
      {"Age: 60\nAge: 70", 60},
      {"Age: 2147483648", max_delta},
      {"Age: 99999999999999999999", max_delta},
      {"Age:", no_delta},
      {"Age: -1", no_delta},
      {"Age: 1.5", no_delta},
      {"Age: abc", no_delta},
      {"Age: \"60\"", no_delta},
      {"Age: abc, 60", no_delta},
      {"Age: 60 70", no_delta},
  };
  for (const Row& row : rows) CHECK_MESSAGE(parse_age(Lines(row.lines)) == row.seconds, row.lines);
}
