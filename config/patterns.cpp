#include "config/patterns.hpp"

#include <algorithm>

#include "config/tree.hpp"

namespace pillion::config {

namespace {

constexpr std::size_t max_pattern = 1024;
constexpr std::size_t max_segments = 64;

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

bool is_parameter_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && is_letter(name.front()) &&
         std::all_of(name.begin(), name.end(), [](char c) { return is_letter(c) || is_digit(c); });
}

/// pchar of RFC 3986 3.3.
bool is_literal(std::string_view text) {
  constexpr std::string_view others = "-._~!$&'()*+,;=:@";
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '%') {
      if (i + 2 >= text.size() || !is_hex(text[i + 1]) || !is_hex(text[i + 2])) return false;
    } else if (!is_letter(c) && !is_digit(c) && others.find(c) == std::string_view::npos) {
      return false;
    }
  }
  return true;
}

Segment segment_of(std::string_view text) {
  if (text == "*") return {Segment::Kind::any, {}};
  if (text == "**") return {Segment::Kind::rest, {}};
  if (text.size() > 2 && text.front() == '{' && text.back() == '}') {
    return {Segment::Kind::parameter, text.substr(1, text.size() - 2)};
  }
  return {Segment::Kind::literal, text};
}

std::string check_segment(std::string_view text, bool last) {
  const Segment segment = segment_of(text);
  switch (segment.kind) {
    case Segment::Kind::any:
      return {};
    case Segment::Kind::rest:
      return last ? "" : "'/**' stands for the rest: it must be last";
    case Segment::Kind::parameter:
      if (is_parameter_name(segment.text)) return {};
      return quoted(segment.text) + " is not a parameter's name: letters, digits and '_', not beginning with a digit";
    case Segment::Kind::literal:
      break;
  }
  if (text.empty()) return last ? "" : "'//' matches nothing that may be stored: write one '/'";
  if (text == "." || text == "..") return "dot segments match nothing that may be stored: leave them out";
  if (text.find('*') != std::string_view::npos)
    return "'*' must be a whole segment: write /a/*/b, or /a/** for the rest";
  if (text.find_first_of("{}") != std::string_view::npos)
    return "a parameter must be a whole segment: write /a/{name}/b";
  if (text.find_first_of("?#") != std::string_view::npos) return "a path has no query: see query: and key:";
  if (!is_literal(text)) return "a path is matched as it is sent: percent-encode what may not stand in it (RFC 3986)";
  return {};
}

}  // namespace

std::vector<Segment> segments_of(std::string_view pattern) {
  std::vector<Segment> out;
  while (!pattern.empty()) {
    pattern.remove_prefix(1);  // the slash
    const std::size_t end = std::min(pattern.find('/'), pattern.size());
    out.push_back(segment_of(pattern.substr(0, end)));
    pattern.remove_prefix(end);
  }
  return out;
}

std::string check_pattern(std::string_view pattern) {
  if (!pattern.starts_with('/')) return quoted(pattern) + " is not a path: it must begin with '/'";
  if (pattern.size() > max_pattern) return "this path is too long: 1024 bytes at most";
  std::vector<std::string_view> names;
  std::size_t count = 0;
  for (std::string_view rest = pattern; !rest.empty();) {
    rest.remove_prefix(1);
    const std::size_t end = std::min(rest.find('/'), rest.size());
    const std::string_view text = rest.substr(0, end);
    rest.remove_prefix(end);
    if (std::string wrong = check_segment(text, rest.empty()); !wrong.empty()) return wrong;
    if (++count > max_segments) return "this path has too many segments: 64 at most";
    const Segment segment = segment_of(text);
    if (segment.kind != Segment::Kind::parameter) continue;
    if (std::find(names.begin(), names.end(), segment.text) != names.end()) {
      return "the parameter " + quoted("{" + std::string(segment.text) + "}") + " stands here twice: rename one";
    }
    names.push_back(segment.text);
    if (names.size() > max_parameters) return "this path has too many parameters: 16 at most; write * for the others";
  }
  return {};
}

bool template_names(std::string_view text, std::vector<std::string_view>& names, std::string& wrong) {
  while (!text.empty()) {
    const std::size_t brace = text.find_first_of("{}");
    if (brace == std::string_view::npos) return true;
    const std::size_t end = text[brace] == '{' ? text.find_first_of("{}", brace + 1) : std::string_view::npos;
    if (end == std::string_view::npos || text[end] != '}') {
      wrong = "a brace has no partner here: parameters are written {name}";
      return false;
    }
    const std::string_view name = text.substr(brace + 1, end - brace - 1);
    if (!is_parameter_name(name)) {
      wrong = quoted(name) + " is not a parameter's name: letters, digits and '_', not beginning with a digit";
      return false;
    }
    names.push_back(name);
    text.remove_prefix(end + 1);
  }
  return true;
}

}  // namespace pillion::config
