#include "flow/log_record.hpp"

#include <algorithm>
#include <charconv>
#include <random>

#include "core/hash.hpp"
#include "net/redis_codec.hpp"

namespace pillion {

namespace {

constexpr std::uint64_t sequence_bits = 20;
constexpr std::uint64_t max_sequence = (std::uint64_t{1} << sequence_bits) - 1;
constexpr std::uint64_t max_ms = (std::uint64_t{1} << (64 - sequence_bits)) - 1;

struct IdParts {
  std::uint64_t ms = 0, sequence = 0;
  bool good = false;
};

IdParts parts_of(std::string_view id) noexcept {
  IdParts parts;
  const auto dash = id.find('-');
  if (dash == std::string_view::npos) return parts;
  const char* const end = id.data() + id.size();
  const auto ms = std::from_chars(id.data(), id.data() + dash, parts.ms);
  const auto sequence = std::from_chars(id.data() + dash + 1, end, parts.sequence);
  parts.good = ms.ec == std::errc{} && ms.ptr == id.data() + dash && sequence.ec == std::errc{} && sequence.ptr == end;
  return parts.good ? parts : IdParts{};
}

bool kind_of(std::string_view word, Selector::Kind& kind) noexcept {
  for (const auto k : {Selector::Kind::tag, Selector::Kind::pattern, Selector::Kind::url, Selector::Kind::path,
                       Selector::Kind::all, Selector::Kind::group, Selector::Kind::hashed}) {
    if (word != to_string(k)) continue;
    kind = k;
    return true;
  }
  return false;
}

/// What makes no sense is no mark.
std::vector<std::uint64_t> marks_in(std::string_view text) {
  std::vector<std::uint64_t> marks;
  while (!text.empty() && marks.size() < max_named_records) {
    const std::string_view word = text.substr(0, text.find(' '));
    std::uint64_t mark = 0;
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), mark);
    if (error == std::errc{} && end == word.data() + word.size()) marks.push_back(mark);
    text.remove_prefix(std::min(text.size(), word.size() + 1));
  }
  return marks;
}

/// False where the field isn't known.
bool read_field(std::string_view name, const std::string& value, LogRecord& record) {
  if (name == "by") {
    record.mark = mark_of(value);
    record.writer = value.substr(0, value.find('-'));
  } else if (name == "in" || name == "begin") {
    record.begins = record.begins || name == "begin";
    record.epoch = value;
  } else if (name == "after") {
    record.after = marks_in(value);
  } else if (name == "soft" && value == "1") {
    record.strength = Strength::soft;
  } else {
    Selector selector;
    if (!kind_of(name, selector.kind)) return false;
    selector.text = value;
    record.selectors.push_back(std::move(selector));
  }
  return true;
}

/// A member of a reply that is a flat list of names and values; nullptr where there is none.
const RedisReply* named(const RedisReply& pairs, std::string_view name) noexcept {
  for (std::size_t i = 0; i + 1 < pairs.elements.size(); i += 2) {
    if (pairs.elements[i].text == name) return &pairs.elements[i + 1];
  }
  return nullptr;
}

}  // namespace

std::uint64_t packed_id(std::string_view id) noexcept {
  const IdParts parts = parts_of(id);
  return std::min(parts.ms, max_ms) << sequence_bits | std::min(parts.sequence, max_sequence);
}

bool is_plain_id(std::string_view id) noexcept {
  const IdParts parts = parts_of(id);
  return parts.good && parts.ms < max_ms && parts.sequence < max_sequence;
}

std::string id_after(std::uint64_t position) {
  return position == 0 ? "0-1" : std::to_string((position >> sequence_bits) + 1) + "-0";
}

std::uint64_t epoch_number(std::string_view text) noexcept {
  const std::uint64_t n = hash64(text);
  return n == 0 ? 1 : n;
}

std::string random_name() {
  std::random_device device;
  std::string name(16, '0');
  for (char& c : name) c = "0123456789abcdef"[device() % 16];
  return name;
}

std::optional<LogRecord> parse_record(const RedisReply& entry) {
  if (entry.type != RedisReply::Type::array || entry.elements.size() != 2) return std::nullopt;
  LogRecord record;
  record.id = entry.elements[0].text;
  record.position = packed_id(record.id);
  if (record.position == 0) return std::nullopt;
  const std::vector<RedisReply>& fields = entry.elements[1].elements;
  bool understood = fields.size() % 2 == 0;
  for (std::size_t i = 0; i + 1 < fields.size() && understood; i += 2)
    understood = read_field(fields[i].text, fields[i + 1].text, record);
  if (!understood || (record.selectors.empty() && !record.begins)) {
    record.selectors = {{Selector::Kind::all, {}}};
    record.strength = Strength::hard;
  }
  if (record.mark == 0) record.mark = epoch_number(record.epoch);
  return record;
}

std::optional<std::vector<LogRecord>> parse_read(const RedisReply& reply) {
  std::vector<LogRecord> records;
  if (reply.type == RedisReply::Type::nil) return records;
  if (reply.type != RedisReply::Type::array) return std::nullopt;
  for (const RedisReply& stream : reply.elements) {
    if (stream.elements.size() != 2) return std::nullopt;
    for (const RedisReply& entry : stream.elements[1].elements) {
      auto record = parse_record(entry);
      if (!record) return std::nullopt;
      records.push_back(std::move(*record));
    }
  }
  return records;
}

bool finds(const RedisReply& reply, const KnownRecord& known) {
  if (reply.elements.size() != 1) return false;
  const auto record = parse_record(reply.elements.front());
  return record && record->position == known.position && record->mark == known.mark;
}

Selector bounded_selector(const Selector& selector) {
  if (selector.text.size() <= max_record_text) return selector;
  // A shorter pattern matches more, which is safe.
  if (selector.kind == Selector::Kind::pattern)
    return {selector.kind, selector.text.substr(0, max_record_text - 1) + '*'};
  Selector hashed{Selector::Kind::hashed, {}};
  for (const std::uint32_t hash : selector_hashes(selector))
    hashed.text.append(hashed.text.empty() ? "" : " ").append(std::to_string(hash));
  return hashed;
}

std::uint64_t mark_of(std::string_view by) noexcept { return epoch_number(by); }

std::string writer_mark(std::string_view process, std::uint64_t n) {
  return std::string(process) + '-' + std::to_string(n);
}

std::vector<std::string> record_fields(const std::string& by, const std::string& epoch, Strength strength,
                                       std::span<const Selector> selectors) {
  std::vector<std::string> words{"by", by, "in", epoch};
  if (strength == Strength::soft) words.insert(words.end(), {"soft", "1"});
  for (const Selector& selector : selectors) {
    Selector small = bounded_selector(selector);
    words.emplace_back(to_string(small.kind));
    words.push_back(std::move(small.text));
  }
  return words;
}

std::vector<std::string> epoch_fields(const std::string& name, std::span<const std::uint64_t> after) {
  std::vector<std::string> words{"begin", name};
  if (after.empty()) return words;
  std::string marks;
  for (const std::uint64_t mark : after.first(std::min(after.size(), max_named_records)))
    marks.append(marks.empty() ? "" : " ").append(std::to_string(mark));
  words.insert(words.end(), {"after", std::move(marks)});
  return words;
}

LogInfo parse_info(const RedisReply& reply) {
  LogInfo info;
  if (reply.text.starts_with(too_much_in_reply)) info.state = LogInfo::State::too_large;
  if (reply.type == RedisReply::Type::error) {
    if (reply.text.starts_with("ERR no such key")) info.state = LogInfo::State::gone;
    if (reply.text.starts_with("WRONGTYPE")) info.state = LogInfo::State::broken;
    return info;
  }
  const RedisReply* last = named(reply, "last-generated-id");
  const RedisReply* first = named(reply, "recorded-first-entry-id");
  const RedisReply* deleted = named(reply, "max-deleted-entry-id");
  const RedisReply* added = named(reply, "entries-added");
  const RedisReply* length = named(reply, "length");
  const RedisReply* end = named(reply, "last-entry");
  if (!last || !first || !deleted || !added || !length || !end) return info;
  info.state = is_plain_id(last->text) ? LogInfo::State::stream : LogInfo::State::broken;
  info.last = packed_id(last->text);
  info.first = packed_id(first->text);
  if (!end->elements.empty()) info.end = packed_id(end->elements.front().text);
  info.max_deleted = packed_id(deleted->text);
  info.trimmed = added->integer > length->integer;
  return info;
}

}  // namespace pillion
