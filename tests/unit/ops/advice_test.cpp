#include "ops/advice.hpp"

#include <doctest/doctest.h>

#include "fake_control.hpp"

using namespace pillion;

namespace {

RouteFigures route(config::CacheMode cache) {
  RouteFigures figures;
  figures.name = "r";
  figures.cache = cache;
  figures.ttl = std::chrono::seconds(60);
  figures.requests = 1000;
  return figures;
}

std::string kinds(const RouteFigures& figures) {
  std::string all;
  for (const Advice& advice : advise(figures)) all += std::string(to_string(advice.kind)) + " ";
  return all;
}

}  // namespace

TEST_CASE("advice: an uncached route whose answers repeat would pay, with the lifetime that would have been honest") {
  RouteFigures r = route(config::CacheMode::off);
  r.insight.passed = 1000;
  r.insight.passed_again = 900;
  r.insight.passed_same = 840;
  r.insight.passed_same_us = 42'000'000;
  for (int i = 0; i < 840; ++i) r.insight.passed_ages.note(15'000, true);
  for (int i = 0; i < 60; ++i) r.insight.passed_ages.note(200'000, false);
  const auto advice = advise(r);
  REQUIRE(advice.size() == 1);
  CHECK(advice[0].kind == AdviceKind::cache_it);
  CHECK(advice[0].suggested_ttl_ms == 16'000);
  CHECK(advice[0].text.find("of 1,000 answers that were looked at, 840 (84 %)") != std::string::npos);
  CHECK(advice[0].text.find("42 s") != std::string::npos);
  CHECK(advice[0].text.find("ttl: 16s") != std::string::npos);
  CHECK(advice[0].text.find("Cookie") == std::string::npos);
  r.insight.passed_personal = 500;
  CHECK(advise(r)[0].text.find("50 % came with Cookie") != std::string::npos);
}

TEST_CASE("advice: nothing is said of an uncached route whose answers differ, or of a few answers") {
  RouteFigures r = route(config::CacheMode::off);
  r.insight.passed = 1000;
  r.insight.passed_again = 1000;
  r.insight.passed_same = 100;
  CHECK(kinds(r).empty());
  r.insight.passed = r.insight.passed_same = enough_answers - 1;
  CHECK(kinds(r).empty());
  r.insight.passed = r.insight.passed_same = enough_answers;
  CHECK(kinds(r) == "cache-it ");
  r.cache = config::CacheMode::on;
  CHECK(kinds(r).empty());
}

TEST_CASE("advice: a shadow route is right, or too long, and what would be honest") {
  RouteFigures r = route(config::CacheMode::shadow);
  for (int i = 0; i < 500; ++i) r.insight.shadow_ages.note(900, true);
  CHECK(kinds(r) == "shadow-is-right ");
  CHECK(advise(r)[0].text.find("500 of 1,000 requests (50 %)") != std::string::npos);
  for (int i = 0; i < 100; ++i) r.insight.shadow_ages.note(30'000, false);
  const auto advice = advise(r);
  REQUIRE(advice.size() == 1);
  CHECK(advice[0].kind == AdviceKind::ttl_too_long);
  CHECK(advice[0].suggested_ttl_ms == 1000);
  CHECK(advice[0].text.find("Of 600 answers that a cache would have given, 100 (16.7 %)") != std::string::npos);
  for (int i = 0; i < 100; ++i) r.insight.shadow_ages.note(10, false);
  CHECK_FALSE(advise(r)[0].suggested_ttl_ms.has_value());
}

TEST_CASE("advice: a cached route that hits too seldom doesn't pay") {
  RouteFigures r = route(config::CacheMode::on);
  r.looked_up = 1000;
  r.answered = 20;
  r.stored = 950;
  CHECK(kinds(r) == "does-not-pay ");
  CHECK(advise(r)[0].text.find("of 1,000 look-ups it answered 20 (2 %)") != std::string::npos);
  r.answered = 100;
  CHECK(kinds(r).empty());
  r.answered = 0;
  r.looked_up = enough_look_ups - 1;
  CHECK(kinds(r).empty());
}

TEST_CASE("advice: refreshes that bring the same say too short, others too long") {
  RouteFigures r = route(config::CacheMode::on);
  r.insight.refreshed_same = 95;
  r.insight.refreshed_other = 5;
  REQUIRE(kinds(r) == "ttl-too-short ");
  CHECK(advise(r)[0].suggested_ttl_ms == 120'000);
  CHECK(advise(r)[0].text.find("Of 100 refreshes of what had expired, 95 (95 %)") != std::string::npos);
  r.insight.refreshed_same = 40;
  r.insight.refreshed_other = 60;
  REQUIRE(kinds(r) == "ttl-too-long ");
  CHECK(advise(r)[0].suggested_ttl_ms == 30'000);
  r.insight.refreshed_same = 60;
  r.insight.refreshed_other = 40;
  CHECK(kinds(r).empty());
  r.insight.refreshed_same = enough_refreshes - 1;
  r.insight.refreshed_other = 0;
  CHECK(kinds(r).empty());
  // Where lifetimes are learned the ttl is only where they begin.
  r.insight.refreshed_same = 100;
  CHECK_FALSE(kinds(r).empty());
  r.adaptive = true;
  CHECK(kinds(r).empty());
}

TEST_CASE("advice: a header that the answer follows is named, whatever the route's mode") {
  for (const auto mode : {config::CacheMode::off, config::CacheMode::on, config::CacheMode::shadow}) {
    RouteFigures r = route(mode);
    r.insight.headers = {{"x-tenant", 118, 2, 3, 197}, {"user-agent", 60, 60, 60, 60}, {"accept", 9, 0, 0, 100}};
    const auto advice = advise(r);
    REQUIRE(advice.size() == 1);
    CHECK(advice[0].header == "x-tenant");
    CHECK(advice[0].text.find("of 120 pairs of answers for one URL in which it differed, 118 (98.3 %)") !=
          std::string::npos);
  }
}

TEST_CASE("advice: figures of workers add up, and routes that are gone have none") {
  FakeControl control;
  Counters& counters = control.counters();
  for (const char* name : {"character", "gone", "off"}) {
    for (RouteCounters* block : counters.route(name)) {
      block->results[static_cast<std::size_t>(Result::hit)].add(3);
      block->results[static_cast<std::size_t>(Result::miss)].add(2);
      block->stored.add();
    }
  }
  std::map<std::string, RouteInsight> insights;
  insights["character"].refreshed_same = 7;
  const auto all = route_figures(counters, *control.config(), insights);
  REQUIRE(all.size() == 2);
  CHECK(all[0].name == "character");
  CHECK(all[0].cache == config::CacheMode::on);
  CHECK(all[0].ttl == std::chrono::minutes(5));
  CHECK(all[0].requests == 10);
  CHECK(all[0].looked_up == 10);
  CHECK(all[0].answered == 6);
  CHECK(all[0].stored == 2);
  CHECK(all[0].insight.refreshed_same == 7);
  CHECK(all[1].name == "off");
}
