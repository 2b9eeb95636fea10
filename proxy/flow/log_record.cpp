#include "flow/log_record.hpp"

#include <algorithm>
#include <charconv>
#include <random>

#include "core/hash.hpp"

namespace pillion {

namespace {

bool kind_of(std::string_view word, Selector::Kind& kind) noexcept {
  for (const auto k : {Selector::Kind::tag, Selector::Kind::pattern, Selector::Kind::url, Selector::Kind::path,
                       Selector::Kind::all, Selector::Kind::group, Selector::Kind::hashed}) {
    if (word != to_string(k)) continue;
    kind = k;
    return true;
  }
  return false;
}

}  // namespace

std::uint64_t packed_id(std::string_view id) noexcept {
  std::uint64_t ms = 0, sequence = 0;
  const auto dash = id.find('-');
  if (dash == std::string_view::npos) return 0;
  std::from_chars(id.data(), id.data() + dash, ms);
  std::from_chars(id.data() + dash + 1, id.data() + id.size(), sequence);
  return std::min(ms, (std::uint64_t{1} << 44) - 1) << 20 | std::min(sequence, (std::uint64_t{1} << 20) - 1);
}

std::uint64_t epoch_number(std::string_view text) noexcept {
  const std::uint64_t n = hash64(text);
  return n == 0 ? 1 : n;
}

std::string random_epoch_name() {
  std::random_device device;
  std::string name(16, '0');
  for (char& c : name) c = "0123456789abcdef"[device() % 16];
  return name;
}

std::vector<Selector> selectors_of_record(const RedisReply& fields) {
  std::vector<Selector> selectors;
  for (std::size_t i = 0; i + 1 < fields.elements.size(); i += 2) {
    Selector selector;
    if (fields.elements[i].text == "begin") continue;
    if (!kind_of(fields.elements[i].text, selector.kind)) return {{Selector::Kind::all, {}}};
    selector.text = fields.elements[i + 1].text;
    selectors.push_back(std::move(selector));
  }
  return selectors;
}

const RedisReply* named(const RedisReply& pairs, std::string_view name) noexcept {
  for (std::size_t i = 0; i + 1 < pairs.elements.size(); i += 2) {
    if (pairs.elements[i].text == name) return &pairs.elements[i + 1];
  }
  return nullptr;
}

bool was_trimmed(const RedisReply& info) noexcept {
  const RedisReply* added = named(info, "entries-added");
  const RedisReply* length = named(info, "length");
  return added && length && added->integer > length->integer;
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

}  // namespace pillion
