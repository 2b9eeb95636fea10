#include "background.hpp"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace pillion {

namespace {
constexpr int niceness = 10;  // a tenth of a worker's share of a CPU that both want
}

void Background::run() {
  // Of this thread alone, as Linux has it. Where it isn't allowed the work is done all the same.
  ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), niceness);
  loop_.run_until_stopped([](const std::string&) {});
}

void Background::start() {
  thread_ = std::thread([this] { run(); });
}

void Background::stop() {
  if (stopped_) return;
  loop_.stop();
  if (thread_.joinable()) thread_.join();
  stopped_ = true;
  loop_.drop_pending();
}

}  // namespace pillion
