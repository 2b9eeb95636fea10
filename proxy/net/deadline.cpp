#include "net/deadline.hpp"

#include <ctime>

namespace pillion {

namespace {
// To a few milliseconds, of a tick's fifty; a fifth of what the exact clock costs.
std::int64_t steady_ms() noexcept {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
  return std::int64_t{time.tv_sec} * 1000 + time.tv_nsec / 1'000'000;
}
}  // namespace

Deadline::Deadline(Deadlines& owner, Action on_expire, void* context)
    : owner_(owner), on_expire_(on_expire), context_(context) {
  owner_.add(*this);
}

Deadline::~Deadline() { owner_.remove(*this); }

void Deadline::expires_after(std::chrono::milliseconds time) noexcept { at_ms_ = owner_.now_ms() + time.count(); }

Deadlines::Deadlines(asio::any_io_executor executor) : timer_(std::move(executor)) {}

Deadlines::~Deadlines() = default;

std::int64_t Deadlines::now_ms() const noexcept { return steady_ms(); }

void Deadlines::add(Deadline& deadline) {
  deadline.next_ = first_;
  if (first_) first_->previous_ = &deadline;
  first_ = &deadline;
  if (!armed_) arm();
}

void Deadlines::remove(Deadline& deadline) noexcept {
  if (cursor_ == &deadline) cursor_ = deadline.next_;
  if (deadline.previous_) deadline.previous_->next_ = deadline.next_;
  if (deadline.next_) deadline.next_->previous_ = deadline.previous_;
  if (first_ == &deadline) first_ = deadline.next_;
}

void Deadlines::arm() {
  armed_ = true;
  timer_.expires_after(tick);
  timer_.async_wait([this](error_code error) {
    if (error) return;
    armed_ = false;
    check();
    if (first_ && !armed_) arm();
  });
}

void Deadlines::check() {
  const std::int64_t now = steady_ms();
  for (cursor_ = first_; cursor_;) {
    Deadline& deadline = *cursor_;
    cursor_ = deadline.next_;
    if (deadline.at_ms_ > now) continue;
    deadline.at_ms_ = Deadline::never;
    deadline.expired_ = true;
    deadline.on_expire_(deadline.context_);
  }
}

}  // namespace pillion
