// Values that only routes have (route_draft.hpp): paths, templates, methods, query parameters.
#include <algorithm>

#include "config/patterns.hpp"
#include "config/route_draft.hpp"

namespace pillion::config {

namespace {
constexpr std::size_t max_template = 256;
constexpr std::size_t max_url = 2048;
constexpr std::size_t max_language = 64;
}  // namespace

Parsed<std::string> parse_template(std::string_view text) {
  std::vector<std::string_view> names;
  std::string wrong;
  if (text.empty() || text.size() > max_template) return Parsed<std::string>::error("this must be 1 to 256 bytes long");
  if (!is_visible_ascii(text)) {
    return Parsed<std::string>::error(quoted(text) +
                                      " holds white space or characters outside ASCII: percent-encode them");
  }
  if (!template_names(text, names, wrong)) return Parsed<std::string>::error(wrong);
  return std::string(text);
}

Parsed<std::string> parse_tag(std::string_view text) {
  if (text.find(',') != text.npos)
    return Parsed<std::string>::error(quoted(text) + " holds a comma: list several tags");
  return parse_template(text);
}

Parsed<std::string> parse_url_template(std::string_view text) {
  std::vector<std::string_view> names;
  std::string wrong;
  const bool shape = text.starts_with('/') || text.starts_with("http://") || text.starts_with("https://");
  if (!shape || text.size() > max_url || !is_visible_ascii(text)) {
    return Parsed<std::string>::error(quoted(text) +
                                      " is not a URL: write /path?query for every host, or http://host/path");
  }
  if (!template_names(text, names, wrong)) return Parsed<std::string>::error(wrong);
  return std::string(text);
}

Parsed<std::string> parse_method(std::string_view text) {
  if (text == "GET" || text == "HEAD" || text == "OPTIONS" || text == "TRACE" || text == "CONNECT") {
    return Parsed<std::string>::error(quoted(text) +
                                      " changes nothing and so invalidates nothing: name POST, PUT, PATCH, DELETE...");
  }
  const bool upper = std::none_of(text.begin(), text.end(), [](char c) { return c >= 'a' && c <= 'z'; });
  if (is_token(text) && upper && text.size() <= 32) return std::string(text);
  return Parsed<std::string>::error(quoted(text) + " is not a method: write it in capitals, such as PUT");
}

Parsed<std::string> parse_path(std::string_view text) {
  std::string wrong = check_pattern(text);
  if (!wrong.empty()) return Parsed<std::string>::error(std::move(wrong));
  return std::string(text);
}

Parsed<std::string> parse_rewrite(std::string_view text) {
  std::vector<std::string_view> names;
  std::string wrong;
  if (!text.starts_with('/') || text.size() > 1024 || !is_visible_ascii(text) ||
      text.find_first_of("?#*") != text.npos) {
    return Parsed<std::string>::error(quoted(text) +
                                      " is not a path to send: write /path/{name}, without a query or *");
  }
  if (!template_names(text, names, wrong)) return Parsed<std::string>::error(wrong);
  return std::string(text);
}

Parsed<std::string> parse_host_condition(std::string_view text) {
  if (is_host(text)) return std::string(text);
  return Parsed<std::string>::error(quoted(text) + " is not a host: write its name alone, such as api.example.com");
}

Parsed<std::string> parse_parameter(std::string_view text) {
  const std::size_t star = std::min(text.find('*'), text.size());
  const bool bad =
      text.empty() || text.size() > 128 || !is_visible_ascii(text) || text.find_first_of("&=#") != text.npos;
  if (!bad && (star == text.size() || star + 1 == text.size())) return std::string(text);
  return Parsed<std::string>::error(quoted(text) + " is not a query parameter: write its name as it is sent, or utm_*");
}

Parsed<std::string> parse_language(std::string_view text) {
  const auto is_alpha = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto is_alnum = [&](char c) { return is_alpha(c) || (c >= '0' && c <= '9'); };
  bool good = text.size() <= max_language;
  bool first = true;
  for (std::size_t begin = 0; good && begin <= text.size(); first = false) {
    const std::size_t end = std::min(text.find('-', begin), text.size());
    const std::string_view subtag = text.substr(begin, end - begin);
    good = !subtag.empty() && subtag.size() <= 8 &&
           (first ? std::all_of(subtag.begin(), subtag.end(), is_alpha)
                  : std::all_of(subtag.begin(), subtag.end(), is_alnum));
    begin = end + 1;
  }
  if (good) return std::string(text);
  return Parsed<std::string>::error(quoted(text) + " is not a language: write a tag such as de, en or pt-BR");
}

bool same_but_for_case(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [&](char x, char y) { return lower(x) == lower(y); });
}

}  // namespace pillion::config
