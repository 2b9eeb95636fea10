#include "telemetry/log.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <regex>
#include <string>
#include <thread>
#include <vector>

#include "telemetry/access_queue.hpp"

using namespace pillion;

namespace {

/// Puts a descriptor of this process on the writing end of a pipe for as long as it lives.
class Capture {
 public:
  explicit Capture(int fd) : fd_(fd), saved_(::dup(fd)) {
    REQUIRE(::pipe2(ends_, O_CLOEXEC) == 0);
    ::dup2(ends_[1], fd_);
  }
  ~Capture() {
    restore();
    ::close(ends_[0]);
  }
  /// Everything written until now; the descriptor is as before afterwards.
  std::string finish() {
    restore();
    std::string all;
    char bytes[4096];
    for (ssize_t n; (n = ::read(ends_[0], bytes, sizeof bytes)) > 0;) all.append(bytes, static_cast<std::size_t>(n));
    return all;
  }
  void break_pipe() {
    ::close(ends_[0]);
    ends_[0] = -1;
  }

 private:
  void restore() {
    if (saved_ < 0) return;
    ::dup2(saved_, fd_);
    ::close(saved_);
    ::close(ends_[1]);
    saved_ = -1;
  }
  int fd_, saved_, ends_[2];
};

std::string escaped(std::string_view text) {
  std::string out;
  append_json_escaped(text, out);
  return out;
}

AccessRecord record() {
  AccessRecord r;
  r.time_ms = 1767323045678;  // 2026-01-02T03:04:05.678Z
  r.method = "GET";
  r.path = "/a?b=\"c\"";
  r.route = "all";
  r.status = 200;
  r.result = "hit";
  r.bytes = 1234;
  r.duration_us = 1'045;
  return r;
}

std::string lines_of(const std::vector<AccessRecord>& records) {
  Capture out(STDOUT_FILENO);
  {
    Log log{config::Log{}};
    for (const auto& r : records) log.access(r);
  }
  return out.finish();
}

}  // namespace

TEST_CASE("nothing that a client sends can break a JSON string") {
  struct Row {
    std::string_view text, expected;
  };
  using namespace std::string_view_literals;
  const Row rows[] = {
      {"plain/é/漢/😀", "plain/é/漢/😀"},
      {"\"\\", "\\\"\\\\"},
      {"a\nb\r\t\x1b[31m\x7f"sv, "a\\u000ab\\u000d\\u0009\\u001b[31m\\u007f"},
      {"\0"sv, "\\u0000"},
      {"\xc2\x9b", "\\u009b"},
      {"\x80", "\\ufffd"},
      {"\xc3", "\\ufffd"},
      {"\xc3(", "\\ufffd("},
      {"\xc0\xaf", "\\ufffd\\ufffd"},
      {"\xe0\x80\xaf", "\\ufffd\\ufffd\\ufffd"},
      {"\xed\xa0\x80", "\\ufffd\\ufffd\\ufffd"},
      {"\xf4\x90\x80\x80", "\\ufffd\\ufffd\\ufffd\\ufffd"},
      {"\xf0\x9f\x98", "\\ufffd\\ufffd\\ufffd"},
      {"\xff\xfe", "\\ufffd\\ufffd"},
  };
  for (const Row& row : rows) CHECK(escaped(row.text) == row.expected);
}

TEST_CASE("an access line has these keys in this order, and those without a value are left out") {
  AccessRecord full = record();
  full.tier = "memory";
  full.upstream_us = 2'000'007;
  full.request_id = "r-1";
  full.trace_id = "abc";
  CHECK(lines_of({record(), full}) ==
        R"({"time":"2026-01-02T03:04:05.678Z","method":"GET","path":"/a?b=\"c\"","route":"all","status":200,)"
        R"("result":"hit","bytes":1234,"duration_ms":1.045})"
        "\n"
        R"({"time":"2026-01-02T03:04:05.678Z","method":"GET","path":"/a?b=\"c\"","route":"all","status":200,)"
        R"("result":"hit","tier":"memory","bytes":1234,"duration_ms":1.045,"upstream_ms":2000.007,)"
        R"("request_id":"r-1","trace_id":"abc"})"
        "\n");
}

TEST_CASE("a message is one line with time and level, and levels below the setting are silent") {
  Capture err(STDERR_FILENO);
  {
    config::Log settings;
    settings.level = config::LogLevel::info;
    Log log(settings);
    log.debug("not said");
    log.info("it says {} \x1b[2J and\nmore");
    settings.level = config::LogLevel::error;
    log.configure(settings);
    log.warn("not said");
    log.error("broken");
    log.error(std::string(100'000, 'x'));
  }
  const std::string all = err.finish();
  const std::string time = R"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z )";
  CAPTURE(all.substr(0, 300));
  CHECK(all.size() < 4500);
  CHECK(std::regex_match(all.substr(0, all.find(" xxx")), std::regex(time + R"(info it says \{\}  \[2J and more\n)" +
                                                                     time + "error broken\n" + time + "error")));
}

TEST_CASE("the access setting decides which requests are written") {
  Log log{config::Log{}};
  const auto wanted = [&](double share, bool errors_only, unsigned status) {
    config::Log settings;
    settings.access_share = share;
    settings.access_errors_only = errors_only;
    log.configure(settings);
    int n = 0;
    for (int i = 0; i < 100'000; ++i) n += log.wants_access(status);
    return n;
  };
  CHECK(wanted(1, false, 200) == 100'000);
  CHECK(wanted(0, false, 500) == 0);
  CHECK(wanted(1, true, 399) == 0);
  CHECK(wanted(1, true, 400) == 100'000);
  CHECK(wanted(1, true, 502) == 100'000);
  CHECK(wanted(-1, false, 200) == 0);
  CHECK(wanted(0.01, false, 200) == doctest::Approx(1'000).epsilon(0.2));
  CHECK(wanted(0.5, false, 200) == doctest::Approx(50'000).epsilon(0.02));
}

TEST_CASE("a reader that doesn't read blocks nobody, and what doesn't fit is counted") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  std::uint64_t dropped = 0;
  {
    AccessQueue queue(ends[1]);
    const std::string line(1023, 'x');
    for (int i = 0; i < 4096; ++i) queue.push(line + '\n');  // 4 MiB; pipe and queue hold less
    dropped = queue.dropped();
    CHECK(dropped > 1000);
  }  // returns, though nobody reads
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("a reader that comes later gets whole lines in order") {
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  std::string got;
  std::thread reader;
  {
    AccessQueue queue(ends[1]);
    for (int i = 0; i < 5000; ++i) queue.push("line " + std::to_string(i) + ' ' + std::string(100, 'x') + '\n');
    CHECK(queue.dropped() == 0);
    reader = std::thread([&] {
      char bytes[4096];
      for (ssize_t n; (n = ::read(ends[0], bytes, sizeof bytes)) > 0;) got.append(bytes, static_cast<std::size_t>(n));
    });
  }
  ::close(ends[1]);
  reader.join();
  ::close(ends[0]);
  std::string expected;
  for (int i = 0; i < 5000; ++i) expected += "line " + std::to_string(i) + ' ' + std::string(100, 'x') + '\n';
  CHECK((got == expected));
}

TEST_CASE("a closed or broken descriptor costs the lines and nothing else") {
  const auto previous = std::signal(SIGPIPE, SIG_IGN);
  int ends[2];
  REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
  ::close(ends[0]);
  {
    AccessQueue queue(ends[1]);
    queue.push("a\nb\n");
  }
  ::close(ends[1]);
  {
    AccessQueue queue(ends[1]);
    queue.push("a\n");
  }
  {
    AccessQueue queue(-1);
    queue.push("a\n");
  }
  std::signal(SIGPIPE, previous);
}
