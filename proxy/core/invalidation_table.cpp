// The table of last positions: a fixed array for what is hashed, two short lists for patterns, a floor for the rest.
#include <algorithm>
#include <list>
#include <mutex>
#include <unordered_map>

#include "core/hash.hpp"
#include "core/invalidation.hpp"

namespace pillion {
namespace {

struct BytesHash {
  std::size_t operator()(std::string_view text) const noexcept { return static_cast<std::size_t>(hash64(text)); }
};

void raise(std::atomic<std::uint64_t>& value, std::uint64_t to) {
  if (value.load(std::memory_order_relaxed) < to) value.store(to, std::memory_order_release);
}

struct Pattern {
  std::string text;
  std::uint64_t position;
};
/// Ordered by position, oldest first.
using PatternList = std::list<Pattern>;

/// The pattern cut to the bound in such a way that it still matches everything it did.
std::string_view bounded(std::string_view pattern) {
  if (pattern.size() <= InvalidationTable::max_pattern) return pattern;
  return pattern.substr(0, InvalidationTable::max_pattern);
}

}  // namespace

struct InvalidationTable::Patterns {
  /// Patterns `literal*`, by their literals.
  PatternList prefixes;
  std::unordered_map<std::string_view, PatternList::iterator, BytesHash> by_prefix;  // views into the list
  /// How many prefixes there are of each length: which lengths a look-up has to try.
  std::vector<std::uint32_t> lengths = std::vector<std::uint32_t>(max_pattern + 1);
  PatternList globs;

  /// The position of a pattern that had to make room, or 0.
  std::uint64_t add_prefix(std::string_view text, std::uint64_t position);
  std::uint64_t add_glob(std::string_view text, std::uint64_t position);
  bool matched_since(std::uint64_t since, std::string_view readable_key) const;
};

std::uint64_t InvalidationTable::Patterns::add_prefix(std::string_view text, std::uint64_t position) {
  if (const auto known = by_prefix.find(text); known != by_prefix.end()) {
    known->second->position = position;
    prefixes.splice(prefixes.end(), prefixes, known->second);
    return 0;
  }
  std::uint64_t evicted = 0;
  if (prefixes.size() >= max_prefixes) {
    const Pattern& oldest = prefixes.front();
    evicted = oldest.position;
    --lengths[oldest.text.size()];
    by_prefix.erase(oldest.text);
    prefixes.pop_front();
  }
  prefixes.push_back({std::string(text), position});
  by_prefix.emplace(prefixes.back().text, std::prev(prefixes.end()));
  ++lengths[text.size()];
  return evicted;
}

std::uint64_t InvalidationTable::Patterns::add_glob(std::string_view text, std::uint64_t position) {
  if (const auto known = std::ranges::find(globs, text, &Pattern::text); known != globs.end()) {
    known->position = position;
    globs.splice(globs.end(), globs, known);
    return 0;
  }
  std::uint64_t evicted = 0;
  if (globs.size() >= max_globs) {
    evicted = globs.front().position;
    globs.pop_front();
  }
  globs.push_back({std::string(text), position});
  return evicted;
}

bool InvalidationTable::Patterns::matched_since(std::uint64_t since, std::string_view readable_key) const {
  for (std::size_t length = 0; length <= std::min(readable_key.size(), max_pattern); ++length) {
    if (lengths[length] == 0) continue;
    const auto found = by_prefix.find(readable_key.substr(0, length));
    if (found != by_prefix.end() && found->second->position > since) return true;
  }
  return std::ranges::any_of(
      globs, [&](const Pattern& glob) { return glob.position > since && glob_matches(glob.text, readable_key); });
}

InvalidationTable::InvalidationTable()
    : slots_(std::make_unique<std::atomic<std::uint64_t>[]>(slot_count)), patterns_(std::make_unique<Patterns>()) {}
InvalidationTable::~InvalidationTable() = default;

void InvalidationTable::apply(std::span<const Selector> selectors, std::uint64_t position) {
  const std::unique_lock lock(mutex_);
  apply_locked(selectors, std::max(position, latest_.load(std::memory_order_relaxed)));
}

std::uint64_t InvalidationTable::apply_next(std::span<const Selector> selectors) {
  const std::unique_lock lock(mutex_);
  const std::uint64_t position = latest_.load(std::memory_order_relaxed) + 1;
  apply_locked(selectors, position);
  return position;
}

void InvalidationTable::raise_floor(std::uint64_t position) {
  const std::unique_lock lock(mutex_);
  raise(floor_, position);
  raise(latest_, position);
}

void InvalidationTable::apply_locked(std::span<const Selector> selectors, std::uint64_t position) {
  for (const Selector& selector : selectors) {
    switch (selector.kind) {
      case Selector::Kind::tag:
      case Selector::Kind::url:
      case Selector::Kind::path:
      case Selector::Kind::group:
      case Selector::Kind::hashed:
        for (const std::uint32_t hash : selector_hashes(selector)) raise(slots_[hash % slot_count], position);
        break;
      case Selector::Kind::pattern:
        apply_pattern(selector.text, position);
        break;
      case Selector::Kind::all:
        raise(floor_, position);
        break;
    }
  }
  raise(latest_, position);
}

void InvalidationTable::apply_pattern(std::string_view pattern, std::uint64_t position) {
  const std::string_view kept = bounded(pattern);
  const std::size_t wild = kept.find_first_of("*?");
  const std::string_view literal = kept.substr(0, wild);
  const bool cut = kept.size() < pattern.size();
  // Cut short, the pattern is taken for all that begins with its literal.
  const bool is_prefix =
      cut || (wild != std::string_view::npos && kept.find_first_not_of('*', wild) == std::string_view::npos);
  if (is_prefix && literal.empty()) {
    raise(floor_, position);
    return;
  }
  const std::uint64_t evicted =
      is_prefix ? patterns_->add_prefix(literal, position) : patterns_->add_glob(kept, position);
  raise(floor_, evicted);
  raise(last_pattern_, position);
}

bool InvalidationTable::invalidated_since(std::uint64_t since, std::span<const std::uint32_t> selectors,
                                          std::string_view readable_key) const {
  if (floor_.load(std::memory_order_acquire) > since) return true;
  for (const std::uint32_t selector : selectors) {
    if (slots_[selector % slot_count].load(std::memory_order_acquire) > since) return true;
  }
  if (last_pattern_.load(std::memory_order_acquire) <= since) return false;
  const std::shared_lock lock(mutex_);
  // Once more, under the lock: since the first look a pattern may have made room, and then it stands in the floor.
  if (floor_.load(std::memory_order_relaxed) > since) return true;
  return patterns_->matched_since(since, readable_key);
}

}  // namespace pillion
