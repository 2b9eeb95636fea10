// Where this process stands in the invalidation log, and what becomes of the records it reads. Pure: no socket, no
// clock. Used on the control thread alone (flow/log_reader.cpp feeds it); what it writes to is shared.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "core/local_order.hpp"
#include "flow/log_record.hpp"
#include "flow/log_view.hpp"
#include "flow/redis_clock.hpp"
#include "net/shared_slot.hpp"

namespace pillion {

/// What a look at the log in Redis says about it.
enum class LogVerdict : std::uint8_t {
  same,       ///< it goes on from what is known
  unknown,    ///< Redis didn't say
  gone,       ///< there is no stream
  older,      ///< its ids end before what is known
  replaced,   ///< what is known doesn't stand in it: it went on from an older copy
  past_us,    ///< records were taken out of it that were not read, or were strange: it has to be read anew
  unnamed,    ///< nothing in it says which epoch it is
  senseless,  ///< no stream, or ids beyond all sense
};

/// A look at the log: what Redis says of it, and which of the records that should stand there do.
struct LogLook {
  LogInfo info;
  std::vector<KnownRecord> known;
  std::vector<bool> stands;  ///< as many
};
/// `read_up_to`: how far the log had been read before there was a doubt; 0 where what is missing there doesn't matter.
LogVerdict judge(const LogLook& look, std::uint64_t read_up_to);

class LogFollower {
 public:
  /// Writes to the order of this process and to the slot of the view. `process` is the name that our own records bear.
  LogFollower(std::string process, LocalOrder& local, SharedSlot<LogView>& view, const RedisClock& clock)
      : process_(std::move(process)), local_(local), shared_(view), clock_(clock) {}

  /// The last record that was read.
  const KnownRecord& last_read() const noexcept { return read_; }
  /// The last one up to which all holds in memory too, in a log that has been vouched for; none where that isn't known.
  KnownRecord last_applied() const { return complete_ ? (doubted_ ? before_ : read_) : KnownRecord{}; }
  std::uint64_t position() const noexcept { return read_.position; }
  /// The last position that was read, or acknowledged to us.
  std::uint64_t known_position() const noexcept { return std::max(read_.position, written_.position); }
  /// The log has been read to its end since it began to be followed.
  bool has_view() const noexcept { return complete_; }
  const std::string& epoch() const noexcept { return view_->epoch_name; }
  bool is_own(const LogRecord& record) const noexcept { return record.writer == process_; }
  /// `by` of our next record.
  std::string next_mark() { return writer_mark(process_, ++count_); }

  /// Applies what was read from the cursor on, in order. `mono_ms`: the steady time now. Returns how many records began
  /// an epoch while the log was followed: each distrusts everything before it, in memory too. Such ones may be among
  /// them only in doubt: whether what is known was known to who began it has to be found out before it is trusted.
  std::size_t read(std::span<const LogRecord> records, std::int64_t mono_ms);
  /// While the log was followed, a record came that is of an epoch whose beginning was not seen, or whose id is beyond
  /// all sense: another log stands in the place of the known one. Until restart().
  bool is_strange() const noexcept { return strange_; }
  /// A record of ours got its id: it stands in the view from now on. False where no log that goes on from `before`, the
  /// known_position() when it was sent, could give it. `mono_ms`: when the invalidation was made.
  bool written(const LogRecord& record, std::uint64_t before, std::int64_t mono_ms);

  /// The connection was cut, or something is strange: what is read from now on may come from another copy of the log,
  /// until it has been vouched for. In doubt already, it is read once more from where the doubt began.
  void doubt();
  /// What must stand in the log if it is the one that was read and written: each a record of its own, but for those
  /// that an epoch read since names as older than itself. And how far it had been read before the doubt. For judge().
  std::vector<KnownRecord> known() const;
  std::uint64_t read_before_doubt() const noexcept { return before_.position; }
  /// Something that was read in a log that had been vouched for, or written to it, may be missing in the one at hand,
  /// for all that is known.
  bool owes() const;
  /// The look shows the same log, read to its end: the view is shared from now on, if it wasn't. False where nothing
  /// tells its epoch.
  bool vouch(const LogLook& look);
  /// Field names and values of a record that begins another epoch, and names what is known as older.
  std::vector<std::string> next_epoch() const;
  /// The id for a record that begins another epoch: one that Redis takes only where nothing was added since `info`.
  std::string next_epoch_id(const LogInfo& info) const;
  /// Nothing that was read counts any more: it will be read from its beginning, into another view. The old one stays
  /// until that is done; meanwhile nobody may read from Redis. What must stand in the log must still.
  void restart();

 private:
  void begin_epoch(const LogRecord& record);
  bool is_strange_here(const LogRecord& record) const;
  void note_named(std::uint64_t mark);
  void forget_named();
  void meet(const std::string& epoch);
  void remember(std::uint64_t mark);
  bool is_settled(const KnownRecord& record) const;
  std::int64_t when(const LogRecord& record, std::int64_t mono_ms) const;
  bool complete(const LogInfo& info);

  std::string process_;
  LocalOrder& local_;
  SharedSlot<LogView>& shared_;
  const RedisClock& clock_;
  std::shared_ptr<LogView> view_ = std::make_shared<LogView>();  // shared once complete_
  std::string label_;
  std::uint64_t count_ = 0;
  bool complete_ = false, doubted_ = true, begun_in_doubt_ = false, strange_ = false;
  KnownRecord read_, before_;        // before_: what had been read when the doubt came
  KnownRecord written_;              // the last one of ours since the last doubt; none once it was read
  std::vector<KnownRecord> owed_;    // of earlier logs: what was read and written last before each doubt, a few at most
  std::deque<std::uint64_t> named_;  // marks that the epochs read since the doubt name as older, the last ones
  std::set<std::uint64_t> settled_;  // those among them that were owed when they were named
  std::deque<std::uint64_t> recent_;  // marks of the last records known
  std::deque<std::string> met_;       // the last epochs that began
};

}  // namespace pillion
