// A configuration as words, lists and maps, on its way to YAML or JSON. Used inside config only.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pillion::config {

/// What is printed: a value, a list or a map in order. Both printers below walk it.
struct Tree {
  enum class Kind { text, bare, list, map };
  Kind kind = Kind::text;
  std::string text;  ///< a string, or bare: a number or true/false
  std::string key;   ///< in the map above it; empty in a list
  std::vector<Tree> children;

  static Tree map() { return make(Kind::map, {}); }
  static Tree list() { return make(Kind::list, {}); }
  static Tree string(std::string value) { return make(Kind::text, std::move(value)); }
  static Tree number(std::uint64_t value) { return make(Kind::bare, std::to_string(value)); }
  static Tree boolean(bool value) { return make(Kind::bare, value ? "true" : "false"); }
  static Tree strings(const std::vector<std::string>& values) {
    Tree tree = list();
    for (const std::string& value : values) tree.children.push_back(string(value));
    return tree;
  }
  Tree& add(std::string child_key, Tree child) {
    child.key = std::move(child_key);
    children.push_back(std::move(child));
    return children.back();
  }

 private:
  static Tree make(Kind kind, std::string text) {
    Tree tree;
    tree.kind = kind;
    tree.text = std::move(text);
    return tree;
  }
};

/// Block YAML that proxy.yaml's loader reads back: strings quoted, `${` kept from being a variable.
std::string to_yaml(const Tree& tree);
/// One line of JSON.
std::string to_json(const Tree& tree);

}  // namespace pillion::config
