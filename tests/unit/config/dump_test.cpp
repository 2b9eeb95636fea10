// A configuration printed and loaded again is the same; secrets can be left out.
#include "config/dump.hpp"

#include <doctest/doctest.h>

#include <boost/json/parse.hpp>

#include "unit/config/loading.hpp"

using namespace pillion::config;

namespace {

// Whatever differs from the defaults, and names that YAML would take for something else.
constexpr std::string_view everything = R"(
listeners: [{ address: "[::1]:0", h2c: tunnel },
            { address: 127.0.0.1:3, tls: { certificate: /tls/good.crt, key: /tls/good.key } }, { address: unix:/s, mode: "0007", name: "null" }]
canonical_host: h:1
admin: { address: "[::]:1", token_file: /secrets/token }
metrics: { address: 127.0.0.1:2 }
query_cache: { address: unix:/q, mode: "0007", lease: 1ms }
upstreams:
  "on":
    url: https://[::1]:9/
    connections: { max: 1, idle: 1ms, waiting: 0, wait: 0s, age: 1ms }
    max_in_flight: 1
    breaker: { failures: 1, open: 1ms }
    timeouts: { connect: 1ms, response: 61s, silence: 36h }
    tls: { ca: /ca.pem, verify: false }
    request_headers: { X: "$${HOST} \" \\ \t ü $$${x}", "null": { file: /secrets/token } }
    host: upstream
  "0": { url: http://localhost, breaker: off }
  app: http://localhost
store:
  memory: { size: 65537B, max_object: 1B }
  redis: { url: "redis://u:pass-word@h:1/2", connect_timeout: 1h, timeout: 1ms, namespace: "a:", max_object: 3B,
           max_silence: 1s, compress: { min: 1B, level: 9 } }
ttl: { "null": 1ms, b: 0s, "on": 3650d }
defaults: { store: [memory], query: { only: [] } }
routes:
  - { name: "1", path: /, listener: "null", upstream: "on", freshness: origin, key: "$${", key_headers: [A, b] }
  - { name: "~", path: /, ttl: b, upstream: "0", personal: { cookies: ignore, authorization: ignore },
      stale: { if_error: 1ms }, collapse: fleet,
      refresh: { jitter: 0.0001% } }
  - { name: "true", path: '/{a}/*/**', upstream: "0", ttl: "on", heuristic: 0.0001%, stale: { while_revalidate: 0s, if_error: 3650d },
      request_directives: ignore, accept_language: [de, "no", pt-BR], ttl_by_status: { 404: 1ms, 599: 1d },
      refresh: { ahead: 50%, jitter: 12.5% }, adaptive: { min: 1s, max: 3650d },
      key: "k:{a}", query: { ignore: ["x*"], sort: on }, tags: ["{a}"], ignore: [private], set_cookie: store, keep: 1d,
      personal: { cookies: [a, b], authorization: key }, cache_status: off, collapse: off, collapse_wait: 0s, when_unsure: fetch,
      store: [redis], compress_answers: off, upgrade: off, forwarded: off, rewrite: '/{a}', host: "[::1]", ignore_host: on,
      invalidate: [{ patterns: ["*"] }, { methods: [A, B], urls: ["http://h/{a}"] }] }
trusted_proxies: []
limits: { target: 256B, head: 1025B, fields: 1, response_head: 16MiB, response_fields: 2, trailers: 0B,
          chunk_extensions: 0B, interim_responses: 0, body: 0B, connections: 1, variants: 1 }
timeouts: { head: 1ms, body: 1ms, idle: 1ms }
drain: { delay: 0s, timeout: 0s }
warm: { urls: ["/a?b=c", "https://h:1/"], sitemap: /s.xml, hottest: 1000, file: /f, concurrency: 64, ready_after: 0s }
workers: 1
log: { level: debug, access: 99.9999% }
)";

std::string without_bad_names(std::string_view yaml) {
  std::string text(yaml);
  // '~' is no name and '$${' no key: they stand there to show that the rest of the text is as hostile as it gets.
  text.replace(text.find("\"~\""), 3, "\"no\"");
  text.replace(text.find("\"$${\""), 5, "\"null\"");
  return text;
}

void check_round_trip(std::string_view yaml) {
  const Loaded first = load(yaml);
  const std::string lines = joined(lines_of(first));
  CAPTURE(lines);
  REQUIRE(first.config.has_value());
  const std::string printed = dump(*first.config, false);
  CAPTURE(printed);
  const Loaded second = load(printed);
  const std::string again = joined(errors_of(second));
  CAPTURE(again);
  REQUIRE(second.config.has_value());
  CHECK(*first.config == *second.config);
  CHECK(dump(*second.config, false) == printed);
}

}  // namespace

TEST_CASE("a configuration printed and loaded again is equal") {
  check_round_trip("upstreams: { app: http://a }\n");
  check_round_trip(without_bad_names(everything));
  check_round_trip(
      "upstreams: { app: http://a }\nstore: { memory: off, redis: { url: \"unix:///s?db=3\", password_file: "
      "/secrets/token } }\nlog: { access: errors }\n");
  check_round_trip("upstreams: { app: http://a }\nstore: { redis: { url: redis://h, compress: off } }\n");
  check_round_trip(
      "upstreams: { app: http://a }\nquery_cache: {}\ndefaults: { when_unsure: fetch }\n"
      "routes: [{ name: a, path: /a }, { name: b, path: /b, when_unsure: serve }]\n");
  check_round_trip("upstreams: { app: http://a }\nlog: { access: off, level: error }\nlimits: { body: 1KiB }\n");
}

TEST_CASE("secrets are left out where that is asked for, and always in JSON") {
  const Loaded loaded = load(without_bad_names(everything));
  REQUIRE(loaded.config.has_value());
  const std::string open = dump(*loaded.config, false);
  CHECK(open.find("pass-word") != std::string::npos);
  for (const std::string& hidden : {dump(*loaded.config, true), to_json(*loaded.config)}) {
    CHECK(hidden.find("pass-word") == std::string::npos);
    CHECK(hidden.find("s3cret") == std::string::npos);
    CHECK(hidden.find("{HOST}") == std::string::npos);  // a literal header value
    CHECK(hidden.find("redis://u:***@h:1/2") != std::string::npos);
    CHECK(hidden.find("/secrets/token") != std::string::npos);
  }
}

TEST_CASE("the JSON is JSON, in the words of the file") {
  const Loaded loaded = load(without_bad_names(everything));
  REQUIRE(loaded.config.has_value());
  const boost::json::value json = boost::json::parse(to_json(*loaded.config));
  CHECK(json.at("upstreams").at("on").at("connections").at("max") == 1);
  CHECK(json.at("routes").at(1).at("ttl") == "0s");
  CHECK(json.at("routes").at(1).at("stale").at("if_error") == "1ms");
  CHECK(json.at("routes").at(1).at("request_directives") == "obey");
  CHECK(json.at("routes").at(2).at("request_directives") == "ignore");
  CHECK(json.at("routes").at(1).at("compress_answers") == "on");
  CHECK(json.at("routes").at(2).at("compress_answers") == "off");
  CHECK(json.at("routes").at(2).at("accept_language").at(1) == "no");
  CHECK(json.at("listeners").at(0).at("h2c") == "tunnel");
  CHECK_FALSE(json.at("listeners").at(1).as_object().contains("h2c"));
  CHECK(json.at("limits").at("body") == "0B");
  CHECK(json.at("limits").at("variants") == 1);
  CHECK(json.at("log").at("access") == "99.9999%");
}
