// Finds whether a route is hidden by an earlier one, in a time that doesn't grow with their number: ten thousand routes
// are compared with each other at each reload. Used inside config only.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "config/patterns.hpp"

namespace pillion::config {

/// The path patterns so far, as a tree of their segments.
class EarlierPatterns {
 public:
  /// Under which conditions a route is asked at all.
  struct Conditions {
    std::string listener;
    std::string host;  ///< in lower case; empty: any
  };

  /// Adds a pattern; of two with the same meaning and conditions the first one stays.
  void add(const std::vector<Segment>& pattern, const Conditions& conditions, std::size_t number);
  /// The lowest number of those added that match every path which `pattern` matches, under its conditions too.
  std::optional<std::size_t> covering(const std::vector<Segment>& pattern, const Conditions& conditions) const;

 private:
  using Place = std::uint32_t;
  static constexpr Place root = 0, nowhere = 0;  // no way leads back to the root
  struct Node {
    Place any = nowhere;  // by {name} or *
    bool is_end = false, has_rest = false;
  };
  struct Edge {
    Place from;
    std::string text;
    friend bool operator==(const Edge&, const Edge&) = default;
  };
  struct EdgeHash {
    std::size_t operator()(const Edge& edge) const noexcept {
      return std::hash<std::string>{}(edge.text) ^ (edge.from * std::size_t{0x9e3779b97f4a7c15});
    }
  };
  using End = std::tuple<Place, bool, std::string, std::string>;  // node, whether with a rest, listener, host

  Place add_node();
  void find_end(Place place, bool rest, const Conditions& conditions, std::optional<std::size_t>& lowest) const;

  std::vector<Node> nodes_{1};
  std::unordered_map<Edge, Place, EdgeHash> literals_;
  std::map<End, std::size_t> ends_;
};

}  // namespace pillion::config
