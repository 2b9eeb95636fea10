#include "net/client_session.hpp"

#include <algorithm>

#include "net/client_session_parser.hpp"
#include "net/http2_preface.hpp"

namespace pillion {

namespace {
constexpr std::size_t first_buffer = 4u << 10;
// How much of a refused request's rest is read, and for how long, so that the answer isn't lost to a reset (RFC
// 9112 9.6).
constexpr std::size_t linger_bytes = 256u << 10;
constexpr std::chrono::milliseconds linger_time{1000};
}  // namespace

ClientSession::ClientSession(Socket socket, ClientOrigin origin, ClientHandler& handler, Deadlines& deadlines,
                             WorkerCounters& counters)
    : socket_(std::move(socket)),
      tls_(origin.tls ? std::make_unique<TlsSession>(origin.tls, socket_, TlsSession::Side::server) : nullptr),
      origin_(std::move(origin)),
      handler_(handler),
      deadlines_(deadlines),
      counters_(counters),
      read_deadline_(deadlines, on_read_deadline, this),
      write_deadline_(deadlines, on_write_deadline, this),
      buffer_(first_buffer),
      parser_(std::make_unique<Parser>()) {
  error_code ignored;
  socket_.non_blocking(true, ignored);
  counters_.client_connections.add();
}

ClientSession::~ClientSession() { counters_.client_connections.sub(); }

void ClientSession::on_read_deadline(void* self) {
  error_code ignored;
  static_cast<ClientSession*>(self)->socket_.cancel(ignored);
}

void ClientSession::on_write_deadline(void* self) {
  auto& session = *static_cast<ClientSession*>(self);
  session.counters_.limits[static_cast<std::size_t>(Limit::write_timeout)].add();
  error_code ignored;
  session.socket_.cancel(ignored);
}

awaitable<void> ClientSession::run() {
  while (!tls_ || co_await shake_hands()) {
    const Next next = co_await read_request();
    if (next == Next::close) break;
    begin_exchange();
    if (next == Next::http2) {
      head_ended_ = true;  // there is none: HTTP/1.1 ends here
      keep_alive_ = false;
      co_await handler_.tunnel_http2(*this);
    } else if (is_final_recipient(request_)) {
      put_own_options();
      handler_.note_own_answer(*this, 200);
    } else if (!handler_.answer_now(*this)) {
      if (!out_.empty() && co_await flush()) break;
      co_await handler_.handle(*this);
    }
    if (!co_await finish_exchange()) break;
  }
  if (tls_ && !cut_) tls_->send_close();
  error_code ignored;
  socket_.close(ignored);
}

// Reads until a whole head is there and well-formed. Answers and ends the connection where it isn't.
awaitable<ClientSession::Next> ClientSession::read_request() {
  in_request_ = false;
  // Nothing may look at the request before: its views end with the next read.
  request_ = {};
  fields_.clear();
  parser_->parse.reset();
  const config::Config& settings = handler_.settings();
  limits_ = settings.limits;
  timeouts_ = settings.timeouts;
  scanned_ = 0;
  bool head_began = false;
  for (;;) {
    // Empty lines before a request line are skipped (RFC 9112 2.2).
    while (!head_began && end_ - begin_ >= 2 && buffer_[begin_] == '\r' && buffer_[begin_ + 1] == '\n') {
      begin_ += 2;
      scanned_ = 0;
      at_start_ = false;
    }
    const std::string_view input(buffer_.data() + begin_, end_ - begin_);
    const Preface preface = at_start_ ? match_preface(input) : Preface::none;
    if (preface == Preface::whole) {
      if (take_preface()) co_return Next::http2;
      break;
    }
    const std::size_t size = preface == Preface::part ? 0 : find_head_end(input, scanned_);
    if (size == std::string_view::npos) {
      refuse({400, "A line of the request ends in a bare line feed."}, Limit::bad_request);
      break;
    }
    if (size > limits_.head || (size == 0 && input.size() >= limits_.head)) {
      const bool in_target = input.find('\r') > limits_.target;
      refuse(
          in_target ? Refusal{414, "The request target is too long."} : Refusal{431, "The request head is too large."},
          in_target ? Limit::target : Limit::head);
      break;
    }
    if (size > 0) {
      if (parse(size)) co_return Next::request;
      break;
    }
    if (!out_.empty() && co_await flush()) co_return Next::close;
    if (finishing_ && input.empty()) co_return Next::close;
    if (!input.empty() && input != "\r" && !head_began) {
      head_began = true;
      head_began_ = std::chrono::steady_clock::now();
    }
    auto wait = timeouts_.idle;
    if (head_began) {
      const auto spent =
          std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - head_began_);
      wait = std::max(timeouts_.head - spent, config::Milliseconds(1));
    }
    if (co_await fill(wait)) continue;
    if (!read_deadline_.expired()) co_return Next::close;
    read_deadline_.reset();
    counters_.limits[static_cast<std::size_t>(head_began ? Limit::head_timeout : Limit::idle_timeout)].add();
    if (!head_began) co_return Next::close;
    refuse({408, "The request head took too long."}, Limit::head_timeout);
    break;
  }
  if (!co_await flush()) co_await linger();
  co_return Next::close;
}

awaitable<bool> ClientSession::fill(std::chrono::milliseconds timeout) {
  if (begin_ == end_) begin_ = end_ = 0;
  if (end_ == buffer_.size() && begin_ > 0) {
    std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_),
              buffer_.begin() + static_cast<std::ptrdiff_t>(end_), buffer_.begin());
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == buffer_.size()) buffer_.resize(buffer_.size() * 2);
  if (read_deadline_.expired()) co_return false;
  read_deadline_.expires_after(timeout);
  const IoResult read = co_await read_some(asio::buffer(buffer_.data() + end_, buffer_.size() - end_), read_deadline_);
  read_deadline_.clear();
  if (read.error) co_return false;
  end_ += read.size;
  co_return true;
}

// RFC 9113 3.4. True where it goes to the handler, whole as it is.
bool ClientSession::take_preface() {
  at_start_ = false;
  started_ = std::chrono::steady_clock::now();
  request_.method = Method::other;
  request_.method_name = "PRI";
  request_.target = request_.path = "*";
  if (origin_.h2c_tunnel) return true;
  refuse({505, "HTTP/2 without TLS is not served here; with h2c: tunnel this listener would pass it on."},
         Limit::bad_request);
  return false;
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

bool ClientSession::parse(std::size_t size) {
  ParserLimits limits{limits_.head, limits_.fields, limits_.trailers, limits_.chunk_extensions};
  auto& parser = parser_->parse.emplace(fields_, limits);
  const std::string_view head(buffer_.data() + begin_, size);
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
  if (!refusal) {
    drop_nominated();
    return true;
  }
  refuse(refusal, limit);
  return false;
}

namespace {
constexpr std::string_view allow_field = "Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n";

// Nearly every Connection field says `keep-alive` or `close` and nothing else.
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
  if (!nominates_others(request_.fields)) return;
  const std::vector<Field> all = fields_;
  std::erase_if(fields_, [&all](const Field& field) {
    return !is_hop_by_hop(field.id) && is_connection_nominated(all, field.name);
  });
  request_.fields = Fields(fields_);
}

void ClientSession::refuse(Refusal refusal, Limit limit) {
  counters_.limits[static_cast<std::size_t>(limit)].add();
  begin_exchange();
  keep_alive_ = false;
  put_problem(refusal.status, refusal.why, "pillion; detail=bad-request",
              refusal.status == 405 ? allow_field : std::string_view{});
  handler_.note_own_answer(*this, refusal.status);
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
  return !find(request_.fields, Name::connection) || !list_has(request_.fields, Name::connection, "close");
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
  const bool whole_body = request_body_done();
  if (!whole_body) keep_alive_ = false;
  if (!keep_alive_ || out_.is_full() || begin_ == end_) {
    if (!out_.empty() && !flush_now() && co_await flush()) co_return false;
  }
  if (keep_alive_) {
    if (begin_ == end_ && buffer_.size() > 4 * first_buffer) {
      buffer_ = std::vector<char>(first_buffer);
      begin_ = end_ = 0;
    }
    co_return true;
  }
  if (!whole_body || begin_ != end_) co_await linger();
  co_return false;
}

// Closing with unread input would reset the connection and could destroy the answer on its way (RFC 9112 9.6).
awaitable<void> ClientSession::linger() {
  shutdown_send();
  std::size_t total = 0;
  read_deadline_.reset();
  read_deadline_.expires_after(linger_time);
  while (total < linger_bytes && !read_deadline_.expired()) {
    auto [error, size] = co_await socket_.async_read_some(asio::buffer(buffer_), no_throw);
    if (error) break;
    total += size;
  }
}

void ClientSession::finish_soon() noexcept {
  finishing_ = true;
  keep_alive_ = false;
  if (in_request_ || begin_ != end_) return;
  error_code ignored;
  socket_.cancel(ignored);
}

void ClientSession::abort() noexcept { cut(); }

}  // namespace pillion
