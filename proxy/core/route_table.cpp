// Route look-up: a trie by path segment for each pair of listener and host condition, walked breadth-first.
#include "core/route_table.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <limits>
#include <optional>
#include <stdexcept>
#include <unordered_map>

#include "core/hash.hpp"
#include "core/headers.hpp"

namespace pillion {
namespace {

constexpr std::uint32_t no_route = std::numeric_limits<std::uint32_t>::max();
constexpr std::uint32_t no_node = std::numeric_limits<std::uint32_t>::max();
constexpr std::string_view rest_suffix = "/**";

bool is_parameter(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

/// Segments of a path one by one: `/a/b/` has `a`, `b` and an empty one; `/` has one empty segment; `` has none.
class Segments {
 public:
  explicit Segments(std::string_view path) : rest_(path) {}
  std::optional<std::string_view> next() {
    if (rest_.empty()) return std::nullopt;
    rest_.remove_prefix(1);  // the slash
    const std::string_view segment = rest_.substr(0, rest_.find('/'));
    rest_.remove_prefix(segment.size());
    return segment;
  }

 private:
  std::string_view rest_;
};

struct BytesHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const noexcept { return static_cast<std::size_t>(hash64(text)); }
};

/// The set of nodes reached so far. Real tables reach a handful; only made-up ones leave the array.
class NodeSet {
 public:
  void push(std::uint32_t node) {
    if (size_ < first_.size()) {
      first_[size_] = node;
    } else {
      more_.push_back(node);
    }
    ++size_;
  }
  std::uint32_t operator[](std::size_t i) const { return i < first_.size() ? first_[i] : more_[i - first_.size()]; }
  std::size_t size() const { return size_; }
  void clear() {
    size_ = 0;
    more_.clear();
  }

 private:
  std::array<std::uint32_t, 32> first_;
  std::vector<std::uint32_t> more_;
  std::size_t size_ = 0;
};

std::string_view without_port(std::string_view host) {
  // In `[v6]:port` the colons inside the brackets are none of ours.
  const std::size_t from = host.starts_with('[') ? std::min(host.find(']'), host.size()) : 0;
  host = host.substr(0, host.find(':', from));
  // `example.com.` is the same name in full (RFC 1034 3.1).
  if (host.size() > 1 && host.ends_with('.')) host.remove_suffix(1);
  return host;
}

/// Which tree: the listener exactly, the host whatever its case.
struct TreeKey {
  std::string_view listener, host;
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

struct TreeKeyHash {
  std::size_t operator()(const TreeKey& key) const noexcept {
    std::uint64_t h = hash64(key.listener);
    for (char c : key.host) h = (h ^ static_cast<unsigned char>(lower(c))) * 0x100000001b3u;  // FNV-1a
    return static_cast<std::size_t>(h ^ (h >> 29));
  }
};
struct TreeKeyEqual {
  bool operator()(const TreeKey& a, const TreeKey& b) const noexcept {
    return a.listener == b.listener && iequals(a.host, b.host);
  }
};

}  // namespace

struct RouteTable::Tree {
  struct Node {
    std::unordered_map<std::string, std::uint32_t, BytesHash, std::equal_to<>> literals;
    std::uint32_t any = no_node;    // the branch of `{name}` and `*`
    std::uint32_t ends = no_route;  // first route whose path ends here
    std::uint32_t rest = no_route;  // first route with `/**` here
    std::uint32_t best = no_route;  // first route in the whole subtree
  };
  std::vector<Node> nodes = std::vector<Node>(1);

  void add(std::string_view path, std::uint32_t route);
  void find(std::string_view path, std::uint32_t& best) const;

 private:
  std::uint32_t child(std::uint32_t node, std::string_view segment);
};

std::uint32_t RouteTable::Tree::child(std::uint32_t node, std::string_view segment) {
  const auto created = static_cast<std::uint32_t>(nodes.size());
  std::uint32_t* place = nullptr;
  if (segment == "*" || is_parameter(segment)) {
    place = &nodes[node].any;
  } else {
    place = &nodes[node].literals.try_emplace(std::string(segment), no_node).first->second;
  }
  if (*place != no_node) return *place;
  *place = created;
  nodes.emplace_back();
  return created;
}

void RouteTable::Tree::add(std::string_view path, std::uint32_t route) {
  const bool rest = path.ends_with(rest_suffix);
  if (rest) path.remove_suffix(rest_suffix.size());
  std::uint32_t node = 0;
  nodes[node].best = std::min(nodes[node].best, route);
  Segments segments(path);
  while (const auto segment = segments.next()) {
    node = child(node, *segment);
    nodes[node].best = std::min(nodes[node].best, route);
  }
  std::uint32_t& place = rest ? nodes[node].rest : nodes[node].ends;
  place = std::min(place, route);
}

/// All nodes that the segments so far lead to are kept together, so that no node is seen twice: the work is at most
/// 2^depth nodes a level and never more than the table has there. A subtree that can't beat the route found is left
/// out.
void RouteTable::Tree::find(std::string_view path, std::uint32_t& best) const {
  if (!path.starts_with('/')) {
    best = std::min(best, nodes[0].rest);
    return;
  }
  NodeSet sets[2];
  NodeSet* reached = &sets[0];
  NodeSet* next = &sets[1];
  reached->push(0);
  Segments segments(path);
  while (reached->size() != 0) {
    for (std::size_t i = 0; i < reached->size(); ++i) best = std::min(best, nodes[(*reached)[i]].rest);
    const auto segment = segments.next();
    if (!segment) break;
    next->clear();
    const auto visit = [&](std::uint32_t node) {
      if (nodes[node].best < best) next->push(node);
    };
    for (std::size_t i = 0; i < reached->size(); ++i) {
      const Node& node = nodes[(*reached)[i]];
      if (const auto found = node.literals.find(*segment); found != node.literals.end()) visit(found->second);
      if (node.any != no_node && !segment->empty()) visit(node.any);
    }
    std::swap(reached, next);
  }
  for (std::size_t i = 0; i < reached->size(); ++i) best = std::min(best, nodes[(*reached)[i]].ends);
}

struct RouteTable::Trees {
  std::unordered_map<TreeKey, Tree, TreeKeyHash, TreeKeyEqual> by_condition;  // views into routes_
  std::vector<std::string> named_listeners;  // those that a route chooses: other routes don't serve them
  std::vector<std::vector<std::uint32_t>> parameter_places;  // for each route the segments its parameters stand in
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
    if (!settings.listener.empty() && std::ranges::count(trees_->named_listeners, settings.listener) == 0) {
      trees_->named_listeners.push_back(settings.listener);
    }
    trees_->parameter_places.push_back(places_of_parameters(settings.path));
    trees_->by_condition[{settings.listener, without_port(settings.host)}].add(settings.path,
                                                                               static_cast<std::uint32_t>(route.index));
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
  // A listener that no route names is served by the routes that name none, and the other way round.
  if (std::ranges::count(trees_->named_listeners, listener) == 0) listener = {};
  host = without_port(host);
  std::uint32_t best = no_route;
  const auto try_tree = [&](const TreeKey& key) {
    const auto tree = trees_->by_condition.find(key);
    if (tree != trees_->by_condition.end()) tree->second.find(path, best);
  };
  if (!host.empty()) try_tree({listener, host});
  try_tree({listener, {}});
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
