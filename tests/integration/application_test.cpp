// An application that caches by itself today and is to leave that to Pillion: proxy.yaml.example is written for it, and
// runs here as it is. Its lifetimes, names, invalidations and figures, each as it was. README, "Instead of an
// application's own caches", has the table; tests/README.md says which test shows which row.
#include <set>

#include "integration.hpp"

namespace {

std::string example() {
  std::string text = read_file(source_folder() + "/proxy.yaml.example");
  const std::string_view time = "timeout: 50ms";  // a busy machine's Redis may need more
  const auto at = text.find(time);
  if (at == std::string::npos) throw std::runtime_error("the example has no time for Redis");
  return text.replace(at, time.size(), "timeout: 5s");
}

/// The example file between the application, its image server and a Redis of this test's.
struct Application {
  RedisServer redis;
  ScriptedUpstream api{numbered({{"Content-Type", "application/json"}})};
  ScriptedUpstream images;
  Pillion proxy{example(), options()};

  PillionOptions options() {
    PillionOptions options;
    options.listeners = 2;
    options.environment = {{"PILLION_LISTEN", "127.0.0.1:0"},
                           {"PILLION_EGRESS", "127.0.0.1:0"},
                           {"PILLION_QUERY_CACHE", "127.0.0.1:0"},
                           {"PILLION_ADMIN", "127.0.0.1:0"},
                           {"APP_URL", api.url()},
                           {"COMFYUI_URL", images.url()},
                           {"REDIS_URL", redis.url()}};
    return options;
  }

  /// As a loader does it.
  void load(const std::string& type, const std::string& id) {
    const std::string target = "/query/" + type + "/" + id;
    const Response missing = proxy.query("GET", target);
    CHECK(missing.status == 404);
    REQUIRE(missing.fields.has("Lease"));
    CHECK(proxy.query("PUT", target, {{"Lease", missing["Lease"]}}, "{}").status == 204);
  }
  bool has(const std::string& target) {
    if (target.starts_with("/query/")) return proxy.query("HEAD", target).status == 200;  // which takes no lease
    return outcome(proxy.get(target)) == "hit";
  }
  void invalidate(std::vector<std::string> selectors) {
    std::vector<std::string> command{"invalidate", "--admin", proxy.admin().url(), "--wait", "20s"};
    command.insert(command.end(), selectors.begin(), selectors.end());
    const Finished finished = run_pillion(command);
    CHECK_MESSAGE(finished.exit.code == 0, finished.err);
  }
  std::string only_key(const std::string& pattern) {
    eventually([&] { return redis.keys(pattern).size() == 1; });
    const auto keys = redis.keys(pattern);
    REQUIRE(keys.size() == 1);
    return keys[0];
  }
  /// Milliseconds until Redis forgets it, which is a second past its lifetime at most.
  bool lasts(const std::string& key, int seconds) {
    const auto left = redis.command({"PTTL", key}).integer;
    return left <= seconds * 1000 + 1000 && left > (seconds - 5) * 1000 - 1;
  }
};

bool is_hash(std::string_view text) {
  return text.size() == 32 && text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

struct Lifetime {
  std::string target;
  std::string pattern;
  int seconds;
};

const std::vector<std::string> everything{"/api/characters/char_123",
                                          "/api/characters/char_9",
                                          "/api/characters",
                                          "/api/content/content_456",
                                          "/api/content",
                                          "/api/posts",
                                          "/query/character/char_123",
                                          "/query/character/char_9",
                                          "/query/content_metadata/content_456",
                                          "/api/platforms/instagram",
                                          "/api/analytics/summary"};

}  // namespace

TEST_CASE("application: each kind of answer has its lifetime and its readable key") {
  Application application;
  const Lifetime rows[] = {{"/api/characters/char_123", "character:char_123:*", 300},
                           {"/api/characters", "api:characters:*", 300},
                           {"/api/content/content_456", "content:content_456:*", 600},
                           {"/api/platforms/instagram", "api:platforms:*", 60},
                           {"/api/analytics/summary", "api:analytics:*", 900},
                           {"/api/status", "api:status:*", 5},
                           {"/api/posts", "api:posts:*", 60}};
  for (const Lifetime& row : rows) {
    CAPTURE(row.target);
    CHECK(application.proxy.get(row.target).status == 200);
    const std::string key = application.only_key(row.pattern);
    CHECK(is_hash(key.substr(row.pattern.size() - 1)));
    CHECK(application.lasts(key, row.seconds));
    CHECK(detailed(application.proxy.get(row.target)) == "hit memory");
  }
  CHECK(detailed(application.proxy.get("/elsewhere")) == "bypass cache-off");
  for (const char* method : {"POST", "PUT", "DELETE"}) {
    CHECK_FALSE(cache_status(application.proxy.request(method, "/api/posts/1", {}, "x")).hit);
  }
}

TEST_CASE("application: each kind of query has its lifetime and its readable key") {
  Application application;
  const std::pair<const char*, int> types[] = {
      {"character", 300},      {"content_metadata", 600}, {"platform_status", 60},
      {"analytics", 900},      {"system_status", 5},      {"api_response", 60},
      {"checkpoint_list", 60}, {"sampler_list", 60},      {"scheduler_list", 60}};
  for (const auto& [type, seconds] : types) {
    CAPTURE(type);
    application.load(type, "char_123");
    CHECK(application.lasts(application.only_key(std::string(type) + ":char_123"), seconds));
    CHECK(application.has("/query/" + std::string(type) + "/char_123"));
  }
}

TEST_CASE("application: the image server's lists stay in memory, over connections that are kept") {
  Application application;
  // One client: each worker pools connections of its own.
  HttpClient client(application.proxy.client(1));
  for (std::string list : {"/comfyui/checkpoints", "/comfyui/samplers", "/comfyui/schedulers"}) {
    CAPTURE(list);
    CHECK(client.get(list).status == 200);
    CHECK(detailed(client.get(list)) == "hit memory");
  }
  CHECK(application.images.connections() == 1);
  CHECK(application.images.count() == 3);
  CHECK(application.redis.keys("*comfyui*").empty());
  CHECK(application.redis.keys("*samplers*").empty());
}

TEST_CASE("application: each of its calls that invalidate has a command that does the same, for answers and values") {
  struct Row {
    const char* call;
    std::vector<std::string> selectors;
    std::set<std::string> gone;
  };
  const Row rows[] = {
      {"invalidate_character_cache(character_id=\"char_123\")",
       {"--tag", "character:char_123"},
       {"/api/characters/char_123", "/query/character/char_123"}},
      {"invalidate_character_cache()",
       {"--tag", "characters", "--pattern", "character:*"},
       {"/api/characters/char_123", "/api/characters/char_9", "/api/characters", "/query/character/char_123",
        "/query/character/char_9"}},
      {"invalidate_content_cache(content_id=\"content_456\")",
       {"--tag", "content:content_456", "--tag", "content_metadata:content_456"},
       {"/api/content/content_456", "/query/content_metadata/content_456"}},
      {"invalidate_api_cache(endpoint=\"posts\")", {"--pattern", "api:posts:*"}, {"/api/posts"}},
      {"invalidate_cache_by_pattern(\"character:*\")",
       {"--pattern", "character:*"},
       {"/api/characters/char_123", "/api/characters/char_9", "/query/character/char_123", "/query/character/char_9"}}};
  Application application;
  for (const Row& row : rows) {
    CAPTURE(row.call);
    for (const std::string& target : everything) {
      if (application.has(target) || !target.starts_with("/query/")) continue;
      const auto slash = target.rfind('/');
      const std::string type = target.substr(7, slash - 7);
      application.load(type, target.substr(slash + 1));
    }
    for (const std::string& target : everything) REQUIRE_MESSAGE(application.has(target), target);
    application.invalidate(row.selectors);
    for (const std::string& target : everything)
      CHECK_MESSAGE(application.has(target) == !row.gone.contains(target), target);
  }
}

TEST_CASE("application: an update that passes through is followed by what shows it, with no call at all") {
  Application application;
  Pillion& proxy = application.proxy;
  const auto fill = [&] {
    for (const char* target :
         {"/api/characters/char_123", "/api/characters", "/api/content/content_456", "/api/content"})
      proxy.get(target);
  };
  fill();
  application.load("character", "char_123");
  CHECK(proxy.request("PUT", "/api/characters/char_123", {}, "x").status == 200);
  CHECK_FALSE(application.has("/query/character/char_123"));
  CHECK_FALSE(application.has("/api/characters/char_123"));
  CHECK_FALSE(application.has("/api/characters"));
  CHECK(application.has("/api/content/content_456"));
  fill();
  CHECK(proxy.request("PATCH", "/api/content/content_456", {}, "x").status == 200);
  CHECK_FALSE(application.has("/api/content/content_456"));
  CHECK_FALSE(application.has("/api/content"));
  CHECK(application.has("/api/characters/char_123"));
}

TEST_CASE("application: its status ends by itself within seconds") {
  Application application;
  CHECK(application.proxy.get("/api/status").body == "1");
  CHECK(eventually([&] { return application.proxy.get("/api/status").body != "1"; }));
}

TEST_CASE("application: hit rates are told for each endpoint and type, and what Redis says of its memory") {
  Application application;
  application.proxy.get("/api/posts");
  for (int i = 0; i < 3; ++i) application.proxy.get("/api/posts");
  application.load("character", "char_123");
  CHECK(application.has("/query/character/char_123"));
  const Json stats = Json::parse(application.proxy.admin_get("/stats").body);
  CHECK(stats["routes"]["api"]["requests"].number == 4);
  CHECK(stats["routes"]["api"]["saved"]["requests"].number == 3);
  CHECK(stats["routes"]["query:character"]["requests"].number >= 2);
  CHECK(application.proxy.metric("pillion_requests_total{route=\"api\"") == 4);
  CHECK(eventually([&] {
    const Json now = Json::parse(application.proxy.admin_get("/stats").body);
    return now["redis"].array.size() == 1 && now["redis"].array[0]["memory_bytes"].number > 0;
  }));
}
