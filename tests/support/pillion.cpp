#include "support/pillion.hpp"

#include <doctest/doctest.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

namespace pillion::support {

std::string pillion_binary() {
  const char* named = std::getenv("PILLION_BIN");
  std::string path = named != nullptr ? named : PILLION_BUILT_BINARY;
  if (::access(path.c_str(), X_OK) != 0)
    throw std::runtime_error("no pillion at '" + path + "': build it, or set PILLION_BIN");
  return path;
}

std::map<std::string, std::string> with_clock_ahead(long seconds) {
  return {{"LD_PRELOAD", PILLION_SKEWED_CLOCK}, {"PILLION_TEST_CLOCK_SKEW", std::to_string(seconds)}};
}

std::string source_folder() { return PILLION_SOURCE_FOLDER; }

Finished run_pillion(std::vector<std::string> arguments, Deadline deadline) {
  arguments.insert(arguments.begin(), pillion_binary());
  return run(std::move(arguments), deadline);
}

std::string config_for(const Endpoint& upstream, std::string_view rest) {
  return "listeners:\n  - address: 127.0.0.1:0\nadmin:\n  address: 127.0.0.1:0\nupstreams:\n  app: " + upstream.url() +
         "\nworkers: 2\n" + std::string(rest);
}

std::string redis_store(const std::string& settings, std::string_view memory, std::string_view time) {
  std::string line = memory.empty() ? "" : "  memory: " + std::string(memory) + "\n";
  return "store:\n" + line + "  redis:\n" + settings + std::string(time);
}

namespace {

/// As this run's mode has it.
std::string store_section(const RedisServer& redis) {
  return redis_store(redis.settings(), stores_under_test() == Stores::redis ? "off" : "");
}

}  // namespace

std::string caching_config(const Endpoint& upstream, const RedisServer* redis, std::string_view rest) {
  std::string config = config_for(upstream, "routes:\n  - name: all\n    path: /**\n    cache: on\n");
  if (redis != nullptr) config += store_section(*redis);
  return config + std::string(rest);
}

namespace {

std::size_t occurrences(std::string_view text, std::string_view what) {
  std::size_t n = 0;
  for (auto at = text.find(what); at != std::string_view::npos; at = text.find(what, at + 1)) ++n;
  return n;
}

/// The addresses after `word` in whole lines, in order.
std::vector<std::string> addresses(std::string_view text, std::string_view word) {
  std::vector<std::string> out;
  for (auto at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
    auto start = at + word.size();
    auto end = text.find_first_of("\n \"", start);
    if (end == std::string_view::npos) break;
    out.emplace_back(text.substr(start, end - start));
  }
  return out;
}

}  // namespace

Pillion::Pillion(std::string_view given, PillionOptions options) : options_(std::move(options)) {
  std::string config = add_store(given);
  folder_.write("proxy.yaml", config);
  // Only top-level `listeners:` hold `- address:` or `address:` before `admin:` in the tests' files.
  auto from = config.find("listeners:");
  auto to = config.find("\nadmin:");
  if (from != std::string::npos) listeners_ = occurrences(config.substr(from, to - from), "address:");
  if (options_.listeners != 0) listeners_ = options_.listeners;
  has_metrics_ = config.find("\nmetrics:") != std::string::npos;
  has_queries_ = config.find("\nquery_cache:") != std::string::npos;
  has_redis_ = config.find("\n  redis:") != std::string::npos;
  for (const auto& argument : options_.arguments) has_redis_ = has_redis_ || argument == "--redis";
  has_redis_ = has_redis_ || options_.environment.contains("REDIS_URL");
  start();
}

/// `config` as it is in this run's mode.
std::string Pillion::add_store(std::string_view given) {
  std::string config(given);
  Stores mode = stores_under_test();
  if (mode == Stores::memory || !options_.arguments.empty()) return config;
  if (config.find("\nstore:") == std::string::npos) {
    own_redis_ = std::make_unique<RedisServer>();
    config += store_section(*own_redis_);
    // Redis drops what is past its use, memory does not: with it, what is stale can be revalidated in every mode.
    if (config.find("\ndefaults:") == std::string::npos) config += "defaults:\n  keep: 1h\n";
  }
  constexpr std::string_view url = "url: redis://";
  auto at = config.find(url, config.find("\nstore:"));
  if (at == std::string::npos) return config;
  auto end = config.find_first_of("/\n", at + url.size());
  watched_redis_ = Endpoint::parse(config.substr(at + url.size(), end - at - url.size()));
  return config;
}

void Pillion::start() {
  ProcessOptions options;
  options.arguments = options_.arguments;
  if (options.arguments.empty()) options.arguments = {"serve", "--config", config_file()};
  options.arguments.insert(options.arguments.begin(), pillion_binary());
  options.arguments.insert(options.arguments.begin(), options_.wrapper.begin(), options_.wrapper.end());
  options.environment = options_.environment;
  options.file_limit = options_.file_limit;
  options.folder = folder_.path().string();
  process_ = std::make_unique<Process>(std::move(options));
  read_addresses();
  if (options_.wait_until_ready) wait_until_usable();
}

void Pillion::wait_until_usable() {
  bool ready = eventually([&] { return fetch(admin_, "GET", "/readyz").status == 200; });
  if (!ready) throw std::runtime_error("pillion did not become ready: " + process_->err());
  // A proxy serves before its Redis answers. Tests of what stands there need it to be used; that it says so is a test
  // of its own.
  if (!has_redis_ || !options_.wait_for_redis) return;
  bool used = eventually([&] { return metric("pillion_redis_up") == 1 && metric("pillion_log_up") == 1; });
  if (!used) throw std::runtime_error("pillion did not come to use its Redis: " + process_->err());
}

void Pillion::read_addresses() {
  Deadline deadline;
  for (;;) {
    std::string text = process_->err();
    auto clients = addresses(text, "listening on ");
    auto admins = addresses(text, "admin on ");
    auto metric = addresses(text, "metrics on ");
    auto queries = addresses(text, "query cache on ");
    if (clients.size() >= listeners_ && !admins.empty() && (!has_metrics_ || !metric.empty()) &&
        (!has_queries_ || !queries.empty())) {
      clients_.clear();
      for (const auto& address : clients) clients_.push_back(Endpoint::parse(address));
      admin_ = Endpoint::parse(admins[0]);
      if (has_metrics_) metrics_ = Endpoint::parse(metric[0]);
      if (has_queries_) queries_ = Endpoint::parse(queries[0]);
      return;
    }
    process_->wait_for_more_err(text.size(), deadline);
  }
}

void Pillion::stop() {
  if (!process_) return;
  // A second signal ends it at once (product contract, "Running it").
  process_->signal(SIGINT);
  process_->signal(SIGINT);
  auto exit = process_->wait();
  std::string err = process_->err();
  if (!exit) {
    FAIL_CHECK("pillion does not end after two SIGINT");
  } else if (exit->signal != 0 && exit->signal != SIGINT && exit->signal != SIGKILL) {
    FAIL_CHECK("pillion was " << exit->to_string() << ": " << err.substr(err.size() > 3000 ? err.size() - 3000 : 0));
  }
  for (const char* bad : {"Sanitizer", "runtime error:", "terminate called", "Assertion"}) {
    auto at = err.find(bad);
    if (at != std::string::npos) FAIL_CHECK("pillion said: " << err.substr(at > 200 ? at - 200 : 0, 6000));
  }
  process_.reset();
}

Pillion::~Pillion() { stop(); }

void Pillion::restart() {
  stop();
  start();
}

Response Pillion::request(std::string_view method, std::string_view target, const Fields& fields,
                          std::string_view body) {
  std::optional<StoredValues> before;
  if (watched_redis_) before = StoredValues::where_reachable(*watched_redis_);
  Response response = fetch(client(), method, target, fields, body);
  if (!before) return response;
  CacheStatus status = cache_status(response);
  bool too_large = response.body.size() >= 1u << 20;  // of a body in chunks, that shows after its head was sent
  bool varies = response["Vary"].find_first_not_of(" \t,") != std::string::npos;
  if (status.stored && response.complete && !too_large) {
    if (!before->wait_for_another(*watched_redis_, varies)) FAIL_CHECK("stored, and never seen in Redis: " << target);
  } else if (status.detail == "revalidated") {
    // Where the answer forbids storing, nothing comes.
    before->wait_for_another(*watched_redis_, varies, Deadline(1s));
  }
  return response;
}

Response Pillion::query(std::string_view method, std::string_view target, Fields fields, std::string_view body) {
  if (!fields.has("Host")) fields.add("Host", "localhost");
  return fetch(queries(), method, target, fields, body);
}

Response Pillion::admin_post(std::string_view target, std::string_view json, const Fields& fields) {
  Fields all = fields;
  if (!fields.has("Content-Type")) all.add("Content-Type", "application/json");
  return fetch(admin(), "POST", target, all, json);
}

Json Pillion::invalidate(std::string_view json) {
  Response response = admin_post("/invalidate", json);
  if (response.status != 200) {
    throw std::runtime_error("POST /invalidate: " + std::to_string(response.status) + " " + response.body);
  }
  return Json::parse(response.body);
}

double Pillion::metric(std::string_view name_and_labels) {
  std::string text = admin_get("/metrics").body;
  double sum = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    auto end = text.find('\n', at);
    std::string line = text.substr(at, end - at);
    if (line.starts_with(name_and_labels)) sum += std::strtod(line.c_str() + line.rfind(' '), nullptr);
    if (end == std::string::npos) break;
    at = end + 1;
  }
  return sum;
}

}  // namespace pillion::support
