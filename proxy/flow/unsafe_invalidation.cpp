#include "flow/unsafe_invalidation.hpp"

#include <algorithm>

namespace pillion {

namespace {

// The path of a URL in Location or Content-Location if it is of the same origin, else nothing (RFC 9111 4.4).
std::string_view same_origin_path(std::string_view url, const UnsafeRequest& request) {
  if (url.size() >= 2 && url[0] == '/' && url[1] == '/') {
    url.remove_prefix(2);
  } else if (const auto colon = url.find("://"); colon != std::string_view::npos && url.find('/') > colon) {
    if (!iequals(url.substr(0, colon), request.scheme)) return {};
    url.remove_prefix(colon + 3);
  } else {
    return !url.empty() && url.front() == '/' ? url.substr(0, url.find_first_of("?#")) : std::string_view{};
  }
  const auto slash = url.find('/');
  if (slash == std::string_view::npos || !iequals(url.substr(0, slash), request.host)) return {};
  url.remove_prefix(slash);
  return url.substr(0, url.find_first_of("?#"));
}

}  // namespace

UnsafeRequest remember_unsafe(const RequestHead& request, const RouteMatch& match) {
  UnsafeRequest unsafe{std::string(request.method_name),
                       std::string(request.path),
                       std::string(request.scheme),
                       std::string(request.host),
                       {}};
  for (const std::string_view value : match.parameters) unsafe.parameters.emplace_back(value);
  return unsafe;
}

std::vector<Selector> selectors_of_unsafe(const UnsafeRequest& request, const RouteMatch& match,
                                          const ResponseHead* response) {
  std::vector<Selector> selectors{{Selector::Kind::path, request.path}};
  if (response) {
    for (const Field& field : response->fields) {
      if (field.id != Name::location && field.id != Name::content_location) continue;
      const std::string_view path = same_origin_path(field.value, request);
      if (!path.empty()) selectors.push_back({Selector::Kind::path, std::string(path)});
    }
  }
  if (!match.route) return selectors;
  const std::vector<std::string_view> values(request.parameters.begin(), request.parameters.end());
  for (const CompiledRoute::Invalidate& rule : match.route->invalidate) {
    if (!rule.methods.empty() &&
        std::find(rule.methods.begin(), rule.methods.end(), request.method) == rule.methods.end())
      continue;
    for (const Template& tag : rule.tags)
      selectors.push_back({Selector::Kind::tag, tag.fill(values, Template::Encode::raw)});
    for (const Template& pattern : rule.patterns) {
      selectors.push_back({Selector::Kind::pattern, pattern.fill(values, Template::Encode::key)});
    }
    for (const Template& url : rule.urls)
      selectors.push_back({Selector::Kind::url, url.fill(values, Template::Encode::raw)});
  }
  return selectors;
}

}  // namespace pillion
