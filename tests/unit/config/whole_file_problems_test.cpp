// Wrong configurations and what is said about them, word for word: what only shows when the whole file is read, rules
// of routes, warnings.
#include <doctest/doctest.h>

#include "unit/config/loading.hpp"

using namespace pillion::config;

namespace {

const WrongFile wrong_files[] = {
    {"upstreams and listeners that are not there",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
listeners: [{ address: 127.0.0.1:1, name: egress }]
routes:
  - { name: a, path: /a, upstream: ap }
  - { name: b, path: /b, listener: egres }
  - { name: c, path: /c, listener: egress }
)",
     {"4:36: there is no upstream 'ap': did you mean 'app'?",
      "5:36: there is no listener 'egres': did you mean 'egress'?"}},
    {"a listener where none has a name",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - { name: b, path: /b, listener: egress }
)",
     {"3:36: there is no listener 'egress': give one of the listeners this name"}},
    {"several upstreams, none of them called app",
     R"(
upstreams: { a: http://h, b: http://i }
routes:
  - { name: r, path: /r }
  - { name: s, path: /s, upstream: a }
)",
     {"3:5: this route needs an upstream: there are several, and none is called app"}},
    {"a query cache that others reach, where another listens",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
ttl: { character: 5m, pillion: 1s }
admin: { address: 127.0.0.1:9902 }
query_cache: { lease: 0s }
)",
     {"2:23: 'pillion' can't be a type of the query cache: keys that begin with 'pillion:' are Pillion's own",
      "4:14: '127.0.0.1:9902' is taken already: line 3 listens there", "4:23: this must be longer than 0s"}},
    {"a query cache off loopback, with a lease beyond reason",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
ttl: { character: 5m }
query_cache: { address: 0.0.0.0:9902, lease: 2h, leases: 1s }
)",
     {"3:25: the query cache would be reached from other machines, and asks for no token: listen on 127.0.0.1 or "
      "unix:/path, and give each replica of the application a Pillion of its own",
      "3:46: a lease is 1h at most: a loader that died would be waited for so long",
      "3:50: 'leases' is unknown in query_cache: did you mean 'lease'?"}},
    {"HTTP/2 passed on where there is no default upstream",
     R"(
upstreams: { a: http://h, b: http://i }
listeners:
  - { address: 127.0.0.1:1 }
  - { address: 127.0.0.1:2, h2c: tunnel }
)",
     {"4:34: HTTP/2 is passed to the default upstream here, and there is none: there are several upstreams, and none "
      "is called app"}},
    {"HTTP/2 passed on to an upstream with TLS",
     R"(
upstreams: { app: https://h, b: http://i }
listeners: [{ address: 127.0.0.1:2, h2c: tunnel }]
)",
     {"2:42: HTTP/2 is passed on as it is, without TLS, and the default upstream 'app' is https://: it can't be passed "
      "there"}},
    {"what can't be warmed",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
warm:
  urls: [api, "/a b", "/a#b", "ftp://h/", "http://", "http://h:x/", /a, /a]
  sitemap: sitemap.xml
  hottest: 500
  concurrency: 0
  ready_after: soon
  ready_aftr: 1s
)",
     {"3:10: 'api' is no URL: write a path such as /api/status, or http://app.example.com/api/status",
      "3:15: '/a b' has a space, or a character outside ASCII: percent-encode it",
      "3:23: '/a#b' has a fragment, which isn't sent to a server: leave it out",
      "3:31: 'ftp://h/' is no URL: write a path such as /api/status, or http://app.example.com/api/status",
      "3:43: 'http://' is no URL: write a path such as /api/status, or http://app.example.com/api/status",
      "3:54: 'http://h:x/' is no URL: write a path such as /api/status, or http://app.example.com/api/status",
      "3:73: '/a' stands here twice",
      "4:12: 'sitemap.xml' is no URL: write a path such as /api/status, or http://app.example.com/api/status",
      "5:12: nothing remembers what was asked for most: without store.redis, name a file for it in warm.file",
      "6:16: '0' is not a number from 1 to 64", "7:16: 'soon' is not a duration: write 250ms, 30s, 5m, 1h or 7d",
      "8:3: 'ready_aftr' is unknown in warm: did you mean 'ready_after'?"}},
    {"words of HTTP/2 and of requests that are none",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
listeners: [{ address: 127.0.0.1:1, h2c: on }, { address: 127.0.0.1:2, h2: tunnel }]
defaults: { request_directives: off }
routes: [{ name: a, path: /a, request_directive: ignore }]
)",
     {"2:42: 'on' is unknown here: write tunnel", "2:72: 'h2' is unknown in a listener: did you mean 'h2c'?",
      "3:33: 'off' is unknown here: write obey or ignore",
      "4:31: 'request_directive' is unknown in a route: did you mean 'request_directives'?"}},
    {"stale windows that are none",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
defaults: { stale: { if_errors: 1s } }
routes:
  - { name: a, path: /a, ttl: 1s, stale: { while_revalidate: soon, if_error: -1s } }
  - { name: b, path: /b, ttl: 1s, stale: 30s }
)",
     {"2:22: 'if_errors' is unknown in stale: did you mean 'if_error'?",
      "4:62: 'soon' is not a duration: write 250ms, 30s, 5m, 1h or 7d",
      "4:78: '-1s' is not a duration: write 250ms, 30s, 5m, 1h or 7d",
      "5:42: stale must be a map of keys, and here is a single value"}},
    {"languages that are none",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - { name: a, path: /a, ttl: 1s, accept_language: ["*", de-*, "", de-, -de, 1e, de_DE, abcdefghi, a-abcdefghi, "de;q=1"] }
  - { name: b, path: /b, ttl: 1s, accept_language: [de, DE, x-1, i-klingon, x-1, de-419] }
  - { name: c, path: /c, ttl: 1s, accept_language: de }
)",
     {"3:53: '*' is not a language: write a tag such as de, en or pt-BR",
      "3:58: 'de-*' is not a language: write a tag such as de, en or pt-BR",
      "3:64: '' is not a language: write a tag such as de, en or pt-BR",
      "3:68: 'de-' is not a language: write a tag such as de, en or pt-BR",
      "3:73: '-de' is not a language: write a tag such as de, en or pt-BR",
      "3:78: '1e' is not a language: write a tag such as de, en or pt-BR",
      "3:82: 'de_DE' is not a language: write a tag such as de, en or pt-BR",
      "3:89: 'abcdefghi' is not a language: write a tag such as de, en or pt-BR",
      "3:100: 'a-abcdefghi' is not a language: write a tag such as de, en or pt-BR",
      "3:113: 'de;q=1' is not a language: write a tag such as de, en or pt-BR",
      "4:57: 'DE' stands here twice: capitals mean nothing", "4:77: 'x-1' stands here twice",
      "5:52: accept_language must be a list, and here is a single value"}},
    {"what belongs to one route alone",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
defaults: { name: a, path: /, key: k, invalidate: [], ttl: 1m }
)",
     {"2:13: 'name' belongs to one route: it can't stand in defaults",
      "2:22: 'path' belongs to one route: it can't stand in defaults",
      "2:31: 'key' belongs to one route: it can't stand in defaults",
      "2:39: 'invalidate' belongs to one route: it can't stand in defaults"}},
    {"a parameter in the tags of defaults",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
defaults: { tags: ["a:{id}"] }
routes:
  - { name: a, path: '/a/{id}' }
  - { name: b, path: /b }
)",
     {"2:20: the path /b has no parameter '{id}': it has none"}},
    {"rules of invalidation that are none",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - name: a
    path: /a
    invalidate:
      - methods: [GET, put, PURGE]
      - { tags: ["a,b"] }
      - { urls: [a] }
)",
     {"6:9: this rule invalidates nothing: give it tags, patterns or urls",
      "6:19: 'GET' changes nothing and so invalidates nothing: name POST, PUT, PATCH, DELETE...",
      "6:24: 'put' is not a method: write it in capitals, such as PUT", "7:18: 'a,b' holds a comma: list several tags",
      "8:18: 'a' is not a URL: write /path?query for every host, or http://host/path"}},
    {"words that are none",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - { name: a, path: /a, cache: maybe, freshness: mine, set_cookie: keep, cache_status: all, collapse: yes, upgrade: 1,
      when_unsure: never, compress_answers: gzip }
log: { level: loud, access: some }
)",
     {"3:33: 'maybe' is unknown here: write on, off or shadow",
      "3:51: 'mine' is unknown here: write origin-first, route or origin",
      "3:69: 'keep' is unknown here: write refuse, strip or store", "3:89: 'all' is unknown here: write on, off or key",
      "3:104: 'yes' is unknown here: write on, off or fleet", "3:118: '1' is neither on nor off",
      "4:20: 'never' is unknown here: write serve or fetch", "4:45: 'gzip' is neither on nor off",
      "5:15: 'loud' is unknown here: write debug, info, warn or error",
      "5:29: 'some' is unknown here: write all, off, errors or a share such as 1%"}},
    {"percentages that are none",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
log: { access: 0% }
routes:
  - { name: a, path: /a, heuristic: 101% }
  - { name: b, path: /b, heuristic: 0.1 }
  - { name: c, path: /c, heuristic: 0.00001% }
)",
     {"2:16: '0%' is unknown here: write all, off, errors or a share such as 1%",
      "4:37: '101%' is not a percentage: write 10% or 0.5%, over 0% and up to 100%",
      "5:37: '0.1' is not a percentage: write 10% or 0.5%, over 0% and up to 100%",
      "6:37: '0.00001%' is not a percentage: write 10% or 0.5%, over 0% and up to 100%"}},
    {"refreshing and learning that can't be",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
defaults: { ttl: 5m }
routes:
  - { name: a, path: /a, refresh: {} }
  - { name: b, path: /b, refresh: { ahead: 51%, jitter: 60% } }
  - { name: c, path: /c, refresh: { ahead: 10s, early: 1% } }
  - { name: d, path: /d, refresh: on, adaptive: on }
  - { name: e, path: /e, adaptive: {} }
  - { name: f, path: /f, adaptive: { min: 1m } }
  - { name: g, path: /g, adaptive: { min: 2h, max: 1h } }
  - { name: h, path: /h, adaptive: { min: 999ms, max: 0s } }
  - { name: i, path: /i, adaptive: { min: 6m, max: 1h } }
  - { name: j, path: /j, ttl: 2h, adaptive: { min: 6m, max: 1h } }
)",
     {"2:18: this ttl, where lifetimes begin, is not between adaptive's min and max (or write adaptive: off)",
      "4:35: nothing is asked for here: write { ahead: 10%, jitter: 5% }, or off",
      "5:44: this is a share of each lifetime, at its end: 50% at most",
      "5:57: this is a share of each lifetime, at its end: 50% at most",
      "6:44: '10s' is not a percentage: write 10% or 0.5%, over 0% and up to 100%",
      "6:49: 'early' is unknown in refresh: did you mean 'ahead'?",
      "7:35: refresh must be a map of keys, and here is a single value",
      "7:49: adaptive must be a map of keys, and here is a single value",
      "8:36: both bounds are needed: { min: 30s, max: 1h }, or off",
      "9:36: both bounds are needed: { min: 30s, max: 1h }, or off", "10:52: max is less than min",
      "11:43: a lifetime that is learned is 1s at least", "11:55: a lifetime that is learned is 1s at least",
      "13:31: this ttl, where lifetimes begin, is not between adaptive's min and max (or write adaptive: off)"}},
    {"query rules that can't be",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - { name: a, path: /a, query: { ignore: [a], only: [b] } }
  - { name: b, path: /b, query: { ignore: ["a*b", "", a, a], sort: maybe } }
)",
     {"3:33: a query rule has ignore or only, not both",
      "4:44: 'a*b' is not a query parameter: write its name as it is sent, or utm_*",
      "4:51: '' is not a query parameter: write its name as it is sent, or utm_*", "4:58: 'a' stands here twice",
      "4:68: 'maybe' is neither on nor off"}},
    {"headers to key on that are none",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - { name: a, path: /a, key_headers: ["a b", "X:"] }
)",
     {"3:40: 'a b' is not a header's name: letters, digits and !#$%&'*+-.^_`|~, 128 at most",
      "3:47: 'X:' is not a header's name: letters, digits and !#$%&'*+-.^_`|~, 128 at most"}},
    {"personal rules that can't be",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - { name: a, path: /a, ttl: 1m, personal: { cookies: key, authorization: [a] } }
  - { name: b, path: /b, ttl: 1m, personal: { cookies: [] } }
)",
     {"3:56: cookies must be ignore, or a list of the names to key on",
      "3:76: a single value belongs here, and this is a list",
      "4:56: no cookie is named: write ignore, or the names to key on"}},
    {"a rewrite with a query",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - { name: a, path: /a, rewrite: '/b?c' }
  - { name: b, path: /b, rewrite: c }
)",
     {"3:35: '/b?c' is not a path to send: write /path/{name}, without a query or *",
      "4:35: 'c' is not a path to send: write /path/{name}, without a query or *"}},
    {"ignore_host without a host to send",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - { name: a, path: /a, ttl: 1m, ignore_host: true }
)",
     {"3:48: ignore_host needs canonical_host: it is the Host that the upstream is sent then"}},
    {"a route that decides a lifetime that it does not have",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - { name: a, path: /a, freshness: route }
)",
     {"3:37: 'freshness: route' needs a ttl: it would decide, and there is none"}},
    {"all at once, in the order of the file",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - { name: a, path: /a, ttl: b }
ttl: { c: d }
limits: { e: f }
)",
     {"3:31: there is no 'b' in ttl: did you mean 'c'?", "4:11: 'd' is not a duration: write 250ms, 30s, 5m, 1h or 7d",
      "5:11: 'e' is unknown in limits: did you mean 'head'?"}},
    {"one mistake in defaults is told once",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
defaults: { store: [redis] }
routes:
  - { name: a, path: /a }
  - { name: b, path: /b }
)",
     {"2:20: this route stores in redis alone, and there is no store.redis: add it, or write [memory]"}},
    {"nested too deep",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
ttl: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]
)",
     {"2:21: this is nested too deep: nothing here needs more than 16 levels"}},
    {"a list of lists",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
listeners: [[]]
)",
     {"2:13: a listener must be a map of keys, and here is a list"}},
    {"a bare scalar",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
x: y: z
)",
     {"2:5: this is not valid YAML: illegal map value"}},
};

const WrongFile doubtful_files[] = {
    {"no routes",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
)",
     {"1:1: warning: there are no routes: every request is passed through uncached"}},
    {"routes that are an empty list",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes: []
)",
     {"2:9: warning: there are no routes: every request is passed through uncached"}},
    {"a listener that no route chooses",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
listeners: [{ address: 127.0.0.1:1, name: egress }]
routes: [{ name: a, path: /a }]
)",
     {"2:43: warning: no route chooses the listener 'egress': it serves as an unnamed one"}},
    {"a query cache without types, and a mode that nothing has",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes: [{ name: a, path: /a }]
query_cache: { mode: "0600" }
)",
     {"3:14: warning: the query cache has no types: they are the names of ttl:, such as ttl: { character: 5m }",
      "3:22: warning: mode has no effect: the address is not a Unix socket"}},
    {"what is ignored in responses",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - { name: a, path: /a, ttl: 1m, ignore: [private] }
)",
     {"3:43: warning: this route stores what the application forbids to store: make sure that nothing of it is meant "
      "for one user alone"}},
    {"a lifetime of no length",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - { name: a, path: /a, ttl: 0s }
)",
     {"3:31: warning: with a ttl of 0s a response is stale at once and asked for anew each time"}},
    {"what needs replicas that meet in a Redis",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes: [{ name: a, path: /a, ttl: 1s, collapse: fleet, when_unsure: fetch }]
)",
     {"2:50: warning: 'collapse: fleet' is no more than on here: without redis replicas don't meet",
      "2:70: warning: this when_unsure has no effect: without store.redis there are no other replicas to hear"}},
    {"the same with a Redis, for a route that doesn't use it",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
store: { redis: { url: "redis://r" } }
routes: [{ name: a, path: /a, ttl: 1s, collapse: fleet, when_unsure: fetch, store: [memory] }]
)",
     {"3:50: warning: 'collapse: fleet' is no more than on here: without redis replicas don't meet"}},
    {"the same for all routes",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
defaults: { collapse: fleet, when_unsure: fetch }
routes: [{ name: a, path: /a, ttl: 1s }]
)",
     {"2:23: warning: 'collapse: fleet' is no more than on here: without redis replicas don't meet",
      "2:43: warning: this when_unsure has no effect: without store.redis there are no other replicas to hear"}},
    {"settings without effect",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - { name: a, path: /a, ttl_by_status: { 404: 1s } }
  - { name: b, path: /b, freshness: origin, ttl: 1m }
  - { name: c, path: /c, cache: off, ttl: 1m }
  - { name: d, path: /d, stale: { if_error: 1m } }
)",
     {"3:41: warning: this has no effect: the route's cache is off (it is on where a ttl or freshness is given, or "
      "with cache: on)",
      "4:50: warning: this ttl has no effect: with 'freshness: origin' the response alone decides",
      "5:43: warning: this has no effect: the route's cache is off (it is on where a ttl or freshness is given, or "
      "with cache: on)",
      "6:33: warning: this has no effect: the route's cache is off (it is on where a ttl or freshness is given, or "
      "with cache: on)"}},
    {"a certificate that has expired",
     R"(
upstreams: { app: http://h }
routes: [{ name: a, path: /a }]
listeners: [{ address: 127.0.0.1:1, tls: { certificate: /tls/expired.crt, key: /tls/good.key } }]
)",
     {"3:57: warning: '/tls/expired.crt' has expired: it was good until 2021-01-02"}},
    {"tls before a plain upstream",
     R"(
upstreams: { app: { url: http://h, tls: { verify: true } } }
routes: [{ name: a, path: /a }]
)",
     {"1:41: warning: tls has no effect: the url is not https://"}},
};

}  // namespace

TEST_CASE("each mistake is told with its place and what would be right: the whole file") {
  for (const WrongFile& file : wrong_files) {
    CAPTURE(file.name);
    const Loaded loaded = load(file.yaml);
    CHECK_FALSE(loaded.config.has_value());
    CHECK(joined(errors_of(loaded)) == joined(file.expected));
  }
}

TEST_CASE("what is doubtful is a warning, and the configuration is loaded") {
  for (const WrongFile& file : doubtful_files) {
    CAPTURE(file.name);
    const Loaded loaded = load(file.yaml);
    CHECK(loaded.config.has_value());
    CHECK(joined(lines_of(loaded)) == joined(file.expected));
  }
}
