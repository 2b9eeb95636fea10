#include "core/invalidation.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <random>
#include <thread>

using namespace pillion;
using Kind = Selector::Kind;

namespace {

std::uint32_t hash_of(Kind kind, std::string text) { return selector_hash({kind, std::move(text)}); }

std::vector<std::uint32_t> plain_selectors(std::string_view path, std::string_view query = {}, bool has_query = false,
                                           std::string_view host = "h", std::string_view scheme = "http") {
  return selectors_of({}, scheme, host, path, query, has_query);
}

bool selected(const Selector& selector, const std::vector<std::uint32_t>& selectors) {
  return selects(selector, selectors, "");
}

struct Table {
  InvalidationTable table;
  void apply(Kind kind, std::string text, std::uint64_t position) {
    const Selector one{kind, std::move(text)};
    table.apply(std::span(&one, 1), position);
  }
  bool since(std::uint64_t position, std::string_view key, const std::vector<std::uint32_t>& selectors = {}) const {
    return table.invalidated_since(position, selectors, key);
  }
};

/// `*` and `?` by recursion over all ways: slow and plain.
bool slow_glob(std::string_view glob, std::string_view text) {
  if (glob.empty()) return text.empty();
  if (glob[0] == '*') {
    for (std::size_t i = 0; i <= text.size(); ++i) {
      if (slow_glob(glob.substr(1), text.substr(i))) return true;
    }
    return false;
  }
  return !text.empty() && (glob[0] == '?' || glob[0] == text[0]) && slow_glob(glob.substr(1), text.substr(1));
}

}  // namespace

TEST_CASE("globs match as written") {
  struct {
    const char *glob, *text;
    bool expected;
  } const cases[] = {
      {"", "", true},
      {"", "a", false},
      {"*", "", true},
      {"*", "abc", true},
      {"a*", "a", true},
      {"a*", "ba", false},
      {"*a", "bca", true},
      {"*a", "ab", false},
      {"a?c", "abc", true},
      {"a?c", "ac", false},
      {"?", "", false},
      {"a**c", "abbc", true},
      {"*a*b*", "xxaxxbx", true},
      {"*a*b", "abab", true},
      {"*ab", "aab", true},
      {"[a]", "a", false},
      {"\\*", "*", false},
      {"\\*", "\\x", true},
      {"api:status:*", "api:status:00", true},
      {"api:*:00", "api:a:b:00", true},
  };
  for (const auto& c : cases) {
    CAPTURE(c.glob);
    CAPTURE(c.text);
    CHECK(glob_matches(c.glob, c.text) == c.expected);
  }
  std::mt19937 random(3);
  for (int i = 0; i < 20000; ++i) {
    std::string glob, text;
    for (auto n = random() % 7; n > 0; --n) glob += "ab*?"[random() % 4];
    for (auto n = random() % 8; n > 0; --n) text += "ab"[random() % 2];
    REQUIRE(glob_matches(glob, text) == slow_glob(glob, text));
  }
  const std::string many_a(20000, 'a');
  CHECK_FALSE(glob_matches("*a*a*a*a*a*a*a*a*b", many_a));  // and ends soon
}

TEST_CASE("paths of one meaning have one spelling") {
  struct {
    const char *path, *expected;
  } const cases[] = {
      {"/", "/"},
      {"", "/"},
      {"/a/b", "/a/b"},
      {"/a/b/", "/a/b/"},
      {"//a///b", "/a/b"},
      {"/a//", "/a/"},
      {"/a/./b", "/a/b"},
      {"/a/.", "/a/"},
      {"/a/..", "/"},
      {"/a/b/..", "/a/"},
      {"/a/b/../c", "/a/c"},
      {"/../../a", "/a"},
      {"/%61%2D%7e", "/a-~"},
      {"/a%2e%2E/b", "/a../b"},
      {"/a/%2e%2E/b", "/b"},
      {"/a%2fb", "/a%2Fb"},
      {"/a%3ab@c", "/a:b@c"},
      {"/a:b%40c", "/a:b@c"},
      {"/\xc3\xa9", "/%C3%A9"},
      {"/%c3%a9", "/%C3%A9"},
      {"/%zz%4", "/%25zz%254"},
      {"/a b", "/a%20b"},
      {"/...", "/..."},
      {"/.a/..b", "/.a/..b"},
      {"*", "/*"},
      {"/a?b", "/a%3Fb"},
  };
  for (const auto& c : cases) {
    CAPTURE(c.path);
    CHECK(normalised_path(c.path) == c.expected);
  }
  std::mt19937 random(5);
  for (int i = 0; i < 20000; ++i) {
    std::string path = "/";
    for (auto n = random() % 12; n > 0; --n) path += "/.%2eE5aé "[random() % 11];
    const std::string once = normalised_path(path);
    CAPTURE(path);
    REQUIRE(normalised_path(once) == once);
    REQUIRE(once.starts_with('/'));
    REQUIRE(once.find("//") == std::string::npos);
  }
}

TEST_CASE("a response is selected by its own URL under its host, by its path and query under every host") {
  const auto page = plain_selectors("/a/b", "x=1", true, "Example.com:80");
  for (const char* url :
       {"http://example.com/a/b?x=1", "HTTP://EXAMPLE.com:80/a/b?x=1", "http://example.com/a//%62?x=1",
        "http://example.com./a/b?x=1", "http://u@example.com/a/b?x=1#part", "/a/b?x=1", "/a/c/../b?%78=1"}) {
    CAPTURE(url);
    CHECK(selected({Kind::url, url}, page));
  }
  for (const char* url : {"https://example.com/a/b?x=1", "http://example.com:8080/a/b?x=1",
                          "http://example.org/a/b?x=1", "http://example.com/a/b", "http://example.com/a/b?", "/a/b",
                          "/a/b?", "/a/b?x=2", "/a/b/?x=1", "http://example.com", "/"}) {
    CAPTURE(url);
    CHECK_FALSE(selected({Kind::url, url}, page));
  }
  CHECK(selected({Kind::path, "/a/b"}, page));
  CHECK(selected({Kind::path, "/a/./b"}, page));
  CHECK_FALSE(selected({Kind::path, "/a"}, page));
  CHECK_FALSE(selected({Kind::tag, "/a/b"}, page));

  const auto root = plain_selectors("/", "", false, "[::1]:443", "https");
  CHECK(selected({Kind::url, "https://[::1]"}, root));
  CHECK(selected({Kind::url, "https://[::1]:443/"}, root));
  CHECK_FALSE(selected({Kind::url, "https://[::1]?"}, root));
  const auto empty_query = plain_selectors("/", "", true);
  CHECK(selected({Kind::url, "http://h?"}, empty_query));
  CHECK(selected({Kind::url, "/?"}, empty_query));
  const auto nested = plain_selectors("/go", "to=http://x/y", true);
  CHECK(selected({Kind::url, "/go?to=http://x/y"}, nested));
}

TEST_CASE("tags select as they are, each once") {
  const auto selectors = selectors_of({"a", "b", "a"}, "http", "h", "/", "", false);
  CHECK(selectors.size() == 5);
  CHECK(selected({Kind::tag, "a"}, selectors));
  CHECK(selected({Kind::tag, "b"}, selectors));
  CHECK_FALSE(selected({Kind::tag, "A"}, selectors));
  CHECK_FALSE(selected({Kind::tag, ""}, selectors));
  CHECK(selects({Kind::all, ""}, {}, ""));
  CHECK(selects({Kind::pattern, "c:*"}, {}, "c:1"));
  CHECK_FALSE(selects({Kind::pattern, "c:?"}, {}, "c:12"));
}

TEST_CASE("a response names its tags in Surrogate-Key and Cache-Tag") {
  const std::vector<Field> fields{{"Surrogate-Key", "a  b\tc", Name::surrogate_key},
                                  {"Cache-Tag", "d e, f ,,\"g", Name::cache_tag},
                                  {"X-Other", "h", Name::other},
                                  {"cache-tag", "i", Name::cache_tag}};
  std::vector<std::string> tags{"own"};
  CHECK(append_response_tags(fields, tags));
  CHECK(tags == std::vector<std::string>{"own", "a", "b", "c", "d e", "f", "\"g", "i"});

  std::string many;
  for (int i = 0; i < 1001; ++i) many += "t" + std::to_string(i) + " ";
  const std::vector<Field> too_many{{"Surrogate-Key", many, Name::surrogate_key}};
  std::vector<std::string> kept{"own"};
  CHECK_FALSE(append_response_tags(too_many, kept));
  CHECK(kept.size() == 1 + max_response_tags);
  const std::vector<Field> just{
      {"Surrogate-Key", std::string_view(many).substr(0, many.rfind('t')), Name::surrogate_key}};
  kept.clear();
  CHECK(append_response_tags(just, kept));
  CHECK(kept.size() == max_response_tags);
}

TEST_CASE("an invalidation concerns what was fetched before it and matches") {
  Table t;
  const auto page = selectors_of({"one"}, "http", "h", "/p", "", false);
  const auto other = selectors_of({"two"}, "http", "h", "/q", "", false);
  t.apply(Kind::tag, "one", 10);
  CHECK(t.table.latest() == 10);
  CHECK(t.since(9, "k:1", page));
  CHECK(t.since(0, "k:1", page));
  CHECK_FALSE(t.since(10, "k:1", page));
  CHECK_FALSE(t.since(0, "k:1", other));
  t.apply(Kind::path, "/q", 11);
  CHECK(t.since(10, "k:1", other));
  CHECK_FALSE(t.since(10, "k:1", page));
  t.apply(Kind::url, "http://h/p", 12);
  CHECK(t.since(11, "k:1", page));
  CHECK_FALSE(t.since(11, "k:1", other));
  t.apply(Kind::all, "", 13);
  CHECK(t.since(12, "k:1", other));
  CHECK(t.since(12, ""));
  CHECK_FALSE(t.since(13, "k:1", page));
}

TEST_CASE("patterns concern the readable keys that they match") {
  Table t;
  t.apply(Kind::pattern, "character:*", 1);
  t.apply(Kind::pattern, "api:?:x", 2);
  t.apply(Kind::pattern, "exact", 3);
  t.apply(Kind::pattern, "cha**", 4);
  CHECK(t.since(0, "character:1"));
  CHECK(t.since(3, "chapter"));
  CHECK_FALSE(t.since(0, "ch"));
  CHECK(t.since(1, "api:a:x"));
  CHECK_FALSE(t.since(2, "api:a:x"));
  CHECK_FALSE(t.since(0, "api:aa:x"));
  CHECK(t.since(0, "exact"));
  CHECK_FALSE(t.since(0, "exact:1"));
  CHECK_FALSE(t.since(0, ""));
  t.apply(Kind::pattern, "*", 5);
  CHECK(t.since(4, "anything"));
  CHECK_FALSE(t.since(5, "anything"));
  t.apply(Kind::pattern, "", 6);
  CHECK_FALSE(t.since(5, "anything"));
}

TEST_CASE("an old pattern applied again counts from its last position") {
  Table t;
  t.apply(Kind::pattern, "a:*", 1);
  t.apply(Kind::pattern, "b:*", 2);
  t.apply(Kind::pattern, "?:1", 3);
  t.apply(Kind::pattern, "a:*", 4);
  t.apply(Kind::pattern, "?:1", 5);
  CHECK(t.since(3, "a:2"));
  CHECK(t.since(4, "x:1"));
  CHECK_FALSE(t.since(2, "b:2"));
}

TEST_CASE("a pattern that had to make room raises the floor to its position and no further") {
  for (const bool prefix : {true, false}) {
    CAPTURE(prefix);
    Table t;
    const std::size_t room = prefix ? InvalidationTable::max_prefixes : InvalidationTable::max_globs;
    const auto pattern = [&](std::size_t i) {
      return (prefix ? "" : "*") + std::to_string(i) + (prefix ? ":*" : ":?");
    };
    for (std::size_t i = 1; i <= room; ++i) t.apply(Kind::pattern, pattern(i), i);
    CHECK_FALSE(t.since(0, "unconcerned"));
    t.apply(Kind::pattern, pattern(1), room + 1);  // renewed: the second is the oldest now
    t.apply(Kind::pattern, pattern(room + 1), room + 2);
    CHECK(t.since(0, "unconcerned"));
    CHECK(t.since(1, "unconcerned"));
    CHECK_FALSE(t.since(2, "unconcerned"));
    CHECK_FALSE(t.since(2, "2:x"));
    CHECK(t.since(2, "3:x"));
    CHECK(t.since(room, "1:x"));
    CHECK(t.since(room + 1, std::to_string(room + 1) + ":x"));
  }
}

TEST_CASE("a pattern beyond the bound matches at least what it should") {
  Table t;
  const std::string shared(InvalidationTable::max_pattern + 10, 'a');
  t.apply(Kind::pattern, shared + "*", 1);
  CHECK(t.since(0, shared + "b"));
  CHECK_FALSE(t.since(0, "ab"));
  t.apply(Kind::pattern, "k:*" + shared, 2);
  CHECK(t.since(1, "k:1" + shared));
  CHECK_FALSE(t.since(1, "j:1"));
  t.apply(Kind::pattern, shared, 3);
  CHECK(t.since(2, shared));
  t.apply(Kind::pattern, "?" + shared, 4);
  CHECK(t.since(3, "b" + shared));
}

TEST_CASE("positions never go back, and the next one follows the last") {
  Table t;
  const Selector tag{Kind::tag, "one"};
  CHECK(t.table.apply_next(std::span(&tag, 1)) == 1);
  t.apply(Kind::tag, "other", 100);
  CHECK(t.table.apply_next(std::span(&tag, 1)) == 101);
  t.apply(Kind::tag, "late", 50);  // concerns what was fetched before position 101
  CHECK(t.table.latest() == 101);
  CHECK(t.since(100, "k", {hash_of(Kind::tag, "late")}));
  t.table.raise_floor(200);
  CHECK(t.table.latest() == 200);
  CHECK(t.since(199, "k"));
  CHECK_FALSE(t.since(200, "k"));
  t.table.raise_floor(150);
  CHECK(t.table.latest() == 200);
  t.apply({}, {}, 201);
  CHECK(t.table.latest() == 201);
}

TEST_CASE("random invalidations agree with a list of all of them") {
  std::mt19937 random(11);
  const std::array<std::string, 4> tags{"t1", "t2", "t3", "t4"};
  const std::array<std::string, 6> patterns{"a:*", "a:b:*", "*:c", "?:b:*", "b:c", "a:b*c"};
  const std::array<std::string, 5> keys{"a:b:c", "a:c", "b:c", "c:b:d", "d"};
  for (int round = 0; round < 50; ++round) {
    Table t;
    std::vector<std::pair<Selector, std::uint64_t>> log;
    for (std::uint64_t position = 1; position <= 40; ++position) {
      Selector selector{Kind::tag, tags[random() % tags.size()]};
      if (random() % 2) selector = {Kind::pattern, patterns[random() % patterns.size()]};
      if (random() % 50 == 0) selector = {Kind::all, ""};
      t.apply(selector.kind, selector.text, position);
      log.emplace_back(selector, position);
      const std::string& key = keys[random() % keys.size()];
      const std::vector<std::uint32_t> selectors =
          selectors_of({tags[random() % tags.size()]}, "http", "h", "/", "", false);
      const std::uint64_t since = random() % (position + 1);
      const bool expected = std::ranges::any_of(
          log, [&](const auto& entry) { return entry.second > since && selects(entry.first, selectors, key); });
      REQUIRE(t.since(since, key, selectors) == expected);
    }
  }
}

TEST_CASE("with more selectors than are told apart none is forgotten, and those fetched later stay") {
  InvalidationTable table(8);
  constexpr std::size_t n = 5000;
  for (std::size_t i = 1; i <= n; ++i) {
    const Selector one{Kind::tag, "t" + std::to_string(i)};
    table.apply(std::span(&one, 1), i);
  }
  for (std::size_t i = 1; i <= n; ++i) {
    const std::vector<std::uint32_t> selectors{selector_hash({Kind::tag, "t" + std::to_string(i)})};
    REQUIRE(table.invalidated_since(i - 1, selectors, ""));
    REQUIRE_FALSE(table.invalidated_since(n, selectors, ""));
  }
  // What was fetched before the last few counts by whole hashes.
  int wrong = 0;
  for (int i = 0; i < 1000; ++i) {
    const std::vector<std::uint32_t> selectors{selector_hash({Kind::tag, "other" + std::to_string(i)})};
    wrong += table.invalidated_since(n - 8, selectors, "") ? 1 : 0;
  }
  CHECK(wrong == 0);
}

TEST_CASE("few responses count as invalidated by mistake, however many other tags were") {
  struct Kept {
    std::vector<std::uint32_t> selectors;
    std::uint64_t since = 0;
  };
  const auto responses = [](int n, int tags, std::uint64_t since) {
    std::vector<Kept> out;
    for (int i = 0; i < n; ++i) {
      std::vector<std::string> names;
      for (int t = 0; t < tags; ++t) names.push_back("kept:" + std::to_string(i) + ":" + std::to_string(t));
      out.push_back({selectors_of(names, "https", "app.test", "/things/" + std::to_string(i), "page=1", true), since});
    }
    return out;
  };
  InvalidationTable table;
  std::uint64_t position = 0;
  const auto invalidate_others = [&](std::uint64_t up_to) {
    while (position < up_to) {
      const Selector one{Kind::tag, "other:" + std::to_string(++position)};
      table.apply(std::span(&one, 1), position);
    }
  };
  // Per mille.
  const auto lost = [&](const std::vector<Kept>& all) {
    const auto n = std::ranges::count_if(
        all, [&](const Kept& one) { return table.invalidated_since(one.since, one.selectors, ""); });
    return 1000.0 * static_cast<double>(n) / static_cast<double>(all.size());
  };
  const auto usual = responses(5000, 6, 0), many_tags = responses(300, 1000, 0);
  struct {
    std::uint64_t invalidations;
    double usual, many_tags;
  } const rows[] = {{1'000, 0.2, 4}, {4'000, 0.2, 10}, {10'000, 0.4, 14}, {100'000, 1, 50}};
  for (const auto& row : rows) {
    invalidate_others(row.invalidations);
    CAPTURE(row.invalidations);
    CHECK(lost(usual) <= row.usual);
    CHECK(lost(many_tags) <= row.many_tags);
  }
  invalidate_others(200'000);
  // Of ever more those count that came since a response was fetched.
  const auto later = responses(5000, 6, position), many_later = responses(300, 1000, position);
  CHECK(lost(later) == 0);
  invalidate_others(250'000);
  CHECK(lost(later) <= 1);
  CHECK(lost(many_later) <= 50);
}

TEST_CASE("few responses count as softly invalidated by mistake, however many other tags were") {
  InvalidationTable table;
  for (std::uint64_t position = 1; position <= 25'000; ++position) {
    const Selector one{Kind::tag, "other:" + std::to_string(position)};
    table.apply_soft(std::span(&one, 1), position, 1);
  }
  int wrong = 0;
  for (int i = 0; i < 5000; ++i) {
    const std::string n = std::to_string(i);
    const auto selectors = selectors_of({"a" + n, "b" + n, "c" + n, "d" + n}, "http", "h", "/" + n, "", false);
    wrong += table.soft_since(0, selectors, "") ? 1 : 0;
  }
  CHECK(wrong <= 10);
}

TEST_CASE("with more soft invalidations than are told apart the first one is still no later than it was") {
  InvalidationTable table;
  constexpr std::uint64_t n = 60'000;
  for (std::uint64_t position = 1; position <= n; ++position) {
    const Selector one{Kind::tag, "t" + std::to_string(position)};
    table.apply_soft(std::span(&one, 1), position, static_cast<std::int64_t>(position));
  }
  for (std::uint64_t position = 1; position <= n; ++position) {
    const std::vector<std::uint32_t> selectors{selector_hash({Kind::tag, "t" + std::to_string(position)})};
    const auto since = table.soft_since(position - 1, selectors, "");
    REQUIRE(since);
    REQUIRE(*since <= static_cast<std::int64_t>(position));
    REQUIRE_FALSE(table.soft_since(n, selectors, ""));
  }
}

TEST_CASE("whoever has read a position sees every invalidation up to it, from any thread") {
  // Position p invalidates the tag p % 8 and a pattern of its own number, so that patterns are evicted all the time.
  constexpr std::uint64_t last = 6000;
  InvalidationTable table;
  std::atomic<int> misses{0}, early{0};
  const auto read = [&](unsigned seed) {
    std::mt19937 random(seed);
    for (std::uint64_t seen = 0; seen < last;) {
      seen = table.latest();
      if (seen == 0) continue;
      // Mostly one whose patterns are still there or have just made room.
      const std::uint64_t position = seen - random() % std::min<std::uint64_t>(seen, 200);
      const std::vector<std::uint32_t> tag{hash_of(Kind::tag, std::to_string(position % 8))};
      if (!table.invalidated_since(position - 1, tag, "no")) ++misses;
      if (!table.invalidated_since(position - 1, {}, "p" + std::to_string(position) + ":x")) ++misses;
      if (!table.invalidated_since(position - 1, {}, "x:g" + std::to_string(position) + ":")) ++misses;
      if (table.invalidated_since(last, tag, "no")) ++early;
    }
  };
  std::vector<std::jthread> readers;
  for (unsigned i = 0; i < 3; ++i) readers.emplace_back(read, i);
  for (std::uint64_t p = 1; p <= last; ++p) {
    const std::array<Selector, 3> selectors{Selector{Kind::tag, std::to_string(p % 8)},
                                            Selector{Kind::pattern, "p" + std::to_string(p) + ":*"},
                                            Selector{Kind::pattern, "*:g" + std::to_string(p) + ":"}};
    table.apply(selectors, p);
  }
  readers.clear();
  CHECK(misses == 0);
  CHECK(early == 0);
}

TEST_CASE("appliers in several threads each get a position of their own") {
  InvalidationTable table;
  std::array<std::vector<std::uint64_t>, 4> positions;
  {
    std::vector<std::jthread> threads;
    for (auto& mine : positions) {
      threads.emplace_back([&] {
        const Selector tag{Kind::tag, "t"};
        for (int i = 0; i < 500; ++i) mine.push_back(table.apply_next(std::span(&tag, 1)));
      });
    }
  }
  std::vector<std::uint64_t> all;
  for (const auto& mine : positions) {
    CHECK(std::ranges::is_sorted(mine));
    all.insert(all.end(), mine.begin(), mine.end());
  }
  std::ranges::sort(all);
  CHECK(std::ranges::adjacent_find(all) == all.end());
  CHECK(all.size() == 2000);
  CHECK(table.latest() == 2000);
}

TEST_CASE("a selector kept as its hash invalidates what the selector itself would") {
  const Selector tag{Selector::Kind::tag, std::string(1000, 't')};
  const Selector kept{Selector::Kind::hashed, std::to_string(selector_hash(tag))};
  CHECK(selector_hashes(kept) == selector_hashes(tag));
  const auto selectors = selectors_of({tag.text}, "http", "h", "/p", "", false);
  InvalidationTable table;
  const std::uint64_t before = table.latest();
  table.apply_next(std::vector<Selector>{kept});
  CHECK(table.invalidated_since(before, selectors, "k:1"));
  CHECK_FALSE(table.invalidated_since(table.latest(), selectors, "k:1"));
}

namespace {

const Field groups_line(std::string_view value) { return {"Cache-Groups", value, Name::cache_groups}; }

std::vector<std::uint32_t> groups_of(std::string_view value, std::string_view host = "h",
                                     std::string_view scheme = "http") {
  const Field line = groups_line(value);
  std::vector<std::uint32_t> out;
  CHECK(append_response_groups({&line, 1}, scheme, host, out));
  return out;
}

}  // namespace

TEST_CASE("invalidation: a group is a name within one origin, compared byte by byte") {
  const auto page = groups_of(R"("one", "Two";x=1, "a/b \"c\"")", "Example.com:80");
  CHECK(page.size() == 3);
  for (const char* host : {"example.com", "EXAMPLE.com:80", "example.com."})
    CHECK(selected(group_selector("HTTP", host, "one"), page));
  CHECK(selected(group_selector("http", "example.com", "Two"), page));
  CHECK(selected(group_selector("http", "example.com", "a/b \"c\""), page));
  for (const Selector& other :
       {group_selector("http", "example.com", "two"), group_selector("http", "example.com", "on"),
        group_selector("http", "example.com", ""), group_selector("https", "example.com", "one"),
        group_selector("http", "example.com:81", "one"), group_selector("http", "example.org", "one"),
        group_selector("http", "", "one"), Selector{Kind::tag, "one"},
        Selector{Kind::tag, group_selector("http", "example.com", "one").text}}) {
    CAPTURE(other.text);
    CHECK_FALSE(selected(other, page));
  }
  CHECK(group_selector("http", "a", "b/c") != group_selector("http", "a/b", "c"));
  CHECK(group_selector("http", "[::1]:8080", "g").text == "http://[::1]:8080/g");
  CHECK(to_string(Kind::group) == "group");

  Table t;
  t.apply(Kind::group, group_selector("http", "example.com", "one").text, 1);
  CHECK(t.since(0, "k", page));
  CHECK_FALSE(t.since(0, "k", groups_of("\"one\"", "other")));
}

TEST_CASE("invalidation: a response's groups are the strings of a well-formed list") {
  for (const char* malformed : {"\"a", "a,", "\"a\" \"b\"", "\"a\",,\"b\"", "", "one, (\"a\")", "5"}) {
    CAPTURE(malformed);
    CHECK(groups_of(malformed).empty());
  }
  CHECK(groups_of("\"a\", token, 5, (\"b\"), ?1, \"c\"") == groups_of("\"a\", \"c\""));
  CHECK(groups_of("\"\"").size() == 1);
  std::vector<std::uint32_t> kept{7};
  const std::array<Field, 3> lines{groups_line("\"a\""), Field{"Cache-Tag", "b", Name::cache_tag},
                                   groups_line("\"c\"")};
  CHECK(append_response_groups(lines, "http", "h", kept));
  CHECK(kept.size() == 3);
  CHECK(kept.front() == 7);
}

TEST_CASE("invalidation: many and long groups are all kept; of too many the response can't be stored") {
  const auto list_of = [](std::size_t n, std::size_t length) {
    std::string out;
    for (std::size_t i = 0; i < n; ++i) {
      const std::string number = std::to_string(i);
      out += (i == 0 ? "\"" : ", \"") + std::string(length - number.size(), 'g') + number + '"';
    }
    return out;
  };
  const auto page = groups_of(list_of(128, 128));
  CHECK(page.size() == 128);
  CHECK(selected(group_selector("http", "h", std::string(125, 'g') + "127"), page));
  CHECK(groups_of(list_of(max_response_tags, 4)).size() == max_response_tags);
  for (const std::size_t n : {max_response_tags + 1, max_response_tags * 2}) {
    const std::string text = list_of(n, 4);
    const Field line = groups_line(text);
    std::vector<std::uint32_t> out;
    CHECK_FALSE(append_response_groups({&line, 1}, "http", "h", out));
    CHECK(out.size() == max_response_tags);
  }
}

TEST_CASE("invalidation: an invalidation of any URL of a path concerns what answers for many of its queries") {
  auto page = plain_selectors("/a/b", "x=1", true, "h");
  const auto plain = page;
  page.push_back(search_selector("/a/./b"));
  for (const char* url :
       {"/a/b", "/a/b?", "/a/b?y=2", "http://h/a/b?y=2", "https://other:81//a/%62#f", "HTTP://x/a/b"}) {
    CAPTURE(url);
    CHECK(selected({Kind::url, url}, page));
    CHECK_FALSE(selected({Kind::url, url}, plain));
    Table t;
    t.apply(Kind::url, url, 1);
    CHECK(t.since(0, "k", page));
    CHECK_FALSE(t.since(0, "k", plain));
  }
  for (const char* url : {"/a", "/a/b/", "/a/b/c?x=1", "http://h?/a/b", "http://h", "/?u=/a/b", "http://a/b"}) {
    CAPTURE(url);
    CHECK_FALSE(selected({Kind::url, url}, page));
  }
  CHECK(selected({Kind::url, "http://h?q"}, {search_selector("/")}));
  CHECK_FALSE(selected({Kind::tag, "/a/b"}, {search_selector("/a/b")}));
  CHECK_FALSE(selected({Kind::path, "/a/b"}, {search_selector("/a/b")}));
}

TEST_CASE("invalidation: hashes of a record are read as far as they are numbers") {
  CHECK(selector_hashes({Kind::hashed, "12 34"}) == std::vector<std::uint32_t>{12, 34});
  CHECK(selector_hashes({Kind::hashed, "12"}) == std::vector<std::uint32_t>{12});
  for (const char* text : {"", " ", "x", "-1", "99999999999"}) CHECK(selector_hashes({Kind::hashed, text}).empty());
  CHECK(selector_hashes({Kind::hashed, "12 x 13"}) == std::vector<std::uint32_t>{12});
  CHECK(selector_hashes({Kind::all, ""}).empty());
  CHECK(selector_hashes({Kind::pattern, "a*"}).empty());
}
