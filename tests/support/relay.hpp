// A TCP relay that a test puts between two parties (a proxy and Redis), to cut, silence, slow or shorten what passes.
// It reads no byte of it. For tests; any thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "support/deadline.hpp"
#include "support/socket.hpp"

namespace pillion::support {

/// What a test asks for holds when the call returns: no byte that should have stopped passes after it.
class Relay {
 public:
  /// Listens on a port of 127.0.0.1 and passes every connection on to `target`, which must be TCP on loopback.
  explicit Relay(Endpoint target);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  Endpoint endpoint() const { return {"127.0.0.1", port_, {}}; }
  /// Where connections made from now on go.
  void aim_at(Endpoint target);

  /// Ends all connections with RST and refuses new ones, until resume().
  void cut();
  /// No byte passes either way and none is lost; connections stay open, and the kernel still takes new ones: what a
  /// network that drops every packet looks like. Until resume() or heal().
  void blackhole();
  /// What clients send still arrives; what the target answers is held back. Until resume() or heal().
  void hold_replies();
  /// Ends cut(), blackhole() and hold_replies(); what was held back arrives now, late.
  void resume();
  /// The same, but connections that were there end with RST, what was held back with them.
  void heal();
  /// Ends the connections there are with RST; new ones are served as before.
  void drop_connections();

  /// Every byte is passed on this much later. Order is kept.
  void delay(Milliseconds time);
  /// The same, but each connection, those to come too, gets a time of its own below this: what was done on one of them
  /// may be seen on another sooner or later.
  void delay_unevenly(Milliseconds most);
  /// Each connection ends with RST once `bytes` of the target's answers have passed from now on; 0: without end.
  void limit_replies(std::size_t bytes);

  /// Connections accepted so far, and those open now.
  int connections() const;
  int open_connections() const;
  bool wait_for_connections(int n, Deadline deadline = {}) const;
  /// What clients have sent so far, over all connections, in bytes.
  std::uint64_t request_bytes() const;

 private:
  struct Pair;
  enum class Flow { all, requests_only, none };
  enum class After { more, end, break_off };
  void run();
  void wake();
  void accept_one();
  void drop_all();
  /// Moves what may be moved now.
  After pump(Pair& pair, short client_events, short target_events);
  int milliseconds_to_next() const;
  Milliseconds some_delay();

  mutable std::mutex mutex_;
  mutable std::condition_variable changed_;
  Endpoint target_;
  Fd listener_;
  std::uint16_t port_ = 0;
  Fd wake_;
  bool stopping_ = false;
  bool refusing_ = false;
  Flow flow_ = Flow::all;
  Milliseconds delay_{0};
  Milliseconds uneven_{0};
  std::mt19937 random_{std::random_device{}()};
  std::size_t reply_limit_ = 0;
  int accepted_ = 0;
  std::uint64_t request_bytes_ = 0;
  std::vector<std::unique_ptr<Pair>> pairs_;
  std::thread thread_;
};

}  // namespace pillion::support
