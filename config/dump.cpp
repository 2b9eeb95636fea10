#include "config/dump.hpp"

#include <array>
#include <utility>
#include <vector>

#include "config/printed.hpp"
#include "config/scalars.hpp"

namespace pillion::config {

namespace {

template <std::size_t N>
std::string unit_text(std::uint64_t value, const std::array<std::pair<std::uint64_t, const char*>, N>& units) {
  for (const auto& [factor, name] : units) {
    if (value >= factor && value % factor == 0) return std::to_string(value / factor) + name;
  }
  return std::to_string(value) + units.back().second;
}

Tree duration(Milliseconds value) { return Tree::string(duration_text(value)); }
Tree size(std::uint64_t bytes) { return Tree::string(size_text(bytes)); }
Tree on_off(bool value) { return Tree::string(value ? "on" : "off"); }

Tree file_mode(unsigned mode) {
  std::string text = "0";
  for (const int shift : {6, 3, 0}) text += static_cast<char>('0' + ((mode >> shift) & 7u));
  return Tree::string(text);
}

Tree listeners(const std::vector<Listener>& all) {
  Tree tree = Tree::list();
  for (const Listener& listener : all) {
    Tree& item = tree.add("", Tree::map());
    if (!listener.name.empty()) item.add("name", Tree::string(listener.name));
    item.add("address", Tree::string(listener.address.to_string()));
    if (listener.h2c_tunnel) item.add("h2c", Tree::string("tunnel"));
    if (listener.tls.enabled()) {
      Tree& tls = item.add("tls", Tree::map());
      tls.add("certificate", Tree::string(listener.tls.certificate));
      tls.add("key", Tree::string(listener.tls.key));
    }
    if (listener.address.is_unix()) item.add("mode", file_mode(listener.mode));
  }
  return tree;
}

Tree upstream(const Upstream& u, bool hide) {
  Tree tree = Tree::map();
  tree.add("url", Tree::string(u.url));
  Tree& connections = tree.add("connections", Tree::map());
  connections.add("max", Tree::number(u.max_connections));
  connections.add("idle", duration(u.idle));
  connections.add("waiting", Tree::number(u.max_waiting));
  connections.add("wait", duration(u.max_wait));
  connections.add("age", duration(u.age));
  tree.add("max_in_flight", u.max_in_flight ? Tree::number(*u.max_in_flight) : Tree::string("none"));
  if (u.breaker_failures == 0) {
    tree.add("breaker", Tree::string("off"));
  } else {
    Tree& breaker = tree.add("breaker", Tree::map());
    breaker.add("failures", Tree::number(u.breaker_failures));
    breaker.add("open", duration(u.breaker_open));
  }
  if (!u.request_headers.empty()) {
    Tree& headers = tree.add("request_headers", Tree::map());
    for (const auto& header : u.request_headers) {
      if (header.file.empty()) {
        headers.add(header.name, Tree::string(hide ? "***" : header.value));
      } else {
        headers.add(header.name, Tree::map()).add("file", Tree::string(header.file));
      }
    }
  }
  Tree& timeouts = tree.add("timeouts", Tree::map());
  timeouts.add("connect", duration(u.connect_timeout));
  timeouts.add("response", duration(u.response_timeout));
  timeouts.add("silence", duration(u.silence_timeout));
  if (!u.tls_ca.empty() || !u.tls_verify) {
    Tree& tls = tree.add("tls", Tree::map());
    if (!u.tls_ca.empty()) tls.add("ca", Tree::string(u.tls_ca));
    tls.add("verify", Tree::boolean(u.tls_verify));
  }
  if (u.send_own_host) tree.add("host", Tree::string("upstream"));
  return tree;
}

void add_addresses(const char* key, const std::vector<Address>& addresses, Tree& tree) {
  std::vector<std::string> texts;
  for (const Address& address : addresses) texts.push_back(address.to_string());
  tree.add(key, Tree::strings(texts));
}

void add_redis_place(const RedisSettings& r, bool hide, Tree& redis) {
  if (!r.url.empty()) {
    redis.add("url", Tree::string(hide ? hide_password(r.url) : r.url));
  } else {
    if (!r.cluster.empty()) add_addresses("cluster", r.cluster, redis);
    if (!r.sentinel.nodes.empty()) {
      Tree& sentinel = redis.add("sentinel", Tree::map());
      sentinel.add("master", Tree::string(r.sentinel.master));
      add_addresses("nodes", r.sentinel.nodes, sentinel);
      if (!r.sentinel.user.empty()) sentinel.add("user", Tree::string(r.sentinel.user));
      if (!r.sentinel.password_file.empty()) sentinel.add("password_file", Tree::string(r.sentinel.password_file));
    }
    if (!r.user.empty()) redis.add("user", Tree::string(r.user));
    redis.add("database", Tree::number(r.database));
  }
  if (!r.password_file.empty()) redis.add("password_file", Tree::string(r.password_file));
  if (!r.tls.enabled) return;
  Tree& tls = redis.add("tls", Tree::map());
  if (!r.tls.ca.empty()) tls.add("ca", Tree::string(r.tls.ca));
  if (!r.tls.certificate.empty()) tls.add("certificate", Tree::string(r.tls.certificate));
  if (!r.tls.key.empty()) tls.add("key", Tree::string(r.tls.key));
  tls.add("verify", Tree::boolean(r.tls.verify));
}

Tree store(const Config& config, bool hide) {
  Tree tree = Tree::map();
  if (!config.memory.enabled) {
    tree.add("memory", Tree::string("off"));
  } else {
    Tree& memory = tree.add("memory", Tree::map());
    memory.add("size", size(config.memory.size));
    memory.add("max_object", size(config.memory.max_object));
  }
  const RedisSettings& r = config.redis;
  if (!r.enabled) return tree;
  Tree& redis = tree.add("redis", Tree::map());
  add_redis_place(r, hide, redis);
  redis.add("connect_timeout", duration(r.connect_timeout));
  redis.add("timeout", duration(r.timeout));
  redis.add("namespace", Tree::string(r.key_namespace));
  redis.add("max_object", size(r.max_object));
  if (!r.compress.enabled) {
    redis.add("compress", Tree::string("off"));
  } else {
    Tree& compress = redis.add("compress", Tree::map());
    compress.add("min", size(r.compress.min));
    compress.add("level", Tree::number(static_cast<std::uint64_t>(r.compress.level)));
  }
  redis.add("max_silence", duration(r.max_silence));
  return tree;
}

void add_route_caching(const Route& r, Tree& tree) {
  if (r.ttl) tree.add("ttl", duration(*r.ttl));
  if (!r.ttl_by_status.empty()) {
    Tree& by_status = tree.add("ttl_by_status", Tree::map());
    for (const auto& [status, ttl] : r.ttl_by_status) by_status.add(std::to_string(status), duration(ttl));
  }
  constexpr const char* freshness[] = {"origin-first", "route", "origin"};
  // Said where it counts: on an uncached route it would only bring a warning.
  if (r.cache != CacheMode::off || r.freshness != FreshnessFrom::origin_first) {
    tree.add("freshness", Tree::string(freshness[static_cast<int>(r.freshness)]));
  }
  if (r.heuristic) tree.add("heuristic", Tree::string(percentage_text(*r.heuristic)));
  if (r.refresh != Refresh{}) {
    Tree& refresh = tree.add("refresh", Tree::map());
    if (r.refresh.ahead > 0) refresh.add("ahead", Tree::string(percentage_text(r.refresh.ahead)));
    if (r.refresh.jitter > 0) refresh.add("jitter", Tree::string(percentage_text(r.refresh.jitter)));
  }
  if (r.adaptive.is_on()) {
    Tree& adaptive = tree.add("adaptive", Tree::map());
    adaptive.add("min", duration(r.adaptive.min));
    adaptive.add("max", duration(r.adaptive.max));
  }
  if (r.stale_while_revalidate || r.stale_if_error) {
    Tree& stale = tree.add("stale", Tree::map());
    if (r.stale_while_revalidate) stale.add("while_revalidate", duration(*r.stale_while_revalidate));
    if (r.stale_if_error) stale.add("if_error", duration(*r.stale_if_error));
  }
  if (r.cache != CacheMode::off || !r.request_directives) {
    tree.add("request_directives", Tree::string(r.request_directives ? "obey" : "ignore"));
  }
  tree.add("key", Tree::string(r.key));
  if (!r.query.changes_nothing()) {
    Tree& query = tree.add("query", Tree::map());
    if (!r.query.ignore.empty()) query.add("ignore", Tree::strings(r.query.ignore));
    if (r.query.only) query.add("only", Tree::strings(*r.query.only));
    query.add("sort", Tree::boolean(r.query.sort));
  }
  if (!r.key_headers.empty()) tree.add("key_headers", Tree::strings(r.key_headers));
  if (!r.accept_language.empty()) tree.add("accept_language", Tree::strings(r.accept_language));
  if (r.ignore_host) tree.add("ignore_host", Tree::boolean(true));
  if (!r.tags.empty()) tree.add("tags", Tree::strings(r.tags));
  std::vector<std::string> ignore;
  if (r.ignore_no_store) ignore.emplace_back("no-store");
  if (r.ignore_private) ignore.emplace_back("private");
  if (r.ignore_no_cache) ignore.emplace_back("no-cache");
  if (!ignore.empty()) tree.add("ignore", Tree::strings(ignore));
}

void add_personal(const Route& r, Tree& tree) {
  if (r.personal_cookies == Personal::careful && r.personal_authorization == Personal::careful) return;
  Tree& personal = tree.add("personal", Tree::map());
  if (r.personal_cookies == Personal::ignore) personal.add("cookies", Tree::string("ignore"));
  if (r.personal_cookies == Personal::key) personal.add("cookies", Tree::strings(r.personal_cookie_names));
  if (r.personal_authorization == Personal::ignore) personal.add("authorization", Tree::string("ignore"));
  if (r.personal_authorization == Personal::key) personal.add("authorization", Tree::string("key"));
}

void add_invalidate(const Route& r, Tree& tree) {
  if (r.invalidate.empty()) return;
  Tree& rules = tree.add("invalidate", Tree::list());
  for (const InvalidateRule& rule : r.invalidate) {
    Tree& item = rules.add("", Tree::map());
    if (!rule.methods.empty()) item.add("methods", Tree::strings(rule.methods));
    item.add("tags", Tree::strings(rule.tags));
    if (!rule.patterns.empty()) item.add("patterns", Tree::strings(rule.patterns));
    if (!rule.urls.empty()) item.add("urls", Tree::strings(rule.urls));
  }
}

Tree route(const Route& r) {
  Tree tree = Tree::map();
  tree.add("name", Tree::string(r.name));
  tree.add("path", Tree::string(r.path));
  if (!r.host.empty()) tree.add("host", Tree::string(r.host));
  if (!r.listener.empty()) tree.add("listener", Tree::string(r.listener));
  if (!r.upstream.empty()) tree.add("upstream", Tree::string(r.upstream));
  if (!r.rewrite.empty()) tree.add("rewrite", Tree::string(r.rewrite));
  constexpr const char* cache[] = {"off", "on", "shadow"};
  tree.add("cache", Tree::string(cache[static_cast<int>(r.cache)]));
  add_route_caching(r, tree);
  add_personal(r, tree);
  constexpr const char* set_cookie[] = {"refuse", "strip", "store"};
  if (r.cache != CacheMode::off || r.set_cookie != SetCookie::refuse) {
    tree.add("set_cookie", Tree::string(set_cookie[static_cast<int>(r.set_cookie)]));
  }
  constexpr const char* cache_status[] = {"off", "on", "key"};
  tree.add("cache_status", Tree::string(cache_status[static_cast<int>(r.cache_status)]));
  constexpr const char* collapse[] = {"off", "on", "fleet"};
  tree.add("collapse", Tree::string(collapse[static_cast<int>(r.collapse)]));
  tree.add("collapse_wait", duration(r.collapse_wait));
  tree.add("when_unsure", Tree::string(r.when_unsure == WhenUnsure::serve ? "serve" : "fetch"));
  if (r.cache != CacheMode::off || r.keep.count() != 0) tree.add("keep", duration(r.keep));
  std::vector<std::string> tiers;
  if (r.store_memory) tiers.emplace_back("memory");
  if (r.store_redis) tiers.emplace_back("redis");
  tree.add("store", Tree::strings(tiers));
  if (r.cache != CacheMode::off || !r.compress_answers) tree.add("compress_answers", on_off(r.compress_answers));
  tree.add("upgrade", on_off(r.upgrade));
  tree.add("forwarded", on_off(r.forwarded));
  add_invalidate(r, tree);
  return tree;
}

Tree limits(const Limits& l) {
  Tree tree = Tree::map();
  tree.add("target", size(l.target));
  tree.add("head", size(l.head));
  tree.add("fields", Tree::number(l.fields));
  tree.add("response_head", size(l.response_head));
  tree.add("response_fields", Tree::number(l.response_fields));
  tree.add("trailers", size(l.trailers));
  tree.add("chunk_extensions", size(l.chunk_extensions));
  tree.add("interim_responses", Tree::number(l.interim_responses));
  tree.add("body", l.body ? size(*l.body) : Tree::string("none"));
  tree.add("connections", Tree::number(l.connections));
  tree.add("variants", Tree::number(l.variants));
  return tree;
}

Tree log(const Log& l) {
  constexpr const char* level[] = {"debug", "info", "warn", "error"};
  Tree tree = Tree::map();
  tree.add("level", Tree::string(level[static_cast<int>(l.level)]));
  std::string access = l.access_share <= 0 ? "off" : l.access_share >= 1 ? "all" : percentage_text(l.access_share);
  if (l.access_errors_only) access = "errors";
  tree.add("access", Tree::string(std::move(access)));
  return tree;
}

Tree warm(const Warm& w) {
  Tree tree = Tree::map();
  if (!w.urls.empty()) tree.add("urls", Tree::strings(w.urls));
  if (!w.sitemap.empty()) tree.add("sitemap", Tree::string(w.sitemap));
  tree.add("hottest", Tree::number(w.hottest));
  if (!w.file.empty()) tree.add("file", Tree::string(w.file));
  tree.add("concurrency", Tree::number(w.concurrency));
  tree.add("ready_after", duration(w.ready_after));
  return tree;
}

Tree describe(const Config& config, bool hide) {
  Tree tree = Tree::map();
  tree.add("listeners", listeners(config.listeners));
  if (!config.canonical_host.empty()) tree.add("canonical_host", Tree::string(config.canonical_host));
  Tree& admin = tree.add("admin", Tree::map());
  admin.add("address", Tree::string(config.admin.address.to_string()));
  if (!config.admin.token_file.empty()) admin.add("token_file", Tree::string(config.admin.token_file));
  if (config.metrics) tree.add("metrics", Tree::map()).add("address", Tree::string(config.metrics->to_string()));
  if (config.query_cache) {
    Tree& query_cache = tree.add("query_cache", Tree::map());
    query_cache.add("address", Tree::string(config.query_cache->address.to_string()));
    if (config.query_cache->address.is_unix()) query_cache.add("mode", file_mode(config.query_cache->mode));
    query_cache.add("lease", duration(config.query_cache->lease));
  }
  Tree& upstreams = tree.add("upstreams", Tree::map());
  for (const Upstream& u : config.upstreams) upstreams.add(u.name, upstream(u, hide));
  tree.add("store", store(config, hide));
  Tree& ttl = tree.add("ttl", Tree::map());
  for (const auto& [name, value] : config.ttl) ttl.add(name, duration(value));
  // All else that it says stands in the routes.
  if (config.query_cache && config.query_cache->when_unsure != WhenUnsure::serve)
    tree.add("defaults", Tree::map()).add("when_unsure", Tree::string("fetch"));
  Tree& routes = tree.add("routes", Tree::list());
  for (const Route& r : config.routes) routes.add("", route(r));
  tree.add("trusted_proxies", Tree::strings(config.trusted_proxies));
  tree.add("limits", limits(config.limits));
  Tree& timeouts = tree.add("timeouts", Tree::map());
  timeouts.add("head", duration(config.timeouts.head));
  timeouts.add("body", duration(config.timeouts.body));
  timeouts.add("idle", duration(config.timeouts.idle));
  Tree& drain = tree.add("drain", Tree::map());
  drain.add("delay", duration(config.drain.delay));
  drain.add("timeout", duration(config.drain.timeout));
  tree.add("warm", warm(config.warm));
  tree.add("workers", config.workers == 0 ? Tree::string("auto") : Tree::number(config.workers));
  tree.add("log", log(config.log));
  return tree;
}

}  // namespace

std::string duration_text(Milliseconds value) {
  static constexpr std::array<std::pair<std::uint64_t, const char*>, 5> units{
      {{86'400'000, "d"}, {3'600'000, "h"}, {60'000, "m"}, {1000, "s"}, {1, "ms"}}};
  if (value.count() <= 0) return "0s";
  return unit_text(static_cast<std::uint64_t>(value.count()), units);
}

std::string share_text(double share) { return percentage_text(share); }

std::string size_text(std::uint64_t bytes) {
  static constexpr std::array<std::pair<std::uint64_t, const char*>, 5> units{
      {{1ull << 40, "TiB"}, {1ull << 30, "GiB"}, {1ull << 20, "MiB"}, {1ull << 10, "KiB"}, {1, "B"}}};
  return unit_text(bytes, units);
}

std::string dump(const Config& config, bool hide_secrets) { return to_yaml(describe(config, hide_secrets)); }

std::string to_json(const Config& config) { return to_json(describe(config, true)); }

}  // namespace pillion::config
