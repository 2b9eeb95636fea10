// Compresses what is stored in memory and proves hot, one at a time, on a thread of lower priority that takes a quarter
// of a CPU at most: no request waits for it. Shared, locks inside.
#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <thread>

#include "core/content_coding.hpp"
#include "core/hash.hpp"
#include "core/stored_response.hpp"
#include "store/memory_store.hpp"
#include "telemetry/counters.hpp"

namespace pillion {

class AnswerCompressor {
 public:
  /// What waits at a time, at most: it keeps the responses in it alive.
  static constexpr std::size_t max_waiting = 32;

  AnswerCompressor(MemoryStore& memory, Counters& counters) : memory_(memory), counters_(counters) {}
  ~AnswerCompressor() { stop(); }
  AnswerCompressor(const AnswerCompressor&) = delete;

  void start();
  /// Ends it within a slice of the body in hand; what waits is dropped.
  void stop();

  /// From any thread, without waiting or allocating: the response that stands at `place` in memory is to be had in that
  /// coding. Where too many wait already it counts as not wanted yet.
  void ask(const StoredResponsePtr& response, const Hash128& place, Coding coding);

 private:
  struct Job {
    StoredResponsePtr response;
    Hash128 place;
    Coding coding = Coding::identity;
  };
  void run();
  void compress(const Job& job);
  /// Gives up the CPU for thrice as long as the last slice took. False where it is to end.
  bool rest();

  MemoryStore& memory_;
  Counters& counters_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::array<Job, max_waiting> jobs_;  // a ring
  std::size_t first_ = 0, waiting_ = 0;
  bool running_ = false;
  std::chrono::steady_clock::time_point slice_began_;  // of its own thread
  std::thread thread_;
};

}  // namespace pillion
