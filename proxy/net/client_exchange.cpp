// What a handler uses of a client session during one request: the request's body, the answer, watching for the client
// leaving.
#include <poll.h>

#include <algorithm>
#include <charconv>

#include "core/http_date.hpp"
#include "net/client_parser.hpp"
#include "net/client_session.hpp"
#include "net/reason_phrase.hpp"

namespace pillion {

namespace {
constexpr std::size_t body_buffer = 64u << 10;
}  // namespace

bool ClientSession::has_request_body() const noexcept { return request_framing() != Framing::none; }
Framing ClientSession::request_framing() const noexcept {
  return work_->parser->parse ? work_->parser->parse->framing() : Framing::none;
}
std::uint64_t ClientSession::request_length() const noexcept { return work_->parser->parse->length(); }
bool ClientSession::request_body_done() const noexcept {
  return !work_->parser->parse || work_->parser->parse->complete();
}

bool ClientSession::expects_continue() const noexcept {
  return request_.minor >= 1 && has_request_body() && begin_ == end_ && !body_read_ &&
         find(request_.fields, Name::expect);
}

awaitable<ClientSession::Body> ClientSession::read_body() {
  Body body;
  body_read_ = true;
  RequestParser& parser = *work_->parser->parse;
  for (;;) {
    if (parser.complete()) {
      body.end = true;
      body.trailers = parser.trailers();
      co_return body;
    }
    if (end_ > begin_) {
      const auto part = parser.decode({work_->buffer.data() + begin_, end_ - begin_});
      body.data = {work_->buffer.data() + begin_, part.size};
      begin_ += part.consumed;
      request_bytes_ += part.size;
      if (part.error != ParseError::none) {
        const auto limit = part.error == ParseError::chunk_extensions ? Limit::chunk_extensions
                           : part.error == ParseError::trailers       ? Limit::trailers
                                                                      : Limit::bad_request;
        counters_.limits[static_cast<std::size_t>(limit)].add();
        body.status = 400;
        co_return body;
      }
      if (limits_.body && request_bytes_ > *limits_.body) {
        counters_.limits[static_cast<std::size_t>(Limit::body)].add();
        body.status = 413;
        co_return body;
      }
      if (!body.data.empty()) {
        body.end = parser.complete();
        if (body.end) body.trailers = parser.trailers();
        co_return body;
      }
      if (parser.complete()) continue;
      if (end_ - begin_ >= body_buffer) {
        counters_.limits[static_cast<std::size_t>(Limit::chunk_extensions)].add();
        body.status = 400;
        co_return body;
      }
    }
    // The head's views point into the buffer: what it is grown into must not be asked for the head any more. Handlers
    // have copied what they need by the time they read the body.
    if (begin_ == end_ && work_->buffer.size() < body_buffer) {
      work_->buffer.resize(body_buffer);
      begin_ = end_ = 0;
    }
    if (co_await fill(timeouts_.body)) continue;
    const bool late = read_deadline_.expired();
    if (late) counters_.limits[static_cast<std::size_t>(Limit::body_timeout)].add();
    read_deadline_.reset();
    body.status = late ? 408 : 499;
    co_return body;
  }
}

void ClientSession::cancel_read() noexcept {
  error_code ignored;
  socket_.cancel(ignored);
}

ClientSession::BodyMode ClientSession::end_head(unsigned status, std::optional<std::uint64_t> length) {
  head_ended_ = true;
  const bool no_body = request_.method == Method::head || status == 204 || status == 304 || status / 100 == 1;
  std::string& head = work_->out.scratch();
  if (no_body) {
    body_mode_ = BodyMode::none;
  } else if (length) {
    body_mode_ = BodyMode::length;
    body_left_ = *length;
  } else if (request_.minor >= 1) {
    body_mode_ = BodyMode::chunked;
    head += "Transfer-Encoding: chunked\r\n";
  } else {
    body_mode_ = BodyMode::close;
    keep_alive_ = false;
  }
  body_ended_ = body_mode_ == BodyMode::none || (body_mode_ == BodyMode::length && body_left_ == 0);
  if (!keep_alive_ && status != 101) {
    head += "Connection: close\r\n";
  } else if (request_.minor == 0) {
    head += "Connection: keep-alive\r\n";
  }
  head += "\r\n";
  work_->out.end_scratch();
  return body_mode_;
}

void ClientSession::put_body(std::string_view data, bool end, std::string_view trailers) {
  if (body_mode_ == BodyMode::none) return;
  body_bytes_ += data.size();
  if (body_mode_ == BodyMode::chunked && !data.empty()) {
    char size[20];
    const auto [last, error] = std::to_chars(size, size + sizeof size, data.size(), 16);
    work_->out.put({size, static_cast<std::size_t>(last - size)});
    work_->out.put("\r\n");
    work_->out.refer(data);
    work_->out.put("\r\n");
  } else {
    work_->out.refer(data);
  }
  if (body_mode_ == BodyMode::length) body_left_ -= std::min<std::uint64_t>(body_left_, data.size());
  if (!end) return;
  if (body_mode_ == BodyMode::chunked) {
    work_->out.put("0\r\n");
    if (takes_trailers_) work_->out.put(trailers);
    work_->out.put("\r\n");
  }
  body_ended_ = true;
}

awaitable<error_code> ClientSession::flush() {
  const error_code error = tls_ ? co_await work_->out.flush(*tls_, write_deadline_, timeouts_.body)
                                : co_await work_->out.flush(socket_, write_deadline_, timeouts_.body);
  if (error) {
    cut();
    work_->out.clear();
  }
  co_return error;
}

awaitable<error_code> ClientSession::send_interim(unsigned status, std::string_view reason, std::string_view fields) {
  if (request_.minor == 0) co_return error_code{};
  std::string& text = work_->out.scratch();
  text += "HTTP/1.1 ";
  text += std::to_string(status);
  text += ' ';
  text += reason;
  text += "\r\n";
  text += fields;
  text += "\r\n";
  work_->out.end_scratch();
  co_return co_await flush();
}

void ClientSession::cut() noexcept {
  cut_ = true;
  error_code ignored;
  if (in_request_ && ((body_mode_ == BodyMode::close && !body_ended_) || !head_ended_)) {
    // Without a length or chunks only a reset shows that something is missing.
    socket_.set_option(asio::socket_base::linger(true, 0), ignored);
  }
  socket_.close(ignored);
}

void ClientSession::put_own_head(unsigned status, std::size_t length, std::string_view fields) {
  char date[http_date_size];
  write_http_date(
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count(),
      date);
  std::string& head = work_->out.scratch();
  head += "HTTP/1.1 " + std::to_string(status) + ' ';
  head += reason_phrase(status);
  head += "\r\nDate: ";
  head.append(date, sizeof date);
  head += "\r\nContent-Length: " + std::to_string(length) + "\r\n";
  head += fields;
}

void ClientSession::put_problem(unsigned status, std::string_view detail, std::string_view cache_status,
                                std::string_view more_fields) {
  std::string body = "{\"type\":\"about:blank\",\"title\":\"";
  body += reason_phrase(status);
  body += "\",\"status\":" + std::to_string(status) + ",\"detail\":\"";
  body += detail;
  body += "\"}\n";
  put_own_head(status, body.size(), "Content-Type: application/problem+json\r\nCache-Control: no-store\r\n");
  std::string& head = work_->out.scratch();
  head += more_fields;
  if (!cache_status.empty()) {
    head += "Cache-Status: ";
    head += cache_status;
    head += "\r\n";
  }
  if (end_head(status, body.size()) == BodyMode::none) return;
  work_->out.put(body);
  body_bytes_ = body.size();
  body_ended_ = true;
}

struct ClientWatch {
  std::function<void()> on_gone;
  asio::steady_timer done;
  bool active = true;
  bool finished = false;
};

void ClientSession::watch(std::function<void()> on_gone) {
  if (watch_) return;
  watch_ = std::make_shared<ClientWatch>(ClientWatch{
      std::move(on_gone), asio::steady_timer(socket_.get_executor(), asio::steady_timer::time_point::max())});
  watch_further();
}

void ClientSession::end_watch() noexcept {
  if (watch_) watch_->active = false;
}

// Each event on the socket wakes it once; what the client sends meanwhile stays where it is.
void ClientSession::watch_further() {
  socket_.async_wait(Socket::wait_read, [this, watch = watch_](error_code error) {
    if (!error && watch->active) {
      pollfd state{socket_.native_handle(), POLLRDHUP, 0};
      if (::poll(&state, 1, 0) <= 0) return watch_further();
      watch->on_gone();
    }
    watch->finished = true;
    watch->done.cancel();
  });
}

awaitable<void> ClientSession::stop_watch() {
  if (!watch_) co_return;
  auto watch = std::move(watch_);
  watch_.reset();
  watch->active = false;
  if (watch->finished) co_return;
  error_code ignored;
  socket_.cancel(ignored);
  if (!watch->finished) co_await watch->done.async_wait(no_throw);
}

std::string_view ClientSession::take_left_over() {
  const std::string_view rest(work_->buffer.data() + begin_, end_ - begin_);
  begin_ = end_;
  return rest;
}

void ClientSession::clear_deadlines() noexcept {
  read_deadline_.clear();
  write_deadline_.clear();
}

}  // namespace pillion
