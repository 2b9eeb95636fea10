// A Redis in a network namespace of its own, reached over several cables that can be pulled one by one: packets are
// lost then, as no relay can lose them. Needs root. For tests; one thread at a time.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "support/process.hpp"
#include "support/socket.hpp"

namespace pillion::support {

class RedisBehindCables {
 public:
  /// Whether this machine lets us make one.
  static bool is_possible();

  explicit RedisBehindCables(int cables);
  ~RedisBehindCables();
  RedisBehindCables(const RedisBehindCables&) = delete;
  RedisBehindCables& operator=(const RedisBehindCables&) = delete;

  /// Redis at the end of cable `i`.
  Endpoint endpoint(int i) const;
  std::string settings(int i) const { return "    url: redis://" + endpoint(i).to_string() + "/0\n"; }
  void pull(int i);
  void plug_in(int i);

 private:
  std::string inner(int i) const { return name_ + "i" + std::to_string(i); }
  std::string name_;
  int subnet_ = 0;
  std::unique_ptr<Process> redis_;
};

}  // namespace pillion::support
