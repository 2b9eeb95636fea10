#include "core/cache_key.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <tuple>

using namespace pillion;

namespace {

/// A request that owns its text.
struct Request {
  std::string scheme = "http", host = "h", target = "/";
  std::vector<std::pair<std::string, std::string>> lines;
  std::vector<Field> fields{};

  RequestHead head() {
    RequestHead out;
    fields.clear();
    for (const auto& [name, value] : lines) fields.push_back({name, value, name_of(name)});
    out.target = target;
    const std::size_t question = target.find('?');
    out.path = std::string_view(target).substr(0, question);
    out.has_query = question != std::string::npos;
    if (out.has_query) out.query = std::string_view(target).substr(question + 1);
    out.host = host;
    out.scheme = scheme;
    out.fields = fields;
    return out;
  }
};

struct Matched {
  explicit Matched(config::Route settings) {
    route.parameters = RouteTable::parameter_names(settings.path);
    route.key = Template(settings.key, route.parameters);
    route.rewrite = Template(settings.rewrite, route.parameters);
    route.settings = std::move(settings);
    match.route = &route;
  }
  CompiledRoute route;
  RouteMatch match;
};

std::string key_of(Request request, const config::Route& settings = {}, std::string_view upstream = "app") {
  Matched matched(settings);
  std::string out;
  append_primary_key(request.head(), matched.match, upstream, out);
  return out;
}

std::string target_of(Request request, const config::Route& settings) {
  Matched matched(settings);
  return forwarded_target(request.head(), matched.match);
}

Request get(std::string target) {
  Request out;
  out.target = std::move(target);
  return out;
}

Request with(std::vector<std::pair<std::string, std::string>> lines) {
  Request out;
  out.lines = std::move(lines);
  return out;
}

std::vector<Field> fields_of(const std::vector<std::pair<std::string, std::string>>& lines) {
  std::vector<Field> out;
  for (const auto& [name, value] : lines) out.push_back({name, value, name_of(name)});
  return out;
}

}  // namespace

TEST_CASE("hashes are XXH3 and are written in hexadecimal") {
  // From xxHash's own sanity test: the empty input, seed 0.
  CHECK(to_hex(hash128("")) == "99aa06d3014798d86001c324468d497f");
  CHECK(hash64("") == 0x2d06800538d394c2u);
  CHECK(hash64("a", 1) != hash64("a", 2));
}

TEST_CASE("upstream, scheme, host, path and query each make another key") {
  const std::string base = key_of(get("/p?q"));
  Request https = get("/p?q"), other_host = get("/p?q");
  https.scheme = "https";
  other_host.host = "i";
  for (const std::string& other : {key_of(https), key_of(other_host), key_of(get("/P?q")), key_of(get("/p?Q")),
                                   key_of(get("/p")), key_of(get("/p?")), key_of(get("/p?q"), {}, "app2")}) {
    CHECK(other != base);
  }
  CHECK(key_of(get("/p")) != key_of(get("/p?")));
  CHECK(key_of(get("/p?q")) == base);
}

TEST_CASE("the host is lower-case and without its scheme's port") {
  struct {
    const char *scheme, *a, *b;
    bool same;
  } const cases[] = {
      {"http", "Example.COM", "example.com", true},
      {"http", "example.com:80", "example.com", true},
      {"https", "example.com:443", "example.com", true},
      {"https", "example.com:80", "example.com", false},
      {"http", "example.com:443", "example.com", false},
      {"http", "example.com:8080", "example.com", false},
      {"http", "example.com:80", "example.com:080", false},
      {"http", "[::1]:80", "[::1]", true},
      {"http", "[1::80]", "[1:]", false},
      {"http", "1::80", "1:", false},
      {"http", "", "h", false},
  };
  for (const auto& c : cases) {
    CAPTURE(c.a);
    Request a, b;
    a.scheme = b.scheme = c.scheme;
    a.host = c.a;
    b.host = c.b;
    CHECK((key_of(a) == key_of(b)) == c.same);
  }
  Request a, b;
  b.host = "other";
  config::Route route;
  route.ignore_host = true;
  CHECK(key_of(a, route) == key_of(b, route));
  CHECK(key_of(a, route) != key_of(a));
}

TEST_CASE("what the query rule leaves out is neither keyed nor forwarded") {
  config::QueryRule tracking{.ignore = {"utm_*", "ref"}};
  config::QueryRule paging{.only = std::vector<std::string>{"page", "size"}};
  config::QueryRule nothing{.only = std::vector<std::string>{}};
  config::QueryRule sorted{.sort = true};
  config::QueryRule both{.ignore = {"utm_*"}, .sort = true};
  struct {
    const config::QueryRule& rule;
    const char *target, *expected;
  } const cases[] = {
      {tracking, "/p?utm_source=x&a=1&utm_=&ref=2&b", "/p?a=1&b"},
      {tracking, "/p?utm_source=x", "/p"},
      {tracking, "/p?reference=1&utm=2", "/p?reference=1&utm=2"},
      {tracking, "/p?a=utm_x&&b=", "/p?a=utm_x&&b="},
      {tracking, "/p?%75tm_source=x&UTM_source=x", "/p?%75tm_source=x&UTM_source=x"},
      {tracking, "/p?", "/p?"},
      {tracking, "/p", "/p"},
      {paging, "/p?size=2&x=1&page=1&page=3", "/p?size=2&page=1&page=3"},
      {paging, "/p?pages=1", "/p"},
      {paging, "/p?", "/p"},
      {nothing, "/p?a=1", "/p"},
      {nothing, "/p?", "/p"},
      {sorted, "/p?b=2&a=9&b=1&a&a=1", "/p?a=9&a&a=1&b=2&b=1"},
      {sorted, "/p?b&", "/p?&b"},
      {sorted, "/p?", "/p?"},
      {both, "/p?z=1&utm_x=1&a=1", "/p?a=1&z=1"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.target);
    config::Route route;
    route.query = c.rule;
    CHECK(target_of(get(c.target), route) == c.expected);
    CHECK(key_of(get(c.target), route) == key_of(get(c.expected)));
  }
  CHECK(apply_query_rule("b=1&a=2", sorted) == "a=2&b=1");
  CHECK(apply_query_rule("b=1&a=2", {}) == "b=1&a=2");
  CHECK(apply_query_rule("b=1", paging).empty());
}

TEST_CASE("many parameters are sorted as few are") {
  std::string query, expected;
  for (int i = 0; i < 500; ++i) {
    query += (i == 0 ? "" : "&") + std::string(i % 2 ? "a=" : "b=") + std::to_string(i);
  }
  for (int i = 1; i < 500; i += 2) expected += "a=" + std::to_string(i) + "&";
  for (int i = 0; i < 500; i += 2) expected += "b=" + std::to_string(i) + (i == 498 ? "" : "&");
  CHECK(apply_query_rule(query, {.sort = true}) == expected);
}

TEST_CASE("a rewritten path is keyed and forwarded") {
  config::Route route;
  route.path = "/comfyui/{what}";
  route.rewrite = "/object_info/{what}";
  Matched matched(route);
  Request request = get("/comfyui/a%2fb?x");
  const RequestHead head = request.head();
  matched.match.parameters = {head.path.substr(9)};
  CHECK(forwarded_target(head, matched.match) == "/object_info/a%2fb?x");
  std::string key;
  append_primary_key(head, matched.match, "app", key);
  // What the upstream sees is in the key, and the route's name: another route may ask for the same and is tagged
  // otherwise.
  CHECK(key.starts_with(key_of(get("/object_info/a%2fb?x"))));
  CHECK(key != key_of(get("/object_info/a%2fb?x")));
}

TEST_CASE("key headers, cookies and Authorization set requests apart, absent from empty too") {
  config::Route route;
  route.key_headers = {"X-Tenant", "Accept-Language"};
  route.personal_cookies = config::Personal::key;
  route.personal_cookie_names = {"session", "lang"};
  route.personal_authorization = config::Personal::key;
  const std::vector<Request> different = {
      with({}),
      with({{"x-tenant", ""}}),
      with({{"x-tenant", "a"}}),
      with({{"x-tenant", "A"}}),
      with({{"x-tenant", "a"}, {"X-Tenant", "b"}}),
      with({{"x-tenant", "b"}, {"X-Tenant", "a"}}),
      with({{"x-tenant", "a, b"}}),
      with({{"accept-language", "a"}}),
      with({{"cookie", "session=1"}}),
      with({{"cookie", "session=2"}}),
      with({{"cookie", "session="}}),
      with({{"cookie", "session"}}),
      with({{"cookie", "lang=1"}}),
      with({{"cookie", "session=1; session=2"}}),
      with({{"cookie", "session=2; session=1"}}),
      with({{"cookie", "session=1; lang=1"}}),
      with({{"cookie", "Session=1; lang=de"}}),
      with({{"authorization", ""}}),
      with({{"authorization", "Bearer x"}}),
      with({{"authorization", "Bearer x"}, {"authorization", "Bearer x"}}),
  };
  std::map<std::string, std::size_t> seen;
  for (std::size_t i = 0; i < different.size(); ++i) {
    CAPTURE(i);
    CHECK(seen.emplace(key_of(different[i], route), i).second);
  }
  CHECK(key_of(with({{"X-TENANT", "a"}}), route) == key_of(with({{"x-tenant", "a"}, {"x-other", "b"}}), route));
  CHECK(key_of(with({{"Cookie", "a=b;session=1 ;c"}}), route) == key_of(with({{"cookie", "session=1"}}), route));
  CHECK(key_of(with({{"Cookie", "session=1"}, {"Cookie", "lang=2"}}), route) ==
        key_of(with({{"cookie", "lang=2; session=1"}}), route));
  const config::Route careful;
  CHECK(key_of(with({{"cookie", "a=b"}, {"authorization", "x"}}), careful) == key_of(with({}), careful));
}

TEST_CASE("other names of key headers make other keys of the same values") {
  config::Route a, b;
  a.key_headers = {"x-a"};
  b.key_headers = {"x-b"};
  const Request request = with({{"x-a", "1"}, {"x-b", "1"}});
  CHECK(key_of(request, a) != key_of(request, b));
}

TEST_CASE("random requests have equal keys exactly where their parts are equal") {
  std::mt19937 random(7);
  const auto text = [&](std::string_view alphabet, int longest) {
    std::string out;
    for (int n = std::uniform_int_distribution(0, longest)(random); n > 0; --n) {
      out += alphabet[random() % alphabet.size()];
    }
    return out;
  };
  using Values = std::vector<std::string>;
  using Parts = std::tuple<std::string, std::string, std::string, std::string, std::optional<std::string>, Values,
                           Values, Values>;
  config::Route route;
  route.key_headers = {"x-a"};
  route.personal_cookies = config::Personal::key;
  route.personal_cookie_names = {"c", "d"};
  std::map<std::string, Parts> by_key;
  std::map<Parts, std::string> by_parts;
  // Few letters, and among them the bytes that the key itself is made of, so that equal and near keys are common.
  const std::string_view letters("uhpqnvcwa\x01\x02\x80", 12);
  for (int i = 0; i < 20000; ++i) {
    Request request;
    request.scheme = random() % 2 ? "http" : "https";
    request.host = text("hp", 2);
    const std::string path = "/" + text(letters, 2);
    request.target = path;
    Parts parts;
    const std::string upstream = text("us", 2);
    std::get<4>(parts) = std::nullopt;
    if (random() % 2) {
      const std::string query = text(letters, 2);
      request.target += "?" + query;
      std::get<4>(parts) = query;
    }
    for (int n = static_cast<int>(random() % 3); n > 0; --n) {
      request.lines.emplace_back("x-a", text(letters, 2));
      std::get<5>(parts).push_back(request.lines.back().second);
    }
    std::string cookie;
    for (int n = static_cast<int>(random() % 3); n > 0; --n) {
      const bool first = random() % 2;
      const std::string value = text("cdv", 2);
      cookie += std::string(first ? "c=" : "d=") + value + "; ";
      (first ? std::get<6>(parts) : std::get<7>(parts)).push_back(value);
    }
    if (!cookie.empty()) request.lines.emplace_back("cookie", cookie);
    std::get<0>(parts) = upstream;
    std::get<1>(parts) = request.scheme;
    std::get<2>(parts) = request.host;
    std::get<3>(parts) = path;
    const std::string key = key_of(request, route, upstream);
    const auto& same_key = by_key.emplace(key, parts).first->second;
    REQUIRE(same_key == parts);
    const auto& same_parts = by_parts.emplace(parts, key).first->second;
    REQUIRE(same_parts == key);
  }
  CHECK(by_key.size() < 20000);  // or nothing was ever equal
}

TEST_CASE("long parts have their whole length before them") {
  for (const std::size_t size : {127u, 128u, 16383u, 16384u, 20000u}) {
    const std::string path = "/" + std::string(size - 1, 'a');
    const std::string key = key_of(get(path));
    CHECK(key.ends_with(path));
    const std::size_t longer = size >= 16384 ? 2 : size >= 128 ? 1 : 0;
    CHECK(key.size() == path.size() + key_of(get("/")).size() - 1 + longer);
    const std::string upstream(size, 'a');
    CHECK(key_of(get("/"), {}, upstream).size() == size + key_of(get("/"), {}, "").size() + longer);
  }
}

TEST_CASE("only a path that every server reads alike may be keyed") {
  for (const char* path : {"/", "/a", "/a/", "/a.b/..c/d../...", "/a%20b", "/%41%2E5", "/a;b=c", "/.well-known/x",
                           "/~a@b:c,d", "/\xc3\xa9", "/%c3%a9", "/a/%2ehidden", "/%2525"}) {
    CAPTURE(path);
    CHECK(is_keyable_path(path));
  }
  for (const char* path : {"",      "*",         "a",      "//",      "//a",       "/a//",   "/a//b",       "/.",
                           "/..",   "/a/.",      "/a/..",  "/a/../b", "/a/./b",    "/%2e",   "/%2E%2e/a",   "/.%2E",
                           "/%2e.", "/a/%2e%2e", "/a%2fb", "/a%2Fb",  "/a%5cb",    "/a%5Cb", "/a\\b",       "/a%00",
                           "/%0a",  "/%1F",      "/%7f",   "/a#b",    "/a b",      "/a\x01", "/a\x7f",      "/a%",
                           "/a%4",  "/a%zz",     "/a%4g",  "/..;/a",  "/a/..;x=y", "/.;",    "/%2e%2e%3b/a"}) {
    CAPTURE(path);
    CHECK_FALSE(is_keyable_path(path));
  }
}

TEST_CASE("the readable key is the route's key, filled in, and the hash") {
  config::Route route;
  route.path = "/api/characters/{id}";
  route.key = "character:{id}";
  Matched matched(route);
  matched.match.parameters = {"char:1"};
  CHECK(readable_key(matched.match, {0x0123456789abcdef, 0xfedcba9876543210}) ==
        "character:char%3A1:0123456789abcdeffedcba9876543210");
}

TEST_CASE("Vary becomes one list, or the response can't be kept") {
  using Lines = std::vector<std::pair<std::string, std::string>>;
  struct {
    Lines lines;
    std::optional<std::string> expected;
  } const cases[] = {
      {{}, ""},
      {{{"Vary", ""}}, ""},
      {{{"Vary", "Accept"}}, "accept"},
      {{{"Vary", "B , a,,A"}, {"vary", "c"}}, "a,b,c"},
      {{{"Vary", "*"}}, std::nullopt},
      {{{"Vary", "accept"}, {"Vary", "b, *"}}, std::nullopt},
      {{{"Vary", "a b"}}, std::nullopt},
      {{{"Vary", "\"a,b\""}}, std::nullopt},
      {{{"Vary", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p"}}, "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p"},
      {{{"Vary", "p,o,n,m,l,k,j,i,h,g,f,e,d,c,b,a,A,B,P"}}, "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p"},
      {{{"Vary", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q"}}, std::nullopt},
  };
  for (const auto& c : cases) {
    CAPTURE(c.lines.size());
    CHECK(canonical_vary(fields_of(c.lines)) == c.expected);
  }
}

TEST_CASE("a variant is chosen by the values of the fields named, lines joined") {
  const auto variant = [](std::string_view vary, const std::vector<std::pair<std::string, std::string>>& lines) {
    return variant_key(vary, fields_of(lines));
  };
  CHECK(variant("", {{"accept", "x"}}).empty());
  CHECK(variant("accept", {{"Accept", "a,b"}}) == variant("accept", {{"accept", "a ,  b"}, {"other", "x"}}));
  CHECK(variant("accept", {{"accept", "a"}, {"accept", "b"}}) == variant("accept", {{"accept", "a, b"}}));
  const std::vector<std::string> different = {
      variant("accept", {}),
      variant("accept", {{"accept", ""}}),
      variant("accept", {{"accept", "a"}}),
      variant("accept", {{"accept", "b"}}),
      variant("accept", {{"accept", "A"}}),
      variant("accept", {{"accept", "a, b"}}),
      variant("accept", {{"accept", "b, a"}}),
      variant("accept", {{"accept", "\"a,b\""}}),
      variant("accept", {{"accept", "\"a, b\""}}),
      variant("accept,b", {{"accept", "a"}}),
      variant("accept,b", {{"b", "a"}}),
      variant("b", {{"b", "a"}}),
      variant("accept,b", {{"accept", "a"}, {"b", "a"}}),
      variant("accept,b", {{"accept", "a"}, {"b", ""}}),
  };
  std::vector<std::string> sorted = different;
  std::ranges::sort(sorted);
  CHECK(std::ranges::adjacent_find(sorted) == sorted.end());
}

TEST_CASE("names of responses are told from others by their form") {
  const std::string hash = "0123456789abcdef0123456789abcdef";
  for (const std::string& name : {":" + hash, "api:all:" + hash, "a:" + hash + "." + hash, ".:" + hash}) {
    CAPTURE(name);
    CHECK(is_response_key(name));
  }
  for (const std::string& name :
       {std::string(), hash, ":" + hash.substr(1), "api." + hash, "a:" + hash + "." + hash.substr(1), "a:" + hash + ":",
        "a:" + hash + "." + hash + "." + hash, std::string("a:0123456789ABCDEF0123456789abcdef"),
        "pillion:lease:" + hash, std::string("pillion:log"), std::string("character:42")}) {
    CAPTURE(name);
    CHECK_FALSE(is_response_key(name));
  }
}
