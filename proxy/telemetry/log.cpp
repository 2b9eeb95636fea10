// Messages through spdlog to standard error; access lines, put together here, through AccessQueue to standard output.
#include "telemetry/log.hpp"

#include <poll.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>

#include "telemetry/access_queue.hpp"

namespace pillion {
namespace {

/// Standard error, unless it would block: a container runtime that doesn't read must not stop a worker.
class StderrSink final : public spdlog::sinks::base_sink<std::mutex> {
 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    pollfd p{STDERR_FILENO, POLLOUT, 0};
    // A pipe that poll() calls writable takes PIPE_BUF (4096) bytes at once. Messages are cut to fewer.
    if (::poll(&p, 1, 0) == 1 && ::write(STDERR_FILENO, line.data(), line.size()) < 0) return;  // nowhere to say it
  }
  void flush_() override {}
};

constexpr std::size_t max_message = 3500;

/// One line, without control characters: part of it may be the words of a server or a client.
std::string one_line(std::string_view message) {
  std::string line(message.substr(0, max_message));
  std::replace_if(line.begin(), line.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  return line;
}

spdlog::level::level_enum level_of(config::LogLevel level) {
  switch (level) {
    case config::LogLevel::debug:
      return spdlog::level::debug;
    case config::LogLevel::info:
      return spdlog::level::info;
    case config::LogLevel::warn:
      return spdlog::level::warn;
    case config::LogLevel::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

/// Length of the UTF-8 sequence at the beginning of `text` (RFC 3629), 0 where there is none.
std::size_t utf8_sequence(std::string_view text) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned first = byte(0);
  const std::size_t size = first < 0x80   ? 1
                           : first < 0xc2 ? 0
                           : first < 0xe0 ? 2
                           : first < 0xf0 ? 3
                           : first < 0xf5 ? 4
                                          : 0;
  if (size > text.size()) return 0;
  for (std::size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  if (size > 2) {  // overlong forms, surrogates, beyond U+10FFFF
    const unsigned second = byte(1);
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) || (first == 0xf0 && second < 0x90) ||
        (first == 0xf4 && second > 0x8f))
      return 0;
  }
  return size;
}

void append_control(unsigned char c, std::string& out) {
  constexpr char hex[] = "0123456789abcdef";
  out += "\\u00";
  out += hex[c >> 4];
  out += hex[c & 15];
}

void append_number(std::uint64_t value, std::string& out) {
  char digits[20];
  char* at = digits + sizeof digits;
  do {
    *--at = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0);
  out.append(at, static_cast<std::size_t>(digits + sizeof digits - at));
}

/// Three digits of a number below 1000.
void append_thousandths(std::uint64_t value, std::string& out) {
  out += static_cast<char>('0' + value / 100);
  out += static_cast<char>('0' + value / 10 % 10);
  out += static_cast<char>('0' + value % 10);
}

/// RFC 3339 with milliseconds, UTC.
void append_time(std::int64_t ms, std::string& out) {
  thread_local std::int64_t last_second = -1;
  thread_local std::array<char, 32> text{};
  const std::int64_t second = ms / 1000;
  if (second != last_second) {
    const time_t t = second;
    tm parts{};
    ::gmtime_r(&t, &parts);
    std::strftime(text.data(), text.size(), "%Y-%m-%dT%H:%M:%S.", &parts);
    last_second = second;
  }
  out += text.data();
  append_thousandths(static_cast<std::uint64_t>(ms % 1000), out);
  out += 'Z';
}

/// Milliseconds with three decimals.
void append_ms(std::uint64_t us, std::string& out) {
  append_number(us / 1000, out);
  out += '.';
  append_thousandths(us % 1000, out);
}

void append_text(std::string_view key, std::string_view value, std::string& out) {
  out += key;
  append_json_escaped(value, out);
  out += '"';
}

void append_line(const AccessRecord& r, std::string& out) {
  out += "{\"time\":\"";
  append_time(std::max<std::int64_t>(r.time_ms, 0), out);
  append_text("\",\"method\":\"", r.method, out);
  append_text(",\"path\":\"", r.path, out);
  append_text(",\"route\":\"", r.route, out);
  out += ",\"status\":";
  append_number(r.status, out);
  append_text(",\"result\":\"", r.result, out);
  if (!r.tier.empty()) append_text(",\"tier\":\"", r.tier, out);
  if (!r.coding.empty()) append_text(",\"coding\":\"", r.coding, out);
  out += ",\"bytes\":";
  append_number(r.bytes, out);
  out += ",\"duration_ms\":";
  append_ms(r.duration_us, out);
  if (r.upstream_us != 0) {
    out += ",\"upstream_ms\":";
    append_ms(r.upstream_us, out);
  }
  if (!r.request_id.empty()) append_text(",\"request_id\":\"", r.request_id, out);
  if (!r.trace_id.empty()) append_text(",\"trace_id\":\"", r.trace_id, out);
  out += "}\n";
}

/// splitmix64 (Vigna): even enough for a share, no state shared between threads.
std::uint32_t next_random() noexcept {
  thread_local std::uint64_t state = reinterpret_cast<std::uintptr_t>(&state);
  std::uint64_t z = (state += 0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return static_cast<std::uint32_t>(z >> 32);
}

}  // namespace

void append_json_escaped(std::string_view text, std::string& out) {
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text.front());
    const std::size_t size = utf8_sequence(text);
    const bool c1_control = size == 2 && c == 0xc2 && static_cast<unsigned char>(text[1]) < 0xa0;
    if (size == 0) {
      out += "\\ufffd";
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c < 0x20 || c == 0x7f) {
      append_control(c, out);
    } else if (c1_control) {  // a terminal obeys U+009B as it does ESC [
      append_control(static_cast<unsigned char>(text[1]), out);
    } else {
      out.append(text, 0, size);
    }
    text.remove_prefix(std::max<std::size_t>(size, 1));
  }
}

struct Log::Impl {
  Impl() : messages("pillion", std::make_shared<StderrSink>()), lines(STDOUT_FILENO) {
    messages.set_formatter(
        std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%S.%eZ %v", spdlog::pattern_time_type::utc));
  }
  void say(config::LogLevel level, std::string_view word, std::string_view message) {
    const auto spdlog_level = level_of(level);
    if (messages.should_log(spdlog_level)) messages.log(spdlog_level, "{} {}", word, one_line(message));
  }

  spdlog::logger messages;
  AccessQueue lines;
  std::atomic<std::uint64_t> share{0};  // of 2^32
  std::atomic<bool> errors_only{false};
};

Log::Log(const config::Log& settings) : impl_(std::make_unique<Impl>()) { configure(settings); }
Log::~Log() = default;

void Log::configure(const config::Log& settings) {
  constexpr double whole = 4294967296.0;
  const double share = settings.access_share;
  impl_->share = share >= 1  ? static_cast<std::uint64_t>(whole)
                 : share > 0 ? static_cast<std::uint64_t>(share * whole)
                             : 0;
  impl_->errors_only = settings.access_errors_only;
  impl_->messages.set_level(level_of(settings.level));
}

void Log::debug(std::string_view message) { impl_->say(config::LogLevel::debug, "debug", message); }
void Log::info(std::string_view message) { impl_->say(config::LogLevel::info, "info", message); }
void Log::warn(std::string_view message) { impl_->say(config::LogLevel::warn, "warn", message); }
void Log::error(std::string_view message) { impl_->say(config::LogLevel::error, "error", message); }

bool Log::wants_access(unsigned status) noexcept {
  if (impl_->errors_only.load(std::memory_order_relaxed) && status < 400) return false;
  const std::uint64_t share = impl_->share.load(std::memory_order_relaxed);
  return share >> 32 != 0 || (share != 0 && next_random() < share);
}

void Log::access(const AccessRecord& record) {
  thread_local std::string line;
  line.clear();
  append_line(record, line);
  impl_->lines.push(line);
}

std::uint64_t Log::dropped() const noexcept { return impl_->lines.dropped(); }

}  // namespace pillion
