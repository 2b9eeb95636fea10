#include "ops/invalidate_body.hpp"

#include <doctest/doctest.h>

#include <boost/json/serialize.hpp>

#include "support/json.hpp"

using namespace pillion;

TEST_CASE("a body of every field becomes a request") {
  const auto parsed = parse_invalidate_body(
      R"({"tags":["a","b c"],"patterns":["x:*"],"urls":["/p?q=1","https://h/x"],"all":true,"dry_run":true,"count":true,"soft":true,"wait":"250ms"})");
  const auto* request = std::get_if<InvalidationRequest>(&parsed);
  REQUIRE(request);
  using Kind = Selector::Kind;
  const std::vector<Selector> expected{{Kind::tag, "a"},      {Kind::tag, "b c"},         {Kind::pattern, "x:*"},
                                       {Kind::url, "/p?q=1"}, {Kind::url, "https://h/x"}, {Kind::all, ""}};
  CHECK(request->selectors == expected);
  CHECK(request->dry_run);
  CHECK(request->count);
  CHECK(request->soft);
  CHECK(request->wait == std::chrono::milliseconds(250));
  const auto plain = parse_invalidate_body(R"({"all":true})");
  REQUIRE(std::get_if<InvalidationRequest>(&plain));
  CHECK_FALSE(std::get<InvalidationRequest>(plain).dry_run);
  CHECK_FALSE(std::get<InvalidationRequest>(plain).count);
  CHECK_FALSE(std::get<InvalidationRequest>(plain).soft);
  CHECK(std::get<InvalidationRequest>(plain).wait.count() == 0);
}

TEST_CASE("a body that is wrong is refused and what is wrong is named") {
  struct Row {
    const char* body;
    const char* named;
  };
  const Row rows[] = {
      {"", "JSON"},
      {"{", "JSON"},
      {"{} x", "JSON"},
      {"{\"tags\":[\"\xff\"]}", "JSON"},
      {"[]", "object"},
      {"\"all\"", "object"},
      {"{}", "nothing is selected"},
      {R"({"all":false})", "nothing is selected"},
      {R"({"tags":[]})", "nothing is selected"},
      {R"({"dry_run":true})", "nothing is selected"},
      {R"({"tags":"a"})", "tags"},
      {R"({"tags":null})", "tags"},
      {R"({"tags":[1]})", "tags"},
      {R"({"tags":[["a"]]})", "tags"},
      {R"({"tags":[""]})", "tags"},
      {R"({"patterns":[""]})", "patterns"},
      {R"({"urls":[""]})", "urls"},
      {R"({"urls":["x"]})", "begins with"},
      {R"({"urls":["http://"]})", "host"},
      {R"({"urls":["http:///x"]})", "host"},
      {R"({"urls":["/a b"]})", "percent-encode"},
      {R"({"urls":["/a#b"]})", "percent-encode"},
      {R"({"all":1})", "all"},
      {R"({"all":"true"})", "all"},
      {R"({"all":true,"dry_run":0})", "dry_run"},
      {R"({"all":true,"count":null})", "count"},
      {R"({"all":true,"soft":"true"})", "soft"},
      {R"({"all":true,"wait":2})", "`wait` must be a duration"},
      {R"({"all":true,"wait":"2"})", "`wait` must be a duration"},
      {R"({"all":true,"wait":""})", "`wait` must be a duration"},
      {R"({"all":true,"wait":"-1s"})", "`wait` must be a duration"},
      {R"({"all":true,"wait":"31s"})", "over 30s"},
      {R"({"tag":["a"]})", "unknown field `tag`"},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.body));
    const auto parsed = parse_invalidate_body(row.body);
    const auto* wrong = std::get_if<std::string>(&parsed);
    REQUIRE(wrong);
    CAPTURE(*wrong);
    CHECK(wrong->find(row.named) != std::string::npos);
  }
}

TEST_CASE("the number and the size of selectors are bounded, and nesting is no way around") {
  const auto body_of = [](std::size_t n, std::size_t size) {
    std::string body = "{\"tags\":[";
    for (std::size_t i = 0; i < n; ++i) body += (i ? ",\"" : "\"") + std::string(size, 'a') + "\"";
    return body + "]}";
  };
  const auto accepted = [](const std::string& body) {
    return std::holds_alternative<InvalidationRequest>(parse_invalidate_body(body));
  };
  CHECK(accepted(body_of(1000, 1)));
  CHECK_FALSE(accepted(body_of(1001, 1)));
  CHECK(accepted(body_of(1, 4096)));
  CHECK_FALSE(accepted(body_of(1, 4097)));
  CHECK_FALSE(accepted("{\"tags\":" + std::string(100000, '[') + std::string(100000, ']') + "}"));
}

TEST_CASE("a receipt says what was done, and that others have not heard it") {
  const auto read = [](const InvalidationReceipt& receipt, bool dry_run) {
    return support::Json::parse(boost::json::serialize(to_json(receipt, dry_run)));
  };
  const auto plain = read({"7-1", false, 0, {}, {"a"}, {"b"}, false}, false);
  CHECK(plain["position"].string == "7-1");
  CHECK(plain["replicas"]["acknowledged"].contains("a"));
  CHECK(plain["replicas"]["waiting"].contains("b"));
  CHECK_FALSE(plain.has("matched"));
  CHECK_FALSE(plain.has("pending"));
  CHECK_FALSE(plain.has("soft"));
  CHECK(read({"7-1", false, 0, {}, {}, {}, false, true}, false)["soft"].boolean);
  CHECK(read({"7-1", true, 12, {}, {}, {}, false}, false)["matched"].number == 12);

  const auto pending = read({"7-1", false, 0, {}, {"a"}, {}, true}, false);
  CHECK(pending["pending"].boolean);
  CHECK(pending["scope"].string == "local");

  const auto dry = read({"", true, 2, {"k:1", "k:2"}, {}, {}, false}, true);
  CHECK(dry["dry_run"].boolean);
  CHECK(dry["matched"].number == 2);
  CHECK(dry["examples"].contains("k:2"));
  CHECK_FALSE(dry.has("position"));
}
