#include "config/earlier_patterns.hpp"

#include <algorithm>

namespace pillion::config {

EarlierPatterns::Place EarlierPatterns::add_node() {
  nodes_.emplace_back();
  return static_cast<Place>(nodes_.size() - 1);
}

void EarlierPatterns::add(const std::vector<Segment>& pattern, const Conditions& conditions, std::size_t number) {
  Place at = root;
  bool rest = false;
  for (const Segment& segment : pattern) {
    if (segment.kind == Segment::Kind::rest) {
      rest = true;
      break;
    }
    if (segment.kind == Segment::Kind::literal) {
      const auto [edge, fresh] = literals_.try_emplace({at, std::string(segment.text)}, nowhere);
      if (fresh) edge->second = add_node();
      at = edge->second;
    } else {
      if (nodes_[at].any == nowhere) {
        const Place added = add_node();
        nodes_[at].any = added;
      }
      at = nodes_[at].any;
    }
  }
  (rest ? nodes_[at].has_rest : nodes_[at].is_end) = true;
  ends_.try_emplace({at, rest, conditions.listener, conditions.host}, number);
}

void EarlierPatterns::find_end(Place place, bool rest, const Conditions& conditions,
                               std::optional<std::size_t>& lowest) const {
  const auto take = [&](const std::string& host) {
    const auto end = ends_.find({place, rest, conditions.listener, host});
    if (end != ends_.end()) lowest = std::min(lowest.value_or(end->second), end->second);
  };
  take({});
  if (!conditions.host.empty()) take(conditions.host);
}

std::optional<std::size_t> EarlierPatterns::covering(const std::vector<Segment>& pattern,
                                                     const Conditions& conditions) const {
  std::optional<std::size_t> lowest;
  std::vector<Place> here{root}, next;
  for (const Segment& segment : pattern) {
    next.clear();
    for (const Place place : here) {
      // The rest may be nothing: `/a/**` matches `/a` too.
      if (nodes_[place].has_rest) find_end(place, true, conditions, lowest);
      if (segment.kind == Segment::Kind::rest) continue;
      const bool literal = segment.kind == Segment::Kind::literal;
      // {name} and * stand for something.
      if (nodes_[place].any != nowhere && !(literal && segment.text.empty())) next.push_back(nodes_[place].any);
      if (!literal) continue;
      const auto edge = literals_.find({place, std::string(segment.text)});
      if (edge != literals_.end()) next.push_back(edge->second);
    }
    std::swap(here, next);
    if (segment.kind == Segment::Kind::rest) return lowest;
  }
  for (const Place place : here) {
    if (nodes_[place].has_rest) find_end(place, true, conditions, lowest);
    if (nodes_[place].is_end) find_end(place, false, conditions, lowest);
  }
  return lowest;
}

}  // namespace pillion::config
