// One client connection: reads requests strictly, hands each to the handler, sends what it answers. Worker-local.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/model.hpp"
#include "core/block_pool.hpp"
#include "core/message.hpp"
#include "net/client_workspace.hpp"
#include "net/deadline.hpp"
#include "net/effective_request.hpp"
#include "net/tls_session.hpp"
#include "telemetry/counters.hpp"

namespace pillion {

class ClientSession;

/// What answers requests. Worker-local.
class ClientHandler {
 public:
  virtual ~ClientHandler() = default;
  /// Called before each request: settings in force now.
  virtual const config::Config& settings() const = 0;
  /// Answers without waiting, if it can: a hit in memory. False: handle() follows, nothing was put out.
  virtual bool answer_now(ClientSession& session) = 0;
  virtual awaitable<void> handle(ClientSession& session) = 0;
  /// The client speaks HTTP/2 from its first byte on, and its listener passes that on; nothing but its first bytes has
  /// been read. session.request() is `PRI *`; no HTTP/1.1 may be answered.
  virtual awaitable<void> tunnel_http2(ClientSession& session) = 0;
  /// The session has answered a request by itself: one that was refused (400 and up), or that goes no further (200).
  virtual void note_own_answer(ClientSession& session, unsigned status) = 0;
};

class ClientOwner;
struct EndOfSession {
  ClientOwner* owner;
  void operator()(ClientSession* session) const noexcept;
};
/// Whatever drops it ends the session, by its owner: what is done for it, or what it waits for.
using ClientSessionPtr = std::unique_ptr<ClientSession, EndOfSession>;

/// Has client sessions, and outlives them. Worker-local.
class ClientOwner {
 public:
  virtual ~ClientOwner() = default;
  /// Something has come on a connection that waited, and takes a run().
  virtual void go_on(ClientSessionPtr session) = 0;
  /// Destroys it: the connection has ended.
  virtual void end(ClientSession* session) noexcept = 0;
};

inline void EndOfSession::operator()(ClientSession* session) const noexcept { owner->end(session); }

/// What a connection is known by before it says anything.
struct ClientOrigin {
  std::string listener;      ///< name, empty for an unnamed one
  std::string peer_address;  ///< for X-Forwarded-For; empty on a Unix socket
  bool peer_trusted = false;
  bool h2c_tunnel = false;   ///< HTTP/2 with prior knowledge is passed on; else it is refused
  bool query_cache = false;  ///< it came to the query cache's own listener
  TlsContext tls;            ///< the client speaks TLS, by this; else null
};

class ClientSession {
 public:
  ClientSession(Socket socket, ClientOrigin origin, ClientHandler& handler, ClientWorkspaces& workspaces,
                Deadlines& deadlines, WorkerCounters& counters);
  ~ClientSession();
  ClientSession(const ClientSession&) = delete;

  // It outlives by far what is allocated around it.
  static void* operator new(std::size_t size) { return block_pool::allocate(size); }
  static void operator delete(void* session, std::size_t size) noexcept { block_pool::free(session, size); }

  /// Waits for requests, and answers those that need no waiting. An idle connection is in here, and takes no memory but
  /// the session's own: no buffers, no coroutine. Then it ends, or its owner is told to go on.
  static void wait(ClientSessionPtr session);
  /// Serves what takes a coroutine. True: the connection is idle, and wait() is next. False: it has ended.
  awaitable<bool> run();

  /// Draining: closes it when idle, after the answer in progress otherwise.
  void finish_soon() noexcept;
  /// Cuts it.
  void abort() noexcept;

  // --- for the handler, during one request ---
  const RequestHead& request() const noexcept { return request_; }
  const ClientOrigin& origin() const noexcept { return origin_; }
  std::chrono::steady_clock::time_point started() const noexcept { return started_; }

  bool has_request_body() const noexcept;
  Framing request_framing() const noexcept;
  std::uint64_t request_length() const noexcept;
  /// The request body was read to its end (or there is none).
  bool request_body_done() const noexcept;
  /// Whether the client waits for 100 (Continue) and nothing of the body has come.
  bool expects_continue() const noexcept;
  struct Body {
    std::string_view data;  ///< lives until the next read; empty at the end
    bool end = false;
    std::string_view trailers;  ///< with the end: lines that may be passed on
    unsigned status = 0;        ///< what the client did wrong: 400, 408, 413; 499 where it left
  };
  awaitable<Body> read_body();
  /// Ends a read_body() in progress with status 499.
  void cancel_read() noexcept;

  /// Head of the answer: put status line and fields (each ended by CRLF) into out(), then end_head(), then the body.
  OutputQueue& out() noexcept { return work_->out; }
  enum class BodyMode : std::uint8_t { none, length, chunked, close };
  /// Chooses how the body is delimited and ends the head. `length`: that many bytes follow and the head has
  /// Content-Length.
  BodyMode end_head(unsigned status, std::optional<std::uint64_t> length);
  /// Queues a piece of the body, framed; `end` with the last one. The bytes must live until flush(). `trailers` go
  /// along where the client takes them.
  void put_body(std::string_view data, bool end, std::string_view trailers = {});
  awaitable<error_code> flush();
  /// The same without a coroutine, where that goes: nearly always, but never over TLS. False: flush() goes on.
  bool flush_now() { return !tls_ && work_->out.flush_now(socket_); }
  /// 1xx to a client that knows them.
  awaitable<error_code> send_interim(unsigned status, std::string_view reason, std::string_view fields);
  bool head_sent() const noexcept { return head_ended_; }
  std::uint64_t body_bytes() const noexcept { return body_bytes_; }
  void set_body_bytes(std::uint64_t n) noexcept { body_bytes_ = n; }

  /// The connection ends after this answer.
  void close_after() noexcept { keep_alive_ = false; }
  /// The answer can't be completed: cuts the connection so that the client can tell.
  void cut() noexcept;
  bool is_cut() const noexcept { return cut_; }

  /// One whole answer of the proxy's own: `application/problem+json` in one line. `cache_status` is the field's value.
  void put_problem(unsigned status, std::string_view detail, std::string_view cache_status,
                   std::string_view more_fields = {});

  /// Watches for the client leaving while nothing is read from it; `on_gone` is called at most once. stop_watch() must
  /// be awaited before the next read.
  void watch(std::function<void()> on_gone);
  awaitable<void> stop_watch();

  /// For tunnels: the socket and what was read behind the request.
  Socket& socket() noexcept { return socket_; }
  /// Reads behind what the session has read; `deadline` cancels the socket. Never with the socket's own asynchronous
  /// operation, which may not tell of a reset that came with it (net/head_read.hpp).
  awaitable<IoResult> read_some(asio::mutable_buffer buffer, const Deadline& deadline);
  /// Nothing more is sent to the client.
  void shutdown_send() noexcept;
  std::string_view take_left_over();
  Deadlines& deadlines() noexcept { return deadlines_; }
  WorkerCounters& counters() noexcept { return counters_; }
  void clear_deadlines() noexcept;

 private:
  /// What is next on this connection.
  enum class Next : std::uint8_t {
    request,   ///< one that has to be handled
    answered,  ///< what answers the request is put out, and has to be waited for, or the connection ends with it
    http2,
    refused,  ///< a refusal is put out; the connection ends
    more,     ///< all that has come is answered, but for a part of a head
    late,     ///< none has come in time
    idle,     ///< nothing has come: see wait()
    close,
  };
  awaitable<Next> read_request();
  void begin_head();
  void take_settings();
  bool has_part_of_head() const noexcept;
  Next advance();
  Next take_head();
  Next parse(std::size_t size);
  Next refuse(Refusal refusal, Limit limit);
  Next refuse_head(Refusal refusal, Limit limit);
  Next take_preface();
  template <typename Done>
  struct IdleRead;
  static void go_on(ClientSessionPtr session);
  awaitable<Next> await_input();
  Next take_input(error_code error, std::size_t size);
  std::chrono::milliseconds head_wait();
  bool is_idle() const noexcept;
  asio::mutable_buffer room();
  friend class HeadBuffer;
  asio::mutable_buffer idle_room() noexcept;
  void take_workspace() {
    if (!work_) work_ = workspaces_.take();
  }
  void put_away() noexcept;
  awaitable<bool> fill(std::chrono::milliseconds timeout);
  awaitable<bool> shake_hands();
  void drop_nominated();
  void put_own_options();
  /// Status line and fields, `fields` last, without the empty line.
  void put_own_head(unsigned status, std::size_t length, std::string_view fields);
  void begin_exchange();
  awaitable<bool> finish_exchange();
  bool finish_now();
  awaitable<void> linger();
  void watch_further();
  void end_watch() noexcept;
  bool wants_keep_alive() const noexcept;
  void count(Limit limit) noexcept { counters_.limits[static_cast<std::size_t>(limit)].add(); }
  static void on_read_deadline(void* self);
  static void on_write_deadline(void* self);

  Socket socket_;
  std::unique_ptr<TlsSession> tls_;  // null where the client speaks plain HTTP
  ClientOrigin origin_;
  ClientHandler& handler_;
  Deadlines& deadlines_;
  WorkerCounters& counters_;
  Deadline read_deadline_, write_deadline_;
  config::ClientTimeouts timeouts_;
  config::Limits limits_;
  ClientWorkspaces& workspaces_;
  std::unique_ptr<ClientWorkspace> work_;     // none while it is idle
  std::optional<Next> found_;                 // by wait(), for run()
  std::chrono::milliseconds idle_before_{0};  // with a coroutine, for wait()
  std::size_t begin_ = 0, end_ = 0, scanned_ = 0;
  RequestHead request_;
  std::chrono::steady_clock::time_point started_{}, head_began_{};
  std::uint64_t body_bytes_ = 0, body_left_ = 0, request_bytes_ = 0;
  BodyMode body_mode_ = BodyMode::none;
  bool at_start_ = true;     // nothing of the connection's bytes has been used
  bool has_begun_ = false;   // a part of the next head has come
  bool unanswered_ = false;  // something was read since an answer was last sent
  bool tells_what_is_left_ = false;
  bool keep_alive_ = true, head_ended_ = false, body_ended_ = true, cut_ = false, finishing_ = false,
       in_request_ = false, body_read_ = false, takes_trailers_ = false;
  std::shared_ptr<struct ClientWatch> watch_;
};

}  // namespace pillion
