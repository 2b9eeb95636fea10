// What Pillion says: messages to standard error, and one JSON object a request to standard output. Thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "config/model.hpp"

namespace pillion {

/// One line of the access log. Views need to live for the call only.
struct AccessRecord {
  std::int64_t time_ms = 0;  ///< wall clock at the end of the request
  std::string_view method, path, route;
  unsigned status = 0;
  std::string_view result;  ///< hit, miss...
  std::string_view tier;    ///< memory, redis or empty
  std::string_view coding;  ///< of an answer that was compressed here, or empty
  std::uint64_t bytes = 0;  ///< of the body sent to the client
  std::uint64_t duration_us = 0;
  std::uint64_t upstream_us = 0;  ///< 0: the upstream was not asked
  std::string_view request_id, trace_id;
};

/// Appends `text` as the inside of a JSON string: quotes, backslashes, control characters and bytes that are not UTF-8
/// escaped (the latter as U+FFFD). Nothing a client sends can break the line.
void append_json_escaped(std::string_view text, std::string& out);

class Log {
 public:
  explicit Log(const config::Log& settings);
  ~Log();  ///< writes out what is queued
  Log(const Log&) = delete;

  /// Level and access share may change at a reload.
  void configure(const config::Log& settings);

  void debug(std::string_view message);
  void info(std::string_view message);
  void warn(std::string_view message);
  void error(std::string_view message);

  /// Whether this request's line is wanted: asked first, so that nothing is put together in vain.
  bool wants_access(unsigned status) noexcept;
  /// Never blocks: a bounded queue and a thread of its own; what doesn't fit is dropped and counted.
  void access(const AccessRecord& record);
  std::uint64_t dropped() const noexcept;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace pillion
