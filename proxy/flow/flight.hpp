// One fetch from the upstream and all who read it: the leader's fetch appends, readers on any worker stream as it
// arrives. Shared between workers, locks inside; everyone is woken by event. Its outcomes have names (Phase); the
// fetch's guard sees to it that one of them always comes, so no reader waits in vain.
#pragma once

#include <atomic>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/reasons.hpp"
#include "core/stored_response.hpp"
#include "net/async.hpp"
#include "net/upstream_connection.hpp"

namespace pillion {

/// What readers need of an answer's head.
struct FlightHead {
  unsigned status = 0;
  std::string wire;         ///< status line and end-to-end fields, without Set-Cookie and Content-Length
  std::string set_cookies;  ///< lines for the client that asked first, and for nobody else
  std::string first_only;   ///< other lines for that client alone: what caches before this one said
  std::string stored_only;  ///< lines that go to everyone: Set-Cookie where the route stores it
  ResponseMeta meta;
  std::string etag;
  std::string search_rule;  ///< of No-Vary-Search (core/no_vary_search.hpp)
  std::string vary;         ///< canonical (core/cache_key.hpp)
  std::string variant;      ///< what the fetching request has of these fields (variant_key())
  std::optional<std::uint64_t> length;
  std::vector<std::uint32_t> selectors;  ///< everything that invalidates it, what its own fields name included
  bool events = false;                   ///< text/event-stream
  bool had_age = false;                  ///< a cache before this one said how old it is
  bool storing = false;                  ///< decided so far; a body that grows too large changes it
  Detail reason = Detail::none;          ///< why it is not
};

class Flight {
 public:
  enum class Phase : std::uint8_t {
    waiting,    ///< no head yet
    interim,    ///< as waiting, and an interim (1xx) answer has come for this reader: take_interim()
    streaming,  ///< head is there, body arrives
    complete,   ///< body is there to its proven end
    cut,        ///< broke off in the body
    failed,     ///< no usable head came: error() says why
    settled,    ///< a stored response is the answer: stored() (freshened by a 304)
    released,   ///< not to be shared: everyone but the first reader goes on alone
  };

  class Reader;
  /// `window` bounds what is buffered ahead of the slowest reader once the answer is not to be stored.
  Flight(std::uint64_t fence, std::size_t window) : fence_(fence), window_(window) {}

  /// Local position at which the fetch began.
  std::uint64_t fence() const noexcept { return fence_; }

  // --- the fetch ---
  /// An interim answer, for the first reader: it concerns one client's request.
  struct Interim {
    unsigned status = 0;
    std::string reason, fields;
  };
  void pass_interim(Interim interim);
  void set_head(std::shared_ptr<const FlightHead> head);
  /// As set_head, for an answer that may not be shared. `keep`: until stop_keeping() it is kept all the same.
  void release(std::shared_ptr<const FlightHead> head, bool keep = false);
  void append(std::string_view data);
  /// From now on nothing is kept: what all readers have passed is freed.
  void stop_keeping();
  /// `trailers`: lines behind the body, for those who accept them.
  void finish(bool complete, std::string trailers = {});
  void fail(UpstreamError error);
  /// `set_cookies`: lines for the first reader alone. `shared`: it is the answer to all who were collapsed, too.
  /// `fetched_elsewhere`: by another replica, and nobody here asked the upstream.
  void settle(StoredResponsePtr stored, std::string set_cookies, bool shared, bool fetched_elsewhere = false);
  /// The upstream is asked from now on: those who wait have patience from here.
  void begin(std::chrono::steady_clock::time_point now) noexcept {
    begun_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
  }
  /// The store id of what this fetch stores. Before finish() or settle().
  void set_store_id(std::uint64_t id) noexcept { store_id_.store(id, std::memory_order_release); }
  /// 0: not known yet, or nothing is stored.
  std::uint64_t store_id() const noexcept { return store_id_.load(std::memory_order_acquire); }
  /// Waits until the slowest reader is within the window. False when nobody reads any more.
  awaitable<bool> wait_for_room();
  bool has_readers() const;
  /// Whether somebody beside the first reader has come.
  bool was_joined() const;
  /// `abandoned` is posted to `executor` when the last reader of what isn't kept has left; an empty one is called no
  /// more, but may be on its way.
  void when_abandoned(asio::any_io_executor executor, std::function<void()> abandoned);
  /// The whole body so far. Not copied where it came in one piece.
  std::shared_ptr<const std::string> body() const;

 private:
  friend class Reader;
  void notify_locked();
  void trim_locked();

  mutable std::mutex mutex_;
  Phase phase_ = Phase::waiting;
  std::shared_ptr<const FlightHead> head_;
  std::deque<Interim> interim_;
  StoredResponsePtr stored_;
  std::string set_cookies_;
  std::shared_ptr<const std::string> trailers_;
  UpstreamError error_;
  std::deque<std::shared_ptr<const std::string>> chunks_;
  std::size_t first_chunk_ = 0;  // index of chunks_.front()
  std::size_t size_ = 0;         // bytes in chunks_
  bool keeping_ = true, joined_ = false, released_ = false, settled_for_all_ = false, fetched_elsewhere_ = false;
  std::atomic<std::chrono::steady_clock::rep> begun_{0};
  std::atomic<std::uint64_t> store_id_{0};
  std::vector<Reader*> readers_;
  asio::any_io_executor fetch_executor_;
  std::function<void()> abandoned_;
  struct Wake;
  std::shared_ptr<Wake> leader_;  // set while the fetch waits for room
  const std::uint64_t fence_;
  const std::size_t window_;
};

/// One client's view of a flight. Belongs to its executor. Detaches when it goes.
class Flight::Reader {
 public:
  /// `first`: the one for whom the fetch began.
  Reader(std::shared_ptr<Flight> flight, asio::any_io_executor executor, bool first);
  ~Reader();
  Reader(const Reader&) = delete;

  bool is_first() const noexcept { return first_; }
  std::uint64_t fence() const noexcept { return flight_->fence(); }
  /// Waits until the phase is no longer `waiting`, or `timeout` is over (0: no end): then it still is.
  awaitable<Phase> wait_head(std::chrono::milliseconds timeout);
  Interim take_interim();
  /// Waits until it is known whether the body is whole, or it turns out too large to be kept. The phase then: streaming
  /// in the second case.
  awaitable<Phase> wait_whole();
  std::shared_ptr<const FlightHead> head() const;
  StoredResponsePtr stored() const;
  bool is_settled_for_all() const;
  bool is_fetched_elsewhere() const;
  /// When the upstream was asked; nullopt: not yet, another replica may be fetching it.
  std::optional<std::chrono::steady_clock::time_point> begun() const noexcept;
  /// Of a settled flight; empty but for the first reader.
  std::string set_cookies() const;
  UpstreamError error() const;

  struct Part {
    std::shared_ptr<const std::string> data;  ///< nullptr at the end
    Phase phase = Phase::streaming;
    bool last = false;                            ///< nothing follows: complete with this part
    std::shared_ptr<const std::string> trailers;  ///< with the last part, where there are some
  };
  /// Whether next() would return at once.
  bool has_next() const;
  /// The next part of the body, or how it ended.
  awaitable<Part> next();
  /// Makes next() return as if it were cut. On this reader's executor.
  void interrupt();

 private:
  friend class Flight;
  std::shared_ptr<Flight> flight_;
  std::shared_ptr<Flight::Wake> wake_;
  std::size_t next_chunk_ = 0;
  bool first_, interrupted_ = false;
  bool late_ = false;  // came when the beginning of the body was gone already
};

}  // namespace pillion
