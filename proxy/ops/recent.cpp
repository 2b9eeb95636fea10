#include "ops/recent.hpp"

#include <array>
#include <boost/json/array.hpp>
#include <charconv>
#include <cstdio>
#include <ctime>

#include "core/cache_key.hpp"

namespace pillion {

namespace {

namespace json = boost::json;

std::string duration_text(std::uint64_t us) {
  char text[40];
  if (us < 1000) {
    std::snprintf(text, sizeof text, "%llu us", static_cast<unsigned long long>(us));
  } else if (us < 1'000'000) {
    std::snprintf(text, sizeof text, "%.1f ms", static_cast<double>(us) / 1000);
  } else {
    std::snprintf(text, sizeof text, "%.2f s", static_cast<double>(us) / 1e6);
  }
  return text;
}

std::string_view seen_word(Seen seen) {
  static constexpr std::array<std::string_view, 9> words{
      "not-asked", "out-of-reach", "nothing", "other-variant", "fresh", "behind", "stale", "refused", "invalidated"};
  return words[static_cast<std::size_t>(seen)];
}

std::string seen_text(Seen seen, Detail why) {
  switch (seen) {
    case Seen::out_of_reach:
      return "out of reach, so not asked";
    case Seen::nothing:
      return "nothing that could serve";
    case Seen::other_variant:
      return "stored, but for other values of the fields that it varies by";
    case Seen::fresh:
      return "found, and fresh";
    case Seen::behind:
      return "found, stale, and good to answer with while it is fetched anew";
    case Seen::stale:
      return why == Detail::none ? "found, but stale, or the client wants it checked"
                                 : "found, but not used: " + std::string(meaning_of(why));
    case Seen::refused:
      return "found, but not for this request: " +
             std::string(why == Detail::none ? "the client's Cache-Control" : meaning_of(why));
    case Seen::invalidated:
      return "found, but it was invalidated";
    default:
      return "not asked";
  }
}

void add_store(std::string_view what, std::string_view name, Seen seen, const Trail& trail,
               std::vector<DecisionStep>& steps) {
  if (seen == Seen::not_asked) return;
  steps.push_back({what, std::string(seen_word(seen)), std::string(name) + ": " + seen_text(seen, trail.why)});
}

// Why it wasn't looked up at all.
std::string not_looked_up(const Trail& trail) {
  if (trail.why != Detail::none) return std::string(meaning_of(trail.why));
  if (trail.forward == Forward::method) return "only GET and HEAD are looked up";
  if (trail.forward == Forward::request) return "the client's precondition is the application's to judge";
  return "no reason was noted";
}

void add_upstream(const PastDecision& decision, const Trail& trail, std::vector<DecisionStep>& steps) {
  const Decision& d = decision.decision;
  const std::string reason(to_string(trail.forward));
  if (trail.collapsed) {
    steps.push_back({"upstream", "collapsed", "another request was fetching it: waited for that one"});
  } else if (trail.upstream_status != 0) {
    std::string text = "asked the application, which answered " + std::to_string(trail.upstream_status);
    if (trail.upstream_us != 0) text += " after " + duration_text(trail.upstream_us);
    steps.push_back({"upstream", reason, std::move(text)});
  } else if (d.result == Result::error || d.detail == Detail::stale_if_error) {
    steps.push_back({"upstream", std::string(to_string(d.detail)),
                     d.detail == Detail::stale_if_error ? "asked the application, which failed"
                                                        : "no answer: " + std::string(meaning_of(d.detail))});
  }
}

// Said of a response that might have been stored.
void add_stored(const PastDecision& decision, const Trail& trail, std::vector<DecisionStep>& steps) {
  const Decision& d = decision.decision;
  if (trail.stored) {
    if (!trail.collapsed) steps.push_back({"store", "stored", "stored the answer"});
    return;
  }
  const bool shadow = d.result == Result::shadow;
  if (!shadow && (d.result != Result::miss || trail.upstream_status == 0)) return;
  const Detail why = shadow ? trail.why : d.detail;
  if (shadow && (trail.memory == Seen::fresh || trail.redis == Seen::fresh)) return;
  if (why == Detail::none || why == Detail::shadow) return;
  steps.push_back({"store", std::string(to_string(why)), "didn't store the answer: " + std::string(meaning_of(why))});
}

void add_compared(const Trail& trail, std::vector<DecisionStep>& steps) {
  if (trail.compared == Compared::same) steps.push_back({"compare", "same", "a cache would have answered the same"});
  if (trail.compared == Compared::other)
    steps.push_back({"compare", "other", "a cache would have answered something else, which was stored before"});
}

std::string answer_text(const PastDecision& decision) {
  const Decision& d = decision.decision;
  std::string text = "answered " + std::to_string(d.status) + " (" + std::string(to_string(d.result));
  if (d.tier != Detail::none) text += ", from " + std::string(d.tier == Detail::redis ? "Redis" : "memory");
  text += ") with " + std::to_string(d.bytes) + " bytes";
  if (d.coding != Coding::identity) text += " of " + std::string(to_string(d.coding)) + ", compressed before,";
  text += " in " + duration_text(d.us);
  if (d.result == Result::hit) text += "; fresh for another " + std::to_string(d.ttl_ms / 1000) + " s";
  return text;
}

std::string_view method_name(const PastDecision& decision) {
  if (decision.trail && !decision.trail->method.empty()) return decision.trail->method;
  switch (decision.decision.method) {
    case Method::get:
      return "GET";
    case Method::head:
      return "HEAD";
    case Method::put:
      return "PUT";
    case Method::del:
      return "DELETE";
    case Method::post:
      return "POST";
    default:
      return "?";
  }
}

std::string_view target_of(const PastDecision& decision) {
  return decision.trail && !decision.trail->target.empty() ? std::string_view(decision.trail->target)
                                                           : decision.decision.target();
}

std::string key_of(const PastDecision& decision, const RouteTable& routes) {
  const Decision& d = decision.decision;
  if ((d.flags & Decision::keyed) == 0) return {};
  const std::string_view target = target_of(decision);
  const bool cut = !decision.trail && (d.flags & Decision::target_cut) != 0;
  if (!cut) {
    for (const CompiledRoute& route : routes.routes()) {
      if (route.settings.name != decision.route) continue;
      RouteMatch match;
      routes.match(route.settings.listener, route.settings.host, target.substr(0, target.find('?')), match);
      if (match.route == &route) return readable_key(match, d.key);
    }
  }
  return to_hex(d.key);
}

// 2026-01-31T12:00:00.123Z
std::string time_text(std::int64_t wall_ms) {
  const std::time_t seconds = wall_ms / 1000;
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char text[40];
  const std::size_t size = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text + size, sizeof text - size, ".%03dZ", static_cast<int>(wall_ms % 1000));
  return text;
}

// A target may hold bytes that are no UTF-8.
std::string printable(std::string_view bytes) {
  static constexpr char digits[] = "0123456789ABCDEF";
  std::string out;
  for (unsigned char c : bytes) {
    if (c >= 0x20 && c <= 0x7e) {
      out += static_cast<char>(c);
    } else {
      out.append({'%', digits[c >> 4], digits[c & 15]});
    }
  }
  return out;
}

json::value word_or_null(std::string_view word) { return word.empty() ? json::value() : json::value(word); }

}  // namespace

std::vector<DecisionStep> steps_of(const PastDecision& decision) {
  std::vector<DecisionStep> steps;
  const Decision& d = decision.decision;
  if (decision.route == "-" || decision.route.empty()) {
    steps.push_back({"route", "no-route", "no route matches"});
  } else {
    steps.push_back({"route", decision.route, "route " + decision.route});
  }
  if (!decision.trail) {
    // The ring has a trail for all but hits in memory and what was answered without asking anybody.
    const bool redis = d.tier == Detail::redis;
    if (d.result == Result::hit)
      steps.push_back(
          {redis ? "redis" : "memory", "fresh", std::string(redis ? "Redis" : "memory") + ": found, and fresh"});
  } else {
    const Trail& trail = *decision.trail;
    if (trail.looked_up) {
      add_store("memory", "memory", trail.memory, trail, steps);
      add_store("redis", "Redis", trail.redis, trail, steps);
      if (trail.unsure)
        steps.push_back({"memory", "unsure", "the invalidations of other replicas were not heard at that time"});
    } else {
      const std::string_view word = to_string(trail.why);
      steps.push_back({"look-up", std::string(word.empty() ? to_string(trail.forward) : word),
                       "not looked up: " + not_looked_up(trail)});
    }
    add_upstream(decision, trail, steps);
    add_compared(trail, steps);
    add_stored(decision, trail, steps);
    if (!trail.invalidated.empty())
      steps.push_back({"invalidate", "unsafe", "invalidated " + printable(trail.invalidated)});
    if (trail.refreshing) steps.push_back({"refresh", "behind", "had it fetched anew in the background"});
  }
  if (d.ahead) steps.push_back({"refresh", "ahead", "had it fetched anew in the background, before it expires"});
  steps.push_back({"answer", std::string(to_string(d.result)), answer_text(decision)});
  return steps;
}

json::object to_json(const PastDecision& decision, const RouteTable& routes) {
  const Decision& d = decision.decision;
  json::array steps;
  for (DecisionStep& step : steps_of(decision)) {
    json::object item;
    item["step"] = step.what;
    item["reason"] = word_or_null(step.reason);
    item["text"] = std::move(step.text);
    steps.push_back(std::move(item));
  }
  json::object out;
  out["id"] = word_or_null(d.id());
  out["time"] = time_text(decision.wall_ms);
  out["method"] = printable(method_name(decision));
  out["path"] = printable(target_of(decision));
  out["route"] = decision.route == "-" ? json::value() : json::value(decision.route);
  out["key"] = word_or_null(key_of(decision, routes));
  out["result"] = to_string(d.result);
  out["status"] = d.status;
  out["tier"] = word_or_null(to_string(d.tier));
  out["detail"] = word_or_null(to_string(d.detail));
  out["bytes"] = d.bytes;
  out["duration_ms"] = static_cast<double>(d.us) / 1000;
  out["steps"] = std::move(steps);
  return out;
}

std::variant<InsightsAsked, std::string> parse_recent_query(const std::map<std::string, std::string>& query) {
  InsightsAsked asked;
  asked.decisions = 100;
  for (const auto& [name, value] : query) {
    if (name == "path") {
      if (!value.starts_with('/')) return std::string("path begins with `/`");
      asked.path = value;
    } else if (name == "id") {
      if (value.empty()) return std::string("id is empty");
      asked.request_id = value;
    } else if (name == "limit") {
      std::size_t limit = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), limit);
      if (error != std::errc() || end != value.data() + value.size() || limit < 1 || limit > max_recent)
        return std::string("limit is a number from 1 to 1000");
      asked.decisions = limit;
    } else if (name == "result") {
      for (std::size_t i = 0; i < result_count; ++i)
        if (to_string(static_cast<Result>(i)) == value) asked.result = static_cast<Result>(i);
      if (!asked.result)
        return std::string("result is one of hit, stale, miss, revalidated, bypass, pass, shadow and error");
    } else {
      return "unknown parameter `" + name.substr(0, 100) + "`: known are path, result, id and limit";
    }
  }
  return asked;
}

}  // namespace pillion
