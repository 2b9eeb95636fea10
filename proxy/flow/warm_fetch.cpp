#include "flow/warm_fetch.hpp"

#include <algorithm>
#include <chrono>
#include <optional>

#include "core/cache_key.hpp"
#include "flow/compose.hpp"
#include "flow/exchange.hpp"
#include "flow/fetcher.hpp"
#include "flow/look_up.hpp"
#include "flow/shared_fetch.hpp"
#include "net/effective_request.hpp"

namespace pillion {

namespace {

using Clock = std::chrono::steady_clock;

// What came of no answer, or of one that says that the upstream isn't ready.
bool may_go_better(Detail detail) noexcept {
  return detail == Detail::connect_failed || detail == Detail::connect_timeout || detail == Detail::response_timeout ||
         detail == Detail::connection_reset || detail == Detail::overloaded;
}
bool may_go_better(unsigned status) noexcept { return status == 502 || status == 503 || status == 504; }

Warmed failed(Detail detail) {
  Warmed warmed;
  warmed.reason = to_string(detail);
  warmed.again = may_go_better(detail);
  return warmed;
}

Warmed uncacheable(std::string_view reason) {
  Warmed warmed;
  warmed.result = WarmResult::uncacheable;
  warmed.reason = reason;
  return warmed;
}

// Of an answer that isn't stored.
Warmed not_stored(unsigned status, Detail reason) {
  Warmed warmed = uncacheable(to_string(reason));
  warmed.status = status;
  if (status >= 500) {
    warmed.result = WarmResult::failed;
    warmed.again = may_go_better(status);
  }
  return warmed;
}

// Whether what was fetched has found a place.
Warmed where_kept(const WorkerContext& context, const RequestHead& request, const Plan& plan, unsigned status,
                  std::uint64_t length) {
  Warmed warmed;
  warmed.result = WarmResult::stored;
  warmed.status = status;
  warmed.bytes = length;
  const config::Route& route = plan.route->settings;
  const bool in_memory = route.store_memory && context.shared.memory.max_object() > 0;
  const Found found = look_up_memory(context, request, plan, now());
  if (found.response) {
    warmed.bytes = found.response->body().size();
    return warmed;
  }
  const bool in_redis = route.store_redis && context.redis && context.shared.invalidations.redis_ready() &&
                        !context.shared.redis_full.load(std::memory_order_relaxed);
  if (in_redis) return warmed;
  if (found.decision.detail == Detail::invalidated) {
    warmed.result = WarmResult::uncacheable;
    warmed.reason = to_string(Detail::invalidated);
  } else if (in_memory || context.redis) {
    warmed.result = WarmResult::no_room;
  }
  return warmed;
}

// Waits for the flight that it has led or joined.
awaitable<Warmed> read_flight(WorkerContext& context, const RequestHead& request, const Plan& plan,
                              Flight::Reader& reader) {
  Flight::Phase phase = co_await reader.wait_head(config::Milliseconds(0));
  while (phase == Flight::Phase::interim) {
    reader.take_interim();
    phase = co_await reader.wait_head(config::Milliseconds(0));
  }
  if (phase == Flight::Phase::failed) co_return failed(reader.error().detail);
  if (phase == Flight::Phase::settled) {
    const StoredResponsePtr stored = reader.stored();
    if (!reader.is_settled_for_all()) co_return uncacheable({});
    co_return where_kept(context, request, plan, reader.is_fetched_elsewhere() ? stored->meta().status : 304,
                         stored->body().size());
  }
  const auto head = reader.head();
  if (!head) co_return failed(Detail::connection_reset);
  if (!head->storing) co_return not_stored(head->status, head->reason);
  phase = co_await reader.wait_whole();
  if (phase == Flight::Phase::cut) {
    Warmed warmed = failed(Detail::truncated);
    warmed.status = head->status;
    warmed.again = true;
    co_return warmed;
  }
  if (phase != Flight::Phase::complete) co_return not_stored(head->status, Detail::too_large);
  co_return where_kept(context, request, plan, head->status, head->length.value_or(0));
}

awaitable<Warmed> warm(WorkerContext& context, const WarmRequest& request, const SnapshotPtr& snapshot, Plan& plan) {
  const Now at = now();
  const Found found = co_await look_up(context, request.head(), plan, at);
  if (found.is_fresh()) {
    Warmed warmed;
    warmed.result = WarmResult::fresh;
    warmed.reason = to_string(found.tier);
    warmed.bytes = found.response->body().size();
    co_return warmed;
  }
  // Clients come first where the upstream has all that it may have.
  auto in_flight = context.upstreams.try_begin(*plan.upstream);
  if (!in_flight) {
    Warmed warmed = failed(Detail::overloaded);
    warmed.busy = true;
    co_return warmed;
  }
  SharedFetch& shared_fetch = *context.shared_fetch;
  auto job = shared_fetch.make_job(request.head(), request.origin(), plan, found, snapshot, {});
  job->place.cold = true;
  const bool leader = shared_fetch.join(*job, plan);
  // Where another replica may be waited for, the permit would be held meanwhile.
  if (job->fleet == FetchJob::Fleet::no) job->in_flight = std::move(*in_flight);
  in_flight.reset();
  Flight::Reader reader(job->flight, context.executor, leader);
  if (leader) shared_fetch.start(std::move(job));
  co_return co_await read_flight(context, request.head(), plan, reader);
}

std::string_view authority_of(std::string_view url) noexcept {
  const std::size_t slashes = url.find("://");
  if (slashes == std::string_view::npos) return {};
  url.remove_prefix(slashes + 3);
  return url.substr(0, url.find_first_of("/?"));
}

}  // namespace

WarmRequest::WarmRequest(const WarmTarget& target, const config::Config& config, const std::string& own_host)
    : url_(target.url) {
  const bool absolute = !url_.starts_with('/');
  host_ = absolute ? std::string(authority_of(url_)) : config.canonical_host.empty() ? own_host : config.canonical_host;
  origin_.listener = target.listener;
  const auto has_name = [&](const config::Listener& listener) { return listener.name == target.listener; };
  if (std::ranges::none_of(config.listeners, has_name)) {
    if (!target.listener.empty()) {
      why_not_ = "no listener has that name";
      return;
    }
    if (!config.listeners.empty()) origin_.listener = config.listeners.front().name;
  }
  // A client by https comes through somebody who says so.
  origin_.peer_trusted = url_.starts_with("https://");
  fields_ = {{"Host", host_, Name::host},
             {"User-Agent", "Pillion (warming)", name_of("User-Agent")},
             {"Accept", "*/*", name_of("Accept")}};
  if (origin_.peer_trusted) fields_.push_back({"X-Forwarded-Proto", "https", name_of("X-Forwarded-Proto")});
  if (const Refusal refusal = make_effective({"GET", url_, 1, fields_}, origin_.peer_trusted, head_))
    why_not_ = refusal.why;
}

awaitable<Warmed> warm_one(WorkerContext& context, WarmTarget target) {
  const auto begun = Clock::now();
  const SnapshotPtr snapshot = context.snapshot;
  Warmed warmed;
  if (const std::string_view why = why_no_warm_url(target.url); !why.empty()) {
    warmed.reason = why;
    co_return warmed;
  }
  const WarmRequest request(target, *snapshot->config, context.shared.own_host);
  if (!request.why_not().empty()) {
    warmed.reason = request.why_not();
    co_return warmed;
  }
  Plan plan;
  make_plan(request.head(), request.origin().listener, false, *snapshot, context.shared.search_rules, plan);
  plan.warming = true;
  if (!plan.upstream) {
    warmed.reason = to_string(Detail::no_route_upstream);
  } else if (!plan.look_up) {
    warmed = uncacheable(plan.why != Detail::none ? to_string(plan.why) : to_string(plan.forward));
  } else if (context.shared.bypass.covers(plan.route->settings.name, now().mono_ms)) {
    warmed = uncacheable(to_string(Detail::switched_off));
  } else {
    warmed = co_await warm(context, request, snapshot, plan);
  }
  warmed.us = static_cast<std::uint64_t>((Clock::now() - begun) / std::chrono::microseconds(1));
  co_return warmed;
}

namespace {

FetchedText wrong(const UpstreamError& error) {
  return {{}, "the upstream gave no answer: " + std::string(to_string(error.detail)), may_go_better(error.detail)};
}

}  // namespace

awaitable<FetchedText> fetch_text(WorkerContext& context, WarmTarget target, std::size_t max_bytes) {
  const SnapshotPtr snapshot = context.snapshot;
  const WarmRequest request(target, *snapshot->config, context.shared.own_host);
  if (!request.why_not().empty()) co_return FetchedText{{}, std::string(request.why_not())};
  Plan plan;
  make_plan(request.head(), request.origin().listener, false, *snapshot, context.shared.search_rules, plan);
  if (!plan.upstream) co_return FetchedText{{}, std::string(to_string(Detail::no_route_upstream))};
  const std::string path =
      plan.match.route ? forwarded_target(request.head(), plan.match, false) : std::string(request.head().target);
  RequestToSend to_send;
  to_send.head = &request.head();
  to_send.route = plan.route;
  to_send.upstream = plan.upstream;
  to_send.target = path;
  to_send.canonical_host = snapshot->config->canonical_host;
  to_send.peer_trusted = request.origin().peer_trusted;
  const std::string wire = compose_request(to_send);
  auto acquired = co_await context.upstreams.acquire(*plan.upstream, snapshot->config->limits, {});
  if (acquired.error) co_return wrong(acquired.error);
  UpstreamConnection& connection = *acquired.connection;
  connection.begin(false);
  if (co_await connection.send(wire)) co_return wrong({Detail::connection_reset, true});
  do {
    if (const UpstreamError error = co_await connection.read_head(plan.upstream->response_timeout))
      co_return wrong(error);
  } while (connection.head().status < 200 && connection.head().status != 101);
  if (const unsigned status = connection.head().status; status != 200)
    co_return FetchedText{{}, "the upstream answered " + std::to_string(status), may_go_better(status)};
  FetchedText text;
  for (;;) {
    const UpstreamConnection::Body body = co_await connection.read_body(plan.upstream->silence_timeout);
    if (body.error) co_return wrong(body.error);
    if (text.body.size() + body.data.size() > max_bytes)
      co_return FetchedText{{}, "it is over " + std::to_string(max_bytes >> 20) + " MiB"};
    text.body += body.data;
    if (body.end) break;
  }
  context.upstreams.release(std::move(acquired.connection));
  co_return text;
}

}  // namespace pillion
