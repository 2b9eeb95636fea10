#include "ops/explain.hpp"

#include <doctest/doctest.h>

#include <boost/json/serialize.hpp>

#include "fake_control.hpp"
#include "support/json.hpp"

using namespace pillion;
using Headers = std::vector<std::pair<std::string, std::string>>;

namespace {

Explanation explained(const config::Config& config, const std::string& method, const std::string& target,
                      const Headers& headers = {}, std::string_view listener = {}) {
  std::string error;
  const auto request = ExplainedRequest::make(method, target, headers, config.canonical_host, error);
  REQUIRE_MESSAGE(request.has_value(), error);
  return explain(config, RouteTable(config), request->head(), listener);
}

Explanation explained(const std::string& method, const std::string& target, const Headers& headers = {}) {
  return explained(sample_config(), method, target, headers);
}

}  // namespace

TEST_CASE("a cacheable request is explained with its route, keys, lifetime and tags") {
  const Explanation e = explained("GET", "/api/characters/char_123?utm_source=x&page=2");
  CHECK(e.route == "character");
  CHECK(e.upstream == "app");
  CHECK(e.cacheable);
  CHECK(e.reason == "ttl");
  CHECK(e.forwarded_target == "/api/characters/char_123?page=2");
  CHECK(e.key.find("app.example.com") != std::string::npos);
  CHECK(e.key.find("utm_source") == std::string::npos);
  CHECK(e.readable_key.starts_with("character:char_123:"));
  CHECK(e.readable_key.size() == std::string("character:char_123:").size() + 32);
  CHECK(e.redis_key == "ns:" + e.readable_key);
  CHECK(e.ttl == std::chrono::minutes(5));
  CHECK(e.ttl_from == "ttl");
  CHECK(e.tags == std::vector<std::string>{"character:char_123", "characters"});
  CHECK(e.stores == std::vector<std::string>{"memory", "redis"});
}

TEST_CASE("requests of one key are explained with one key, others with others") {
  const std::string key = explained("GET", "/api/characters/1?page=2").redis_key;
  CHECK(explained("HEAD", "/api/characters/1?page=2").redis_key == key);
  CHECK(explained("GET", "/api/characters/1?utm_a=1&page=2").redis_key == key);
  CHECK(explained("GET", "http://app.example.com/api/characters/1?page=2").redis_key == key);
  CHECK(explained("GET", "/api/characters/1?page=3").redis_key != key);
  CHECK(explained("GET", "/api/characters/1?page=2", {{"Host", "other.example.com"}}).redis_key != key);
  CHECK(explained("GET", "/api/characters/1?page=2", {{"X-Forwarded-Proto", "https"}}).redis_key != key);
  // The scheme of an absolute target is for the client to make up: the connection's counts.
  CHECK(explained("GET", "https://app.example.com/api/characters/1?page=2").redis_key == key);
}

TEST_CASE("the host is the canonical one, else localhost, unless a header says it") {
  CHECK(explained("GET", "/").host == "app.example.com");
  CHECK(explained("GET", "/", {{"host", "h:81"}}).host == "h:81");
  config::Config nameless = sample_config();
  nameless.canonical_host.clear();
  CHECK(explained(nameless, "GET", "/").host == "localhost");
}

TEST_CASE("why a request is not cacheable is said in one word and a sentence") {
  struct Row {
    const char* method;
    const char* target;
    Headers headers;
    const char* reason;
  };
  const Row rows[] = {
      {"GET", "/off/x", {}, "cache-off"},
      {"GET", "/nowhere", {}, "no-route"},
      {"PUT", "/api/characters/1", {}, "method"},
      {"OPTIONS", "/api/characters/1", {}, "method"},
      {"GET", "/explicit/../x", {}, "path"},
      {"GET", "/explicit/a%2Fb", {}, "path"},
      {"GET", "/api/characters/1", {{"If-Match", "\"x\""}}, "request"},
      {"GET", "/api/characters/1", {{"Content-Length", "3"}}, "request-body"},
      {"GET", "/api/characters/1", {{"Transfer-Encoding", "chunked"}}, "request-body"},
      {"GET", "/api/characters/1", {{"Connection", "upgrade"}, {"Upgrade", "websocket"}}, "upgrade"},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.method));
    CAPTURE(std::string(row.target));
    const Explanation e = explained(row.method, row.target, row.headers);
    CHECK_FALSE(e.cacheable);
    CHECK(e.reason == row.reason);
    CHECK(e.because.size() > 10);
    CHECK(e.key.empty());
    CHECK(e.redis_key.empty());
    CHECK_FALSE(e.ttl.has_value());
  }
  for (const Headers& harmless :
       {Headers{{"Content-Length", "0"}}, Headers{{"Range", "bytes=0-1"}}, Headers{{"Upgrade", "websocket"}},
        Headers{{"Connection", "upgrade"}, {"Upgrade", "h2c"}}})
    CHECK(explained("GET", "/api/characters/1", harmless).cacheable);
}

TEST_CASE("a request that says no-store is looked up though its answer is not stored") {
  const Explanation e = explained("GET", "/api/characters/1", {{"Cache-Control", "no-store"}});
  CHECK_FALSE(e.cacheable);
  CHECK(e.reason == "request-no-store");
  CHECK(e.redis_key == explained("GET", "/api/characters/1").redis_key);
}

TEST_CASE("where the route has no lifetime the response decides") {
  const Explanation e = explained("GET", "/explicit/a");
  CHECK(e.cacheable);
  CHECK(e.reason == "origin");
  CHECK(e.ttl_from == "response");
  CHECK_FALSE(e.ttl.has_value());
}

TEST_CASE("a personal request has no lifetime of the route's") {
  for (const char* name : {"Cookie", "Authorization"}) {
    CAPTURE(std::string(name));
    const Explanation e = explained("GET", "/api/characters/1", {{name, "a=b"}});
    CHECK(e.cacheable);
    CHECK(e.ttl_from == "response");
    CHECK_FALSE(e.ttl.has_value());
    CHECK(e.because.find(name) != std::string::npos);
  }
  config::Config ignoring = sample_config();
  ignoring.routes[0].personal_cookies = config::Personal::ignore;
  CHECK(explained(ignoring, "GET", "/api/characters/1", {{"Cookie", "a=b"}}).ttl == std::chrono::minutes(5));
}

TEST_CASE("a route of a named listener is found, with its rewrite and its stores") {
  const Explanation e = explained(sample_config(), "GET", "/comfyui/samplers", {}, "egress");
  CHECK(explained("GET", "/comfyui/samplers").route != "samplers");
  CHECK(e.route == "samplers");
  CHECK(e.upstream == "comfyui");
  CHECK(e.forwarded_target == "/object_info/KSampler");
  CHECK(e.stores == std::vector<std::string>{"memory"});
}

TEST_CASE("what an unsafe request would invalidate is filled in, patterns made safe") {
  const Explanation any = explained("GET", "/api/characters/a*b");
  REQUIRE(any.invalidates.size() == 3);
  CHECK(any.invalidates[0].paths == std::vector<std::string>{"/api/characters/a*b"});
  CHECK(any.invalidates[0].methods.empty());
  CHECK(any.invalidates[1].methods == std::vector<std::string>{"PUT", "DELETE"});
  CHECK(any.invalidates[1].tags == std::vector<std::string>{"character:a*b"});
  CHECK(any.invalidates[1].patterns == std::vector<std::string>{"api:characters:*", "x:a%2Ab:*"});
  CHECK(any.invalidates[1].urls == std::vector<std::string>{"/api/characters"});

  const Explanation put = explained("PUT", "/api/characters/1");
  REQUIRE(put.invalidates.size() == 2);
  CHECK(put.invalidates[0].methods == std::vector<std::string>{"PUT"});
  CHECK(put.invalidates[1].tags == std::vector<std::string>{"character:1"});
  REQUIRE(explained("PATCH", "/api/characters/1").invalidates.size() == 1);
  REQUIRE(explained("PATCH", "/nowhere").invalidates.size() == 1);
}

TEST_CASE("a request that no server would take is refused in one line") {
  struct Row {
    const char* method;
    const char* target;
    Headers headers;
  };
  const Row rows[] = {
      {"", "/", {}},
      {"GE T", "/", {}},
      {"TRACE", "/", {}},
      {"GET", "", {}},
      {"GET", "api/status", {}},
      {"GET", "ftp://h/x", {}},
      {"GET", "/a b", {}},
      {"GET", "/a#b", {}},
      {"GET", "/\xc3\xa9", {}},
      {"GET", "/a\nb", {}},
      {"GET", "/", {{"na me", "v"}}},
      {"GET", "/", {{"name", "a\r\nb"}}},
      {"GET", "/", {{"Host", "a b"}}},
      {"GET", "/", {{"Host", "a"}, {"Host", "b"}}},
      {"GET", "http:///x", {}},
  };
  for (const Row& row : rows) {
    CAPTURE(std::string(row.method));
    CAPTURE(std::string(row.target));
    std::string error;
    CHECK_FALSE(ExplainedRequest::make(row.method, row.target, row.headers, "", error).has_value());
    CHECK_FALSE(error.empty());
    CHECK(error.find('\n') == std::string::npos);
  }
  std::string error;
  CHECK_FALSE(ExplainedRequest::make("GET", "/" + std::string(70000, 'a'), {}, "", error).has_value());
}

TEST_CASE("the JSON has every promised key, and null where there is nothing") {
  const auto json = support::Json::parse(boost::json::serialize(to_json(explained("GET", "/api/characters/1"))));
  for (const char* key :
       {"route", "upstream", "cacheable", "reason", "key", "redis_key", "ttl", "ttl_from", "tags", "invalidates"}) {
    CAPTURE(std::string(key));
    CHECK(json.has(key));
  }
  CHECK_FALSE(json.has("stored"));
  CHECK(json["ttl"].number == 300);
  CHECK(json["ttl_by_status"]["404"].number == 10);
  CHECK(json["cacheable"].boolean);
  CHECK(json["tags"].contains("characters"));
  CHECK(json["invalidates"].array.size() == 3);

  const auto none = support::Json::parse(boost::json::serialize(to_json(explained("GET", "/nowhere"))));
  CHECK(none["route"].type == support::Json::Type::null);
  CHECK(none["redis_key"].type == support::Json::Type::null);
  CHECK(none["upstream"].string == "app");
}

TEST_CASE("the text names what the JSON names") {
  const std::string text = to_text(explained("GET", "/api/characters/1"));
  for (const char* part : {"GET /api/characters/1", "character:1:", "5m (ttl)", "404: 10s", "--tag 'characters'",
                           "--pattern 'character:1:*'", "PUT, DELETE: tag character:1"}) {
    CAPTURE(std::string(part));
    CHECK(text.find(part) != std::string::npos);
  }
  CHECK(to_text(explained("GET", "/off/x")).find("no (cache-off)") != std::string::npos);
}

TEST_CASE("a route that refreshes ahead and learns lifetimes is explained with both") {
  config::Config config = sample_config();
  config.routes[0].refresh = {0.1, 0.05};
  config.routes[0].adaptive = {std::chrono::seconds(30), std::chrono::hours(1)};
  const Explanation e = explained(config, "GET", "/api/characters/1");
  const std::string text = to_text(e);
  CHECK(text.find("learned from refreshes, 30s to 1h") != std::string::npos);
  CHECK(text.find("shortened by up to 5%") != std::string::npos);
  CHECK(text.find("fetched anew in its last 10%") != std::string::npos);
  const auto json = support::Json::parse(boost::json::serialize(to_json(e)));
  CHECK(json["refresh"]["ahead"].number == 0.1);
  CHECK(json["refresh"]["jitter"].number == 0.05);
  CHECK(json["adaptive"]["max"].number == 3600);
  const auto plain = support::Json::parse(boost::json::serialize(to_json(explained("GET", "/api/characters/1"))));
  CHECK_FALSE(plain.has("refresh"));
  CHECK_FALSE(plain.has("adaptive"));
}
