// Routes compiled, and found: a tree of paths for each pair of listener and host condition.
#include "core/route_table.hpp"

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <unordered_map>

#include "core/headers.hpp"
#include "core/route_tree.hpp"

namespace pillion {
namespace {

std::string_view without_port(std::string_view host) {
  // In `[v6]:port` the colons inside the brackets are none of ours.
  const std::size_t from = host.starts_with('[') ? std::min(host.find(']'), host.size()) : 0;
  host = host.substr(0, host.find(':', from));
  // `example.com.` is the same name in full (RFC 1034 3.1).
  if (host.size() > 1 && host.ends_with('.')) host.remove_suffix(1);
  return host;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

/// Host names, whatever their case.
struct HostHash {
  std::size_t operator()(std::string_view host) const noexcept {
    std::uint64_t h = 0xcbf29ce484222325u;
    for (char c : host) h = (h ^ static_cast<unsigned char>(lower(c))) * 0x100000001b3u;  // FNV-1a
    return static_cast<std::size_t>(h ^ (h >> 29));
  }
};
struct HostEqual {
  bool operator()(std::string_view a, std::string_view b) const noexcept { return iequals(a, b); }
};

}  // namespace

/// Routes with a listener condition and those without never serve the same listener: each listener that some route
/// names has trees of its own, and the first ones are everybody else's.
struct RouteTable::Trees {
  struct Listener {
    std::string_view name;  // this and the hosts are views into routes_
    RouteTree any_host;     // routes without a host condition
    std::unordered_map<std::string_view, RouteTree, HostHash, HostEqual> hosts;
  };
  std::vector<Listener> listeners = std::vector<Listener>(1);
  std::vector<std::vector<std::uint32_t>> parameter_places;  // for each route the segments its parameters stand in

  std::size_t index_of(std::string_view listener) const {
    std::size_t i = listeners.size();
    while (--i > 0 && listeners[i].name != listener) {
    }
    return i;
  }
};

namespace {

std::size_t upstream_index(const config::Config& config, const config::Route& route) {
  const auto found = std::ranges::find(config.upstreams, route.upstream, &config::Upstream::name);
  if (found != config.upstreams.end()) return static_cast<std::size_t>(found - config.upstreams.begin());
  if (route.upstream.empty()) return 0;
  throw std::invalid_argument("route " + route.name + ": no upstream is called " + route.upstream);
}

std::vector<Template> compile_all(const std::vector<std::string>& texts, const std::vector<std::string>& names) {
  std::vector<Template> out;
  out.reserve(texts.size());
  for (const std::string& text : texts) out.emplace_back(text, names);
  return out;
}

std::string upper(std::string text) {
  for (char& c : text) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  return text;
}

CompiledRoute compile(const config::Config& config, const config::Route& route, std::size_t index) {
  CompiledRoute out;
  out.settings = route;
  out.index = index;
  out.upstream = upstream_index(config, route);
  out.counts_hits = route.refresh.ahead > 0 || route.adaptive.is_on();
  out.parameters = RouteTable::parameter_names(route.path);
  out.key = Template(route.key, out.parameters);
  out.rewrite = Template(route.rewrite, out.parameters);
  out.tags = compile_all(route.tags, out.parameters);
  for (const config::InvalidateRule& rule : route.invalidate) {
    CompiledRoute::Invalidate compiled;
    for (const std::string& method : rule.methods) compiled.methods.push_back(upper(method));
    compiled.tags = compile_all(rule.tags, out.parameters);
    compiled.patterns = compile_all(rule.patterns, out.parameters);
    compiled.urls = compile_all(rule.urls, out.parameters);
    out.invalidate.push_back(std::move(compiled));
  }
  out.compresses =
      route.compress_answers && route.cache == config::CacheMode::on && route.store_memory && config.memory.enabled;
  return out;
}

std::vector<std::uint32_t> places_of_parameters(std::string_view path) {
  std::vector<std::uint32_t> places;
  Segments segments(path);
  for (std::uint32_t i = 0; const auto segment = segments.next(); ++i) {
    if (is_parameter(*segment)) places.push_back(i);
  }
  return places;
}

}  // namespace

RouteTable::RouteTable(const config::Config& config) : trees_(std::make_unique<Trees>()) {
  routes_.reserve(config.routes.size());
  for (std::size_t i = 0; i < config.routes.size(); ++i) routes_.push_back(compile(config, config.routes[i], i));
  // Only now: the keys of the trees are views into routes_, which must not move any more.
  for (const CompiledRoute& route : routes_) {
    const config::Route& settings = route.settings;
    trees_->parameter_places.push_back(places_of_parameters(settings.path));
    std::size_t listener = trees_->index_of(settings.listener);
    if (!settings.listener.empty() && listener == 0) {
      listener = trees_->listeners.size();
      trees_->listeners.push_back({settings.listener, {}, {}});
    }
    Trees::Listener& trees = trees_->listeners[listener];
    RouteTree& tree = settings.host.empty() ? trees.any_host : trees.hosts[without_port(settings.host)];
    tree.add(settings.path, static_cast<std::uint32_t>(route.index));
  }
}

RouteTable::~RouteTable() = default;
RouteTable::RouteTable(RouteTable&&) noexcept = default;

std::vector<std::string> RouteTable::parameter_names(std::string_view path) {
  std::vector<std::string> names;
  Segments segments(path);
  while (const auto segment = segments.next()) {
    if (is_parameter(*segment)) names.emplace_back(segment->substr(1, segment->size() - 2));
  }
  return names;
}

void RouteTable::match(std::string_view listener, std::string_view host, std::string_view path,
                       RouteMatch& match) const {
  match.route = nullptr;
  match.parameters.clear();
  const Trees::Listener& trees = trees_->listeners[trees_->index_of(listener)];
  std::uint32_t best = no_route;
  if (!trees.hosts.empty()) {
    const auto tree = trees.hosts.find(without_port(host));
    if (tree != trees.hosts.end()) tree->second.find(path, best);
  }
  trees.any_host.find(path, best);
  if (best == no_route) return;

  match.route = &routes_[best];
  Segments segments(path);
  std::uint32_t at = 0;
  for (const std::uint32_t place : trees_->parameter_places[best]) {
    auto segment = segments.next();
    for (; segment && at < place; ++at) segment = segments.next();
    ++at;
    match.parameters.push_back(segment.value_or(std::string_view{}));
  }
}

}  // namespace pillion
