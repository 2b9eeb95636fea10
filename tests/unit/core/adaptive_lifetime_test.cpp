// The rule of `adaptive:`.
#include "core/adaptive_lifetime.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "random_values.hpp"

using namespace pillion;
using namespace std::chrono_literals;

namespace {

constexpr config::Adaptive bounds{1s, 24h};

/// A key whose refreshes come when its lifetime is over.
struct Key {
  Learned learned{{}, 60'000};
  void refresh(bool same, std::uint64_t requests = 10, const config::Adaptive& within = bounds) {
    learned = learn(learned.history, {same, learned.lifetime_ms, requests, learned.lifetime_ms}, within);
  }
};

constexpr std::int64_t change_every = 6'000'000;

/// Of a key whose contents change every 100 minutes, in the second half of a week.
std::int64_t mean_lifetime(std::int64_t began_ms, std::uint64_t requests) {
  Key key;
  key.learned.lifetime_ms = began_ms;
  std::int64_t at = 0, sum = 0, count = 0;
  while (at < change_every * 100) {
    const std::int64_t next = at + key.learned.lifetime_ms;
    key.refresh(at / change_every == next / change_every, requests);
    at = next;
    if (at <= change_every * 50) continue;
    sum += key.learned.lifetime_ms;
    ++count;
  }
  return sum / count;
}

}  // namespace

TEST_CASE("adaptive: each identical refresh lengthens the lifetime, each change shortens it") {
  Key key;
  for (int i = 0; i < 10; ++i) {
    const std::int64_t before = key.learned.lifetime_ms;
    key.refresh(true);
    CHECK(key.learned.lifetime_ms > before);
    CHECK(key.learned.lifetime_ms <= 2 * before);
  }
  for (int i = 0; i < 10; ++i) {
    const std::int64_t before = key.learned.lifetime_ms;
    key.refresh(false);
    CHECK(key.learned.lifetime_ms < before);
    CHECK(key.learned.lifetime_ms >= before / 4);
  }
}

TEST_CASE("adaptive: what never changes comes to the longest lifetime, what always does to the shortest, and stays") {
  constexpr config::Adaptive within{30s, 1h};
  Key still, restless;
  for (int i = 0; i < 100; ++i) {
    still.refresh(true, 10, within);
    restless.refresh(false, 10, within);
  }
  CHECK(still.learned.lifetime_ms == 3'600'000);
  CHECK(restless.learned.lifetime_ms == 30'000);
  still.refresh(true, 10, within);
  restless.refresh(false, 10, within);
  CHECK(still.learned.lifetime_ms == 3'600'000);
  CHECK(restless.learned.lifetime_ms == 30'000);
}

TEST_CASE("adaptive: the more requests an answer reaches, the shorter it is kept for the same changes") {
  std::int64_t before = std::numeric_limits<std::int64_t>::max();
  for (const std::uint64_t requests : {0, 1, 10, 100, 1000, 100'000}) {
    CAPTURE(requests);
    const std::int64_t mean = mean_lifetime(60'000, requests);
    CHECK(mean < before);
    before = mean;
  }
}

TEST_CASE("adaptive: a lifetime settles at the same share of the time between changes wherever it began") {
  for (const std::int64_t began_ms : {5'000, 60'000, 3'600'000}) {
    CAPTURE(began_ms);
    const std::int64_t mean = mean_lifetime(began_ms, 100);
    CHECK(mean > change_every / 9 / 2);  // the aim is one ninth
    CHECK(mean < change_every / 9 * 2);
  }
}

TEST_CASE("adaptive: what begins to change is kept for shorter within a few changes, however long it was still") {
  Key key;
  for (int i = 0; i < 200; ++i) key.refresh(true, 10, {30s, 1h});
  REQUIRE(key.learned.lifetime_ms == 3'600'000);
  int refreshes = 0;
  for (; key.learned.lifetime_ms > 60'000 && refreshes < 100; ++refreshes) key.refresh(false, 10, {30s, 1h});
  CHECK(refreshes < 25);
}

TEST_CASE("adaptive: a long time without a refresh that ends in the same contents counts for what it is") {
  const ChangeHistory none;
  const Learned brief = learn(none, {true, 60'000, 0, 60'000}, bounds);
  const Learned day = learn(none, {true, 86'400'000, 0, 60'000}, bounds);
  CHECK(brief.lifetime_ms == 90'000);
  CHECK(day.lifetime_ms == 120'000);  // and yet twice as long at most
  CHECK(day.history.between_changes_ms() > brief.history.between_changes_ms());
}

TEST_CASE("adaptive: any numbers give a lifetime within the bounds and a history that is kept") {
  pillion::test::for_each_seed(5000, [](pillion::test::Random& random) {
    const auto number = [&] {
      return random.once_in(3)
                 ? std::int64_t{1} << random.below(63)
                 : random.between(std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max());
    };
    ChangeHistory history{static_cast<std::uint64_t>(random.between(0, ChangeHistory::max_watched_ms)),
                          static_cast<std::uint32_t>(random.between(1, ChangeHistory::max_changes))};
    if (random.once_in(4)) history = {};
    REQUIRE(history.is_sane());
    const Learned learned =
        learn(history, {random.once_in(2), number(), static_cast<std::uint64_t>(number()), number()}, bounds);
    REQUIRE(learned.history.is_known());
    REQUIRE(learned.history.is_sane());
    REQUIRE(learned.lifetime_ms >= 1000);
    REQUIRE(learned.lifetime_ms <= 86'400'000);
  });
}

TEST_CASE("adaptive: a lifetime that is packed is never shorter and by 2.2 % longer at most") {
  CHECK(unpack_lifetime(pack_lifetime(1)) <= 1022);
  CHECK(pack_lifetime(std::numeric_limits<std::int64_t>::max()) == 1023);
  CHECK(pack_lifetime(0) == 1);
  CHECK(pack_lifetime(-1) == 1);
  for (std::int64_t ms = 1000; ms < std::int64_t{1} << 41; ms += ms / 7) {
    CAPTURE(ms);
    const std::int64_t there = unpack_lifetime(pack_lifetime(ms));
    REQUIRE(there >= ms);
    REQUIRE(static_cast<double>(there) <= static_cast<double>(ms) * 1.0221 + 1);
    REQUIRE(pack_lifetime(there) == pack_lifetime(ms));
  }
  for (std::uint16_t packed = 2; packed <= 1023; ++packed)
    REQUIRE(unpack_lifetime(packed) > unpack_lifetime(static_cast<std::uint16_t>(packed - 1)));
}
