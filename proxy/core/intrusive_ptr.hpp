// A counted reference to a value that carries its own count: one pointer wide, one allocation a value. Pure.
#pragma once

#include <cstddef>
#include <utility>

namespace pillion {

/// Shares a T, which has `retain()` and `release()`, both const noexcept and callable from any thread; the last
/// release() destroys it.
template <typename T>
class IntrusivePtr {
 public:
  IntrusivePtr() = default;
  IntrusivePtr(std::nullptr_t) noexcept {}
  IntrusivePtr(const IntrusivePtr& other) noexcept : value_(other.value_) {
    if (value_ != nullptr) value_->retain();
  }
  IntrusivePtr(IntrusivePtr&& other) noexcept : value_(std::exchange(other.value_, nullptr)) {}
  IntrusivePtr& operator=(IntrusivePtr other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~IntrusivePtr() {
    if (value_ != nullptr) value_->release();
  }
  /// Takes over a reference that is counted already.
  static IntrusivePtr adopt(T* value) noexcept {
    IntrusivePtr pointer;
    pointer.value_ = value;
    return pointer;
  }

  T* get() const noexcept { return value_; }
  T& operator*() const noexcept { return *value_; }
  T* operator->() const noexcept { return value_; }
  explicit operator bool() const noexcept { return value_ != nullptr; }
  void reset() noexcept { *this = nullptr; }
  friend bool operator==(const IntrusivePtr&, const IntrusivePtr&) = default;
  friend bool operator==(const IntrusivePtr& pointer, std::nullptr_t) noexcept { return pointer.value_ == nullptr; }

 private:
  T* value_ = nullptr;
};

}  // namespace pillion
