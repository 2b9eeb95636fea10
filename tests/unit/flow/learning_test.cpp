#include "flow/learning.hpp"

#include <doctest/doctest.h>

#include <limits>

#include "core/freshness.hpp"

using namespace pillion;
using namespace std::chrono_literals;

namespace {

config::Route adaptive_route() {
  config::Route route;
  route.cache = config::CacheMode::on;
  route.ttl = 60s;
  route.adaptive = {10s, 1h};
  return route;
}

StoredParts came_at(std::int64_t mono_ms) {
  StoredParts parts;
  parts.meta.status = 200;
  parts.meta.received_mono_ms = mono_ms;
  parts.meta.received_wall_ms = 1'700'000'000'000 + mono_ms;
  parts.primary_key = "key";
  return parts;
}

/// What follows a response of time 0, at `mono_ms`.
StoredResponsePtr refreshed(const StoredResponsePtr& old, std::int64_t mono_ms, std::optional<bool> same,
                            const config::Route& route = adaptive_route()) {
  StoredParts parts = came_at(mono_ms);
  take_over({old.get(), same, 0}, route, parts);
  return StoredResponse::make(parts);
}

std::int64_t lifetime(const StoredResponsePtr& stored, const config::Route& route = adaptive_route()) {
  return lifetime_of(stored->meta(), route).ms;
}

}  // namespace

TEST_CASE("learning: a refresh is learned from, and what is known goes on to what is stored next") {
  const StoredResponsePtr first = StoredResponse::make(came_at(0));
  CHECK(lifetime(first) == 60'000);
  const StoredResponsePtr second = refreshed(first, 60'000, true);
  CHECK(lifetime(second) > 85'000);
  CHECK(lifetime(second) < 95'000);
  const StoredResponsePtr third = refreshed(second, 150'000, true);
  CHECK(lifetime(third) > lifetime(second));
  const StoredResponsePtr fourth = refreshed(third, 250'000, false);
  CHECK(lifetime(fourth) < lifetime(third));
  CHECK(fourth->history().changes > third->history().changes);
}

TEST_CASE("learning: what was invalidated teaches nothing, and nothing is forgotten") {
  const StoredResponsePtr first = StoredResponse::make(came_at(0));
  const StoredResponsePtr second = refreshed(first, 60'000, true);
  const StoredResponsePtr third = refreshed(second, 61'000, std::nullopt);
  CHECK(third->history() == second->history());
  CHECK(lifetime(third) == lifetime(second));
  CHECK_FALSE(lesson_of(*second, *third, adaptive_route()));
}

TEST_CASE("learning: what stood there counts from when its contents were made, as caches before this one tell") {
  StoredParts aged = came_at(0);
  aged.meta.initial_age_ms = 600'000;
  const StoredResponsePtr told = refreshed(StoredResponse::make(aged), 1'000, true);
  const StoredResponsePtr untold = refreshed(StoredResponse::make(came_at(0)), 1'000, true);
  CHECK(told->history().watched_ms == untold->history().watched_ms + 600'000);
}

TEST_CASE("learning: two responses of one moment, or of times that can't be, teach nothing") {
  for (const std::int64_t at : {std::int64_t{5'000}, std::int64_t{6'000}, std::numeric_limits<std::int64_t>::min()}) {
    CAPTURE(at);
    const StoredResponsePtr second = refreshed(StoredResponse::make(came_at(at)), 5'000, false);
    CHECK_FALSE(second->history().is_known());
    CHECK(lifetime(second) == 60'000);
  }
}

TEST_CASE("learning: without adaptive nothing is learned, and what was known isn't kept") {
  config::Route route = adaptive_route();
  const StoredResponsePtr second = refreshed(StoredResponse::make(came_at(0)), 60'000, true);
  route.adaptive = {};
  const StoredResponsePtr third = refreshed(second, 150'000, true, route);
  CHECK_FALSE(third->history().is_known());
  CHECK(lifetime(third, route) == 60'000);
  CHECK_FALSE(lesson_of(*second, *third, route));
}

TEST_CASE("learning: the lot that jitter takes isn't learned from") {
  config::Route route = adaptive_route(), jittery = route;
  jittery.refresh.jitter = 0.5;
  StoredResponsePtr plain = StoredResponse::make(came_at(0)), drawn = plain;
  for (std::int64_t at = 60'000; at <= 600'000; at += 60'000) {
    plain = refreshed(plain, at, true, route);
    drawn = refreshed(drawn, at, true, jittery);
  }
  CHECK(drawn->history() == plain->history());
  CHECK(drawn->meta().learned == plain->meta().learned);
  CHECK(drawn->meta().draw == lifetime_draw("key", drawn->meta().received_wall_ms));
}

TEST_CASE("learning: a lesson tells the lifetimes before and after") {
  const StoredResponsePtr first = StoredResponse::make(came_at(0));
  const StoredResponsePtr longer = refreshed(first, 60'000, true), shorter = refreshed(first, 60'000, false);
  const auto up = lesson_of(*first, *longer, adaptive_route()), down = lesson_of(*first, *shorter, adaptive_route());
  REQUIRE(up);
  REQUIRE(down);
  CHECK(up->before_ms == 60'000);
  CHECK(up->after_ms > 60'000);
  CHECK(down->after_ms < 60'000);
}
