#include "flow/unsafe_invalidation.hpp"

#include <algorithm>
#include <iterator>

#include "core/cache_key.hpp"

namespace pillion {

namespace {

std::string_view without_default_port(std::string_view host, std::string_view scheme) {
  const std::string_view port = scheme == "https" ? ":443" : ":80";
  return host.ends_with(port) ? host.substr(0, host.size() - port.size()) : host;
}

// The same group of no host (group_selector()).
Selector without_host(std::string_view group) {
  const std::size_t host = group.find("://") + 3;
  return {Selector::Kind::group, std::string(group.substr(0, host)).append(group.substr(group.find('/', host)))};
}

// The path of a reference in Location or Content-Location if it is of the same origin, else nothing (RFC 9111 4.4, RFC
// 3986 5.2; dot segments are removed where it is compared).
std::string same_origin_path(std::string_view url, const UnsafeRequest& request) {
  url = url.substr(0, url.find_first_of("?#"));
  const auto colon = url.find("://");
  const bool absolute = colon != std::string_view::npos && url.find('/') > colon;
  if (absolute) {
    if (!iequals(url.substr(0, colon), request.scheme)) return {};
    url.remove_prefix(colon + 3);
  } else if (url.starts_with("//")) {
    url.remove_prefix(2);
  } else if (url.starts_with('/')) {
    return std::string(url);
  } else {
    // Relative to the request's own path; a reference with a scheme of another kind is none of ours.
    if (url.empty() || url.substr(0, url.find('/')).find(':') != std::string_view::npos) return {};
    return request.path.substr(0, request.path.rfind('/') + 1) + std::string(url);
  }
  const auto slash = std::min(url.find('/'), url.size());
  if (!iequals(without_default_port(url.substr(0, slash), request.scheme),
               without_default_port(request.host, request.scheme)))
    return {};
  return slash == url.size() ? "/" : std::string(url.substr(slash));
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

std::vector<Selector> groups_invalidated_by(const UnsafeRequest& request, Fields response_fields) {
  std::vector<Selector> groups;
  if (append_groups(response_fields, Name::cache_group_invalidation, request.scheme, request.host, groups))
    return groups;
  return {{Selector::Kind::all, {}}};
}

std::vector<Selector> selectors_of_unsafe(const UnsafeRequest& request, const RouteMatch& match,
                                          const ResponseHead* response) {
  std::vector<Selector> selectors{{Selector::Kind::path, request.path}};
  if (response) {
    for (const Field& field : response->fields) {
      if (field.id != Name::location && field.id != Name::content_location) continue;
      std::string path = same_origin_path(field.value, request);
      if (!path.empty()) selectors.push_back({Selector::Kind::path, std::move(path)});
    }
    std::ranges::move(groups_invalidated_by(request, response->fields), std::back_inserter(selectors));
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

void add_spellings(const RouteTable& routes, const std::vector<std::string>& listeners,
                   std::vector<Selector>& selectors) {
  const std::size_t given = selectors.size();
  const bool hostless =
      std::ranges::any_of(routes.routes(), [](const CompiledRoute& route) { return route.settings.ignore_host; });
  for (std::size_t i = 0; i < given; ++i) {
    if (hostless && selectors[i].kind == Selector::Kind::group) selectors.push_back(without_host(selectors[i].text));
    if (selectors[i].kind != Selector::Kind::url) continue;
    const std::string url = selectors[i].text;
    const auto colon = url.find("://");
    const std::size_t host_begin = colon == std::string::npos ? 0 : colon + 3;
    const std::size_t path_begin =
        colon == std::string::npos ? 0 : std::min(url.find_first_of("/?#", host_begin), url.size());
    const std::string_view origin = std::string_view(url).substr(0, path_begin);
    const std::string_view host = std::string_view(url).substr(host_begin, path_begin - host_begin);
    const std::string_view target = std::string_view(url).substr(path_begin);
    const std::size_t mark = target.find('?');
    const std::string_view path = target.substr(0, mark);
    for (const std::string& listener : listeners) {
      RouteMatch match;
      routes.match(listener, host, path, match);
      if (!match.route) continue;
      const config::Route& route = match.route->settings;
      std::string kept(target);
      if (mark != std::string_view::npos && !route.query.changes_nothing()) {
        const std::string query = apply_query_rule(target.substr(mark + 1), route.query);
        kept = std::string(path) + (query.empty() ? "" : "?" + query);
        selectors.push_back({Selector::Kind::url, std::string(origin) + kept});
      }
      if (route.ignore_host && !origin.empty()) selectors.push_back({Selector::Kind::url, kept});
    }
  }
}

}  // namespace pillion
