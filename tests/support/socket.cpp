#include "support/socket.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstring>
#include <deque>
#include <mutex>
#include <random>
#include <utility>

namespace pillion::support {

namespace {

std::string error_text(const std::string& what) { return what + ": " + std::strerror(errno); }

/// Waits until `events` or the deadline; false when it passes.
bool wait_on(int fd, short events, Deadline deadline) {
  for (;;) {
    pollfd p{fd, events, 0};
    int n = ::poll(&p, 1, deadline.left());
    if (n > 0) return true;
    if (n < 0 && errno == EINTR) continue;
    return false;
  }
}

struct AnyAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
};

AnyAddress address_of(const Endpoint& endpoint) {
  AnyAddress out;
  if (!endpoint.unix_path.empty()) {
    auto& un = reinterpret_cast<sockaddr_un&>(out.storage);
    un.sun_family = AF_UNIX;
    if (endpoint.unix_path.size() >= sizeof un.sun_path) throw std::runtime_error("socket path too long");
    std::memcpy(un.sun_path, endpoint.unix_path.c_str(), endpoint.unix_path.size() + 1);
    out.length = sizeof un;
    return out;
  }
  auto& v4 = reinterpret_cast<sockaddr_in&>(out.storage);
  if (::inet_pton(AF_INET, endpoint.host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(endpoint.port);
    out.length = sizeof v4;
    return out;
  }
  auto& v6 = reinterpret_cast<sockaddr_in6&>(out.storage);
  if (::inet_pton(AF_INET6, endpoint.host.c_str(), &v6.sin6_addr) != 1) {
    throw std::runtime_error("not an address: " + endpoint.host);
  }
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(endpoint.port);
  out.length = sizeof v6;
  return out;
}

}  // namespace

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = other.release();
  }
  return *this;
}
int Fd::release() { return std::exchange(fd_, -1); }
void Fd::close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Endpoint Endpoint::parse(std::string_view text) {
  Endpoint out;
  if (text.starts_with("unix:")) {
    out.unix_path = text.substr(5);
    return out;
  }
  auto colon = text.rfind(':');
  if (colon == std::string_view::npos) throw std::runtime_error("not an endpoint: " + std::string(text));
  out.host = text.substr(0, colon);
  if (out.host.starts_with('[') && out.host.ends_with(']')) out.host = out.host.substr(1, out.host.size() - 2);
  auto port = text.substr(colon + 1);
  auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), out.port);
  if (error != std::errc{} || end != port.data() + port.size()) {
    throw std::runtime_error("not an endpoint: " + std::string(text));
  }
  return out;
}

std::string Endpoint::to_string() const {
  if (!unix_path.empty()) return "unix:" + unix_path;
  bool v6 = host.find(':') != std::string::npos;
  return (v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Stream Stream::connect(const Endpoint& to, Deadline deadline, int receive_buffer) {
  auto address = address_of(to);
  Fd fd(::socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.is_open()) throw std::runtime_error(error_text("socket"));
  if (receive_buffer > 0) ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
  int one = 1;
  if (to.unix_path.empty()) ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address.storage), address.length) != 0) {
    if (errno != EINPROGRESS) throw ConnectionClosed(error_text("connect " + to.to_string()));
    if (!wait_on(fd.get(), POLLOUT, deadline)) throw TimedOut("connect " + to.to_string() + " took too long");
    int error = 0;
    socklen_t length = sizeof error;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &length);
    errno = error;
    if (error != 0) throw ConnectionClosed(error_text("connect " + to.to_string()));
  }
  return Stream(std::move(fd));
}

std::size_t Stream::write_some(std::string_view bytes) {
  ssize_t n = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (n >= 0) return static_cast<std::size_t>(n);
  if (errno == EAGAIN || errno == EINTR) return 0;
  throw ConnectionClosed(error_text("write"), errno == ECONNRESET);
}

bool Stream::wait_writable(Deadline deadline) { return wait_on(fd_.get(), POLLOUT, deadline); }

void Stream::write(std::string_view bytes, Deadline deadline) {
  while (!bytes.empty()) {
    std::size_t n = write_some(bytes);
    bytes.remove_prefix(n);
    if (n == 0 && !wait_writable(deadline)) throw TimedOut("the other side takes no more bytes");
  }
}

bool Stream::fill(Deadline deadline, std::size_t most) {
  for (;;) {
    if (!wait_on(fd_.get(), POLLIN, deadline)) throw TimedOut("nothing more arrived in time");
    std::size_t had = buffer_.size();
    buffer_.resize(had + most);
    ssize_t n = ::recv(fd_.get(), buffer_.data() + had, most, MSG_DONTWAIT);
    int error = errno;
    buffer_.resize(had + static_cast<std::size_t>(n > 0 ? n : 0));
    if (n > 0) return true;
    if (n == 0) return false;
    errno = error;
    if (error != EAGAIN && error != EINTR) throw ConnectionClosed(error_text("read"), error == ECONNRESET);
  }
}

std::string Stream::read_exactly(std::size_t n, Deadline deadline) {
  while (buffer_.size() < n) {
    if (!fill(deadline)) throw ConnectionClosed("closed after " + std::to_string(buffer_.size()) + " bytes");
  }
  std::string out = buffer_.substr(0, n);
  buffer_.erase(0, n);
  return out;
}

std::string Stream::read_until(std::string_view end, Deadline deadline, std::size_t most) {
  std::size_t from = 0;
  for (;;) {
    auto at = buffer_.find(end, from);
    if (at != std::string::npos) return read_exactly(at + end.size(), deadline);
    if (buffer_.size() > most) throw std::runtime_error("no end in sight after " + std::to_string(most) + " bytes");
    from = buffer_.size() >= end.size() ? buffer_.size() - end.size() + 1 : 0;
    if (!fill(deadline)) throw ConnectionClosed("closed after \"" + buffer_.substr(0, 200) + "\"");
  }
}

std::string Stream::read_to_end(Deadline deadline) {
  try {
    while (fill(deadline)) {
    }
  } catch (const ConnectionClosed&) {
  }
  return std::exchange(buffer_, {});
}

bool Stream::closes(Deadline deadline) {
  if (!buffer_.empty()) return false;
  try {
    return !fill(deadline);
  } catch (const ConnectionClosed&) {
    return true;
  } catch (const TimedOut&) {
    return false;
  }
}

bool Stream::stays_silent(Milliseconds time) { return buffer_.empty() && !wait_on(fd_.get(), POLLIN, Deadline(time)); }

void Stream::shutdown_write() { ::shutdown(fd_.get(), SHUT_WR); }
void Stream::shutdown() { ::shutdown(fd_.get(), SHUT_RDWR); }
void Stream::reset() {
  linger hard{1, 0};
  ::setsockopt(fd_.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  fd_.close();
}

namespace {

/// From here on others that say so too may have the port besides, while this one doesn't listen.
void share(const Fd& fd) {
  int one = 1;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
}

Fd bind_on_loopback(std::uint16_t port, bool shared) {
  Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (shared) share(fd);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    throw std::runtime_error(error_text("bind 127.0.0.1:" + std::to_string(port)));
  }
  return fd;
}

}  // namespace

Fd bind_loopback(std::uint16_t port, int backlog) {
  Fd fd = bind_on_loopback(port, true);
  if (backlog >= 0 && ::listen(fd.get(), backlog) != 0) throw std::runtime_error(error_text("listen"));
  return fd;
}

std::uint16_t port_of(const Fd& listener) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length);
  return ntohs(address.sin_port);
}

Fd accept_from(const Fd& listener, Deadline deadline) {
  if (!wait_on(listener.get(), POLLIN, deadline)) throw TimedOut("nobody connected");
  Fd fd(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!fd.is_open()) throw std::runtime_error(error_text("accept"));
  int one = 1;
  ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  return fd;
}

std::uint16_t free_port() {
  static std::mutex mutex;
  static std::mt19937 random{std::random_device{}()};
  static std::deque<Fd> reserved;  // the last ones: those before are in use by now, or never will be
  constexpr std::size_t most_reserved = 256;
  std::uniform_int_distribution<int> range(12000, 31999);
  const std::lock_guard lock(mutex);
  for (int attempt = 0; attempt < 200; ++attempt) {
    auto port = static_cast<std::uint16_t>(range(random));
    try {
      // Nobody listens there and nobody has it reserved: this bind wants the port for itself alone.
      Fd mine = bind_on_loopback(port, false);
      share(mine);
      reserved.push_back(std::move(mine));
      if (reserved.size() > most_reserved) reserved.pop_front();
      return port;
    } catch (const std::runtime_error&) {
    }
  }
  throw std::runtime_error("no free port found");
}

}  // namespace pillion::support
