#include "flow/observe.hpp"

#include <algorithm>

#include "core/freshness.hpp"
#include "core/storability.hpp"
#include "core/validation.hpp"
#include "core/warm_list.hpp"
#include "flow/compose.hpp"

namespace pillion {

namespace {

Seen seen_of(const Found& found) {
  if (found.decision.detail == Detail::invalidated) return Seen::invalidated;
  if (found.response) {
    if (found.decision.reuse == Reuse::fresh) return Seen::fresh;
    return found.decision.reuse == Reuse::behind ? Seen::behind : Seen::stale;
  }
  switch (found.forward) {
    case Forward::uri_miss:
      return Seen::nothing;
    case Forward::vary_miss:
      return Seen::other_variant;
    case Forward::stale:
      return Seen::invalidated;
    default:
      return Seen::refused;
  }
}

// What of a request's fields may tell answers apart.
std::vector<WatchedHeader> watched(Fields fields, const config::Route& route) {
  std::vector<WatchedHeader> headers;
  for (const Field& field : fields) {
    if (!is_watched_header(field.name)) continue;
    const bool in_key = std::any_of(route.key_headers.begin(), route.key_headers.end(),
                                    [&](const std::string& name) { return iequals(name, field.name); });
    if (!in_key) headers.push_back({field.name, hash64(field.value)});
  }
  return headers;
}

// A response's own Vary is part of its key: its fields are left out.
void leave_out(std::string_view vary, std::vector<WatchedHeader>& headers) {
  while (const auto name = next_member(vary))
    std::erase_if(headers, [&](const WatchedHeader& header) { return iequals(header.name, *name); });
}

std::uint64_t digest_of(unsigned status, std::string_view body) { return hash64(body, status); }

RouteInsight* insight_of(WorkerContext& context, const FetchJob& job) {
  return context.insights.of(&context.route_counters(*job.place.snapshot, *job.place.route));
}

}  // namespace

void note_look_up(const WorkerContext& context, const Plan& plan, const Found& found, TrailFacts& trail) {
  const config::Route& route = plan.route->settings;
  trail.looked_up = true;
  trail.unsure = found.unsure;
  trail.forward = found.forward;
  trail.why = found.decision.detail;
  const Seen seen = seen_of(found);
  const bool in_memory = route.store_memory && context.shared.memory.max_object() > 0;
  if (in_memory) trail.memory = found.tier == Detail::redis ? Seen::nothing : seen;
  if (!route.store_redis || !context.redis || (found.is_fresh() && found.tier == Detail::memory)) return;
  if (found.tier == Detail::redis || !in_memory) {
    trail.redis = seen;
    return;
  }
  const bool asked =
      context.redis->is_up(readable_key(plan.match, plan.hash)) && context.shared.invalidations.redis_ready();
  trail.redis = asked ? Seen::nothing : Seen::out_of_reach;
}

void note_invalidated(const std::vector<Selector>& selectors, TrailNotes& trail) {
  for (const Selector& selector : selectors) {
    if (trail.invalidated.size() >= Trail::max_names) break;
    if (!trail.invalidated.empty()) trail.invalidated += ", ";
    trail.invalidated += to_string(selector.kind);
    if (selector.text.empty()) continue;
    trail.invalidated += ' ';
    trail.invalidated += selector.text;
  }
  if (trail.invalidated.size() > Trail::max_names) {
    trail.invalidated.resize(Trail::max_names);
    trail.invalidated += "...";
  }
}

void observe_fetch(WorkerContext& context, const FetchJob& job, const StoredResponse& fetched, Now asked) {
  RouteInsight* route = insight_of(context, job);
  if (!route) return;
  // What was invalidated says nothing of lifetimes.
  if (job.stale && !job.strong_only) {
    const bool is_same = job.stale->meta().status == fetched.meta().status && job.stale->body() == fetched.body();
    ++(is_same ? route->refreshed_same : route->refreshed_other);
  }
  if (fetched.body().size() > AnswerWatch::max_body || !context.insights.may_look(asked.mono_ms)) return;
  std::vector<WatchedHeader> headers = watched(Fields(job.request.fields), job.place.route->settings);
  if (const auto vary = canonical_vary(Fields(fields_of_head(fetched.head())))) leave_out(*vary, headers);
  context.insights.answers.observe(*route, hash64(fetched.primary_key()),
                                   digest_of(fetched.meta().status, fetched.body()), headers, asked.mono_ms);
}

void observe_unchanged(WorkerContext& context, const FetchJob& job) {
  if (job.strong_only) return;
  if (RouteInsight* route = insight_of(context, job)) ++route->refreshed_same;
}

namespace {

// Whether anyone who asks for that URL, with nothing of their own, would be given what this one was.
bool is_anyones(const Plan& plan, const Outcome& outcome) {
  const config::Route& route = plan.route->settings;
  const bool cached = outcome.result == Result::hit || outcome.result == Result::stale ||
                      outcome.result == Result::revalidated || outcome.stored;
  const bool cookie = plan.facts.has_cookie && route.personal_cookies != config::Personal::ignore;
  const bool user = plan.facts.has_authorization && route.personal_authorization != config::Personal::ignore;
  return cached && plan.look_up && plan.facts.method == Method::get && !cookie && !user && route.key_headers.empty();
}

void note_url(const AskedUrl& asked, HotKey& entry) {
  if (asked.host.empty() || asked.host.size() + asked.target.size() + 8 > max_warm_url) return;
  std::string url;
  url.reserve(asked.scheme.size() + 3 + asked.host.size() + asked.target.size());
  url.append(asked.scheme).append("://").append(asked.host).append(asked.target);
  if (!why_no_warm_url(url).empty()) return;
  entry.url = std::move(url);
  entry.listener = asked.listener;
}

}  // namespace

void observe_key(WorkerContext& context, const Plan& plan, const Outcome& outcome, std::uint64_t bytes,
                 std::uint64_t weight, const AskedUrl& url) {
  HotKey& entry = context.insights.hottest.add(plan.hash, weight);
  // Of keys without end each is asked for once: that is no reason to spell them all out.
  if (entry.name.empty() && entry.count - entry.error > 1) {
    entry.name = readable_key(plan.match, plan.hash);
    if (entry.name.size() > HeavyHitters::max_name) entry.name.resize(HeavyHitters::max_name);
  }
  if (entry.url.empty() && !entry.name.empty() && is_anyones(plan, outcome)) note_url(url, entry);
  entry.bytes += bytes * weight;
  if (outcome.result == Result::hit || outcome.result == Result::stale) entry.hits += weight;
  if (outcome.upstream_us == 0 || outcome.collapsed) return;
  entry.fetches += weight;
  entry.upstream_us += outcome.upstream_us * weight;
}

void observe_miss(WorkerContext& context, const RouteCounters& counters, const Outcome& outcome, std::uint64_t bytes) {
  RouteInsight* route = context.insights.of(&counters);
  if (!route) return;
  const bool stored = outcome.result == Result::hit || outcome.result == Result::stale;
  if (!stored && !outcome.collapsed) route->fetched_bytes += bytes;
  if (outcome.trail && !stored) ++route->forwards[static_cast<std::size_t>(outcome.trail->forward)];
  if (outcome.upstream_us == 0 || outcome.collapsed) return;
  ++route->fetches;
  route->upstream_us += outcome.upstream_us;
}

struct PassWatch::State {
  WorkerContext& context;
  RouteInsight* route;
  std::chrono::steady_clock::time_point began;
  const config::Route& settings;
  bool personal;
  OwnedFields fields;
  std::uint64_t url = 0;
  bool forbidden = false, watching = false;
  unsigned status = 0;
  std::string vary;
  std::string body;
};

bool PassWatch::wants(const RequestHead& request, const Plan& plan, bool has_body) {
  return request.method == Method::get && plan.why == Detail::cache_off && !has_body && !plan.facts.has_range &&
         !plan.upgrade;
}

PassWatch::PassWatch(WorkerContext& context, const RequestHead& request, const Plan& plan,
                     const RouteCounters& counters)
    : state_(new State{context,
                       context.insights.of(&counters),
                       std::chrono::steady_clock::now(),
                       plan.route->settings,
                       plan.facts.has_cookie || plan.facts.has_authorization,
                       {},
                       0,
                       false,
                       false,
                       0,
                       {},
                       {}}) {
  if (!state_->route) return;
  state_->url = hash64(request.target, hash64(request.host, plan.route->index));
  state_->fields.copy(request.fields);
}

PassWatch::~PassWatch() = default;

void PassWatch::head(UpstreamConnection& connection, CacheStatus&) {
  const ResponseHead& head = connection.head();
  State& s = *state_;
  if (!s.route || head.status != 200 || is_event_stream(head.fields)) return;
  if (connection.framing() == Framing::length && connection.length() > AnswerWatch::max_body) return;
  const auto vary = canonical_vary(head.fields);
  if (!vary) return;
  s.watching = true;
  s.status = head.status;
  s.vary = *vary;
  const Now at = now();
  const ResponseDirectives directives = make_meta(head, at.mono_ms, at).directives;
  s.forbidden = directives.no_store || directives.private_ || find(head.fields, Name::set_cookie) != nullptr;
}

void PassWatch::body(std::string_view data) {
  State& s = *state_;
  if (!s.watching) return;
  if (s.body.size() + data.size() > AnswerWatch::max_body) {
    s.watching = false;
    return;
  }
  s.body += data;
}

awaitable<void> PassWatch::end() {
  State& s = *state_;
  if (!s.watching) co_return;
  const Fields fields(s.fields.fields);
  std::vector<WatchedHeader> headers = watched(fields, s.settings);
  leave_out(s.vary, headers);
  const std::uint64_t url = s.vary.empty() ? s.url : hash64(variant_key(s.vary, fields, {}), s.url);
  const AnswerWatch::Beside beside =
      s.context.insights.answers.observe(*s.route, url, digest_of(s.status, s.body), headers, now().mono_ms);
  ++s.route->passed;
  if (s.personal) ++s.route->passed_personal;
  if (s.forbidden) ++s.route->passed_forbidden;
  if (!beside.again) co_return;
  ++s.route->passed_again;
  s.route->passed_ages.note(beside.age_ms, beside.same);
  if (!beside.same) co_return;
  ++s.route->passed_same;
  s.route->passed_same_us += static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - s.began).count());
}

}  // namespace pillion
