#include "flow/query_handler.hpp"

#include <algorithm>
#include <atomic>

#include "core/cache_control.hpp"
#include "core/cache_status.hpp"
#include "core/freshness.hpp"
#include "core/http_date.hpp"
#include "flow/respond.hpp"

namespace pillion {

namespace {

constexpr std::size_t largest_type = 256;       // bytes of a Content-Type or Content-Encoding that is kept
constexpr std::size_t max_bodies = 256u << 20;  // bytes of values that are on their way, all workers together
constexpr std::size_t longest_token = 64;
constexpr std::size_t own_head = 128;  // bytes of a stored head but for these two
constexpr std::string_view allow = "Allow: GET, HEAD, PUT, DELETE\r\n";

bool is_loopback(std::string_view host) noexcept {
  const bool bracketed = host.starts_with('[');
  host = host.substr(0, bracketed ? host.find(']') + 1 : host.find(':'));
  if (iequals(host, "localhost") || host == "[::1]") return true;
  // No name begins so: a label of the top level is never a number.
  return host.starts_with("127.") &&
         std::ranges::all_of(host, [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
}

void put_empty(ClientSession& session, Outcome& outcome) {
  char date[http_date_size];
  write_http_date(now().wall_ms / 1000, date);
  std::string& head = session.out().scratch();
  head += "HTTP/1.1 204 No Content\r\nDate: ";
  head.append(date, sizeof date).append("\r\n");
  outcome.status = 204;
  session.end_head(204, 0);
}

void put_pending(ClientSession& session, Outcome& outcome) {
  outcome.status = 503;
  session.put_problem(503, "Redis is out of reach: done by this replica, and by the others when it is back.", {});
}

void refuse(ClientSession& session, Outcome& outcome, unsigned status, std::string_view why, Detail detail,
            std::string_view fields = {}) {
  outcome.status = status;
  outcome.detail = detail;
  outcome.result = Result::error;
  if (!session.request_body_done()) session.close_after();
  session.put_problem(status, why, {}, fields);
}

void append_kept_field(Fields fields, Name id, std::string_view name, std::string_view otherwise, std::string& head) {
  const Field* field = find(fields, id);
  const std::string_view value = field && field->value.size() <= largest_type ? field->value : otherwise;
  if (!value.empty()) head.append(name).append(": ").append(value).append("\r\n");
}

// A share of what all bodies on their way may occupy.
class Budget {
 public:
  explicit Budget(std::atomic<std::size_t>& used) : used_(used) {}
  ~Budget() { used_.fetch_sub(mine_, std::memory_order_relaxed); }
  Budget(const Budget&) = delete;
  bool take(std::size_t bytes) {
    mine_ += bytes;
    return used_.fetch_add(bytes, std::memory_order_relaxed) + bytes <= max_bodies;
  }

 private:
  std::atomic<std::size_t>& used_;
  std::size_t mine_ = 0;
};

}  // namespace

bool may_be_a_web_page(const RequestHead& request, bool over_tcp) noexcept {
  // A page's simple GET has no Origin, in older browsers no Sec-Fetch-Site, and the Host of what it aims at; what it
  // can do then is take a lease, and read nothing. With a name of its own that leads here it would read.
  if (find(request.fields, "Origin") || find(request.fields, "Sec-Fetch-Site")) return true;
  return over_tcp && !request.host.empty() && !is_loopback(request.host);
}

// What the head asks for, owned: it lives no longer than until the body is read.
struct QueryHandler::Wanted {
  Query query;
  bool whole_type = false;
  std::chrono::milliseconds wait{};
  RequestHandler::Names names;
};

// A hit in memory, and nothing else.
bool QueryHandler::answer_now(ClientSession& session) {
  const RequestHead& request = session.request();
  if (request.method != Method::get || may_be_a_web_page(request, !session.origin().peer_address.empty())) return false;
  const auto target = parse_query_path(request.path);
  if (!target || target->id.empty() || (request.has_query && !parse_query_wait(request.query))) return false;
  const SnapshotPtr& snapshot = context_.snapshot;
  const CompiledRoute* type = snapshot->query_type(target->type);
  if (!type) return false;
  const Query query{snapshot, type, {}, query_key(*target)};
  const QueryAnswer answer = cache_.find_now(query, now());
  if (!answer.value) return false;
  Outcome outcome;
  put_value(session, query, answer, outcome);
  requests_.finish(session, *snapshot, *type, nullptr, outcome, nullptr);
  return true;
}

void QueryHandler::put_value(ClientSession& session, const Query& query, const QueryAnswer& answer, Outcome& outcome) {
  const config::Route& type = query.type->settings;
  CacheStatus status;
  status.hit = true;
  status.has_ttl = true;
  status.ttl_s =
      whole_seconds(lifetime_of(answer.value->meta(), type).ms - current_age_ms(answer.value->meta(), answer.at));
  status.detail = outcome.tier = answer.tier;
  status.collapsed = outcome.collapsed = answer.waited;
  outcome.result = Result::hit;
  outcome.unsure = answer.unsure;
  put_stored(session, answer.value, *query.type, answer.at, status, outcome);
}

// Which value a request is about, or why none.
QueryHandler::Refused QueryHandler::understand(const ClientSession& session, Wanted& wanted) const {
  const RequestHead& request = session.request();
  if (may_be_a_web_page(request, !session.origin().peer_address.empty()))
    return {403,
            "This is for programs on this machine: requests with Origin or Sec-Fetch-Site, or with a Host other than "
            "localhost or a loopback address, may come from a web page.",
            {}};
  const auto target = parse_query_path(request.path);
  if (!target) return {404, "There is /query/{type}/{id} and /query/{type}; percent-encode slashes of an id.", {}};
  const CompiledRoute* type = wanted.query.snapshot->query_type(target->type);
  if (!type) return {400, "There is no such type: the types are the names of ttl: in the configuration.", {}};
  const bool has_wait = !request.has_query || request.method == Method::get;
  const auto wait = has_wait ? parse_query_wait(request.query) : std::nullopt;
  if (!wait) return {400, "The only parameter is wait, of GET: 0s to 30s, such as ?wait=250ms.", {}};
  wanted.whole_type = target->id.empty();
  if (wanted.whole_type && request.method != Method::del)
    return {405, "A whole type can only be deleted.", "Allow: DELETE\r\n"};
  wanted.query.type = type;
  wanted.query.type_name = std::string(target->type);
  wanted.wait = *wait;
  if (!wanted.whole_type) wanted.query.key = query_key(*target);
  return {};
}

awaitable<void> QueryHandler::handle(ClientSession& session) {
  const RequestHead& request = session.request();
  const SnapshotPtr snapshot = context_.snapshot;
  Wanted wanted;
  wanted.names = requests_.names_of(request);
  wanted.query.snapshot = snapshot;
  Outcome outcome;
  if (request.method != Method::put && session.has_request_body()) session.close_after();  // nobody reads it
  if (const Refused refused = understand(session, wanted); refused.status != 0) {
    refuse(session, outcome, refused.status, refused.why, Detail::bad_request, refused.fields);
  } else if (request.method == Method::get || request.method == Method::head) {
    co_await get(session, wanted, outcome);
  } else if (request.method == Method::put) {
    co_await put(session, wanted, outcome);
  } else if (request.method == Method::del) {
    co_await remove(session, wanted, outcome);
  } else {
    refuse(session, outcome, 405, "A value is got, put or deleted.", Detail::bad_request, allow);
  }
  const CompiledRoute* counted = wanted.query.type ? wanted.query.type : &snapshot->query_unmatched;
  requests_.finish(session, *snapshot, *counted, nullptr, outcome, &wanted.names);
}

awaitable<void> QueryHandler::get(ClientSession& session, const Wanted& wanted, Outcome& outcome) {
  QueryAnswer answer;
  QueryCaller caller;
  if (session.request().method == Method::head) {
    answer = co_await cache_.peek(wanted.query);
  } else {
    session.watch([&caller] { caller.leave(); });
    answer = co_await cache_.get(wanted.query, wanted.wait, caller);
    co_await session.stop_watch();
  }
  if (answer.value) {
    put_value(session, wanted.query, answer, outcome);
    co_return;
  }
  outcome.status = 404;
  outcome.result = Result::miss;
  CacheStatus status;
  status.forward = answer.unsure ? Forward::stale : Forward::uri_miss;
  if (answer.unsure) status.detail = outcome.detail = Detail::unsure;
  std::string cache_status, fields;
  append_cache_status(status, cache_status);
  if (answer.lease.empty()) {
    session.put_problem(404, "Nothing is stored, and somebody else may be loading it: load it, and don't store it.",
                        cache_status);
    co_return;
  }
  fields.append("Lease: ").append(answer.lease).append("\r\n");
  session.put_problem(404, "Nothing is stored: load it, and store it with this lease.", cache_status, fields);
  // Who is gone loads nothing.
  if (caller.gone || co_await session.flush()) cache_.give_back(wanted.query, answer.lease);
}

// The body, or why there is none. False where that was answered.
awaitable<bool> QueryHandler::read_value(ClientSession& session, const Wanted& wanted, const std::string& token,
                                         std::string& body, std::size_t room, Outcome& outcome) {
  Budget budget(context_.shared.query_bodies);
  bool fits = session.request_framing() != Framing::length || session.request_length() <= room;
  if (fits && session.expects_continue() && co_await session.send_interim(100, "Continue", {})) co_return false;
  while (fits && !session.request_body_done()) {
    const ClientSession::Body part = co_await session.read_body();
    if (part.status != 0) {
      refuse(session, outcome, part.status, "The value did not arrive whole.", Detail::bad_request);
      if (part.status == 499) session.cut();
      co_return false;
    }
    if (!budget.take(part.data.size())) {
      context_.counters.limits[static_cast<std::size_t>(Limit::query_bodies)].add();
      refuse(session, outcome, 503, "Too many values are on their way.", Detail::overloaded, "Retry-After: 1\r\n");
      co_return false;
    }
    fits = body.size() + part.data.size() <= room;
    if (fits) body += part.data;
    if (part.end) break;
  }
  if (fits) co_return true;
  cache_.too_large(wanted.query, token);
  refuse(session, outcome, 413, "The value is larger than max_object of the stores.", Detail::too_large);
  co_return false;
}

awaitable<void> QueryHandler::put(ClientSession& session, const Wanted& wanted, Outcome& outcome) {
  const Fields fields = session.request().fields;
  const Field* lease = find(fields, "Lease");
  const bool has_lease = lease != nullptr;
  const std::string token(has_lease ? lease->value.substr(0, longest_token) : std::string_view{});
  QueryValue value;
  append_kept_field(fields, Name::content_type, "Content-Type", "application/octet-stream", value.head);
  append_kept_field(fields, Name::content_encoding, "Content-Encoding", {}, value.head);
  const ResponseDirectives directives = parse_response_directives(fields);
  value.max_age = directives.no_store ? 0 : directives.max_age;
  if (!append_response_tags(fields, value.tags)) {
    refuse(session, outcome, 400, "There are over 1,000 tags.", Detail::bad_request);
    co_return;
  }
  const std::size_t largest = cache_.largest(*wanted.query.snapshot);
  const std::size_t room = largest - std::min(largest, value.head.size() + own_head);
  if (!co_await read_value(session, wanted, token, value.body, room, outcome)) co_return;

  outcome.result = Result::pass;
  const QueryPut done = has_lease ? co_await cache_.put(wanted.query, token, std::move(value))
                                  : co_await cache_.write(wanted.query, std::move(value));
  outcome.stored = done == QueryPut::stored;
  if (outcome.stored) {
    put_empty(session, outcome);
  } else if (done == QueryPut::pending) {
    put_pending(session, outcome);
  } else {
    outcome.status = 409;
    outcome.detail = done == QueryPut::voided ? Detail::invalidated : Detail::none;
    session.put_problem(409,
                        done == QueryPut::voided
                            ? "Nothing was stored: the value was invalidated since the lease was given."
                            : "Nothing was stored: this lease is unknown, or its time is over.",
                        {});
  }
}

awaitable<void> QueryHandler::remove(ClientSession& session, const Wanted& wanted, Outcome& outcome) {
  const Query& query = wanted.query;
  outcome.result = Result::pass;
  const bool done = wanted.whole_type
                        ? co_await cache_.invalidate(query_type_selector(query.type_name), nullptr)
                        : co_await cache_.invalidate(query_selector(query.type_name, query.key.readable), &query.key);
  done ? put_empty(session, outcome) : put_pending(session, outcome);
}

// No listener of the query cache passes it on.
awaitable<void> QueryHandler::tunnel_http2(ClientSession& session) {
  session.cut();
  co_return;
}

void QueryHandler::note_own_answer(ClientSession& session, unsigned status) {
  Outcome outcome;
  outcome.status = status;
  if (status >= 400) {
    outcome.result = Result::error;
    outcome.detail = Detail::bad_request;
  }
  requests_.finish(session, *context_.snapshot, context_.snapshot->query_unmatched, nullptr, outcome, nullptr);
}

}  // namespace pillion
