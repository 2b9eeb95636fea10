// defaults and routes.
#include <algorithm>
#include <iterator>

#include "config/route_draft.hpp"

namespace pillion::config {

namespace {

constexpr std::size_t max_routes = 20000;
constexpr std::size_t max_list = 64;

constexpr Word<CacheMode> cache_words[] = {{"on", CacheMode::on},
                                           {"off", CacheMode::off},
                                           {"shadow", CacheMode::shadow},
                                           {"true", CacheMode::on},
                                           {"false", CacheMode::off}};
constexpr Word<FreshnessFrom> freshness_words[] = {
    {"origin-first", FreshnessFrom::origin_first}, {"route", FreshnessFrom::route}, {"origin", FreshnessFrom::origin}};
constexpr Word<CacheStatusMode> cache_status_words[] = {{"on", CacheStatusMode::on},
                                                        {"off", CacheStatusMode::off},
                                                        {"key", CacheStatusMode::key},
                                                        {"true", CacheStatusMode::on},
                                                        {"false", CacheStatusMode::off}};
constexpr Word<SetCookie> set_cookie_words[] = {
    {"refuse", SetCookie::refuse}, {"strip", SetCookie::strip}, {"store", SetCookie::store}};
constexpr Word<Collapse> collapse_words[] = {{"on", Collapse::on},
                                             {"off", Collapse::off},
                                             {"fleet", Collapse::fleet},
                                             {"true", Collapse::on},
                                             {"false", Collapse::off}};
constexpr Word<WhenUnsure> when_unsure_words[] = {{"serve", WhenUnsure::serve}, {"fetch", WhenUnsure::fetch}};
constexpr Word<bool> request_directives_words[] = {{"obey", true}, {"ignore", false}};
constexpr Word<Personal> authorization_words[] = {{"ignore", Personal::ignore}, {"key", Personal::key}};

constexpr Key<QueryRule> query_keys[] = {
    {"ignore",
     [](Context& c, const Node& n, QueryRule& q) { read_list(c, n, "ignore", max_list, q.ignore, parse_parameter); }},
    {"only", [](Context& c, const Node& n,
                QueryRule& q) { read_list(c, n, "only", max_list, q.only.emplace(), parse_parameter); }},
    {"sort", [](Context& c, const Node& n, QueryRule& q) { read_switch(c, n, q.sort); }},
};

void read_query(Context& context, const Node& node, RouteDraft& draft) {
  draft.route.query = {};
  read_map(context, node, "query", query_keys, draft.route.query);
  if (node.find("ignore") != nullptr && node.find("only") != nullptr) {
    context.error(node.at, "a query rule has ignore or only, not both");
  }
}

void read_ignore(Context& context, const Node& node, RouteDraft& draft) {
  std::vector<std::string> names;
  read_list(context, node, "ignore", 3, names, [](std::string_view text) {
    if (text == "no-store" || text == "private" || text == "no-cache") return Parsed<std::string>(std::string(text));
    return Parsed<std::string>::error(quoted(text) + " can't be ignored: write no-store, private or no-cache");
  });
  const auto has = [&](std::string_view name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  draft.route.ignore_no_store = has("no-store");
  draft.route.ignore_private = has("private");
  draft.route.ignore_no_cache = has("no-cache");
  if (!names.empty()) {
    context.warn(node.at,
                 "this route stores what the application forbids to store: "
                 "make sure that nothing of it is meant for one user alone");
  }
}

constexpr Key<Route> personal_keys[] = {
    {"cookies",
     [](Context& c, const Node& n, Route& r) {
       if (n.kind == Node::Kind::list) {
         r.personal_cookies = Personal::key;
         read_list(c, n, "cookies", max_list, r.personal_cookie_names, parse_field_name);
         if (n.items.empty()) c.error(n.at, "no cookie is named: write ignore, or the names to key on");
         return;
       }
       if (n.kind == Node::Kind::scalar && n.text == "ignore") {
         r.personal_cookies = Personal::ignore;
       } else if (!n.broken) {
         c.error(n.at, "cookies must be ignore, or a list of the names to key on");
       }
     }},
    {"authorization",
     [](Context& c, const Node& n, Route& r) { read_word(c, n, authorization_words, r.personal_authorization); }},
};

void read_personal(Context& context, const Node& node, RouteDraft& draft) {
  Route& route = draft.route;
  route.personal_cookies = Personal::careful;
  route.personal_cookie_names.clear();
  route.personal_authorization = Personal::careful;
  read_map(context, node, "personal", personal_keys, route);
}

constexpr Key<Route> stale_keys[] = {
    {"while_revalidate",
     [](Context& c, const Node& n, Route& r) { read_duration(c, n, r.stale_while_revalidate.emplace()); }},
    {"if_error", [](Context& c, const Node& n, Route& r) { read_duration(c, n, r.stale_if_error.emplace()); }},
};

void read_stale(Context& context, const Node& node, RouteDraft& draft) {
  draft.route.stale_while_revalidate.reset();
  draft.route.stale_if_error.reset();
  read_map(context, node, "stale", stale_keys, draft.route);
}

void read_accept_language(Context& context, const Node& node, RouteDraft& draft) {
  read_list(context, node, "accept_language", max_list, draft.route.accept_language, parse_language);
  // Case means nothing in a tag (RFC 5646 2.1.1); one that differs in case alone could never be chosen.
  for (auto item = node.items.begin(); item != node.items.end(); ++item) {
    const auto same = [&](const Node& before) {
      return before.text != item->text && same_but_for_case(before.text, item->text);
    };
    if (std::none_of(node.items.begin(), item, same)) continue;
    context.error(item->at, quoted(item->text) + " stands here twice: capitals mean nothing");
  }
}

void read_tiers(Context& context, const Node& node, RouteDraft& draft) {
  std::vector<std::string> names;
  read_list(context, node, "store of a route", 2, names, [](std::string_view text) {
    if (text == "memory" || text == "redis") return Parsed<std::string>(std::string(text));
    return Parsed<std::string>::error(quoted(text) + " is no store: write memory or redis");
  });
  if (node.kind == Node::Kind::list && node.items.empty()) {
    context.error(node.at, "no store is named: write [memory], [redis] or [memory, redis], or cache: off");
  }
  draft.route.store_memory = std::find(names.begin(), names.end(), "memory") != names.end();
  draft.route.store_redis = std::find(names.begin(), names.end(), "redis") != names.end();
}

void read_cache(Context& context, const Node& node, RouteDraft& draft) {
  CacheMode mode = CacheMode::off;
  read_word(context, node, cache_words, mode);
  draft.cache = mode;
}

void read_heuristic(Context& context, const Node& node, RouteDraft& draft) {
  if (node.kind == Node::Kind::scalar && (node.text == "off" || node.text == "false")) {
    draft.route.heuristic.reset();
  } else {
    read_value(context, node, draft.route.heuristic, parse_percentage);
  }
}

constexpr Key<InvalidateRule> invalidate_keys[] = {
    {"methods", [](Context& c, const Node& n,
                   InvalidateRule& r) { read_list(c, n, "methods", max_list, r.methods, parse_method); }},
    {"tags",
     [](Context& c, const Node& n, InvalidateRule& r) { read_list(c, n, "tags", max_list, r.tags, parse_tag); }},
    {"patterns", [](Context& c, const Node& n,
                    InvalidateRule& r) { read_list(c, n, "patterns", max_list, r.patterns, parse_template); }},
    {"urls", [](Context& c, const Node& n,
                InvalidateRule& r) { read_list(c, n, "urls", max_list, r.urls, parse_url_template); }},
};

void read_invalidate(Context& context, const Node& node, RouteDraft& draft) {
  if (!expect(context, node, Node::Kind::list, "invalidate")) return;
  if (node.items.size() > max_list) {
    context.error(node.at, "these are too many rules: " + std::to_string(max_list) + " at most");
    return;
  }
  for (const Node& item : node.items) {
    InvalidateRule rule;
    read_map(context, item, "a rule of invalidate", invalidate_keys, rule);
    if (item.kind == Node::Kind::map && !item.find("tags") && !item.find("patterns") && !item.find("urls")) {
      context.error(item.at, "this rule invalidates nothing: give it tags, patterns or urls");
    }
    draft.route.invalidate.push_back(std::move(rule));
  }
}

constexpr Key<RouteDraft> route_keys[] = {
    {"name", [](Context& c, const Node& n, RouteDraft& d) { read_value(c, n, d.route.name, parse_name); }},
    {"path", [](Context& c, const Node& n, RouteDraft& d) { read_value(c, n, d.route.path, parse_path); }},
    {"key", [](Context& c, const Node& n, RouteDraft& d) { read_value(c, n, d.route.key, parse_template); }},
    {"invalidate", read_invalidate},
    // From here on the settings that defaults: has too (see defaults_begin).
    {"host", [](Context& c, const Node& n, RouteDraft& d) { read_value(c, n, d.route.host, parse_host_condition); }},
    {"listener", [](Context& c, const Node& n, RouteDraft& d) { read_value(c, n, d.route.listener, parse_name); }},
    {"upstream", [](Context& c, const Node& n, RouteDraft& d) { read_value(c, n, d.route.upstream, parse_name); }},
    {"rewrite", [](Context& c, const Node& n, RouteDraft& d) { read_value(c, n, d.route.rewrite, parse_rewrite); }},
    {"cache", read_cache},
    {"ttl", read_route_ttl},
    {"ttl_by_status", read_ttl_by_status},
    {"freshness",
     [](Context& c, const Node& n, RouteDraft& d) {
       d.freshness_given = true;
       read_word(c, n, freshness_words, d.route.freshness);
     }},
    {"heuristic", read_heuristic},
    {"stale", read_stale},
    {"request_directives",
     [](Context& c, const Node& n, RouteDraft& d) {
       read_word(c, n, request_directives_words, d.route.request_directives);
     }},
    {"query", read_query},
    {"key_headers", [](Context& c, const Node& n,
                       RouteDraft& d) { read_list(c, n, "key_headers", 16, d.route.key_headers, parse_field_name); }},
    {"accept_language", read_accept_language},
    {"ignore_host", [](Context& c, const Node& n, RouteDraft& d) { read_switch(c, n, d.route.ignore_host); }},
    {"tags",
     [](Context& c, const Node& n, RouteDraft& d) { read_list(c, n, "tags", max_list, d.route.tags, parse_tag); }},
    {"ignore", read_ignore},
    {"personal", read_personal},
    {"set_cookie",
     [](Context& c, const Node& n, RouteDraft& d) { read_word(c, n, set_cookie_words, d.route.set_cookie); }},
    {"cache_status",
     [](Context& c, const Node& n, RouteDraft& d) { read_word(c, n, cache_status_words, d.route.cache_status); }},
    {"collapse", [](Context& c, const Node& n, RouteDraft& d) { read_word(c, n, collapse_words, d.route.collapse); }},
    {"collapse_wait", [](Context& c, const Node& n, RouteDraft& d) { read_duration(c, n, d.route.collapse_wait); }},
    {"when_unsure",
     [](Context& c, const Node& n, RouteDraft& d) { read_word(c, n, when_unsure_words, d.route.when_unsure); }},
    {"keep", [](Context& c, const Node& n, RouteDraft& d) { read_duration(c, n, d.route.keep); }},
    {"store", read_tiers},
    {"upgrade", [](Context& c, const Node& n, RouteDraft& d) { read_switch(c, n, d.route.upgrade); }},
    {"forwarded", [](Context& c, const Node& n, RouteDraft& d) { read_switch(c, n, d.route.forwarded); }},
    {"compress_answers", [](Context& c, const Node& n, RouteDraft& d) { read_switch(c, n, d.route.compress_answers); }},
    {"refresh", read_refresh},
    {"adaptive", read_adaptive},
};
constexpr std::size_t defaults_begin = 4;
constexpr std::size_t default_key_count = std::size(route_keys) - defaults_begin;

/// The tail of the table, as a table of its own.
struct DefaultKeys {
  Key<RouteDraft> keys[default_key_count];
  constexpr DefaultKeys() : keys{} {
    for (std::size_t i = 0; i < default_key_count; ++i) keys[i] = route_keys[defaults_begin + i];
  }
};
constexpr DefaultKeys default_table;

void read_defaults(Context& context, const Node& node, RouteDraft& defaults) {
  if (node.kind == Node::Kind::null) return;
  if (!expect(context, node, Node::Kind::map, "defaults")) return;
  Node allowed = node;
  std::erase_if(allowed.entries, [&](const Node::Entry& entry) {
    const bool own = std::any_of(route_keys, route_keys + defaults_begin,
                                 [&](const Key<RouteDraft>& key) { return key.name == entry.key; });
    if (own) context.error(entry.key_at, quoted(entry.key) + " belongs to one route: it can't stand in defaults");
    return own;
  });
  read_map(context, allowed, "defaults", default_table.keys, defaults);
}

/// Where the upstream is always sent the same credentials, a client's own never reach it: its answers can't be
/// personal by them.
void ignore_replaced(const Config& config, Route& route) {
  const auto upstream = std::find_if(config.upstreams.begin(), config.upstreams.end(),
                                     [&](const Upstream& u) { return u.name == route.upstream; });
  if (upstream == config.upstreams.end() || route.cache == CacheMode::off) return;
  for (const auto& header : upstream->request_headers) {
    if (header.is("authorization") && route.personal_authorization == Personal::careful)
      route.personal_authorization = Personal::ignore;
    if (header.is("cookie") && route.personal_cookies == Personal::careful) route.personal_cookies = Personal::ignore;
  }
}

void read_route(Context& context, const Node& node, RouteDraft route, Draft& draft) {
  read_map(context, node, "a route", route_keys, route);
  if (node.kind != Node::Kind::map) return;
  if (node.find("name") == nullptr) context.error(node.at, "a route needs a name: it stands in metrics, logs and keys");
  if (node.find("path") == nullptr) context.error(node.at, "a route needs a path: /api/things/{id}, or /** for all");
  Route& made = route.route;
  const bool on = made.ttl.has_value() || route.freshness_given;
  made.cache = route.cache.value_or(on ? CacheMode::on : CacheMode::off);
  if (made.key.empty() && !made.name.empty()) made.key = "api:" + made.name;
  if (made.upstream.empty()) {
    const auto& upstreams = draft.config.upstreams;
    const bool app = std::any_of(upstreams.begin(), upstreams.end(), [](const auto& u) { return u.name == "app"; });
    if (upstreams.size() == 1) made.upstream = upstreams.front().name;
    if (upstreams.size() > 1 && app) made.upstream = "app";
  }
  ignore_replaced(draft.config, made);
  draft.config.routes.push_back(std::move(made));
  draft.route_nodes.push_back(&node);
}

}  // namespace

void read_routes(Context& context, Draft& draft) {
  RouteDraft defaults;
  defaults.lifetimes = &draft.config.ttl;
  if (draft.defaults != nullptr) read_defaults(context, *draft.defaults, defaults);
  if (draft.config.query_cache) draft.config.query_cache->when_unsure = defaults.route.when_unsure;
  if (draft.routes == nullptr || draft.routes->kind == Node::Kind::null) return;
  const Node& node = *draft.routes;
  if (!expect(context, node, Node::Kind::list, "routes")) return;
  if (node.items.size() > max_routes) {
    context.error(node.at, "these are too many routes: " + std::to_string(max_routes) + " at most");
    return;
  }
  for (const Node& item : node.items) read_route(context, item, defaults, draft);
}

void append_route_keys(std::vector<KeyList>& lists) {
  lists.push_back(list_keys("defaults", default_table.keys));
  lists.push_back(list_keys("defaults.query", query_keys));
  lists.push_back(list_keys("defaults.personal", personal_keys));
  lists.push_back(list_keys("defaults.stale", stale_keys));
  append_lifetime_keys(lists, "defaults");
  lists.push_back(list_keys("routes.*", route_keys));
  lists.push_back(list_keys("routes.*.query", query_keys));
  lists.push_back(list_keys("routes.*.personal", personal_keys));
  lists.push_back(list_keys("routes.*.stale", stale_keys));
  append_lifetime_keys(lists, "routes.*");
  lists.push_back(list_keys("routes.*.invalidate.*", invalidate_keys));
}

}  // namespace pillion::config
