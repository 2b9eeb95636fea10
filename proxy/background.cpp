#include "background.hpp"

#include "net/low_priority.hpp"

namespace pillion {

void Background::run() {
  lower_own_priority();
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
