#include "flow/log_follower.hpp"

#include <algorithm>
#include <vector>

namespace pillion {

namespace {
const std::vector<Selector> everything{{Selector::Kind::all, {}}};
}  // namespace

LogVerdict judge(const LogLook& look, std::uint64_t read_up_to) {
  const LogInfo& info = look.info;
  if (info.state == LogInfo::State::no_answer) return LogVerdict::unknown;
  if (info.state == LogInfo::State::gone) return LogVerdict::gone;
  if (info.state == LogInfo::State::broken) return LogVerdict::senseless;
  for (std::size_t i = 0; i < look.known.size(); ++i) {
    const KnownRecord& known = look.known[i];
    if (info.last < known.position) return is_plain_id(known.id) ? LogVerdict::older : LogVerdict::past_us;
    // Trimmed past a record, the log can't show it any more.
    const bool cut_off = info.trimmed && (info.first == 0 || info.first > known.position);
    if (!look.stands[i] && !cut_off) return LogVerdict::replaced;
  }
  if (read_up_to == 0) return LogVerdict::same;
  const bool missed = info.first == 0 ? info.last > read_up_to : info.first > read_up_to + 1;
  if ((info.trimmed && missed) || info.max_deleted > read_up_to) return LogVerdict::past_us;
  return LogVerdict::same;
}

// In this order, each time: the view, then the order of this process. A look-up that has taken the new local position
// finds it in the view when it compares what it read from Redis.
std::size_t LogFollower::read(std::span<const LogRecord> records, std::int64_t mono_ms) {
  std::size_t begun = 0;
  for (const LogRecord& record : records) {
    strange_ = strange_ || (complete_ && is_strange_here(record));
    read_ = {record.id, record.position, record.mark};
    label_ = record.epoch;
    if (record.begins) {
      begin_epoch(record);
      begun += complete_ ? 1 : 0;
      continue;
    }
    const std::int64_t at = when(record, mono_ms);
    view_->apply(record.selectors, record.strength, record.position, at);
    // What is ours was applied in this order when it was made; what was there before the first end, in complete().
    if (complete_ && !is_own(record)) local_.invalidate(record.selectors, record.strength, at);
  }
  return begun;
}

// For soft ones. A record whose age isn't known is as old as can be: what it names was stale since then.
std::int64_t LogFollower::when(const LogRecord& record, std::int64_t mono_ms) const {
  return std::min(mono_ms, clock_.steady_ms(id_ms(record.position)).value_or(0));
}

bool LogFollower::is_strange_here(const LogRecord& record) const {
  if (!is_plain_id(record.id)) return true;
  // Who has not heard yet of the last epoch may still write in the one before.
  return !record.begins && !record.epoch.empty() && std::ranges::find(met_, record.epoch) == met_.end();
}

// Whatever was known of the log before, and isn't found in it, doesn't matter any more.
void LogFollower::begin_epoch(const LogRecord& record) {
  written_ = before_ = {};
  begun_in_doubt_ = doubted_;
  if (complete_) {
    view_ = std::make_shared<LogView>();
  } else {
    view_->table.raise_floor(record.position);  // not shared yet: it may be used again
  }
  view_->epoch_name = record.epoch;
  view_->epoch = epoch_number(record.epoch);
  meet(record.epoch);
  view_->note(record.position);
  if (!complete_) return;
  shared_.store(view_);
  local_.invalidate(everything, Strength::hard, 0);
}

void LogFollower::meet(const std::string& epoch) {
  constexpr std::size_t remembered = 8;
  met_.push_back(epoch);
  if (met_.size() > remembered) met_.pop_front();
}

bool LogFollower::written(const LogRecord& record, std::uint64_t before, std::int64_t mono_ms) {
  if (record.position <= before || !is_plain_id(record.id)) return false;
  if (record.position > known_position()) written_ = {record.id, record.position, record.mark};
  view_->apply(record.selectors, record.strength, record.position, mono_ms);
  return true;
}

void LogFollower::doubt() {
  if (!doubted_) {
    doubted_ = true;
    begun_in_doubt_ = false;
    before_ = read_;
  } else if (complete_ && !begun_in_doubt_) {
    read_ = before_;
  } else {
    restart();
  }
}

std::vector<KnownRecord> LogFollower::known() const {
  std::vector<KnownRecord> records;
  for (const KnownRecord* record : {&before_, &read_, &written_}) {
    const bool again = std::ranges::find(records, record->id, &KnownRecord::id) != records.end();
    if (!record->id.empty() && !again) records.push_back(*record);
  }
  return records;
}

bool LogFollower::vouch(const LogInfo& info) {
  if (!complete(info)) return false;
  doubted_ = false;
  before_ = {};
  return true;
}

bool LogFollower::complete(const LogInfo& info) {
  if (complete_) return true;
  if (view_->epoch == 0) {
    if (label_.empty()) return false;
    view_->epoch_name = label_;
    view_->epoch = epoch_number(label_);
    meet(label_);
  }
  // What was cut off may have invalidated all that is older than the rest.
  if (info.trimmed && info.first != 0) view_->table.raise_floor(info.first - 1);
  view_->note(info.last);
  complete_ = true;
  shared_.store(view_);
  // What is in memory by now was fetched without hearing the log.
  local_.invalidate(everything, Strength::hard, 0);
  return true;
}

std::string LogFollower::next_epoch_id(const LogInfo& info) const {
  return id_after(std::max({info.last, known_position(), before_.position}));
}

void LogFollower::restart() {
  view_ = std::make_shared<LogView>();
  label_.clear();
  complete_ = strange_ = false;
  doubted_ = true;
  met_.clear();
  read_ = written_ = before_ = {};
}

}  // namespace pillion
