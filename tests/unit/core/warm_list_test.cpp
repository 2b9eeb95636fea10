// Which URLs can be warmed, and the list of the hottest that outlives the process.
#include "core/warm_list.hpp"

#include <doctest/doctest.h>

using namespace pillion;

namespace {

constexpr std::int64_t now_s = 1'790'000'000;

HotUrl hot(std::string url, std::uint64_t count = 1, std::int64_t seen_s = now_s) {
  return {{{}, std::move(url)}, count, seen_s};
}
std::vector<std::string> urls(const std::vector<HotUrl>& list) {
  std::vector<std::string> out;
  for (const HotUrl& one : list) out.push_back(one.target.url);
  return out;
}
using Urls = std::vector<std::string>;

}  // namespace

TEST_CASE("warm list: what a URL to be warmed looks like") {
  for (const char* good : {"/", "/a?b=c", "http://app.test/", "https://app.test:8443/a?b"}) {
    CAPTURE(good);
    CHECK(why_no_warm_url(good).empty());
  }
  for (const char* bad : {"", "a", "ftp://x/",
                          "//"
                          "\x80",
                          "/a b", "/a#b", "/a\n", "/\xc3\xa4"}) {
    CAPTURE(bad);
    CHECK(!why_no_warm_url(bad).empty());
  }
  CHECK(why_no_warm_url("/" + std::string(2047, 'x')).empty());
  CHECK(!why_no_warm_url("/" + std::string(2048, 'x')).empty());
}

TEST_CASE("warm list: what is written is read back") {
  std::vector<HotUrl> list{hot("http://app.test/a?b=1", 7), hot("/b", 3, now_s - 60)};
  list[1].target.listener = "egress";
  const auto back = read_hot_list(write_hot_list(list, 10'000), 10, now_s);
  REQUIRE(back.size() == 2);
  CHECK(back[0].target == list[0].target);
  CHECK(back[0].count == 7);
  CHECK(back[1].target == list[1].target);
  CHECK(back[1].seen_s == now_s - 60);
}

TEST_CASE("warm list: it is cut where it grows too large, and read as far as asked for") {
  const std::vector<HotUrl> list{hot("/aaaa"), hot("/bbbb"), hot("/cccc")};
  const std::string two = write_hot_list(std::span(list).first(2), 10'000);
  CHECK(write_hot_list(list, two.size()) == two);
  CHECK(urls(read_hot_list(write_hot_list(list, 10'000), 2, now_s)) == Urls{"/aaaa", "/bbbb"});
}

TEST_CASE("warm list: what anyone else may have put there is left out") {
  const std::string head = "pillion-hottest 1\n", now = std::to_string(now_s);
  CHECK(read_hot_list("", 10, now_s).empty());
  CHECK(read_hot_list("something else\n" + now + " 1 / /a\n", 10, now_s).empty());
  for (const std::string& line :
       std::vector<std::string>{now + " 1 / a", now + " 1 /a", now + " x / /a", "x 1 / /a", now + " -1 / /a",
                                now + " 1 bad/name /a", now + " 1 / /a b", now + " 1 / /" + std::string(4000, 'x'),
                                now + " 99999999999999999999999 / /a", " ", ""}) {
    CAPTURE(line);
    CHECK(urls(read_hot_list(head + line + "\n" + now + " 1 / /good\n", 10, now_s)) == Urls{"/good"});
  }
}

TEST_CASE("warm list: one that nobody asks for any more is forgotten, whatever a clock said") {
  const std::vector<HotUrl> list{hot("/old", 1, now_s - hot_url_age_s - 1), hot("/young", 1, now_s - hot_url_age_s),
                                 hot("/ahead", 1, now_s + 1'000'000'000)};
  const auto back = read_hot_list(write_hot_list(list, 10'000), 10, now_s);
  CHECK(urls(back) == Urls{"/young", "/ahead"});
  CHECK(back[1].seen_s == now_s);
}

TEST_CASE("warm list: each stands in it once, and one's own come before what was there") {
  const std::vector<HotUrl> before{hot("/b", 9), hot("/c", 8), hot("/d", 7)};
  CHECK(urls(fill_up({hot("/a"), hot("/b")}, before, 3)) == Urls{"/a", "/b", "/c"});
  CHECK(urls(fill_up({}, before, 10)) == Urls{"/b", "/c", "/d"});
  CHECK(urls(fill_up({hot("/a"), hot("/b")}, before, 1)) == Urls{"/a"});
  CHECK(urls(read_hot_list(write_hot_list(std::vector{hot("/a"), hot("/a")}, 1000), 10, now_s)) == Urls{"/a"});
}
