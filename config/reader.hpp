// How a map of the file fills a struct: a table of keys, each with the function that reads its value. The same tables
// give the loader's answer to 'which keys are there' (keys.hpp). Used inside config only.
#pragma once

#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/nearest.hpp"
#include "config/scalars.hpp"
#include "config/tree.hpp"

namespace pillion::config {

/// One key of a section, and what reads its value.
template <class T>
struct Key {
  std::string_view name;
  void (*read)(Context&, const Node&, T&);
};

/// Whether a node is there and of this kind; if not, says so.
bool expect(Context& context, const Node& node, Node::Kind kind, std::string_view what);
/// The text of a scalar, or nullptr with the problem reported.
const std::string* scalar(Context& context, const Node& node, std::string_view what = "a single value");

/// Reads a map by its table. `what` names the section in messages.
template <class T, std::size_t N>
void read_map(Context& context, const Node& node, std::string_view what, const Key<T> (&keys)[N], T& into) {
  if (!expect(context, node, Node::Kind::map, what)) return;
  for (const Node::Entry& entry : node.entries) {
    const Key<T>* known = nullptr;
    for (const Key<T>& key : keys) {
      if (key.name == entry.key) known = &key;
    }
    if (known != nullptr) {
      known->read(context, entry.value, into);
    } else if (!context.full()) {
      std::vector<std::string_view> names;
      for (const Key<T>& key : keys) names.push_back(key.name);
      context.error(entry.key_at, quoted(entry.key) + " is unknown in " + std::string(what) + ": did you mean " +
                                      quoted(nearest(entry.key, names)) + "?");
    }
  }
}

/// Reads a scalar with one of the parse functions; on a problem `into` stays as it was.
template <class T, class Parse>
bool read_value(Context& context, const Node& node, T& into, Parse parse) {
  const std::string* text = scalar(context, node);
  if (text == nullptr) return false;
  auto parsed = parse(*text);
  if (!parsed.value) {
    context.error(node.at, std::move(parsed.wrong));
    return false;
  }
  into = static_cast<T>(std::move(*parsed.value));
  return true;
}

void read_duration(Context& context, const Node& node, Milliseconds& into);
/// As read_duration, but 0 is refused: a deadline of nothing would end everything.
void read_deadline(Context& context, const Node& node, Milliseconds& into);
void read_switch(Context& context, const Node& node, bool& into);
/// A size from `least` to `most` bytes.
void read_size(Context& context, const Node& node, std::size_t& into, std::size_t least, std::size_t most);
/// A path of a file: not empty.
void read_path(Context& context, const Node& node, std::string& into);
/// A path of a file with certificates in PEM form. What it holds; empty where there is none.
std::string read_certificates(Context& context, const Node& node, std::string& into);
/// A path of a file with a private key in PEM form. Likewise.
std::string read_private_key(Context& context, const Node& node, std::string& into);
/// A secret out of a file, its trailing line ends cut; `into` stays as it was where that fails. Control characters are
/// refused.
void read_secret(Context& context, Position at, const std::string& path, std::string& into);

template <class T>
void read_count(Context& context, const Node& node, T& into, std::uint64_t least, std::uint64_t most) {
  read_value(context, node, into, [&](std::string_view text) { return parse_number(text, least, most); });
}

/// One of several words.
template <class T>
struct Word {
  std::string_view name;
  T value;
};
std::string choices(const std::vector<std::string_view>& words);
template <class T, std::size_t N>
void read_word(Context& context, const Node& node, const Word<T> (&words)[N], T& into) {
  const std::string* text = scalar(context, node);
  if (text == nullptr) return;
  std::vector<std::string_view> names;
  for (const Word<T>& word : words) {
    if (word.name == *text) {
      into = word.value;
      return;
    }
    // on and off say it well enough.
    if (word.name != "true" && word.name != "false") names.push_back(word.name);
  }
  context.error(node.at, quoted(*text) + " is unknown here: write " + choices(names));
}

/// A list of scalars, each through `parse`, at most `most` of them, none twice. What is good of it lands in `into`.
template <class Parse>
void read_list(Context& context, const Node& node, std::string_view what, std::size_t most,
               std::vector<std::string>& into, Parse parse) {
  into.clear();
  if (!expect(context, node, Node::Kind::list, what)) return;
  if (node.items.size() > most) {
    context.error(node.at, "these are too many: " + std::to_string(most) + " at most");
    return;
  }
  for (const Node& item : node.items) {
    std::string value;
    if (!read_value(context, item, value, parse)) continue;
    bool twice = false;
    for (const std::string& before : into) twice = twice || before == value;
    if (twice) {
      context.error(item.at, quoted(value) + " stands here twice");
    } else {
      into.push_back(std::move(value));
    }
  }
}

}  // namespace pillion::config
