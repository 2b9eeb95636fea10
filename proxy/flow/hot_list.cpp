#include "flow/hot_list.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <cerrno>
#include <cstdio>

#include "flow/gather.hpp"

namespace pillion {

namespace {

constexpr std::size_t max_file = 4u << 20;
constexpr std::size_t max_value = 512u << 10;
constexpr const char* keep_ms = "2592000000";  // 30 days

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  explicit operator bool() const noexcept { return fd_ >= 0; }
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

// Empty where there is none yet; nullopt where there is one that can't be read, or isn't a file.
std::optional<std::string> read_file(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return errno == ENOENT ? std::optional<std::string>(std::string()) : std::nullopt;
  struct stat status{};
  if (::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  std::string text;
  char buffer[16384];
  while (text.size() < max_file) {
    const ssize_t got = ::read(file.get(), buffer, sizeof buffer);
    if (got < 0) return std::nullopt;
    if (got == 0) break;
    text.append(buffer, static_cast<std::size_t>(got));
  }
  return text;
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = ::write(fd, text.data(), text.size());
    if (put <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(put));
  }
  return ::fsync(fd) == 0;
}

// Whole or not at all; nobody else's to read, since it tells what clients ask for.
bool write_file(const std::string& path, std::string_view text) {
  const std::string fresh = path + ".new";
  ::unlink(fresh.c_str());
  {
    const Descriptor file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file || !write_all(file.get(), text)) return false;
  }
  return ::rename(fresh.c_str(), path.c_str()) == 0;
}

awaitable<RedisReply> ask(Shared& shared, std::vector<std::string> words) {
  WorkerContext& worker = *shared.workers.front();
  co_return co_await asio::co_spawn(
      worker.executor,
      [](WorkerContext& context, std::vector<std::string> command) -> awaitable<RedisReply> {
        co_return co_await context.redis_client->command(std::move(command));
      }(worker, std::move(words)),
      asio::use_awaitable);
}

std::string key_of(const config::RedisSettings& redis) { return redis.key_namespace + "pillion:hottest"; }

std::int64_t wall_s() { return now().wall_ms / 1000; }

// What this process knows, the hottest first.
awaitable<std::vector<HotUrl>> own_hottest(Shared& shared, std::size_t limit) {
  InsightsAsked asked;
  asked.hottest = Insights::max_hottest * shared.workers.size();  // not every one can be warmed
  const InsightsFound found = co_await gather(shared, std::move(asked));
  std::vector<HotUrl> own;
  for (const HotKey& key : found.hottest) {
    if (own.size() == limit) break;
    if (!key.url.empty() && key.count - key.error > 1) own.push_back({{key.listener, key.url}, key.count, wall_s()});
  }
  co_return own;
}

}  // namespace

awaitable<std::optional<std::vector<HotUrl>>> load_hottest(Shared& shared, config::Warm settings,
                                                           config::RedisSettings redis) {
  std::optional<std::string> text;
  if (!settings.file.empty()) {
    text = read_file(settings.file);
  } else if (shared.redis && !shared.workers.empty()) {
    std::vector<std::string> words{"GET", key_of(redis)};
    const RedisReply reply = co_await ask(shared, std::move(words));
    if (reply.type == RedisReply::Type::string) text = reply.text;
    if (reply.type == RedisReply::Type::nil) text.emplace();
  }
  if (!text) co_return std::nullopt;
  co_return read_hot_list(*text, settings.hottest, wall_s());
}

awaitable<bool> save_hottest(Shared& shared, config::Warm settings, config::RedisSettings redis) {
  std::vector<HotUrl> own = co_await own_hottest(shared, settings.hottest);
  if (own.empty()) co_return true;
  const auto before = co_await load_hottest(shared, settings, redis);
  // A file that can't be read may be written all the same; where Redis doesn't answer, it won't now.
  if (!before && settings.file.empty()) co_return false;
  const auto all = fill_up(std::move(own), before.value_or(std::vector<HotUrl>{}), settings.hottest);
  if (!settings.file.empty()) co_return write_file(settings.file, write_hot_list(all, max_file));
  const std::size_t most = std::min(max_value, redis.max_object);
  std::vector<std::string> words{"SET", key_of(redis), write_hot_list(all, most), "PX", keep_ms};
  co_return (co_await ask(shared, std::move(words))).ok();
}

}  // namespace pillion
