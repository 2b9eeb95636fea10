// What a client session reads: heads, and behind them the hits that need no waiting, which are answered as they come,
// without the coroutine being woken (but behind TLS).
#include <algorithm>

#include "net/client_parser.hpp"
#include "net/client_session.hpp"
#include "net/head_read.hpp"
#include "net/http2_preface.hpp"

namespace pillion {

namespace {
// How long an idle connection keeps the coroutine that a request has needed: the next may soon need it too.
constexpr std::chrono::milliseconds keeps_coroutine{1000};
}  // namespace

// Nothing may look at the request before: its views end with the next read.
void ClientSession::begin_head() {
  in_request_ = false;
  has_begun_ = false;
  scanned_ = 0;
  request_ = {};
  if (work_) {
    work_->fields.clear();
    work_->parser->parse.reset();
  }
  if (begin_ != end_) return take_settings();  // it has come already
  if (work_ && work_->buffer.size() > 4 * ClientWorkspace::first_buffer) {
    work_->buffer = std::vector<char>(ClientWorkspace::first_buffer);
    begin_ = end_ = 0;
  }
}

// A request keeps those that were in force when it began.
void ClientSession::take_settings() {
  const config::Config& settings = handler_.settings();
  limits_ = settings.limits;
  timeouts_ = settings.timeouts;
}

// The next request that has to be waited for in some way. Answers and ends the connection where there can't be one.
awaitable<ClientSession::Next> ClientSession::read_request() {
  Next next = Next::more;
  if (found_) {
    next = *std::exchange(found_, std::nullopt);
  } else {
    begin_head();
    next = advance();
  }
  while (next == Next::more) {
    if (!work_->out.empty() && co_await flush()) co_return Next::close;
    if (finishing_ && begin_ == end_) co_return Next::close;
    next = read_deadline_.expired() ? Next::late : co_await await_input();
    if (next != Next::late) continue;
    read_deadline_.reset();
    count(has_begun_ ? Limit::head_timeout : Limit::idle_timeout);
    if (!has_begun_) co_return Next::close;
    next = refuse_head({408, "The request head took too long."}, Limit::head_timeout);
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
  while (!has_begun_ && end_ - begin_ >= 2 && work_->buffer[begin_] == '\r' && work_->buffer[begin_ + 1] == '\n') {
    begin_ += 2;
    scanned_ = 0;
    at_start_ = false;
  }
  const std::string_view input(work_->buffer.data() + begin_, end_ - begin_);
  const Preface preface = at_start_ ? match_preface(input) : Preface::none;
  if (preface == Preface::whole) return take_preface();
  const std::size_t size = preface == Preface::part ? 0 : find_head_end(input, scanned_);
  if (size == std::string_view::npos)
    return refuse_head({400, "A line of the request ends in a bare line feed."}, Limit::bad_request);
  if (size > limits_.head || (size == 0 && input.size() >= limits_.head)) {
    const bool in_target = input.find('\r') > limits_.target;
    return refuse_head(
        in_target ? Refusal{414, "The request target is too long."} : Refusal{431, "The request head is too large."},
        in_target ? Limit::target : Limit::head);
  }
  return size == 0 ? Next::more : parse(size);
}

// Nothing is known of a request whose head isn't read, but when it began.
ClientSession::Next ClientSession::refuse_head(Refusal refusal, Limit limit) {
  request_ = {};
  started_ = has_begun_ ? head_began_ : std::chrono::steady_clock::now();
  return refuse(refusal, limit);
}

// The first byte of an empty line is none yet.
bool ClientSession::has_part_of_head() const noexcept {
  return begin_ != end_ && (end_ - begin_ > 1 || work_->buffer[begin_] != '\r');
}

// How long the next bytes of a head may take: its first ones, or all of them together.
std::chrono::milliseconds ClientSession::head_wait() {
  if (!has_begun_ && has_part_of_head()) {
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

// One read after the other, as long as all that comes is answered at once. Then `done` is told.
template <typename Done>
struct ClientSession::IdleRead {
  ClientSession* session;
  std::chrono::milliseconds most;  // the connection's idle time may be shorter
  Done done;

  void operator()(error_code error, std::size_t size) {
    const Next next = session->take_input(error, size);
    if (next == Next::more && session->is_idle()) {
      start(std::move(*this));
    } else {
      std::move(done)(next);
    }
  }
  static void start(IdleRead&& read) {
    ClientSession& idle = *read.session;
    idle.put_away();
    idle.read_deadline_.expires_after(std::min(idle.timeouts_.idle - std::exchange(idle.idle_before_, {}), read.most));
    idle.socket_.async_read_some(HeadBuffer(idle), std::move(read));
  }
};

void ClientSession::wait(ClientSessionPtr session) {
  ClientSession& idle = *session;
  // Behind TLS the socket's bytes are its session's to read.
  if (idle.tls_ || idle.finishing_) return go_on(std::move(session));
  idle.read_deadline_.reset();
  auto done = [session = std::move(session)](Next next) mutable {
    if (next == Next::late) session->count(Limit::idle_timeout);
    if (next == Next::late || next == Next::close) return session.reset();
    session->found_ = next;
    go_on(std::move(session));
  };
  IdleRead<decltype(done)>::start({&idle, std::chrono::milliseconds::max(), std::move(done)});
}

void ClientSession::go_on(ClientSessionPtr session) {
  ClientOwner& owner = *session.get_deleter().owner;
  owner.go_on(std::move(session));
}

// What comes next, with a coroutine that waits for it. Next::idle: it isn't worth that any more.
awaitable<ClientSession::Next> ClientSession::await_input() {
  if (tls_ || finishing_ || begin_ != end_ || !work_->out.empty()) {
    read_deadline_.expires_after(head_wait());
    const auto [size, error] = co_await read_some(room(), read_deadline_);
    co_return take_input(error, size);
  }
  if (unanswered_) {
    // Empty lines have come. A read that may not tell of a reset is not the first behind them (net/head_read.hpp).
    error_code error;
    const std::size_t size = socket_.read_some(room(), error);
    if (error != asio::error::would_block) co_return take_input(error, size);
    unanswered_ = false;
  }
  const Next next = co_await asio::async_initiate<const asio::use_awaitable_t<>&, void(Next)>(
      [this](auto handler) { IdleRead<decltype(handler)>::start({this, keeps_coroutine, std::move(handler)}); },
      asio::use_awaitable);
  take_workspace();
  if (next != Next::late || timeouts_.idle <= keeps_coroutine) co_return next;
  idle_before_ = keeps_coroutine;
  co_return Next::idle;
}

// Space for what comes first on an idle connection; none where there is no memory.
asio::mutable_buffer ClientSession::idle_room() noexcept {
  try {
    take_workspace();
    return room();
  } catch (const std::bad_alloc&) {
    return {};
  }
}

// It is idle: nothing of a request is left in there.
void ClientSession::put_away() noexcept {
  begin_ = end_ = scanned_ = 0;
  if (work_) workspaces_.give_back(std::move(work_));
}

ClientSession::Next ClientSession::take_input(error_code error, std::size_t size) {
  if (error) return read_deadline_.expired() ? Next::late : Next::close;
  read_deadline_.reset();
  if (begin_ == end_) take_settings();
  unanswered_ = true;
  end_ += size;
  return advance();
}

// All that has come is answered, and the answers are sent.
bool ClientSession::is_idle() const noexcept {
  return !unanswered_ && begin_ == end_ && work_->out.empty() && !finishing_;
}

// Space behind what is there.
asio::mutable_buffer ClientSession::room() {
  if (begin_ == end_) begin_ = end_ = 0;
  if (end_ == work_->buffer.size() && begin_ > 0) {
    std::copy(work_->buffer.begin() + static_cast<std::ptrdiff_t>(begin_),
              work_->buffer.begin() + static_cast<std::ptrdiff_t>(end_), work_->buffer.begin());
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == work_->buffer.size()) work_->buffer.resize(work_->buffer.size() * 2);
  return {work_->buffer.data() + end_, work_->buffer.size() - end_};
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
