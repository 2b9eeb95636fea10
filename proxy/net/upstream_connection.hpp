// One connection to an upstream: sends a request, reads the answer strictly. Worker-local. In any doubt about its state
// it is not reusable (threats: answer-queue poisoning).
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/model.hpp"
#include "core/message.hpp"
#include "core/reasons.hpp"
#include "net/stream.hpp"
#include "net/upstream_health.hpp"
#include "telemetry/counters.hpp"

namespace pillion {

class Permit;

/// What kept an upstream from answering; none where it did.
struct UpstreamError {
  /// connect_failed, connect_timeout, response_timeout, connection_reset, bad_response, overloaded, breaker_open
  Detail detail = Detail::none;
  bool untouched =
      false;  ///< the upstream can't have seen the request whole, or closed before any byte of an answer came
  explicit operator bool() const noexcept { return detail != Detail::none; }
};

class UpstreamConnection {
 public:
  UpstreamConnection(Socket socket, Deadlines& deadlines, const config::Upstream& settings,
                     const config::Limits& limits, std::shared_ptr<Permit> permit,
                     std::shared_ptr<UpstreamHealth> health, WorkerCounters& counters);
  ~UpstreamConnection();

  Stream& stream() noexcept { return stream_; }

  /// Head and body of a request, as wire bytes.
  awaitable<error_code> send(std::string_view bytes) { return stream_.write(bytes, settings_.silence_timeout); }
  /// What the socket takes of them at once, without a coroutine: nearly always all, which is what true says. The rest
  /// is left in `bytes`, for send(), which also says what is wrong where nothing went.
  bool send_now(std::string_view& bytes) { return stream_.write_now(bytes); }
  awaitable<error_code> send(std::span<const asio::const_buffer> buffers) {
    return stream_.write(buffers, settings_.silence_timeout);
  }

  /// Begins a new exchange; `head_only` for HEAD.
  void begin(bool head_only) noexcept;
  /// Reads one head, which may be an interim (1xx) one: then call again. At most limits.interim_responses of them.
  /// `timeout` 0: none, until expect_head_within() is called. Views live until the next read.
  awaitable<UpstreamError> read_head(std::chrono::milliseconds timeout);
  /// Bounds a read_head() in progress, from now on.
  void expect_head_within(std::chrono::milliseconds timeout) noexcept;
  const ResponseHead& head() const noexcept { return head_; }
  Framing framing() const noexcept;
  std::uint64_t length() const noexcept;

  struct Body {
    std::string_view data;  ///< empty at the end; lives until the next read
    bool end = false;
    std::string_view trailers;  ///< with the end: lines that may be passed on
    UpstreamError error;
  };
  /// The next piece of the body. After a body delimited by close, end without error is set too.
  awaitable<Body> read_body(std::chrono::milliseconds timeout);
  /// The same without reading from the socket, without a coroutine: nullopt where there is nothing of it yet.
  std::optional<Body> buffered_body();
  /// Bytes behind the head of a 101 answer that belong to the other protocol.
  std::string_view left_over() const noexcept;

  /// The whole answer was read, nothing came behind it so far, and neither side wants to close. Whether it stayed so is
  /// asked when it is used again (Stream::is_quiet()).
  bool reusable() const noexcept;
  /// Marks it as not to be reused.
  void spoil() noexcept { spoiled_ = true; }

  /// The right to be in flight of the request that goes over it, where the upstream's number of them is bounded. Given
  /// back when the answer's body has been read, at end_in_flight(), or with the connection.
  void hold_in_flight(std::shared_ptr<Permit> permit) noexcept { in_flight_ = std::move(permit); }
  std::shared_ptr<Permit> take_in_flight() noexcept { return std::move(in_flight_); }
  /// What follows has no end to be waited for: a tunnel, an event stream.
  void end_in_flight() noexcept { in_flight_.reset(); }

  /// Whether it has served an exchange before.
  bool is_reused() const noexcept { return reused_; }
  void mark_idle() noexcept;
  /// At mark_idle(): its name should be looked up again.
  bool is_too_old() const noexcept { return idle_since_ >= retires_at_; }
  /// Since mark_idle().
  std::chrono::milliseconds idle_time() const noexcept;
  /// How long the upstream keeps an idle connection, by its Keep-Alive field; the configured time where it is shorter
  /// or says nothing.
  std::chrono::milliseconds idle_limit() const noexcept { return idle_limit_; }
  const config::Upstream& settings() const noexcept { return settings_; }

 private:
  struct Parser;
  asio::mutable_buffer room();
  UpstreamError note_read(const IoResult& read);
  void grow_buffer(std::size_t size);
  std::size_t wanted_for_body() const noexcept;
  UpstreamError refuse(Limit limit) noexcept;
  void note_persistence();
  void note_failure(const UpstreamError& error);

  Stream stream_;
  const config::Upstream settings_;
  const config::Limits limits_;
  std::shared_ptr<Permit> permit_, in_flight_;
  const std::shared_ptr<UpstreamHealth> health_;
  WorkerCounters& counters_;
  std::unique_ptr<char[]>
      buffer_;  // not a vector: it would be filled with zeros, more work than the rest of an exchange
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0, end_ = 0, scanned_ = 0;
  std::uint64_t body_left_ = 0;  // of Framing::length
  std::vector<Field> fields_;
  std::unique_ptr<Parser> parser_;
  ResponseHead head_;
  std::chrono::steady_clock::time_point head_until_{};  // of read_head(); epoch: no bound
  unsigned interim_ = 0;
  bool head_only_ = false, spoiled_ = false, reused_ = false, any_byte_ = false, closes_ = false, at_end_ = false;
  bool was_full_ = false;  // the last read filled the buffer
  bool cut_here_ = false;  // what ended it was done on this side
  std::chrono::steady_clock::time_point idle_since_{}, retires_at_;
  std::chrono::milliseconds idle_limit_;
};

}  // namespace pillion
