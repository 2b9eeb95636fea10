// What only shows when everything is read: names that must be there or be unique, routes that hide others, templates
// that name what their path lacks, settings that contradict each other.
#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>

#include "config/draft.hpp"
#include "config/earlier_patterns.hpp"
#include "config/patterns.hpp"

namespace pillion::config {

namespace {

/// Where a setting of a route stands: in the route, in defaults, or (absent) at the route itself.
Position place(const Draft& draft, const Node& route, std::string_view key) {
  if (const Node* node = route.find(key)) return node->at;
  if (draft.defaults != nullptr) {
    if (const Node* node = draft.defaults->find(key)) return node->at;
  }
  return route.at;
}

bool given(const Node* section, std::string_view key) { return section != nullptr && section->find(key) != nullptr; }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return out;
}

void check_addresses(Context& context, const Draft& draft) {
  const Config& config = draft.config;
  std::map<std::string, int> taken;
  const auto claim = [&](const Address& address, Position at) {
    if (!address.is_set() || (!address.is_unix() && address.port == 0)) return;
    const auto [other, fresh] = taken.emplace(address.to_string(), at.line);
    if (!fresh) {
      context.error(
          at, quoted(other->first) + " is taken already: line " + std::to_string(other->second) + " listens there");
    }
  };
  const auto address_place = [](const Node& node) {
    const Node* address = node.find("address");
    return address != nullptr ? address->at : node.at;
  };
  std::map<std::string, int> names;
  for (std::size_t i = 0; i < draft.listener_nodes.size(); ++i) {
    const Node& node = *draft.listener_nodes[i];
    const Listener& listener = config.listeners[i];
    if (node.find("address") != nullptr) claim(listener.address, address_place(node));
    if (listener.name.empty()) continue;
    const Position at = node.find("name")->at;
    const auto [other, fresh] = names.emplace(listener.name, at.line);
    if (!fresh) {
      context.error(at, "two listeners are called " + quoted(listener.name) + ": line " +
                            std::to_string(other->second) + " has the name already");
    }
    const bool used = std::any_of(config.routes.begin(), config.routes.end(),
                                  [&](const Route& route) { return route.listener == listener.name; });
    if (!used)
      context.warn(at, "no route chooses the listener " + quoted(listener.name) + ": it serves as an unnamed one");
  }
  // Without a section the defaults listen; a clash with them is told where the other one stands.
  if (draft.admin != nullptr) claim(config.admin.address, address_place(*draft.admin));
  if (config.metrics) claim(*config.metrics, address_place(*draft.metrics));
  if (config.query_cache && draft.query_cache != nullptr)
    claim(config.query_cache->address, address_place(*draft.query_cache));
  if (config.admin.address.is_set() && !is_local(config.admin.address) && config.admin.token_file.empty()) {
    context.error(draft.admin != nullptr ? address_place(*draft.admin) : Position{},
                  "the admin address is reached from other machines: give it a token_file, or listen on 127.0.0.1");
  }
}

/// It asks nobody who they are: whoever reaches it reads and writes the application's values.
void check_query_cache(Context& context, const Draft& draft) {
  if (!draft.config.query_cache) return;
  const Node& node = *draft.query_cache;
  const Node* address = node.find("address");
  if (const Address& there = draft.config.query_cache->address; there.is_set() && !is_local(there)) {
    context.error(address != nullptr ? address->at : node.at,
                  "the query cache would be reached from other machines, and asks for no token: listen on 127.0.0.1 or "
                  "unix:/path, and give each replica of the application a Pillion of its own");
  }
  if (draft.config.ttl.empty()) {
    context.warn(node.at, "the query cache has no types: they are the names of ttl:, such as ttl: { character: 5m }");
  }
  if (draft.ttl == nullptr) return;
  for (const Node::Entry& entry : draft.ttl->entries) {
    if (entry.key != "pillion") continue;
    context.error(entry.key_at,
                  "'pillion' can't be a type of the query cache: keys that begin with 'pillion:' are Pillion's own");
  }
}

/// What was asked for most has to be remembered somewhere.
void check_warm(Context& context, const Draft& draft) {
  const Warm& warm = draft.config.warm;
  if (draft.warm == nullptr) return;
  if (warm.hottest > 0 && warm.file.empty() && !draft.config.redis.enabled) {
    const Node* hottest = draft.warm->find("hottest");
    context.error(hottest != nullptr ? hottest->at : draft.warm->at,
                  "nothing remembers what was asked for most: without store.redis, name a file for it in warm.file");
  }
  const bool path = std::ranges::any_of(warm.urls, [](const std::string& url) { return url.starts_with('/'); }) ||
                    warm.sitemap.starts_with('/');
  const bool by_host = std::ranges::any_of(draft.config.routes, [](const Route& r) { return !r.ignore_host; });
  if (path && by_host && draft.config.canonical_host.empty()) {
    context.warn(draft.warm->at,
                 "paths are warmed under the address that is listened on: name the host that clients ask for in "
                 "canonical_host");
  }
  if (const Node* file = draft.warm->find("file"); file != nullptr && warm.hottest == 0)
    context.warn(file->at, "nothing is written to that file: say with hottest how many URLs are to be remembered");
}

/// Where HTTP/2 is passed on, it goes to the upstream that a route without one would have, and without TLS: to a TLS
/// server it would have to introduce itself as h2, and the proxy's connections do as http/1.1.
void check_tunnels(Context& context, const Draft& draft) {
  const auto& upstreams = draft.config.upstreams;
  const auto app = std::find_if(upstreams.begin(), upstreams.end(), [&](const Upstream& upstream) {
    return upstreams.size() == 1 || upstream.name == "app";
  });
  for (std::size_t i = 0; i < draft.listener_nodes.size(); ++i) {
    if (!draft.config.listeners[i].h2c_tunnel) continue;
    const Position at = draft.listener_nodes[i]->find("h2c")->at;
    if (draft.config.listeners[i].tls.enabled()) {
      context.error(at,
                    "HTTP/2 with prior knowledge is HTTP/2 without TLS: a listener with tls has none; leave h2c out");
    }
    if (upstreams.empty()) continue;
    if (app == upstreams.end()) {
      context.error(at,
                    "HTTP/2 is passed to the default upstream here, and there is none: there are several upstreams, "
                    "and none is called app");
    } else if (app->tls) {
      context.error(at, "HTTP/2 is passed on as it is, without TLS, and the default upstream " + quoted(app->name) +
                            " is https://: it can't be passed there");
    }
  }
}

void check_stores(Context& context, const Draft& draft) {
  const Config& config = draft.config;
  if (!config.memory.enabled && !config.redis.enabled) {
    context.error(draft.store->find("memory")->at, "memory is off and there is no redis: nothing could be stored");
  }
  for (std::size_t i = 0; i < config.routes.size(); ++i) {
    const Route& route = config.routes[i];
    const Position at = place(draft, *draft.route_nodes[i], "store");
    if (route.store_redis && !route.store_memory && !config.redis.enabled) {
      context.error(at, "this route stores in redis alone, and there is no store.redis: add it, or write [memory]");
    }
    if (route.store_memory && !route.store_redis && !config.memory.enabled) {
      context.error(at, "this route stores in memory alone, and store.memory is off: write [redis]");
    }
  }
}

// A warning each, since the same file may run with a Redis elsewhere.
void check_fleet(Context& context, const Draft& draft) {
  const auto warn_of = [&](const Node* section, bool uses_redis) {
    if (section == nullptr) return;
    const Node* collapse = section->find("collapse");
    if (collapse != nullptr && collapse->text == "fleet" && !uses_redis) {
      context.warn(collapse->at, "'collapse: fleet' is no more than on here: without redis replicas don't meet");
    }
    const Node* unsure = section->find("when_unsure");
    if (unsure != nullptr && unsure->text == "fetch" && !draft.config.redis.enabled) {
      context.warn(unsure->at,
                   "this when_unsure has no effect: without store.redis there are no other replicas to hear");
    }
  };
  const bool redis = draft.config.redis.enabled;
  for (std::size_t i = 0; i < draft.config.routes.size(); ++i)
    warn_of(draft.route_nodes[i], redis && draft.config.routes[i].store_redis);
  warn_of(draft.defaults, redis);
}

void check_names(Context& context, const Draft& draft) {
  const Config& config = draft.config;
  std::unordered_map<std::string, int> names;
  std::vector<std::string_view> upstreams, listeners;
  for (const Upstream& upstream : config.upstreams) upstreams.push_back(upstream.name);
  for (const Listener& listener : config.listeners) {
    if (!listener.name.empty()) listeners.push_back(listener.name);
  }
  const auto has = [](const auto& list, std::string_view name) {
    return std::find(list.begin(), list.end(), name) != list.end();
  };
  for (std::size_t i = 0; i < config.routes.size(); ++i) {
    const Route& route = config.routes[i];
    const Node& node = *draft.route_nodes[i];
    if (!route.name.empty()) {
      const Position at = place(draft, node, "name");
      const auto [other, fresh] = names.emplace(route.name, at.line);
      if (!fresh) {
        context.error(at, "two routes are called " + quoted(route.name) + ": line " + std::to_string(other->second) +
                              " has the name already");
      }
    }
    if (!route.listener.empty() && !has(listeners, route.listener)) {
      const std::string hint = listeners.empty() ? "give one of the listeners this name"
                                                 : "did you mean " + quoted(nearest(route.listener, listeners)) + "?";
      context.error(place(draft, node, "listener"), "there is no listener " + quoted(route.listener) + ": " + hint);
    }
    const bool chosen = node.find("upstream") != nullptr || given(draft.defaults, "upstream");
    if (!chosen && upstreams.size() > 1 && !has(upstreams, "app")) {
      context.error(node.at, "this route needs an upstream: there are several, and none is called app");
    } else if (!route.upstream.empty() && !has(upstreams, route.upstream) && !upstreams.empty()) {
      context.error(place(draft, node, "upstream"), "there is no upstream " + quoted(route.upstream) +
                                                        ": did you mean " + quoted(nearest(route.upstream, upstreams)) +
                                                        "?");
    }
  }
}

void check_hidden(Context& context, const Draft& draft) {
  const auto& routes = draft.config.routes;
  EarlierPatterns earlier;
  for (std::size_t i = 0; i < routes.size(); ++i) {
    if (routes[i].path.empty()) continue;
    const std::vector<Segment> segments = segments_of(routes[i].path);
    const EarlierPatterns::Conditions conditions{routes[i].listener, lower(routes[i].host)};
    const auto hidden_by = earlier.covering(segments, conditions);
    earlier.add(segments, conditions, i);
    if (!hidden_by) continue;
    const Route& other = routes[*hidden_by];
    const Position at = place(draft, *draft.route_nodes[i], "path");
    const int line = place(draft, *draft.route_nodes[*hidden_by], "path").line;
    context.error(at, "this route is never reached: the earlier route " + quoted(other.name) + " (line " +
                          std::to_string(line) + ", path " + other.path +
                          ") matches all that it matches; put this one first");
  }
}

/// One template of a route against the parameters of its path.
void check_template(Context& context, Position at, std::string_view text, const Route& route,
                    const std::vector<std::string_view>& parameters) {
  std::vector<std::string_view> names;
  std::string wrong;
  if (route.path.empty() || !template_names(text, names, wrong)) return;
  for (const std::string_view name : names) {
    if (std::find(parameters.begin(), parameters.end(), name) != parameters.end()) continue;
    const std::string hint = parameters.empty()
                                 ? "it has none"
                                 : "did you mean " + quoted("{" + std::string(nearest(name, parameters)) + "}") + "?";
    context.error(
        at, "the path " + route.path + " has no parameter " + quoted("{" + std::string(name) + "}") + ": " + hint);
  }
}

/// The templates of a list, each at its own place.
void check_list(Context& context, const Node* list, Position otherwise, const std::vector<std::string>& texts,
                const Route& route, const std::vector<std::string_view>& parameters) {
  for (const std::string& text : texts) {
    Position at = otherwise;
    if (list != nullptr) {
      for (const Node& item : list->items) {
        if (item.text == text) at = item.at;
      }
    }
    check_template(context, at, text, route, parameters);
  }
}

/// Pillion's own keys in Redis begin with `pillion:`; no route's may, whatever its parameters hold.
void check_key(Context& context, Position at, const Route& route) {
  constexpr std::string_view reserved = "pillion:";
  if (route.key.find_first_of("*?[]\\") != std::string::npos) {
    context.error(at, "a key must not hold * ? [ ] \\: patterns could not name it");
  }
  const std::size_t brace = route.key.find('{');
  const bool literal = brace == std::string::npos;
  const std::string begin = literal ? route.key + ":" : route.key.substr(0, brace);
  if (begin.starts_with(reserved) || (!literal && reserved.starts_with(begin))) {
    context.error(at, "a key that begins with 'pillion:' is reserved for Pillion itself, and here " +
                          std::string(begin.starts_with(reserved) ? "it does" : "a parameter could make it so") +
                          ": begin it with a word of your own, such as " + quoted(route.name + ":" + route.key));
  }
}

void check_templates(Context& context, const Draft& draft) {
  for (std::size_t i = 0; i < draft.config.routes.size(); ++i) {
    const Route& route = draft.config.routes[i];
    const Node& node = *draft.route_nodes[i];
    const std::vector<Segment> segments = segments_of(route.path);
    std::vector<std::string_view> parameters;
    for (const Segment& segment : segments) {
      if (segment.kind == Segment::Kind::parameter) parameters.push_back(segment.text);
    }
    check_template(context, place(draft, node, "key"), route.key, route, parameters);
    if (!route.key.empty()) check_key(context, place(draft, node, "key"), route);
    check_template(context, place(draft, node, "rewrite"), route.rewrite, route, parameters);
    const Node* tags = node.find("tags");
    if (tags == nullptr && draft.defaults != nullptr) tags = draft.defaults->find("tags");
    check_list(context, tags, node.at, route.tags, route, parameters);
    const Node* rules = node.find("invalidate");
    for (std::size_t r = 0; r < route.invalidate.size(); ++r) {
      const Node& rule = rules->items[r];
      check_list(context, rule.find("tags"), rule.at, route.invalidate[r].tags, route, parameters);
      check_list(context, rule.find("patterns"), rule.at, route.invalidate[r].patterns, route, parameters);
      check_list(context, rule.find("urls"), rule.at, route.invalidate[r].urls, route, parameters);
    }
  }
}

/// What is learned begins at the ttl: it has to lie between the bounds.
void check_adaptive(Context& context, const Draft& draft, const Route& route, const Node& node) {
  const bool begins_there = route.ttl && route.freshness != FreshnessFrom::origin;
  if (!route.adaptive.is_on() || !begins_there) return;
  if (*route.ttl >= route.adaptive.min && *route.ttl <= route.adaptive.max) return;
  context.error(place(draft, node, "ttl"),
                "this ttl, where lifetimes begin, is not between adaptive's min and max (or write adaptive: off)");
}

void check_caching(Context& context, const Draft& draft) {
  const auto sends_own_host = [&](const Route& route) {
    return std::any_of(draft.config.upstreams.begin(), draft.config.upstreams.end(),
                       [&](const Upstream& u) { return u.name == route.upstream && u.send_own_host; });
  };
  for (std::size_t i = 0; i < draft.config.routes.size(); ++i) {
    const Route& route = draft.config.routes[i];
    const Node& node = *draft.route_nodes[i];
    if (route.cache == CacheMode::off) {
      for (const char* key :
           {"ttl", "ttl_by_status", "freshness", "heuristic", "stale", "request_directives", "accept_language", "keep",
            "set_cookie", "personal", "refresh", "adaptive", "compress_answers"}) {
        if (const Node* setting = node.find(key)) {
          context.warn(setting->at,
                       "this has no effect: the route's cache is off (it is on where a ttl or freshness is given, "
                       "or with cache: on)");
          break;
        }
      }
      continue;
    }
    if (route.freshness == FreshnessFrom::route && !route.ttl && route.ttl_by_status.empty()) {
      context.error(place(draft, node, "freshness"),
                    "'freshness: route' needs a ttl: it would decide, and there is none");
    }
    if (route.freshness == FreshnessFrom::origin && node.find("ttl") != nullptr) {
      context.warn(node.find("ttl")->at, "this ttl has no effect: with 'freshness: origin' the response alone decides");
    }
    check_adaptive(context, draft, route, node);
    if (route.ignore_host && draft.config.canonical_host.empty() && !sends_own_host(route)) {
      context.error(place(draft, node, "ignore_host"),
                    "ignore_host needs canonical_host: it is the Host that the upstream is sent then");
    }
  }
}

}  // namespace

void check_all(Context& context, const Draft& draft) {
  if (draft.config.upstreams.empty() && (draft.upstreams == nullptr || !draft.upstreams->broken)) {
    context.error(draft.upstreams != nullptr ? draft.upstreams->at : Position{},
                  "at least one upstream is needed: upstreams: { app: http://127.0.0.1:8000 }");
  }
  if (draft.config.routes.empty() &&
      (draft.routes == nullptr || draft.routes->kind != Node::Kind::list || draft.routes->items.empty())) {
    context.warn(draft.routes != nullptr ? draft.routes->at : Position{},
                 "there are no routes: every request is passed through uncached");
  }
  check_addresses(context, draft);
  check_query_cache(context, draft);
  check_warm(context, draft);
  check_tunnels(context, draft);
  check_stores(context, draft);
  check_fleet(context, draft);
  check_names(context, draft);
  check_hidden(context, draft);
  check_templates(context, draft);
  check_caching(context, draft);
}

}  // namespace pillion::config
