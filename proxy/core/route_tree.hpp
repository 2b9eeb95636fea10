// The trie that one set of routes is found by. Immutable once built, pure. For route_table.cpp alone.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pillion {

inline constexpr std::uint32_t no_route = std::numeric_limits<std::uint32_t>::max();

/// Whether a segment of a path pattern is `{name}`.
bool is_parameter(std::string_view segment) noexcept;

/// Segments of a path one by one: `/a/b/` has `a`, `b` and an empty one; `/` has one empty segment; `` has none.
class Segments {
 public:
  explicit Segments(std::string_view path) : rest_(path) {}
  std::optional<std::string_view> next() {
    if (rest_.empty()) return std::nullopt;
    rest_.remove_prefix(1);  // the slash
    const std::string_view segment = rest_.substr(0, rest_.find('/'));
    rest_.remove_prefix(segment.size());
    return segment;
  }

 private:
  std::string_view rest_;
};

/// Routes by path pattern: `{name}` and `*` take one non-empty segment, `/**` at the end the rest, be it nothing.
class RouteTree {
 public:
  void add(std::string_view pattern, std::uint32_t route);
  /// Lowers `best` to the first route that matches the path, if that one comes before it.
  void find(std::string_view path, std::uint32_t& best) const;

 private:
  static constexpr std::uint32_t no_node = std::numeric_limits<std::uint32_t>::max();

  /// The children of a node by literal segment: a flat hash table, since every request looks here once a segment.
  class Literals {
   public:
    std::uint32_t find(std::string_view text) const noexcept;
    /// `text` must not be there yet.
    void add(std::string_view text, std::uint32_t node);

   private:
    struct Slot {
      std::string text;
      std::uint32_t node = no_node;
    };
    std::size_t first_slot(std::string_view text) const noexcept;
    std::size_t next_slot(std::size_t at) const noexcept { return (at + 1) & (slots_.size() - 1); }
    void put(Slot slot);

    std::vector<Slot> slots_;  // a power of two, at most half of them taken
    std::size_t size_ = 0;
  };

  struct Node {
    Literals literals;
    std::uint32_t any = no_node;    // the branch of `{name}` and `*`
    std::uint32_t ends = no_route;  // first route whose path ends here
    std::uint32_t rest = no_route;  // first route with `/**` here
    std::uint32_t best = no_route;  // first route in the whole subtree
  };

  std::uint32_t child(std::uint32_t node, std::string_view segment);
  std::vector<Node> nodes_ = std::vector<Node>(1);
};

}  // namespace pillion
