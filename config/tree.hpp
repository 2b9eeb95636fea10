// A YAML text as a tree of nodes that know where they stand, environment variables filled in. Used inside config only.
// Hostile input is safe: size, depth and the length of a value are bounded; tags, anchors and aliases are refused.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/loader.hpp"

namespace pillion::config {

/// A place in the file, 1-based.
struct Position {
  int line = 1;
  int column = 1;
};

struct Node {
  enum class Kind { null, scalar, list, map };
  struct Entry;

  Kind kind = Kind::null;
  Position at;
  bool broken = false;  ///< its problem is reported already: take nothing from it
  std::string text;     ///< of a scalar, variables filled in, free of control characters but tabs
  std::vector<Node> items;
  std::vector<Entry> entries;  ///< keys are unique

  /// The value under a key of a map; nullptr where this is no map or has no such key.
  const Node* find(std::string_view key) const;
};

struct Node::Entry {
  std::string key;
  Position key_at;
  Node value;
};

/// What every part of the loader reports to and asks of.
class Context {
 public:
  Context(const Environment& environment, const FileReader& file_reader) : env(environment), read_file(file_reader) {}

  void error(Position at, std::string message);
  void warn(Position at, std::string message);
  bool failed() const { return failed_; }
  /// So many problems that further ones are dropped: no work for their words.
  bool full() const;
  /// Sorted by position; moved out.
  std::vector<Problem> take_problems();

  const Environment& env;
  const FileReader& read_file;

 private:
  void add(Position at, std::string message, bool warning);
  std::vector<Problem> problems_;
  bool failed_ = false;
};

/// Parses one document. Problems go to the context; what could be read is returned all the same. A text that is not
/// YAML gives one problem and a broken node.
Node parse_tree(std::string_view yaml, Context& context);

/// `${NAME}` and `${NAME:-default}` filled in, `$${` made `${`. On a problem `wrong` says it and the result is empty.
std::string expand(std::string_view text, const Environment& env, std::string& wrong);

/// The offset of the first byte that is no valid UTF-8; npos where all is.
std::size_t find_invalid_utf8(std::string_view text);

/// A word of the user's for a message: in single quotes, cut where long.
std::string quoted(std::string_view text);

}  // namespace pillion::config
