// Which stored response answers a request (RFC 9111 4, 4.1; RFC 9110 12.5): Vary, normalised fields, many variants.
#include "integration.hpp"

namespace {

struct Row {
  std::string why;
  Fields vary;
  Fields first, second;
  bool same;
};

void check(Pillion& proxy, ScriptedUpstream& upstream, const std::vector<Row>& rows) {
  static int number = 0;
  for (const Row& row : rows) {
    CAPTURE(row.why);
    std::string target = "/row" + std::to_string(number++) + "/";
    Fields fields = caching("max-age=60");
    for (const auto& [name, value] : row.vary) fields.add(name, value);
    upstream.answer(target, turns(fields));
    CHECK(proxy.get(target, row.first)["X-Turn"] == "1");
    Response second = proxy.get(target, row.second);
    CHECK(second["X-Turn"] == (row.same ? "1" : "2"));
    CHECK(cache_status(second).hit == row.same);
  }
}

/// The value of `name` that the upstream gets for each of the values, asked for at URLs of their own.
std::vector<std::string> sent(Pillion& proxy, ScriptedUpstream& upstream, const std::string& name,
                              const std::vector<std::string>& values) {
  static int number = 0;
  std::vector<std::string> out;
  for (const std::string& value : values) {
    std::string target = "/sent" + std::to_string(number++);
    proxy.get(target, {{name, value}});
    auto requests = upstream.requests(target);
    REQUIRE(requests.size() == 1);
    out.push_back(requests[0].fields.has(name) ? requests[0].fields[name] : "absent");
  }
  return out;
}

}  // namespace

TEST_CASE("selecting: the fields that Vary names, in lists and lines, and in any case") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  const Fields one{{"X-A", "1"}, {"X-B", "1"}};
  const Fields other_a{{"X-A", "2"}, {"X-B", "1"}};
  const Fields other_b{{"X-A", "1"}, {"X-B", "2"}};
  const Fields unnamed{{"X-A", "1"}, {"X-B", "1"}, {"X-C", "2"}};
  check(proxy, upstream,
        {
            {"none named", {}, one, other_a, true},
            {"empty", {{"Vary", ""}}, one, other_a, true},
            {"the named one is the same", {{"Vary", "X-A"}}, one, other_b, true},
            {"the named one differs", {{"Vary", "X-A"}}, one, other_a, false},
            {"a field that isn't named", {{"Vary", "X-A, X-B"}}, one, unnamed, true},
            {"a list, its first", {{"Vary", "X-A, X-B"}}, one, other_a, false},
            {"a list, its last", {{"Vary", "X-A, X-B"}}, one, other_b, false},
            {"lines, the first", {{"Vary", "X-A"}, {"Vary", "X-B"}}, one, other_a, false},
            {"lines, the last", {{"Vary", "X-A"}, {"Vary", "X-B"}}, one, other_b, false},
            {"another case", {{"vary", "x-a"}}, one, other_a, false},
            {"another case, the same value", {{"VARY", "x-A"}}, one, other_b, true},
            {"white space and empty members", {{"Vary", " ,\tX-A ,, X-B,"}}, one, other_b, false},
            {"white space, the same", {{"Vary", ",X-A\t, "}}, one, other_b, true},
            {"values differ by case", {{"Vary", "X-A"}}, {{"X-A", "a"}}, {{"X-A", "A"}}, false},
            {"names of requests in another case", {{"Vary", "X-A"}}, {{"X-A", "1"}}, {{"x-a", "1"}}, true},
            {"absent, then there", {{"Vary", "X-A"}}, {}, one, false},
            {"there, then absent", {{"Vary", "X-A"}}, one, {}, false},
            {"absent twice", {{"Vary", "X-A"}}, {}, {}, true},
            {"absent, then empty", {{"Vary", "X-A"}}, {}, {{"X-A", ""}}, false},
            {"empty, then absent", {{"Vary", "X-A"}}, {{"X-A", ""}}, {}, false},
            {"empty twice", {{"Vary", "X-A"}}, {{"X-A", ""}}, {{"X-A", ""}}, true},
            {"white space around a value", {{"Vary", "X-A"}}, {{"X-A", "1"}}, {{"X-A", "  1\t"}}, true},
            {"lines or a list", {{"Vary", "X-A"}}, {{"X-A", "1"}, {"X-A", "2"}}, {{"X-A", "1, 2"}}, true},
            {"more of a list", {{"Vary", "X-A"}}, {{"X-A", "1"}}, {{"X-A", "1"}, {"X-A", "2"}}, false},
        });
}

TEST_CASE("selecting: a star anywhere in Vary matches no request") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  check(proxy, upstream,
        {
            {"alone", {{"Vary", "*"}}, {}, {}, false},
            {"with white space", {{"Vary", " *\t"}}, {}, {}, false},
            {"first", {{"Vary", "*, X-A"}}, {}, {}, false},
            {"last", {{"Vary", "X-A,*"}}, {}, {}, false},
            {"in another line", {{"Vary", "X-A"}, {"Vary", "*"}}, {}, {}, false},
            {"in an earlier line", {{"Vary", "*"}, {"Vary", "X-A"}}, {}, {}, false},
            {"among empty members", {{"Vary", ",,*,"}}, {}, {}, false},
        });
  upstream.answer("/star", turns(caching("max-age=60", {{"Vary", "*"}})));
  CHECK(cache_status(proxy.get("/star")).detail == "vary-star");
}

TEST_CASE("selecting: Accept-Encoding that means the same selects the same, in whatever spelling") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  const Fields vary{{"Vary", "Accept-Encoding"}};
  std::vector<Row> rows;
  for (const char* value : {"gzip, br", "br, gzip", "gzip,br", " br ,\tgzip ", "GZIP, Br", "gzip;q=1, br;q=1.0",
                            "br; q=1.000,gzip", ",gzip,,br,"}) {
    rows.push_back({value, vary, {{"Accept-Encoding", "gzip, br"}}, {{"Accept-Encoding", value}}, true});
  }
  rows.push_back({"over two lines",
                  vary,
                  {{"Accept-Encoding", "gzip, br"}},
                  {{"Accept-Encoding", "br"}, {"Accept-Encoding", "gzip"}},
                  true});
  rows.push_back(
      {"equal weights", vary, {{"Accept-Encoding", "gzip;q=0.5"}}, {{"Accept-Encoding", "gzip; q=0.500"}}, true});
  for (const char* value : {"gzip", "br", "gzip, br;q=0.5", "gzip, br;q=0", "gzip, br, zstd", "*", "identity", ""}) {
    rows.push_back({value, vary, {{"Accept-Encoding", "gzip, br"}}, {{"Accept-Encoding", value}}, false});
  }
  rows.push_back({"absent", vary, {{"Accept-Encoding", "gzip, br"}}, {}, false});
  rows.push_back({"absent is not empty", vary, {}, {{"Accept-Encoding", ""}}, false});
  check(proxy, upstream, rows);
}

TEST_CASE("selecting: the upstream gets Accept-Encoding in the one spelling too") {
  ScriptedUpstream upstream(cacheable("x", {{"Vary", "Accept-Encoding"}}));
  Pillion proxy(caching_config(upstream.endpoint()));
  auto values = sent(proxy, upstream, "Accept-Encoding",
                     {"gzip, br", "br,gzip", "GZIP, Br", "gzip;q=1, br;q=1.0", " br ,\tgzip "});
  for (const std::string& value : values) CHECK(value == values[0]);
  CHECK(values[0].find("gzip") != std::string::npos);
  CHECK(values[0].find("br") != std::string::npos);
  auto others = sent(proxy, upstream, "Accept-Encoding", {"gzip", "gzip, br;q=0", "br;q=0.5, gzip"});
  CHECK(others[0] == "gzip");
  CHECK(others[1].find("br;q=0") != std::string::npos);
  CHECK(others[2].find("br;q=0.5") != std::string::npos);
}

TEST_CASE("selecting: Accept-Language is left alone where no route asks for more") {
  ScriptedUpstream upstream(cacheable("x", {{"Vary", "Accept-Language"}}));
  Pillion proxy(caching_config(upstream.endpoint()));
  auto values = sent(proxy, upstream, "Accept-Language", {"de-AT, en;q=0.5", "en;q=0.5, de-AT"});
  CHECK(values[0] == "de-AT, en;q=0.5");
  CHECK(values[1] == "en;q=0.5, de-AT");
}

TEST_CASE("selecting: Accept-Language is reduced to the best of the languages that a route names") {
  ScriptedUpstream upstream([](Exchange& exchange) {
    exchange.respond(200, caching("max-age=60", {{"Vary", "Accept-Language"}}),
                     "for " + exchange.request().fields["Accept-Language"]);
  });
  Pillion proxy(one_route(upstream.endpoint(), "    cache: on\n    accept_language: [de, en]\n"));
  const std::pair<std::string, std::string> rows[] = {
      {"de", "for de"},           {"DE", "for de"},
      {"de-AT", "for de"},        {"de-DE, de;q=0.9, en;q=0.8", "for de"},
      {"en-US, en", "for en"},    {"fr, en;q=0.5", "for en"},
      {"de;q=0.2, en", "for en"}, {"en;q=0.8,de;q=0.9", "for de"},
  };
  for (const auto& [value, body] : rows) {
    CAPTURE(value);
    CHECK(proxy.get("/", {{"Accept-Language", value}}).body == body);
  }
  CHECK(upstream.count() == 2);
  std::string none = proxy.get("/", {{"Accept-Language", "fr"}}).body;
  CHECK(upstream.count() == 3);
  CHECK(proxy.get("/", {{"Accept-Language", "it, es"}}).body == none);
  CHECK(proxy.get("/", {{"Accept-Language", "de;q=0, en;q=0"}}).body == none);
  CHECK(upstream.count() == 3);
}

TEST_CASE("selecting: one URL has so many variants and no more; the oldest make room") {
  ScriptedUpstream upstream(turns(caching("max-age=60", {{"Vary", "X-V"}})));
  Pillion proxy(caching_config(upstream.endpoint(), nullptr, "limits: { variants: 3 }\n"));
  for (int i = 1; i <= 4; ++i) CHECK(outcome(proxy.get("/", {{"X-V", std::to_string(i)}})) != "hit");
  for (int i = 4; i >= 2; --i) {
    CAPTURE(i);
    Response response = proxy.get("/", {{"X-V", std::to_string(i)}});
    CHECK(outcome(response) == "hit");
    CHECK(response["X-Turn"] == std::to_string(i));
  }
  CHECK(outcome(proxy.get("/", {{"X-V", "1"}})) != "hit");
  CHECK(upstream.count() == 5);
  CHECK(outcome(proxy.get("/", {{"X-V", "1"}})) == "hit");
}

TEST_CASE("selecting: of several that match, the most recent answers") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  const Fields both{{"X-A", "1"}, {"X-B", "1"}};
  Fields anew = both;
  anew.add("Cache-Control", "no-cache");
  struct Change {
    std::string why;
    Fields first, second;  ///< Vary of the two responses
  };
  const Change rows[] = {
      {"the same field", {{"Vary", "X-A"}}, {{"Vary", "X-A"}}},
      {"another field", {{"Vary", "X-A"}}, {{"Vary", "X-B"}}},
      {"one more", {{"Vary", "X-A"}}, {{"Vary", "X-A, X-B"}}},
      {"one fewer", {{"Vary", "X-A, X-B"}}, {{"Vary", "X-B"}}},
      {"none any more", {{"Vary", "X-A"}}, {}},
      {"one at last", {}, {{"Vary", "X-A"}}},
  };
  int n = 0;
  for (const Change& row : rows) {
    CAPTURE(row.why);
    std::string target = "/" + std::to_string(n++) + "/";
    Fields first = caching("max-age=60", row.first);
    Fields second = caching("max-age=60", row.second);
    upstream.answer(target, cacheable("first", row.first));
    CHECK(proxy.get(target, both).body == "first");
    upstream.answer(target, cacheable("second", row.second));
    CHECK(proxy.get(target, anew).body == "second");
    Response third = proxy.get(target, both);
    CHECK(outcome(third) == "hit");
    CHECK(third.body == "second");
  }
}

TEST_CASE("selecting: of variants by different lists the one with the later Date answers, whichever was stored last") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  struct Row {
    std::string why;
    std::string first, second;  ///< Date of the two
    std::string body;
  };
  const std::string recent = http_date(0), older = http_date(-30);
  const Row rows[] = {
      {"the one stored first", recent, older, "by a"},
      {"the one stored last", older, recent, "by b"},
      {"of one second the one stored last", older, older, "by b"},
  };
  int n = 0;
  for (const Row& row : rows) {
    CAPTURE(row.why);
    std::string target = "/" + std::to_string(n++) + "/";
    upstream.answer(target, cacheable("by a", {{"Vary", "X-A"}, {"Date", row.first}}));
    CHECK(proxy.get(target, {{"X-A", "1"}, {"X-B", "0"}}).body == "by a");
    upstream.answer(target, cacheable("by b", {{"Vary", "X-B"}, {"Date", row.second}}));
    CHECK(proxy.get(target, {{"X-A", "0"}, {"X-B", "1"}}).body == "by b");
    Response both = proxy.get(target, {{"X-A", "1"}, {"X-B", "1"}});
    CHECK(outcome(both) == "hit");
    CHECK(both.body == row.body);
    CHECK(upstream.count(target) == 2);
  }
}

TEST_CASE("selecting: variants stored under different lists are each found by what their own list names") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  upstream.answer(cacheable("by a", {{"Vary", "X-A"}}));
  CHECK(proxy.get("/", {{"X-A", "1"}, {"X-B", "1"}}).body == "by a");
  upstream.answer(cacheable("by b", {{"Vary", "X-B"}}));
  CHECK(proxy.get("/", {{"X-A", "2"}, {"X-B", "2"}}).body == "by b");
  upstream.answer(cacheable("another"));
  Response second = proxy.get("/", {{"X-A", "3"}, {"X-B", "2"}});
  CHECK(second.body == "by b");
  CHECK(outcome(second) == "hit");
  Response neither = proxy.get("/", {{"X-A", "3"}, {"X-B", "3"}});
  CHECK(neither.body == "another");
  CHECK(cache_status(neither).forward == "vary-miss");
}
