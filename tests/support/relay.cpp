#include "support/relay.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <deque>
#include <string>

namespace pillion::support {

namespace {

constexpr std::size_t most_held = 4u << 20;  // bytes of one direction

/// Bytes on their way in one direction.
struct Lane {
  struct Piece {
    Clock::time_point due;
    std::string bytes;
  };
  std::deque<Piece> pieces;
  std::size_t held = 0;
  bool ended = false;  // the sender has sent its last byte

  bool has_room() const { return !ended && held < most_held; }
  bool is_due(Clock::time_point now) const { return !pieces.empty() && pieces.front().due <= now; }
  bool is_done() const { return ended && pieces.empty(); }
  bool take_from(int fd, Clock::time_point due);
  bool give_to(int fd, Clock::time_point now, std::size_t* left);
};

/// False where the connection broke.
bool Lane::take_from(int fd, Clock::time_point due) {
  std::string bytes(64u << 10, '\0');
  ssize_t n = ::recv(fd, bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (n < 0) return errno == EAGAIN || errno == EINTR;
  if (n == 0) {
    ended = true;
    return true;
  }
  bytes.resize(static_cast<std::size_t>(n));
  held += bytes.size();
  pieces.push_back({due, std::move(bytes)});
  return true;
}

/// As much as is due and fits. `left`, where given, is how many bytes may pass at all. False where the connection
/// broke or nothing is left.
bool Lane::give_to(int fd, Clock::time_point now, std::size_t* left) {
  while (is_due(now)) {
    std::string& bytes = pieces.front().bytes;
    std::size_t most = left == nullptr ? bytes.size() : std::min(bytes.size(), *left);
    ssize_t n = ::send(fd, bytes.data(), most, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0) return errno == EAGAIN || errno == EINTR;
    auto sent = static_cast<std::size_t>(n);
    held -= sent;
    if (left != nullptr && (*left -= sent) == 0) return false;
    bytes.erase(0, sent);
    if (!bytes.empty()) return true;
    pieces.pop_front();
  }
  return true;
}

void without_delay(int fd) {
  int one = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

}  // namespace

struct Relay::Pair {
  Stream client, target;
  Lane requests, replies;
  Milliseconds delay{0};
  std::size_t replies_left = 0;  // 0: no limit
};

Relay::Relay(Endpoint target) : target_(std::move(target)), wake_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  listener_ = bind_loopback(0, 512);
  port_ = port_of(listener_);
  thread_ = std::thread([this] { run(); });
}

Relay::~Relay() {
  {
    std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake();
  thread_.join();
}

void Relay::wake() {
  std::uint64_t one = 1;
  if (::write(wake_.get(), &one, sizeof one) < 0 && errno != EAGAIN) std::abort();
}

void Relay::aim_at(Endpoint target) {
  std::lock_guard lock(mutex_);
  target_ = std::move(target);
}

void Relay::cut() {
  std::lock_guard lock(mutex_);
  if (refusing_) return;
  refusing_ = true;
  ::shutdown(listener_.get(), SHUT_RDWR);  // what waits in its queue is refused too
  listener_.close();
  listener_ = bind_loopback(port_, -1);
  drop_all();
}

void Relay::blackhole() {
  std::lock_guard lock(mutex_);
  flow_ = Flow::none;
}
void Relay::hold_replies() {
  std::lock_guard lock(mutex_);
  flow_ = Flow::requests_only;
}

void Relay::resume() {
  std::lock_guard lock(mutex_);
  flow_ = Flow::all;
  if (refusing_ && ::listen(listener_.get(), 512) != 0) throw std::runtime_error("cannot listen again");
  refusing_ = false;
  wake();
}

void Relay::heal() {
  drop_connections();
  resume();
}

void Relay::drop_connections() {
  std::lock_guard lock(mutex_);
  drop_all();
}

void Relay::drop_all() {
  for (auto& pair : pairs_) {
    pair->client.reset();
    pair->target.reset();
  }
  pairs_.clear();
  wake();
  changed_.notify_all();
}

void Relay::delay(Milliseconds time) {
  std::lock_guard lock(mutex_);
  delay_ = time;
  uneven_ = 0ms;
  for (auto& pair : pairs_) pair->delay = time;
}

void Relay::delay_unevenly(Milliseconds most) {
  std::lock_guard lock(mutex_);
  delay_ = 0ms;
  uneven_ = most;
  for (auto& pair : pairs_) pair->delay = some_delay();
}

Milliseconds Relay::some_delay() {
  if (uneven_ == 0ms) return delay_;
  return Milliseconds(std::uniform_int_distribution<int>(0, static_cast<int>(uneven_.count()) - 1)(random_));
}

void Relay::limit_replies(std::size_t bytes) {
  std::lock_guard lock(mutex_);
  reply_limit_ = bytes;
  for (auto& pair : pairs_) pair->replies_left = bytes;
}

int Relay::connections() const {
  std::lock_guard lock(mutex_);
  return accepted_;
}
int Relay::open_connections() const {
  std::lock_guard lock(mutex_);
  return static_cast<int>(pairs_.size());
}
std::uint64_t Relay::request_bytes() const {
  std::lock_guard lock(mutex_);
  return request_bytes_;
}
bool Relay::wait_for_connections(int n, Deadline deadline) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_until(lock, deadline.at(), [&] { return accepted_ >= n; });
}

void Relay::accept_one() {
  Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd.is_open()) return;
  without_delay(fd.get());
  auto pair = std::make_unique<Pair>();
  pair->client = Stream(std::move(fd));
  pair->replies_left = reply_limit_;
  pair->delay = some_delay();
  ++accepted_;
  changed_.notify_all();
  try {
    pair->target = Stream::connect(target_, Deadline(1s));
  } catch (const std::runtime_error&) {  // nobody there
    pair->client.reset();
    return;
  }
  pairs_.push_back(std::move(pair));
}

Relay::After Relay::pump(Pair& pair, short client_events, short target_events) {
  if (flow_ == Flow::none) return After::more;
  auto now = Clock::now();
  bool replies_flow = flow_ == Flow::all;
  if (client_events != 0 && pair.requests.has_room()) {
    std::size_t held = pair.requests.held;
    if (!pair.requests.take_from(pair.client.fd(), now + pair.delay)) return After::break_off;
    request_bytes_ += pair.requests.held - held;
  }
  if (replies_flow && target_events != 0 && pair.replies.has_room() &&
      !pair.replies.take_from(pair.target.fd(), now + pair.delay))
    return After::break_off;
  if (!pair.requests.give_to(pair.target.fd(), now, nullptr)) return After::break_off;
  std::size_t* left = pair.replies_left == 0 ? nullptr : &pair.replies_left;
  if (replies_flow && !pair.replies.give_to(pair.client.fd(), now, left)) return After::break_off;
  return pair.requests.is_done() || pair.replies.is_done() ? After::end : After::more;
}

int Relay::milliseconds_to_next() const {
  if (flow_ == Flow::none) return -1;
  auto next = Clock::time_point::max();
  for (const auto& pair : pairs_) {
    for (const Lane* lane : {&pair->requests, &pair->replies}) {
      if (!lane->pieces.empty() && lane->pieces.front().due > Clock::now())
        next = std::min(next, lane->pieces.front().due);
    }
  }
  if (next == Clock::time_point::max()) return -1;
  return std::max(0, static_cast<int>(std::chrono::ceil<Milliseconds>(next - Clock::now()).count()));
}

void Relay::run() {
  std::unique_lock lock(mutex_);
  std::vector<pollfd> polled;
  while (!stopping_) {
    polled.assign({{wake_.get(), POLLIN, 0}});
    bool open = flow_ != Flow::none && !refusing_;
    polled.push_back({open ? listener_.get() : -1, POLLIN, 0});
    auto watch = [&](const Stream& stream, const Lane& in, const Lane& out, bool flows) {
      short events = 0;
      if (flows && in.has_room()) events |= POLLIN;
      if (flow_ != Flow::none && out.is_due(Clock::now())) events |= POLLOUT;
      // Without a wish for events poll still tells of errors, for ever: such a socket is left out.
      polled.push_back({events == 0 ? -1 : stream.fd(), events, 0});
    };
    for (const auto& pair : pairs_) {
      watch(pair->client, pair->requests, pair->replies, flow_ != Flow::none);
      watch(pair->target, pair->replies, pair->requests, flow_ == Flow::all);
    }
    std::vector<Pair*> watched;
    for (const auto& pair : pairs_) watched.push_back(pair.get());
    int wait = milliseconds_to_next();
    lock.unlock();
    ::poll(polled.data(), polled.size(), wait);
    lock.lock();
    std::uint64_t woken = 0;
    while (::read(wake_.get(), &woken, sizeof woken) > 0) {
    }
    for (std::size_t i = 0; i < watched.size(); ++i) {
      auto at = std::find_if(pairs_.begin(), pairs_.end(), [&](const auto& p) { return p.get() == watched[i]; });
      if (at == pairs_.end()) continue;  // dropped meanwhile
      After after = pump(**at, polled[2 + 2 * i].revents, polled[3 + 2 * i].revents);
      if (after == After::more) continue;
      if (after == After::break_off) {
        (*at)->client.reset();
        (*at)->target.reset();
      }
      pairs_.erase(at);
    }
    if ((polled[1].revents & POLLIN) != 0 && flow_ != Flow::none && !refusing_) accept_one();
  }
}

}  // namespace pillion::support
