#include "net/redis_report.hpp"

#include <algorithm>

#include "net/redis_link.hpp"

namespace pillion {

RedisReport::RedisReport(std::string server, WorkerCounters& counters, Log& log)
    : name_("redis " + server), counters_(counters), log_(log) {
  counters_.uses_redis = true;
  counters_.redis_down.add();
}

void RedisReport::state(bool up, std::string_view why) {
  if (told_up_ == up) return;
  if (up)
    counters_.redis_down.sub();
  else if (told_up_)
    counters_.redis_down.add();
  told_up_ = up;
  if (up)
    log_.info(name_ + ": up");
  else
    log_.warn(name_ + ": down, requests go on without it: " + std::string(why));
}

void RedisReport::error(const std::string& text) {
  constexpr std::size_t most_codes = 16, most_text = 200;
  const std::string_view code = redis_error_code(text);
  if (told_errors_.size() >= most_codes || std::ranges::find(told_errors_, code) != told_errors_.end()) return;
  told_errors_.emplace_back(code);
  log_.warn(name_ + ": a command was refused: " + text.substr(0, most_text) + " (each kind is told once a connection)" +
            (code == "MOVED" ? "; it belongs to a cluster: write store.redis.cluster instead of a url" : ""));
}

void RedisReport::stop() {
  if (told_up_ != true) counters_.redis_down.sub();
}

}  // namespace pillion
