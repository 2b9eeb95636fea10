#include "flow/forwarder.hpp"

#include <algorithm>
#include <boost/asio/co_spawn.hpp>

#include "core/cache_key.hpp"
#include "core/no_vary_search.hpp"
#include "core/validation.hpp"
#include "flow/compose.hpp"
#include "flow/freshen.hpp"
#include "flow/observe.hpp"
#include "flow/respond.hpp"
#include "flow/unsafe_invalidation.hpp"
#include "net/tunnel.hpp"

namespace pillion {

struct Forwarder::Exchange {
  ClientSession& session;
  const Plan& plan;
  const Found& found;  // of a HEAD: what is stored, and not fresh
  const SnapshotPtr& snapshot;
  CacheStatus status;
  Outcome& outcome;
  AnswerTap* tap;
  Connection connection;
  UpstreamPool::Wanted wanted;  // of what is asked for it first
  std::string wire;
  std::string_view unsent;  // of it
  Method method;
  UnsafeRequest unsafe;  // what has to be known of it once its head is gone
  bool is_unsafe = false;
  bool sent = false;  // the upstream may have seen it
  bool has_body = false;
  // The pump, which sends the request body while the answer is awaited.
  bool pumping = false;
  Now asked;
  Fence fence;
  bool head_put = false;                          // with all of the body
  bool invalidated = false;                       // what was found
  unsigned client_fault = 0;                      // 400, 408, 413 or 499: what the client did wrong in its body
  std::optional<UpstreamConnection::Body> first;  // of the answer's body, taken already
  std::optional<asio::steady_timer> pumped;       // cancelled at the pump's end
};

namespace {

/// Without a bound while the request's body is still on its way.
config::Milliseconds head_timeout(const config::Upstream& upstream, bool pumping) {
  return pumping ? config::Milliseconds(0) : upstream.response_timeout;
}

}  // namespace

awaitable<void> Forwarder::forward(ClientSession& session, const Plan& plan, const Found& found,
                                   const SnapshotPtr& snapshot, std::string_view request_id, CacheStatus status,
                                   Outcome& outcome, AnswerTap* tap) {
  const RequestHead& request = session.request();
  RequestToSend to_send;
  to_send.head = &request;
  to_send.route = plan.route;
  to_send.upstream = plan.upstream;
  // Where nothing is cached for now nobody shares the answer, so the upstream is asked just as the client asks.
  const bool whole = plan.why == Detail::shadow || plan.why == Detail::switched_off;
  const std::string target =
      plan.match.route ? forwarded_target(request, plan.match, whole) : std::string(request.target);
  to_send.target = target;
  to_send.canonical_host = snapshot->config->canonical_host;
  to_send.peer_address = session.origin().peer_address;
  to_send.peer_trusted = session.origin().peer_trusted;
  to_send.request_id = request_id;
  to_send.upgrade = plan.upgrade;
  to_send.shared = found.response != nullptr;  // its answer updates what all may have
  to_send.framing = session.request_framing();
  if (to_send.framing == Framing::length) to_send.length = session.request_length();
  Exchange exchange{session,
                    plan,
                    found,
                    snapshot,
                    status,
                    outcome,
                    tap,
                    nullptr,
                    {},
                    compose_request(to_send),
                    {},
                    request.method,
                    {},
                    !is_safe(request.method),
                    false,
                    session.has_request_body(),
                    false,
                    now(),
                    context_.shared.invalidations.fence(),
                    false,
                    false,
                    0,
                    std::nullopt,
                    std::nullopt};
  // The fence was taken before: what is invalidated from here on is told by it.
  exchange.invalidated =
      found.response &&
      (found.strong_only || context_.shared.invalidations.order().standing(*found.response).is_touched());
  if (exchange.is_unsafe) exchange.unsafe = remember_unsafe(request, plan.match);
  // Each step is tried without waiting first: a coroutine more costs more than the step.
  UpstreamError error;
  if (!send_now(exchange)) error = co_await send(exchange, false);
  if (!error) {
    error = co_await exchange.connection->read_head(head_timeout(*plan.upstream, exchange.pumping));
    if (error || exchange.connection->head().status < 200) error = co_await read_final_head(exchange, error);
  }
  if (error) {
    co_await fail(exchange, error);
  } else {
    note_answered(exchange);
    if (!answer_now(exchange)) co_await answer(exchange);
  }
  if (exchange.pumping) co_await stop_pump(exchange);
  if (exchange.connection && session.request_body_done() && !session.is_cut()) {
    context_.upstreams.release(std::move(exchange.connection));
  }
}

// Without waiting: the head of a request without a body, over a pooled connection. False where send() goes on.
bool Forwarder::send_now(Exchange& e) {
  e.wanted.unsafe = e.is_unsafe || e.has_body;
  if (e.has_body) return false;
  e.connection = context_.upstreams.acquire_now(*e.plan.upstream, e.wanted);
  if (!e.connection) return false;
  e.connection->begin(e.method == Method::head);
  e.unsent = e.wire;
  e.sent = e.connection->send_now(e.unsent);
  return e.sent;
}

// Takes a connection, where there is none yet or it is sent again, and sends the head. A safe request without a body is
// sent once more where a pooled connection turns out to have been closed (RFC 9112 9.3.1); read_final_head() does the
// same.
awaitable<UpstreamError> Forwarder::send(Exchange& e, bool again) {
  if (again || !e.connection) {
    e.wanted.fresh = again;
    if (again) e.wanted.in_flight = e.connection->take_in_flight();
    e.connection.reset();  // and its permit with it
    auto acquired =
        co_await context_.upstreams.acquire(*e.plan.upstream, e.snapshot->config->limits, std::move(e.wanted));
    if (acquired.error) co_return acquired.error;
    e.connection = std::move(acquired.connection);
    e.connection->begin(e.method == Method::head);
    e.unsent = e.wire;
  }
  if (co_await e.connection->send(e.unsent)) {
    if (!again && !e.is_unsafe && !e.has_body && e.connection->is_reused()) co_return co_await send(e, true);
    e.sent = true;
    co_return UpstreamError{Detail::connection_reset, true};
  }
  e.sent = true;
  if (e.has_body) {
    e.pumping = true;
    e.pumped.emplace(context_.executor, asio::steady_timer::time_point::max());
    asio::co_spawn(context_.executor, pump(e), [&e](std::exception_ptr) {
      e.pumping = false;
      e.pumped->cancel();
    });
  }
  co_return UpstreamError{};
}

// Sends the request's body as it comes, framed anew.
awaitable<void> Forwarder::pump(Exchange& e) {
  const bool chunked = e.session.request_framing() == Framing::chunked;
  for (;;) {
    const ClientSession::Body body = co_await e.session.read_body();
    if (body.status != 0) {
      // Without its end the upstream can't take it for whole.
      e.client_fault = body.status;
      e.connection->spoil();
      e.connection->stream().close();
      co_return;
    }
    error_code error;
    if (chunked) {
      char size[24];
      const int n = std::snprintf(size, sizeof size, "%zx\r\n", body.data.size());
      const asio::const_buffer parts[] = {asio::buffer(size, static_cast<std::size_t>(body.data.empty() ? 0 : n)),
                                          asio::buffer(body.data.data(), body.data.size()),
                                          asio::buffer("\r\n", body.data.empty() ? 0 : 2),
                                          asio::buffer("0\r\n", body.end ? 3 : 0),
                                          asio::buffer(body.trailers.data(), body.trailers.size()),
                                          asio::buffer("\r\n", body.end ? 2 : 0)};
      error = co_await e.connection->send(parts);
    } else {
      error = co_await e.connection->send(body.data);
    }
    // The upstream doesn't want more: its answer says why, if it sent one.
    if (error) {
      e.connection->spoil();
      co_return;
    }
    if (body.end) break;
  }
  e.connection->expect_head_within(e.plan.upstream->response_timeout);
}

// The pump uses the exchange's frame: it has to be over before that goes. Cutting it short spoils both connections.
awaitable<void> Forwarder::stop_pump(Exchange& e) {
  if (!e.pumping) co_return;
  e.session.cancel_read();
  e.connection->spoil();
  e.connection->stream().close();
  while (e.pumping) co_await e.pumped->async_wait(no_throw);
}

// What follows the first head, or the attempt to read it, where that isn't the final one.
awaitable<UpstreamError> Forwarder::read_final_head(Exchange& e, UpstreamError error) {
  for (bool again = false;; error = co_await e.connection->read_head(head_timeout(*e.plan.upstream, e.pumping))) {
    if (error) {
      if (again || !error.untouched || !e.connection->is_reused() || e.is_unsafe || e.has_body) co_return error;
      again = true;
      if (const UpstreamError failed = co_await send(e, true)) co_return failed;
      continue;
    }
    const ResponseHead& head = e.connection->head();
    if (head.status == 101) {
      if (e.plan.upgrade) co_return error;
      co_return UpstreamError{Detail::bad_response, false};
    }
    if (head.status >= 200) co_return error;
    std::string fields;
    append_response_head(head, false, fields);
    fields.erase(0, fields.find('\n') + 1);
    if (co_await e.session.send_interim(head.status, head.reason, fields))
      co_return UpstreamError{Detail::connection_reset, false};
  }
}

// What an unsafe request's answer invalidates: a success all that it concerns, any other what the application names
// itself (RFC 9875 3).
awaitable<void> Forwarder::invalidate_after(Exchange& e) {
  const ResponseHead& head = e.connection->head();
  if (head.status >= 200 && head.status < 400) {
    co_await invalidate(e, &head);
    co_return;
  }
  std::vector<Selector> groups = groups_invalidated_by(e.unsafe, head.fields);
  if (groups.empty()) co_return;
  if (e.outcome.trail) note_invalidated(groups, *e.outcome.trail);
  add_spellings(*e.snapshot->routes, e.snapshot->listeners, groups);
  co_await context_.shared.invalidations.invalidate(std::move(groups));
}

awaitable<void> Forwarder::invalidate(Exchange& e, const ResponseHead* response) {
  std::vector<Selector> selectors = selectors_of_unsafe(e.unsafe, e.plan.match, response);
  if (e.outcome.trail) note_invalidated(selectors, *e.outcome.trail);
  add_spellings(*e.snapshot->routes, e.snapshot->listeners, selectors);
  co_await context_.shared.invalidations.invalidate(std::move(selectors));
}

awaitable<void> Forwarder::fail(Exchange& e, UpstreamError error) {
  // It may have been carried out, whatever became of its answer: too much is safe.
  if (e.is_unsafe && e.sent) co_await invalidate(e, nullptr);
  const unsigned fault = e.client_fault;
  co_await stop_pump(e);
  e.connection.reset();
  if (fault == 499 || e.session.is_cut()) {
    e.outcome.status = 499;
    e.outcome.result = Result::error;
    e.session.cut();
    co_return;
  }
  if (!e.session.request_body_done()) e.session.close_after();
  if (fault != 0) {
    e.session.close_after();
    e.outcome.status = fault;
    e.outcome.result = Result::error;
    const std::string_view why = fault == 408   ? "The request body took too long."
                                 : fault == 413 ? "The request body is too large."
                                                : "The request body is malformed.";
    e.session.put_problem(fault, why, "pillion; detail=bad-request");
    co_return;
  }
  if (may_serve_error(e)) {
    put_stale_if_error(e.session, e.found, *e.plan.route, 0, e.status, e.outcome);
    co_return;
  }
  put_upstream_error(e.session, error, *e.plan.route, e.status, e.outcome);
}

// It may have been invalidated while the upstream was asked.
bool Forwarder::may_serve_error(const Exchange& e) const {
  return e.found.serves_error() && !context_.shared.invalidations.order().is_invalidated(*e.found.response);
}

// The answer to a HEAD says whether the stored response still holds (RFC 9111 4.3.5). True where it was answered with
// it.
awaitable<bool> Forwarder::update_stored(Exchange& e) {
  const ResponseHead& head = e.connection->head();
  const StoredResponse& stored = *e.found.response;
  const HeadEffect effect = effect_of_head(stored, head);
  if (effect == HeadEffect::none) co_return false;
  // What was stored for another query holds for this one under its rule alone.
  const bool same_rule = search_rule(head.fields) == e.plan.search_rule;
  if (effect == HeadEffect::freshen && !same_rule && !e.plan.search_rule.empty()) co_return false;
  Place place{e.snapshot,     e.plan.route, e.plan.primary_key, e.plan.hash, readable_key(e.plan.match, e.plan.hash),
              e.found.marker, e.fence};
  // What was invalidated holds again only where a strong entity tag says so.
  if (effect == HeadEffect::outdated || (e.invalidated && !same_strong_validator(stored, head.fields))) {
    co_await keeper_.forget(place, e.found.response);
    co_return false;
  }
  RequestFacts facts = e.plan.facts;
  facts.method = Method::get;  // what is stored is the answer to one
  Freshened fresh = freshen(stored, head.fields,
                            {e.asked, e.fence, facts, &e.plan.route->settings, e.session.request().scheme,
                             e.session.request().host, std::nullopt});
  if (!fresh.may_keep) {
    co_await keeper_.forget(place, e.found.response);
    co_return false;
  }
  e.status.forward_status = head.status;
  e.status.detail = Detail::revalidated;
  e.outcome.result = Result::revalidated;
  std::string set_cookies;
  append_set_cookies(head.fields, set_cookies);
  put_stored(e.session, fresh.response, *e.plan.route, now(), e.status, e.outcome, set_cookies);
  co_await keeper_.replace(place, e.found.response, std::move(fresh.response));
  co_return true;
}

void Forwarder::put_head(Exchange& e) {
  const ResponseHead& head = e.connection->head();
  std::string& text = e.session.out().scratch();
  append_response_head(head, false, text);
  append_missing_date(head.fields, now().wall_ms / 1000, text);
  std::optional<std::uint64_t> length;
  const Framing framing = e.connection->framing();
  const bool announces = find(head.fields, Name::content_length) != nullptr;
  if (framing == Framing::length) length = e.connection->length();
  if (framing == Framing::none && head.status != 204 && head.status != 101 && (announces || e.method != Method::head) &&
      (announces || head.status != 304)) {
    length = e.connection->length();
  }
  if (length) append_length(*length, text);
  if (head.status == 101) {
    text += "Connection: upgrade\r\n";
    for (const Field& field : head.fields) {
      if (field.id == Name::upgrade) text.append("Upgrade: ").append(field.value).append("\r\n");
    }
  }
  e.status.forward_status = head.status;
  append_cache_status_field(e.status, *e.plan.route, text);
  e.outcome.status = head.status;
  e.session.end_head(head.status, length);
}

void Forwarder::note_answered(Exchange& e) {
  e.outcome.upstream_status = e.connection->head().status;
  const auto index = static_cast<std::size_t>(e.plan.upstream - e.snapshot->config->upstreams.data());
  e.outcome.upstream_us = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - e.session.started())
          .count());
  (*e.snapshot->upstream_counters[index])[context_.index]->observe_us(e.outcome.upstream_us);
}

// The answer that came in one piece, put out in one write. False where answer() has to be awaited.
bool Forwarder::answer_now(Exchange& e) {
  UpstreamConnection& upstream = *e.connection;
  const ResponseHead& head = upstream.head();
  if (e.is_unsafe || e.found.response || e.tap || head.status == 101 || is_event_stream(head.fields)) return false;
  e.first = upstream.buffered_body();
  if (!e.first || !e.first->end || e.first->error) return false;
  put_head(e);
  e.session.put_body(e.first->data, true, e.first->trailers);
  e.head_put = true;
  return e.session.flush_now();
}

awaitable<void> Forwarder::answer(Exchange& e) {
  if (e.head_put) {
    co_await e.session.flush();
    co_return;
  }
  const unsigned status = e.connection->head().status;
  if (e.is_unsafe) co_await invalidate_after(e);
  if (e.found.response) {
    if (status >= 500 && may_serve_error(e)) {
      put_stale_if_error(e.session, e.found, *e.plan.route, status, e.status, e.outcome);
      co_return;
    }
    if (co_await update_stored(e)) co_return;
  }
  if (e.tap) e.tap->head(*e.connection, e.status);
  put_head(e);
  if (status == 101) {
    e.connection->end_in_flight();
    if (!co_await e.session.flush()) co_await tunnel(e.session, *e.connection);
    co_return;
  }
  co_await stream_body(e);
}

awaitable<void> Forwarder::stream_body(Exchange& e) {
  UpstreamConnection& upstream = *e.connection;
  const bool events = is_event_stream(upstream.head().fields);
  if (events) upstream.end_in_flight();
  const auto silence = events ? config::Milliseconds(0) : e.plan.upstream->silence_timeout;
  // A silent event stream would never notice that its client has left.
  if (events && !e.pumping) e.session.watch([&upstream] { upstream.stream().close(); });
  std::optional<UpstreamConnection::Body> part = e.first ? std::exchange(e.first, {}) : upstream.buffered_body();
  if (!part && co_await e.session.flush()) co_return;
  for (;; part.reset()) {
    if (!part) part = co_await upstream.read_body(silence);
    const UpstreamConnection::Body& body = *part;
    if (body.error) {
      if (body.error.detail == Detail::response_timeout)
        context_.counters.limits[static_cast<std::size_t>(Limit::silence_timeout)].add();
      e.outcome.detail = Detail::truncated;
      e.outcome.result = Result::error;
      co_await e.session.stop_watch();
      if (!co_await e.session.flush()) e.session.cut();
      co_return;
    }
    if (e.tap) e.tap->body(body.data);
    if (e.tap && body.end) co_await e.tap->end();
    e.session.put_body(body.data, body.end, body.trailers);
    if (co_await e.session.flush()) break;
    if (body.end) break;
  }
  co_await e.session.stop_watch();
}

}  // namespace pillion
