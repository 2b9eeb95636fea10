// Cache-Status (RFC 9211) and the words of reasons.
#include "core/cache_status.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <set>
#include <string>

#include "core/headers.hpp"

using namespace pillion;

namespace {

std::string written(const CacheStatus& status) {
  std::string out;
  append_cache_status(status, out);
  return out;
}

}  // namespace

TEST_CASE("the value as the product contract shows it") {
  struct Row {
    CacheStatus status;
    const char* text;
  };
  CacheStatus hit;
  hit.hit = true;
  hit.has_ttl = true;
  hit.ttl_s = 271;
  hit.detail = Detail::memory;
  CacheStatus stale_hit = hit;
  stale_hit.ttl_s = -3;
  CacheStatus stored;
  stored.forward = Forward::uri_miss;
  stored.forward_status = 200;
  stored.stored = true;
  CacheStatus refused = stored;
  refused.stored = false;
  refused.detail = Detail::no_store;
  CacheStatus collapsed = stored;
  collapsed.collapsed = true;
  CacheStatus everything = collapsed;
  everything.has_ttl = true;
  everything.ttl_s = 60;
  everything.key = "character:char_123:9f";
  everything.detail = Detail::revalidated;
  CacheStatus unreached;
  unreached.forward = Forward::bypass;
  unreached.detail = Detail::connect_failed;
  const Row rows[] = {
      {hit, "pillion; hit; ttl=271; detail=memory"},
      {stale_hit, "pillion; hit; ttl=-3; detail=memory"},
      {stored, "pillion; fwd=uri-miss; fwd-status=200; stored"},
      {refused, "pillion; fwd=uri-miss; fwd-status=200; detail=no-store"},
      {collapsed, "pillion; fwd=uri-miss; fwd-status=200; stored; collapsed"},
      {everything,
       "pillion; fwd=uri-miss; fwd-status=200; stored; collapsed; ttl=60; key=\"character:char_123:9f\"; "
       "detail=revalidated"},
      {unreached, "pillion; fwd=bypass; detail=connect-failed"},
      {{}, "pillion"},
  };
  for (const Row& row : rows) CHECK(written(row.status) == row.text);
}

TEST_CASE("a hit says nothing of forwarding") {
  CacheStatus status;
  status.hit = true;
  status.forward = Forward::stale;
  status.forward_status = 503;
  status.stored = true;
  status.collapsed = true;
  CHECK(written(status) == "pillion; hit");
}

TEST_CASE("the value is appended") {
  std::string out = "Cache-Status: ";
  CacheStatus status;
  status.hit = true;
  append_cache_status(status, out);
  CHECK(out == "Cache-Status: pillion; hit");
}

TEST_CASE("a key can't break out of its string") {
  CacheStatus status;
  status.hit = true;
  status.key = std::string_view("a\"b\\c\r\nd\xc3\xa9\x7f\0e%41 ~", 18);
  CHECK(written(status) == "pillion; hit; key=\"a\\\"b\\\\c%0D%0Ad%C3%A9%7F%00e%41 ~\"");
}

TEST_CASE("a lifetime is within what a structured field can hold") {
  CacheStatus status;
  status.hit = true;
  status.has_ttl = true;
  status.ttl_s = std::numeric_limits<std::int64_t>::max();
  CHECK(written(status) == "pillion; hit; ttl=999999999999999");
  status.ttl_s = std::numeric_limits<std::int64_t>::min();
  CHECK(written(status) == "pillion; hit; ttl=-999999999999999");
  status.ttl_s = 0;
  CHECK(written(status) == "pillion; hit; ttl=0");
}

TEST_CASE("the words for forwarding are those of RFC 9211") {
  CHECK(to_string(Forward::none) == "");
  CHECK(to_string(Forward::uri_miss) == "uri-miss");
  CHECK(to_string(Forward::vary_miss) == "vary-miss");
  CHECK(to_string(Forward::miss) == "miss");
  CHECK(to_string(Forward::stale) == "stale");
  CHECK(to_string(Forward::bypass) == "bypass");
  CHECK(to_string(Forward::method) == "method");
  CHECK(to_string(Forward::request) == "request");
}

TEST_CASE("every detail has a word of its own that is a token") {
  std::set<std::string> words;
  const auto last = static_cast<int>(Detail::no_route_upstream);
  for (int i = 1; i <= last; ++i) {
    const std::string word(to_string(static_cast<Detail>(i)));
    CAPTURE(i);
    CHECK(is_token(word));
    CHECK(word.find('_') == std::string::npos);
    words.insert(word);
  }
  CHECK(words.size() == static_cast<std::size_t>(last));
  CHECK(to_string(Detail::none) == "");
  for (const char* promised : {"memory", "redis", "revalidated", "no-store", "private", "set-cookie", "cookie",
                               "authorization", "too-large", "no-lifetime", "cache-off", "truncated"})
    CHECK_MESSAGE(words.contains(promised), promised);
}

TEST_CASE("the words of results are those of the metrics") {
  const char* words[] = {"hit", "stale", "miss", "revalidated", "bypass", "pass", "error", "shadow"};
  CHECK(std::size(words) == result_count);
  for (std::size_t i = 0; i < result_count; ++i) CHECK(to_string(static_cast<Result>(i)) == words[i]);
}
