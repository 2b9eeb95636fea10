// The commands, their exit codes and what they say (product contract, section 1; what bad configuration gets).
#include <csignal>

#include "integration.hpp"

namespace {

/// `pillion check` on a file of this content.
Finished check(const TempDir& folder, std::string_view content) {
  return run_pillion({"check", "--config", folder.write("proxy.yaml", content)});
}

std::size_t lines(std::string_view text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

/// True for `FILE:LINE:COLUMN: something` with this line.
bool at_line(std::string_view err, int line) {
  std::string place = "proxy.yaml:" + std::to_string(line) + ":";
  auto at = err.find(place);
  if (at == std::string_view::npos) return false;
  auto rest = err.substr(at + place.size());
  auto digits = rest.find_first_not_of("0123456789");
  return digits > 0 && digits != std::string_view::npos && rest.substr(digits, 2) == ": ";
}

}  // namespace

TEST_CASE("cli: version and help") {
  Finished version = run_pillion({"--version"});
  CHECK(version.exit.code == 0);
  CHECK(version.out.find("pillion") != std::string::npos);
  Finished help = run_pillion({"--help"});
  CHECK(help.exit.code == 0);
  for (std::string command : {"serve", "check", "explain", "invalidate", "why", "top", "health", "demo"})
    CHECK(help.out.find(command) != std::string::npos);
  CHECK(run_pillion({"serve", "--help"}).exit.code == 0);
}

TEST_CASE("cli: wrong usage is 2, with a line on standard error") {
  const std::vector<std::vector<std::string>> rows = {{},
                                                      {"sevre"},
                                                      {"--bad"},
                                                      {"serve", "--bad"},
                                                      {"check", "--config"},
                                                      {"explain", "--config", "x.yaml"},
                                                      {"invalidate"}};
  for (const auto& arguments : rows) {
    CAPTURE(arguments.size());
    Finished finished = run_pillion(arguments);
    CHECK(finished.exit.to_string() == "exit code 2");
    CHECK_FALSE(finished.err.empty());
  }
}

TEST_CASE("cli: the example file is right") {
  Finished finished = run_pillion({"check", "--config", source_folder() + "/proxy.yaml.example"});
  CHECK(finished.exit.code == 0);
  CHECK(finished.err.empty());
}

TEST_CASE("cli: check names the place of each mistake, and what would be right") {
  struct Row {
    std::string why;
    std::string yaml;
    int line;
    std::string says;
  };
  const Row rows[] = {
      {"an unknown key, with the nearest", "upstreams: { app: http://127.0.0.1:1 }\nroute:\n  - name: a\n    path: /\n",
       2, "routes"},
      {"an unknown key of a route",
       "upstreams: { app: http://127.0.0.1:1 }\nroutes:\n  - name: a\n    path: /\n    tll: 5s\n", 5, "ttl"},
      {"a bad duration",
       "upstreams: { app: http://127.0.0.1:1 }\nroutes:\n  - name: a\n    path: /\n    ttl: 5 parsecs\n", 5, "5m"},
      {"an unknown lifetime",
       "upstreams: { app: http://127.0.0.1:1 }\nttl: { character: 5m }\nroutes:\n  - name: a\n    path: /\n    ttl: "
       "charactr\n",
       6, "character"},
      {"a parameter that the path lacks",
       "upstreams: { app: http://127.0.0.1:1 }\nroutes:\n  - name: a\n    path: /x/{id}\n    ttl: 5s\n    key: "
       "\"a:{idd}\"\n",
       6, "idd"},
      {"two routes of one name",
       "upstreams: { app: http://127.0.0.1:1 }\nroutes:\n  - name: a\n    path: /x\n  - name: a\n    path: /y\n", 5,
       "a"},
      {"a hidden route",
       "upstreams: { app: http://127.0.0.1:1 }\nroutes:\n  - name: a\n    path: /**\n  - name: b\n    path: /y\n", 6,
       "a"},
      {"an unknown upstream",
       "upstreams: { app: http://127.0.0.1:1 }\nroutes:\n  - name: a\n    path: /\n    upstream: ap\n", 5, "app"},
      {"a bad URL", "upstreams:\n  app: ftp://127.0.0.1\n", 2, "http"},
      {"a bad size", "upstreams: { app: http://127.0.0.1:1 }\nstore:\n  memory: { size: 12 bananas }\n", 3, "MiB"},
      {"a bad address", "upstreams: { app: http://127.0.0.1:1 }\nlisteners:\n  - address: nowhere\n", 3, ""},
      {"a port too large", "upstreams: { app: http://127.0.0.1:1 }\nlisteners:\n  - address: 127.0.0.1:70000\n", 3, ""},
      {"a wrong type", "upstreams: { app: http://127.0.0.1:1 }\nroutes: yes\n", 2, ""},
      {"a key twice", "upstreams: { app: http://127.0.0.1:1 }\nlimits: { head: 1KiB }\nlimits: { head: 2KiB }\n", 3,
       "limits"},
      {"a URL to be warmed that is none", "upstreams: { app: http://127.0.0.1:1 }\nwarm: { urls: [a] }\n", 2,
       "/api/status"},
      {"nowhere to remember what was hot", "upstreams: { app: http://127.0.0.1:1 }\nwarm: { hottest: 5 }\n", 2,
       "warm.file"},
      {"a refresh ahead of more than half a lifetime",
       "upstreams: { app: http://127.0.0.1:1 }\nroutes:\n  - name: a\n    path: /\n    ttl: 5s\n    refresh: { ahead: "
       "60% }\n",
       6, "50%"},
      {"broken YAML", "upstreams: { app: http://127.0.0.1:1 }\nroutes: [\n", 0, ""},
      {"memory off without Redis", "upstreams: { app: http://127.0.0.1:1 }\nstore:\n  memory: off\n", 3, "redis"},
  };
  TempDir folder;
  for (const Row& row : rows) {
    CAPTURE(row.why);
    Finished finished = check(folder, row.yaml);
    CAPTURE(finished.err);
    CHECK(finished.exit.to_string() == "exit code 2");
    if (row.line > 0) CHECK(at_line(finished.err, row.line));
    CHECK(finished.err.find(row.says) != std::string::npos);
  }
}

TEST_CASE("cli: all errors come in one run, one line each") {
  TempDir folder;
  Finished finished =
      check(folder,
            "upstreams: { app: http://127.0.0.1:1 }\nroutes:\n  - name: a\n    path: /a\n    ttl: never\n"
            "  - name: b\n    path: /b\n    tll: 5s\n  - name: b\n    path: /c\n");
  CHECK(finished.exit.code == 2);
  CHECK(lines(finished.err) >= 3);
  for (int line : {5, 8, 9}) CHECK(at_line(finished.err, line));
}

TEST_CASE("cli: environment variables stand in values, with their defaults") {
  TempDir folder;
  std::string file = folder.write(
      "proxy.yaml", "upstreams: { app: \"${APP_URL}\" }\nlisteners:\n  - address: \"127.0.0.1:${PORT:-0}\"\n");
  ProcessOptions options;
  options.arguments = {pillion_binary(), "check", "--config", file};
  CHECK(run(options).exit.code == 2);
  options.environment["APP_URL"] = "http://127.0.0.1:8000";
  CHECK(run(options).exit.code == 0);
  options.environment["PORT"] = "http";
  CHECK(run(options).exit.code == 2);
}

TEST_CASE("cli: explain says offline what would happen") {
  TempDir folder;
  std::string file = folder.write(
      "proxy.yaml",
      "canonical_host: app.test\nupstreams: { app: http://127.0.0.1:1 }\nttl: { character: 5m }\nroutes:\n"
      "  - name: character\n    path: /api/characters/{id}\n    ttl: character\n    key: \"character:{id}\"\n"
      "    tags: [\"character:{id}\"]\n    invalidate:\n      - { methods: [PUT], tags: [\"character:{id}\"] }\n");
  Finished text = run_pillion({"explain", "--config", file, "/api/characters/char_1"});
  CHECK(text.exit.code == 0);
  for (std::string word : {"character", "character:char_1"}) CHECK(text.out.find(word) != std::string::npos);
  Json json = Json::parse(run_pillion({"explain", "--config", file, "--json", "/api/characters/char_1"}).out);
  CHECK(json["route"].string == "character");
  CHECK(json["upstream"].string == "app");
  CHECK(json["cacheable"].boolean);
  CHECK(json["redis_key"].string.starts_with("character:char_1:"));
  CHECK(json["tags"].contains("character:char_1"));
  Json put = Json::parse(
      run_pillion({"explain", "--config", file, "--json", "--method", "PUT", "/api/characters/char_1"}).out);
  CHECK_FALSE(put["cacheable"].boolean);
  Json personal = Json::parse(
      run_pillion({"explain", "--config", file, "--json", "-H", "Cookie: a=1", "/api/characters/char_1"}).out);
  CHECK_FALSE(personal["reason"].string.empty());
  Json none = Json::parse(run_pillion({"explain", "--config", file, "--json", "/elsewhere"}).out);
  CHECK_FALSE(none["cacheable"].boolean);
}

TEST_CASE("cli: explain and the running proxy name the same Redis key") {
  RedisServer redis;
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint(), &redis, "canonical_host: app.test\ndefaults: { ttl: 60s }\n"));
  proxy.get("/some/page?x=1");
  REQUIRE(eventually([&] { return redis.keys("api:all:*").size() == 1; }));
  Json json = Json::parse(run_pillion({"explain", "--config", proxy.config_file(), "--json", "/some/page?x=1"}).out);
  CHECK(json["redis_key"].string == redis.keys("api:all:*").at(0));
}

TEST_CASE("cli: health is 0 for a ready proxy and 1 without one") {
  ScriptedUpstream upstream;
  Pillion proxy(caching_config(upstream.endpoint()));
  std::string admin = proxy.admin().url();
  CHECK(run_pillion({"health", "--admin", admin}).exit.code == 0);
  proxy.stop();
  Finished gone = run_pillion({"health", "--admin", admin});
  CHECK(gone.exit.code == 1);
  CHECK(lines(gone.err) == 1);
}

TEST_CASE("cli: serve says in one line what stops it") {
  TempDir folder;
  Fd taken = bind_loopback(0, 8);
  std::string address = "127.0.0.1:" + std::to_string(port_of(taken));
  struct Row {
    std::vector<std::string> arguments;
    std::string says;
  };
  std::string wrong = folder.write("wrong.yaml", "upstreams: { app: http://127.0.0.1:1 }\nroutes: 5\n");
  const Row rows[] = {
      {{"serve", "--upstream", "http://127.0.0.1:1", "--listen", address, "--admin", "127.0.0.1:0"}, address},
      {{"serve", "--upstream", "http://127.0.0.1:1", "--listen", "127.0.0.1:0", "--admin", address}, address},
      {{"serve", "--config", "/no/such/file.yaml"}, "/no/such/file.yaml"},
      {{"serve", "--config", folder.path().string()}, folder.path().string()},
      {{"serve", "--config", wrong}, "wrong.yaml:2:"},
      {{"serve", "--upstream", "not a url", "--listen", "127.0.0.1:0"}, "not a url"},
      {{"serve", "--upstream", "http://127.0.0.1:1", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--ttl",
        "soon"},
       "soon"},
      {{"serve", "--upstream", "http://127.0.0.1:1", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--redis",
        "mysql://x"},
       ""},
      {{"serve", "--upstream", "http://127.0.0.1:1", "--listen", "unix:/no/such/folder/s", "--admin", "127.0.0.1:0"},
       "/no/such/folder/s"},
  };
  for (const Row& row : rows) {
    CAPTURE(row.says);
    Finished finished = run_pillion(row.arguments);
    CAPTURE(finished.err);
    CHECK((finished.exit.code == 1 || finished.exit.code == 2));
    CHECK(finished.err.find(row.says) != std::string::npos);
  }
}

TEST_CASE("cli: demo shows what happens, serves on, and ends when interrupted") {
  ProcessOptions options;
  options.arguments = {pillion_binary(), "demo"};
  Process demo(options);
  CHECK(eventually([&] { return demo.out().find("hit") != std::string::npos; }));
  CHECK(eventually([&] { return demo.out().find("uri-miss") != std::string::npos; }));
  // It has shown all it wants to once nothing new comes for a while.
  std::size_t seen = 0;
  auto since = Clock::now();
  CHECK(eventually([&] {
    if (demo.out().size() != seen) {
      seen = demo.out().size();
      since = Clock::now();
    }
    return Clock::now() - since > 1s;
  }));
  CHECK(demo.running());
  demo.signal(SIGINT);
  auto exit = demo.wait();
  REQUIRE(exit.has_value());
  CHECK(exit->to_string() == "exit code 0");
}
