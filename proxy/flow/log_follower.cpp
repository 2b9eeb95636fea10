#include "flow/log_follower.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace pillion {

namespace {
const std::vector<Selector> everything{{Selector::Kind::all, {}}};
}  // namespace

LogVerdict judge(const LogLook& look, std::uint64_t read_up_to) {
  const LogInfo& info = look.info;
  if (info.state == LogInfo::State::no_answer) return LogVerdict::unknown;
  if (info.state == LogInfo::State::gone) return LogVerdict::gone;
  if (info.state == LogInfo::State::broken || info.state == LogInfo::State::too_large) return LogVerdict::senseless;
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
    if (strange_ && !doubted_) doubt();
    read_ = {record.id, record.position, record.mark};
    label_ = record.epoch;
    remember(record.mark);
    if (!doubted_ && record.mark == written_.mark) written_ = {};
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

// What is missing of the log before doesn't matter any more, but for what was known to us and not to who began this
// epoch: an answer fetched in it may be older (known()).
void LogFollower::begin_epoch(const LogRecord& record) {
  before_ = {};
  begun_in_doubt_ = doubted_;
  std::ranges::for_each(record.after, [this](std::uint64_t mark) { note_named(mark); });
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

// What is owed is settled by whichever epoch names it, however many came since. Of other names the last ones are kept:
// the id of a record of ours may come after the epoch that names it was read.
void LogFollower::note_named(std::uint64_t mark) {
  const auto is_named = [mark](const KnownRecord& record) { return !record.id.empty() && record.mark == mark; };
  if (std::ranges::any_of(owed_, is_named) || is_named(written_)) settled_.insert(mark);
  named_.push_back(mark);
  if (named_.size() > 8 * max_named_records) named_.pop_front();
}

void LogFollower::forget_named() {
  named_.clear();
  settled_.clear();
}

void LogFollower::meet(const std::string& epoch) {
  constexpr std::size_t remembered = 8;
  met_.push_back(epoch);
  if (met_.size() > remembered) met_.pop_front();
}

bool LogFollower::written(const LogRecord& record, std::uint64_t before, std::int64_t mono_ms) {
  if (record.position <= before || !is_plain_id(record.id)) return false;
  const bool was_read = !doubted_ && std::ranges::find(recent_, record.mark) != recent_.end();
  if (!was_read && record.position > written_.position) written_ = {record.id, record.position, record.mark};
  remember(record.mark);
  view_->apply(record.selectors, record.strength, record.position, mono_ms);
  return true;
}

void LogFollower::remember(std::uint64_t mark) {
  recent_.push_back(mark);
  if (recent_.size() > max_named_records) recent_.pop_front();
}

void LogFollower::doubt() {
  forget_named();
  if (!doubted_) {
    doubted_ = true;
    begun_in_doubt_ = false;
    before_ = read_;
    for (const KnownRecord& record : {read_, std::exchange(written_, {})}) {
      if (!record.id.empty()) owed_.push_back(record);
    }
  } else if (complete_ && !begun_in_doubt_) {
    read_ = before_;
  } else {
    restart();
  }
}

std::vector<KnownRecord> LogFollower::known() const {
  std::vector<KnownRecord> records;
  const auto add = [&](const KnownRecord& record) {
    const bool again = std::ranges::find(records, record) != records.end();
    if (!record.id.empty() && !again && !is_settled(record)) records.push_back(record);
  };
  std::ranges::for_each(owed_, add);
  add(written_);
  add(read_);
  return records;
}

bool LogFollower::is_settled(const KnownRecord& record) const {
  return settled_.contains(record.mark) || std::ranges::find(named_, record.mark) != named_.end();
}

bool LogFollower::owes() const {
  return std::ranges::any_of(owed_, [this](const KnownRecord& record) { return !is_settled(record); }) ||
         (!written_.id.empty() && !is_settled(written_));
}

bool LogFollower::vouch(const LogLook& look) {
  if (!complete(look.info)) return false;
  doubted_ = false;
  before_ = {};
  owed_.clear();
  // Its id may have come after the look: then it stays, beside what is written from now on.
  const bool seen = is_settled(written_) || std::ranges::find(look.known, written_) != look.known.end();
  if (!seen && !written_.id.empty()) owed_.push_back(written_);
  written_ = {};
  forget_named();
  return true;
}

std::vector<std::string> LogFollower::next_epoch() const {
  std::vector<std::uint64_t> marks;
  const auto add = [&](std::uint64_t mark) {
    if (std::ranges::find(marks, mark) == marks.end()) marks.push_back(mark);
  };
  for (const KnownRecord& record : known()) add(record.mark);
  std::for_each(recent_.rbegin(), recent_.rend(), add);
  return epoch_fields(random_name(), marks);
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
  if (info.trimmed) view_->table.raise_floor(info.first != 0 ? info.first - 1 : info.last);
  // So may a record that was taken out from among them.
  view_->table.raise_floor(info.max_deleted);
  view_->note(info.last);
  complete_ = true;
  shared_.store(view_);
  // What is in memory by now was fetched without hearing the log.
  local_.invalidate(everything, Strength::hard, 0);
  return true;
}

std::string LogFollower::next_epoch_id(const LogInfo& info) const {
  std::uint64_t last = std::max(info.last, known_position());
  for (const KnownRecord& record : owed_) last = std::max(last, record.position);
  return id_after(last);
}

void LogFollower::restart() {
  if (!doubted_) doubt();
  view_ = std::make_shared<LogView>();
  label_.clear();
  complete_ = strange_ = false;
  doubted_ = true;
  met_.clear();
  forget_named();
  read_ = before_ = {};
}

}  // namespace pillion
