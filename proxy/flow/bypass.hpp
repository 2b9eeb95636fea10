// The panic switch (POST /bypass): for a while nothing is looked up or stored, of one route or of all; what writes
// invalidate is invalidated all the same. It ends by itself. Shared, locks inside.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace pillion {

class Bypass {
 public:
  /// Of that route, by name, from now on until then (steady milliseconds); empty: of all. Takes the place of what was
  /// said of it before; a time that is over ends it.
  void set(const std::string& route, std::int64_t until_ms, std::int64_t now_ms);
  /// False: nothing is bypassed. For the hot path.
  bool any() const noexcept { return any_.load(std::memory_order_relaxed); }
  bool covers(std::string_view route, std::int64_t now_ms);

  struct Entry {
    std::string route;  ///< empty: all
    std::int64_t left_ms = 0;
  };
  std::vector<Entry> list(std::int64_t now_ms);

 private:
  void drop_ended_locked(std::int64_t now_ms);
  std::mutex mutex_;
  std::map<std::string, std::int64_t, std::less<>> until_;
  std::atomic<bool> any_{false};
};

}  // namespace pillion
