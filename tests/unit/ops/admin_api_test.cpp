#include "ops/admin_api.hpp"

#include <doctest/doctest.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include "fake_control.hpp"
#include "ops/explain.hpp"
#include "support/json.hpp"

using namespace pillion;
using support::Json;

namespace {

AdminResponse ask(Control& control, AdminRequest request, AdminFlavour flavour = AdminFlavour::full) {
  boost::asio::io_context context;
  auto answer = boost::asio::co_spawn(context, answer_admin(control, flavour, request), boost::asio::use_future);
  context.run();
  return answer.get();
}

AdminResponse get(Control& control, std::string_view target) { return ask(control, {"GET", target, {}, {}, {}}); }

AdminResponse bypass(Control& control, std::string_view body) {
  return ask(control, {"POST", "/bypass", {}, "application/json", body});
}

AdminResponse invalidate(Control& control, std::string_view body, std::string_view type = "application/json") {
  return ask(control, {"POST", "/invalidate", {}, type, body});
}

config::Config with_token() {
  config::Config c = sample_config();
  c.admin.token = "s3cret";
  return c;
}

std::string error_of(const AdminResponse& response) { return Json::parse(response.body)["error"].string; }

}  // namespace

TEST_CASE("health and readiness answer, readiness by what the proxy says") {
  FakeControl control;
  CHECK(get(control, "/healthz").status == 200);
  CHECK(get(control, "/readyz").status == 200);
  CHECK(Json::parse(get(control, "/readyz").body)["ready"].boolean);
  control.is_ready = false;
  CHECK(get(control, "/healthz").status == 200);
  const AdminResponse response = get(control, "/readyz");
  CHECK(response.status == 503);
  CHECK_FALSE(Json::parse(response.body)["ready"].boolean);
}

TEST_CASE("metrics are Prometheus text and take their figures from the proxy") {
  FakeControl control;
  const AdminResponse response = get(control, "/metrics");
  CHECK(response.status == 200);
  CHECK(response.content_type == "text/plain; version=0.0.4; charset=utf-8");
  CHECK(response.body.find("pillion_store_entries{tier=\"memory\"} 3\n") != std::string::npos);
  CHECK(response.body.find("pillion_access_log_dropped_total 5\n") != std::string::npos);
}

TEST_CASE("stats and configuration are JSON, and the configuration tells no secret") {
  FakeControl control(with_token());
  const AdminRequest stats{"GET", "/stats", "Bearer s3cret", {}, {}};
  CHECK(Json::parse(ask(control, stats).body).has("totals"));
  const AdminResponse response = ask(control, {"GET", "/config", "Bearer s3cret", {}, {}});
  CHECK(response.status == 200);
  CHECK(Json::parse(response.body).has("routes"));
  CHECK(response.body.find("hunter2") == std::string::npos);
  CHECK(response.body.find("s3cret") == std::string::npos);
}

TEST_CASE("a reload says what changed, or why nothing did and all that is wrong") {
  FakeControl control;
  const auto reload = [&](std::string_view body = "{}", std::string_view type = "application/json") {
    return ask(control, {"POST", "/reload", {}, type, body});
  };
  control.reloaded.changed = {"routes", "store.memory"};
  control.reloaded.warnings = {"proxy.yaml:3:5: warning: odd"};
  AdminResponse response = reload();
  CHECK(response.status == 200);
  Json answer = Json::parse(response.body);
  CHECK(answer["reloaded"].boolean);
  REQUIRE(answer["changed"].array.size() == 2);
  CHECK(answer["changed"].array[1].string == "store.memory");
  CHECK(answer["warnings"].array[0].string == "proxy.yaml:3:5: warning: odd");

  control.reloaded = {};
  response = reload("");
  CHECK(response.status == 200);
  CHECK_FALSE(Json::parse(response.body)["reloaded"].boolean);

  control.reloaded.refused = "the configuration is refused";
  control.reloaded.errors = {"\xff.yaml:1:1: \"a\"", "p.yaml:2:1: b"};
  response = reload();
  CHECK(response.status == 422);
  answer = Json::parse(response.body);
  CHECK(answer["error"].string == "the configuration is refused");
  REQUIRE(answer["errors"].array.size() == 2);
  CHECK(answer["errors"].array[1].string == "p.yaml:2:1: b");

  CHECK(control.reloads == 3);
  CHECK(reload(R"({"path": "/etc/passwd"})").status == 400);
  CHECK(reload("{}", "text/plain").status == 415);
  CHECK(get(control, "/reload").status == 405);
  CHECK(control.reloads == 3);
}

TEST_CASE("recent decisions are asked for as the query says, and told newest first") {
  FakeControl control;
  for (const char* target : {"/a", "/b"}) {
    PastDecision past;
    past.decision = {};
    past.decision.set_text("id", target);
    past.route = "character";
    control.remembered.decisions.push_back(past);
  }
  const AdminResponse response = get(control, "/recent?path=/a%3Fb&result=miss&limit=7");
  CHECK(response.status == 200);
  REQUIRE(control.asked_for.has_value());
  CHECK(control.asked_for->decisions == 7);
  CHECK(control.asked_for->path == "/a?b");
  CHECK(control.asked_for->result == Result::miss);
  const Json decisions = Json::parse(response.body)["decisions"];
  REQUIRE(decisions.array.size() == 2);
  CHECK(decisions.array[0]["path"].string == "/a");
  get(control, "/recent");
  CHECK(control.asked_for->decisions == 100);
  for (const char* wrong : {"/recent?limit=0", "/recent?limit=1001", "/recent?limit=1x", "/recent?result=none",
                            "/recent?path=a", "/recent?id=", "/recent?page=1", "/recent?limit=1&limit=1"}) {
    CAPTURE(std::string(wrong));
    CHECK(get(control, wrong).status == 400);
  }
}

TEST_CASE("the dashboard is one page that loads nothing from elsewhere, behind the token") {
  FakeControl control;
  const AdminResponse page = get(control, "/");
  CHECK(page.status == 200);
  CHECK(page.content_type == "text/html; charset=utf-8");
  CHECK(page.body.starts_with("<!doctype html>"));
  for (const char* elsewhere : {"http://", "https://", "src=", "href=", "innerHTML"})
    CHECK(page.body.find(elsewhere) == std::string::npos);
  FakeControl guarded(with_token());
  CHECK(get(guarded, "/").status == 401);
}

TEST_CASE("advice comes from what is known of routes") {
  FakeControl control;
  control.counters().route("off")[0]->results[static_cast<std::size_t>(Result::pass)].add(100);
  CHECK(Json::parse(get(control, "/advice").body)["advice"].array.empty());
  control.remembered.routes["off"].passed = 100;
  control.remembered.routes["off"].passed_same = 90;
  const Json advice = Json::parse(get(control, "/advice").body)["advice"];
  REQUIRE(advice.array.size() == 1);
  CHECK(advice.array[0]["kind"].string == "cache-it");
  CHECK(advice.array[0]["route"].string == "off");
  CHECK(advice.array[0]["figures"]["same"].number == 90);
}

TEST_CASE("a bypass is switched on for a while, of one route or all, and off") {
  FakeControl control;
  CHECK(bypass(control, R"({"route": "character", "for": "10m"})").status == 200);
  CHECK(control.bypass().any());
  const Json stats = Json::parse(get(control, "/stats").body);
  REQUIRE(stats["bypass"].array.size() == 1);
  CHECK(stats["bypass"].array[0]["route"].string == "character");
  CHECK(get(control, "/metrics").body.find("pillion_bypass{route=\"character\"} 1\n") != std::string::npos);
  bypass(control, R"({"for": "1h"})");
  CHECK(get(control, "/metrics").body.find("pillion_bypass{route=\"*\"} 1\n") != std::string::npos);
  for (const char* body :
       {"", "[]", "{}", R"({"for": "x"})", R"({"for": 1})", R"({"for": "25h"})", R"({"route": "nowhere", "for": "1m"})",
        R"({"route": 1, "for": "1m"})", R"({"for": "1m", "until": 5})"}) {
    CAPTURE(std::string(body));
    CHECK(bypass(control, body).status == 400);
  }
  CHECK(ask(control, {"POST", "/bypass", {}, "text/plain", R"({"for": "1m"})"}).status == 415);
  bypass(control, R"({"for": "0s"})");
  bypass(control, R"({"route": "character", "for": "0s"})");
  CHECK_FALSE(control.bypass().any());
}

TEST_CASE("unknown paths get 404 and wrong methods 405 with Allow") {
  FakeControl control;
  struct Row {
    const char* method;
    const char* target;
    unsigned status;
    const char* allow;
  };
  const Row rows[] = {
      {"POST", "/", 405, "GET, HEAD"},
      {"GET", "/Metrics", 404, ""},
      {"GET", "/metrics/", 404, ""},
      {"GET", "http://h/metrics", 404, ""},
      {"POST", "/metrics", 405, "GET, HEAD"},
      {"PUT", "/stats", 405, "GET, HEAD"},
      {"OPTIONS", "/config", 405, "GET, HEAD"},
      {"DELETE", "/healthz", 405, "GET, HEAD"},
      {"GET", "/invalidate", 405, "POST"},
      {"HEAD", "/invalidate", 405, "POST"},
      {"GET", "/reload", 405, "POST"},
      {"PUT", "/invalidate", 405, "POST"},
      {"HEAD", "/stats", 200, ""},
      {"HEAD", "/healthz?probe=1", 200, ""},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.method));
    CAPTURE(std::string(row.target));
    const AdminResponse response = ask(control, {row.method, row.target, {}, {}, {}});
    CHECK(response.status == row.status);
    CHECK(response.allow == row.allow);
    if (row.status != 200) CHECK_FALSE(error_of(response).empty());
  }
}

TEST_CASE("with a token everything but the two health endpoints needs it") {
  FakeControl control(with_token());
  for (const char* target : {"/metrics", "/stats", "/config", "/explain?url=/", "/invalidate", "/recent", "/advice",
                             "/bypass", "/nowhere"}) {
    CAPTURE(std::string(target));
    for (const char* given :
         {"", "Bearer", "Bearer ", "Bearer s3cre", "Bearer s3cret2", "Bearer S3CRET", "Basic s3cret", "s3cret"}) {
      CAPTURE(std::string(given));
      const AdminResponse response = ask(control, {"GET", target, given, {}, {}});
      CHECK(response.status == 401);
      CHECK(response.authenticate);
      CHECK(error_of(response).find("s3cret") == std::string::npos);
    }
  }
  CHECK(get(control, "/healthz").status == 200);
  CHECK(get(control, "/readyz").status == 200);
  CHECK(ask(control, {"GET", "/stats", "bearer  s3cret", {}, {}}).status == 200);
  CHECK(invalidate(control, R"({"all":true})").status == 401);
  CHECK_FALSE(control.asked.has_value());
}

TEST_CASE("the metrics address has three endpoints and asks for no token") {
  FakeControl control(with_token());
  for (const char* target : {"/metrics", "/healthz", "/readyz"}) {
    CAPTURE(std::string(target));
    CHECK(ask(control, {"GET", target, {}, {}, {}}, AdminFlavour::metrics).status == 200);
  }
  for (const char* target : {"/stats", "/config", "/invalidate", "/explain?url=/", "/"}) {
    CAPTURE(std::string(target));
    CHECK(ask(control, {"GET", target, "Bearer s3cret", {}, {}}, AdminFlavour::metrics).status == 404);
  }
}

TEST_CASE("an invalidation reaches the proxy and its receipt comes back") {
  FakeControl control;
  const AdminResponse response =
      invalidate(control, R"({"tags":["a"],"count":true})", "Application/JSON; charset=utf-8");
  CHECK(response.status == 200);
  CHECK(Json::parse(response.body)["position"].string == "17-3");
  REQUIRE(control.asked.has_value());
  CHECK(control.asked->selectors == std::vector<Selector>{{Selector::Kind::tag, "a"}});
  CHECK(control.asked->count);
}

TEST_CASE("an invalidation that the others have not heard is no success") {
  FakeControl control;
  control.receipt.pending = true;
  const AdminResponse response = invalidate(control, R"({"all":true})");
  CHECK(response.status == 503);
  const Json json = Json::parse(response.body);
  CHECK(json["pending"].boolean);
  CHECK(json["scope"].string == "local");
  CHECK(json["position"].string == "17-3");
}

TEST_CASE("an invalidation that is wrong does nothing") {
  FakeControl control;
  for (const char* type : {"", "text/plain", "application/jsonx", "application/x-www-form-urlencoded"}) {
    CAPTURE(std::string(type));
    CHECK(invalidate(control, R"({"all":true})", type).status == 415);
  }
  CHECK(invalidate(control, "{}").status == 400);
  CHECK(error_of(invalidate(control, R"({"all":true,"soft":1})")).find("soft") != std::string::npos);
  CHECK_FALSE(control.asked.has_value());
}

TEST_CASE("a running proxy explains with what is stored") {
  FakeControl control;
  const Json nothing = Json::parse(get(control, "/explain?method=GET&url=/api/characters/1?page=2").body);
  CHECK(nothing["route"].string == "character");
  CHECK(nothing["stored"].type == Json::Type::null);
  CHECK(control.looked_up == "GET app.example.com/api/characters/1?page=2");

  StoredParts parts;
  parts.meta.status = 200;
  parts.body = "12345";
  control.stored = {StoredResponse::make(parts), Detail::redis};
  const Json json = Json::parse(get(control, "/explain?url=%2Fapi%2Fcharacters%2F1%3Fa%3D1%26b%3D2").body);
  CHECK(json["url"].string == "/api/characters/1?a=1&b=2");
  CHECK(json["stored"]["tier"].string == "redis");
  CHECK(json["stored"]["size"].number == 5);
  CHECK(json["stored"].has("age"));
  CHECK(json["stored"].has("ttl"));
  CHECK_FALSE(json["stored"]["invalidated"].boolean);

  control.stored.tier = Detail::none;
  const Json invalidated = Json::parse(get(control, "/explain?url=/api/characters/1").body);
  CHECK(invalidated["stored"]["invalidated"].boolean);
  CHECK(invalidated["stored"]["tier"].type == Json::Type::null);
  CHECK(invalidated["stored"]["ttl"].number == 0);
  CHECK(invalidated["stored"]["reuse"].string == "validate");
}

TEST_CASE("how old a stored response is and what is left of it is told by the clocks given") {
  StoredParts parts;
  parts.meta.status = 200;
  parts.meta.received_mono_ms = 1000;
  parts.body = "12345";
  const StoredResponsePtr stored = StoredResponse::make(parts);
  const config::Config config = sample_config();
  std::string error;
  const auto request = ExplainedRequest::make("GET", "/api/characters/1", {}, "", error);
  REQUIRE(request.has_value());
  const auto at = [&](std::int64_t mono_ms) {
    return explain_stored(*stored, Detail::memory, request->head(), config.routes[0], {0, mono_ms});
  };
  CHECK(at(61000).age_ms == 60000);
  CHECK(at(61000).ttl_ms == 240000);
  CHECK(at(61000).reuse == "fresh");
  CHECK(at(401000).ttl_ms == -100000);
  CHECK(at(401000).reuse == "validate");
}

TEST_CASE("a lifetime that was learned is told, and so is what it was learned from") {
  StoredParts parts;
  parts.meta.status = 200;
  parts.meta.learned = pack_lifetime(1'000'000);
  parts.history = {7'200'000, 2 * ChangeHistory::one_change};
  const StoredResponsePtr stored = StoredResponse::make(parts);
  config::Config config = sample_config();
  std::string error;
  const auto request = ExplainedRequest::make("GET", "/api/characters/1", {}, "", error);
  REQUIRE(request.has_value());
  const auto explained = [&] {
    return explain_stored(*stored, Detail::memory, request->head(), config.routes[0], {0, 1000});
  };
  CHECK_FALSE(explained().learned);
  CHECK(explained().lifetime_ms == 300'000);
  config.routes[0].adaptive = {std::chrono::seconds(30), std::chrono::seconds(600)};
  CHECK(explained().learned);
  CHECK(explained().lifetime_ms == 600'000);
  CHECK(explained().between_changes_ms == 3'600'000);
  FakeControl control(config);
  control.stored = {stored, Detail::memory, 0};
  const Json json = Json::parse(get(control, "/explain?url=/api/characters/1").body);
  CHECK(json["adaptive"]["min"].number == 30);
  CHECK(json["adaptive"]["max"].number == 600);
  CHECK(json["stored"]["learned"].boolean);
  CHECK(json["stored"]["lifetime"].number == 600);
  CHECK(json["stored"]["between_changes"].number == 3600);
}

TEST_CASE("what is not looked up is not looked for") {
  FakeControl control;
  const Json json = Json::parse(get(control, "/explain?method=PUT&url=/api/characters/1").body);
  CHECK_FALSE(json["cacheable"].boolean);
  CHECK(json["stored"].type == Json::Type::null);
  CHECK(control.looked_up.empty());
}

TEST_CASE("a wrong question to explain gets 400") {
  FakeControl control;
  for (const char* target : {"/explain", "/explain?", "/explain?url=", "/explain?url=x", "/explain?url=/a&url=/b",
                             "/explain?url=/a&x=1", "/explain?url=%", "/explain?url=%4", "/explain?url=%zz",
                             "/explain?url=/%00", "/explain?method=G%20T&url=/", "/explain?%ff=1&url=/"}) {
    CAPTURE(std::string(target));
    const AdminResponse response = get(control, target);
    CHECK(response.status == 400);
    CHECK_FALSE(error_of(response).empty());
  }
}

TEST_CASE("readiness says what it waits for, and how far warming is") {
  FakeControl control;
  control.is_warming = true;
  control.counters().warm_of = 10;
  control.counters().warm_done = 3;
  const Json warming = Json::parse(get(control, "/readyz").body);
  CHECK(warming["state"].string == "warming");
  CHECK(warming["done"].number == 3);
  CHECK(warming["of"].number == 10);
  control.is_warming = control.is_ready = false;
  const Json draining = Json::parse(get(control, "/readyz").body);
  CHECK(draining["state"].string == "draining");
  CHECK_FALSE(draining.has("of"));
}

TEST_CASE("a list to be warmed is answered line by line") {
  FakeControl control;
  boost::asio::io_context context;
  const AdminRequest request{"POST", "/warm", {}, "application/json", R"({"urls": ["/a", "nothing"]})"};
  auto answer =
      boost::asio::co_spawn(context, answer_admin(control, AdminFlavour::full, request), boost::asio::use_future);
  context.run();
  AdminResponse response = answer.get();
  CHECK(response.status == 200);
  CHECK(response.content_type == "application/x-ndjson");
  REQUIRE(response.more);
  CHECK(control.warmed == std::vector<WarmTarget>{{"", "/a"}, {"", "nothing"}});
  std::vector<std::string> lines;
  for (;;) {
    context.restart();
    auto piece = boost::asio::co_spawn(context, response.more(), boost::asio::use_future);
    context.run();
    lines.push_back(piece.get());
    if (lines.back().empty()) break;
  }
  REQUIRE(lines.size() == 3);
  CHECK(lines[0] == R"({"url":"/a","result":"stored","status":200,"bytes":0,"ms":0})"
                    "\n");
  CHECK_FALSE(control.warming_ended);
  response.more = nullptr;
  CHECK(control.warming_ended);
}

TEST_CASE("a list to be warmed is refused where it is none, or where there are too many") {
  FakeControl control;
  const auto warm = [&](std::string_view body, std::string_view type = "application/json") {
    return ask(control, {"POST", "/warm", {}, type, body});
  };
  CHECK(warm(R"({"urls": ["/a"]})", "text/plain").status == 415);
  for (const char* body :
       {"", "[]", "{}", R"({"urls": []})", R"({"urls": "/a"})", R"({"urls": [1]})", R"({"urls": ["/a"], "x": 1})",
        R"({"urls": ["/a"], "listener": ""})", R"({"urls": ["/a"], "listener": "none"})"}) {
    CAPTURE(body);
    CHECK(warm(body).status == 400);
  }
  control.takes_lists = false;
  CHECK(warm(R"({"urls": ["/a"]})").status == 503);
  CHECK(control.warmed.empty());
}
