// Wrong configurations and what is said about them, word for word: single values: durations, sizes, addresses, secrets,
// stores, variables.
#include <doctest/doctest.h>

#include "unit/config/loading.hpp"

using namespace pillion::config;

namespace {

const WrongFile wrong_files[] = {
    {"bad durations",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
drain: { delay: 5 minutes, timeout: 5 }
timeouts: { head: -1s, body: 1.5s, idle: 1h30m }
)",
     {"2:17: '5 minutes' is not a duration: write 250ms, 30s, 5m, 1h or 7d",
      "2:37: '5' is not a duration: write 250ms, 30s, 5m, 1h or 7d",
      "3:19: '-1s' is not a duration: write 250ms, 30s, 5m, 1h or 7d",
      "3:30: '1.5s' is not a duration: write 250ms, 30s, 5m, 1h or 7d",
      "3:42: '1h30m' is not a duration: write 250ms, 30s, 5m, 1h or 7d"}},
    {"durations without end and without length",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
drain: { delay: 3651d, timeout: 99999999999999999999ms }
timeouts: { head: 0s }
)",
     {"2:17: '3651d' is too long: 3650d at most", "2:33: '99999999999999999999ms' is too long: 3650d at most",
      "3:19: this must be longer than 0s"}},
    {"bad sizes",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
limits: { head: 32KB, target: 15k, trailers: -1KiB, chunk_extensions: 4096, body: all }
)",
     {"2:17: '32KB' is not a size: write 100B, 512KiB, 64MiB or 1GiB",
      "2:31: '15k' is not a size: write 100B, 512KiB, 64MiB or 1GiB",
      "2:46: '-1KiB' is not a size: write 100B, 512KiB, 64MiB or 1GiB",
      "2:71: '4096' is not a size: write 100B, 512KiB, 64MiB or 1GiB",
      "2:83: 'all' is not a size: write 100B, 512KiB, 64MiB or 1GiB"}},
    {"sizes out of bounds",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
limits: { head: 1B, target: 16EiB, trailers: 99999999999TiB, response_head: 1GiB }
)",
     {"2:17: '1B' is out of bounds: from 1KiB to 16MiB",
      "2:29: '16EiB' is not a size: write 100B, 512KiB, 64MiB or 1GiB",
      "2:46: '99999999999TiB' is too large: 1048576TiB at most", "2:77: '1GiB' is out of bounds: from 1KiB to 16MiB"}},
    {"numbers that are none, or out of bounds",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
limits: { fields: 0, response_fields: 1e3, interim_responses: 99999999999999999999, connections: -5, variants: 1025 }
workers: many
)",
     {"2:19: '0' is not a number from 1 to 10000", "2:39: '1e3' is not a number from 1 to 10000",
      "2:63: '99999999999999999999' is not a number from 0 to 1000", "2:98: '-5' is not a number from 1 to 1000000",
      "2:112: '1025' is not a number from 1 to 1024", "3:10: 'many' is not a number from 1 to 1024, nor auto"}},
    {"a target over the head",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
limits: { target: 64KiB }
)",
     {"2:19: target is over head (32KiB), which holds it: lower it, or raise head"}},
    {"bad addresses",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
listeners:
  - address: 8080
  - address: :8080
  - address: 127.0.0.1:65536
  - address: 1.2.3:80
  - address: ::1:80
  - address: unix:relative
  - address: "[::1]"
  - name: x
)",
     {"3:14: '8080' is not an address: write 127.0.0.1:8080, [::1]:8080 or unix:/path",
      "4:14: ':8080' is not an address: write 127.0.0.1:8080, [::1]:8080 or unix:/path",
      "5:14: '127.0.0.1:65536' has no port from 0 to 65535: write 127.0.0.1:8080, [::1]:8080 or unix:/path",
      "6:14: '1.2.3:80' is not an address: write 127.0.0.1:8080, [::1]:8080 or unix:/path",
      "7:14: '::1:80' is not an address: write 127.0.0.1:8080, [::1]:8080 or unix:/path",
      "8:14: 'unix:relative' is not a Unix socket: write unix:/path, absolute, 107 bytes at most",
      "9:14: '[::1]' has no port: write 127.0.0.1:8080, [::1]:8080 or unix:/path",
      "10:5: a listener needs an address: 127.0.0.1:8080, [::]:8080 or unix:/path"}},
    {"a mode without a Unix socket, and no mode at all",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
listeners:
  - { address: 127.0.0.1:1, mode: "0660" }
  - { address: unix:/a, mode: "0999" }
  - { address: unix:/b, mode: rw }
)",
     {"3:35: mode is for Unix sockets: leave it out",
      R"(4:31: '0999' is not a file mode: write "0660", octal, at most 0777)",
      R"(5:31: 'rw' is not a file mode: write "0660", octal, at most 0777)"}},
    {"addresses and names taken twice",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
listeners:
  - { address: 127.0.0.1:1, name: a }
  - { address: 127.0.0.1:1, name: a }
admin: { address: 127.0.0.1:1 }
metrics: { address: 127.0.0.1:1 }
routes: [{ name: r, path: /, listener: a }]
)",
     {"4:16: '127.0.0.1:1' is taken already: line 3 listens there",
      "4:35: two listeners are called 'a': line 3 has the name already",
      "5:19: '127.0.0.1:1' is taken already: line 3 listens there",
      "6:21: '127.0.0.1:1' is taken already: line 3 listens there"}},
    {"no listener, no address",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
listeners: []
metrics: {}
)",
     {"2:12: at least one listener is needed: - address: 127.0.0.1:8080",
      "3:10: metrics needs an address: 0.0.0.0:9903"}},
    {"an admin address for everyone without a token",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
admin:
  address: 0.0.0.0:9901
)",
     {"3:12: the admin address is reached from other machines: give it a token_file, or listen on 127.0.0.1"}},
    {"files that can't be read",
     R"(
admin: { token_file: /no/token }
store: { redis: { url: redis://h, password_file: /no/password } }
upstreams:
  app:
    url: https://h
    tls: { ca: /no/ca }
    request_headers: { A: { file: /no/header } }
)",
     {"1:22: can't read '/no/token': No such file or directory",
      "2:50: can't read '/no/password': No such file or directory",
      "6:16: can't read '/no/ca': No such file or directory",
      "7:35: can't read '/no/header': No such file or directory"}},
    {"certificates and keys that can't be used",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
listeners:
  - { address: 127.0.0.1:1, tls: { certificate: /no/crt, key: /no/key } }
  - { address: 127.0.0.1:2, tls: { certificate: /tls/good.crt } }
  - { address: 127.0.0.1:3, tls: { certificate: /tls/good.crt, key: /tls/other.key } }
  - { address: 127.0.0.1:4, tls: { certificate: /ca.pem, key: /key.pem } }
  - { address: 127.0.0.1:5, tls: { certificate: /tls/good.key, key: /tls/encrypted.key } }
  - { address: 127.0.0.1:6, tls: { certificate: /secrets/token, key: /tls/good.crt } }
  - { address: 127.0.0.1:7, tls: tls.crt }
  - { address: 127.0.0.1:8, h2c: tunnel, tls: { certificate: /tls/good.crt, key: /tls/good.key, ca: /ca.pem } }
)",
     {"3:49: can't read '/no/crt': No such file or directory", "3:63: can't read '/no/key': No such file or directory",
      "4:34: 'key' is missing: write { certificate: tls.crt, key: tls.key }",
      "5:69: '/tls/other.key' is not the key of the certificate in '/tls/good.crt'",
      "6:49: '/ca.pem' holds no certificate that can be read", "6:63: '/key.pem' holds no private key that can be read",
      "7:49: '/tls/good.key' holds no certificate that can be read",
      "7:69: '/tls/encrypted.key' holds an encrypted key, and nobody could be asked for its password: store it "
      "decrypted",
      "8:49: '/secrets/token' holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)",
      "8:70: '/tls/good.crt' holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)",
      "9:34: tls of a listener must be a map of keys, and here is a single value",
      "10:34: HTTP/2 with prior knowledge is HTTP/2 without TLS: a listener with tls has none; leave h2c out",
      "10:97: 'ca' is unknown in tls of a listener: did you mean 'key'?"}},
    {"breakers and ages that make no sense",
     R"(
upstreams:
  app: { url: http://h, breaker: { failures: 0, open: 0s }, connections: { age: 0s } }
  b: { url: http://h, breaker: maybe }
)",
     {"2:46: '0' is not a number from 1 to 1000000", "2:55: this must be longer than 0s",
      "2:81: this must be longer than 0s", "3:32: 'maybe' is neither on nor off, nor { failures: 5, open: 1s }"}},
    {"files that hold no secret",
     R"(
admin: { token_file: /secrets/two-lines }
store: { redis: { url: redis://h, password_file: /secrets/empty } }
upstreams: { app: { url: https://h, tls: { ca: /secrets/token } } }
)",
     {"1:22: '/secrets/two-lines' holds a line break or another control character: a secret is one line",
      "2:50: '/secrets/empty' is empty: it must hold the secret",
      "3:48: '/secrets/token' holds no certificate in PEM form (-----BEGIN CERTIFICATE-----)"}},
    {"upstreams that are none",
     R"(
upstreams:
  a: ftp://h
  b: http://h/base
  c: http://user:secret@h
  d: http://h:0
  e: http://
  f: { host: upstream }
  g: http://h:99999
  h/i: http://h
  app: http://h?x
)",
     {"2:6: 'ftp://h' is not an http:// or https:// URL: write http://127.0.0.1:8000 or https://host",
      "3:6: 'http://h/base' has a path: leave it out, and give the routes a rewrite:",
      "4:6: this URL holds a user: use request_headers: { Authorization: { file: ... } }",
      "5:6: 'http://h:0' has no port from 1 to 65535: write http://127.0.0.1:8000 or https://host",
      "6:6: 'http://' names no host: write http://127.0.0.1:8000 or https://host",
      "7:3: an upstream needs a url: http://127.0.0.1:8000",
      "8:6: 'http://h:99999' has no port from 1 to 65535: write http://127.0.0.1:8000 or https://host",
      "9:3: 'h/i' is not a name: 1 to 64 letters, digits, '.', '_' and '-'",
      "10:8: 'http://h?x' has a path: leave it out, and give the routes a rewrite:"}},
    {"no upstream at all",
     R"(
upstreams: {}
)",
     {"1:12: at least one upstream is needed: upstreams: { app: http://127.0.0.1:8000 }"}},
    {"request headers that can't be",
     R"(
upstreams:
  app:
    url: http://h
    request_headers:
      Host: a
      "a b": c
      X-A: [a]
      x-a: b
      X-B: ""
      X-C: { files: /a }
)",
     {"5:7: 'Host' can't be set: Pillion writes it for each connection",
      "6:7: 'a b' is not a header's name: letters, digits and !#$%&'*+-.^_`|~, 128 at most",
      "7:12: a header's value belongs here, and this is a list", "8:7: 'x-a' stands here twice",
      "9:12: a header's value must not be empty, nor begin or end with white space",
      "10:12: 'file' is missing: write { file: /path }",
      "10:14: 'files' is unknown in a header's value: did you mean 'file'?"}},
    {"redis URLs that are none",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
store:
  redis: { url: http://h }
)",
     {"3:17: this is not a redis://, rediss:// or unix:// URL: write redis://127.0.0.1:6379/0, "
      "redis://user:password@host:6379/0 or unix:///run/redis.sock?db=0"}},
    {"a redis database that is none",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
store:
  redis: { url: redis://h/x }
)",
     {"3:17: this URL's database is not a number from 0 to 65535: write redis://127.0.0.1:6379/0, "
      "redis://user:password@host:6379/0 or unix:///run/redis.sock?db=0"}},
    {"a redis user without a password",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
store:
  redis: { url: redis://me@h }
)",
     {"3:17: this URL has a user without a password: write user:password@, or a password_file"}},
    {"two redis passwords",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
store:
  redis: { url: redis://:a@h, password_file: /secrets/token }
)",
     {"3:46: the url has a password already: leave one of the two out"}},
    {"a redis without a URL",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
store:
  redis: { timeout: 50ms }
)",
     {"3:10: redis needs a url, a cluster or a sentinel, such as url: redis://127.0.0.1:6379/0"}},
    {"redis namespaces that can't be",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
store:
  redis: { url: redis://h, namespace: "a*" }
)",
     {R"(3:39: 'a*' is not a namespace: up to 64 visible characters without * ? [ ] { } \ and quotes)"}},
    {"a reserved redis namespace",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
store:
  redis: { url: redis://h, namespace: "pillion:" }
)",
     {"3:39: 'pillion:' is reserved for Pillion's own keys: choose another namespace"}},
    {"a cap on requests in flight",
     R"(
upstreams:
  app: { url: http://h, max_in_flight: 0 }
  b: { url: http://h, max_in_flight: off }
  c: { url: http://h, max_in_flight: [] }
)",
     {"2:40: '0' is not a number from 1 to 1000000, nor none",
      "3:38: 'off' is not a number from 1 to 1000000, nor none",
      "4:38: a single value belongs here, and this is a list"}},
    {"compression of stored responses",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
store:
  redis:
    url: redis://h
    compress: { min: 0B, level: 10, max: 3 }
)",
     {"5:22: '0B' is out of bounds: from 1B to 512MiB", "5:33: '10' is not a number from 1 to 9",
      "5:37: 'max' is unknown in compress: did you mean 'min'?"}},
    {"compression that is neither on nor off",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
store: { redis: { url: redis://h, compress: zstd } }
)",
     {"2:45: 'zstd' is neither on nor off"}},
    {"a log that couldn't be heard often enough",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
store: { redis: { url: redis://h, max_silence: 999ms } }
)",
     {"2:48: max_silence must be at least 1s: less would take each moment without news for a cut"}},
    {"memory off without a redis",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
store: { memory: off }
)",
     {"2:18: memory is off and there is no redis: nothing could be stored"}},
    {"an object larger than the memory",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
store: { memory: { size: 1MiB, max_object: 2MiB } }
)",
     {"2:44: max_object is over the memory's whole size of 1MiB"}},
    {"routes that store nowhere",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
store: { memory: off, redis: { url: redis://h } }
routes:
  - { name: a, path: /a, store: [memory] }
  - { name: b, path: /b, store: [] }
  - { name: c, path: /c, store: [disk] }
)",
     {"4:33: this route stores in memory alone, and store.memory is off: write [redis]",
      "5:33: no store is named: write [memory], [redis] or [memory, redis], or cache: off",
      "6:34: 'disk' is no store: write memory or redis"}},
    {"a route for redis alone without a redis",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
routes:
  - { name: a, path: /a, store: [redis] }
)",
     {"3:33: this route stores in redis alone, and there is no store.redis: add it, or write [memory]"}},
    {"networks that are none",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
trusted_proxies: [10.0.0.0/33, localhost, 10.0.0.1/8, 10.0.0.2/8]
)",
     {"2:19: '10.0.0.0/33' is not a network: write 10.0.0.0/8, 192.168.1.7 or fd00::/8",
      "2:32: 'localhost' is not a network: write 10.0.0.0/8, 192.168.1.7 or fd00::/8",
      "2:55: '10.0.0.0/8' stands here twice"}},
    {"variables that are not set, or no variables",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
canonical_host: ${NOT_SET}
workers: ${}
drain: { delay: "${1X}", timeout: "${OPEN" }
)",
     {"2:17: the environment variable NOT_SET is not set: set it, or write ${NOT_SET:-default}",
      "3:10: '${}' names no variable: write ${NAME}, ${NAME:-default}, or $${ for '${' itself",
      "4:17: '${1X}' names no variable: write ${NAME}, ${NAME:-default}, or $${ for '${' itself",
      "4:35: '${' has no '}': write ${NAME}, ${NAME:-default}, or $${ for '${' itself"}},
    {"a variable whose value is wrong",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
drain: { delay: "${HOST}" }
)",
     {"2:17: 'h.example' is not a duration: write 250ms, 30s, 5m, 1h or 7d"}},
    {"a variable in a key",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
ttl: { "${HOST}": 5m }
)",
     {"2:8: '${HOST}' is not a name: 1 to 64 letters, digits, '.', '_' and '-'"}},
    {"hosts that are none",
     R"(
upstreams: { app: http://127.0.0.1:8000 }
canonical_host: http://a
routes:
  - { name: a, path: /a, host: "h:80" }
)",
     {"2:17: 'http://a' is not a host: write app.example.com or app.example.com:8080",
      "4:32: 'h:80' is not a host: write its name alone, such as api.example.com"}},
};

}  // namespace

TEST_CASE("each mistake is told with its place and what would be right: single values") {
  for (const WrongFile& file : wrong_files) {
    CAPTURE(file.name);
    const Loaded loaded = load(file.yaml);
    CHECK_FALSE(loaded.config.has_value());
    CHECK(joined(errors_of(loaded)) == joined(file.expected));
  }
}
