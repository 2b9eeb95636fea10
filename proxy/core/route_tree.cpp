// The trie of routes: one node a segment, walked breadth-first.
#include "core/route_tree.hpp"

#include <algorithm>
#include <array>

#include "core/hash.hpp"

namespace pillion {
namespace {

constexpr std::string_view rest_suffix = "/**";

/// The set of nodes reached so far. Real tables reach a handful; only made-up ones leave the array.
class NodeSet {
 public:
  void push(std::uint32_t node) {
    if (size_ < first_.size()) {
      first_[size_] = node;
    } else {
      more_.push_back(node);
    }
    ++size_;
  }
  std::uint32_t operator[](std::size_t i) const { return i < first_.size() ? first_[i] : more_[i - first_.size()]; }
  std::size_t size() const { return size_; }
  void clear() {
    size_ = 0;
    more_.clear();
  }

 private:
  std::array<std::uint32_t, 32> first_;
  std::vector<std::uint32_t> more_;
  std::size_t size_ = 0;
};

}  // namespace

bool is_parameter(std::string_view segment) noexcept {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

std::size_t RouteTree::Literals::first_slot(std::string_view text) const noexcept {
  return static_cast<std::size_t>(hash64(text)) & (slots_.size() - 1);
}

std::uint32_t RouteTree::Literals::find(std::string_view text) const noexcept {
  if (slots_.empty()) return no_node;
  std::size_t at = first_slot(text);
  while (slots_[at].node != no_node && slots_[at].text != text) at = next_slot(at);
  return slots_[at].node;
}

void RouteTree::Literals::put(Slot slot) {
  std::size_t at = first_slot(slot.text);
  while (slots_[at].node != no_node) at = next_slot(at);
  slots_[at] = std::move(slot);
}

void RouteTree::Literals::add(std::string_view text, std::uint32_t node) {
  if (2 * ++size_ > slots_.size()) {
    std::vector<Slot> old(std::max<std::size_t>(4, 2 * slots_.size()));
    old.swap(slots_);
    for (Slot& slot : old) {
      if (slot.node != no_node) put(std::move(slot));
    }
  }
  put({std::string(text), node});
}

std::uint32_t RouteTree::child(std::uint32_t node, std::string_view segment) {
  const bool any = segment == "*" || is_parameter(segment);
  const std::uint32_t known = any ? nodes_[node].any : nodes_[node].literals.find(segment);
  if (known != no_node) return known;
  const auto created = static_cast<std::uint32_t>(nodes_.size());
  if (any) {
    nodes_[node].any = created;
  } else {
    nodes_[node].literals.add(segment, created);
  }
  nodes_.emplace_back();
  return created;
}

void RouteTree::add(std::string_view path, std::uint32_t route) {
  const bool rest = path.ends_with(rest_suffix);
  if (rest) path.remove_suffix(rest_suffix.size());
  std::uint32_t node = 0;
  nodes_[node].best = std::min(nodes_[node].best, route);
  Segments segments(path);
  while (const auto segment = segments.next()) {
    node = child(node, *segment);
    nodes_[node].best = std::min(nodes_[node].best, route);
  }
  std::uint32_t& place = rest ? nodes_[node].rest : nodes_[node].ends;
  place = std::min(place, route);
}

/// All nodes that the segments so far lead to are kept together, so that no node is seen twice: the work is at most
/// 2^depth nodes a level and never more than the table has there. A subtree that can't beat the route found is left
/// out.
void RouteTree::find(std::string_view path, std::uint32_t& best) const {
  if (!path.starts_with('/')) {
    best = std::min(best, nodes_[0].rest);
    return;
  }
  NodeSet sets[2];
  NodeSet* reached = &sets[0];
  NodeSet* next = &sets[1];
  reached->push(0);
  Segments segments(path);
  while (reached->size() != 0) {
    for (std::size_t i = 0; i < reached->size(); ++i) best = std::min(best, nodes_[(*reached)[i]].rest);
    const auto segment = segments.next();
    if (!segment) break;
    next->clear();
    const auto visit = [&](std::uint32_t node) {
      if (nodes_[node].best < best) next->push(node);
    };
    for (std::size_t i = 0; i < reached->size(); ++i) {
      const Node& node = nodes_[(*reached)[i]];
      if (const std::uint32_t literal = node.literals.find(*segment); literal != no_node) visit(literal);
      if (node.any != no_node && !segment->empty()) visit(node.any);
    }
    std::swap(reached, next);
  }
  for (std::size_t i = 0; i < reached->size(); ++i) best = std::min(best, nodes_[(*reached)[i]].ends);
}

}  // namespace pillion
