// What World's files share. For tests of histories; not to be included elsewhere.
#pragma once

#include "support/world.hpp"

namespace pillion::support {

/// A replica as clients find it now.
struct World::Seat {
  int replica = 0;
  int instance = -1;
  bool alive = false;
  Endpoint client, admin;
};

/// What one thread has seen.
struct World::Notes {
  history::History history;
  std::vector<std::string> failures;
  long failed = 0;
  std::map<std::string, long> answers;
  Clock::duration longest{0};
  std::string longest_of;

  void fail(std::string what) {
    if (++failed <= 10) failures.push_back(std::move(what));
  }
  void took(Clock::duration time, const std::string& what) {
    if (time <= longest) return;
    longest = time;
    longest_of = what;
  }
};

}  // namespace pillion::support
