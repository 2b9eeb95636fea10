// What stands in Redis is compressed with zstd where that saves (product contract, section 2): nobody who reads it sees
// a difference, and values that aren't right are misses.
#include <cstdio>

#include "integration.hpp"

namespace {

/// One route for all, stored in Redis alone, so that each hit is read from there.
std::string in_redis(const Endpoint& upstream, const RedisServer& redis, const std::string& compress) {
  return one_route(upstream, "    ttl: 5m\n",
                   redis_store(redis.settings(), "off") + "    compress: " + compress + "\n");
}

std::string json_list(int items) {
  std::string text = "[";
  for (int i = 0; i < items; ++i) text += "{\"id\": " + std::to_string(i) + ", \"name\": \"a character\"},";
  return text + "null]";
}

std::string noise(std::size_t size) {
  std::string text(size, '\0');
  std::uint64_t state = 88172645463325252u;
  for (char& c : text) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    c = static_cast<char>(state >> 32);
  }
  return text;
}

/// The only response's key in that Redis.
std::string only_key(const RedisServer& redis) {
  REQUIRE(eventually([&] { return redis.keys("api:all:*").size() == 1; }));
  return redis.keys("api:all:*")[0];
}

std::int64_t value_size(const RedisServer& redis, const std::string& key) {
  return redis.command({"STRLEN", key}).integer;
}

/// An answer from Redis: in the moment in which it is stored, a request joins the fetch.
Response hit(Pillion& proxy, const std::string& target = "/", const Fields& fields = {}) {
  Response response;
  CHECK(eventually([&] {
    response = proxy.get(target, fields);
    return detailed(response) == "hit redis";
  }));
  return response;
}

/// What `answer` takes in Redis, bytes: its value, and all that Redis says it uses for it.
struct Taken {
  std::int64_t value = 0, memory = 0;
};

Taken taken_by(const std::string& answer, const std::string& compress) {
  RedisServer redis;
  ScriptedUpstream upstream;
  upstream.answer("/", cacheable(answer, {{"Content-Type", "application/json"}, {"ETag", "\"5f3c-1a2b3c\""}}));
  Pillion proxy(in_redis(upstream.endpoint(), redis, compress));
  proxy.get("/");
  const std::string key = only_key(redis);
  CHECK(hit(proxy).body == answer);
  return {value_size(redis, key), redis.command({"MEMORY", "USAGE", key}).integer};
}

}  // namespace

TEST_CASE("compress: real JSON answers take less than half of their bytes in Redis") {
  const std::vector<std::string> names{"status", "character",  "order",       "article",  "search_page",
                                       "events", "characters", "object_info", "analytics"};
  std::int64_t plain_bytes = 0, packed_bytes = 0;
  for (const std::string& name : names) {
    CAPTURE(name);
    const std::string answer = read_file(source_folder() + "/tests/answers/" + name + ".json");
    const Taken plain = taken_by(answer, "off"), packed = taken_by(answer, "on");
    std::printf(
        "FIGURES | bytes in Redis: %s, %zu of JSON | %ld (%ld with what Redis needs for it), with zstd %ld (%ld) |\n",
        name.c_str(), answer.size(), static_cast<long>(plain.value), static_cast<long>(plain.memory),
        static_cast<long>(packed.value), static_cast<long>(packed.memory));
    plain_bytes += plain.value;
    packed_bytes += packed.value;
    CHECK(plain.value > static_cast<std::int64_t>(answer.size()));
    if (answer.size() < 1800) {
      CHECK(packed.value == plain.value);  // below the least size
    } else {
      CHECK(packed.value < plain.value * 7 / 10);
    }
  }
  std::printf("FIGURES | bytes in Redis: all of these | %ld, with zstd %ld |\n", static_cast<long>(plain_bytes),
              static_cast<long>(packed_bytes));
  std::fflush(stdout);
  CHECK(packed_bytes < plain_bytes / 2);
}

TEST_CASE("compress: it is on where nothing is said, from 2 KiB on") {
  for (const std::size_t size : {1500, 2048}) {
    CAPTURE(size);
    RedisServer redis;
    ScriptedUpstream upstream;
    upstream.answer("/", cacheable(std::string(size, 'a')));
    Pillion proxy(one_route(upstream.endpoint(), "    ttl: 5m\n", redis_store(redis.settings())));
    proxy.get("/");
    CHECK((value_size(redis, only_key(redis)) < 1500) == (size == 2048));
  }
}

TEST_CASE("compress: what is dense, compressed already or small stands as it came") {
  const std::string text = json_list(200), dense = noise(8000);
  const struct {
    std::string what, compress;
    Fields fields;
    std::string body;
    bool smaller;
  } rows[] = {
      {"JSON", "on", {{"Content-Type", "application/json"}}, text, true},
      {"without a type", "on", {}, text, true},
      {"SVG", "on", {{"Content-Type", "image/svg+xml"}}, text, true},
      {"switched off", "off", {{"Content-Type", "application/json"}}, text, false},
      {"below the least size", "{ min: 1MiB }", {{"Content-Type", "application/json"}}, text, false},
      {"from the least size on",
       "{ min: 100B, level: 1 }",
       {{"Content-Type", "application/json"}},
       json_list(30),
       true},
      {"no smaller", "on", {{"Content-Type", "application/octet-stream"}}, dense, false},
      {"an image", "on", {{"Content-Type", "image/png"}}, text, false},
      {"encoded already", "on", {{"Content-Type", "application/json"}, {"Content-Encoding", "gzip"}}, text, false},
  };
  for (const auto& row : rows) {
    CAPTURE(row.what);
    RedisServer redis;
    ScriptedUpstream upstream;
    upstream.answer("/", cacheable(row.body, row.fields));
    Pillion proxy(in_redis(upstream.endpoint(), redis, row.compress));
    const Fields accept{{"Accept-Encoding", "gzip"}};
    proxy.get("/", accept);
    const std::string key = only_key(redis);
    const auto size = value_size(redis, key), body = static_cast<std::int64_t>(row.body.size());
    CHECK((size < body) == row.smaller);
    CHECK(hit(proxy, "/", accept).body == row.body);
  }
}

TEST_CASE("compress: replicas read each other's values whether they compress or not") {
  RedisServer redis;
  ScriptedUpstream upstream;
  const std::string body = json_list(300);
  upstream.answer("/a", cacheable(body, {{"ETag", "\"a\""}}));
  upstream.answer("/b", cacheable(body, {{"ETag", "\"b\""}}));
  Pillion packs(in_redis(upstream.endpoint(), redis, "on"));
  Pillion plain(in_redis(upstream.endpoint(), redis, "off"));
  packs.get("/a");
  plain.get("/b");
  for (Pillion* reader : {&packs, &plain}) {
    for (const std::string target : {"/a", "/b"}) {
      CAPTURE(target);
      const Response whole = hit(*reader, target);
      CHECK(whole.body == body);
      CHECK(whole["ETag"] == "\"" + target.substr(1) + "\"");
      const Response part = reader->get(target, {{"Range", "bytes=100-199"}});
      CHECK(part.status == 206);
      CHECK(part.body == body.substr(100, 100));
      const Response head = reader->request("HEAD", target);
      CHECK(detailed(head) == "hit redis");
      CHECK(head["Content-Length"] == std::to_string(body.size()));
      CHECK(reader->get(target, {{"If-None-Match", whole["ETag"]}}).status == 304);
    }
  }
  CHECK(upstream.count() == 2);
}

TEST_CASE("compress: a value that was flipped, cut or filled up is fetched anew") {
  RedisServer redis;
  ScriptedUpstream upstream;
  const std::string body = json_list(300);
  upstream.answer("/", cacheable(body));
  Pillion proxy(in_redis(upstream.endpoint(), redis, "on"));
  proxy.get("/");
  const std::string key = only_key(redis);
  const std::string good = redis.command({"GET", key}).text;
  REQUIRE(good.size() < body.size());
  std::vector<std::string> wrong{
      good.substr(0, good.size() / 2), good.substr(0, good.size() - 1), good + "x", good.substr(0, 108), "",
      std::string(good.size(), '\0')};
  for (std::size_t at = 3; at < good.size(); at += good.size() / 10) {
    wrong.push_back(good);
    wrong.back()[at] = static_cast<char>(wrong.back()[at] ^ 16);
  }
  for (std::size_t i = 0; i < wrong.size(); ++i) {
    CAPTURE(i);
    redis.command({"SET", key, wrong[i], "PX", "60000"});
    const Response fetched = proxy.get("/");
    // The fetch before may not be over for its own process yet, though its value stands in Redis.
    CHECK(outcome(fetched).starts_with("uri-miss stored"));
    CHECK(fetched.body == body);
    hit(proxy);
  }
}
