// store.redis: its three shapes, who logs in, TLS; what contradicts itself, word for word.
#include <doctest/doctest.h>

#include "config/dump.hpp"
#include "unit/config/loading.hpp"

using namespace pillion::config;

namespace {

const std::string app = "upstreams: { app: http://127.0.0.1:8000 }\n";

std::string file_of(const std::string& redis) {
  return app + "store: { redis: { " + redis + " } }\nroutes: [{ name: all, path: /**, cache: on }]\n";
}

RedisSettings redis_of(const std::string& settings) {
  CAPTURE(settings);
  const Loaded loaded = load(file_of(settings));
  CHECK(joined(lines_of(loaded)) == "");
  REQUIRE(loaded.config.has_value());
  // Printed and read again it is the same.
  const Loaded again = load(dump(*loaded.config, false));
  CHECK(joined(lines_of(again)) == "");
  REQUIRE(again.config.has_value());
  CHECK(again.config->redis == loaded.config->redis);
  return loaded.config->redis;
}

std::string errors_of_redis(const std::string& settings) {
  CAPTURE(settings);
  const Loaded loaded = load(file_of(settings));
  CHECK_FALSE(loaded.config.has_value());
  return joined(errors_of(loaded));
}

}  // namespace

TEST_CASE("redis: a URL with rediss:// means TLS, with the system's authorities or with one's own") {
  RedisSettings redis = redis_of("url: rediss://h");
  CHECK(redis.tls == RedisSettings::Tls{true, "", "", "", true});
  CHECK(redis.address.to_string() == "h:6379");
  redis = redis_of("tls: { ca: /ca.pem, certificate: /ca.pem, key: /key.pem }, url: rediss://h:1");
  CHECK(redis.tls == RedisSettings::Tls{true, "/ca.pem", "/ca.pem", "/key.pem", true});
  redis = redis_of("url: rediss://h, tls: { verify: off }");
  CHECK(redis.tls == RedisSettings::Tls{true, "", "", "", false});
  CHECK_FALSE(redis_of("url: redis://h").tls.enabled);
}

TEST_CASE("redis: a cluster and sentinels are lists of nodes, with a login and TLS beside them") {
  RedisSettings redis = redis_of("cluster: [a:1, '[::1]:2'], user: me, password_file: /secrets/token, database: 0");
  REQUIRE(redis.cluster.size() == 2);
  CHECK(redis.cluster[1].to_string() == "[::1]:2");
  CHECK(redis.user == "me");
  CHECK(redis.password == "s3cret");
  CHECK_FALSE(redis.tls.enabled);
  CHECK(redis_of("cluster: [a:1], tls: {}").tls.enabled);

  redis = redis_of(
      "sentinel: { master: m, nodes: [a:1, b:2, c:3], user: s, password_file: /secrets/token }, database: 4, "
      "tls: { ca: /ca.pem }");
  CHECK(redis.sentinel.master == "m");
  CHECK(redis.sentinel.nodes.size() == 3);
  CHECK(redis.sentinel.user == "s");
  CHECK(redis.sentinel.password == "s3cret");
  CHECK(redis.password.empty());
  CHECK(redis.database == 4);
  CHECK(redis.tls.enabled);
}

TEST_CASE("redis: what is wrong about where it is") {
  const std::string needs = "2:17: redis needs a url, a cluster or a sentinel, such as url: redis://127.0.0.1:6379/0\n";
  const struct {
    const char* settings;
    std::string expected;
  } rows[] = {
      {"timeout: 50ms", needs},
      {"url: redis://h, cluster: [a:1]", "2:44: 'cluster' and 'url' say two things: keep one of them\n"},
      {"sentinel: { master: m, nodes: [a:1] }, cluster: [a:1]",
       "2:29: 'sentinel' and 'cluster' say two things: keep one of them\n"},
      {"cluster: []", "2:28: no node is named: write at least one host:port\n"},
      {"cluster: a:1", "2:28: cluster must be a list, and here is a single value\n"},
      {"cluster: [h]", "2:29: 'h' is not a node: write host:6379\n"},
      {"cluster: ['h:0']", "2:29: 'h:0' can't be a node: write a host and a port from 1 to 65535\n"},
      {"cluster: ['unix:/s']", "2:29: 'unix:/s' can't be a node: write a host and a port from 1 to 65535\n"},
      {"cluster: ['a:1', 'a:1']", "2:36: 'a:1' stands here twice\n"},
      {"cluster: [a:1], database: 1", "2:45: a Redis Cluster has database 0 alone: leave database out\n"},
      {"sentinel: {}",
       "2:29: 'master' is missing: write sentinel: { master: mymaster, nodes: [s0:26379] }\n"
       "2:29: 'nodes' is missing: write sentinel: { master: mymaster, nodes: [s0:26379] }\n"},
      {"sentinel: { master: 'a b', nodes: [] }",
       "2:39: 'a b' is not a name: write up to 128 visible ASCII characters\n"
       "2:53: no node is named: write at least one host:port\n"},
      {"sentinel: { name: m, master: m, nodes: [a:1] }",
       "2:31: 'name' is unknown in sentinel: did you mean 'nodes'?\n"},
      {"url: redis://h, database: 3", "2:45: with a url the database stands in it: write redis://host:6379/3\n"},
  };
  for (const auto& row : rows) CHECK(errors_of_redis(row.settings) == row.expected);
}

TEST_CASE("redis: what is wrong about logging in") {
  const struct {
    const char* settings;
    std::string expected;
  } rows[] = {
      {"url: 'redis://u:p@h', user: me", "2:47: with a url the user stands in it: write redis://user@host:6379\n"},
      {"cluster: [a:1], user: me", "2:41: this user has no password: give it a password_file\n"},
      {"cluster: [a:1], user: '', password_file: /secrets/token",
       "2:41: '' is not a name: write up to 128 visible ASCII characters\n"},
      {"cluster: [a:1], password_file: /secrets/no", "2:50: can't read '/secrets/no': No such file or directory\n"},
      {"sentinel: { master: m, nodes: [a:1], user: s }", "2:62: this user has no password: give it a password_file\n"},
  };
  for (const auto& row : rows) CHECK(errors_of_redis(row.settings) == row.expected);
}

TEST_CASE("redis: what is wrong about TLS") {
  const struct {
    const char* settings;
    std::string expected;
  } rows[] = {
      {"url: redis://h, tls: {}", "2:40: this has no effect without TLS: write rediss:// in the url\n"},
      {"url: 'unix:///s', tls: {}", "2:42: a Unix socket has no TLS: leave tls out\n"},
      {"url: rediss://h, tls: { ca: /no.pem }", "2:47: can't read '/no.pem': No such file or directory\n"},
      {"url: rediss://h, tls: { ca: /key.pem, certificate: /ca.pem }",
       "2:70: this certificate needs its key: add key\n"},
      {"url: rediss://h, tls: { key: /key.pem }", "2:48: this key needs its certificate: add certificate\n"},
      {"url: rediss://h, tls: { certificate: /ca.pem, key: /ca.pem }",
       "2:70: '/ca.pem' holds no private key in PEM form (-----BEGIN PRIVATE KEY-----)\n"},
      {"url: rediss://h, tls: { verfy: off }", "2:43: 'verfy' is unknown in tls: did you mean 'verify'?\n"},
  };
  for (const auto& row : rows) CHECK(errors_of_redis(row.settings) == row.expected);
  const Loaded unasked = load(file_of("url: rediss://h, tls: { ca: /ca.pem, verify: false }"));
  CHECK(joined(lines_of(unasked)) == "2:47: warning: this has no effect: with 'verify: false' nobody asks it\n");
}

TEST_CASE("redis: no dump for others' eyes has a password") {
  const Loaded loaded =
      load(file_of("sentinel: { master: m, nodes: [a:1], password_file: /secrets/token }, "
                   "user: me, password_file: /secrets/token"));
  REQUIRE(loaded.config.has_value());
  for (const std::string& text : {dump(*loaded.config, true), dump(*loaded.config, false), to_json(*loaded.config)}) {
    CHECK(text.find("s3cret") == std::string::npos);
    CHECK(text.find("/secrets/token") != std::string::npos);
  }
}
