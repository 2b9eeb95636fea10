// Cache-Control, Pragma and Age (RFC 9111 5.1, 5.2, 5.4), and the fields that go before it (RFC 9213).
#include "core/cache_control.hpp"

#include <doctest/doctest.h>

#include <initializer_list>
#include <string>
#include <vector>

#include "message_builder.hpp"
#include "response_flags.hpp"

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
  for (const char* value : {"must-revalidate", "Must-Revalidate", "must-understand", "no-cache", "NO-STORE",
                            "no-transform", "private", "proxy-revalidate", "pUBLIC", "immutable"}) {
    CAPTURE(value);
    const ResponseDirectives d = response(value);
    CHECK(d.present);
    const std::vector<std::string> flags = test::flags_of(d);
    REQUIRE(flags.size() == 1);
    CHECK(iequals(flags.front(), value));
  }
  const ResponseDirectives d = response("max-age=1, S-MaxAge=2, stale-while-revalidate=3, stale-if-error=4");
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

TEST_CASE("cache-control: no quoting hides what forbids from us that another parser would see") {
  for (const char* hidden : {
           R"(x="a\", no-store")",         // without escapes the string ends at the backslash
           R"(x="a\\", no-store, y="b")",  // an escaped backslash, and the string ends
           R"(x="a\\\", no-store")",
           R"(x=a"b, no-store, c"d)",  // no argument: a quote within a word
           R"(x"=", no-store, ")",
           R"(x= "a, no-store")",
           R"(x; y="a\", no-store, ")",
           R"("a\", no-store")",
           R"(x=\"a, no-store")",
           R"(x="a, no-store)",  // never closed
           R"(x="a\", no-store)",
           R"(x"\" y", z=", no-store, w")",      // seen without escapes, where quotes open anywhere
           R"(v\"x"a, y="\" z=", no-store, ")",  // with escapes, where only arguments are quoted
           R"(v\", y="\", no-store, ")",         // without escapes, where only arguments are quoted
           R"(x=", y=", no-store, z=")",
           "x=\"a\nCache-Control: no-store\nCache-Control: y\"",
           "x='a, no-store, b'",
       }) {
    CAPTURE(hidden);
    CHECK(response(hidden).no_store);
    CHECK(request(hidden).no_store);
  }
  for (const char* quoted : {R"(x="a, no-store")", R"(x="a, no-store, b", y)", R"("a, no-store")",
                             R"(y, "a, no-store, b")", R"(x="\"no-store\"")", R"(x="a \"b\" no-store, c")"}) {
    CAPTURE(quoted);
    CHECK_FALSE(response(quoted).no_store);
  }
}

TEST_CASE("cache-control: what only another way of quoting shows forbids, and allows nothing") {
  const ResponseDirectives d = response(
      R"(x="a\", private, no-cache, no-transform, proxy-revalidate, max-age=60, s-maxage=60, public, immutable, must-understand")");
  CHECK(d.private_);
  CHECK(d.no_cache);
  CHECK(d.no_transform);
  CHECK(d.proxy_revalidate);
  CHECK(d.max_age == no_delta);
  CHECK(d.s_maxage == no_delta);
  CHECK_FALSE((d.public_ || d.immutable || d.must_understand));
  const ResponseDirectives revalidate = response(R"(x="a\", must-revalidate, y")");
  CHECK_FALSE(revalidate.must_revalidate);
  CHECK(revalidate.proxy_revalidate);
  CHECK_FALSE(response(R"(must-revalidate, x="a")").proxy_revalidate);
  CHECK(request(R"(x="a\", no-cache")").no_cache);
  CHECK_FALSE(request(R"(x="a\", only-if-cached, y")").only_if_cached);
}

TEST_CASE("cache-control: quotes that are never closed are read in a moment") {
  for (const char* part : {R"(="\)", R"(=\")", R"("\)", R"(\")", R"(,"\")", R"(,\")"}) {
    CAPTURE(part);
    std::string quotes(30000, ' ');
    quotes += "x=\"";
    for (int i = 0; i < 20000; ++i) quotes += part;
    CHECK_FALSE(response(quotes.c_str()).no_store);
  }
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
      {"MaX-aGe=60", 60},
      {"max-age=60, MAX-AGE=30", 30},
      {"max-age=60, max-age=\"30\"", 30},
      {"x=\"max-age=5\", max-age=\"60\"", 60},
      {"max-age=\"60\", x=\"max-age=5\"", 60},
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

namespace {

ResponseDirectives targeted(const std::string& value, const char* others = "Cache-Control: max-age=1, x-other") {
  return parse_response_directives(Lines("CDN-Cache-Control: " + value + "\n" + others));
}

}  // namespace

TEST_CASE("cache-control: targeted: the first well-formed field that isn't empty decides alone") {
  struct Row {
    const char* lines;
    std::int32_t max_age;
    bool targeted;
  };
  const Row rows[] = {
      {"Cache-Control: max-age=1", 1, false},
      {"CDN-Cache-Control: max-age=2\nCache-Control: max-age=1", 2, true},
      {"Cache-Control: max-age=1\nCDN-Cache-Control: max-age=2\nPillion-Cache-Control: max-age=3", 3, true},
      {"Pillion-Cache-Control: max-age=3", 3, true},
      {"Pillion-Cache-Control: MAX-AGE=3\nCDN-Cache-Control: max-age=2\nCache-Control: max-age=1", 2, true},
      {"Pillion-Cache-Control:\nCDN-Cache-Control: max-age=2", 2, true},
      {"Pillion-Cache-Control:\nCDN-Cache-Control:\nCache-Control: max-age=1", 1, false},
      {"Pillion-Cache-Control: a=\nCDN-Cache-Control: b,\nCache-Control: max-age=1", 1, false},
      {"Pillion-Cache-Control: unknown\nCDN-Cache-Control: max-age=2", no_delta, true},
      {"CDN-Cache-Control: private\nCache-Control: max-age=1", no_delta, true},
      {"CDN-Cache-Control: max-age=5\nCDN-Cache-Control: s-maxage=6, max-age=2", 2, true},
      {"CDN-Cache-Control: max-age=2\nCDN-Cache-Control: \"\nCache-Control: max-age=1", 1, false},
      {"Surrogate-Control: max-age=9\nX-CDN-Cache-Control: max-age=9\nCache-Control: max-age=1", 1, false},
  };
  for (const Row& row : rows) {
    CAPTURE(row.lines);
    const ResponseDirectives d = parse_response_directives(Lines(row.lines));
    CHECK(d.max_age == row.max_age);
    CHECK(d.targeted == row.targeted);
    CHECK(d.present);
  }
  const ResponseDirectives d = parse_response_directives(Lines(
      "Cache-Control: no-store, private, no-cache, must-revalidate, s-maxage=0\nPragma: no-cache\nCDN-Cache-Control: "
      "max-age=60"));
  CHECK_FALSE((d.no_store || d.private_ || d.no_cache || d.must_revalidate || d.proxy_revalidate));
  CHECK(d.s_maxage == no_delta);
}

TEST_CASE("cache-control: targeted: a number is an Integer from 0 on, or the whole field is as if absent") {
  struct Row {
    const char* value;
    std::int32_t seconds;  ///< no_delta: malformed
  };
  const Row rows[] = {
      {"0", 0},
      {"60", 60},
      {"060", 60},
      {"60;x=\"y\"", 60},
      {"2147483647", max_delta},
      {"2147483648", max_delta},
      {"999999999999999", max_delta},
      {"-0", 0},
      {"9999999999999999", no_delta},
      {"-1", no_delta},
      {"60.0", no_delta},
      {"\"60\"", no_delta},
      {"a60", no_delta},
      {"60a", no_delta},
      {"(60)", no_delta},
      {"?1", no_delta},
      {"?0", no_delta},
      {"@60", no_delta},
      {"", no_delta},
      {" 60", no_delta},
  };
  using D = ResponseDirectives;
  const std::pair<const char*, std::int32_t D::*> names[] = {{"max-age", &D::max_age},
                                                             {"s-maxage", &D::s_maxage},
                                                             {"stale-while-revalidate", &D::stale_while_revalidate},
                                                             {"stale-if-error", &D::stale_if_error}};
  for (const auto& [name, delta] : names) {
    for (const Row& row : rows) {
      const std::string value = "public, " + std::string(name) + "=" + row.value;
      CAPTURE(value);
      const D d = targeted(value, "");
      CHECK(d.targeted == (row.seconds != no_delta));
      CHECK(d.public_ == d.targeted);
      CHECK(d.*delta == row.seconds);
    }
    CHECK_FALSE(targeted(name).targeted);
  }
  CHECK(targeted("max-age=60, max-age=5").max_age == 5);
  CHECK(targeted("max-age=5, max-age=60").max_age == 60);
  CHECK(targeted("max-age=a, max-age=60").max_age == 60);  // a structured field's last value is its only one
}

TEST_CASE("cache-control: targeted: what forbids counts with any value but false, what allows with true alone") {
  struct Row {
    const char *name, *with_value;  ///< the flag that it sets, with any other value than a boolean too
  };
  const Row rows[] = {
      {"no-store", "no-store"},
      {"no-cache", "no-cache"},
      {"private", "private"},
      {"no-transform", "no-transform"},
      {"proxy-revalidate", "proxy-revalidate"},
      {"must-revalidate", "proxy-revalidate"},
      {"public", ""},
      {"immutable", ""},
      {"must-understand", ""},
  };
  const auto only = [](const ResponseDirectives& d, const std::string& expected) {
    const std::vector<std::string> flags = test::flags_of(d);
    return d.targeted && (expected.empty() ? flags.empty() : flags == std::vector{expected});
  };
  for (const Row& row : rows) {
    const std::string name = row.name;
    CAPTURE(name);
    CHECK(only(targeted(name), name));
    CHECK(only(targeted(name + "=?1"), name));
    CHECK(only(targeted(name + ";x=?0"), name));
    CHECK(only(targeted(name + "=?0"), ""));
    CHECK(only(targeted(name + ", " + name + "=?0"), ""));
    for (const char* value :
         {"=1", "=0", "=\"x\"", "=(\"set-cookie\" \"x\")", "=()", "=false", "=1.5", "=:YQ:", "=@5"}) {
      CAPTURE(value);
      CHECK(only(targeted(name + value), row.with_value));
    }
  }
  CHECK(only(targeted("no-stores, x-private, foo=(no-cache), bar=\"no-store\""), ""));
}

TEST_CASE("cache_control: a targeted field with a broken number still forbids what it forbids") {
  for (const std::string value : {"no-store, max-age=\"60\"", "max-age=60.5, private", "no-cache, s-maxage=a"}) {
    CAPTURE(value);
    const ResponseDirectives d =
        parse_response_directives(Lines("CDN-Cache-Control: " + value + "\nCache-Control: max-age=600\n"));
    CHECK(d.targeted);
    CHECK((d.no_store || d.private_ || d.no_cache));
    CHECK(d.max_age == 0);
  }
  CHECK_FALSE(
      parse_response_directives(Lines("CDN-Cache-Control: public, max-age=x\nCache-Control: max-age=600\n")).targeted);
}
