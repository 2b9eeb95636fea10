#include "ops/admin_api.hpp"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <boost/json/serialize.hpp>
#include <chrono>
#include <map>
#include <optional>

#include "config/dump.hpp"
#include "ops/advice.hpp"
#include "ops/bypass_body.hpp"
#include "ops/dashboard.hpp"
#include "ops/explain.hpp"
#include "ops/invalidate_body.hpp"
#include "ops/metrics.hpp"
#include "ops/recent.hpp"
#include "ops/stats.hpp"
#include "ops/warm_body.hpp"
#include "telemetry/log.hpp"

namespace pillion {
namespace {

namespace json = boost::json;
template <typename T>
using awaitable = boost::asio::awaitable<T>;
using Handler = awaitable<AdminResponse> (*)(Control&, const AdminRequest&);

AdminResponse answer(unsigned status, const json::object& body) {
  AdminResponse response;
  response.status = status;
  response.body = json::serialize(body) + "\n";
  return response;
}

Now clocks() {
  using std::chrono::duration_cast;
  using std::chrono::milliseconds;
  return {duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count(),
          duration_cast<milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count()};
}

awaitable<AdminResponse> healthz(Control&, const AdminRequest&) { co_return answer(200, {{"alive", true}}); }

awaitable<AdminResponse> readyz(Control& control, const AdminRequest&) {
  const std::string_view why_not = control.why_not_ready();
  if (why_not.empty()) co_return answer(200, {{"ready", true}});
  json::object body{{"ready", false}, {"state", why_not}};
  if (why_not == "warming") {
    body["done"] = control.counters().warm_done.load(std::memory_order_relaxed);
    body["of"] = control.counters().warm_of.load(std::memory_order_relaxed);
  }
  co_return answer(503, body);
}

awaitable<AdminResponse> metrics(Control& control, const AdminRequest&) {
  const auto config = control.config();
  MetricsExtras extras;
  extras.memory_enabled = config->memory.enabled;
  extras.redis_enabled = config->redis.enabled;
  extras.watch_up = control.watch_up();
  extras.memory = control.memory_figures();
  extras.access_log_dropped = control.access_log_dropped();
  extras.ready = control.ready();
  for (Bypass::Entry& entry : control.bypass().list(clocks().mono_ms))
    extras.bypassed.push_back(std::move(entry.route));
  AdminResponse response;
  response.body = prometheus_text(control.counters(), extras);
  response.content_type = "text/plain; version=0.0.4; charset=utf-8";
  co_return response;
}

awaitable<AdminResponse> stats(Control& control, const AdminRequest&) {
  StatsExtras extras;
  InsightsAsked asked;
  asked.hottest = 20;
  asked.routes = true;
  extras.insights = co_await control.insights(std::move(asked));
  extras.redis = co_await control.redis_figures();
  extras.bypass = control.bypass().list(clocks().mono_ms);
  co_return answer(200, stats_json(control.counters(), extras));
}

awaitable<AdminResponse> config(Control& control, const AdminRequest&) {
  AdminResponse response;
  response.body = config::to_json(*control.config()) + "\n";
  co_return response;
}

bool is_json(std::string_view content_type) {
  const std::string_view type = trim(content_type.substr(0, content_type.find(';')));
  return iequals(type, "application/json");
}

awaitable<AdminResponse> invalidate(Control& control, const AdminRequest& request) {
  if (!is_json(request.content_type)) co_return admin_error(415, "send the body with Content-Type: application/json");
  auto parsed = parse_invalidate_body(request.body);
  if (const std::string* wrong = std::get_if<std::string>(&parsed)) co_return admin_error(400, *wrong);
  InvalidationRequest wanted = std::get<InvalidationRequest>(std::move(parsed));
  const bool dry_run = wanted.dry_run;
  const InvalidationReceipt receipt = co_await control.invalidate(std::move(wanted));
  co_return answer(receipt.pending ? 503 : 200, to_json(receipt, dry_run));
}

// Not Boost.JSON: a path need not be UTF-8.
void append_list(std::string_view name, const std::vector<std::string>& lines, std::string& body) {
  body.append(",\"").append(name).append("\":[");
  for (const std::string& line : lines) {
    body += &line == lines.data() ? "\"" : ",\"";
    append_json_escaped(line, body);
    body += '"';
  }
  body += ']';
}

awaitable<AdminResponse> reload(Control& control, const AdminRequest& request) {
  if (!is_json(request.content_type)) co_return admin_error(415, "send Content-Type: application/json");
  const std::string_view body = trim(request.body);
  if (!body.empty() && body != "{}") co_return admin_error(400, "a reload takes no body but {}");
  const ReloadOutcome outcome = co_await control.reload();
  AdminResponse response;
  if (!outcome.refused.empty()) {
    response = admin_error(422, outcome.refused);
    response.body.resize(response.body.rfind('}'));
    append_list("errors", outcome.errors, response.body);
  } else {
    response.body = std::string("{\"reloaded\":") + (outcome.changed.empty() ? "false" : "true");
    append_list("changed", outcome.changed, response.body);
  }
  append_list("warnings", outcome.warnings, response.body);
  response.body += "}\n";
  co_return response;
}

std::optional<std::string> percent_decoded(std::string_view text) {
  const auto digit = [](char c) -> int {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
  };
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    if (i + 2 >= text.size() || digit(text[i + 1]) < 0 || digit(text[i + 2]) < 0) return std::nullopt;
    out += static_cast<char>(digit(text[i + 1]) * 16 + digit(text[i + 2]));
    i += 2;
  }
  return out;
}

/// Parameters of a query; `+` stays a plus, as in the targets that /explain is given. False where one is given twice or
/// malformed.
bool read_query(std::string_view query, std::map<std::string, std::string>& out) {
  while (!query.empty()) {
    const std::string_view pair = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), pair.size() + 1));
    if (pair.empty()) continue;
    const std::size_t equals = pair.find('=');
    const auto name = percent_decoded(pair.substr(0, equals));
    const auto value = percent_decoded(equals == std::string_view::npos ? "" : pair.substr(equals + 1));
    if (!name || !value || !out.emplace(*name, *value).second) return false;
  }
  return true;
}

awaitable<AdminResponse> explain_running(Control& control, const AdminRequest& request) {
  std::map<std::string, std::string> query;
  const std::size_t question = request.target.find('?');
  if (question != std::string_view::npos && !read_query(request.target.substr(question + 1), query))
    co_return admin_error(400, "the query is malformed, or names a parameter twice: percent-encode `&` and `%` in url");
  for (const auto& [name, value] : query)
    if (name != "method" && name != "url" && name != "listener")
      co_return admin_error(400, "unknown parameter `" + name.substr(0, 100) +
                                     "`: known are method, url and listener; percent-encode `&` in url");
  if (!query.contains("url")) co_return admin_error(400, "url is missing: GET /explain?method=GET&url=/path");

  const auto config = control.config();
  const auto routes = control.routes();
  std::string error;
  const std::string method = query.contains("method") ? query["method"] : "GET";
  auto explained = ExplainedRequest::make(method, query["url"], {}, config->canonical_host, error);
  if (!explained) co_return admin_error(400, error);
  const std::string listener = query.contains("listener") ? query["listener"] : std::string(usual_listener(*config));
  if (!has_listener(*config, listener))
    co_return admin_error(400, "no listener is called `" + listener.substr(0, 100) + "`");
  if (listener_has_tls(*config, listener)) explained->come_over_tls();
  const RequestHead head = explained->head();
  Explanation explanation = explain(*config, *routes, head, listener);
  explanation.asked_store = true;
  if (!explanation.key.empty()) {
    const StoredLookup found = co_await control.find_stored(head, listener);
    const RouteMatch match = match_for_explain(*routes, head, listener);
    if (found.response && match.route) {
      explanation.stored = explain_stored(*found.response, found.tier, head, match.route->settings, clocks());
      explanation.stored->hits = found.hits;
    }
  }
  co_return answer(200, to_json(explanation));
}

// The parameters of a target's query, or what is wrong with it.
std::optional<std::map<std::string, std::string>> query_of(std::string_view target) {
  std::map<std::string, std::string> query;
  const std::size_t question = target.find('?');
  if (question != std::string_view::npos && !read_query(target.substr(question + 1), query)) return std::nullopt;
  return query;
}

awaitable<AdminResponse> recent(Control& control, const AdminRequest& request) {
  const auto query = query_of(request.target);
  if (!query) co_return admin_error(400, "the query is malformed, or names a parameter twice");
  auto parsed = parse_recent_query(*query);
  if (const std::string* wrong = std::get_if<std::string>(&parsed)) co_return admin_error(400, *wrong);
  const InsightsFound found = co_await control.insights(std::get<InsightsAsked>(std::move(parsed)));
  const auto routes = control.routes();
  json::array decisions;
  for (const PastDecision& decision : found.decisions) decisions.push_back(to_json(decision, *routes));
  co_return answer(200, {{"decisions", std::move(decisions)}});
}

awaitable<AdminResponse> advice(Control& control, const AdminRequest&) {
  InsightsAsked asked;
  asked.routes = true;
  InsightsFound found = co_await control.insights(std::move(asked));
  std::vector<Advice> all;
  for (const RouteFigures& route : route_figures(control.counters(), *control.config(), std::move(found.routes))) {
    for (Advice& one : advise(route)) all.push_back(std::move(one));
  }
  co_return answer(200, {{"advice", to_json(all)}});
}

awaitable<AdminResponse> bypass(Control& control, const AdminRequest& request) {
  if (!is_json(request.content_type)) co_return admin_error(415, "send the body with Content-Type: application/json");
  auto parsed = parse_bypass_body(request.body);
  if (const std::string* wrong = std::get_if<std::string>(&parsed)) co_return admin_error(400, *wrong);
  const BypassRequest wanted = std::get<BypassRequest>(std::move(parsed));
  const auto config = control.config();
  const bool known = wanted.route.empty() || std::any_of(config->routes.begin(), config->routes.end(),
                                                         [&](const auto& r) { return r.name == wanted.route; });
  if (!known) co_return admin_error(400, "no route is called `" + wanted.route.substr(0, 100) + "`");
  const Now at = clocks();
  control.bypass().set(wanted.route, at.mono_ms + wanted.time.count(), at.mono_ms);
  co_return answer(200, {{"bypass", bypass_json(control.bypass().list(at.mono_ms))}});
}

awaitable<AdminResponse> warm(Control& control, const AdminRequest& request) {
  if (!is_json(request.content_type)) co_return admin_error(415, "send the body with Content-Type: application/json");
  auto parsed = parse_warm_body(request.body);
  if (const std::string* wrong = std::get_if<std::string>(&parsed)) co_return admin_error(400, *wrong);
  WarmRequestBody& wanted = std::get<WarmRequestBody>(parsed);
  if (const auto config = control.config(); !wanted.listener.empty() && !has_listener(*config, wanted.listener))
    co_return admin_error(400, "no listener is called `" + wanted.listener.substr(0, 100) + "`");
  std::vector<WarmTarget> targets;
  for (std::string& url : wanted.urls) targets.push_back({wanted.listener, std::move(url)});
  std::shared_ptr<WarmStream> stream = control.warm(std::move(targets));
  if (!stream) co_return admin_error(503, "too many lists are being warmed, or this is ending: try again later");
  AdminResponse response;
  response.content_type = "application/x-ndjson";
  response.more = [stream]() -> awaitable<std::string> {
    const auto url = co_await stream->next();
    co_return url ? warm_line(*url) : std::string();
  };
  co_return response;
}

awaitable<AdminResponse> dashboard(Control&, const AdminRequest&) {
  AdminResponse response;
  response.body = dashboard_page();
  response.content_type = "text/html; charset=utf-8";
  co_return response;
}

struct Endpoint {
  std::string_view path;
  bool unsafe;  // POST, else GET and HEAD
  bool open;    // no token
  bool metrics_too;
  Handler handler;
};

constexpr auto endpoints = std::to_array<Endpoint>({
    {"/healthz", false, true, true, healthz},
    {"/readyz", false, true, true, readyz},
    {"/metrics", false, false, true, metrics},
    {"/stats", false, false, false, stats},
    {"/invalidate", true, false, false, invalidate},
    {"/explain", false, false, false, explain_running},
    {"/config", false, false, false, config},
    {"/reload", true, false, false, reload},
    {"/", false, false, false, dashboard},
    {"/recent", false, false, false, recent},
    {"/advice", false, false, false, advice},
    {"/bypass", true, false, false, bypass},
    {"/warm", true, false, false, warm},
});

const Endpoint* find_endpoint(std::string_view path, AdminFlavour flavour) {
  for (const Endpoint& endpoint : endpoints)
    if (endpoint.path == path && (flavour == AdminFlavour::full || endpoint.metrics_too)) return &endpoint;
  return nullptr;
}

}  // namespace

AdminResponse admin_error(unsigned status, std::string_view text) {
  // Not Boost.JSON: the text may quote bytes of the request that are no UTF-8.
  AdminResponse response;
  response.status = status;
  response.body = "{\"error\":\"";
  append_json_escaped(text, response.body);
  response.body += "\"}\n";
  return response;
}

bool is_authorised(std::string_view authorization, std::string_view token) {
  constexpr std::string_view scheme = "Bearer ";
  if (authorization.size() < scheme.size() || !iequals(authorization.substr(0, scheme.size()), scheme)) return false;
  const std::string_view given = trim(authorization.substr(scheme.size()));
  // Digests are of one length whatever was given, so neither content nor length shows in the time.
  std::array<unsigned char, SHA256_DIGEST_LENGTH> a{}, b{};
  SHA256(reinterpret_cast<const unsigned char*>(given.data()), given.size(), a.data());
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), b.data());
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

awaitable<AdminResponse> answer_admin(Control& control, AdminFlavour flavour, AdminRequest request) {
  const Endpoint* endpoint = find_endpoint(request.target.substr(0, request.target.find('?')), flavour);
  if (flavour == AdminFlavour::full && !(endpoint && endpoint->open)) {
    const auto config = control.config();
    if (!config->admin.token.empty() && !is_authorised(request.authorization, config->admin.token)) {
      AdminResponse refused = admin_error(401, "the token is missing or wrong: send Authorization: Bearer TOKEN");
      refused.authenticate = true;
      co_return refused;
    }
  }
  if (!endpoint) co_return admin_error(404, "there is no such endpoint here");
  const bool reads = request.method == "GET" || request.method == "HEAD";
  if (endpoint->unsafe ? request.method != "POST" : !reads) {
    AdminResponse refused = admin_error(405, endpoint->unsafe ? "use POST" : "use GET or HEAD");
    refused.allow = endpoint->unsafe ? "POST" : "GET, HEAD";
    co_return refused;
  }
  co_return co_await endpoint->handler(control, request);
}

}  // namespace pillion
