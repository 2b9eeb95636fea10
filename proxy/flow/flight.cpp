#include "flow/flight.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>

namespace pillion {

// A coroutine that sleeps until it is woken. `waiting` is under the flight's mutex, the rest on the executor alone.
struct Flight::Wake {
  explicit Wake(asio::any_io_executor e) : executor(e), timer(e) {}
  asio::any_io_executor executor;
  asio::steady_timer timer;
  bool waiting = false;
  bool signalled = false;

  static void send(const std::shared_ptr<Wake>& wake) {
    wake->waiting = false;
    asio::post(wake->executor, [wake] {
      wake->signalled = true;
      wake->timer.cancel();
    });
  }
  // False when the time is over. A wake-up that came before is used up at once.
  awaitable<bool> sleep(std::chrono::steady_clock::time_point until) {
    if (!signalled) {
      timer.expires_at(until);
      co_await timer.async_wait(no_throw);
    }
    co_return std::exchange(signalled, false);
  }
};

void Flight::notify_locked() {
  for (Reader* reader : readers_) {
    if (reader->wake_->waiting) Wake::send(reader->wake_);
  }
}

void Flight::set_head(std::shared_ptr<const FlightHead> head) {
  std::lock_guard lock(mutex_);
  head_ = std::move(head);
  phase_ = Phase::streaming;
  notify_locked();
}

void Flight::release(std::shared_ptr<const FlightHead> head, bool keep) {
  std::lock_guard lock(mutex_);
  head_ = std::move(head);
  phase_ = Phase::streaming;
  released_ = true;
  keeping_ = keep;
  notify_locked();
}

void Flight::pass_interim(Interim interim) {
  std::lock_guard lock(mutex_);
  interim_.push_back(std::move(interim));
  notify_locked();
}

void Flight::append(std::string_view data) {
  auto chunk = std::make_shared<const std::string>(data);
  std::lock_guard lock(mutex_);
  chunks_.push_back(std::move(chunk));
  size_ += data.size();
  trim_locked();
  notify_locked();
}

void Flight::stop_keeping() {
  std::lock_guard lock(mutex_);
  keeping_ = false;
  trim_locked();
  notify_locked();
}

void Flight::finish(bool complete, std::string trailers) {
  std::lock_guard lock(mutex_);
  if (!trailers.empty()) trailers_ = std::make_shared<const std::string>(std::move(trailers));
  phase_ = complete ? Phase::complete : Phase::cut;
  notify_locked();
}

void Flight::fail(UpstreamError error) {
  std::lock_guard lock(mutex_);
  error_ = error;
  phase_ = Phase::failed;
  notify_locked();
}

void Flight::settle(StoredResponsePtr stored, std::string set_cookies, bool shared, bool fetched_elsewhere) {
  std::lock_guard lock(mutex_);
  settled_for_all_ = shared;
  fetched_elsewhere_ = fetched_elsewhere;
  set_cookies_ = std::move(set_cookies);
  stored_ = std::move(stored);
  phase_ = Phase::settled;
  notify_locked();
}

bool Flight::was_joined() const {
  std::lock_guard lock(mutex_);
  return joined_;
}

void Flight::when_abandoned(asio::any_io_executor executor, std::function<void()> abandoned) {
  std::lock_guard lock(mutex_);
  fetch_executor_ = std::move(executor);
  abandoned_ = std::move(abandoned);
  if (abandoned_ && readers_.empty() && !keeping_) asio::post(fetch_executor_, abandoned_);
}

bool Flight::has_readers() const {
  std::lock_guard lock(mutex_);
  return !readers_.empty();
}

std::shared_ptr<const std::string> Flight::body() const {
  std::lock_guard lock(mutex_);
  if (chunks_.size() == 1) return chunks_.front();
  auto whole = std::make_shared<std::string>();
  whole->reserve(size_);
  for (const auto& chunk : chunks_) *whole += *chunk;
  return whole;
}

void Flight::trim_locked() {
  if (keeping_) return;
  std::size_t slowest = first_chunk_ + chunks_.size();
  for (const Reader* reader : readers_) slowest = std::min(slowest, reader->next_chunk_);
  while (first_chunk_ < slowest) {
    size_ -= chunks_.front()->size();
    chunks_.pop_front();
    ++first_chunk_;
  }
}

awaitable<bool> Flight::wait_for_room() {
  std::shared_ptr<Wake> wake;
  for (;;) {
    {
      std::lock_guard lock(mutex_);
      leader_.reset();
      trim_locked();
      if (readers_.empty()) co_return false;
      if (size_ <= window_) co_return true;
    }
    if (!wake) wake = std::make_shared<Wake>(co_await asio::this_coro::executor);
    {
      std::lock_guard lock(mutex_);
      trim_locked();
      if (readers_.empty()) co_return false;
      if (size_ <= window_) co_return true;
      wake->waiting = true;
      leader_ = wake;
    }
    co_await wake->sleep(std::chrono::steady_clock::time_point::max());
  }
}

Flight::Reader::Reader(std::shared_ptr<Flight> flight, asio::any_io_executor executor, bool first)
    : flight_(std::move(flight)), wake_(std::make_shared<Wake>(std::move(executor))), first_(first) {
  std::lock_guard lock(flight_->mutex_);
  next_chunk_ = flight_->first_chunk_;
  late_ = flight_->first_chunk_ > 0;
  flight_->joined_ = flight_->joined_ || !first_;
  flight_->readers_.push_back(this);
}

Flight::Reader::~Reader() {
  std::lock_guard lock(flight_->mutex_);
  std::erase(flight_->readers_, this);
  if (flight_->readers_.empty() && !flight_->keeping_ && flight_->abandoned_)
    asio::post(flight_->fetch_executor_, flight_->abandoned_);
  if (flight_->leader_ && flight_->leader_->waiting) Wake::send(flight_->leader_);
}

awaitable<Flight::Phase> Flight::Reader::wait_head(std::chrono::milliseconds timeout) {
  const auto until =
      timeout.count() > 0 ? std::chrono::steady_clock::now() + timeout : std::chrono::steady_clock::time_point::max();
  for (;;) {
    {
      std::lock_guard lock(flight_->mutex_);
      if ((flight_->released_ || late_) && !first_) co_return Phase::released;
      if (first_ && !flight_->interim_.empty()) co_return Phase::interim;
      if (flight_->phase_ != Phase::waiting) co_return flight_->phase_;
      wake_->waiting = true;
    }
    if (co_await wake_->sleep(until)) continue;
    std::lock_guard lock(flight_->mutex_);
    wake_->waiting = false;
    co_return flight_->released_ && !first_ ? Phase::released : flight_->phase_;
  }
}

Flight::Interim Flight::Reader::take_interim() {
  std::lock_guard lock(flight_->mutex_);
  Interim interim = std::move(flight_->interim_.front());
  flight_->interim_.pop_front();
  return interim;
}

awaitable<Flight::Phase> Flight::Reader::wait_whole() {
  for (;;) {
    {
      std::lock_guard lock(flight_->mutex_);
      if (flight_->phase_ != Phase::streaming || !flight_->keeping_) co_return flight_->phase_;
      wake_->waiting = true;
    }
    co_await wake_->sleep(std::chrono::steady_clock::time_point::max());
  }
}

std::shared_ptr<const FlightHead> Flight::Reader::head() const {
  std::lock_guard lock(flight_->mutex_);
  return flight_->head_;
}

StoredResponsePtr Flight::Reader::stored() const {
  std::lock_guard lock(flight_->mutex_);
  return flight_->stored_;
}

bool Flight::Reader::is_settled_for_all() const {
  std::lock_guard lock(flight_->mutex_);
  return flight_->settled_for_all_;
}

bool Flight::Reader::is_fetched_elsewhere() const {
  std::lock_guard lock(flight_->mutex_);
  return flight_->fetched_elsewhere_;
}

std::optional<std::chrono::steady_clock::time_point> Flight::Reader::begun() const noexcept {
  using Clock = std::chrono::steady_clock;
  const Clock::rep at = flight_->begun_.load(std::memory_order_relaxed);
  if (at == 0) return std::nullopt;
  return Clock::time_point(Clock::duration(at));
}

std::string Flight::Reader::set_cookies() const {
  std::lock_guard lock(flight_->mutex_);
  return first_ ? flight_->set_cookies_ : std::string{};
}

UpstreamError Flight::Reader::error() const {
  std::lock_guard lock(flight_->mutex_);
  return flight_->error_;
}

void Flight::Reader::interrupt() {
  interrupted_ = true;
  wake_->signalled = true;
  wake_->timer.cancel();
}

bool Flight::Reader::has_next() const {
  std::lock_guard lock(flight_->mutex_);
  return next_chunk_ < flight_->first_chunk_ + flight_->chunks_.size() || flight_->phase_ == Phase::complete ||
         flight_->phase_ == Phase::cut;
}

awaitable<Flight::Reader::Part> Flight::Reader::next() {
  for (;;) {
    if (interrupted_) co_return Part{nullptr, Phase::cut, false};
    {
      std::lock_guard lock(flight_->mutex_);
      Part part;
      part.phase = flight_->phase_;
      const std::size_t end = flight_->first_chunk_ + flight_->chunks_.size();
      const bool over = flight_->phase_ == Phase::complete || flight_->phase_ == Phase::cut;
      if (next_chunk_ < end) {
        part.data = flight_->chunks_[next_chunk_ - flight_->first_chunk_];
        ++next_chunk_;
        part.last = flight_->phase_ == Phase::complete && next_chunk_ == end;
        if (part.last) part.trailers = flight_->trailers_;
        if (flight_->leader_ && flight_->leader_->waiting) Wake::send(flight_->leader_);
        co_return part;
      }
      if (over) {
        part.last = flight_->phase_ == Phase::complete;
        part.trailers = flight_->trailers_;
        co_return part;
      }
      wake_->waiting = true;
    }
    co_await wake_->sleep(std::chrono::steady_clock::time_point::max());
  }
}

}  // namespace pillion
