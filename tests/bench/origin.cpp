// The application behind every proxy that is measured. One thread, epoll.
//
//   bench_origin PORT
//
//   /hit/BYTES/ANYTHING         may be stored for an hour
//   /pass/BYTES/ANYTHING        may not
//   /slow/MS/BYTES/ANYTHING     may be stored, and takes that long
//   /count                      how many of those it has answered, as text
#include <sys/epoll.h>

#include <cerrno>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstring>
#include <ctime>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "loopback.hpp"

namespace {

using Clock = std::chrono::steady_clock;

struct Connection {
  explicit Connection(int number) : socket(number) {}
  ~Connection() { close(socket); }
  const int socket;
  std::string in, out;
  std::size_t sent = 0;
  bool waits_to_send = false, held = false;
};

struct Asked {
  std::string_view kind;
  unsigned delay_ms = 0;
  std::size_t bytes = 0;
};

// The next part of a path that is a number.
std::size_t take_number(std::string_view& path) {
  std::size_t number = 0;
  if (path.starts_with('/')) path.remove_prefix(1);
  const auto [end, error] = std::from_chars(path.data(), path.data() + path.size(), number);
  path.remove_prefix(static_cast<std::size_t>(end - path.data()));
  return number;
}

Asked read_request(std::string_view head) {
  Asked asked;
  const std::size_t begin = head.find(' ') + 1;
  std::string_view path = head.substr(begin, head.find(' ', begin) - begin);
  if (path.starts_with('/')) path.remove_prefix(1);
  asked.kind = path.substr(0, path.find('/'));
  path.remove_prefix(asked.kind.size());
  if (asked.kind == "slow") asked.delay_ms = static_cast<unsigned>(take_number(path));
  asked.bytes = std::min<std::size_t>(take_number(path), 16u << 20);
  return asked;
}

class Origin {
 public:
  explicit Origin(std::uint16_t port) : listener_(bench::listen_on(port)), poll_(epoll_create1(EPOLL_CLOEXEC)) {
    watch(EPOLL_CTL_ADD, listener_, EPOLLIN);
  }

  [[noreturn]] void run() {
    std::vector<epoll_event> events(1024);
    for (;;) {
      const int count = epoll_wait(poll_, events.data(), static_cast<int>(events.size()), wait_ms());
      for (int i = 0; i < count; ++i) {
        const int socket = events[static_cast<std::size_t>(i)].data.fd;
        if (socket == listener_)
          take();
        else if (const auto found = connections_.find(socket); found != connections_.end() && !serve(*found->second))
          connections_.erase(found);
      }
      answer_late_ones();
    }
  }

 private:
  void watch(int operation, int socket, std::uint32_t what) {
    epoll_event event{};
    event.events = what;
    event.data.fd = socket;
    if (epoll_ctl(poll_, operation, socket, &event) != 0) bench::fail("epoll_ctl");
  }

  void take() {
    for (int socket; (socket = bench::accept_on(listener_)) >= 0;) {
      connections_.emplace(socket, std::make_shared<Connection>(socket));
      watch(EPOLL_CTL_ADD, socket, EPOLLIN);
    }
  }

  int wait_ms() const {
    if (late_.empty()) return -1;
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(late_.begin()->first - Clock::now()).count();
    return static_cast<int>(std::max<std::int64_t>(0, left));
  }

  void answer_late_ones() {
    while (!late_.empty() && late_.begin()->first <= Clock::now()) {
      const auto [connection, bytes] = late_.begin()->second;
      late_.erase(late_.begin());
      const std::shared_ptr<Connection> open = connection.lock();
      if (!open) continue;
      open->held = false;
      put_answer(*open, bytes, true);
      if (!serve(*open)) connections_.erase(open->socket);
    }
  }

  // False where the connection is over.
  bool serve(Connection& connection) {
    char buffer[65536];
    for (;;) {
      const ssize_t got = recv(connection.socket, buffer, sizeof buffer, 0);
      if (got == 0 || (got < 0 && errno != EAGAIN)) return false;
      if (got < 0) break;
      connection.in.append(buffer, static_cast<std::size_t>(got));
      if (static_cast<std::size_t>(got) < sizeof buffer) break;
    }
    for (std::size_t end; !connection.held && (end = connection.in.find("\r\n\r\n")) != std::string::npos;) {
      answer(connection, read_request(std::string_view(connection.in).substr(0, end)));
      connection.in.erase(0, end + 4);
    }
    return flush(connection);
  }

  void answer(Connection& connection, const Asked& asked) {
    if (asked.kind == "count") {
      const std::string text = std::to_string(answered_);
      connection.out += "HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: " + std::to_string(text.size()) +
                        "\r\n\r\n" + text;
      return;
    }
    ++answered_;
    if (asked.delay_ms == 0) return put_answer(connection, asked.bytes, asked.kind != "pass");
    connection.held = true;
    late_.emplace(Clock::now() + std::chrono::milliseconds(asked.delay_ms),
                  std::pair{std::weak_ptr(connections_.at(connection.socket)), asked.bytes});
  }

  void put_answer(Connection& connection, std::size_t bytes, bool may_be_stored) {
    const std::time_t now = std::time(nullptr);
    if (now != dated_) {
      dated_ = now;
      std::strftime(date_, sizeof date_, "%a, %d %b %Y %H:%M:%S GMT", std::gmtime(&now));
    }
    char head[256];
    const int size =
        std::snprintf(head, sizeof head,
                      "HTTP/1.1 200 OK\r\nDate: %s\r\nContent-Type: application/json\r\nCache-Control: %s\r\n"
                      "Content-Length: %zu\r\n\r\n",
                      date_, may_be_stored ? "max-age=3600" : "no-store", bytes);
    connection.out.append(head, static_cast<std::size_t>(size)).append(body(bytes));
  }

  // Always the same for a size, and nothing that compresses to nothing.
  const std::string& body(std::size_t bytes) {
    std::string& text = bodies_[bytes];
    std::uint32_t state = 2463534242u;
    while (text.size() < bytes) {
      state ^= state << 13;
      state ^= state >> 17;
      state ^= state << 5;
      text += static_cast<char>('0' + state % 75);
    }
    return text;
  }

  bool flush(Connection& connection) {
    while (connection.sent < connection.out.size()) {
      const ssize_t put = send(connection.socket, connection.out.data() + connection.sent,
                               connection.out.size() - connection.sent, MSG_NOSIGNAL);
      if (put < 0 && errno != EAGAIN) return false;
      if (put < 0) break;
      connection.sent += static_cast<std::size_t>(put);
    }
    const bool waits = connection.sent < connection.out.size();
    if (!waits) {
      connection.out.clear();
      connection.sent = 0;
    }
    if (waits != connection.waits_to_send) {
      connection.waits_to_send = waits;
      watch(EPOLL_CTL_MOD, connection.socket, waits ? EPOLLIN | EPOLLOUT : EPOLLIN);
    }
    return true;
  }

  const int listener_, poll_;
  std::unordered_map<int, std::shared_ptr<Connection>> connections_;
  std::multimap<Clock::time_point, std::pair<std::weak_ptr<Connection>, std::size_t>> late_;
  std::unordered_map<std::size_t, std::string> bodies_;
  std::uint64_t answered_ = 0;
  std::time_t dated_ = 0;
  char date_[64] = {};
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: bench_origin PORT\n");
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  static Origin origin(static_cast<std::uint16_t>(std::atoi(argv[1])));
  origin.run();
}
