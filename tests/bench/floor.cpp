// What the kernel takes for a request and its answer: an epoll loop that reads until an empty line and writes one fixed
// answer. It understands nothing of HTTP. Every proxy pays this much and its own work on top.
//
//   bench_floor PORT BODY_BYTES
#include <sys/epoll.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>
#include <vector>

#include "loopback.hpp"

namespace {

std::string make_answer(std::size_t body) {
  return "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: application/json\r\n"
         "Cache-Control: max-age=3600\r\nContent-Length: " +
         std::to_string(body) + "\r\nAge: 1\r\n\r\n" + std::string(body, 'f');
}

class Floor {
 public:
  Floor(std::uint16_t port, std::size_t body)
      : answer_(make_answer(body)), listener_(bench::listen_on(port)), poll_(epoll_create1(EPOLL_CLOEXEC)) {
    watch(EPOLL_CTL_ADD, listener_, EPOLLIN);
  }

  [[noreturn]] void run() {
    std::vector<epoll_event> events(1024);
    for (;;) {
      const int count = epoll_wait(poll_, events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < count; ++i) {
        const int socket = events[static_cast<std::size_t>(i)].data.fd;
        if (socket == listener_)
          take();
        else
          serve(socket);
      }
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
      if (sent_.size() <= static_cast<std::size_t>(socket)) sent_.resize(static_cast<std::size_t>(socket) + 1);
      sent_[static_cast<std::size_t>(socket)] = 0;
      watch(EPOLL_CTL_ADD, socket, EPOLLIN);
    }
  }

  void serve(int socket) {
    std::size_t& sent = sent_[static_cast<std::size_t>(socket)];
    const bool waited = sent != 0;
    if (!waited) {
      const ssize_t got = recv(socket, buffer_, sizeof buffer_, 0);
      if (got < 0 && errno == EAGAIN) return;
      if (got <= 0) {
        close(socket);
        return;
      }
      if (!memmem(buffer_, static_cast<std::size_t>(got), "\r\n\r\n", 4)) return;
    }
    while (sent < answer_.size()) {
      const ssize_t put = send(socket, answer_.data() + sent, answer_.size() - sent, MSG_NOSIGNAL);
      if (put < 0 && errno != EAGAIN) {
        close(socket);
        return;
      }
      if (put < 0) break;
      sent += static_cast<std::size_t>(put);
    }
    const bool waits = sent < answer_.size();
    if (!waits) sent = 0;
    if (waits != waited) watch(EPOLL_CTL_MOD, socket, waits ? EPOLLOUT : EPOLLIN);
  }

  const std::string answer_;
  const int listener_, poll_;
  std::vector<std::size_t> sent_;  // by socket: of an answer that didn't fit
  char buffer_[65536];
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: bench_floor PORT BODY_BYTES\n");
    return 2;
  }
  static Floor floor(static_cast<std::uint16_t>(std::atoi(argv[1])), static_cast<std::size_t>(std::atoll(argv[2])));
  floor.run();
}
