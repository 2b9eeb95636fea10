#include "ops/recent.hpp"

#include <doctest/doctest.h>

#include <boost/json/serialize.hpp>

#include "core/cache_key.hpp"
#include "fake_control.hpp"
#include "support/json.hpp"

using namespace pillion;

namespace {

PastDecision decision(Result result, std::string_view target) {
  PastDecision past;
  past.route = "character";
  past.decision = {};
  past.wall_ms = 1'767'225'600'123;
  past.decision.result = result;
  past.decision.status = 200;
  past.decision.bytes = 10;
  past.decision.us = 1500;
  past.decision.set_text("id-1", target);
  return past;
}

std::string words(const PastDecision& past) {
  std::string all;
  for (const DecisionStep& step : steps_of(past)) all += std::string(step.what) + ":" + step.reason + " ";
  return all;
}

}  // namespace

TEST_CASE("recent: a hit's key is worked out from its path, and is the hash alone where it can't be") {
  FakeControl control;
  PastDecision past = decision(Result::hit, "/api/characters/7?x=y");
  past.decision.tier = Detail::memory;
  past.decision.ttl_ms = 5000;
  past.decision.key = hash128("some key");
  past.decision.flags = Decision::keyed;
  const auto json = support::Json::parse(boost::json::serialize(to_json(past, *control.routes())));
  CHECK(json["key"].string == "character:7:" + to_hex(hash128("some key")));
  CHECK(json["id"].string == "id-1");
  CHECK(json["time"].string == "2026-01-01T00:00:00.123Z");
  CHECK(json["method"].string == "GET");
  CHECK(json["path"].string == "/api/characters/7?x=y");
  CHECK(json["duration_ms"].number == 1.5);
  CHECK(json["steps"].array.size() == 3);
  past.route = "no longer there";
  CHECK(std::string(to_json(past, *control.routes()).at("key").as_string()) == to_hex(hash128("some key")));
}

TEST_CASE("recent: each way that a request may take has its steps") {
  PastDecision hit = decision(Result::hit, "/");
  CHECK(words(hit) == "route:character memory:fresh answer:hit ");
  hit.decision.ahead = true;
  hit.decision.coding = Coding::br;
  CHECK(words(hit) == "route:character memory:fresh refresh:ahead answer:hit ");
  CHECK(steps_of(hit).back().text.find("with 10 bytes of br, compressed before, in 1.5 ms") != std::string::npos);

  PastDecision miss = decision(Result::miss, "/");
  Trail trail;
  trail.looked_up = true;
  trail.memory = Seen::stale;
  trail.redis = Seen::out_of_reach;
  trail.forward = Forward::stale;
  trail.upstream_status = 200;
  trail.upstream_us = 12'000;
  trail.stored = true;
  miss.trail = trail;
  CHECK(words(miss) == "route:character memory:stale redis:out-of-reach upstream:stale store:stored answer:miss ");
  CHECK(steps_of(miss)[3].text == "asked the application, which answered 200 after 12.0 ms");

  miss.trail->stored = false;
  miss.decision.detail = Detail::set_cookie;
  CHECK(words(miss).find("store:set-cookie") != std::string::npos);

  miss.trail->collapsed = true;
  CHECK(words(miss).find("upstream:collapsed") != std::string::npos);

  PastDecision stale = decision(Result::stale, "/");
  stale.trail.emplace();
  stale.trail->looked_up = true;
  stale.trail->memory = Seen::behind;
  stale.trail->refreshing = true;
  CHECK(words(stale) == "route:character memory:behind refresh:behind answer:stale ");

  PastDecision error = decision(Result::error, "/");
  error.decision.detail = Detail::connect_failed;
  error.trail.emplace();
  error.trail->why = Detail::cache_off;
  CHECK(words(error) == "route:character look-up:cache-off upstream:connect-failed answer:error ");

  PastDecision none = decision(Result::pass, "/");
  none.route = "-";
  CHECK(words(none) == "route:no-route answer:pass ");
}

TEST_CASE("recent: every word of Cache-Status has a meaning of its own") {
  for (int i = 1; i < 64; ++i) {
    const auto detail = static_cast<Detail>(i);
    if (to_string(detail).empty()) continue;
    CAPTURE(std::string(to_string(detail)));
    CHECK(meaning_of(detail).find(' ') != std::string_view::npos);
  }
}

TEST_CASE("recent: strange bytes of a target stay JSON") {
  FakeControl control;
  PastDecision past = decision(Result::pass, "/\xff\"\x01");
  CHECK(std::string(to_json(past, *control.routes()).at("path").as_string()) == "/%FF\"%01");
}
