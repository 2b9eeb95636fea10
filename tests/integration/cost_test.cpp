// What invalidations cost: a hit's CPU with a hundred thousand of them behind it, and an invalidation's time with a
// million responses stored, each against the same without. Ratios are printed; what is asserted is that hits stay hits.
//
// PILLION_LONG=1 (tests/run.sh --long) takes the sizes named; without it a hundredth is stored.
#include <algorithm>
#include <array>
#include <cstdio>
#include <filesystem>

#include "integration.hpp"

namespace {

int scaled(int n) { return long_run() ? n : n / 100; }

/// Any number of small answers, from connections that come and go: the strict upstream keeps every request it gets.
void answer_fast(ScriptedUpstream& upstream) {
  upstream.answer_connections([](Stream& stream) {
    for (;;) {
      std::string out;
      for (auto end = stream.buffer().find("\r\n\r\n"); end != std::string::npos;
           end = stream.buffer().find("\r\n\r\n")) {
        std::string target = stream.buffer().substr(4, stream.buffer().find(' ', 4) - 4);
        std::string tag = "t" + target.substr(target.rfind('/') + 1);
        stream.buffer().erase(0, end + 4);
        out += response_bytes(200, {{"Surrogate-Key", tag + " all shop lists " + tag + ":parts"}}, "a small body");
      }
      stream.write(out);
      if (!stream.fill(Deadline(600s))) return;
    }
  });
}

std::string config(const ScriptedUpstream& upstream, const RedisServer& redis) {
  return config_for(
      upstream.endpoint(),
      "routes:\n  - name: thing\n    path: /things/{id}\n    key: \"thing:{id}\"\n    ttl: 7d\n    store: "
      "[memory]\nlog: { access: off }\n" +
          redis_store(redis.settings(), "{ size: 4GiB }"));
}

std::string target(int i) { return "/things/" + std::to_string(i); }

/// GETs, many to a write, on a few connections; how many were hits.
int get_all(Pillion& proxy, const std::vector<int>& which) {
  constexpr int connections = 4;
  constexpr std::size_t at_once = 64;
  std::atomic<int> hits{0};
  in_parallel(connections, [&](int c) {
    HttpClient client = proxy.connect();
    std::vector<int> mine;
    for (std::size_t i = static_cast<std::size_t>(c); i < which.size(); i += connections) mine.push_back(which[i]);
    for (std::size_t from = 0; from < mine.size(); from += at_once) {
      std::size_t end = std::min(mine.size(), from + at_once);
      std::string bytes;
      for (std::size_t i = from; i < end; ++i)
        bytes += "GET " + target(mine[i]) + " HTTP/1.1\r\nHost: app.test\r\n\r\n";
      client.send(bytes);
      for (std::size_t i = from; i < end; ++i) {
        Response response = client.read_response();
        if (response.status != 200) throw std::runtime_error("status " + std::to_string(response.status));
        if (response["Cache-Status"].find("; hit") != std::string::npos) ++hits;
      }
    }
  });
  return hits;
}

/// CPU time of all its threads, in nanoseconds.
double cpu_ns(Pillion& proxy) {
  double sum = 0;
  std::string tasks = "/proc/" + std::to_string(proxy.process().pid()) + "/task";
  for (const auto& task : std::filesystem::directory_iterator(tasks))
    sum += std::strtod(read_file(task.path().string() + "/schedstat").c_str(), nullptr);
  return sum;
}

void fill(Pillion& proxy, int n) {
  std::vector<int> all(static_cast<std::size_t>(n));
  for (int i = 0; i < n; ++i) all[static_cast<std::size_t>(i)] = i;
  get_all(proxy, all);
  // What joins or overtakes nothing is stored the first time.
  CHECK(proxy.metric("pillion_store_entries{tier=\"memory\"}") == n);
}

/// CPU for a hit, in nanoseconds: the least of some rounds of these, which are hit again and again.
double cost_of_a_hit(Pillion& proxy, const std::vector<int>& sample) {
  double before = cpu_ns(proxy);
  int hits = get_all(proxy, sample);
  CHECK(hits >= static_cast<int>(sample.size()) * 99 / 100);
  return (cpu_ns(proxy) - before) / static_cast<double>(sample.size());
}

void post(HttpClient& admin, const std::string& body) {
  Response response = admin.request("POST", "/invalidate", {{"Content-Type", "application/json"}}, body);
  REQUIRE(response.status == 200);
}

void invalidate_tags(Pillion& proxy, int tags) {
  HttpClient admin(proxy.admin());
  for (int i = 0; i < tags; i += 100) {
    std::string list;
    for (int n = i; n < std::min(tags, i + 100); ++n)
      list += (list.empty() ? "\"" : ", \"") + ("u" + std::to_string(n) + "\"");
    post(admin, "{\"tags\": [" + list + "]}");
  }
}

void invalidate_patterns(Pillion& proxy, int patterns) {
  HttpClient admin(proxy.admin());
  for (int i = 0; i < patterns; ++i) post(admin, "{\"patterns\": [\"elsewhere:" + std::to_string(i) + ":*\"]}");
}

/// Milliseconds of one tag's invalidation, the median of many.
double time_of_an_invalidation(Pillion& proxy) {
  HttpClient admin(proxy.admin());
  std::vector<double> took;
  for (int i = 0; i < 300; ++i) {
    auto begun = Clock::now();
    Response response = admin.request("POST", "/invalidate", {{"Content-Type", "application/json"}},
                                      "{\"tags\": [\"v" + std::to_string(i) + "\"]}");
    took.push_back(std::chrono::duration<double, std::milli>(Clock::now() - begun).count());
    REQUIRE(response.status == 200);
  }
  std::sort(took.begin(), took.end());
  return took[took.size() / 2];
}

}  // namespace

TEST_CASE(
    "cost: a hit costs the same with a hundred thousand invalidations behind it, an invalidation with a million "
    "stored") {
  ScriptedUpstream upstream;
  answer_fast(upstream);
  RedisServer redis, other_redis, third_redis;
  Pillion plain(config(upstream, redis)), burdened(config(upstream, other_redis)), empty(config(upstream, third_redis));
  const int stored = scaled(1'000'000);
  fill(plain, stored);
  fill(burdened, stored);
  // By turns, since this machine may be faster at one time than at another.
  std::array<std::vector<double>, 2> times;
  for (int round = 0; round < 9; ++round) {
    times[0].push_back(time_of_an_invalidation(plain));
    times[1].push_back(time_of_an_invalidation(empty));
  }
  // The same spread of stored responses at both, each compared with the invalidations once before it counts.
  std::vector<int> sample;
  for (int i = 0; i < 20'000; ++i) sample.push_back(static_cast<int>(static_cast<long>(i) * 7919 % stored));
  get_all(plain, sample);
  constexpr int tags = 100'000, patterns = 1'000;
  invalidate_tags(burdened, tags);
  int after_tags = get_all(burdened, sample);
  invalidate_patterns(burdened, patterns);
  int after_patterns = get_all(burdened, sample);
  // What was invalidated had nothing to do with what is stored (core/invalidation.hpp: how many suffer by mistake).
  CHECK(after_tags >= static_cast<int>(sample.size()) * 99 / 100);
  CHECK(after_patterns >= static_cast<int>(sample.size()) * 99 / 100);
  std::array<std::vector<double>, 2> costs;
  for (int round = 0; round < (long_run() ? 21 : 3); ++round) {
    costs[0].push_back(cost_of_a_hit(plain, sample));
    costs[1].push_back(cost_of_a_hit(burdened, sample));
  }
  for (auto& list : costs) std::sort(list.begin(), list.end());
  for (auto& list : times) std::sort(list.begin(), list.end());
  auto median = [](const std::vector<double>& list) { return list[list.size() / 2]; };
  auto percent = [&](int hits) { return 100.0 * hits / static_cast<double>(sample.size()); };
  std::printf(
      "FIGURES | cost: CPU of a hit, %d stored, %d tags and %d patterns invalidated | %.0f ns; %.0f ns without them: "
      "ratio %.3f (least to least: %.3f); still hits after the tags %.1f %%, after the patterns %.1f %% |\n",
      stored, tags, patterns, median(costs[1]), median(costs[0]), median(costs[1]) / median(costs[0]),
      costs[1].front() / costs[0].front(), percent(after_tags), percent(after_patterns));
  std::printf(
      "FIGURES | cost: time of an invalidation, %d stored | %.3f ms; %.3f ms with none: ratio %.2f (least to least: "
      "%.2f) |\n",
      stored, median(times[0]), median(times[1]), median(times[0]) / median(times[1]),
      times[0].front() / times[1].front());
  // What is invalidated goes, and nothing else.
  burdened.get(target(7));
  burdened.get(target(8));
  burdened.invalidate(R"({"tags": ["t7"]})");
  CHECK(outcome(burdened.get(target(7))) != "hit");
  CHECK(outcome(burdened.get(target(8))) == "hit");
}
