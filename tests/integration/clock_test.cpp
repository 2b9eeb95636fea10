// Replicas whose clocks differ: how old a stored response is, and for how long it lives, is the same to all of them
// (product contract, section 4).
#include "integration.hpp"

namespace {

/// Two replicas on one Redis, the first of which has another wall clock.
struct Two {
  explicit Two(long ahead_s) : other(config_of(), {.environment = with_clock_ahead(ahead_s)}), right(config_of()) {}
  std::string config_of() const {
    return one_route(upstream.endpoint(), "    ttl: 1h\n", redis_store(redis.settings()));
  }
  RedisServer redis;
  ScriptedUpstream upstream{cacheable("body")};
  Pillion other, right;
};

long age(const Response& response) { return std::stol(response.fields["Age"]); }

}  // namespace

TEST_CASE("clock: what a replica stores whose clock is behind is not old for the others") {
  Two two(-24 * 3600);
  CHECK(outcome(two.other.get("/thing")) == "uri-miss stored");
  CHECK(eventually([&] { return !two.redis.keys("api:*").empty(); }));
  const Response read = two.right.get("/thing");
  CHECK(detailed(read) == "hit redis");
  CHECK(age(read) < 3600);
  CHECK(two.upstream.count() == 1);
}

TEST_CASE("clock: what a replica stores whose clock is ahead is not new for the others") {
  Two two(24 * 3600);
  CHECK(outcome(two.other.get("/thing")) == "uri-miss stored");
  CHECK(eventually([&] { return age(two.other.get("/thing")) >= 2; }));
  const Response read = two.right.get("/thing");
  CHECK(detailed(read) == "hit redis");
  CHECK(age(read) >= 1);
}

TEST_CASE("clock: nor is what others store old or new for a replica whose clock is another") {
  for (const long ahead_s : {24 * 3600, -24 * 3600}) {
    CAPTURE(ahead_s);
    Two two(ahead_s);
    CHECK(outcome(two.right.get("/thing")) == "uri-miss stored");
    CHECK(eventually([&] { return age(two.right.get("/thing")) >= 2; }));
    const Response read = two.other.get("/thing");
    CHECK(detailed(read) == "hit redis");
    CHECK(age(read) >= 1);
    CHECK(age(read) < 3600);
  }
}
