// `pillion top`: a live table of routes, from /stats each second. Ends when it is interrupted.
#include <sys/ioctl.h>
#include <unistd.h>

#include <chrono>
#include <iostream>
#include <thread>

#include "cli/admin.hpp"
#include "cli/commands.hpp"
#include "cli/top_table.hpp"

namespace pillion::cli {

namespace {

// What fits on the terminal, less the head and what stands below.
std::size_t rows_of_terminal() {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row < 8) return 20;
  return size.ws_row - 4u;
}

}  // namespace

int top(const TopFlags& flags) {
  using Clock = std::chrono::steady_clock;
  const bool is_terminal = ::isatty(STDOUT_FILENO) == 1;
  boost::json::object before;
  Clock::time_point asked;
  for (int shown = 0; flags.count == 0 || shown < flags.count;) {
    const Clock::time_point now = Clock::now();
    boost::json::object stats;
    if (const int code = ask_admin({flags.admin, flags.token_file}, "GET", "/stats", {}, stats); code != 0) return code;
    if (!before.empty()) {
      const std::chrono::duration<double> passed = now - asked;
      if (is_terminal) std::cout << "\x1b[H\x1b[J";
      std::cout << top_table(stats, before, passed.count(), is_terminal ? rows_of_terminal() : 1000) << std::flush;
      if (!std::cout) return 1;
      if (++shown == flags.count) break;
    }
    before = std::move(stats);
    asked = now;
    std::this_thread::sleep_for(std::chrono::seconds(1));
  }
  return 0;
}

}  // namespace pillion::cli
