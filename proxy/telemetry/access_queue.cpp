// The writer thread of the access log: gathers, writes whole lines, drops what can't be written.
#include "telemetry/access_queue.hpp"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace pillion {

AccessQueue::AccessQueue(int fd) : fd_(fd), writer_([this] { run(); }) {}

AccessQueue::~AccessQueue() {
  {
    std::lock_guard lock(mutex_);
    give_up_ = std::chrono::steady_clock::now() + farewell;
    stopping_ = true;
  }
  wake_.notify_one();
  writer_.join();
}

void AccessQueue::push(std::string_view line) {
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    if (line.size() > max_queued - queued_.size()) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    const bool was_half_full = queued_.size() > max_queued / 2;
    wake = queued_.empty() || (!was_half_full && queued_.size() + line.size() > max_queued / 2);
    queued_ += line;
  }
  if (wake) wake_.notify_one();
}

void AccessQueue::run() {
  std::string batch;
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !queued_.empty(); });
      if (queued_.empty()) return;
      // The first line woke us; those of the next milliseconds come along. Nothing wakes us for them
      // unless there are many.
      wake_.wait_for(lock, gather, [this] { return stopping_ || queued_.size() > max_queued / 2; });
      batch.clear();
      batch.swap(queued_);
    }
    write_out(batch);
  }
}

bool AccessQueue::wait_writable() {
  for (;;) {
    pollfd p{fd_, POLLOUT, 0};
    const int ready = ::poll(&p, 1, 50);
    if (ready > 0) return (p.revents & POLLNVAL) == 0;
    if (ready < 0 && errno != EINTR) return false;
    std::lock_guard lock(mutex_);
    if (stopping_ && std::chrono::steady_clock::now() >= give_up_) return false;
  }
}

void AccessQueue::write_out(std::string_view lines) {
  while (!lines.empty()) {
    bool failed = !wait_writable();
    if (!failed) {
      // A pipe that poll() calls writable takes PIPE_BUF bytes without blocking: the destructor can count on that.
      const ssize_t n = ::write(fd_, lines.data(), std::min<std::size_t>(lines.size(), PIPE_BUF));
      if (n > 0) lines.remove_prefix(static_cast<std::size_t>(n));
      failed = n < 0 && errno != EINTR && errno != EAGAIN;
    }
    if (failed) {
      dropped_.fetch_add(static_cast<std::uint64_t>(std::count(lines.begin(), lines.end(), '\n')),
                         std::memory_order_relaxed);
      return;
    }
  }
}

}  // namespace pillion
