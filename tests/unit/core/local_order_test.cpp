// Hard and soft invalidations and suspicions in one order, and what they mean to a response.
#include "core/local_order.hpp"

#include <doctest/doctest.h>

#include <array>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "core/soft_marks.hpp"

using namespace pillion;
using Kind = Selector::Kind;

namespace {

struct Facts {
  std::string key = "k:1";
  std::vector<std::string> tags;
  std::uint64_t position = 0;
  std::int64_t received_ms = 0;
  bool in_redis = false;
};

StoredResponsePtr response(const Facts& facts) {
  const auto selectors = selectors_of(facts.tags, "http", "h", "/", "", false);
  StoredParts parts;
  parts.primary_key = facts.key;
  parts.readable_key = facts.key;
  parts.selectors = selectors;
  parts.position = facts.position;
  parts.meta.received_mono_ms = facts.received_ms;
  parts.in_redis = facts.in_redis;
  return StoredResponse::make(parts);
}

std::uint64_t invalidate(LocalOrder& order, Kind kind, std::string text, Strength strength = Strength::hard,
                         std::int64_t ms = 0) {
  const Selector one{kind, std::move(text)};
  return order.invalidate({&one, 1}, strength, ms);
}
std::uint64_t soften(LocalOrder& order, std::string tag, std::int64_t ms) {
  return invalidate(order, Kind::tag, std::move(tag), Strength::soft, ms);
}

/// `good`, or what is wrong, with the time since which it is stale.
std::string words(const Standing& standing) {
  if (standing.is_good()) return "good";
  std::string out = standing.invalidated ? "invalidated" : "";
  if (standing.stale_since_ms) out += "soft " + std::to_string(*standing.stale_since_ms);
  if (standing.suspect) out += out.empty() ? "suspect" : " suspect";
  return out;
}

}  // namespace

TEST_CASE("local order: whatever happens takes the next position") {
  LocalOrder order;
  CHECK(order.latest() == 0);
  CHECK(invalidate(order, Kind::tag, "a") == 1);
  CHECK(soften(order, "a", 5) == 2);
  CHECK(order.suspect("k:1", 0) == 3);
  CHECK(order.suspect_all() == 4);
  CHECK(order.latest() == 4);
}

TEST_CASE("local order: a response is good until something that happened since it was fetched concerns it") {
  LocalOrder order;
  const auto page = response({.tags = {"a"}, .position = order.latest()});
  CHECK(words(order.standing(*page)) == "good");
  invalidate(order, Kind::tag, "b");
  soften(order, "b", 1);
  order.suspect("k:1", 0);  // it doesn't stand in Redis
  CHECK(words(order.standing(*page)) == "good");
  CHECK(page->checked_position() == order.latest());
  const std::uint64_t before = order.latest();
  soften(order, "a", 700);
  CHECK(words(order.standing(*page)) == "soft 700");
  CHECK_FALSE(order.is_good(*page));
  CHECK_FALSE(order.is_invalidated(*page));
  invalidate(order, Kind::tag, "a");
  CHECK(words(order.standing(*page)) == "invalidated");
  CHECK(order.is_invalidated(*page));
  CHECK(page->checked_position() == before);
  CHECK(words(order.standing(*response({.tags = {"a"}, .position = order.latest()}))) == "good");
}

TEST_CASE("local order: a soft invalidation by each kind of selector is found") {
  const std::pair<Kind, std::string> selectors[] = {
      {Kind::tag, "a"},  {Kind::pattern, "k:*"}, {Kind::pattern, "?:1"},   {Kind::pattern, "*"},
      {Kind::path, "/"}, {Kind::url, "/"},       {Kind::url, "http://h/"}, {Kind::all, ""}};
  for (const auto& [kind, text] : selectors) {
    CAPTURE(text);
    LocalOrder order;
    const auto page = response({.tags = {"a"}});
    const auto other = response({.key = "api", .tags = {"b"}, .position = 1});
    invalidate(order, kind, text, Strength::soft, 3);
    CHECK(words(order.standing(*page)) == "soft 3");
    CHECK(words(order.standing(*other)) == "good");
    CHECK(order.invalidated_since(0, page->selectors(), "k:1"));
    CHECK_FALSE(order.invalidated_since(1, page->selectors(), "k:1"));
  }
}

TEST_CASE("local order: of several soft invalidations the first one after the fetch counts") {
  LocalOrder order;
  soften(order, "a", 1'000);
  const auto page = response({.tags = {"a"}, .position = order.latest(), .received_ms = 1'500});
  soften(order, "a", 120'000);
  soften(order, "a", 121'000);
  soften(order, "a", 150'000);
  CHECK(words(order.standing(*page)) == "soft 120000");
  // A pause of over a minute: what came before it is forgotten but for its last, so a longer time is assumed.
  soften(order, "a", 300'000);
  CHECK(words(order.standing(*page)) == "soft 1500");
  const auto later = response({.tags = {"a"}, .position = order.latest() - 1, .received_ms = 200'000});
  CHECK(words(order.standing(*later)) == "soft 300000");
  // Fetched in the middle of a streak: which was the next one is not known.
  soften(order, "a", 301'000);
  const auto amid = response({.tags = {"a"}, .position = order.latest() - 1, .received_ms = 300'500});
  CHECK(words(order.standing(*amid)) == "soft 300500");
}

TEST_CASE("local order: of the selectors of a response the one that was softly invalidated first counts") {
  LocalOrder order;
  const auto page = response({.tags = {"a", "b"}});
  soften(order, "b", 10);
  soften(order, "a", 20);
  invalidate(order, Kind::pattern, "k:*", Strength::soft, 30);
  CHECK(words(order.standing(*page)) == "soft 10");
}

TEST_CASE("local order: patterns that made room are not forgotten") {
  for (const bool prefix : {true, false}) {
    CAPTURE(prefix);
    LocalOrder order;
    const auto page = response({.key = "p0:x", .received_ms = 5});
    const std::size_t room = prefix ? InvalidationTable::max_prefixes : InvalidationTable::max_globs;
    for (std::size_t i = 0; i <= room; ++i)
      invalidate(order, Kind::pattern, (prefix ? "p" : "*p") + std::to_string(i) + (prefix ? ":*" : ":?"),
                 Strength::soft, 7);
    CHECK(words(order.standing(*page)) == "soft 7");
    const auto after = response({.key = "p0:x", .position = 1});
    CHECK(words(order.standing(*after)) == "good");
  }
}

TEST_CASE("local order: a key that changed in Redis makes what stands there suspect, until it is compared") {
  LocalOrder order;
  const auto page = response({.in_redis = true});
  const auto other = response({.key = "k:2", .in_redis = true});
  const std::uint64_t noticed = order.suspect("k:1", 0);
  CHECK(words(order.standing(*other)) == "good");
  const Standing standing = order.standing(*page);
  CHECK(words(standing) == "suspect");
  CHECK(standing.position == noticed);
  CHECK(words(order.standing(*page)) == "suspect");
  page->mark_checked(standing.position);
  CHECK(order.is_good(*page));
  order.suspect_all();
  CHECK(words(order.standing(*page)) == "suspect");
  CHECK(words(order.standing(*other)) == "suspect");
  CHECK(words(order.standing(*response({.in_redis = false}))) == "good");
}

TEST_CASE("local order: suspicion stays beside a soft invalidation") {
  LocalOrder order;
  const auto page = response({.tags = {"a"}, .in_redis = true});
  order.suspect("k:1", 0);
  soften(order, "a", 4);
  CHECK(words(order.standing(*page)) == "soft 4 suspect");
}

TEST_CASE("local order: notices of a key are counted up to two") {
  LocalOrder order;
  CHECK(order.noticed_since(0, "k:1") == 0);
  const std::uint64_t first = order.suspect("k:1", 0);
  CHECK(order.noticed_since(0, "k:1") == 1);
  CHECK(order.noticed_since(first, "k:1") == 0);
  CHECK(order.noticed_since(0, "k:2") == 0);
  CHECK(order.first_notice_after(0, "k:1") == first);
  CHECK(order.last_notice_ms("k:1") == 0);
  const std::uint64_t second = order.suspect("k:1", 700);
  CHECK(order.last_notice_ms("k:1") == 700);
  CHECK(order.first_notice_after(0, "k:1") == 1);
  CHECK(order.first_notice_after(first, "k:1") == second);
  CHECK(order.noticed_since(0, "k:1") == 2);
  CHECK(order.noticed_since(first, "k:1") == 1);
  CHECK(order.noticed_since(second, "k:1") == 0);
  order.suspect_all();
  CHECK(order.noticed_since(second, "k:1") == 2);
  CHECK(order.first_notice_after(first, "k:1") == first + 1);
  CHECK(order.noticed_since(order.latest(), "k:1") == 0);
}

TEST_CASE("local order: what doesn't stand in Redis yet is suspect from when it does") {
  LocalOrder order;
  const auto page = response({});
  order.suspect("k:1", 0);
  CHECK(order.is_good(*page));
  page->set_in_redis(true);
  CHECK(order.is_good(*page));
  order.suspect("k:1", 0);
  CHECK(words(order.standing(*page)) == "suspect");
  page->set_in_redis(false);
  CHECK(order.is_good(*page));
}

TEST_CASE("local order: random soft invalidations are never said to be later than the first after the fetch") {
  std::mt19937 random(5);
  const std::array<std::string, 3> tags{"a", "b", "c"};
  for (int round = 0; round < 200; ++round) {
    LocalOrder order;
    struct Event {
      std::string tag;
      std::uint64_t position;
      std::int64_t ms;
    };
    std::vector<Event> events;
    std::int64_t ms = 0;
    for (int i = 0; i < 30; ++i) {
      ms += random() % 3 == 0 ? 100'000 : static_cast<std::int64_t>(random() % 20'000);
      const std::string& tag = tags[random() % tags.size()];
      events.push_back({tag, soften(order, tag, ms), ms});
    }
    const std::uint64_t position = random() % 30;
    const std::string& tag = tags[random() % tags.size()];
    const std::int64_t received = position == 0 ? 0 : events[position - 1].ms;
    const auto page = response({.tags = {tag}, .position = position, .received_ms = received});
    std::optional<std::int64_t> first;
    for (const Event& event : events)
      if (event.position > position && event.tag == tag && !first) first = event.ms;
    const Standing standing = order.standing(*page);
    REQUIRE(standing.stale_since_ms.has_value() == first.has_value());
    if (!first) continue;
    REQUIRE(*standing.stale_since_ms <= *first);
    REQUIRE(*standing.stale_since_ms >= received);
  }
}

TEST_CASE("local order: whoever has read a position sees all that happened up to it, from any thread") {
  // Position p is of the kind p % 3, each with a key or tag of its own number.
  constexpr std::uint64_t last = 3000;
  LocalOrder order;
  std::atomic<int> missed{0};
  const auto read = [&](unsigned seed) {
    std::mt19937 random(seed);
    for (std::uint64_t seen = 0; seen < last;) {
      seen = order.latest();
      if (seen == 0) continue;
      const std::uint64_t position = seen - random() % std::min<std::uint64_t>(seen, 100);
      const std::string name = "n" + std::to_string(position);
      const auto page = response({.key = name, .tags = {name}, .position = position - 1, .in_redis = true});
      const Standing standing = order.standing(*page);
      // Another name of the same hash may have been invalidated since, and then less is known of this one.
      const bool soft = standing.invalidated ||
                        (standing.stale_since_ms && *standing.stale_since_ms <= static_cast<std::int64_t>(position));
      const bool ok = position % 3 == 0   ? standing.invalidated
                      : position % 3 == 1 ? soft
                                          : standing.suspect && order.noticed_since(position - 1, name) > 0;
      if (!ok) ++missed;
    }
  };
  std::vector<std::jthread> readers;
  for (unsigned i = 0; i < 3; ++i) readers.emplace_back(read, i);
  for (std::uint64_t p = 1; p <= last; ++p) {
    const std::string name = "n" + std::to_string(p);
    if (p % 3 == 0) invalidate(order, Kind::tag, name);
    if (p % 3 == 1) soften(order, name, static_cast<std::int64_t>(p));
    if (p % 3 == 2) order.suspect(name, 0);
  }
  readers.clear();
  CHECK(missed == 0);
}

TEST_CASE("local order: what is kept of soft invalidations merges to something that is never later") {
  SoftStreak one, two;
  one.note(5, 50);
  one.note(7, 70);
  two.note(3, 30);
  two.note(9, 200'000);
  SoftStreak both = one;
  both.absorb(two);
  CHECK(both.first_after(9) == std::nullopt);
  CHECK(both.first_after(8) == SoftStreak::long_ago);
  CHECK(both.first_after(4) == 50);
  CHECK(both.first_after(2) == SoftStreak::long_ago);
  SoftStreak none;
  none.absorb(one);
  CHECK(none.first_after(4) == 50);
  none.absorb({});
  CHECK(none.first_after(6) == SoftStreak::long_ago);
}
