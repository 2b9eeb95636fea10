// Warming (product contract, sections 1, 2 and 5): what is fetched into the cache at start and by `pillion warm`, when
// the proxy is ready, what is remembered for the next start, and who makes room for whom.
#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "integration.hpp"

namespace {

constexpr std::string_view routes =
    "canonical_host: app.test\nroutes:\n  - name: off\n    path: /off/**\n    cache: off\n  - name: all\n    path: "
    "/**\n    ttl: 10m\n";

std::string config(const Endpoint& upstream, std::string_view warm, std::string_view more = {}) {
  return config_for(upstream, std::string(routes) + "warm: " + std::string(warm) + "\n" + std::string(more));
}

PillionOptions not_waiting() {
  PillionOptions options;
  options.wait_until_ready = false;
  return options;
}

bool is_ready(Pillion& proxy) { return proxy.admin_get("/readyz").status == 200; }

/// The lines of POST /warm, by URL.
std::map<std::string, Json> warm(Pillion& proxy, const std::vector<std::string>& urls) {
  std::string list;
  for (const std::string& url : urls) list += (list.empty() ? "\"" : ",\"") + url + "\"";
  const Response response = proxy.admin_post("/warm", "{\"urls\": [" + list + "]}");
  REQUIRE(response.status == 200);
  CHECK(response["Content-Type"] == "application/x-ndjson");
  std::map<std::string, Json> lines;
  std::istringstream text(response.body);
  std::size_t count = 0;
  for (std::string line; std::getline(text, line); ++count) {
    const Json json = Json::parse(line);
    lines[json["url"].string] = json;
  }
  CHECK(count == urls.size());
  return lines;
}

std::string result(const Json& line) {
  return line["result"].string + (line.has("reason") ? " " + line["reason"].string : "");
}

double warmed(Pillion& proxy, const std::string& what) {
  return proxy.metric("pillion_warmed_total{result=\"" + what + "\"}");
}

}  // namespace

TEST_CASE("warm: what the configuration names is fetched before the proxy is ready, and the first client finds it") {
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    gate.wait();
    exchange.respond(200, caching("max-age=60"), "body");
  });
  Pillion proxy(config(upstream.endpoint(), "{ urls: [/a, \"http://app.test/b?c=d\"], ready_after: 10m }"),
                not_waiting());
  REQUIRE(upstream.wait_for_requests(2));
  const Response waiting = proxy.admin_get("/readyz");
  CHECK(waiting.status == 503);
  CHECK(Json::parse(waiting.body)["state"].string == "warming");
  CHECK(Json::parse(waiting.body)["of"].number == 2);
  CHECK(proxy.metric("pillion_warming") == 1);
  gate.open();
  CHECK(eventually([&] { return is_ready(proxy); }));
  CHECK(detailed(proxy.get("/a")) == stored_hit());
  CHECK(detailed(proxy.get("/b?c=d")) == stored_hit());
  CHECK(upstream.count() == 2);
  CHECK(proxy.metric("pillion_warming") == 0);
  CHECK(warmed(proxy, "stored") == 2);
  proxy.process().wait_for_err_line("warmed 2 of 2 URLs");
  const Json stats = Json::parse(proxy.admin_get("/stats").body)["warm"];
  CHECK_FALSE(stats["warming"].boolean);
  CHECK(stats["done"].number == 2);
  CHECK(stats["results"]["stored"].number == 2);
  // As a client that has nothing of its own.
  const ReceivedRequest asked = upstream.requests("/a").at(0);
  CHECK(asked.fields["Host"] == "app.test");
  CHECK_FALSE(asked.fields.has("Cookie"));
  CHECK_FALSE(asked.fields.has("Authorization"));
}

TEST_CASE("warm: readiness waits no longer than ready_after, and what is left is warmed all the same") {
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    gate.wait();
    exchange.respond(200, caching("max-age=60"), "body");
  });
  Pillion proxy(config(upstream.endpoint(), "{ urls: [/a], ready_after: 100ms }"), not_waiting());
  CHECK(eventually([&] { return is_ready(proxy); }));
  proxy.process().wait_for_err_line("ready before all is warmed: ready_after is over; warmed 0 of 1 URLs");
  CHECK(proxy.metric("pillion_warm_late_total") == 1);
  gate.open();
  CHECK(eventually([&] { return warmed(proxy, "stored") == 1; }));
  CHECK(detailed(proxy.get("/a")) == stored_hit());
}

TEST_CASE("warm: an application that is down at first is tried again until ready_after is over") {
  ScriptedUpstream upstream(cacheable("body"));
  upstream.stop();
  {
    Pillion proxy(config(upstream.endpoint(), "{ urls: [/a], ready_after: 10m }"), not_waiting());
    CHECK(eventually([&] { return proxy.metric("pillion_warming") == 1; }));
    upstream.start();
    CHECK(eventually([&] { return is_ready(proxy); }));
    CHECK(detailed(proxy.get("/a")) == stored_hit());
  }
  upstream.stop();
  Pillion proxy(config(upstream.endpoint(), "{ urls: [/a], ready_after: 100ms }"), not_waiting());
  CHECK(eventually([&] { return is_ready(proxy); }));
  CHECK(eventually([&] { return warmed(proxy, "failed") == 1; }));
  proxy.process().wait_for_err_line("/a is not warmed: connect-failed");
}

TEST_CASE("warm: an application that answers 503 while it starts is asked again, one that answers 404 is not") {
  ScriptedUpstream upstream;
  upstream.answer("/late", [count = std::make_shared<std::atomic<int>>(0)](Exchange& exchange) {
    exchange.respond(++*count < 3 ? 503 : 200, caching("max-age=60"), "body");
  });
  upstream.answer("/none", numbered(caching("no-store"), 404));
  Pillion proxy(config(upstream.endpoint(), "{ urls: [/late, /none], ready_after: 10m }"));
  CHECK(upstream.count("/late") == 3);
  CHECK(upstream.count("/none") == 1);
  CHECK(detailed(proxy.get("/late")) == stored_hit());
  CHECK(warmed(proxy, "uncacheable") == 1);
}

TEST_CASE("warm: each URL of POST /warm is told with what became of it") {
  ScriptedUpstream upstream(cacheable("0123456789"));
  upstream.answer("/no", numbered(caching("no-store")));
  upstream.answer("/bad", numbered({}, 500));
  upstream.answer("/cookie", numbered({{"Set-Cookie", "a=b"}}));
  Pillion proxy(config(upstream.endpoint(), "{ concurrency: 1 }"));
  proxy.get("/there");
  auto lines = warm(proxy, {"/new", "/there", "/no", "/bad", "/cookie", "/off/x", "nothing", "/a#b", "/%2e%2e/"});
  CHECK(result(lines["/new"]) == "stored");
  CHECK(lines["/new"]["status"].number == 200);
  CHECK(lines["/new"]["bytes"].number == 10);
  CHECK(result(lines["/there"]) == "fresh " + first_tier());
  CHECK(result(lines["/no"]) == "uncacheable no-store");
  CHECK(result(lines["/bad"]).starts_with("failed"));
  CHECK(lines["/bad"]["status"].number == 500);
  CHECK(result(lines["/cookie"]) == "uncacheable set-cookie");
  CHECK(result(lines["/off/x"]) == "uncacheable cache-off");
  CHECK(lines["nothing"]["result"].string == "failed");
  CHECK(lines["/a#b"]["result"].string == "failed");
  CHECK(result(lines["/%2e%2e/"]) == "uncacheable path");
  CHECK(detailed(proxy.get("/new")) == stored_hit());
  CHECK(upstream.count("/there") == 1);
  upstream.stop();
  CHECK(result(warm(proxy, {"/late"})["/late"]) == "failed connect-failed");
  CHECK(result(warm(proxy, {"/new"})["/new"]) == "fresh " + first_tier());
}

TEST_CASE("warm: what isn't a list of URLs is refused") {
  ScriptedUpstream upstream;
  Pillion proxy(config(upstream.endpoint(), "{}"));
  CHECK(fetch(proxy.admin(), "POST", "/warm", {{"Content-Type", "text/plain"}}, "x").status == 415);
  CHECK(proxy.admin_get("/warm").status == 405);
  for (const char* body : {"", "[]", "{}", "{\"urls\": []}", "{\"urls\": \"/a\"}", "{\"urls\": [1]}",
                           "{\"url\": [\"/a\"]}", "{\"urls\": [\"/a\"], \"listener\": \"none\"}"}) {
    CAPTURE(body);
    const Response response = proxy.admin_post("/warm", body);
    CHECK(response.status == 400);
    CHECK_FALSE(Json::parse(response.body)["error"].string.empty());
  }
}

TEST_CASE("warm: a client and the warming that want one URL make one fetch") {
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    gate.wait();
    exchange.respond(200, caching("max-age=60"), "body");
  });
  Pillion proxy(config(upstream.endpoint(), "{}"));
  std::thread warming([&] { CHECK(result(warm(proxy, {"/first"})["/first"]) == "stored"); });
  REQUIRE(upstream.wait_for_requests("/first", 1));
  HttpClient client = proxy.connect();
  client.send_request("GET", "/first");
  HttpClient other = proxy.connect();
  other.send_request("GET", "/second");
  REQUIRE(upstream.wait_for_requests("/second", 1));
  std::thread later([&] {
    const std::string word = warm(proxy, {"/second"})["/second"]["result"].string;
    CHECK((word == "stored" || word == "fresh"));  // by whether it came before the gate opened
  });
  gate.open();
  CHECK(outcome(client.read_response()) != "none");
  CHECK(other.read_response().status == 200);
  warming.join();
  later.join();
  CHECK(upstream.count("/first") == 1);
  CHECK(upstream.count("/second") == 1);
}

TEST_CASE("warm: it takes no room from what clients have asked for, and none is fetched for long when there is none") {
  ScriptedUpstream upstream(cacheable(std::string(8000, 'x')));
  Pillion proxy(config(upstream.endpoint(), "{ concurrency: 1 }", "store: { memory: { size: 512KiB } }\n"));
  // Some are asked for again, the others but once.
  for (int i = 0; i < 40; ++i) proxy.get("/hot" + std::to_string(i));
  for (int i = 0; i < 20; ++i) CHECK(outcome(proxy.get("/hot" + std::to_string(i))) == "hit");
  std::vector<std::string> urls;
  for (int i = 0; i < 200; ++i) urls.push_back("/new" + std::to_string(i));
  auto lines = warm(proxy, urls);
  CHECK(lines["/new0"]["result"].string == "stored");
  CHECK(lines["/new199"]["result"].string == "no_room");
  CHECK(upstream.count() < 40 + 200);
  // What nobody has asked for yet is the first to make room, however often it is warmed.
  CHECK(warm(proxy, urls)["/new0"]["result"].string == "fresh");
  const std::size_t before = upstream.count();
  for (int i = 0; i < 5; ++i) proxy.get("/wanted" + std::to_string(i));
  for (int i = 0; i < 40; ++i) CHECK(outcome(proxy.get("/hot" + std::to_string(i))) == "hit");
  CHECK(upstream.count() == before + 5);
}

TEST_CASE("warm: a Redis that would have to evict for it isn't written to") {
  ScriptedUpstream upstream(cacheable(std::string(20'000, 'x')));
  RedisServer redis({.arguments = {"--maxmemory", "4mb", "--maxmemory-policy", "volatile-lru"}});
  Pillion proxy(config(upstream.endpoint(), "{}", redis_store(redis.settings() + "    compress: off\n", "off")));
  CHECK(result(warm(proxy, {"/early"})["/early"]) == "stored");
  CHECK(outcome(proxy.get("/early")) == "hit");
  for (int i = 0; i < 300; ++i) proxy.get("/" + std::to_string(i));
  CHECK(result(warm(proxy, {"/late"})["/late"]) == "no_room");
  const std::string key = Json::parse(proxy.admin_get("/explain?url=/late").body)["redis_key"].string;
  CHECK(redis.command({"EXISTS", key}).integer == 0);
}

TEST_CASE("warm: an upstream's max_in_flight holds for it, and clients go first") {
  ScriptedUpstream upstream(cacheable("body"));
  Gate& gate = upstream.gate();
  upstream.answer("/off/held", [&](Exchange& exchange) {
    gate.wait();
    exchange.respond(200);
  });
  Pillion proxy("listeners: [{ address: 127.0.0.1:0 }]\nadmin: { address: 127.0.0.1:0 }\nupstreams:\n  app: { url: " +
                upstream.url() + ", max_in_flight: 1 }\n" + std::string(routes));
  HttpClient client = proxy.connect();
  client.send_request("GET", "/off/held");
  REQUIRE(upstream.wait_for_requests("/off/held", 1));
  std::thread warming([&] { CHECK(result(warm(proxy, {"/a"})["/a"]) == "stored"); });
  CHECK(upstream.count("/a") == 0);
  gate.open();
  warming.join();
  CHECK(client.read_response().status == 200);
  CHECK(detailed(proxy.get("/a")) == stored_hit());
}

TEST_CASE("warm: what was asked for most is warmed at the next start, from Redis") {
  ScriptedUpstream upstream(cacheable("body"));
  RedisServer redis({.arguments = {}, .user = pillion_user()});
  Pillion proxy(config(upstream.endpoint(), "{ hottest: 3 }", redis_store(redis.settings())));
  HttpClient client = proxy.connect();
  for (int i = 0; i < 300; ++i) client.get("/hot?n=1");
  for (int i = 0; i < 60; ++i) client.get("/warm");
  for (int i = 0; i < 300; ++i) client.get("/mine", {{"Cookie", "id=1"}});
  for (int i = 0; i < 300; ++i) client.get("/off/never");
  client.get("/once");
  proxy.stop();
  const std::string kept = redis.command({"GET", "pillion:hottest"}).text;
  CAPTURE(kept);
  CHECK(kept.find("http://app.test/hot?n=1\n") != std::string::npos);
  CHECK(kept.find("http://app.test/hot?n=1") < kept.find("http://app.test/warm"));
  CHECK(kept.find("/mine") == std::string::npos);
  CHECK(kept.find("/off") == std::string::npos);
  CHECK(kept.find("/once") == std::string::npos);
  // Nothing but the list is left.
  for (const std::string& key : redis.keys())
    if (key != "pillion:hottest") redis.command({"DEL", key});
  const std::size_t before = upstream.count();
  proxy.restart();
  CHECK(upstream.count() == before + 2);
  CHECK(outcome(proxy.get("/hot?n=1")) == "hit");
  CHECK(outcome(proxy.get("/warm")) == "hit");
  CHECK(upstream.count() == before + 2);
}

TEST_CASE("warm: without Redis the hottest URLs are kept in a file, for its owner alone") {
  if (skipped_in({Stores::redis, Stores::both}, "it says what happens without Redis")) return;
  ScriptedUpstream upstream(cacheable("body"));
  TempDir folder;
  const std::string file = folder / "hottest";
  Pillion proxy(config(upstream.endpoint(), "{ hottest: 10, file: " + file + " }"));
  HttpClient client = proxy.connect();
  for (int i = 0; i < 100; ++i) client.get("/hot");
  proxy.restart();
  CHECK(upstream.count("/hot") == 2);
  CHECK(detailed(proxy.get("/hot")) == stored_hit());
  CHECK(std::filesystem::status(file).permissions() ==
        (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
  // Nobody asks for it in this run: it isn't forgotten for that, and anything else in the file does no harm.
  proxy.stop();
  std::ofstream(file, std::ios::app) << "rubbish\n1 1 / /old\n" << std::string(100'000, 'x') << "\n";
  proxy.restart();
  CHECK(upstream.count("/hot") == 3);
  CHECK(upstream.count() == 3);
  proxy.stop();
  std::filesystem::remove(file);
  std::filesystem::create_directory(file);
  proxy.restart();
  proxy.process().wait_for_err_line("can't be read from " + file);
  CHECK(proxy.get("/hot").status == 200);
}

TEST_CASE("warm: the pages of the application's sitemap, those of an index too, and none of another host") {
  ScriptedUpstream upstream(cacheable("page"));
  upstream.answer("/sitemap.xml", [](Exchange& exchange) {
    exchange.respond(200, {{"Content-Type", "application/xml"}},
                     "<sitemapindex><sitemap><loc>http://app.test/one.xml</loc></sitemap>"
                     "<sitemap><loc>http://elsewhere.test/two.xml</loc></sitemap></sitemapindex>");
  });
  upstream.answer("/one.xml", [](Exchange& exchange) {
    exchange.respond(
        200, {{"Content-Type", "application/xml"}},
        "<urlset><url><loc>http://app.test/a</loc></url><url><loc>http://app.test/b?c=1&amp;d=2</loc></url>"
        "<url><loc>http://elsewhere.test/c</loc></url><url><loc>/d</loc></url></urlset>");
  });
  Pillion proxy(config(upstream.endpoint(), "{ sitemap: /sitemap.xml }"));
  CHECK(upstream.count() == 4);
  CHECK(detailed(proxy.get("/a")) == stored_hit());
  CHECK(detailed(proxy.get("/b?c=1&d=2")) == stored_hit());
  proxy.process().wait_for_err_line("left out 2");
  // What is none keeps nobody waiting.
  upstream.answer("/sitemap.xml", numbered({}, 404));
  proxy.restart();
  proxy.process().wait_for_err_line("/sitemap.xml: the upstream answered 404");
}

TEST_CASE("warm: a variant is the one of a plain client, and an https URL is that of clients behind TLS") {
  ScriptedUpstream upstream(cacheable("body", {{"Vary", "Accept-Encoding"}}));
  Pillion proxy(config(upstream.endpoint(), "{}"));
  auto lines = warm(proxy, {"/plain", "https://app.test/tls"});
  CHECK(result(lines["/plain"]) == "stored");
  CHECK(result(lines["https://app.test/tls"]) == "stored");
  CHECK(detailed(proxy.get("/plain")) == stored_hit());
  CHECK(detailed(proxy.get("/tls", {{"X-Forwarded-Proto", "https"}})) == stored_hit());
  CHECK(outcome(proxy.get("/tls")) == "uri-miss stored");
}

TEST_CASE("warm: without canonical_host a path is that of clients who know no other name than the address") {
  ScriptedUpstream upstream(cacheable("body"));
  Pillion proxy(
      config_for(upstream.endpoint(), "routes:\n  - name: all\n    path: /**\n    cache: on\nwarm: { urls: [/a] }\n"));
  CHECK(detailed(proxy.get("/a", {{"Host", proxy.client().to_string()}})) == stored_hit());
  CHECK(upstream.count() == 1);
}

TEST_CASE("warm: what is stored and stale is refreshed, with its validator") {
  ScriptedUpstream upstream;
  upstream.answer([](Exchange& exchange) {
    const bool same = exchange.request().fields["If-None-Match"] == "\"1\"";
    exchange.respond(same ? 304 : 200, caching("max-age=60", {{"ETag", "\"1\""}}), same ? "" : "body");
  });
  Pillion proxy(config(upstream.endpoint(), "{}"));
  proxy.get("/a");
  proxy.invalidate(R"({"urls": ["http://app.test/a"], "soft": true})");
  const Json line = warm(proxy, {"/a"})["/a"];
  CHECK(result(line) == "stored");
  CHECK(line["status"].number == 304);
  CHECK(detailed(proxy.get("/a")) == stored_hit());
  CHECK(upstream.count() == 2);
}

TEST_CASE("warm: replicas that start together with `collapse: fleet` ask the application once for each URL") {
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    gate.wait();
    exchange.respond(200, caching("max-age=60"), "body");
  });
  RedisServer redis;
  const std::string text =
      config_for(upstream.endpoint(),
                 "canonical_host: app.test\nroutes:\n  - name: all\n    path: /**\n    cache: on\n    collapse: "
                 "fleet\n    collapse_wait: 60s\n" +
                     redis_store(redis.settings()));
  // The log is there, as it is wherever there were replicas before: who begins one distrusts what others store
  // meanwhile.
  {
    const Pillion before(text);
  }
  std::vector<std::unique_ptr<Pillion>> replicas;
  for (int i = 0; i < 3; ++i)
    replicas.push_back(
        std::make_unique<Pillion>(text + "warm: { urls: [/a, /b, /c, /d], ready_after: 10m }\n", not_waiting()));
  REQUIRE(upstream.wait_for_requests(4));
  gate.open();
  for (const auto& replica : replicas) {
    CHECK(eventually([&] { return is_ready(*replica); }));
    for (const char* url : {"/a", "/b", "/c", "/d"}) CHECK(outcome(replica->get(url)) == "hit");
    CHECK(warmed(*replica, "stored") + warmed(*replica, "fresh") == 4);
  }
  CHECK(upstream.count() == 4);
}

TEST_CASE("warm: a signal ends it, whatever it waits for") {
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    gate.wait();
    exchange.respond(200, caching("max-age=60"), "body");
  });
  Pillion proxy(config(upstream.endpoint(), "{ urls: [/a, /b, /c, /d, /e, /f], concurrency: 1, ready_after: 10m }"),
                not_waiting());
  REQUIRE(upstream.wait_for_requests(1));
  proxy.process().signal(SIGTERM);
  CHECK(eventually([&] { return Json::parse(proxy.admin_get("/readyz").body)["state"].string == "draining"; }));
  proxy.process().signal(SIGTERM);
  const auto end = proxy.process().wait();
  REQUIRE(end.has_value());
  CHECK(end->code == 0);
  CHECK(upstream.count() == 1);
}

TEST_CASE("warm: a reload that changes what is to be warmed ends the warming at start") {
  ScriptedUpstream upstream;
  Gate& gate = upstream.gate();
  upstream.answer([&](Exchange& exchange) {
    gate.wait();
    exchange.respond(200, caching("max-age=60"), "body");
  });
  Pillion proxy(config(upstream.endpoint(), "{ urls: [/a, /b], concurrency: 1, ready_after: 10m }"), not_waiting());
  REQUIRE(upstream.wait_for_requests(1));
  std::string text = read_file(proxy.config_file());
  text.replace(text.find("/a, /b"), 6, "/a");
  write_file(proxy.config_file(), text);
  CHECK(proxy.admin_post("/reload", "{}").status == 200);
  CHECK(eventually([&] { return is_ready(proxy); }));
  gate.open();
  CHECK(eventually([&] { return warmed(proxy, "stored") == 1; }));
  CHECK(warmed(proxy, "stopped") == 1);
  CHECK(upstream.count() == 1);
}

TEST_CASE("warm: the command reads a file or standard input, prints what became of each, and says so when it fails") {
  ScriptedUpstream upstream(cacheable("body"));
  upstream.answer("/no", numbered(caching("no-store")));
  upstream.answer("/bad", numbered({}, 500));
  Pillion proxy(config(upstream.endpoint(), "{}"));
  const std::string admin = "http://" + proxy.admin().to_string();
  TempDir folder;
  write_file(folder / "list", "# the start page\n/a\r\n\n  /no\n");
  const Finished good = run_pillion({"warm", "--admin", admin, folder / "list"});
  CHECK(good.exit.code == 0);
  CHECK(good.out.find("stored /a 200\n") != std::string::npos);
  CHECK(good.out.find("uncacheable /no 200 (no-store)\n") != std::string::npos);
  CHECK(good.out.find("warmed 2 of 2 URLs: 1 stored, 1 uncacheable\n") != std::string::npos);
  ProcessOptions options;
  options.arguments = {pillion_binary(), "warm", "--admin", admin, "--json", "-"};
  std::string many = "/bad\n";
  for (int i = 0; i < 1200; ++i) many += "/many" + std::to_string(i) + "\n";
  options.input = many;
  const Finished bad = run(options);
  CHECK(bad.exit.code == 1);
  CHECK(std::count(bad.out.begin(), bad.out.end(), '\n') == 1201);
  CHECK(bad.out.find("{\"url\":\"/bad\",\"result\":\"failed\"") != std::string::npos);
  CHECK(detailed(proxy.get("/many1199")) == stored_hit());
  CHECK(run_pillion({"warm", "--admin", admin, folder / "none"}).exit.code == 2);
  write_file(folder / "empty", "# nothing\n");
  CHECK(run_pillion({"warm", "--admin", admin, folder / "empty"}).exit.code == 2);
  RefusingPort nobody;
  const Finished alone = run_pillion({"warm", "--admin", "http://" + nobody.endpoint().to_string(), folder / "list"});
  CHECK(alone.exit.code == 1);
  CHECK(alone.err.find("--admin") != std::string::npos);
}
