// Patterns with what is remembered of each: prefixes (`literal*`) found by look-ups, other globs by walking a short
// list. Both bounded; the oldest makes room. Pure; the caller locks. For the invalidation tables alone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/hash.hpp"
#include "core/invalidation.hpp"

namespace pillion {

/// A pattern as the tables keep it.
struct KeptPattern {
  enum class Form : std::uint8_t { everything, prefix, glob };
  Form form = Form::glob;
  std::string_view text;  ///< of a prefix its literal
};

/// Cut to the bound in such a way that it still matches everything it did: what is cut short counts as all that begins
/// with its literal.
inline KeptPattern kept_pattern(std::string_view pattern) {
  const std::string_view kept = pattern.substr(0, InvalidationTable::max_pattern);
  const std::size_t wild = kept.find_first_of("*?");
  const std::string_view literal = kept.substr(0, wild);
  const bool is_prefix = kept.size() < pattern.size() || (wild != std::string_view::npos &&
                                                          kept.find_first_not_of('*', wild) == std::string_view::npos);
  if (!is_prefix) return {KeptPattern::Form::glob, kept};
  return {literal.empty() ? KeptPattern::Form::everything : KeptPattern::Form::prefix, literal};
}

template <typename Mark>
class PatternMarks {
 public:
  /// Calls `note` with the mark of that pattern (not of `everything`), a new one where it is new. Returns the mark of
  /// the pattern that had to make room, if any.
  template <typename F>
  std::optional<Mark> note(const KeptPattern& pattern, F&& note) {
    std::optional<Mark> evicted;
    const bool is_prefix = pattern.form == KeptPattern::Form::prefix;
    note((is_prefix ? prefix(pattern.text, evicted) : glob(pattern.text, evicted)).mark);
    return evicted;
  }

  /// Calls `f` with the mark of every pattern that matches.
  template <typename F>
  void for_each_match(std::string_view readable_key, F&& f) const {
    for (std::size_t length = 0; length <= std::min(readable_key.size(), InvalidationTable::max_pattern); ++length) {
      if (lengths_[length] == 0) continue;
      const auto found = by_prefix_.find(readable_key.substr(0, length));
      if (found != by_prefix_.end()) f(found->second->mark);
    }
    for (const Pattern& pattern : globs_) {
      if (glob_matches(pattern.text, readable_key)) f(pattern.mark);
    }
  }

 private:
  struct Pattern {
    std::string text;
    Mark mark{};
  };
  /// The one noted longest ago first.
  using List = std::list<Pattern>;
  struct BytesHash {
    std::size_t operator()(std::string_view text) const noexcept { return static_cast<std::size_t>(hash64(text)); }
  };

  Pattern& prefix(std::string_view text, std::optional<Mark>& evicted) {
    if (const auto known = by_prefix_.find(text); known != by_prefix_.end()) {
      prefixes_.splice(prefixes_.end(), prefixes_, known->second);
      return prefixes_.back();
    }
    if (prefixes_.size() >= InvalidationTable::max_prefixes) {
      const Pattern& oldest = prefixes_.front();
      evicted = oldest.mark;
      --lengths_[oldest.text.size()];
      by_prefix_.erase(oldest.text);
      prefixes_.pop_front();
    }
    prefixes_.push_back({std::string(text)});
    by_prefix_.emplace(prefixes_.back().text, std::prev(prefixes_.end()));
    ++lengths_[text.size()];
    return prefixes_.back();
  }

  Pattern& glob(std::string_view text, std::optional<Mark>& evicted) {
    if (const auto known = std::ranges::find(globs_, text, &Pattern::text); known != globs_.end()) {
      globs_.splice(globs_.end(), globs_, known);
      return globs_.back();
    }
    if (globs_.size() >= InvalidationTable::max_globs) {
      evicted = globs_.front().mark;
      globs_.pop_front();
    }
    globs_.push_back({std::string(text)});
    return globs_.back();
  }

  List prefixes_, globs_;
  std::unordered_map<std::string_view, typename List::iterator, BytesHash> by_prefix_;  // views into the list
  /// How many prefixes there are of each length: which lengths a look-up has to try.
  std::vector<std::uint32_t> lengths_ = std::vector<std::uint32_t>(InvalidationTable::max_pattern + 1);
};

}  // namespace pillion
