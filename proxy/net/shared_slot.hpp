// A shared pointer that one thread replaces and others read.
#pragma once

#include <memory>
#include <mutex>

namespace pillion {

/// What std::atomic<std::shared_ptr> is for: in libstdc++ 12 that one's load() lets go of its lock without ordering
/// what it read (a data race that the thread sanitizer reports). Not for the path of a hit.
template <typename T>
class SharedSlot {
 public:
  SharedSlot() = default;
  explicit SharedSlot(std::shared_ptr<T> value) : value_(std::move(value)) {}
  std::shared_ptr<T> load() const {
    const std::lock_guard lock(mutex_);
    return value_;
  }
  void store(std::shared_ptr<T> value) {
    // The old one is destroyed with the parameter, after the lock is gone.
    const std::lock_guard lock(mutex_);
    value_.swap(value);
  }

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<T> value_;
};

}  // namespace pillion
