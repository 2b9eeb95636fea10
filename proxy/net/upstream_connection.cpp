#include "net/upstream_connection.hpp"

#include <algorithm>
#include <charconv>

#include "net/message_parser.hpp"

namespace pillion {

namespace {
constexpr std::size_t first_buffer = 8u << 10;
constexpr std::size_t body_buffer = 64u << 10;
}  // namespace

// Apart, since it is costly to include; its memory is reused.
struct UpstreamConnection::Parser {
  std::optional<ResponseParser> parse;  // once a head is there
};

UpstreamConnection::UpstreamConnection(Socket socket, Deadlines& deadlines, const config::Upstream& settings,
                                       const config::Limits& limits, std::shared_ptr<Permit> permit,
                                       std::shared_ptr<UpstreamHealth> health, WorkerCounters& counters)
    : stream_(std::move(socket), deadlines),
      settings_(settings),
      limits_(limits),
      permit_(std::move(permit)),
      health_(std::move(health)),
      counters_(counters),
      buffer_(std::make_unique_for_overwrite<char[]>(first_buffer)),
      capacity_(first_buffer),
      parser_(std::make_unique<Parser>()),
      retires_at_(std::chrono::steady_clock::time_point::max()),
      idle_limit_(settings.idle) {
  // An address that is given as one leads nowhere else later.
  if (settings.address.has_name()) retires_at_ = std::chrono::steady_clock::now() + settings.age;
  counters_.upstream_connections.add();
}

UpstreamConnection::~UpstreamConnection() { counters_.upstream_connections.sub(); }

void UpstreamConnection::begin(bool head_only) noexcept {
  head_only_ = head_only;
  interim_ = 0;
  any_byte_ = false;
  parser_->parse.reset();
}

UpstreamError UpstreamConnection::refuse(Limit limit) noexcept {
  counters_.limits[static_cast<std::size_t>(limit)].add();
  spoiled_ = true;
  return {Detail::bad_response, false};
}

void UpstreamConnection::grow_buffer(std::size_t size) {
  if (size <= capacity_) return;
  auto larger = std::make_unique_for_overwrite<char[]>(size);
  std::copy_n(buffer_.get() + begin_, end_ - begin_, larger.get());
  end_ -= begin_;
  begin_ = 0;
  buffer_ = std::move(larger);
  capacity_ = size;
}

// Small bodies need no more than the heads; of the others as much is read at a time as one large buffer takes.
std::size_t UpstreamConnection::wanted_for_body() const noexcept {
  if (parser_->parse->framing() == Framing::length) {
    return body_left_ > first_buffer ? body_buffer : first_buffer;
  }
  return was_full_ ? body_buffer : first_buffer;
}

// Where to read to, behind what is there.
asio::mutable_buffer UpstreamConnection::room() {
  if (begin_ == end_) begin_ = end_ = scanned_ = 0;
  if (end_ == capacity_ && begin_ > 0) {
    std::copy(buffer_.get() + begin_, buffer_.get() + end_, buffer_.get());
    end_ -= begin_;
    begin_ = 0;
  }
  if (end_ == capacity_) grow_buffer(capacity_ * 2);
  return asio::buffer(buffer_.get() + end_, capacity_ - end_);
}

// The end of the stream is an error here: whoever can do with it asks the parser first.
UpstreamError UpstreamConnection::note_read(const IoResult& read) {
  if (read.error) {
    spoiled_ = true;
    at_end_ = read.error == asio::error::eof;
    cut_here_ = read.error == asio::error::operation_aborted || read.error == asio::error::bad_descriptor;
    if (read.error == asio::error::timed_out) return {Detail::response_timeout, false};
    return {Detail::connection_reset, !any_byte_};
  }
  any_byte_ = true;
  end_ += read.size;
  was_full_ = end_ == capacity_;
  return {};
}

awaitable<UpstreamError> UpstreamConnection::read_head(std::chrono::milliseconds timeout) {
  head_until_ = {};
  if (timeout.count() > 0) head_until_ = std::chrono::steady_clock::now() + timeout;
  scanned_ = 0;
  std::size_t size = 0;
  for (;;) {
    size = find_head_end({buffer_.get() + begin_, end_ - begin_}, scanned_);
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
    const IoResult read = co_await stream_.read_some(room(), left);
    if (const UpstreamError error = note_read(read)) {
      note_failure(error);
      co_return error;
    }
  }
  ParserLimits limits;
  limits.head = limits_.response_head;
  limits.fields = limits_.response_fields;
  limits.trailers = limits_.trailers;
  limits.chunk_extensions = limits_.chunk_extensions;
  ResponseParser& parser = parser_->parse.emplace(fields_, limits);
  const ParseError error = parser.parse_head({buffer_.get() + begin_, size}, head_only_);
  begin_ += size;
  if (error == ParseError::too_many_fields) co_return refuse(Limit::response_fields);
  if (error != ParseError::none) co_return refuse(Limit::bad_response);
  head_ = {parser.status(), parser.reason(), parser.minor(), parser.fields()};
  if (head_.status < 100) co_return refuse(Limit::bad_response);
  if (head_.status < 200 && head_.status != 101 && ++interim_ > limits_.interim_responses) {
    co_return refuse(Limit::interim_responses);
  }
  body_left_ = parser.framing() == Framing::length ? parser.length() : 0;
  health_->note_answer();
  if (head_.status >= 200) note_persistence();
  co_return UpstreamError{};
}

void UpstreamConnection::note_failure(const UpstreamError& error) {
  if (error.detail == Detail::response_timeout)
    counters_.limits[static_cast<std::size_t>(Limit::response_timeout)].add();
  // A pooled connection that was closed meanwhile says nothing of the upstream; nor does one whose client has left.
  if (!cut_here_ && !any_byte_ && !(reused_ && error.untouched)) health_->note_failure();
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

Framing UpstreamConnection::framing() const noexcept { return parser_->parse->framing(); }
std::uint64_t UpstreamConnection::length() const noexcept { return parser_->parse->length(); }

std::optional<UpstreamConnection::Body> UpstreamConnection::buffered_body() {
  ResponseParser& parser = *parser_->parse;
  Body body;
  while (!parser.complete() && end_ > begin_) {
    const auto part = parser.decode({buffer_.get() + begin_, end_ - begin_});
    body.data = {buffer_.get() + begin_, part.size};
    begin_ += part.consumed;
    body_left_ -= std::min<std::uint64_t>(body_left_, part.size);
    if (part.error != ParseError::none) {
      const auto limit = part.error == ParseError::chunk_extensions ? Limit::chunk_extensions
                         : part.error == ParseError::trailers       ? Limit::trailers
                                                                    : Limit::bad_response;
      body.error = refuse(limit);
      return body;
    }
    if (!body.data.empty()) break;
    if (parser.complete()) break;
    // A chunk header or trailer section that doesn't fit in what a body may buffer.
    if (end_ - begin_ < body_buffer) return std::nullopt;
    body.error = refuse(Limit::chunk_extensions);
    return body;
  }
  if (parser.complete()) {
    in_flight_.reset();
    body.end = true;
    body.trailers = parser.trailers();
    return body;
  }
  if (body.data.empty()) return std::nullopt;
  return body;
}

awaitable<UpstreamConnection::Body> UpstreamConnection::read_body(std::chrono::milliseconds timeout) {
  for (;;) {
    if (const auto buffered = buffered_body()) co_return *buffered;
    grow_buffer(wanted_for_body());
    const IoResult read = co_await stream_.read_some(room(), timeout);
    Body body;
    body.error = note_read(read);
    if (!body.error) continue;
    ResponseParser& parser = *parser_->parse;
    if (body.error.detail == Detail::connection_reset && parser.framing() == Framing::until_close && at_end_) {
      body.error = {};
      body.end = parser.finish_at_close();
    }
    co_return body;
  }
}

std::string_view UpstreamConnection::left_over() const noexcept { return {buffer_.get() + begin_, end_ - begin_}; }

bool UpstreamConnection::reusable() const noexcept {
  return !spoiled_ && !closes_ && parser_->parse && parser_->parse->complete() && begin_ == end_ && head_.status >= 200;
}

void UpstreamConnection::mark_idle() noexcept {
  reused_ = true;
  in_flight_.reset();
  idle_since_ = std::chrono::steady_clock::now();
  if (capacity_ > first_buffer) {
    buffer_ = std::make_unique_for_overwrite<char[]>(first_buffer);
    capacity_ = first_buffer;
    begin_ = end_ = 0;
  }
}

std::chrono::milliseconds UpstreamConnection::idle_time() const noexcept {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - idle_since_);
}

}  // namespace pillion
