// What every integration test uses: doctest, the support library, and a few words to judge answers with.
#pragma once

#include <doctest/doctest.h>

#include <atomic>
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
