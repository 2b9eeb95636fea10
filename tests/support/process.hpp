// A child process whose output is collected while it runs. For tests. Start it from a thread that outlives it (the
// child is killed with the thread that started it, so that nothing is left behind when a test program dies).
#pragma once

#include <sys/types.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/deadline.hpp"

namespace pillion::support {

struct ProcessOptions {
  std::vector<std::string> arguments;              ///< argv[0] first; looked up in PATH
  std::map<std::string, std::string> environment;  ///< added to this process's own
  std::string folder;                              ///< to start in; empty: here
  std::string input;                               ///< given on standard input, then its end
  std::size_t file_limit = 0;                      ///< RLIMIT_NOFILE; 0: as it is here
};

/// How a process ended.
struct Exit {
  int code = -1;   ///< exit code; -1 where a signal ended it
  int signal = 0;  ///< signal that ended it; 0: none
  std::string to_string() const;
};

class Process {
 public:
  /// Throws std::runtime_error where it can't be started.
  explicit Process(ProcessOptions options);
  /// Kills what still runs, its children too, and reaps it.
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const;
  bool running();
  /// Nothing happens where it has ended.
  void signal(int number);
  /// The end; nothing where the deadline passes first.
  std::optional<Exit> wait(Deadline deadline = {});
  /// What arrived so far.
  std::string out() const;
  std::string err() const;
  /// Waits for the first whole line of standard error (or output) that contains `text`, searching from byte `from`.
  /// Throws std::runtime_error, with what there was, where the process ends or the deadline passes without it.
  std::string wait_for_err_line(std::string_view text, Deadline deadline = {}, std::size_t from = 0) const;
  std::string wait_for_out_line(std::string_view text, Deadline deadline = {}, std::size_t from = 0) const;
  /// Waits until standard error holds more than `bytes`. Throws as the above do.
  void wait_for_more_err(std::size_t bytes, Deadline deadline = {}) const;
  /// Resident memory in bytes; 0 where it has ended.
  std::size_t resident() const;
  /// The highest that resident memory ever was, in bytes.
  std::size_t resident_peak() const;
  /// Open file descriptors.
  std::size_t open_files() const;
  /// User and system time used so far, in microseconds.
  std::size_t cpu_us() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Runs to its end.
struct Finished {
  Exit exit;
  std::string out;
  std::string err;
};
/// Throws std::runtime_error where it doesn't end in time.
Finished run(ProcessOptions options, Deadline deadline = {});
Finished run(std::vector<std::string> arguments, Deadline deadline = {});

}  // namespace pillion::support
