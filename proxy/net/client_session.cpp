#include "net/client_session.hpp"

#include <algorithm>

#include "net/client_parser.hpp"
#include "net/head_read.hpp"

namespace pillion {

namespace {
// How much of a refused request's rest is read, and for how long, so that the answer isn't lost to a reset (RFC
// 9112 9.6).
constexpr std::size_t linger_bytes = 256u << 10;
constexpr std::chrono::milliseconds linger_time{1000};
}  // namespace

ClientSession::ClientSession(Socket socket, ClientOrigin origin, ClientHandler& handler, ClientWorkspaces& workspaces,
                             Deadlines& deadlines, WorkerCounters& counters)
    : socket_(std::move(socket)),
      tls_(origin.tls ? std::make_unique<TlsSession>(origin.tls, socket_, TlsSession::Side::server) : nullptr),
      origin_(std::move(origin)),
      handler_(handler),
      deadlines_(deadlines),
      counters_(counters),
      read_deadline_(deadlines, on_read_deadline, this),
      write_deadline_(deadlines, on_write_deadline, this),
      workspaces_(workspaces) {
  error_code ignored;
  socket_.non_blocking(true, ignored);
  if (!tls_) tells_what_is_left_ = tell_what_is_left(socket_);
  counters_.client_connections.add();
  take_settings();
  begin_head();
}

ClientSession::~ClientSession() {
  end_watch();
  counters_.client_connections.sub();
  if (!work_) return;
  work_->clear();
  workspaces_.give_back(std::move(work_));
}

void ClientSession::on_write_deadline(void* self) {
  auto& session = *static_cast<ClientSession*>(self);
  session.counters_.limits[static_cast<std::size_t>(Limit::write_timeout)].add();
  error_code ignored;
  session.socket_.cancel(ignored);
}

awaitable<bool> ClientSession::run() {
  take_workspace();
  while (!tls_ || co_await shake_hands()) {
    const Next next = co_await read_request();
    if (next == Next::idle) co_return true;
    if (next == Next::close) break;
    if (next == Next::http2) {
      head_ended_ = true;  // there is none: HTTP/1.1 ends here
      keep_alive_ = false;
      co_await handler_.tunnel_http2(*this);
    } else if (next == Next::request) {
      if (!work_->out.empty() && co_await flush()) break;
      co_await handler_.handle(*this);
    }
    if (!co_await finish_exchange()) break;
  }
  if (tls_ && !cut_) tls_->send_close();
  error_code ignored;
  socket_.close(ignored);
  co_return false;
}

// RFC 9113 3.4. It goes to the handler, whole as it is.
ClientSession::Next ClientSession::take_preface() {
  at_start_ = false;
  started_ = std::chrono::steady_clock::now();
  request_.method = Method::other;
  request_.method_name = "PRI";
  request_.target = request_.path = "*";
  if (origin_.h2c_tunnel) return Next::http2;
  return refuse({505, "HTTP/2 without TLS is not served here; with h2c: tunnel this listener would pass it on."},
                Limit::bad_request);
}

namespace {
Refusal refusal_of(ParseError error) {
  switch (error) {
    case ParseError::version:
      return {505, "Only HTTP/1.1 and HTTP/1.0 are spoken here."};
    case ParseError::too_many_fields:
      return {431, "The request has too many fields."};
    case ParseError::framing:
      return {400, "Content-Length and Transfer-Encoding leave the length of the request in doubt."};
    case ParseError::transfer_coding:
      return {501, "The only transfer coding known here is chunked."};
    default:
      return {400, "The request is malformed."};
  }
}
}  // namespace

ClientSession::Next ClientSession::parse(std::size_t size) {
  ParserLimits limits{limits_.head, limits_.fields, limits_.trailers, limits_.chunk_extensions};
  auto& parser = work_->parser->parse.emplace(work_->fields, limits);
  const std::string_view head(work_->buffer.data() + begin_, size);
  const ParseError error = parser.parse_head(head);
  begin_ += size;
  at_start_ = false;
  started_ = std::chrono::steady_clock::now();
  request_ = {};
  request_.method_name = parser.method();
  Refusal refusal;
  Limit limit = Limit::bad_request;
  if (error != ParseError::none) {
    refusal = refusal_of(error);
    if (error == ParseError::too_many_fields) limit = Limit::fields;
  } else if (parser.target().size() > limits_.target) {
    refusal = {414, "The request target is too long."};
    limit = Limit::target;
  } else {
    refusal = make_effective({parser.method(), parser.target(), parser.minor(), parser.fields(), tls_ != nullptr},
                             origin_.peer_trusted, request_);
  }
  if (!refusal && limits_.body && parser.framing() == Framing::length && parser.length() > *limits_.body) {
    refusal = {413, "The request body is too large."};
    limit = Limit::body;
  }
  if (refusal) return refuse(refusal, limit);
  drop_nominated();
  return Next::request;
}

namespace {
constexpr std::string_view allow_field = "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n";

// Nearly every Connection field says `keep-alive` and nothing else, where there is one.
bool only_keeps_alive(const Fields& fields) {
  if (!fields.may_have(Name::connection)) return true;
  for (const Field& field : fields)
    if (field.id == Name::connection && name_of(field.value) != Name::keep_alive) return false;
  return true;
}

bool nominates_others(Fields fields) {
  for (const Field& field : fields) {
    if (field.id != Name::connection) continue;
    std::string_view list = field.value;
    while (const auto member = next_member(list)) {
      if (!iequals(*member, "close") && !is_hop_by_hop(name_of(*member))) return true;
    }
  }
  return false;
}
}  // namespace

// Fields that Connection names concern this connection alone (RFC 9110 7.6.1): gone before a key, a rule or the
// upstream could see them.
void ClientSession::drop_nominated() {
  if (only_keeps_alive(request_.fields) || !nominates_others(request_.fields)) return;
  const std::vector<Field> all = work_->fields;
  std::erase_if(work_->fields, [&all](const Field& field) {
    return !is_hop_by_hop(field.id) && is_connection_nominated(all, field.name);
  });
  request_.fields = Fields(work_->fields);
}

ClientSession::Next ClientSession::refuse(Refusal refusal, Limit limit) {
  counters_.limits[static_cast<std::size_t>(limit)].add();
  begin_exchange();
  keep_alive_ = false;
  put_problem(refusal.status, refusal.why, "pillion; detail=bad-request",
              refusal.status == 405 ? allow_field : std::string_view{});
  handler_.note_own_answer(*this, refusal.status);
  return Next::refused;
}

// OPTIONS that may go no further asks about this proxy: it is answered with the methods that are passed on.
void ClientSession::put_own_options() {
  if (!request_body_done()) keep_alive_ = false;
  put_own_head(200, 0, allow_field);
  end_head(200, 0);
}

bool ClientSession::wants_keep_alive() const noexcept {
  if (finishing_) return false;
  if (request_.minor == 0) return list_has(request_.fields, Name::connection, "keep-alive");
  return only_keeps_alive(request_.fields) || !list_has(request_.fields, Name::connection, "close");
}

void ClientSession::begin_exchange() {
  in_request_ = true;
  keep_alive_ = wants_keep_alive();
  takes_trailers_ = list_has(request_.fields, Name::te, "trailers");
  head_ended_ = false;
  body_ended_ = true;
  body_mode_ = BodyMode::none;
  body_bytes_ = 0;
  request_bytes_ = 0;
  body_read_ = false;
}

// True where the connection goes on to the next request.
awaitable<bool> ClientSession::finish_exchange() {
  if (cut_) co_return false;
  if (finish_now()) co_return true;
  const bool whole_body = request_body_done();
  if (!whole_body) keep_alive_ = false;
  if (!work_->out.empty() && co_await flush()) co_return false;
  unanswered_ = false;
  if (keep_alive_) co_return true;
  if (!whole_body || begin_ != end_) co_await linger();
  co_return false;
}

// The same where nothing has to be waited for. False: finish_exchange() goes on.
bool ClientSession::finish_now() {
  if (cut_ || !keep_alive_ || !request_body_done()) return false;
  // Pipelined requests that have come already are answered in the same write.
  if (begin_ != end_ && !work_->out.is_full()) return true;
  if (!work_->out.empty() && !flush_now()) return false;
  unanswered_ = false;
  return true;
}

// Closing with unread input would reset the connection and could destroy the answer on its way (RFC 9112 9.6).
awaitable<void> ClientSession::linger() {
  shutdown_send();
  std::size_t total = 0;
  read_deadline_.reset();
  read_deadline_.expires_after(linger_time);
  while (total < linger_bytes && !read_deadline_.expired()) {
    const auto [size, error] = co_await read_some(asio::buffer(work_->buffer), read_deadline_);
    if (error) break;
    total += size;
  }
}

void ClientSession::finish_soon() noexcept {
  finishing_ = true;
  keep_alive_ = false;
  if (in_request_ || has_part_of_head()) return;
  error_code ignored;
  socket_.cancel(ignored);
}

void ClientSession::abort() noexcept { cut(); }

}  // namespace pillion
