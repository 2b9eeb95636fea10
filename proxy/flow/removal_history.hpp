// Was a value that is gone from Redis evicted, or did somebody remove it? Redis says neither of a single key, so its
// counts of both tell, as far as they can. Pure; the caller locks.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace pillion {

/// What a server had counted at one moment.
struct RemovalCounts {
  std::string run_id;          ///< another one: it began to count anew
  std::uint64_t evicted = 0;   ///< keys that made room (maxmemory)
  std::uint64_t removing = 0;  ///< calls of commands that may remove a key, all but those known not to
  friend bool operator==(const RemovalCounts&, const RemovalCounts&) = default;
};

/// Reads the reply to `INFO server stats commandstats`, which is not trusted; nullopt where something is missing.
std::optional<RemovalCounts> parse_removal_counts(std::string_view info);

/// Whether calls of this command, lower-case, take no key away that a response could stand under. PEXPIREAT is among
/// them: it is how Pillion removes its own values (store/redis_store.cpp), so that it doesn't count against evictions.
bool never_removes(std::string_view command) noexcept;

class RemovalHistory {
 public:
  static constexpr std::size_t max_entries = 4096;

  /// The server had counted so far when everything up to that position had been noticed, and perhaps more.
  void note(std::uint64_t position, RemovalCounts counts);
  /// What it had counted before whatever was first noticed at `position`. nullptr where that isn't known.
  const RemovalCounts* before(std::uint64_t position) const noexcept;
  void clear() { entries_.clear(); }

 private:
  struct Entry {
    std::uint64_t position = 0;
    RemovalCounts counts;
  };
  std::deque<Entry> entries_;  // by position; one for each change of the counts
};

/// What is known of a value that is gone, by the counts before it went and those after.
enum class Removal : std::uint8_t {
  evicted,  ///< keys made room, and nobody removed any
  removed,  ///< nothing made room
  unclear,  ///< both may be
};
Removal removal_between(const RemovalCounts& before, const RemovalCounts& after) noexcept;

}  // namespace pillion
