// What a client session reads: heads, and behind them the hits that need no waiting, which are answered as they come,
// without the coroutine being woken (but behind TLS).
#include <algorithm>

#include "net/client_session_parser.hpp"
#include "net/head_read.hpp"
#include "net/http2_preface.hpp"

namespace pillion {

// Nothing may look at the request before: its views end with the next read.
void ClientSession::begin_head() {
  in_request_ = false;
  has_begun_ = false;
  scanned_ = 0;
  request_ = {};
  fields_.clear();
  parser_->parse.reset();
  const config::Config& settings = handler_.settings();
  limits_ = settings.limits;
  timeouts_ = settings.timeouts;
  if (begin_ == end_ && buffer_.size() > 4 * first_buffer) {
    buffer_ = std::vector<char>(first_buffer);
    begin_ = end_ = 0;
  }
}

// The next request that has to be waited for in some way. Answers and ends the connection where there can't be one.
awaitable<ClientSession::Next> ClientSession::read_request() {
  begin_head();
  Next next = advance();
  while (next == Next::more) {
    if (!out_.empty() && co_await flush()) co_return Next::close;
    if (finishing_ && begin_ == end_) co_return Next::close;
    if (read_deadline_.expired()) {
      next = Next::late;
    } else {
      read_deadline_.expires_after(head_wait());
      next = co_await await_input();
    }
    if (next != Next::late) continue;
    read_deadline_.reset();
    counters_.limits[static_cast<std::size_t>(has_begun_ ? Limit::head_timeout : Limit::idle_timeout)].add();
    if (!has_begun_) co_return Next::close;
    next = refuse({408, "The request head took too long."}, Limit::head_timeout);
  }
  if (next != Next::refused) co_return next;
  if (!co_await flush()) co_await linger();
  co_return Next::close;
}

// Goes through what has come, as far as that needs no waiting.
ClientSession::Next ClientSession::advance() {
  for (;;) {
    const Next next = take_head();
    if (next != Next::request && next != Next::http2) return next;
    begin_exchange();
    if (next == Next::http2) return next;
    if (is_final_recipient(request_)) {
      put_own_options();
      handler_.note_own_answer(*this, 200);
    } else if (!handler_.answer_now(*this)) {
      return Next::request;
    }
    if (!finish_now()) return Next::answered;
    begin_head();
  }
}

// Takes a whole head out of the buffer, if there is one.
ClientSession::Next ClientSession::take_head() {
  // Empty lines before a request line are skipped (RFC 9112 2.2).
  while (!has_begun_ && end_ - begin_ >= 2 && buffer_[begin_] == '\r' && buffer_[begin_ + 1] == '\n') {
    begin_ += 2;
    scanned_ = 0;
    at_start_ = false;
  }
  const std::string_view input(buffer_.data() + begin_, end_ - begin_);
  const Preface preface = at_start_ ? match_preface(input) : Preface::none;
  if (preface == Preface::whole) return take_preface();
  const std::size_t size = preface == Preface::part ? 0 : find_head_end(input, scanned_);
  if (size == std::string_view::npos)
    return refuse({400, "A line of the request ends in a bare line feed."}, Limit::bad_request);
  if (size > limits_.head || (size == 0 && input.size() >= limits_.head)) {
    const bool in_target = input.find('\r') > limits_.target;
    return refuse(
        in_target ? Refusal{414, "The request target is too long."} : Refusal{431, "The request head is too large."},
        in_target ? Limit::target : Limit::head);
  }
  return size == 0 ? Next::more : parse(size);
}

// How long the next bytes of a head may take: its first ones, or all of them together.
std::chrono::milliseconds ClientSession::head_wait() {
  const std::string_view input(buffer_.data() + begin_, end_ - begin_);
  if (!has_begun_ && !input.empty() && input != "\r") {
    has_begun_ = true;
    head_began_ = std::chrono::steady_clock::now();
  }
  if (!has_begun_) return timeouts_.idle;
  const auto spent =
      std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - head_began_);
  return std::max(timeouts_.head - spent, config::Milliseconds(1));
}

void ClientSession::on_read_deadline(void* self) {
  error_code ignored;
  static_cast<ClientSession*>(self)->socket_.cancel(ignored);
}

// One read after the other, as long as all that comes is answered at once. Then the coroutine is woken.
template <typename Handler>
struct ClientSession::RequestRead {
  ClientSession* session;
  Handler handler;

  void operator()(error_code error, std::size_t size) {
    const Next next = session->take_input(error, size);
    if (next != Next::more || !session->is_idle()) {
      std::move(handler)(next);
    } else {
      session->read_deadline_.expires_after(session->timeouts_.idle);
      start(std::move(*this));
    }
  }
  static void start(RequestRead&& read) {
    ClientSession& session = *read.session;
    const asio::mutable_buffer room = session.room();
    session.socket_.async_read_some(HeadBuffer(room.data(), room.size()), std::move(read));
  }
};

awaitable<ClientSession::Next> ClientSession::await_input() {
  // Behind TLS the socket's bytes are its session's to read.
  if (unanswered_ || tls_) {
    const auto [size, error] = co_await read_some(room(), read_deadline_);
    co_return take_input(error, size);
  }
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>&, void(Next)>(
      [this](auto handler) {
        using Read = RequestRead<decltype(handler)>;
        Read::start(Read{this, std::move(handler)});
      },
      asio::use_awaitable);
}

ClientSession::Next ClientSession::take_input(error_code error, std::size_t size) {
  if (error) return read_deadline_.expired() ? Next::late : Next::close;
  read_deadline_.reset();
  unanswered_ = true;
  end_ += size;
  return advance();
}

// All that has come is answered, and the answers are sent.
bool ClientSession::is_idle() const noexcept { return !unanswered_ && begin_ == end_ && out_.empty() && !finishing_; }

// Space behind what is there.
asio::mutable_buffer ClientSession::room() {
  if (begin_ == end_) begin_ = end_ = 0;
  if (end_ == buffer_.size() && begin_ > 0) {
    std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_),
              buffer_.begin() + static_cast<std::ptrdiff_t>(end_), buffer_.begin());
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == buffer_.size()) buffer_.resize(buffer_.size() * 2);
  return {buffer_.data() + end_, buffer_.size() - end_};
}

awaitable<bool> ClientSession::fill(std::chrono::milliseconds timeout) {
  if (read_deadline_.expired()) co_return false;
  read_deadline_.expires_after(timeout);
  const auto [size, error] = co_await read_some(room(), read_deadline_);
  read_deadline_.clear();
  if (error) co_return false;
  end_ += size;
  co_return true;
}

awaitable<IoResult> ClientSession::read_some(asio::mutable_buffer buffer, const Deadline& deadline) {
  if (tls_) co_return co_await tls_->read_some(buffer, deadline);
  IoResult read;
  read.size = socket_.read_some(buffer, read.error);
  if (read.error == asio::error::would_block) {
    std::tie(read.error, read.size) = co_await socket_.async_read_some(buffer, no_throw);
  }
  co_return read;
}

}  // namespace pillion
