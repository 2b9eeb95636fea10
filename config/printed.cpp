#include "config/printed.hpp"

#include <string_view>

namespace pillion::config {

namespace {

/// A string in double quotes, as JSON has it; JSON's are YAML's too.
void append_quoted(std::string_view text, std::string& out) {
  static constexpr char hex[] = "0123456789abcdef";
  out += '"';
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7f) {
      out += "\\u00";
      out += hex[byte >> 4];
      out += hex[byte & 15];
    } else {
      out += c;
    }
  }
  out += '"';
}

void append_json(const Tree& tree, std::string& out) {
  if (tree.kind == Tree::Kind::text) return append_quoted(tree.text, out);
  if (tree.kind == Tree::Kind::bare) {
    out += tree.text;
    return;
  }
  const bool map = tree.kind == Tree::Kind::map;
  out += map ? '{' : '[';
  bool first = true;
  for (const Tree& child : tree.children) {
    if (!first) out += ',';
    first = false;
    if (map) {
      append_quoted(child.key, out);
      out += ':';
    }
    append_json(child, out);
  }
  out += map ? '}' : ']';
}

/// `${` would be a variable when the text is loaded again.
std::string escaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.substr(i).starts_with("${")) out += '$';
    out += text[i];
  }
  return out;
}

/// The contract's own words need no quotes; names that users choose might be anything (null, on, 5).
void append_key(const std::string& key, std::string& out) {
  const bool plain = key != "null" && key.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string::npos;
  plain ? void(out += key) : append_quoted(key, out);
}

void append_yaml(const Tree& tree, std::size_t indent, std::string& out);

/// What follows `key:` or `-`.
void append_yaml_value(const Tree& tree, std::size_t indent, std::string& out) {
  const auto simple = [](const Tree& item) { return item.kind == Tree::Kind::text || item.kind == Tree::Kind::bare; };
  if (simple(tree)) {
    out += ' ';
    tree.kind == Tree::Kind::text ? append_quoted(escaped(tree.text), out) : void(out += tree.text);
    out += '\n';
  } else if (tree.children.empty()) {
    out += tree.kind == Tree::Kind::map ? " {}\n" : " []\n";
  } else {
    out += '\n';
    append_yaml(tree, indent, out);
  }
}

// As deep as a configuration's sections, whatever the file: five levels.
void append_yaml(const Tree& tree, std::size_t indent, std::string& out) {
  for (const Tree& child : tree.children) {
    out.append(indent, ' ');
    if (tree.kind == Tree::Kind::map) {
      append_key(child.key, out);
      out += ':';
      append_yaml_value(child, indent + 2, out);
    } else if (child.kind == Tree::Kind::map && !child.children.empty()) {
      // The first key stands on the dash's line.
      std::string item;
      append_yaml(child, indent + 2, item);
      out += "- " + item.substr(indent + 2);
    } else {
      out += '-';
      append_yaml_value(child, indent + 2, out);
    }
  }
}

}  // namespace

std::string to_yaml(const Tree& tree) {
  std::string out;
  append_yaml(tree, 0, out);
  return out;
}

std::string to_json(const Tree& tree) {
  std::string out;
  append_json(tree, out);
  return out;
}

}  // namespace pillion::config
