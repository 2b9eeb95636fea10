// Who waits for which reply of one Redis connection, in the order sent. Worker-local; no I/O and no clock: the caller
// brings the time and calls the handlers that come back.
#pragma once

#include <boost/asio/any_completion_handler.hpp>
#include <chrono>
#include <cstdint>
#include <deque>
#include <vector>

#include "net/redis_reply.hpp"

namespace pillion {

class RedisWaiters {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using Handler = boost::asio::any_completion_handler<void(RedisReply)>;

  struct Waiter {
    Handler handler;  ///< empty for a probe, and where the waiting is over
    Time sent, deadline;
    bool probe = false;
    bool over = false;  ///< timed out or cancelled: its reply will be dropped
    bool asks_copy = false;
  };

  bool empty() const noexcept { return waiters_.empty(); }
  /// Those whose reply is to be dropped count too: their replies are still to come.
  std::size_t size() const noexcept { return waiters_.size(); }

  /// Returns its ticket, for cancel().
  std::uint64_t push(Handler handler, Time sent, Time deadline);
  void push_probe(Time sent, Time deadline);
  /// A probe that asks which copy of the data the server has.
  void push_copy(Time sent, Time deadline);
  /// The one that the reply just received belongs to. Not to be called where empty().
  Waiter pop();
  /// Gives up those whose deadline has come, but not the first where its reply has begun to arrive. Returns their
  /// handlers; a probe's is empty.
  std::vector<Handler> expire(Time now, bool first_has_begun);
  /// The earliest deadline of those not given up; Time::max() where there is none.
  Time next_deadline(bool first_has_begun) const noexcept;
  /// Gives up that one; an empty handler where it is over already.
  Handler cancel(std::uint64_t ticket);
  /// Everyone who still waits; nobody does afterwards, and no reply is expected.
  std::vector<Handler> take_all();

 private:
  std::deque<Waiter> waiters_;
  std::uint64_t popped_ = 0;  // ticket of the first
};

}  // namespace pillion
