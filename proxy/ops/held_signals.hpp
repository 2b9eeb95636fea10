// The signals that the process handles, and threads that leave them alone. For the server.
#pragma once

#include <pthread.h>

#include <csignal>

namespace pillion {

inline constexpr int handled_signals[] = {SIGTERM, SIGINT, SIGHUP};

/// Holds them back in this thread, and for good in those that begin meanwhile: none of the server's own threads runs
/// Asio's handler, which writes to a pipe that the end of the process closes. What comes meanwhile is handled
/// afterwards.
class HeldSignals {
 public:
  HeldSignals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : handled_signals) sigaddset(&set, signal);
    pthread_sigmask(SIG_BLOCK, &set, &before_);
  }
  ~HeldSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

 private:
  sigset_t before_;
};

}  // namespace pillion
