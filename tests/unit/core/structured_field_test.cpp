// Structured fields (RFC 9651 4.2).
#include "core/structured_field.hpp"

#include <doctest/doctest.h>

#include <initializer_list>
#include <string>

#include "message_builder.hpp"

using namespace pillion;
using namespace pillion::structured;
using pillion::test::Lines;

namespace {

std::string text_of(const Item& item) {
  if (const auto* value = std::get_if<bool>(&item)) return *value ? "?1" : "?0";
  if (const auto* value = std::get_if<std::int64_t>(&item)) return std::to_string(*value);
  if (const auto* value = std::get_if<Decimal>(&item)) return "d" + std::to_string(value->value);
  if (const auto* value = std::get_if<std::string>(&item)) return "<" + *value + ">";
  if (const auto* value = std::get_if<Token>(&item)) return "'" + std::string(value->text);
  return "unused";
}

/// Members as `key=item` or `key=(item item)`, apart by commas; `malformed` where there are none.
std::string text_of(const std::optional<std::vector<Member>>& members) {
  if (!members) return "malformed";
  std::string out;
  for (const Member& member : *members) {
    if (!out.empty()) out += ",";
    if (!member.key.empty()) out.append(member.key).append("=");
    if (!member.is_inner_list) {
      out += text_of(member.item);
      continue;
    }
    out += "(";
    for (const Item& item : member.inner) out += (out.back() == '(' ? "" : " ") + text_of(item);
    out += ")";
  }
  return out;
}

std::string list(const std::string& value) {
  return text_of(parse_list(Lines("Cache-Groups: " + value), Name::cache_groups));
}
std::string dictionary(const std::string& value) {
  return text_of(parse_dictionary(Lines("CDN-Cache-Control: " + value), Name::cdn_cache_control));
}

struct Row {
  const char* value;
  const char* expected;
};

}  // namespace

TEST_CASE("structured field: a field that isn't there is no list; an empty one has no members") {
  CHECK_FALSE(parse_list(Lines(""), Name::cache_groups));
  CHECK_FALSE(parse_dictionary(Lines("Cache-Control: a=1"), Name::cdn_cache_control));
  CHECK(list("") == "");
  CHECK(dictionary("") == "");
  CHECK(parse_dictionary(Lines("CDN-Cache-Control:"), Name::cdn_cache_control));
}

TEST_CASE("structured field: each kind of item is read, or refused, as the grammar has it") {
  const Row rows[] = {
      {"0", "0"},
      {"-0", "0"},
      {"007", "7"},
      {"-42", "-42"},
      {"999999999999999", "999999999999999"},
      {"-999999999999999", "-999999999999999"},
      {"1000000000000000", "malformed"},
      {"-", "malformed"},
      {"--1", "malformed"},
      {"+1", "malformed"},
      {"1e3", "malformed"},
      {"1 2", "malformed"},
      {"1.5", "d1.500000"},
      {"-0.125", "d-0.125000"},
      {"123456789012.250", "d123456789012.250000"},
      {"1234567890123.0", "malformed"},
      {"1.", "malformed"},
      {".5", "malformed"},
      {"1.2345", "malformed"},
      {"1.2.3", "malformed"},
      {"-1.-2", "malformed"},
      {"\"\"", "<>"},
      {"\"a b,c;d\"", "<a b,c;d>"},
      {R"("a\"b\\c")", R"(<a"b\c>)"},
      {R"("a\b")", "malformed"},
      {R"("a\)", "malformed"},
      {R"("a\")", "malformed"},
      {"\"a", "malformed"},
      {"a\"", "malformed"},
      {"\"a\tb\"", "malformed"},
      {"\"\xc3\xa9\"", "malformed"},
      {"\"a\"b", "malformed"},
      {"'a'", "malformed"},
      {"a", "'a"},
      {"A*b/c:d", "'A*b/c:d"},
      {"*a", "'*a"},
      {"a!#$%&'*+-.^_`|~9", "'a!#$%&'*+-.^_`|~9"},
      {"_a", "malformed"},
      {"a=b", "malformed"},
      {"a b", "malformed"},
      {"?1", "?1"},
      {"?0", "?0"},
      {"?", "malformed"},
      {"?2", "malformed"},
      {"?true", "malformed"},
      {"?10", "malformed"},
      {"::", "unused"},
      {":YWJj:", "unused"},
      {":YQ==:", "unused"},
      {":YQ:", "unused"},
      {":+/+/:", "unused"},
      {":Y:", "malformed"},
      {":YQ=:", "malformed"},
      {":YWJj=:", "malformed"},
      {":YWJj====:", "malformed"},
      {":Y=Jj:", "malformed"},
      {":Y-Jj:", "malformed"},
      {":YWJj", "malformed"},
      {":", "malformed"},
      {"@0", "unused"},
      {"@-1659578233", "unused"},
      {"@1.5", "malformed"},
      {"@", "malformed"},
      {"@a", "malformed"},
      {"@1000000000000000", "malformed"},
      {"%\"\"", "unused"},
      {"%\"a b\\\"", "unused"},
      {"%\"f%c3%bc\"", "unused"},
      {"%\"%22%25\"", "unused"},
      {"%\"%C3%BC\"", "malformed"},
      {"%\"%c3\"", "malformed"},
      {"%\"%c3x\"", "malformed"},
      {"%\"%0\"", "malformed"},
      {"%\"%", "malformed"},
      {"%\"a", "malformed"},
      {"%a", "malformed"},
      {"%", "malformed"},
      {"%\"\xc3\xbc\"", "malformed"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.value);
    CHECK(list(row.value) == row.expected);
    // As the value of a dictionary's member, of a parameter and within an inner list: the same grammar.
    const bool malformed = std::string(row.expected) == "malformed";
    CHECK(dictionary("k=" + std::string(row.value)) == (malformed ? "malformed" : "k=" + std::string(row.expected)));
    CHECK(list("x;p=" + std::string(row.value)) == (malformed ? "malformed" : "'x"));
    if (std::string_view(row.value).find(' ') == std::string_view::npos)
      CHECK(list("(" + std::string(row.value) + ")") ==
            (malformed ? "malformed" : "(" + std::string(row.expected) + ")"));
  }
}

TEST_CASE("structured field: members stand apart by one comma, with white space around it or none") {
  const Row rows[] = {
      {"a,b", "'a,'b"},
      {"a , b", "'a,'b"},
      {"a\t,\tb", "'a,'b"},
      {"a,\t \"b\"  ,1", "'a,<b>,1"},
      {"a,,b", "malformed"},
      {"a, ,b", "malformed"},
      {",a", "malformed"},
      {"a,", "malformed"},
      {"a , ", "malformed"},
      {",", "malformed"},
      {"a;b", "'a"},
      {"a\nCache-Groups: b, c", "'a,'b,'c"},
      {"a,\nCache-Groups: b", "malformed"},
      {"a\nCache-Groups:", "malformed"},
      {"\nCache-Groups: a", "malformed"},
      {"\"a\nCache-Groups: b\"", "malformed"},
      {"(a\nCache-Groups: b)", "malformed"},
      {"a\nCache-Group-Invalidation: ,,,\ncache-groups: b", "'a,'b"},
      {"a\nCache-Groups: \"", "malformed"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.value);
    CHECK(list(row.value) == row.expected);
  }
}

TEST_CASE("structured field: inner lists hold items apart by spaces, and don't nest") {
  const Row rows[] = {
      {"()", "()"},
      {"(  )", "()"},
      {"(a)", "('a)"},
      {"( a  \"b\" 1 )", "('a <b> 1)"},
      {"(a;x=1;y b);z", "('a 'b)"},
      {"(a), (b)", "('a),('b)"},
      {"(a\"b\")", "malformed"},
      {"(\"a\"\"b\")", "malformed"},
      {"(a;)", "malformed"},
      {"(a;b=)", "malformed"},
      {"(a,b)", "malformed"},
      {"(a\tb)", "malformed"},
      {"((a))", "malformed"},
      {"(a", "malformed"},
      {"(", "malformed"},
      {"a)", "malformed"},
      {"(a))", "malformed"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.value);
    CHECK(list(row.value) == row.expected);
  }
  CHECK(list(std::string(60000, '(')) == "malformed");
}

TEST_CASE("structured field: parameters are checked and dropped") {
  const Row rows[] = {
      {"a;b", "'a"},
      {"a; b;c=1;  d=\"x\"", "'a"},
      {"a;*b=?0;a-_.*9=:YQ:", "'a"},
      {"a ;b", "malformed"},
      {"a;\tb", "malformed"},
      {"a;B", "malformed"},
      {"a;", "malformed"},
      {"a;;b", "malformed"},
      {"a;b=", "malformed"},
      {"a;b =1", "malformed"},
      {"a;b=(c)", "malformed"},
      {"a;1", "malformed"},
      {"\"a\";revalidate", "<a>"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.value);
    CHECK(list(row.value) == row.expected);
  }
}

TEST_CASE("structured field: keys of dictionaries are lower-case; the last value of one holds, at its first place") {
  const Row rows[] = {
      {"a", "a=?1"},
      {"a;x=1", "a=?1"},
      {"a=1, b=(x y);p, *c", "a=1,b=('x 'y),*c=?1"},
      {"max-age=60, s_m.a*x9=1", "max-age=60,s_m.a*x9=1"},
      {"a=1, b=2, a=3", "a=3,b=2"},
      {"a=1\nCDN-Cache-Control: a=(z)", "a=('z)"},
      {"a=(z), a", "a=?1"},
      {"Max-age=60", "malformed"},
      {"max-Age=60", "malformed"},
      {"max-age =60", "malformed"},
      {"max-age= 60", "malformed"},
      {"max-age=", "malformed"},
      {"=60", "malformed"},
      {"1a=60", "malformed"},
      {"-a", "malformed"},
      {"\"a\"=1", "malformed"},
      {"a=1 b=2", "malformed"},
      {"a=1, &&&&&", "malformed"},
      {"a=b=c", "malformed"},
      {"a==1", "malformed"},
      {"a=1,", "malformed"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.value);
    CHECK(dictionary(row.value) == row.expected);
  }
}

TEST_CASE("structured field: a member that was replaced leaves nothing behind") {
  const auto members = parse_dictionary(Lines("CDN-Cache-Control: a=(x y), a=1"), Name::cdn_cache_control);
  REQUIRE(members);
  REQUIRE(members->size() == 1);
  CHECK_FALSE(members->front().is_inner_list);
  CHECK(members->front().inner.empty());
}

TEST_CASE("structured field: of too many members a list keeps the first, a dictionary is malformed") {
  const auto many = [](std::size_t n) {
    std::string out;
    for (std::size_t i = 0; i < n; ++i) out += (i == 0 ? "k" : ",k") + std::to_string(i);
    return out;
  };
  const auto count = [](const auto& members) { return members ? members->size() : 0; };
  const auto listed = [&](const std::string& text) {
    return count(parse_list(Lines("Cache-Groups: " + text), Name::cache_groups));
  };
  const auto in_dictionary = [&](const std::string& text) {
    return count(parse_dictionary(Lines("CDN-Cache-Control: " + text), Name::cdn_cache_control));
  };
  CHECK(listed(many(max_members)) == max_members);
  CHECK(listed(many(max_members + 5)) == max_members);
  CHECK(listed(many(max_members + 5) + ",(") == 0);
  CHECK(in_dictionary(many(max_members)) == max_members);
  CHECK(in_dictionary(many(max_members + 1)) == 0);
}

TEST_CASE("structured field: UTF-8 is well-formed or it isn't") {
  for (const char* good : {"", "a", "\x7f", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
                           "\xef\xbf\xbd", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "a\xc3\xa9z"}) {
    CAPTURE(good);
    CHECK(is_utf8(good));
  }
  for (const char* bad : {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xc3", "\xc3z", "\xe0\x9f\xbf", "\xe2\x82",
                          "\xe2\x82z", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
                          "\xff", "\xf0\x90\x80", "\xc3\xa9\x80"}) {
    CAPTURE(bad);
    CHECK_FALSE(is_utf8(bad));
  }
}
