// What every integration test uses: doctest, the support library, and a few words to judge answers with.
#pragma once

#include <doctest/doctest.h>

#include <atomic>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "support/pillion.hpp"

namespace pillion::support {

/// An answer that may be kept for a minute, `more` added to its fields.
inline Handler cacheable(std::string body, const Fields& more = {}) {
  return [body = std::move(body), more](Exchange& exchange) {
    Fields fields{{"Cache-Control", "max-age=60"}};
    for (const auto& [name, value] : more) fields.add(name, value);
    exchange.read_body();
    exchange.respond(200, fields, body);
  };
}

/// Answers with these fields and the body "1", "2", "3"...: whoever sees a number again saw a stored response.
inline Handler numbered(const Fields& fields, int status = 200) {
  auto count = std::make_shared<std::atomic<int>>(0);
  return [fields, status, count](Exchange& exchange) {
    exchange.read_body();
    exchange.respond(status, fields, std::to_string(++*count));
  };
}

/// What Cache-Status says, in few words: "hit", "uri-miss stored", "method", "uri-miss collapsed"; "none" without it.
inline std::string outcome(const Response& response) {
  CacheStatus status = cache_status(response);
  if (status.cache.empty()) return "none";
  if (status.hit) return "hit";
  return status.forward + (status.stored ? " stored" : "") + (status.collapsed ? " collapsed" : "");
}

/// The same, with who answered or why nothing was stored: "hit memory", "uri-miss no-store".
inline std::string detailed(const Response& response) {
  CacheStatus status = cache_status(response);
  return outcome(response) + (status.detail.empty() ? "" : " " + status.detail);
}

/// What `detailed` says of a hit in this run's mode: "hit memory", or "hit redis" where there is no memory.
inline std::string stored_hit() { return "hit " + first_tier(); }

/// One route `all` for every path, with these settings: whole lines, indented by four.
inline std::string one_route(const Endpoint& upstream, std::string_view settings, std::string_view more = {}) {
  return config_for(upstream, "routes:\n  - name: all\n    path: /**\n" + std::string(settings) + std::string(more));
}

/// Cache-Control alone, or with more fields.
inline Fields caching(std::string cache_control, const Fields& more = {}) {
  Fields fields{{"Cache-Control", std::move(cache_control)}};
  for (const auto& [name, value] : more) fields.add(name, value);
  return fields;
}

/// A rule of reuse: whether a second request for the same URL is answered with the first one's response.
struct ReuseRow {
  std::string why;
  Fields response;
  bool reused;
  int status = 200;
  Fields first{};                  ///< fields of the first request
  std::optional<Fields> second{};  ///< of the second; as the first where it isn't given
};

/// Answers with these fields and `X-Turn: 1`, `X-Turn: 2`...
inline Handler turns(const Fields& fields, int status = 200) {
  auto count = std::make_shared<std::atomic<int>>(0);
  return [fields, status, count](Exchange& exchange) {
    exchange.read_body();
    Fields all = fields;
    all.add("X-Turn", std::to_string(++*count));
    exchange.respond(status, all, status == 204 ? "" : "body");
  };
}

/// Asks twice for a URL of its own for each row.
inline void check_reuse(Pillion& proxy, ScriptedUpstream& upstream, const std::vector<ReuseRow>& rows) {
  static std::atomic<int> number{0};
  for (const ReuseRow& row : rows) {
    std::string fields = row.response.to_string();
    CAPTURE(row.why);
    CAPTURE(fields);
    std::string target = "/row" + std::to_string(number++) + "/";
    upstream.answer(target, turns(row.response, row.status));
    Response first = proxy.get(target, row.first);
    Response second = proxy.get(target, row.second.value_or(row.first));
    CHECK(first.status == row.status);
    CHECK(first["X-Turn"] == "1");
    CHECK(second.status == row.status);
    CHECK(second["X-Turn"] == (row.reused ? "1" : "2"));
    CHECK(cache_status(second).hit == row.reused);
  }
}

/// Runs `work(0)`... `work(n - 1)` at once and waits for all. The first exception fails the test.
template <class Work>
void in_parallel(int n, Work work) {
  std::vector<std::thread> threads;
  std::mutex mutex;
  std::string failure;
  for (int i = 0; i < n; ++i) {
    threads.emplace_back([&, i] {
      try {
        work(i);
      } catch (const std::exception& e) {
        std::lock_guard lock(mutex);
        failure = e.what();
      }
    });
  }
  for (auto& thread : threads) thread.join();
  if (!failure.empty()) FAIL_CHECK("one of the parallel requests failed: " << failure);
}

}  // namespace pillion::support

using namespace pillion::support;
