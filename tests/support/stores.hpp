// Which tiers hold what is stored: the suite of HTTP behaviour runs with memory alone, with Redis alone and with both.
// Chosen by the environment variable PILLION_TEST_STORES (memory, redis, both; default memory). For tests; any thread.
#pragma once

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "support/deadline.hpp"
#include "support/socket.hpp"

namespace pillion::support {

enum class Stores { memory, redis, both };

/// The mode of this run. Throws std::runtime_error where the variable holds another word.
Stores stores_under_test();
std::string to_string(Stores stores);

/// True in one of `modes`, and says so: the test case returns then. run.sh counts the line that this prints.
bool skipped_in(std::initializer_list<Stores> modes, std::string_view why);

/// True where PILLION_LONG is set: tests/run.sh --long.
bool long_run();
/// True in every other run, and says so as skipped_in does.
bool skipped_unless_long(std::string_view why);

/// The tier that a second request is answered from in this mode: `memory`, or `redis` where there is nothing else.
std::string first_tier();

/// What stands in a Redis but Pillion's own records, each value as bytes.
class StoredValues {
 public:
  /// Nothing where the server doesn't answer.
  static std::optional<StoredValues> where_reachable(const Endpoint& redis);
  /// Waits until a value that is not among these stands there; where the response `varies`, one that is no
  /// list of variants: that is written before the variant itself. False where the deadline passes first. Throws
  /// ConnectionClosed or TimedOut where the server doesn't answer.
  bool wait_for_another(const Endpoint& redis, bool varies, Deadline deadline = {}) const;

 private:
  static StoredValues in(const Endpoint& redis);
  bool has(const std::string& key, const std::string& value) const;
  std::map<std::string, std::string> values_;
};

}  // namespace pillion::support
