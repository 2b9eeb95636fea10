// The clients of a measurement: keep-alive connections, each with one request at a time. Checks every answer and prints
// one line of JSON. Leaner than wrk, so that the server is what is measured: one thread, no script, no buffering.
//
//   bench_load --port N --path PATH --body BYTES [options]
//
//   PATH              with `{}` a key's number stands there
//   --keys N          numbers are 0 to N-1, in an order that looks random (default 1)
//   --from N          with --distinct: the first number
//   --distinct        no number twice
//   --connections N   default 64
//   --seconds S       or --requests N: when to end
//   --rate R          so many requests a second, whatever the answers; a latency counts from when its request was due
//   --fresh-path P    with --fresh-every N: each Nth request goes to P, with a number that none had before
//   --burst           each connection asks once, all at the same time
//   --hold            each connection asks once and stays open until standard input ends; `held` is printed then
//   --read BYTES      taken from a socket at a time (default 16 KiB, as curl does): whoever takes more at once spares
//   the
//                     server acknowledgements, which count as its CPU time on loopback
//   --field LINE      a header field to send, repeatable
//
// Exit 0 where all answers were 200 and of the right length, 1 where not, 2 for wrong usage.
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "latencies.hpp"
#include "loopback.hpp"

namespace {

struct Options {
  std::uint16_t port = 0;
  std::string path, fresh_path, fields;
  std::size_t body = 0, connections = 64, read = 16u << 10;
  std::uint64_t keys = 1, from = 0, requests = 0, fresh_every = 0;
  double seconds = 0, rate = 0;
  bool distinct = false, burst = false, hold = false;
};

std::uint64_t now_ns() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000u + static_cast<std::uint64_t>(time.tv_nsec);
}

/// A request line and fields around a number.
class Template {
 public:
  Template(const std::string& path, const std::string& fields) {
    const std::size_t hole = path.find("{}");
    numbered_ = hole != std::string::npos;
    before_ = "GET " + path.substr(0, hole);
    after_ = (numbered_ ? path.substr(hole + 2) : "") + " HTTP/1.1\r\nHost: bench.test\r\n" + fields + "\r\n";
  }
  void put(std::uint64_t number, std::string& out) const {
    out.assign(before_);
    if (numbered_) out += std::to_string(number);
    out += after_;
  }

 private:
  std::string before_, after_;
  bool numbered_ = false;
};

struct Connection {
  int socket = -1;
  std::uint64_t begun = 0;  // when its request was sent, or due
  std::size_t missing = 0;  // of the answer's body
  bool busy = false, in_body = false, fresh = false;
  std::string head;  // of an answer that came in pieces
};

class Load {
 public:
  explicit Load(const Options& options)
      : options_(options),
        usual_(options.path, options.fields),
        fresh_(options.fresh_path, options.fields),
        connections_(options.connections),
        buffer_(options.read),
        poll_(epoll_create1(EPOLL_CLOEXEC)),
        number_(options.from) {
    // So that runs of this program don't ask for each other's fresh keys.
    fresh_number_ = static_cast<std::uint64_t>(std::chrono::system_clock::now().time_since_epoch().count());
  }

  int run() {
    connect_all();
    begun_ = now_ns();
    if (options_.rate > 0)
      run_at_rate();
    else
      run_closed();
    ended_ = now_ns();
    if (open_ > 0) {
      errors_ += open_;
      sample_ = "no answer within ten seconds";
    }
    if (options_.hold) {
      std::puts("held");
      std::fflush(stdout);
      char byte;
      while (read(STDIN_FILENO, &byte, 1) > 0) {
      }
    }
    print();
    return errors_ == 0 && wrong_ == 0 && lost_ == 0 ? 0 : 1;
  }

 private:
  void connect_all() {
    const sockaddr_in address = bench::loopback(options_.port);
    for (std::size_t i = 0; i < connections_.size(); ++i) {
      const int socket = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
      if (socket < 0) bench::fail("socket");
      if (connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) bench::fail("connect");
      bench::set_option(socket, IPPROTO_TCP, TCP_NODELAY);
      fcntl(socket, F_SETFL, O_NONBLOCK);
      connections_[i].socket = socket;
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.u64 = i;
      if (epoll_ctl(poll_, EPOLL_CTL_ADD, socket, &event) != 0) bench::fail("epoll_ctl");
    }
  }

  bool asks_once() const { return options_.burst || options_.hold; }

  void run_closed() {
    const std::uint64_t end = options_.seconds > 0 ? begun_ + seconds_ns(options_.seconds) : 0;
    const std::uint64_t most = asks_once() ? connections_.size() : options_.requests;
    for (Connection& connection : connections_)
      if (most == 0 || sent_ < most) ask(connection, now_ns());
    while (open_ > 0 && wait(10'000)) {
      for (int i = 0; i < ready_; ++i) {
        Connection& connection = connections_[events_[i].data.u64];
        if (!take(connection)) continue;
        const std::uint64_t now = now_ns();
        if ((end == 0 || now < end) && (most == 0 || sent_ < most)) ask(connection, now);
      }
    }
  }

  // Answers come when they come; requests go when they are due, over whichever connection is idle.
  void run_at_rate() {
    std::vector<std::size_t> idle(connections_.size());
    for (std::size_t i = 0; i < idle.size(); ++i) idle[i] = i;
    const double step = 1e9 / options_.rate;
    const auto most = static_cast<std::uint64_t>(options_.rate * options_.seconds);
    for (std::uint64_t due = 0; due < most || open_ > 0;) {
      const std::uint64_t now = now_ns();
      std::uint64_t next = begun_ + static_cast<std::uint64_t>(static_cast<double>(due) * step);
      while (due < most && next <= now && !idle.empty()) {
        ask(connections_[idle.back()], next);
        idle.pop_back();
        next = begun_ + static_cast<std::uint64_t>(static_cast<double>(++due) * step);
      }
      const bool waits_for_answers = due >= most || idle.empty();
      if (!wait_ns(waits_for_answers ? 10'000'000'000 : next - std::min(next, now_ns())) && waits_for_answers) return;
      for (int i = 0; i < ready_; ++i)
        if (take(connections_[events_[i].data.u64])) idle.push_back(events_[i].data.u64);
    }
  }

  static std::uint64_t seconds_ns(double seconds) { return static_cast<std::uint64_t>(seconds * 1e9); }

  bool wait(int ms) { return wait_ns(static_cast<std::uint64_t>(ms) * 1'000'000); }
  // False where nothing came in time: with requests open, the server hangs.
  bool wait_ns(std::uint64_t ns) {
    timespec time{static_cast<time_t>(ns / 1'000'000'000), static_cast<long>(ns % 1'000'000'000)};
    ready_ = epoll_pwait2(poll_, events_, std::size(events_), &time, nullptr);
    if (ready_ < 0 && errno != EINTR) bench::fail("epoll_pwait2");
    ready_ = std::max(ready_, 0);
    return ready_ > 0;
  }

  void ask(Connection& connection, std::uint64_t at) {
    connection.fresh = options_.fresh_every > 0 && sent_ % options_.fresh_every == options_.fresh_every - 1;
    if (connection.fresh)
      fresh_.put(fresh_number_++, request_);
    else
      usual_.put(next_number(), request_);
    connection.begun = at;
    connection.busy = true;
    connection.in_body = false;
    connection.head.clear();
    ++sent_;
    ++open_;
    if (send(connection.socket, request_.data(), request_.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request_.size()))
      drop(connection);
  }

  std::uint64_t next_number() {
    if (options_.distinct) return number_++;
    if (options_.keys <= 1) return 0;
    // xorshift64*: neighbours in time are no neighbours in memory.
    random_ ^= random_ >> 12;
    random_ ^= random_ << 25;
    random_ ^= random_ >> 27;
    return static_cast<std::uint64_t>(
        (static_cast<unsigned __int128>(random_ * 2685821657736338717u) * options_.keys) >> 64);
  }

  void drop(Connection& connection) {
    ++lost_;
    --open_;
    connection.busy = false;
    epoll_ctl(poll_, EPOLL_CTL_DEL, connection.socket, nullptr);
  }

  // True where the answer is complete.
  bool take(Connection& connection) {
    if (!connection.busy) {  // closed while it was idle
      ++errors_;
      epoll_ctl(poll_, EPOLL_CTL_DEL, connection.socket, nullptr);
      return false;
    }
    do {
      const ssize_t got = recv(connection.socket, buffer_.data(), buffer_.size(), 0);
      if (got < 0 && errno == EAGAIN) return false;
      if (got <= 0) {
        drop(connection);
        return false;
      }
      std::string_view bytes(buffer_.data(), static_cast<std::size_t>(got));
      if (!connection.in_body && !take_head(connection, bytes)) continue;
      if (bytes.size() > connection.missing) {
        ++errors_;
        connection.missing = bytes.size();
      }
      connection.missing -= bytes.size();
    } while (!connection.in_body || connection.missing > 0);
    const std::uint64_t spent = now_ns() - connection.begun;
    all_.add(spent);
    if (!connection.fresh && options_.fresh_every > 0) known_.add(spent);
    connection.busy = false;
    --open_;
    return true;
  }

  // False until the head is there. `bytes` becomes what follows it.
  bool take_head(Connection& connection, std::string_view& bytes) {
    std::string_view head = bytes;
    const std::size_t before = connection.head.size();
    if (before > 0) {
      connection.head += bytes;
      head = connection.head;
    }
    const std::size_t end = head.find("\r\n\r\n");
    if (end == std::string_view::npos) {
      if (before == 0) connection.head = bytes;
      return false;
    }
    check(head.substr(0, end + 2), connection);
    bytes.remove_prefix(end + 4 - before);
    connection.in_body = true;
    return true;
  }

  void check(std::string_view head, Connection& connection) {
    if (!head.starts_with("HTTP/1.1 200 ")) {
      ++wrong_;
      if (sample_.empty()) sample_ = head.substr(0, head.find('\r'));
    }
    const std::optional<std::size_t> length = length_of(head);
    connection.missing = length.value_or(0);
    if (head.starts_with("HTTP/1.1 200 ") && length != options_.body) {
      ++errors_;
      if (sample_.empty()) sample_ = "an answer of another length than was expected, or of none";
    }
  }

  static std::optional<std::size_t> length_of(std::string_view head) {
    static constexpr std::string_view name = "\r\ncontent-length:";
    for (std::size_t line = head.find("\r\n"); line != std::string_view::npos && line + name.size() < head.size();
         line = head.find("\r\n", line + 2)) {
      if (strncasecmp(head.data() + line, name.data(), name.size()) == 0)
        return static_cast<std::size_t>(std::strtoull(head.data() + line + name.size(), nullptr, 10));
    }
    return std::nullopt;
  }

  static void print_quantiles(const char* prefix, const bench::Latencies& latencies) {
    std::printf(", \"%sp50_us\": %.2f, \"%sp99_us\": %.2f, \"%sp999_us\": %.2f, \"%smax_us\": %.2f", prefix,
                latencies.quantile_us(0.5), prefix, latencies.quantile_us(0.99), prefix, latencies.quantile_us(0.999),
                prefix, latencies.max_us());
  }

  void print() const {
    rusage used{};
    getrusage(RUSAGE_SELF, &used);
    const double cpu = static_cast<double>(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                       static_cast<double>(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    std::printf("{\"requests\": %llu, \"seconds\": %.6f, \"own_cpu_seconds\": %.3f, \"next_number\": %llu",
                static_cast<unsigned long long>(all_.count()), static_cast<double>(ended_ - begun_) / 1e9, cpu,
                static_cast<unsigned long long>(number_));
    print_quantiles("", all_);
    if (options_.fresh_every > 0) print_quantiles("known_", known_);
    std::printf(", \"errors\": %llu, \"not_200\": %llu, \"lost\": %llu, \"sample\": \"%s\"}\n",
                static_cast<unsigned long long>(errors_), static_cast<unsigned long long>(wrong_),
                static_cast<unsigned long long>(lost_), sample_.c_str());
  }

  const Options options_;
  const Template usual_, fresh_;
  std::vector<Connection> connections_;
  std::vector<char> buffer_;
  std::string request_, sample_;
  epoll_event events_[1024];
  const int poll_;
  int ready_ = 0;
  std::uint64_t number_, fresh_number_ = 0, random_ = 88172645463325252u;
  std::uint64_t sent_ = 0, open_ = 0, errors_ = 0, wrong_ = 0, lost_ = 0, begun_ = 0, ended_ = 0;
  bench::Latencies all_, known_;
};

// False for wrong usage.
bool read_options(int argc, char** argv, Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view name = argv[i];
    if (name == "--distinct" || name == "--burst" || name == "--hold") {
      (name == "--distinct" ? options.distinct : name == "--burst" ? options.burst : options.hold) = true;
      continue;
    }
    if (++i == argc) return false;
    const char* value = argv[i];
    if (name == "--port")
      options.port = static_cast<std::uint16_t>(std::atoi(value));
    else if (name == "--path")
      options.path = value;
    else if (name == "--body")
      options.body = std::strtoull(value, nullptr, 10);
    else if (name == "--keys")
      options.keys = std::strtoull(value, nullptr, 10);
    else if (name == "--from")
      options.from = std::strtoull(value, nullptr, 10);
    else if (name == "--connections")
      options.connections = std::strtoull(value, nullptr, 10);
    else if (name == "--read")
      options.read = std::strtoull(value, nullptr, 10);
    else if (name == "--seconds")
      options.seconds = std::strtod(value, nullptr);
    else if (name == "--requests")
      options.requests = std::strtoull(value, nullptr, 10);
    else if (name == "--rate")
      options.rate = std::strtod(value, nullptr);
    else if (name == "--fresh-path")
      options.fresh_path = value;
    else if (name == "--fresh-every")
      options.fresh_every = std::strtoull(value, nullptr, 10);
    else if (name == "--field")
      options.fields += std::string(value) + "\r\n";
    else
      return false;
  }
  const bool ends =
      options.seconds > 0 || (options.rate == 0 && (options.requests > 0 || options.burst || options.hold));
  return options.port != 0 && !options.path.empty() && options.connections > 0 && options.read > 0 && ends;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  if (!read_options(argc, argv, options)) {
    std::fprintf(stderr, "bench_load: wrong usage; see the top of tests/bench/load.cpp\n");
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  return std::make_unique<Load>(options)->run();
}
