#include "config/tree.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <exception>
#include <sstream>
#include <tuple>
#include <unordered_map>

namespace pillion::config {

namespace {

constexpr std::size_t max_depth = 16;
constexpr std::size_t max_scalar = 8192;
constexpr std::size_t max_problems = 1000;  // past it a file is not a configuration with mistakes

Position position_of(const YAML::Mark& mark) {
  return mark.is_null() ? Position{} : Position{std::max(mark.line, 0) + 1, std::max(mark.column, 0) + 1};
}

bool has_control(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; });
}

/// A message of yaml-cpp's, which may quote the file, on one line.
std::string printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text;
}

bool is_indented_by_tab(std::string_view yaml, int line) {
  while (--line > 0) yaml.remove_prefix(std::min(yaml.find('\n'), yaml.size() - 1) + 1);
  const std::size_t text = yaml.find_first_not_of(" \t");
  return yaml.substr(0, text).find('\t') != std::string_view::npos;
}

struct TooDeep {
  Position at;
};

/// Builds the tree from yaml-cpp's events, with a stack of its own; its depth bounds yaml-cpp's recursion too.
class Builder : public YAML::EventHandler {
 public:
  explicit Builder(Context& context) : context_(context) {}

  Node take_root() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnAnchor(const YAML::Mark& mark, const std::string&) override {
    context_.error(position_of(mark), "anchors are not known here: write the value where it is needed");
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    const Position at = position_of(mark);
    context_.error(at, "aliases are not known here: write the value where it is needed");
    add(broken(at));
  }
  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    Node node;
    node.at = position_of(mark);
    add(std::move(node));
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, const std::string& value) override {
    const Position at = position_of(mark);
    check_tag(at, tag);
    add(scalar(at, value));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    open(Node::Kind::list, mark, tag);
  }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t, YAML::EmitterStyle::value) override {
    open(Node::Kind::map, mark, tag);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapEnd() override { close(); }

 private:
  struct Frame {
    Node node;
    bool has_key = false;  // of a map: a key waits for its value
    bool bad_key = false;  // and is no plain word, or stood before: the value is dropped
    Node::Entry entry;
    std::unordered_map<std::string, int> lines;  // of the keys so far
  };

  static Node broken(Position at) {
    Node node;
    node.at = at;
    node.broken = true;
    return node;
  }

  void check_tag(Position at, const std::string& tag) {
    // '?' and '!' are how plain and quoted values without a tag come.
    if (!tag.empty() && tag != "?" && tag != "!") {
      context_.error(at, "tags such as " + quoted(tag) + " are not known here: leave it out");
    }
  }

  bool expects_key() const {
    return !stack_.empty() && stack_.back().node.kind == Node::Kind::map && !stack_.back().has_key;
  }

  Node scalar(Position at, const std::string& value) {
    if (value.size() > max_scalar) {
      context_.error(at, "this is too long: 8192 bytes at most");
      return broken(at);
    }
    Node node;
    node.at = at;
    node.kind = Node::Kind::scalar;
    std::string wrong;
    node.text = expects_key() ? value : expand(value, context_.env, wrong);
    if (wrong.empty() && node.text.size() > max_scalar) wrong = "with its variables filled in this is over 8192 bytes";
    if (wrong.empty() && find_invalid_utf8(node.text) != std::string_view::npos)
      wrong = "a variable's value is no UTF-8";
    if (wrong.empty() && has_control(node.text)) wrong = "this holds a line break or another control character";
    if (wrong.empty()) return node;
    context_.error(at, std::move(wrong));
    return broken(at);
  }

  void open(Node::Kind kind, const YAML::Mark& mark, const std::string& tag) {
    const Position at = position_of(mark);
    if (stack_.size() >= max_depth) throw TooDeep{at};
    check_tag(at, tag);
    Frame frame;
    frame.node.kind = kind;
    frame.node.at = at;
    stack_.push_back(std::move(frame));
  }

  void close() {
    Node node = std::move(stack_.back().node);
    stack_.pop_back();
    add(std::move(node));
  }

  void add(Node node) {
    if (stack_.empty()) {
      root_ = std::move(node);
    } else if (stack_.back().node.kind == Node::Kind::list) {
      stack_.back().node.items.push_back(std::move(node));
    } else if (!stack_.back().has_key) {
      add_key(stack_.back(), std::move(node));
    } else {
      Frame& frame = stack_.back();
      frame.has_key = false;
      if (frame.bad_key) return;
      // An absent value has no place of its own.
      if (node.kind == Node::Kind::null && !node.broken) node.at = frame.entry.key_at;
      frame.entry.value = std::move(node);
      frame.node.entries.push_back(std::move(frame.entry));
      frame.entry = {};
    }
  }

  void add_key(Frame& frame, Node node) {
    frame.has_key = true;
    frame.bad_key = true;
    if (node.broken) return;
    if (node.kind != Node::Kind::scalar) {
      context_.error(node.at, "a key must be a plain word");
      return;
    }
    const auto [place, fresh] = frame.lines.emplace(node.text, node.at.line);
    if (!fresh) {
      context_.error(
          node.at, quoted(node.text) + " stands here twice: line " + std::to_string(place->second) + " has it already");
      return;
    }
    frame.bad_key = false;
    frame.entry.key = std::move(node.text);
    frame.entry.key_at = node.at;
  }

  Context& context_;
  std::vector<Frame> stack_;
  Node root_;
};

/// Bytes that yaml-cpp would stumble over or read in its own way (0x04 ends its input) never reach it.
bool check_bytes(std::string_view yaml, Context& context) {
  std::size_t bad = find_invalid_utf8(yaml);
  std::string message = "this is not UTF-8 text";
  int line = 1, column = 1;
  for (std::size_t i = 0; i < yaml.size() && i < bad; ++i) {
    const auto c = static_cast<unsigned char>(yaml[i]);
    const bool lone_return = c == '\r' && (i + 1 == yaml.size() || yaml[i + 1] != '\n');
    if ((c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f || lone_return) {
      bad = i;
      message = "a control character stands here: remove it";
      break;
    }
    if (c == '\n') {
      ++line;
      column = 1;
    } else {
      ++column;
    }
  }
  if (bad == std::string_view::npos) return true;
  context.error({line, column}, message);
  return false;
}

}  // namespace

const Node* Node::find(std::string_view key) const {
  for (const Entry& entry : entries) {
    if (entry.key == key) return &entry.value;
  }
  return nullptr;
}

void Context::add(Position at, std::string message, bool warning) {
  if (!warning) failed_ = true;
  if (!full()) problems_.push_back({at.line, at.column, std::move(message), warning});
}
bool Context::full() const { return problems_.size() >= max_problems; }
void Context::error(Position at, std::string message) { add(at, std::move(message), false); }
void Context::warn(Position at, std::string message) { add(at, std::move(message), true); }

std::vector<Problem> Context::take_problems() {
  std::sort(problems_.begin(), problems_.end(), [](const Problem& a, const Problem& b) {
    return std::tie(a.line, a.column, a.message) < std::tie(b.line, b.column, b.message);
  });
  // A setting of defaults may be as wrong for each route.
  problems_.erase(std::unique(problems_.begin(), problems_.end()), problems_.end());
  return std::move(problems_);
}

Node parse_tree(std::string_view yaml, Context& context) {
  Node nothing;
  nothing.broken = true;
  if (yaml.size() > max_file_size) {
    context.error({}, "the file is too large: 1 MiB at most");
    return nothing;
  }
  if (yaml.starts_with("\xef\xbb\xbf")) yaml.remove_prefix(3);
  if (!check_bytes(yaml, context)) return nothing;
  try {
    std::istringstream stream{std::string(yaml)};
    YAML::Parser parser(stream);
    Builder builder(context);
    parser.HandleNextDocument(builder);
    Node root = builder.take_root();
    Builder more(context);
    if (parser.HandleNextDocument(more)) {
      context.error(more.take_root().at, "a second YAML document begins here: a configuration is one");
    }
    return root;
  } catch (const TooDeep& deep) {
    context.error(deep.at,
                  "this is nested too deep: nothing here needs more than " + std::to_string(max_depth) + " levels");
  } catch (const YAML::Exception& e) {
    const Position at = position_of(e.mark);
    const char* hint = is_indented_by_tab(yaml, at.line) ? " (indent with spaces, not with tabs)" : "";
    context.error(at, "this is not valid YAML: " + printable(e.msg) + hint);
  } catch (const std::exception& e) {
    context.error({}, "this is not valid YAML: " + printable(e.what()));
  }
  return nothing;
}

}  // namespace pillion::config
