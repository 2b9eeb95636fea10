#include "support/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <thread>

#include "support/files.hpp"
#include "support/socket.hpp"

extern char** environ;

namespace pillion::support {

namespace {

constexpr std::size_t kept_output = 256u << 20;  // bytes of each stream

struct Pipe {
  Fd read, write;
  Pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe failed");
    read = Fd(ends[0]);
    write = Fd(ends[1]);
  }
};

std::vector<std::string> environment_with(const std::map<std::string, std::string>& added) {
  std::vector<std::string> out;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    std::string_view text = *entry;
    if (!added.contains(std::string(text.substr(0, text.find('='))))) out.emplace_back(text);
  }
  for (const auto& [name, value] : added) out.push_back(name + "=" + value);
  return out;
}

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (auto& s : strings) out.push_back(s.data());
  out.push_back(nullptr);
  return out;
}

std::optional<std::string> line_with(const std::string& text, std::string_view wanted, std::size_t from) {
  auto at = text.find(wanted, from);
  if (at == std::string::npos) return std::nullopt;
  auto start = text.rfind('\n', at);
  auto end = text.find('\n', at);
  if (end == std::string::npos) return std::nullopt;
  start = start == std::string::npos ? 0 : start + 1;
  return text.substr(start, end - start);
}

}  // namespace

std::string Exit::to_string() const {
  return signal != 0 ? "ended by signal " + std::to_string(signal) : "exit code " + std::to_string(code);
}

struct Process::State {
  std::string name;
  pid_t pid = -1;
  Fd pidfd;
  Fd stop{::eventfd(0, EFD_CLOEXEC)};
  std::optional<Exit> exit;
  Pipe out_pipe, err_pipe;
  mutable std::mutex mutex;
  mutable std::condition_variable changed;
  std::string out, err;
  bool finished = false;  // both pipes have ended
  std::thread reader;

  void read_all();
  std::string wait_for_line(const std::string State::* stream, std::string_view text, Deadline deadline,
                            std::size_t from) const;
};

void Process::State::read_all() {
  pollfd watched[3] = {{out_pipe.read.get(), POLLIN, 0}, {err_pipe.read.get(), POLLIN, 0}, {stop.get(), POLLIN, 0}};
  std::string* into[2] = {&out, &err};
  std::string chunk(64u << 10, '\0');
  while (watched[0].fd >= 0 || watched[1].fd >= 0) {
    if (::poll(watched, 3, -1) < 0 && errno != EINTR) break;
    if (watched[2].revents != 0) break;
    for (int i = 0; i < 2; ++i) {
      if (watched[i].fd < 0 || watched[i].revents == 0) continue;
      ssize_t n = ::read(watched[i].fd, chunk.data(), chunk.size());
      std::lock_guard lock(mutex);
      if (n <= 0) {
        watched[i].fd = -1;
      } else if (into[i]->size() < kept_output) {
        into[i]->append(chunk, 0, static_cast<std::size_t>(n));
      }
      changed.notify_all();
    }
  }
  std::lock_guard lock(mutex);
  finished = true;
  changed.notify_all();
}

std::string Process::State::wait_for_line(const std::string State::* stream, std::string_view text, Deadline deadline,
                                          std::size_t from) const {
  std::unique_lock lock(mutex);
  std::optional<std::string> found;
  bool met = changed.wait_until(lock, deadline.at(), [&] {
    found = line_with(this->*stream, text, from);
    return found || finished;
  });
  if (found) return *found;
  throw std::runtime_error(name + (met ? " ended" : " ran on") + " without saying \"" + std::string(text) +
                           "\"; standard error: " + err.substr(err.size() > 4000 ? err.size() - 4000 : 0));
}

Process::Process(ProcessOptions options) : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.name = options.arguments.at(0);
  auto environment = environment_with(options.environment);
  auto argv = pointers(options.arguments);
  auto envp = pointers(environment);
  Pipe input;
  pid_t parent = ::getpid();
  pid_t pid = ::fork();
  if (pid < 0) throw std::runtime_error("fork failed");
  if (pid == 0) {
    // Between fork and exec only what POSIX allows there: the parent has threads.
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(126);
    ::dup2(input.read.get(), 0);
    ::dup2(s.out_pipe.write.get(), 1);
    ::dup2(s.err_pipe.write.get(), 2);
    if (options.file_limit != 0) {
      rlimit limit{options.file_limit, options.file_limit};
      ::setrlimit(RLIMIT_NOFILE, &limit);
    }
    if (!options.folder.empty() && ::chdir(options.folder.c_str()) != 0) ::_exit(125);
    ::execvpe(argv[0], argv.data(), envp.data());
    ::_exit(127);
  }
  ::setpgid(pid, pid);
  s.pid = pid;
  // By number: the header of glibc 2.36 declares the function for C alone.
  s.pidfd = Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  s.out_pipe.write.close();
  s.err_pipe.write.close();
  s.reader = std::thread([&s] { s.read_all(); });
  input.read.close();
  // Inputs of tests are far below a pipe's 64 KiB.
  if (!options.input.empty() && ::write(input.write.get(), options.input.data(), options.input.size()) < 0) {
    throw std::runtime_error("cannot write to " + s.name);
  }
}

Process::~Process() {
  if (running()) {
    ::kill(-state_->pid, SIGKILL);
    wait();
  }
  std::uint64_t one = 1;
  if (::write(state_->stop.get(), &one, sizeof one) < 0) std::abort();
  state_->reader.join();
}

pid_t Process::pid() const { return state_->pid; }

bool Process::running() { return !wait(0ms).has_value(); }

void Process::signal(int number) {
  if (running()) ::kill(state_->pid, number);
}

std::optional<Exit> Process::wait(Deadline deadline) {
  State& s = *state_;
  if (s.exit) return s.exit;
  pollfd p{s.pidfd.get(), POLLIN, 0};
  for (;;) {
    int n = ::poll(&p, 1, deadline.left());
    if (n < 0 && errno == EINTR) continue;
    if (n == 0) return std::nullopt;
    break;
  }
  int status = 0;
  ::waitpid(s.pid, &status, 0);
  s.exit = WIFSIGNALED(status) ? Exit{-1, WTERMSIG(status)} : Exit{WEXITSTATUS(status), 0};
  // Its last words are in the pipes still.
  std::unique_lock lock(s.mutex);
  s.changed.wait_for(lock, 500ms, [&] { return s.finished; });
  return s.exit;
}

std::string Process::out() const {
  std::lock_guard lock(state_->mutex);
  return state_->out;
}
std::string Process::err() const {
  std::lock_guard lock(state_->mutex);
  return state_->err;
}
std::string Process::wait_for_err_line(std::string_view text, Deadline deadline, std::size_t from) const {
  return state_->wait_for_line(&State::err, text, deadline, from);
}
std::string Process::wait_for_out_line(std::string_view text, Deadline deadline, std::size_t from) const {
  return state_->wait_for_line(&State::out, text, deadline, from);
}

void Process::wait_for_more_err(std::size_t bytes, Deadline deadline) const {
  std::unique_lock lock(state_->mutex);
  bool met =
      state_->changed.wait_until(lock, deadline.at(), [&] { return state_->err.size() > bytes || state_->finished; });
  if (state_->err.size() > bytes) return;
  throw std::runtime_error(state_->name + (met ? " ended" : " said no more") + "; standard error: " + state_->err);
}

namespace {

std::size_t status_kib(pid_t pid, std::string_view field) {
  std::string text;
  try {
    text = read_file("/proc/" + std::to_string(pid) + "/status");
  } catch (const std::runtime_error&) {
    return 0;
  }
  auto at = text.find(field);
  return at == std::string::npos ? 0 : std::strtoul(text.c_str() + at + field.size(), nullptr, 10) * 1024;
}

}  // namespace

std::size_t Process::resident() const { return status_kib(state_->pid, "VmRSS:"); }
std::size_t Process::resident_peak() const { return status_kib(state_->pid, "VmHWM:"); }

std::size_t Process::open_files() const {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::directory_iterator entries("/proc/" + std::to_string(state_->pid) + "/fd", error);
  return error ? 0 : static_cast<std::size_t>(std::distance(entries, fs::directory_iterator()));
}

std::size_t Process::cpu_us() const {
  std::string text = read_file("/proc/" + std::to_string(state_->pid) + "/stat");
  // Fields 14 and 15 after the name in parentheses, in clock ticks.
  const char* at = text.c_str() + text.rfind(')') + 2;
  for (int i = 3; i < 14; ++i) at = std::strchr(at, ' ') + 1;
  char* end = nullptr;
  std::size_t user = std::strtoul(at, &end, 10);
  std::size_t system = std::strtoul(end, nullptr, 10);
  return (user + system) * 1000000u / static_cast<std::size_t>(::sysconf(_SC_CLK_TCK));
}

Finished run(ProcessOptions options, Deadline deadline) {
  std::string name = options.arguments.at(0);
  Process process(std::move(options));
  auto exit = process.wait(deadline);
  if (!exit) throw std::runtime_error(name + " did not end in time; standard error: " + process.err());
  return {*exit, process.out(), process.err()};
}

Finished run(std::vector<std::string> arguments, Deadline deadline) {
  ProcessOptions options;
  options.arguments = std::move(arguments);
  return run(std::move(options), deadline);
}

}  // namespace pillion::support
