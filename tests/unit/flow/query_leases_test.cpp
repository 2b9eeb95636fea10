// Who loads a value, who waits, and what becomes of leases that end, are void, or are too many.
#include "flow/query_leases.hpp"

#include <doctest/doctest.h>

using namespace pillion;
using namespace std::chrono_literals;
using Turn = QueryLeases::Turn;

namespace {

const QueryLeases::Time start{1h};
const Hash128 key{1, 2}, other{3, 4};

bool never(const Fence&) { return false; }
bool always(const Fence&) { return true; }

QueryLeases::Lease lease(std::string token, QueryLeases::Time until = start + 10s) {
  QueryLeases::Lease made;
  made.token = std::move(token);
  made.until = until;
  return made;
}

/// Leased to that token.
void give(QueryLeases& leases, const std::string& token, QueryLeases::Time until = start + 10s) {
  const auto claim = leases.claim(key, start, never);
  REQUIRE(claim.turn == Turn::seek);
  leases.grant(key, claim.seek, lease(token, until));
}

StoredResponsePtr value() {
  StoredParts parts;
  parts.body = "v";
  return StoredResponse::make(parts);
}

}  // namespace

TEST_CASE("query leases: one looks, and what it finds is for those who wait") {
  QueryLeases leases;
  const auto first = leases.claim(key, start, never), second = leases.claim(key, start, never);
  CHECK(first.turn == Turn::seek);
  CHECK(second.turn == Turn::wait);
  REQUIRE(second.seek == first.seek);
  CHECK(leases.claim(other, start, never).turn == Turn::seek);
  CHECK(leases.found(*second.seek) == nullptr);
  leases.settle(key, first.seek, value());
  CHECK(leases.found(*second.seek)->body() == "v");
  CHECK(leases.claim(key, start, never).turn == Turn::seek);
}

TEST_CASE("query leases: who has the lease is waited for until its time is over") {
  QueryLeases leases;
  give(leases, "a");
  const auto claim = leases.claim(key, start + 10s - 1ns, never);
  CHECK(claim.turn == Turn::wait);
  CHECK(claim.seek == nullptr);
  CHECK(claim.until == start + 10s);
  CHECK(leases.claim(key, start + 10s, never).turn == Turn::seek);
  CHECK_FALSE(leases.begin_store(key, "a", start));  // another is to load it now
}

TEST_CASE("query leases: nobody waits for a lease that an invalidation made void") {
  QueryLeases leases;
  give(leases, "a");
  CHECK(leases.claim(key, start, always).turn == Turn::seek);
}

TEST_CASE("query leases: the right token in time stores, once, and is waited for meanwhile") {
  QueryLeases leases;
  give(leases, "a");
  CHECK_FALSE(leases.begin_store(key, "b", start));
  CHECK_FALSE(leases.begin_store(other, "a", start));
  CHECK_FALSE(leases.begin_store(key, "a", start + 10s));
  REQUIRE(leases.begin_store(key, "a", start + 1s));
  CHECK_FALSE(leases.begin_store(key, "a", start + 1s));
  CHECK(leases.claim(key, start + 11s, always).turn == Turn::wait);
  leases.end(key, "b");
  CHECK(leases.size() == 1);
  leases.end(key, "a");
  CHECK(leases.size() == 0);
}

TEST_CASE("query leases: who comes while a value is written waits for it, and who was to load it has lost") {
  QueryLeases leases;
  give(leases, "a");
  leases.begin_write(key, "first", {});
  leases.begin_write(key, "second", {});
  CHECK_FALSE(leases.begin_store(key, "a", start));
  CHECK(leases.claim(key, start + 11s, always).turn == Turn::wait);
  leases.end(key, "first");
  CHECK(leases.claim(key, start, always).turn == Turn::wait);
  leases.end(key, "second");
  const auto looking = leases.claim(key, start, never);
  REQUIRE(looking.turn == Turn::seek);
  leases.begin_write(key, "third", {});
  leases.grant(key, looking.seek, lease("b"));
  leases.settle(key, looking.seek, value());
  CHECK_FALSE(leases.begin_store(key, "b", start));
  CHECK(leases.claim(key, start, never).turn == Turn::wait);
}

TEST_CASE("query leases: an end that comes late changes nothing") {
  QueryLeases leases;
  const auto first = leases.claim(key, start, never);
  leases.settle(key, first.seek, nullptr);
  const auto second = leases.claim(key, start, never);
  leases.grant(key, first.seek, lease("a"));
  leases.settle(key, first.seek, value());
  leases.end(key, "");
  CHECK(leases.claim(key, start, never).seek == second.seek);
  leases.grant(key, second.seek, lease("b"));
  leases.settle(key, second.seek, value());
  CHECK(leases.begin_store(key, "b", start));
}

TEST_CASE("query leases: there is room for so many, and forgotten ones make room") {
  QueryLeases leases;
  for (std::uint64_t i = 0; i < QueryLeases::max_keys; ++i) {
    const auto claim = leases.claim({i, i}, start, never);
    leases.grant({i, i}, claim.seek, lease("a", i == 0 ? start + 2s : start + 10s));
  }
  const Hash128 more{1, 0};
  CHECK(leases.claim(more, start, never).turn == Turn::full);
  CHECK(leases.claim({5, 5}, start, never).turn == Turn::wait);
  CHECK(leases.claim(more, start + 3s, never).turn == Turn::seek);
  CHECK(leases.claim(Hash128{2, 0}, start + 3s, never).turn == Turn::full);
}
