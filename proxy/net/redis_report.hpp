// What one connection to Redis says about itself: in the log, each thing once, and in the gauge. Worker-local.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "telemetry/counters.hpp"
#include "telemetry/log.hpp"

namespace pillion {

class RedisReport {
 public:
  /// Counted as down from here on. `server`: its address. `counters` and `log` are not used after stop().
  RedisReport(std::string server, WorkerCounters& counters, Log& log);

  /// Tells a change, and why it is down.
  void state(bool up, std::string_view why);
  /// An error reply: each kind once a connection.
  void error(const std::string& text);
  void connected() { told_errors_.clear(); }
  /// No longer counted.
  void stop();

 private:
  std::string name_;
  WorkerCounters& counters_;
  Log& log_;
  std::optional<bool> told_up_;
  std::vector<std::string> told_errors_;  // codes
};

}  // namespace pillion
