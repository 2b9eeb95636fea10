// What an invalidation has made useless is given back in the background, in memory and in Redis; what is of use stays
// (product contract, sections 4 and 7).
#include "integration.hpp"
#include "support/redis_cluster.hpp"

namespace {

/// A route whose responses have the tag `even` or `odd` by their number, and another. `store` is whole lines.
std::string tagged(const Endpoint& upstream, const std::string& store) {
  return config_for(upstream,
                    "routes:\n  - name: even\n    path: /even/{id}\n    ttl: 5m\n    tags: [even]\n"
                    "  - name: odd\n    path: /odd/{id}\n    ttl: 5m\n    tags: [odd]\n" +
                        store);
}

std::string in_redis(const RedisServer& redis, const std::string& more = "") {
  return redis_store(redis.settings()) + more;
}

void fill(Pillion& proxy, int each) {
  HttpClient client = proxy.connect();
  for (int i = 0; i < each; ++i) {
    REQUIRE(client.get("/even/" + std::to_string(i)).status == 200);
    REQUIRE(client.get("/odd/" + std::to_string(i)).status == 200);
  }
}

double swept(Pillion& proxy, const std::string& tier) {
  return proxy.metric("pillion_swept_total{tier=\"" + tier + "\"}");
}

double in_memory(Pillion& proxy) { return proxy.metric("pillion_store_entries{tier=\"memory\"}"); }

constexpr const char* even_keys = "*api:even:????????????????????????????????";
constexpr const char* odd_keys = "*api:odd:????????????????????????????????";

}  // namespace

TEST_CASE("sweep: memory of what was invalidated is given back") {
  ScriptedUpstream upstream(cacheable(std::string(1000, 'b')));
  Pillion proxy(tagged(upstream.endpoint(), "store:\n  memory: { size: 64MiB }\n"));
  fill(proxy, 200);
  REQUIRE(in_memory(proxy) == 400);
  const double bytes = proxy.metric("pillion_store_bytes{tier=\"memory\"}");
  proxy.invalidate(R"({"tags": ["even"]})");
  CHECK(eventually([&] { return in_memory(proxy) == 200; }));
  CHECK(swept(proxy, "memory") == 200);
  CHECK(proxy.metric("pillion_store_bytes{tier=\"memory\"}") < bytes * 0.6);
  CHECK(proxy.metric("pillion_store_evictions_total{tier=\"memory\"}") == 0);
  CHECK(detailed(proxy.get("/odd/7")) == "hit memory");
  CHECK(outcome(proxy.get("/even/7")) == "uri-miss stored");
}

TEST_CASE("sweep: in memory what may still validate stays") {
  ScriptedUpstream upstream;
  upstream.answer("/even/", [](Exchange& exchange) {
    if (exchange.request().fields["If-None-Match"] == "\"v1\"") return exchange.respond(304, {{"ETag", "\"v1\""}});
    exchange.respond(200, caching("max-age=60", {{"ETag", "\"v1\""}}), "the very same");
  });
  Pillion proxy(tagged(upstream.endpoint(), "store:\n  memory: { size: 64MiB }\n"));
  fill(proxy, 5);
  proxy.invalidate(R"({"all": true})");
  CHECK(eventually([&] { return swept(proxy, "memory") == 5; }));
  CHECK(in_memory(proxy) == 5);
  CHECK(detailed(proxy.get("/even/3")) == "stale revalidated");
}

TEST_CASE("sweep: in Redis what was invalidated is unlinked, what was fetched since stays, and so does all else") {
  RedisServer redis;
  ScriptedUpstream upstream(cacheable("body"));
  upstream.answer("/odd/many", cacheable("body", {{"Cache-Tag", [] {
                                                     std::string tags = "t0";
                                                     for (int i = 1; i < 900; ++i) tags += ",t" + std::to_string(i);
                                                     return tags;
                                                   }()}}));
  // Names formed as those of responses, and values that aren't; and a name of another's making.
  const std::string hash = "0123456789abcdef0123456789abcdef";
  redis.command({"SET", "api:even:" + hash, "a value of another's making, longer than any front would have to be"});
  redis.command({"RPUSH", "api:even:f" + hash.substr(1), "a list"});
  redis.command({"SET", "character:42", "the application's own"});
  Pillion proxy(tagged(upstream.endpoint(), in_redis(redis)));
  fill(proxy, 150);
  for (const std::string target : {"/odd/many", "/even/many"}) REQUIRE(proxy.get(target).status == 200);
  REQUIRE(eventually([&] { return redis.keys(even_keys).size() == 153 && redis.keys(odd_keys).size() == 151; }));
  proxy.invalidate(R"({"tags": ["even", "t899"]})");
  proxy.get("/even/77");
  CHECK(eventually([&] { return swept(proxy, "redis") >= 151 && redis.keys(even_keys).size() == 3; }));
  CHECK(redis.keys(odd_keys).size() == 150);
  CHECK(redis.command({"GET", "character:42"}).text == "the application's own");
  CHECK(redis.command({"LLEN", "api:even:f" + hash.substr(1)}).integer == 1);
  CHECK(redis.command({"EXISTS", "pillion:log"}).integer == 1);
  CHECK(detailed(proxy.get("/odd/33")) == "hit memory");
  proxy.restart();
  CHECK(detailed(proxy.get("/even/77")) == "hit redis");
  CHECK(detailed(proxy.get("/odd/33")) == "hit redis");
}

TEST_CASE("sweep: without an invalidation Redis is never walked, and its keys are never listed") {
  RedisServer redis, other;
  ScriptedUpstream upstream(cacheable("body"));
  Pillion quiet(tagged(upstream.endpoint(), in_redis(redis)));
  fill(quiet, 3);
  // One that begins later and has swept already: so the first could have.
  Pillion proxy(tagged(upstream.endpoint(), in_redis(other)));
  fill(proxy, 3);
  proxy.invalidate(R"({"tags": ["even"]})");
  CHECK(eventually([&] { return swept(proxy, "redis") == 3; }));
  const auto commands = [](const RedisServer& server) { return server.command({"INFO", "commandstats"}).text; };
  CHECK(commands(other).find("cmdstat_scan:") != std::string::npos);
  CHECK(commands(other).find("cmdstat_keys:") == std::string::npos);
  CHECK(commands(redis).find("cmdstat_scan:") == std::string::npos);
}

TEST_CASE("sweep: only what is in its own namespace") {
  RedisServer redis;
  ScriptedUpstream upstream(cacheable("body"));
  Pillion one(tagged(upstream.endpoint(), in_redis(redis, "    namespace: \"one:\"\n")));
  Pillion two(tagged(upstream.endpoint(), in_redis(redis, "    namespace: \"two:\"\n")));
  Pillion plain(tagged(upstream.endpoint(), in_redis(redis)));
  for (Pillion* proxy : {&one, &two, &plain}) fill(*proxy, 20);
  REQUIRE(eventually([&] { return redis.keys(even_keys).size() == 60; }));
  one.invalidate(R"({"all": true})");
  plain.invalidate(R"({"all": true})");
  CHECK(eventually([&] { return swept(one, "redis") == 40 && swept(plain, "redis") == 40; }));
  CHECK(redis.keys("two:api:*").size() == 40);
  CHECK(redis.keys("one:api:*").empty());
  CHECK(redis.keys("api:*").empty());
}

TEST_CASE("sweep: the user that the README gives is allowed to do it") {
  RedisServer redis({.arguments = pillion_user("shop:").arguments()});
  ScriptedUpstream upstream(cacheable("body"));
  Pillion proxy(tagged(upstream.endpoint(),
                       redis_store("    url: redis://pillion:s3cret@127.0.0.1:" + std::to_string(redis.port()) + "\n") +
                           "    namespace: \"shop:\"\n"));
  fill(proxy, 10);
  REQUIRE(eventually([&] { return redis.keys(even_keys).size() == 10; }));
  proxy.invalidate(R"({"tags": ["even"]})");
  CHECK(eventually([&] { return swept(proxy, "redis") == 10; }));
  CHECK(redis.keys(odd_keys).size() == 10);
}

TEST_CASE("sweep: a place beyond the log's end, where another is said to have come to, keeps nobody from sweeping") {
  RedisServer redis;
  ScriptedUpstream upstream(cacheable("body"));
  Pillion proxy(tagged(upstream.endpoint(), in_redis(redis)));
  fill(proxy, 10);
  REQUIRE(eventually([&] { return redis.keys(even_keys).size() == 10; }));
  proxy.invalidate(R"({"tags": ["even"]})");
  REQUIRE(eventually([&] { return !redis.command({"GET", "pillion:swept"}).is_null(); }));
  const std::string place = redis.command({"GET", "pillion:swept"}).text;
  redis.command({"SET", "pillion:swept", place.substr(0, place.find(':')) + ":18446744073709551615"});
  redis.command({"DEL", "pillion:sweep"});
  proxy.invalidate(R"({"tags": ["odd"]})");
  CHECK(eventually([&] { return redis.keys(odd_keys).empty(); }));
}

TEST_CASE("sweep: a lease without an end, or something else in its place, keeps nobody from sweeping") {
  for (const std::vector<std::string>& foreign : {std::vector<std::string>{"SET", "pillion:sweep", "x"},
                                                  {"RPUSH", "pillion:sweep", "x"},
                                                  {"SET", "pillion:sweep", "x", "EX", "86400"}}) {
    CAPTURE(foreign[0]);
    RedisServer redis({.arguments = pillion_user().arguments()});
    ScriptedUpstream upstream(cacheable("body"));
    Pillion proxy(tagged(upstream.endpoint(), redis_store("    url: redis://pillion:s3cret@127.0.0.1:" +
                                                          std::to_string(redis.port()) + "\n")));
    fill(proxy, 10);
    REQUIRE(eventually([&] { return redis.keys(even_keys).size() == 10; }));
    redis.command(foreign);
    proxy.invalidate(R"({"tags": ["even"]})");
    CHECK(eventually([&] { return redis.keys(even_keys).empty(); }));
  }
}

TEST_CASE("sweep: every master of a cluster") {
  RedisCluster cluster;
  ScriptedUpstream upstream(cacheable("body"));
  Pillion proxy(tagged(upstream.endpoint(), redis_store(cluster.settings())));
  fill(proxy, 60);
  REQUIRE(eventually([&] { return cluster.keys(even_keys).size() == 60 && cluster.keys(odd_keys).size() == 60; }));
  proxy.invalidate(R"({"tags": ["even"]})");
  CHECK(eventually([&] { return swept(proxy, "redis") == 60; }));
  CHECK(cluster.keys(even_keys).empty());
  CHECK(cluster.keys(odd_keys).size() == 60);
}

TEST_CASE("sweep: of several replicas one walks Redis, the others do nothing") {
  RedisServer redis;
  ScriptedUpstream upstream(cacheable("body"));
  Pillion one(tagged(upstream.endpoint(), in_redis(redis))), two(tagged(upstream.endpoint(), in_redis(redis)));
  fill(one, 100);
  REQUIRE(eventually([&] { return redis.keys(even_keys).size() == 100; }));
  one.invalidate(R"({"tags": ["even"]})");
  CHECK(
      eventually([&] { return redis.keys(even_keys).empty() && !redis.command({"GET", "pillion:swept"}).is_null(); }));
  CHECK(swept(one, "redis") + swept(two, "redis") == 100);
  // All rest after a round, and so long at least.
  CHECK(redis.command({"PTTL", "pillion:sweep"}).integer > 10'000);
}
