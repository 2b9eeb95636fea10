#include "flow/respond.hpp"

#include <charconv>

#include "core/cache_status.hpp"
#include "core/compressible.hpp"
#include "core/freshness.hpp"
#include "core/ranges.hpp"
#include "core/validation.hpp"
#include "flow/compose.hpp"

namespace pillion {

namespace {

void append_age(std::int64_t age_ms, std::string& out) {
  char line[32] = {'A', 'g', 'e', ':', ' '};
  char* end = std::to_chars(line + 5, line + sizeof line - 2, std::max<std::int64_t>(0, age_ms) / 1000).ptr;
  *end++ = '\r';
  *end++ = '\n';
  out.append(line, end);
}

// A condition is answered for what would have been a 200 (RFC 9110 13.2.1).
bool client_has(const RequestHead& request, const ResponseMeta& meta, std::string_view etag, Now at) {
  return meta.status == 200 &&
         client_has_it(request.fields, etag, meta.last_modified_s, meta.date_s, at.wall_ms / 1000);
}

awaitable<void> stream_body(ClientSession& session, Flight::Reader& reader, Outcome& outcome);

}  // namespace

void append_cache_status_field(const CacheStatus& status, const CompiledRoute& route, std::string& out) {
  if (route.settings.cache_status == config::CacheStatusMode::off) return;
  out += "Cache-Status: ";
  append_cache_status(status, out);
  out += "\r\n";
}

namespace {

// Whether a response that is stored is, or will be, to be had in other codings: then each answer with it says so.
bool is_negotiated(const CompiledRoute& route, const ResponseMeta& meta, std::size_t body) {
  return route.compresses && meta.compressible && is_compressible_size(body) &&
         !is_kept_personally(meta, route.settings);
}

// Which of its representations a client gets.
struct Form {
  bool negotiated = false;
  const EncodedForm* encoded = nullptr;  // null: the plain one
  bool wanted = false;                   // some encoded one would do
  Coding coding = Coding::identity;
  Coding wished = Coding::identity;  // would be better than that, and isn't there
};

// Of a response that is negotiated.
Form form_for(const RequestHead& request, const StoredResponse& stored) {
  Form form;
  form.negotiated = true;
  if (!find(request.fields, Name::accept_encoding)) return form;
  if (list_has(request.fields, Name::cache_control, "no-transform")) return form;  // RFC 9111 5.2.1.6
  const CodingWishes wishes = coding_wishes(request.fields);
  form.wanted = wishes.wants_any();
  // Ranges are parts of the plain one.
  if (request.method == Method::get && find(request.fields, Name::range) && !wishes.refuses_plain) return form;
  for (std::size_t i = 0; i < wishes.count && !form.encoded; ++i) {
    form.coding = wishes.order[i];
    form.encoded = stored.forms().find(form.coding);
  }
  if (!form.encoded) form.coding = Coding::identity;
  if (form.wanted && form.coding != wishes.order[0]) form.wished = wishes.order[0];
  return form;
}

// If-Range with a date: what that dates may be the encoded form, of which no part fits the plain one.
bool has_range_if_date(const RequestHead& request) {
  const Field* condition = find(request.fields, Name::if_range);
  return condition && condition->value.find('"') == std::string_view::npos;
}

// What a client gets of a stored response.
struct Portion {
  bool not_modified = false;
  RangeAnswer range;
};

Portion portion_for(const RequestHead& request, const StoredResponse& stored, const Form& form, Now at) {
  const ResponseMeta& meta = stored.meta();
  Portion portion;
  // Preconditions before ranges (RFC 9110 13.2.2); a Range means something to GET alone (14.2).
  portion.not_modified = client_has(request, meta, stored.etag(), at);
  if (portion.not_modified || request.method != Method::get || meta.status != 200) return portion;
  if (!find(request.fields, Name::range) || refuses_ranges(stored.head())) return portion;
  if (form.encoded || (form.wanted && has_range_if_date(request))) return portion;
  const Representation whole{stored.etag(), meta.last_modified_s, meta.date_s, stored.body().size()};
  portion.range = select_ranges(request.fields, whole, at.wall_ms / 1000);
  return portion;
}

// Parts of the stored body, one or several.
void put_parts(ClientSession& session, const StoredResponsePtr& stored, const CompiledRoute& route,
               const std::vector<ByteRange>& ranges, std::string_view last_fields) {
  OutputQueue& out = session.out();
  const std::string_view body = stored->body();
  const bool strips = stored->meta().had_set_cookie && route.settings.set_cookie != config::SetCookie::store;
  if (ranges.size() == 1) {
    const ByteRange range = ranges.front();
    append_partial_head(stored->head(), strips, {}, content_range(range, body.size()), range.size(), out.scratch());
    out.scratch() += last_fields;
    session.end_head(206, range.size());
    session.put_body(body.substr(range.first, range.size()), true);
    return;
  }
  const Multipart multipart = make_multipart(ranges, content_type_of(stored->head()), body);
  append_partial_head(stored->head(), strips, "multipart/byteranges; boundary=" + multipart.boundary, {},
                      multipart.length, out.scratch());
  out.scratch() += last_fields;
  session.end_head(206, multipart.length);
  // What stands between the parts has to live until it is sent, as the stored body does.
  std::string frames;
  for (const std::string& before : multipart.before) frames += before;
  frames += multipart.end;
  StoredParts made;
  made.body = frames;
  const StoredResponsePtr pinned = StoredResponse::make(made);
  out.pin(pinned);
  std::string_view frame = pinned->body();
  for (std::size_t i = 0; i < ranges.size(); ++i) {
    session.put_body(frame.substr(0, multipart.before[i].size()), false);
    frame.remove_prefix(multipart.before[i].size());
    session.put_body(body.substr(ranges[i].first, ranges[i].size()), false);
  }
  session.put_body(frame, true);
}

}  // namespace

void put_stored(ClientSession& session, const StoredResponsePtr& stored, const CompiledRoute& route, Now at,
                CacheStatus status, Outcome& outcome, std::string_view more_fields) {
  OutputQueue& out = session.out();
  out.pin(stored);
  const ResponseMeta& meta = stored->meta();
  Form form;
  if (is_negotiated(route, meta, stored->body().size())) form = form_for(session.request(), *stored);
  const Portion portion = portion_for(session.request(), *stored, form, at);
  status.coding = form.coding;
  std::string key;  // as long as `status`
  if (route.settings.cache_status == config::CacheStatusMode::key) status.key = key = stored->readable_key();
  if (portion.range.kind != RangeAnswer::Kind::whole) {
    std::string last(more_fields);
    if (form.negotiated && !meta.varies_by_coding) last += vary_by_coding;
    append_age(current_age_ms(meta, at), last);
    append_cache_status_field(status, route, last);
    if (portion.range.kind == RangeAnswer::Kind::partial) {
      outcome.status = 206;
      put_parts(session, stored, route, portion.range.ranges, last);
      return;
    }
    outcome.status = 416;
    append_unsatisfied_head(stored->head(), unsatisfied_content_range(stored->body().size()), out.scratch());
    out.scratch() += last;
    session.end_head(416, 0);
    return;
  }
  const std::string_view head = form.encoded ? form.encoded->head() : stored->head();
  const std::string_view body = form.encoded ? form.encoded->body() : stored->body();
  outcome.status = portion.not_modified ? 304 : meta.status;
  if (portion.not_modified) {
    append_not_modified_head(head, out.scratch());
    out.end_scratch();
  } else if (meta.had_set_cookie && route.settings.set_cookie != config::SetCookie::store) {
    // Stored while the route still said `store`: what a reload tightens binds what is stored already.
    append_without_set_cookie(head, out.scratch());
    out.end_scratch();
  } else {
    out.refer(head);
  }
  out.scratch() += more_fields;
  if (form.negotiated && !form.encoded && !meta.varies_by_coding) out.scratch() += vary_by_coding;
  append_age(current_age_ms(meta, at), out.scratch());
  append_cache_status_field(status, route, out.scratch());
  const auto mode = session.end_head(outcome.status, body.size());
  if (mode == ClientSession::BodyMode::none) return;
  session.put_body(body, true);
  if (!form.negotiated) return;
  outcome.coding = form.coding;
  outcome.wished = form.wished;
  outcome.saved_bytes = stored->body().size() - body.size();
}

void put_stale_if_error(ClientSession& session, const Found& found, const CompiledRoute& route, unsigned answered,
                        CacheStatus status, Outcome& outcome) {
  status.forward_status = outcome.upstream_status = answered;
  status.detail = Detail::stale_if_error;
  outcome.result = Result::stale;
  outcome.tier = found.tier;
  outcome.unsure = found.unsure;
  outcome.detail = Detail::stale_if_error;
  put_stored(session, found.response, route, now(), status, outcome);
}

awaitable<void> stream_flight(ClientSession& session, Flight::Reader& reader, const CompiledRoute& route,
                              CacheStatus status, Outcome& outcome) {
  const std::shared_ptr<const FlightHead> head = reader.head();
  const Now at = now();
  std::string& text = session.out().scratch();
  const bool not_modified = client_has(session.request(), head->meta, head->etag, at);
  outcome.status = not_modified ? 304 : head->status;
  outcome.stored = head->storing;
  outcome.detail = head->reason;
  if (not_modified) {
    append_not_modified_head(head->wire, text);
  } else {
    text += head->wire;
    text += head->stored_only;
  }
  if (reader.is_first()) text += head->set_cookies + head->first_only;
  if (head->storing && !head->meta.varies_by_coding &&
      is_negotiated(route, head->meta, head->length.value_or(largest_compressed)))
    text += vary_by_coding;
  if (!not_modified) {
    if (head->length && head->status != 204) append_length(*head->length, text);
  }
  if (head->had_age || status.collapsed) append_age(current_age_ms(head->meta, at), text);
  status.forward_status = outcome.upstream_status = head->status;
  status.stored = head->storing;
  if (head->reason != Detail::none) status.detail = head->reason;
  append_cache_status_field(status, route, text);
  const auto mode = session.end_head(outcome.status, head->length);
  if (mode == ClientSession::BodyMode::none) co_return;

  co_await stream_body(session, reader, outcome);
  co_await session.stop_watch();
}

namespace {

awaitable<void> stream_body(ClientSession& session, Flight::Reader& reader, Outcome& outcome) {
  const bool events = reader.head()->events;
  std::vector<std::shared_ptr<const std::string>> held;  // until they are sent
  for (;;) {
    if (!reader.has_next() || session.out().is_full()) {
      if (co_await session.flush()) co_return;
      held.clear();
      // A silent event stream would never notice that its client has left.
      if (events) session.watch([&reader] { reader.interrupt(); });
    }
    const Flight::Reader::Part part = co_await reader.next();
    if (part.data) {
      held.push_back(part.data);
      session.put_body(*part.data, part.last, part.trailers ? std::string_view(*part.trailers) : std::string_view());
      if (part.last) break;
    } else if (part.last) {
      session.put_body({}, true, part.trailers ? std::string_view(*part.trailers) : std::string_view());
      break;
    } else {
      // What is missing has to show: no last chunk, no full length.
      if (!co_await session.flush()) session.cut();
      outcome.detail = Detail::truncated;
      outcome.result = Result::error;
      co_return;
    }
  }
  co_await session.flush();
}

}  // namespace

void put_upstream_error(ClientSession& session, UpstreamError error, const CompiledRoute& route, CacheStatus status,
                        Outcome& outcome) {
  std::string_view why;
  outcome.status = 502;
  switch (error.detail) {
    case Detail::connect_timeout:
      outcome.status = 504;
      why = "The upstream did not accept a connection in time.";
      break;
    case Detail::response_timeout:
      outcome.status = 504;
      why = "The upstream did not answer in time.";
      break;
    case Detail::overloaded:
      outcome.status = 503;
      why = "The upstream has as many requests as it may have.";
      break;
    case Detail::breaker_open:
      outcome.status = 503;
      why = "The upstream has not answered of late, and is not asked for a moment.";
      break;
    case Detail::connect_failed:
      why = "The upstream can't be reached.";
      break;
    case Detail::bad_response:
      why = "The upstream's answer is not valid HTTP.";
      break;
    case Detail::no_route_upstream:
      why = "No route matches, and there is no upstream for the rest.";
      break;
    default:
      why = "The upstream closed the connection before it had answered.";
      break;
  }
  outcome.result = Result::error;
  outcome.detail = error.detail;
  status.detail = error.detail;
  std::string value;
  if (route.settings.cache_status != config::CacheStatusMode::off) append_cache_status(status, value);
  session.put_problem(outcome.status, why, value, outcome.status == 503 ? "Retry-After: 1\r\n" : "");
}

}  // namespace pillion
