#include "ops/advice.hpp"

#include <algorithm>
#include <boost/json/object.hpp>
#include <cstdio>

namespace pillion {

namespace {

namespace json = boost::json;

std::string percent(std::uint64_t part, std::uint64_t whole) {
  char text[16];
  std::snprintf(text, sizeof text, "%.3g %%",
                whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole));
  return text;
}

std::string number(std::uint64_t n) {
  std::string digits = std::to_string(n);
  for (std::size_t i = digits.size(); i > 3; i -= 3) digits.insert(i - 3, ",");
  return digits;
}

// As proxy.yaml would have it, at most two digits long: nobody wants a ttl of 131072ms.
std::int64_t rounded_ms(std::int64_t ms) {
  if (ms < 1000) return ms / 100 * 100;
  std::int64_t unit = 1000;
  for (const std::int64_t next : {60'000, 3'600'000})
    if (ms >= 2 * next) unit = next;
  return ms / unit * unit;
}

std::string ttl_text(std::int64_t ms) {
  if (ms % 3'600'000 == 0) return std::to_string(ms / 3'600'000) + "h";
  if (ms % 60'000 == 0) return std::to_string(ms / 60'000) + "m";
  if (ms % 1000 == 0) return std::to_string(ms / 1000) + "s";
  return std::to_string(ms) + "ms";
}

std::string seconds_text(std::uint64_t us) {
  char text[32];
  std::snprintf(text, sizeof text, us < 10'000'000 ? "%.2f s" : "%.0f s", static_cast<double>(us) / 1e6);
  return text;
}

Advice make(AdviceKind kind, const RouteFigures& route) {
  Advice advice;
  advice.kind = kind;
  advice.route = route.name;
  return advice;
}

// An uncached route. The figures are of GETs with a 200 and a small body.
void would_pay(const RouteFigures& r, std::vector<Advice>& out) {
  const RouteInsight& seen = r.insight;
  if (r.cache != config::CacheMode::off || seen.passed < enough_answers) return;
  if (seen.passed_same * 10 < seen.passed * 3) return;
  Advice advice = make(AdviceKind::cache_it, r);
  const std::int64_t honest = rounded_ms(seen.passed_ages.honest_ms(tolerated));
  advice.text = "Caching would pay: of " + number(seen.passed) + " answers that were looked at, " +
                number(seen.passed_same) + " (" + percent(seen.passed_same, seen.passed) +
                ") were byte for byte what the same URL had answered before; the application spent " +
                seconds_text(seen.passed_same_us) + " on these.";
  if (honest > 0) {
    advice.suggested_ttl_ms = honest;
    advice.text += " With ttl: " + ttl_text(honest) + ", at most " + percent(1, 100) +
                   " of the answers would have been out of date.";
  } else {
    advice.text += " But they change often: no lifetime would have kept the share of outdated answers below " +
                   percent(1, 100) + ", so invalidate what writes change.";
  }
  if (seen.passed_personal * 5 > seen.passed)
    advice.text += " " + percent(seen.passed_personal, seen.passed) +
                   " came with Cookie or Authorization, whose answers are stored only where `personal:` says so.";
  if (seen.passed_forbidden * 5 > seen.passed)
    advice.text += " " + percent(seen.passed_forbidden, seen.passed) +
                   " say no-store or private or set a cookie, and wouldn't be stored as they are.";
  advice.text += " Try cache: shadow first.";
  advice.figures = {{"answers", seen.passed},
                    {"repeated", seen.passed_again},
                    {"same", seen.passed_same},
                    {"upstream_ms", seen.passed_same_us / 1000}};
  out.push_back(std::move(advice));
}

void shadow_says(const RouteFigures& r, std::vector<Advice>& out) {
  if (r.cache != config::CacheMode::shadow) return;
  const std::uint64_t same = r.insight.shadow_ages.all_same(), other = r.insight.shadow_ages.all_other();
  const std::uint64_t all = same + other;
  if (all < enough_answers) return;
  const bool is_right = static_cast<double>(other) <= tolerated * static_cast<double>(all);
  Advice advice = make(is_right ? AdviceKind::use_shadow : AdviceKind::ttl_too_long, r);
  advice.figures = {{"requests", r.requests}, {"compared", all}, {"same", same}, {"other", other}};
  if (is_right) {
    advice.text = "cache: on would have answered " + number(all) + " of " + number(r.requests) + " requests (" +
                  percent(all, r.requests) + ") from the cache, " + number(other) + " of them (" + percent(other, all) +
                  ") otherwise than the application did.";
  } else {
    const std::int64_t honest = rounded_ms(r.insight.shadow_ages.honest_ms(tolerated));
    advice.text = "Of " + number(all) + " answers that a cache would have given, " + number(other) + " (" +
                  percent(other, all) + ") would have been other than the application's.";
    if (honest > 0) {
      advice.suggested_ttl_ms = honest;
      advice.text += " Those that were stored for no longer than " + ttl_text(honest) +
                     " were as good as all right: a ttl of that, or invalidating what writes change, would make it "
                     "honest.";
    } else {
      advice.text +=
          " Young ones too: the key leaves out something that the answer depends on, or writes have to "
          "invalidate it.";
    }
  }
  out.push_back(std::move(advice));
}

void does_not_pay(const RouteFigures& r, std::vector<Advice>& out) {
  if (r.cache != config::CacheMode::on || r.looked_up < enough_look_ups || r.answered * 10 >= r.looked_up) return;
  Advice advice = make(AdviceKind::does_not_pay, r);
  advice.text = "The cache hardly helps: of " + number(r.looked_up) + " look-ups it answered " + number(r.answered) +
                " (" + percent(r.answered, r.looked_up) + "), while " + number(r.stored) +
                " responses were stored and took the place of others.";
  advice.text += r.stored * 2 < r.looked_up ? " Most answers weren't stored: /recent says why."
                                            : " The key may be too fine (query: { only: [...] }), or the lifetime too "
                                              "short for how often each is asked for.";
  advice.figures = {{"looked_up", r.looked_up}, {"answered", r.answered}, {"stored", r.stored}};
  out.push_back(std::move(advice));
}

void refreshes_say(const RouteFigures& r, std::vector<Advice>& out) {
  const std::uint64_t same = r.insight.refreshed_same, other = r.insight.refreshed_other, all = same + other;
  if (r.cache != config::CacheMode::on || r.adaptive || all < enough_refreshes) return;
  const std::string lifetime = r.ttl ? "its ttl of " + ttl_text(r.ttl->count()) : "its lifetime";
  if (same * 10 >= all * 9) {
    Advice advice = make(AdviceKind::ttl_too_short, r);
    advice.text = "Of " + number(all) + " refreshes of what had expired, " + number(same) + " (" + percent(same, all) +
                  ") brought what was stored already: " + lifetime + " could be longer.";
    if (r.ttl) advice.suggested_ttl_ms = r.ttl->count() * 2;
    advice.figures = {{"refreshes", all}, {"same", same}, {"other", other}};
    out.push_back(std::move(advice));
  } else if (other * 2 >= all) {
    Advice advice = make(AdviceKind::ttl_too_long, r);
    advice.text = "Of " + number(all) + " refreshes of what had expired, " + number(other) + " (" +
                  percent(other, all) +
                  ") brought another answer, so what was served before that was out of date "
                  "for a while: " +
                  lifetime +
                  " is long for how often it changes. Shorten it, or invalidate what "
                  "writes change; cache: shadow measures it.";
    if (r.ttl) advice.suggested_ttl_ms = rounded_ms(std::max<std::int64_t>(r.ttl->count() / 2, 1000));
    advice.figures = {{"refreshes", all}, {"same", same}, {"other", other}};
    out.push_back(std::move(advice));
  }
}

void headers_say(const RouteFigures& r, std::vector<Advice>& out) {
  for (const HeaderEvidence& h : r.insight.headers) {
    const std::uint64_t differed = std::uint64_t{h.differs_other} + h.differs_same;
    const std::uint64_t equal = std::uint64_t{h.equal_other} + h.equal_same;
    if (differed < enough_pairs || equal < enough_pairs) continue;
    // The answer follows the header: it changes with it, and hardly without it.
    if (std::uint64_t{h.differs_other} * 2 < differed || std::uint64_t{h.equal_other} * 10 > equal) continue;
    Advice advice = make(AdviceKind::header_matters, r);
    advice.header = h.name;
    advice.text = "The request header " + h.name + " changes the answer and isn't in the key: of " + number(differed) +
                  " pairs of answers for one URL in which it differed, " + number(h.differs_other) + " (" +
                  percent(h.differs_other, differed) + ") were different; of " + number(equal) +
                  " in which it was the same, " + number(h.equal_other) + " (" + percent(h.equal_other, equal) +
                  "). Have the application say Vary: " + h.name + ", or list it in key_headers.";
    advice.figures = {{"pairs_differing", differed},
                      {"answers_differing", h.differs_other},
                      {"pairs_equal", equal},
                      {"answers_differing_though_equal", h.equal_other}};
    out.push_back(std::move(advice));
  }
}

}  // namespace

std::string_view to_string(AdviceKind kind) noexcept {
  switch (kind) {
    case AdviceKind::cache_it:
      return "cache-it";
    case AdviceKind::use_shadow:
      return "shadow-is-right";
    case AdviceKind::does_not_pay:
      return "does-not-pay";
    case AdviceKind::ttl_too_long:
      return "ttl-too-long";
    case AdviceKind::ttl_too_short:
      return "ttl-too-short";
    case AdviceKind::header_matters:
      return "header-matters";
  }
  return "";
}

std::vector<Advice> advise(const RouteFigures& route) {
  std::vector<Advice> advice;
  headers_say(route, advice);  // first: a key that is wrong is worse than a lifetime
  would_pay(route, advice);
  shadow_says(route, advice);
  does_not_pay(route, advice);
  refreshes_say(route, advice);
  return advice;
}

std::vector<RouteFigures> route_figures(const Counters& counters, const config::Config& config,
                                        std::map<std::string, RouteInsight> insights) {
  std::map<std::string_view, const config::Route*> routes;
  for (const config::Route& route : config.routes) routes.emplace(route.name, &route);
  std::vector<RouteFigures> all;
  counters.for_each_route([&](const std::string& name, const std::vector<RouteCounters*>& blocks) {
    const auto route = routes.find(name);
    if (route == routes.end() && name != "-") return;
    RouteFigures figures;
    figures.name = name;
    if (route != routes.end()) {
      figures.cache = route->second->cache;
      figures.ttl = route->second->ttl;
      figures.adaptive = route->second->adaptive.is_on();
    }
    for (const RouteCounters* block : blocks) {
      const auto of = [block](Result result) { return block->results[static_cast<std::size_t>(result)].get(); };
      for (const Counter& result : block->results) figures.requests += result.get();
      figures.answered += of(Result::hit) + of(Result::stale);
      figures.looked_up += of(Result::hit) + of(Result::stale) + of(Result::miss) + of(Result::revalidated);
      figures.stored += block->stored.get();
    }
    if (const auto insight = insights.find(name); insight != insights.end())
      figures.insight = std::move(insight->second);
    if (figures.requests > 0) all.push_back(std::move(figures));
  });
  return all;
}

json::array to_json(const std::vector<Advice>& all) {
  json::array out;
  for (const Advice& advice : all) {
    json::object item, figures;
    for (const auto& [name, value] : advice.figures) figures[name] = value;
    item["kind"] = to_string(advice.kind);
    item["route"] = advice.route;
    if (!advice.header.empty()) item["header"] = advice.header;
    if (advice.suggested_ttl_ms) item["suggested_ttl"] = ttl_text(*advice.suggested_ttl_ms);
    item["text"] = advice.text;
    item["figures"] = std::move(figures);
    out.push_back(std::move(item));
  }
  return out;
}

}  // namespace pillion
