#include "ops/file_watch.hpp"

#include <sys/inotify.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <filesystem>

namespace pillion {

namespace asio = boost::asio;

// Folders are watched, not files: a replaced file takes its watch away with it.
struct FileWatch::State : std::enable_shared_from_this<State> {
  State(asio::any_io_executor executor, std::vector<std::string> p, std::function<void()> f)
      : events(executor), settle(executor), paths(std::move(p)), on_change(std::move(f)) {}

  // A folder that is watched already is watched once all the same.
  void watch_folders() {
    if (!events.is_open()) return;
    constexpr std::uint32_t mask = IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM;
    for (const std::string& path : paths) {
      std::error_code ignored;
      const std::filesystem::path given(path);
      const auto folder = given.has_parent_path() ? given.parent_path() : std::filesystem::path(".");
      ::inotify_add_watch(events.native_handle(), folder.c_str(), mask);
      const auto real = std::filesystem::canonical(given, ignored);
      if (!ignored) ::inotify_add_watch(events.native_handle(), real.parent_path().c_str(), mask);
    }
  }

  void wait() {
    events.async_read_some(asio::buffer(buffer),
                           [self = shared_from_this()](boost::system::error_code error, std::size_t) {
                             if (error || !self->on_change) return;
                             self->notice();
                             self->wait();
                           });
  }

  // An editor or a ConfigMap's swap makes several events: look once they are over.
  void notice() {
    settle.expires_after(std::chrono::milliseconds(50));
    settle.async_wait([self = shared_from_this()](boost::system::error_code error) {
      if (error || !self->on_change) return;
      self->watch_folders();
      self->on_change();
    });
  }

  asio::posix::stream_descriptor events;
  asio::steady_timer settle;
  std::vector<std::string> paths;
  std::function<void()> on_change;
  std::array<char, 4096> buffer{};
};

FileWatch::FileWatch(asio::any_io_executor executor, std::vector<std::string> paths, std::function<void()> on_change)
    : state_(std::make_shared<State>(std::move(executor), std::move(paths), std::move(on_change))) {
  const int descriptor = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (descriptor < 0) return;  // SIGHUP still reloads
  state_->events.assign(descriptor);
  state_->watch_folders();
  state_->wait();
}

void FileWatch::watch(std::vector<std::string> paths) {
  state_->paths = std::move(paths);
  state_->watch_folders();
}

FileWatch::~FileWatch() {
  boost::system::error_code ignored;
  state_->on_change = nullptr;
  state_->settle.cancel();
  state_->events.close(ignored);
}

}  // namespace pillion
