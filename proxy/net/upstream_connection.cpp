#include "net/upstream_connection.hpp"

#include <algorithm>
#include <charconv>

#include "net/message_parser.hpp"

namespace pillion {

namespace {
constexpr std::size_t first_buffer = 8u << 10;
constexpr std::size_t body_buffer = 64u << 10;
}  // namespace

struct UpstreamConnection::Parser {
  Parser(std::vector<Field>& fields, const ParserLimits& limits) : parse(fields, limits) {}
  ResponseParser parse;
};

UpstreamConnection::UpstreamConnection(Socket socket, Deadlines& deadlines, const config::Upstream& settings,
                                       const config::Limits& limits, std::shared_ptr<Permit> permit,
                                       WorkerCounters& counters)
    : stream_(std::move(socket), deadlines),
      settings_(settings),
      limits_(limits),
      permit_(std::move(permit)),
      counters_(counters),
      buffer_(first_buffer),
      idle_limit_(settings.idle) {
  counters_.upstream_connections.add();
}

UpstreamConnection::~UpstreamConnection() { counters_.upstream_connections.sub(); }

void UpstreamConnection::begin(bool head_only) noexcept {
  head_only_ = head_only;
  interim_ = 0;
  any_byte_ = false;
  parser_.reset();
}

UpstreamError UpstreamConnection::refuse(Limit limit) noexcept {
  counters_.limits[static_cast<std::size_t>(limit)].add();
  spoiled_ = true;
  return {Detail::bad_response, false};
}

// Reads more behind what is there. The end of the stream is an error here: whoever can do with it asks the parser
// first.
awaitable<UpstreamError> UpstreamConnection::fill(std::chrono::milliseconds timeout) {
  if (begin_ == end_) begin_ = end_ = scanned_ = 0;
  if (end_ == buffer_.size() && begin_ > 0) {
    std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_),
              buffer_.begin() + static_cast<std::ptrdiff_t>(end_), buffer_.begin());
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == buffer_.size()) buffer_.resize(buffer_.size() * 2);
  const IoResult read = co_await stream_.read_some(asio::buffer(buffer_.data() + end_, buffer_.size() - end_), timeout);
  if (read.error) {
    spoiled_ = true;
    at_end_ = read.error == asio::error::eof;
    if (read.error == asio::error::timed_out) co_return UpstreamError{Detail::response_timeout, false};
    co_return UpstreamError{Detail::connection_reset, !any_byte_};
  }
  any_byte_ = true;
  end_ += read.size;
  co_return UpstreamError{};
}

awaitable<UpstreamError> UpstreamConnection::read_head(std::chrono::milliseconds timeout) {
  head_until_ = {};
  if (timeout.count() > 0) head_until_ = std::chrono::steady_clock::now() + timeout;
  scanned_ = 0;
  std::size_t size = 0;
  for (;;) {
    size = find_head_end({buffer_.data() + begin_, end_ - begin_}, scanned_);
    if (size == std::string_view::npos) co_return refuse(Limit::bad_response);
    if (size > limits_.response_head || (size == 0 && end_ - begin_ >= limits_.response_head)) {
      co_return refuse(Limit::response_head);
    }
    if (size > 0) break;
    auto left = std::chrono::milliseconds(0);
    if (head_until_ != std::chrono::steady_clock::time_point{}) {
      left = std::chrono::duration_cast<std::chrono::milliseconds>(head_until_ - std::chrono::steady_clock::now());
      left = std::max(left, std::chrono::milliseconds(1));
    }
    if (const UpstreamError error = co_await fill(left)) {
      if (error.detail == Detail::response_timeout)
        counters_.limits[static_cast<std::size_t>(Limit::response_timeout)].add();
      co_return error;
    }
  }
  ParserLimits limits;
  limits.head = limits_.response_head;
  limits.fields = limits_.response_fields;
  limits.trailers = limits_.trailers;
  limits.chunk_extensions = limits_.chunk_extensions;
  parser_ = std::make_unique<Parser>(fields_, limits);
  const ParseError error = parser_->parse.parse_head({buffer_.data() + begin_, size}, head_only_);
  begin_ += size;
  if (error == ParseError::too_many_fields) co_return refuse(Limit::response_fields);
  if (error != ParseError::none) co_return refuse(Limit::bad_response);
  head_ = {parser_->parse.status(), parser_->parse.reason(), parser_->parse.minor(), parser_->parse.fields()};
  if (head_.status < 100) co_return refuse(Limit::bad_response);
  if (head_.status < 200 && head_.status != 101 && ++interim_ > limits_.interim_responses) {
    co_return refuse(Limit::interim_responses);
  }
  if (head_.status >= 200) note_persistence();
  co_return UpstreamError{};
}

void UpstreamConnection::expect_head_within(std::chrono::milliseconds timeout) noexcept {
  head_until_ = std::chrono::steady_clock::now() + timeout;
  stream_.limit_read(timeout);
}

void UpstreamConnection::note_persistence() {
  closes_ = list_has(head_.fields, Name::connection, "close") ||
            (head_.minor == 0 && !list_has(head_.fields, Name::connection, "keep-alive"));
  const Field* keep_alive = find(head_.fields, Name::keep_alive);
  if (!keep_alive) return;
  std::string_view list = keep_alive->value;
  while (const auto member = next_member(list)) {
    if (member->size() <= 8 || !iequals(member->substr(0, 8), "timeout=")) continue;
    int seconds = 0;
    const auto [end, error] = std::from_chars(member->data() + 8, member->data() + member->size(), seconds);
    if (error != std::errc{} || seconds < 0) continue;
    // Half a second early, so that a request on its way doesn't cross the upstream's close.
    const auto theirs = std::chrono::seconds(std::min(seconds, 3600)) - std::chrono::milliseconds(500);
    idle_limit_ = std::clamp(std::chrono::duration_cast<std::chrono::milliseconds>(theirs),
                             std::chrono::milliseconds(0), settings_.idle);
  }
}

Framing UpstreamConnection::framing() const noexcept { return parser_->parse.framing(); }
std::uint64_t UpstreamConnection::length() const noexcept { return parser_->parse.length(); }

awaitable<UpstreamConnection::Body> UpstreamConnection::read_body(std::chrono::milliseconds timeout) {
  Body body;
  if (buffer_.size() < body_buffer && parser_->parse.framing() != Framing::none) {
    if (end_ == begin_) begin_ = end_ = 0;
    buffer_.resize(body_buffer);
  }
  for (;;) {
    if (parser_->parse.complete()) {
      in_flight_.reset();
      body.end = true;
      body.trailers = parser_->parse.trailers();
      co_return body;
    }
    if (end_ > begin_) {
      const auto part = parser_->parse.decode({buffer_.data() + begin_, end_ - begin_});
      body.data = {buffer_.data() + begin_, part.size};
      begin_ += part.consumed;
      if (part.error != ParseError::none) {
        const auto limit = part.error == ParseError::chunk_extensions ? Limit::chunk_extensions
                           : part.error == ParseError::trailers       ? Limit::trailers
                                                                      : Limit::bad_response;
        body.error = refuse(limit);
        co_return body;
      }
      if (!body.data.empty()) {
        body.end = parser_->parse.complete();
        if (body.end) {
          in_flight_.reset();
          body.trailers = parser_->parse.trailers();
        }
        co_return body;
      }
      if (parser_->parse.complete()) continue;
      // A chunk header or trailer section that doesn't fit in what a body may buffer.
      if (end_ - begin_ >= body_buffer) {
        body.error = refuse(Limit::chunk_extensions);
        co_return body;
      }
    }
    body.error = co_await fill(timeout);
    if (!body.error) continue;
    if (body.error.detail == Detail::connection_reset && parser_->parse.framing() == Framing::until_close && at_end_) {
      body.error = {};
      body.end = parser_->parse.finish_at_close();
    }
    co_return body;
  }
}

std::string_view UpstreamConnection::left_over() const noexcept { return {buffer_.data() + begin_, end_ - begin_}; }

bool UpstreamConnection::reusable() {
  return !spoiled_ && !closes_ && parser_ && parser_->parse.complete() && begin_ == end_ && head_.status >= 200 &&
         stream_.is_quiet();
}

void UpstreamConnection::mark_idle() noexcept {
  reused_ = true;
  in_flight_.reset();
  idle_since_ = std::chrono::steady_clock::now();
  if (buffer_.size() > first_buffer) {
    buffer_ = std::vector<char>(first_buffer);
    begin_ = end_ = 0;
  }
}

std::chrono::milliseconds UpstreamConnection::idle_time() const noexcept {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - idle_since_);
}

}  // namespace pillion
