// A proxy that does not run: what the admin API's tests ask.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <stdexcept>

#include "ops/control.hpp"

namespace pillion {

inline config::Config sample_config() {
  config::Config c;
  c.listeners.push_back({"", {"127.0.0.1", 0, {}}});
  config::Listener egress;
  egress.name = "egress";
  c.listeners.push_back(egress);
  c.canonical_host = "app.example.com";
  for (const char* name : {"app", "comfyui"}) {
    config::Upstream upstream;
    upstream.name = name;
    upstream.url = "http://127.0.0.1:8000";
    upstream.address = {"127.0.0.1", 8000, {}};
    upstream.authority = "127.0.0.1:8000";
    c.upstreams.push_back(upstream);
  }
  c.redis.enabled = true;
  c.redis.url = "redis://:hunter2@127.0.0.1:6379/0";
  c.redis.password = "hunter2";
  c.redis.key_namespace = "ns:";

  config::Route character;
  character.name = "character";
  character.path = "/api/characters/{character_id}";
  character.upstream = "app";
  character.cache = config::CacheMode::on;
  character.ttl = std::chrono::minutes(5);
  character.ttl_by_status[404] = std::chrono::seconds(10);
  character.key = "character:{character_id}";
  character.query.ignore = {"utm_*"};
  character.tags = {"character:{character_id}", "characters"};
  character.invalidate.push_back({{"PUT", "DELETE"},
                                  {"character:{character_id}"},
                                  {"api:characters:*", "x:{character_id}:*"},
                                  {"/api/characters"}});
  character.invalidate.push_back({{"POST"}, {"posted"}, {}, {}});
  c.routes.push_back(character);

  config::Route samplers;
  samplers.name = "samplers";
  samplers.path = "/comfyui/samplers";
  samplers.listener = "egress";
  samplers.upstream = "comfyui";
  samplers.rewrite = "/object_info/KSampler";
  samplers.cache = config::CacheMode::on;
  samplers.ttl = std::chrono::minutes(1);
  samplers.freshness = config::FreshnessFrom::route;
  samplers.key = "api:samplers";
  samplers.store_redis = false;
  c.routes.push_back(samplers);

  config::Route explicit_only;
  explicit_only.name = "explicit";
  explicit_only.path = "/explicit/**";
  explicit_only.upstream = "app";
  explicit_only.cache = config::CacheMode::on;
  explicit_only.key = "api:explicit";
  c.routes.push_back(explicit_only);

  config::Route off;
  off.name = "off";
  off.path = "/off/**";
  off.upstream = "app";
  off.key = "api:off";
  c.routes.push_back(off);
  return c;
}

class FakeControl : public Control {
 public:
  explicit FakeControl(config::Config c = sample_config())
      : config_(std::make_shared<const config::Config>(std::move(c))),
        routes_(std::make_shared<const RouteTable>(*config_)) {}

  bool is_ready = true;
  InvalidationReceipt receipt{"17-3", false, 0, {}, {"host-1"}, {}, false};
  std::optional<InvalidationRequest> asked;
  StoredLookup stored;
  std::string looked_up;
  bool fails = false;
  ReloadOutcome reloaded;
  int reloads = 0;

  bool is_warming = false;
  std::string_view why_not_ready() const override { return is_warming ? "warming" : is_ready ? "" : "draining"; }
  bool takes_lists = true;
  std::vector<WarmTarget> warmed;
  bool warming_ended = false;
  class FakeStream : public WarmStream {
   public:
    FakeStream(FakeControl& control, std::vector<WarmTarget> targets)
        : control_(control), targets_(std::move(targets)) {}
    ~FakeStream() override { control_.warming_ended = true; }
    boost::asio::awaitable<std::optional<WarmedUrl>> next() override {
      if (next_ == targets_.size()) co_return std::nullopt;
      WarmedUrl url{targets_[next_++], {}};
      url.warmed.result = WarmResult::stored;
      url.warmed.status = 200;
      co_return url;
    }

   private:
    FakeControl& control_;
    std::vector<WarmTarget> targets_;
    std::size_t next_ = 0;
  };
  std::unique_ptr<WarmStream> warm(std::vector<WarmTarget> targets) override {
    if (!takes_lists) return nullptr;
    warmed = targets;
    return std::make_unique<FakeStream>(*this, std::move(targets));
  }
  std::shared_ptr<const config::Config> config() const override { return config_; }
  std::shared_ptr<const RouteTable> routes() const override { return routes_; }
  boost::asio::awaitable<InvalidationReceipt> invalidate(InvalidationRequest request) override {
    if (fails) throw std::runtime_error("made to fail");
    asked = std::move(request);
    co_return receipt;
  }
  boost::asio::awaitable<StoredLookup> find_stored(const RequestHead& request, std::string_view) override {
    looked_up = std::string(request.method_name) + " " + std::string(request.host) + std::string(request.target);
    co_return stored;
  }
  boost::asio::awaitable<ReloadOutcome> reload() override {
    ++reloads;
    co_return reloaded;
  }
  Counters& counters() override { return counters_; }
  InsightsFound remembered;
  std::optional<InsightsAsked> asked_for;
  std::vector<RedisFigures> redis;
  boost::asio::awaitable<InsightsFound> insights(InsightsAsked what) override {
    asked_for = std::move(what);
    co_return remembered;
  }
  boost::asio::awaitable<std::vector<RedisFigures>> redis_figures() override { co_return redis; }
  Bypass& bypass() override { return bypass_; }
  MemoryStore::Figures memory_figures() const override { return {4096, 3, 2}; }
  bool watch_up() const override { return true; }
  std::uint64_t access_log_dropped() const override { return 5; }

 private:
  std::shared_ptr<const config::Config> config_;
  std::shared_ptr<const RouteTable> routes_;
  Counters counters_{2};
  Bypass bypass_;
};

}  // namespace pillion
