// The invalidation log's records and ids as they stand in Redis. Pure; replies come from Redis and are not trusted.
//
// A record is an entry of the stream: `by` (who wrote it, and which of its own it is), `in` (the epoch that its writer
// knew), `soft` where it is, then pairs of a selector's kind and text. An epoch begins with an entry `begin NAME`,
// whose field `after` has the marks of records that its writer knew.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/invalidation.hpp"
#include "core/local_order.hpp"
#include "net/redis_reply.hpp"

namespace pillion {

/// Bounds of one record, so that a batch of them fits into what a reply may hold, whatever clients sent.
inline constexpr std::size_t max_record_text = 256;
inline constexpr std::size_t max_record_selectors = 32;

/// How many records the beginning of an epoch names.
inline constexpr std::size_t max_named_records = 64;

/// A stream id `milliseconds-sequence` as one number that keeps its order; 0 where it isn't one. What is out of bounds
/// (is_plain_id()) becomes the largest of its kind.
std::uint64_t packed_id(std::string_view id) noexcept;
/// Whether two such ids differ as numbers where they differ as ids: the year is below 2527, and there are fewer than
/// 2^20 records of one millisecond.
bool is_plain_id(std::string_view id) noexcept;
/// The least id of the next millisecond after a packed one; `0-1` for 0.
std::string id_after(std::uint64_t position);
/// Milliseconds since 1970 of a packed id, by Redis's clock when it was given.
inline std::int64_t id_ms(std::uint64_t position) noexcept { return static_cast<std::int64_t>(position >> 20); }

/// The name of an epoch as entries carry it; never 0.
std::uint64_t epoch_number(std::string_view name) noexcept;
/// 64 random bits in hex: names an epoch, or a process.
std::string random_name();

struct LogRecord {
  std::string id;
  std::uint64_t position = 0;  ///< packed_id(id)
  std::string writer;          ///< the process's name; empty where it isn't known
  std::uint64_t mark = 0;      ///< tells this record from another that has its id in another copy of the log
  std::string epoch;           ///< of a record: the one its writer knew; where `begins`: the one that begins here
  bool begins = false;
  std::vector<std::uint64_t> after;  ///< where `begins`: marks of records that were made before; at most
                                     ///< max_named_records
  Strength strength = Strength::hard;
  std::vector<Selector> selectors;  ///< one that this version doesn't understand is `all`, hard: too much is safe
};

/// One entry of XRANGE or XREAD; nullopt where it isn't one.
std::optional<LogRecord> parse_record(const RedisReply& entry);
/// Every entry of a reply to XREAD on one stream; nullopt where it is none. Nil is an empty list.
std::optional<std::vector<LogRecord>> parse_read(const RedisReply& reply);

/// A record that stands in the log.
struct KnownRecord {
  std::string id;  ///< empty: none
  std::uint64_t position = 0, mark = 0;
  friend bool operator==(const KnownRecord&, const KnownRecord&) = default;
};
/// Whether a reply to XRANGE of its id has that very record.
bool finds(const RedisReply& reply, const KnownRecord& known);

/// A selector as a record keeps it: of bounded size, invalidating at least the same.
Selector bounded_selector(const Selector& selector);
/// `by` of a process's n-th record.
std::string writer_mark(std::string_view process, std::uint64_t n);
/// The mark that a record of that `by` has; never 0.
std::uint64_t mark_of(std::string_view by) noexcept;
/// The field names and values of a record, to be put behind XADD's options. At most max_record_selectors selectors.
std::vector<std::string> record_fields(const std::string& by, const std::string& epoch, Strength strength,
                                       std::span<const Selector> selectors);

/// The same of an entry that begins an epoch, after the records of those marks.
std::vector<std::string> epoch_fields(const std::string& name, std::span<const std::uint64_t> after);

/// What XINFO STREAM says of the log.
struct LogInfo {
  enum class State : std::uint8_t {
    stream,
    gone,       ///< there is none
    broken,     ///< something else stands there, or its ids are beyond all sense
    too_large,  ///< its first and its last record are more than a reply may hold
    no_answer   ///< Redis didn't say
  };
  State state = State::no_answer;
  std::uint64_t last = 0;         ///< the last id that was given, whether its record is still there or not
  std::uint64_t first = 0;        ///< the first record still there; 0 without one
  std::uint64_t end = 0;          ///< the last record still there; 0 without one
  std::uint64_t max_deleted = 0;  ///< the last one that XDEL took out
  bool trimmed = false;           ///< records were cut off its beginning
};
/// Redis 7.0 doesn't note what MAXLEN trims in max-deleted-entry-id: that shows in its count of entries.
LogInfo parse_info(const RedisReply& reply);

}  // namespace pillion
