#include "telemetry/answer_watch.hpp"

#include <doctest/doctest.h>

#include "telemetry/insights.hpp"

using namespace pillion;

TEST_CASE("answer watch: a URL's answer is compared with its last one, and its age is since that came") {
  AnswerWatch watch;
  RouteInsight route;
  CHECK_FALSE(watch.observe(route, 1, 100, {}, 1000).again);
  const auto second = watch.observe(route, 1, 100, {}, 3000);
  CHECK(second.again);
  CHECK(second.same);
  CHECK(second.age_ms == 2000);
  const auto third = watch.observe(route, 1, 200, {}, 4000);
  CHECK(third.again);
  CHECK_FALSE(third.same);
  CHECK(third.age_ms == 3000);
  const auto fourth = watch.observe(route, 1, 200, {}, 4500);
  CHECK(fourth.same);
  CHECK(fourth.age_ms == 500);
  CHECK_FALSE(watch.observe(route, 2, 200, {}, 4500).again);
}

TEST_CASE("answer watch: what was seen an hour ago counts as not seen") {
  AnswerWatch watch;
  RouteInsight route;
  watch.observe(route, 1, 100, {}, 1000);
  CHECK_FALSE(watch.observe(route, 1, 100, {}, 1001 + AnswerWatch::memory_ms).again);
}

TEST_CASE("answer watch: of two URLs in one place the busy one stays, and an idle one gives way") {
  AnswerWatch watch;
  RouteInsight route;
  const std::uint64_t a = 5, b = 5 + AnswerWatch::size;
  watch.observe(route, a, 1, {}, 1000);
  watch.observe(route, b, 1, {}, 1001);
  CHECK(watch.observe(route, a, 1, {}, 1002).again);
  watch.observe(route, b, 1, {}, 1002 + AnswerWatch::pair_ms + 1);
  CHECK(watch.observe(route, b, 1, {}, 1002 + AnswerWatch::pair_ms + 2).again);
}

TEST_CASE("answer watch: a header that the answer follows is told from one that it doesn't") {
  AnswerWatch watch;
  RouteInsight route;
  for (std::uint64_t i = 0; i < 40; ++i) {
    const std::uint64_t tenant = i / 2 % 2, agent = i % 3;
    const WatchedHeader headers[] = {{"X-Tenant", 8 * tenant}, {"User-Agent", 8 * agent}};
    watch.observe(route, 1, 1000 + tenant, headers, 1000 + static_cast<std::int64_t>(i));
  }
  REQUIRE(route.headers.size() == 2);
  const HeaderEvidence& tenant = route.headers[0];
  CHECK(tenant.name == "x-tenant");
  CHECK(tenant.differs_other == 19);
  CHECK(tenant.differs_same == 0);
  CHECK(tenant.equal_other == 0);
  CHECK(tenant.equal_same == 20);
  const HeaderEvidence& agent = route.headers[1];
  CHECK(agent.differs_other == 19);
  CHECK(agent.differs_same == 20);
}

TEST_CASE("answer watch: an absent header is another value than any, and answers far apart say nothing of headers") {
  AnswerWatch watch;
  RouteInsight route;
  const WatchedHeader with[] = {{"X-A", 1}};
  watch.observe(route, 1, 1, with, 1000);
  watch.observe(route, 1, 2, {}, 1001);
  REQUIRE(route.headers.size() == 1);
  CHECK(route.headers[0].differs_other == 1);
  watch.observe(route, 1, 3, with, 1002 + AnswerWatch::pair_ms);
  CHECK(route.headers[0].differs_other == 1);
}

TEST_CASE("answer watch: names of headers are bounded, and those of connections and conditions aren't watched") {
  AnswerWatch watch;
  RouteInsight route;
  for (int i = 0; i < 100; ++i) {
    const std::string name = "X-" + std::to_string(i);
    const WatchedHeader headers[] = {{name, 1}};
    watch.observe(route, 1, 1, headers, 1000 + i);
  }
  CHECK(route.headers.size() == RouteInsight::max_headers);
  for (const char* name : {"Host", "If-None-Match", "traceparent", "X-Forwarded-For", "Sec-Fetch-Mode", "RANGE"})
    CHECK_FALSE(is_watched_header(name));
  for (const char* name : {"Accept", "Cookie", "Authorization", "X-Tenant"}) CHECK(is_watched_header(name));
}

TEST_CASE("ages: the honest lifetime is the longest with few enough outdated answers") {
  AgeTable ages;
  CHECK(ages.honest_ms(0.01) == 0);
  for (int i = 0; i < 1000; ++i) ages.note(900, true);
  CHECK(ages.honest_ms(0.01) == 1024);
  for (int i = 0; i < 100; ++i) ages.note(60'000, true);
  for (int i = 0; i < 100; ++i) ages.note(60'000, false);
  CHECK(ages.honest_ms(0.01) == 1024);
  CHECK(ages.honest_ms(0.1) == 65'536);
  CHECK(ages.all_same() == 1100);
  CHECK(ages.all_other() == 100);
}

TEST_CASE("ages: every age has a bucket whose bound isn't below it") {
  for (std::int64_t age : {-5ll, 0ll, 1ll, 64ll, 65ll, 128ll, 129ll, 60'000ll, 86'400'000'000ll}) {
    const std::size_t bucket = AgeTable::bucket_of(age);
    CHECK(bucket < AgeTable::buckets);
    CHECK((bucket == AgeTable::buckets - 1 || age <= AgeTable::bound_ms(bucket)));
    if (bucket > 0) CHECK(age > AgeTable::bound_ms(bucket - 1));
  }
}

TEST_CASE("insights: sampled hits stand for all of them") {
  Insights insights;
  std::uint64_t hits = 0, counted = 0, samples = 0, pending = 0;
  for (int i = 0; i < 100'000; ++i) {
    ++hits;
    ++pending;
    if (!insights.samples_hit()) continue;
    const std::uint64_t weight = insights.take_weight();
    CHECK(weight == pending);
    pending = 0;
    counted += weight;
    ++samples;
  }
  CHECK(counted + pending == hits);
  CHECK(samples > hits / 10);
  CHECK(samples < hits / 6);
}

TEST_CASE("insights: answers are looked at as they come, but no more than so many a second where they are many") {
  Insights insights;
  int looks = 0;
  for (int i = 0; i < 10'000; ++i) looks += insights.may_look(1000) ? 1 : 0;
  CHECK(looks == 500);
  CHECK_FALSE(insights.may_look(1199));
  CHECK(insights.may_look(1200));
  CHECK_FALSE(insights.may_look(1200));
  looks = 0;
  for (int ms = 0; ms < 10'000; ++ms) looks += insights.may_look(2000 + ms) ? 1 : 0;
  CHECK(looks >= 50);
  CHECK(looks <= 60);
}

TEST_CASE("insights: routes are bounded") {
  Insights insights;
  std::vector<RouteCounters> routes(Insights::max_routes + 1);
  for (std::size_t i = 0; i < Insights::max_routes; ++i) CHECK(insights.of(&routes[i]) != nullptr);
  CHECK(insights.of(&routes.back()) == nullptr);
  CHECK(insights.of(&routes.front()) != nullptr);
}
