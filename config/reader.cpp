#include "config/reader.hpp"

#include <algorithm>
#include <functional>

#include "config/dump.hpp"

namespace pillion::config {

namespace {

std::string_view kind_name(Node::Kind kind) {
  switch (kind) {
    case Node::Kind::null:
      return "nothing";
    case Node::Kind::scalar:
      return "a single value";
    case Node::Kind::list:
      return "a list";
    case Node::Kind::map:
      return "a map of keys";
  }
  return "";
}

}  // namespace

bool expect(Context& context, const Node& node, Node::Kind kind, std::string_view what) {
  if (node.broken) return false;
  if (node.kind == kind) return true;
  if (kind == Node::Kind::scalar) {
    context.error(node.at, std::string(what) + " belongs here, and this is " + std::string(kind_name(node.kind)));
    return false;
  }
  context.error(node.at, std::string(what) + " must be " + std::string(kind_name(kind)) + ", and here is " +
                             std::string(kind_name(node.kind)));
  return false;
}

const std::string* scalar(Context& context, const Node& node, std::string_view what) {
  return expect(context, node, Node::Kind::scalar, what) ? &node.text : nullptr;
}

void read_duration(Context& context, const Node& node, Milliseconds& into) {
  read_value(context, node, into, parse_duration);
}

void read_deadline(Context& context, const Node& node, Milliseconds& into) {
  Milliseconds value{0};
  if (!read_value(context, node, value, parse_duration)) return;
  if (value.count() == 0) {
    context.error(node.at, "this must be longer than 0s");
  } else {
    into = value;
  }
}

void read_switch(Context& context, const Node& node, bool& into) { read_value(context, node, into, parse_switch); }

void read_size(Context& context, const Node& node, std::size_t& into, std::size_t least, std::size_t most) {
  std::uint64_t value = 0;
  if (!read_value(context, node, value, parse_size)) return;
  if (value < least || value > most) {
    context.error(node.at,
                  quoted(node.text) + " is out of bounds: from " + size_text(least) + " to " + size_text(most));
  } else {
    into = static_cast<std::size_t>(value);
  }
}

void read_path(Context& context, const Node& node, std::string& into) {
  const std::string* text = scalar(context, node, "the path of a file");
  if (text == nullptr) return;
  if (text->empty()) {
    context.error(node.at, "the path of a file is missing");
  } else {
    into = *text;
  }
}

namespace {

FileContent read_named(const Context& context, const std::string& path) {
  return context.read_file ? context.read_file(path) : FileContent{{}, "no files can be read here"};
}

/// A path of a file that has this text in it; what it holds.
std::string read_pem(Context& context, const Node& node, std::string& into, std::string_view text,
                     std::string_view lack) {
  read_path(context, node, into);
  if (into.empty()) return {};
  FileContent content = read_named(context, into);
  if (!content.text) {
    context.error(node.at, "can't read " + quoted(into) + ": " + content.error);
  } else if (content.text->find(text) == std::string::npos) {
    context.error(node.at, quoted(into) + " holds no " + std::string(lack));
  } else {
    return std::move(*content.text);
  }
  return {};
}

}  // namespace

std::string read_certificates(Context& context, const Node& node, std::string& into) {
  return read_pem(context, node, into, "-----BEGIN ", "certificate in PEM form (-----BEGIN CERTIFICATE-----)");
}

std::string read_private_key(Context& context, const Node& node, std::string& into) {
  return read_pem(context, node, into, "PRIVATE KEY-----", "private key in PEM form (-----BEGIN PRIVATE KEY-----)");
}

Secret secret_in(const std::string& path, const FileContent& content) {
  if (!content.text) return {{}, "can't read " + quoted(path) + ": " + content.error};
  std::string_view text = *content.text;
  while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
  const bool bad = std::any_of(text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; });
  if (text.empty()) return {{}, quoted(path) + " is empty: it must hold the secret"};
  if (text.size() > 8192) return {{}, quoted(path) + " is too long for a secret: 8192 bytes at most"};
  if (bad) return {{}, quoted(path) + " holds a line break or another control character: a secret is one line"};
  return {std::string(text), {}};
}

std::uint64_t stamp_of(std::string_view certificates) { return std::hash<std::string_view>()(certificates) | 1u; }

void read_secret(Context& context, Position at, const std::string& path, std::string& into) {
  Secret secret = secret_in(path, read_named(context, path));
  if (secret.text) {
    into = std::move(*secret.text);
  } else {
    context.error(at, std::move(secret.wrong));
  }
}

std::string choices(const std::vector<std::string_view>& words) {
  std::string out;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) out += i + 1 == words.size() ? " or " : ", ";
    out += words[i];
  }
  return out;
}

}  // namespace pillion::config
