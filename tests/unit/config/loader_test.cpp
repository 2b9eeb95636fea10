// Files that are right: what each key becomes, what stands where nothing is said, and --upstream without a file.
#include <doctest/doctest.h>

#include "unit/config/loading.hpp"

using namespace pillion::config;
using namespace std::chrono_literals;

namespace {

Config good(std::string_view yaml) {
  const Loaded loaded = load(yaml);
  const std::string lines = joined(lines_of(loaded));
  CAPTURE(lines);
  REQUIRE(loaded.config.has_value());
  return *loaded.config;
}

const Route& route_of(const Config& config, std::string_view name) {
  for (const Route& route : config.routes) {
    if (route.name == name) return route;
  }
  FAIL("no such route");
  return config.routes.front();
}

}  // namespace

TEST_CASE("one upstream is a whole configuration, with the defaults of the contract") {
  const Config config = good("upstreams: { app: http://127.0.0.1:8000 }\n");
  CHECK(config.listeners == std::vector<Listener>{Listener{}});
  CHECK(config.listeners[0].address.to_string() == "127.0.0.1:8080");
  CHECK(config.admin.address.to_string() == "127.0.0.1:9901");
  CHECK_FALSE(config.metrics.has_value());
  CHECK(config.memory.enabled);
  CHECK_FALSE(config.redis.enabled);
  CHECK(config.routes.empty());
  CHECK(config.limits == Limits{});
  CHECK(config.workers == 0);
  CHECK(config.trusted_proxies == std::vector<std::string>{"127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12",
                                                           "192.168.0.0/16", "fc00::/7"});
}

TEST_CASE("every section's values arrive") {
  const Config config = good(R"(
listeners:
  - { address: "[::]:8080", h2c: tunnel }
  - { address: unix:/run/p.sock, mode: "0600", name: egress }
  - { address: 0.0.0.0:8443, tls: { key: /tls/good.key, certificate: /tls/good.crt } }
canonical_host: app.example.com:8443
admin: { address: 0.0.0.0:9901, token_file: /secrets/token }
metrics: { address: 0.0.0.0:9903 }
upstreams:
  app: http://127.0.0.1:8000/
  images:
    url: https://images.internal
    connections: { max: 64, idle: 3s, waiting: 7, wait: 2s, age: 3m }
    max_in_flight: 9
    breaker: { failures: 3, open: 2s }
    request_headers: { X-A: b c, Authorization: { file: /secrets/token } }
    timeouts: { connect: 2s, response: 3s, silence: 4s }
    tls: { ca: /ca.pem, verify: off }
    host: upstream
store:
  memory: { size: 64MiB, max_object: 512KiB }
  redis:
    url: redis://r.internal:6380/3
    password_file: /secrets/token
    connect_timeout: 1s
    timeout: 20ms
    namespace: "ns:"
    max_object: 100B
    max_silence: 1500ms
    compress: { min: 1KiB, level: 9 }
routes: [{ name: r, path: /r, listener: egress, upstream: images }]
trusted_proxies: [10.1.2.3/8, fd00::1]
limits:
  { target: 1KiB, head: 2KiB, fields: 3, response_head: 4KiB, response_fields: 5, trailers: 6B, chunk_extensions: 7B,
    interim_responses: 9, body: 1GiB, connections: 11, variants: 12 }
timeouts: { head: 1s, body: 2s, idle: 3s }
drain: { delay: 0s, timeout: 1m }
workers: 4
log: { level: warn, access: 2.5% }
)");
  CHECK(config.listeners[0].address.host == "::");
  CHECK(config.listeners[0].h2c_tunnel);
  CHECK(config.listeners[1] == Listener{"egress", Address{{}, 0, "/run/p.sock"}, 0600});
  CHECK(config.listeners[2].tls == Listener::Tls{"/tls/good.crt", "/tls/good.key"});
  CHECK_FALSE(config.listeners[0].tls.enabled());
  CHECK(config.canonical_host == "app.example.com:8443");
  CHECK(config.admin.token == "s3cret");
  REQUIRE(config.metrics.has_value());
  CHECK(config.metrics->port == 9903);
  CHECK(config.upstreams[0].authority == "127.0.0.1:8000");
  const Upstream& images = config.upstreams[1];
  CHECK(images.tls);
  CHECK(images.address.to_string() == "images.internal:443");
  CHECK(images.authority == "images.internal");
  CHECK(images.max_connections == 64);
  CHECK(images.idle == 3s);
  CHECK(images.max_waiting == 7);
  CHECK(images.max_wait == 2s);
  CHECK(images.age == 3min);
  CHECK(images.breaker_failures == 3);
  CHECK(images.breaker_open == 2s);
  CHECK(images.max_in_flight == 9);
  CHECK_FALSE(config.upstreams[0].max_in_flight.has_value());
  CHECK(images.connect_timeout == 2s);
  CHECK(images.response_timeout == 3s);
  CHECK(images.silence_timeout == 4s);
  CHECK(images.send_own_host);
  CHECK(images.tls_ca == "/ca.pem");
  CHECK_FALSE(images.tls_verify);
  REQUIRE(images.request_headers.size() == 2);
  CHECK(images.request_headers[0] == Upstream::RequestHeader{"X-A", "b c", ""});
  CHECK(images.request_headers[1] == Upstream::RequestHeader{"Authorization", "s3cret", "/secrets/token"});
  CHECK(config.memory.size == 64u << 20);
  CHECK(config.memory.max_object == 512u << 10);
  CHECK(config.redis.enabled);
  CHECK(config.redis.address.to_string() == "r.internal:6380");
  CHECK(config.redis.database == 3);
  CHECK(config.redis.password == "s3cret");
  CHECK(config.redis.connect_timeout == 1s);
  CHECK(config.redis.timeout == 20ms);
  CHECK(config.redis.key_namespace == "ns:");
  CHECK(config.redis.max_object == 100);
  CHECK(config.redis.max_silence == 1500ms);
  CHECK(config.redis.compress == CompressSettings{true, 1024, 9});
  CHECK(config.trusted_proxies == std::vector<std::string>{"10.0.0.0/8", "fd00::1/128"});
  CHECK(config.limits == Limits{1024, 2048, 3, 4096, 5, 6, 7, 9, std::uint64_t{1} << 30, 11, 12});
  CHECK(config.timeouts == ClientTimeouts{1s, 2s, 3s});
  CHECK(config.drain == Drain{0s, 60s});
  CHECK(config.workers == 4);
  CHECK(config.log == Log{LogLevel::warn, 0.025, false});
}

TEST_CASE("every setting of a route arrives") {
  const Config config = good(R"(
canonical_host: a.example
upstreams: { app: http://127.0.0.1:8000, other: http://127.0.0.1:8001 }
store: { redis: { url: redis://127.0.0.1 } }
ttl: { short: 1s }
routes:
  - name: r
    path: /r/{id}/*/**
    host: r.example
    upstream: other
    rewrite: /s/{id}
    cache: on
    ttl: short
    ttl_by_status: { 404: 10s, 503: short }
    freshness: route
    heuristic: 10%
    refresh: { ahead: 10%, jitter: 0.5% }
    adaptive: { min: 1s, max: 1h }
    stale: { while_revalidate: 30s, if_error: 10m }
    request_directives: ignore
    key: "r:{id}"
    query: { only: [page, "x_*"], sort: true }
    key_headers: [X-Lang]
    accept_language: [de, en-GB, sr-Latn-RS]
    ignore_host: true
    tags: ["r:{id}", all]
    ignore: [no-store, no-cache]
    personal: { cookies: [lang], authorization: key }
    set_cookie: strip
    cache_status: key
    collapse: fleet
    collapse_wait: 1s
    when_unsure: fetch
    keep: 1h
    store: [redis]
    compress_answers: off
    upgrade: off
    forwarded: off
    invalidate:
      - { methods: [PUT], tags: ["r:{id}"], patterns: ["r:{id}:*"], urls: ["/r/{id}?a=b"] }
      - { tags: [all] }
)");
  const Route& r = config.routes.at(0);
  CHECK(r.path == "/r/{id}/*/**");
  CHECK(r.host == "r.example");
  CHECK(r.upstream == "other");
  CHECK(r.rewrite == "/s/{id}");
  CHECK(r.cache == CacheMode::on);
  CHECK(r.ttl == 1s);
  CHECK(r.ttl_by_status == std::map<int, Milliseconds>{{404, 10s}, {503, 1s}});
  CHECK(r.freshness == FreshnessFrom::route);
  CHECK(r.heuristic == 0.1);
  CHECK(r.refresh == Refresh{0.1, 0.005});
  CHECK(r.adaptive == Adaptive{1s, 1h});
  CHECK(r.stale_while_revalidate == 30s);
  CHECK(r.stale_if_error == 10min);
  CHECK_FALSE(r.request_directives);
  CHECK(r.accept_language == std::vector<std::string>{"de", "en-GB", "sr-Latn-RS"});
  CHECK(r.key == "r:{id}");
  CHECK(r.query == QueryRule{{}, std::vector<std::string>{"page", "x_*"}, true});
  CHECK(r.key_headers == std::vector<std::string>{"X-Lang"});
  CHECK(r.ignore_host);
  CHECK(r.tags == std::vector<std::string>{"r:{id}", "all"});
  CHECK(r.ignore_no_store);
  CHECK_FALSE(r.ignore_private);
  CHECK(r.ignore_no_cache);
  CHECK(r.personal_cookies == Personal::key);
  CHECK(r.personal_cookie_names == std::vector<std::string>{"lang"});
  CHECK(r.personal_authorization == Personal::key);
  CHECK(r.set_cookie == SetCookie::strip);
  CHECK(r.cache_status == CacheStatusMode::key);
  CHECK(r.collapse == Collapse::fleet);
  CHECK(r.when_unsure == WhenUnsure::fetch);
  CHECK(r.collapse_wait == 1s);
  CHECK(r.keep == 1h);
  CHECK_FALSE(r.store_memory);
  CHECK(r.store_redis);
  CHECK_FALSE(r.upgrade);
  CHECK_FALSE(r.forwarded);
  CHECK_FALSE(r.compress_answers);
  REQUIRE(r.invalidate.size() == 2);
  CHECK(r.invalidate[0] == InvalidateRule{{"PUT"}, {"r:{id}"}, {"r:{id}:*"}, {"/r/{id}?a=b"}});
  CHECK(r.invalidate[1].methods.empty());
}

TEST_CASE("a cache is on where a ttl or freshness is given, else off, and what is said wins") {
  const Config config = good(R"(
upstreams: { app: http://a }
routes:
  - { name: plain, path: /1 }
  - { name: ttl, path: /2, ttl: 1s }
  - { name: freshness, path: /3, freshness: origin }
  - { name: off, path: /4, ttl: 1s, cache: off }
  - { name: on, path: /5, cache: on }
  - { name: shadow, path: /6, ttl: 1s, cache: shadow }
)");
  CHECK(route_of(config, "plain").cache == CacheMode::off);
  CHECK(route_of(config, "ttl").cache == CacheMode::on);
  CHECK(route_of(config, "freshness").cache == CacheMode::on);
  CHECK(route_of(config, "off").cache == CacheMode::off);
  CHECK(route_of(config, "on").cache == CacheMode::on);
  CHECK(route_of(config, "shadow").cache == CacheMode::shadow);
  CHECK(route_of(config, "plain").key == "api:plain");
}

TEST_CASE("a route's own setting replaces the one of defaults, whole") {
  const Config config = good(R"(
upstreams: { app: http://a, b: http://b }
defaults: { ttl: 1m, query: { ignore: [a], sort: true }, tags: [x], collapse: off, upstream: b,
            personal: { cookies: ignore, authorization: ignore }, ttl_by_status: { 404: 1s } }
routes:
  - { name: none, path: /1 }
  - { name: own, path: /2, ttl: 2m, query: { only: [c] }, tags: [y], collapse: on, upstream: app,
      personal: { cookies: [k] }, ttl_by_status: { 410: 2s } }
)");
  const Route& none = route_of(config, "none");
  CHECK(none.cache == CacheMode::on);
  CHECK(none.ttl == 60s);
  CHECK(none.query == QueryRule{{"a"}, std::nullopt, true});
  CHECK(none.upstream == "b");
  CHECK(none.collapse == Collapse::off);
  const Route& own = route_of(config, "own");
  CHECK(own.ttl == 120s);
  CHECK(own.query == QueryRule{{}, std::vector<std::string>{"c"}, false});
  CHECK(own.tags == std::vector<std::string>{"y"});
  CHECK(own.collapse == Collapse::on);
  CHECK(own.upstream == "app");
  CHECK(own.personal_cookies == Personal::key);
  CHECK(own.personal_authorization == Personal::careful);
  CHECK(own.ttl_by_status == std::map<int, Milliseconds>{{410, 2s}});
}

TEST_CASE("stale windows and languages of a route replace those of defaults, whole") {
  const Config config = good(R"(
upstreams: { app: http://a }
defaults: { ttl: 1m, stale: { while_revalidate: 1s, if_error: 2s }, request_directives: ignore, accept_language: [de] }
routes:
  - { name: none, path: /1 }
  - { name: own, path: /2, stale: { if_error: 3s }, request_directives: obey, accept_language: [fr, en] }
  - { name: off, path: /3, stale: {}, accept_language: [] }
)");
  const Route& none = route_of(config, "none");
  CHECK(none.stale_while_revalidate == 1s);
  CHECK(none.stale_if_error == 2s);
  CHECK_FALSE(none.request_directives);
  CHECK(none.accept_language == std::vector<std::string>{"de"});
  const Route& own = route_of(config, "own");
  CHECK_FALSE(own.stale_while_revalidate.has_value());
  CHECK(own.stale_if_error == 3s);
  CHECK(own.request_directives);
  CHECK(own.accept_language == std::vector<std::string>{"fr", "en"});
  const Route& off = route_of(config, "off");
  CHECK_FALSE(off.stale_while_revalidate.has_value());
  CHECK_FALSE(off.stale_if_error.has_value());
  CHECK(off.accept_language.empty());
}

TEST_CASE("where nothing is said, nothing is stale, requests are obeyed, languages stay and HTTP/2 is refused") {
  const Config config = good("upstreams: { app: http://a }\nroutes: [{ name: r, path: /, ttl: 1s }]\n");
  CHECK_FALSE(config.routes[0].stale_while_revalidate.has_value());
  CHECK_FALSE(config.routes[0].stale_if_error.has_value());
  CHECK(config.routes[0].request_directives);
  CHECK(config.routes[0].accept_language.empty());
  CHECK(config.routes[0].compress_answers);
  CHECK_FALSE(config.listeners[0].h2c_tunnel);
  CHECK(config.limits.variants == 64);
}

TEST_CASE("a listener passes HTTP/2 on where there is a default upstream: the only one, or the one called app") {
  for (const char* upstreams : {"{ x: http://a }", "{ x: http://a, app: http://b }"}) {
    CAPTURE(upstreams);
    CHECK(good("upstreams: " + std::string(upstreams) + "\nlisteners: [{ address: unix:/s, h2c: tunnel }]\n")
              .listeners[0]
              .h2c_tunnel);
  }
}

TEST_CASE("what an upstream is sent in place of a client's credentials makes no answer personal") {
  const Config config = good(R"(
upstreams:
  api: { url: https://h, request_headers: { authorization: { file: /secrets/token }, COOKIE: a=b } }
  app: http://127.0.0.1:8000
routes:
  - { name: a, path: /a, upstream: api, ttl: 1s }
  - { name: b, path: /b, upstream: api, ttl: 1s, personal: { authorization: key, cookies: [c] } }
  - { name: c, path: /c, ttl: 1s }
  - { name: d, path: /d, upstream: api }
)");
  CHECK(route_of(config, "a").personal_authorization == Personal::ignore);
  CHECK(route_of(config, "a").personal_cookies == Personal::ignore);
  CHECK(route_of(config, "b").personal_authorization == Personal::key);
  CHECK(route_of(config, "b").personal_cookies == Personal::key);
  for (const char* untouched : {"c", "d"}) {
    CHECK(route_of(config, untouched).personal_authorization == Personal::careful);
    CHECK(route_of(config, untouched).personal_cookies == Personal::careful);
  }
}

TEST_CASE("a breaker is on by default, and can be switched off") {
  const Config config =
      good("upstreams: { a: http://h, b: { url: http://h, breaker: off }, c: { url: http://h, breaker: on } }\n");
  CHECK(config.upstreams[0].breaker_failures == 5);
  CHECK(config.upstreams[0].breaker_open == 1s);
  CHECK(config.upstreams[1].breaker_failures == 0);
  CHECK(config.upstreams[2].breaker_failures == 5);
}

TEST_CASE("a route's upstream is the only one, or the one called app") {
  CHECK(good("upstreams: { x: http://a }\nroutes: [{ name: r, path: / }]\n").routes[0].upstream == "x");
  CHECK(good("upstreams: { x: http://a, app: http://b }\nroutes: [{ name: r, path: / }]\n").routes[0].upstream ==
        "app");
}

TEST_CASE("variables are filled in, in values only") {
  const Config config = good(R"(
canonical_host: ${HOST}
upstreams:
  app:
    url: "http://${HOST}:${PORT:-81}"
    request_headers: { X-A: "${EMPTY:-default}, $${HOST}, $5, ${EMPTY}." }
)");
  CHECK(config.canonical_host == "h.example");
  CHECK(config.upstreams[0].address.to_string() == "h.example:81");
  CHECK(config.upstreams[0].request_headers[0].value == "default, ${HOST}, $5, .");
  // What a variable holds is never YAML, nor filled in again.
  const Loaded hostile = load_text(
      "upstreams: { app: { url: http://a, request_headers: { A: \"${X}\" } } }\n",
      [](const std::string&) { return "b\", C: \"${Y}"; }, test_files);
  REQUIRE(hostile.config.has_value());
  CHECK(hostile.config->upstreams[0].request_headers[0].value == "b\", C: \"${Y}");
}

TEST_CASE("what switches the stores and the access log") {
  const std::string app = "upstreams: { app: http://a }\n";
  CHECK_FALSE(good(app + "store: { memory: off, redis: { url: redis://h } }\n").memory.enabled);
  CHECK(good(app + "store: { memory: { size: 512KiB } }\n").memory.max_object == 512u << 10);
  const std::string redis = app + "store: { redis: { url: redis://h, compress: ";
  CHECK_FALSE(good(redis + "off } }\n").redis.compress.enabled);
  CHECK(good(redis + "on } }\n").redis.compress == CompressSettings{true, 2048, 3});
  CHECK(good(redis + "{ level: 1 } } }\n").redis.compress == CompressSettings{true, 2048, 1});
  CHECK(good(app + "log: { access: off }\n").log.access_share == 0);
  CHECK(good(app + "log: { access: errors }\n").log.access_errors_only);
  CHECK(good(app + "log: { access: 100% }\n").log == Log{});
  CHECK(good(app + "trusted_proxies: []\n").trusted_proxies.empty());
  // Sections whose settings are all commented out.
  CHECK(good(app + "listeners:\nlimits:\nstore:\nlog:\nroutes:\ndefaults:\nttl:\n").limits == Limits{});
}

TEST_CASE("a password's file and the redis URL may stand in either order") {
  for (const char* redis :
       {"url: redis://me@h, password_file: /secrets/token", "password_file: /secrets/token, url: redis://me@h"}) {
    CAPTURE(redis);
    const Config config = good("upstreams: { app: http://a }\nstore: { redis: { " + std::string(redis) + " } }\n");
    CHECK(config.redis.user == "me");
    CHECK(config.redis.password == "s3cret");
  }
}

TEST_CASE("no request header may be set that frames a message or belongs to one connection") {
  for (const char* name : {"Host", "Connection", "Content-Length", "Transfer-Encoding", "TE", "Trailer", "Upgrade",
                           "Keep-Alive", "Proxy-Connection", "Expect", "hOST"}) {
    CAPTURE(name);
    const Loaded loaded =
        load("upstreams: { app: { url: http://a, request_headers: { " + std::string(name) + ": x } } }\n");
    CHECK_FALSE(loaded.config.has_value());
  }
}

TEST_CASE("a file of nothing but mistakes is read to its end in good time") {
  std::string yaml;
  for (int i = 0; i < 50'000; ++i) yaml += "key" + std::to_string(i) + ": 1\n";
  CHECK(load(yaml).problems.size() == 1000);
}

TEST_CASE("serve --upstream needs no file") {
  const Loaded bare = default_config("http://127.0.0.1:8000");
  REQUIRE(bare.config.has_value());
  CHECK(bare.problems.empty());
  REQUIRE(bare.config->routes.size() == 1);
  const Route& all = bare.config->routes[0];
  CHECK(all.name == "all");
  CHECK(all.path == "/**");
  CHECK(all.cache == CacheMode::on);
  CHECK_FALSE(all.ttl.has_value());
  CHECK(all.freshness == FreshnessFrom::origin_first);
  CHECK(bare.config->memory.enabled);
  CHECK_FALSE(bare.config->redis.enabled);

  const Loaded full = default_config("https://h", "0.0.0.0:1", "[::1]:2", "redis://:p%40ss@r:3/4", "60s");
  REQUIRE(full.config.has_value());
  CHECK(full.config->listeners[0].address.to_string() == "0.0.0.0:1");
  CHECK(full.config->admin.address.to_string() == "[::1]:2");
  CHECK(full.config->redis.password == "p@ss");
  CHECK(full.config->routes[0].ttl == 60s);
}

TEST_CASE("a wrong option is named") {
  const auto first = [](const Loaded& loaded) {
    CHECK_FALSE(loaded.config.has_value());
    return loaded.problems.empty() ? std::string() : loaded.problems[0].message;
  };
  CHECK(first(default_config("nonsense")).starts_with("--upstream: 'nonsense' is not an http:// or https:// URL"));
  CHECK(first(default_config("http://a\"\n}: ${X}")).starts_with("--upstream: "));
  CHECK(first(default_config("http://a", "80")).starts_with("--listen: '80' is not an address"));
  CHECK(first(default_config("http://a", "", "0.0.0.0:1")).starts_with("--admin: the admin address is reached"));
  CHECK(first(default_config("http://a", "", "", "http://r")).starts_with("--redis: "));
  CHECK(first(default_config("http://a", "", "", "", "soon")).starts_with("--ttl: there is no 'soon'"));
}

TEST_CASE("a file that can't be read is one problem") {
  for (const char* path : {"/nowhere/proxy.yaml", "/"}) {
    const Loaded loaded = load_file(path);
    CHECK_FALSE(loaded.config.has_value());
    REQUIRE(loaded.problems.size() == 1);
    CHECK(format("proxy.yaml", loaded.problems[0]).starts_with("proxy.yaml:1:1: can't read the file: "));
  }
}

TEST_CASE("a file over 1 MiB is refused before it is read as YAML") {
  const std::string large = "upstreams: { app: http://a }\n#" + std::string(max_file_size, 'x');
  CHECK(errors_of(load(large)) == std::vector<std::string>{"1:1: the file is too large: 1 MiB at most"});
  CHECK(load(large.substr(0, max_file_size)).config.has_value());
}
