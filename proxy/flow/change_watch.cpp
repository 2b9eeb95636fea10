#include "flow/change_watch.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <random>

namespace pillion {

namespace {

constexpr std::chrono::milliseconds first_pause{50}, longest_pause{1000}, refused_pause{30'000};
constexpr std::chrono::milliseconds between_questions{10};
// A burst of changes comes in one message. What is larger than that ends the connection, and all is suspect.
constexpr std::size_t max_message = 16u << 20;
constexpr std::size_t max_info = 1u << 20;
constexpr std::size_t max_evicted = 4096;
constexpr std::string_view channel = "__redis__:invalidate";

bool is_array(const RedisReply& reply, std::size_t size) {
  return reply.type == RedisReply::Type::array && reply.elements.size() >= size;
}

}  // namespace

struct ChangeWatch::Impl : std::enable_shared_from_this<Impl> {
  enum class Step : std::uint8_t { connecting, id, tracking, subscribing, listening, refused };

  Impl(asio::any_io_executor e, const RedisNode& n, std::vector<std::string> p, Told t, WorkerCounters& counters,
       Log& l)
      : executor(e),
        node(n),
        name("redis " + n.settings.address.to_string()),
        evicted_channel("__keyevent@" + std::to_string(n.settings.database) + "__:evicted"),
        prefixes(std::move(p)),
        told(std::move(t)),
        log(l),
        asker(e, n, max_info, counters, l),
        pause(e),
        pulse(e),
        between(e) {}

  static awaitable<void> run(std::shared_ptr<Impl> self);
  static awaitable<void> keep_beating(std::shared_ptr<Impl> self);
  static awaitable<void> ping(std::shared_ptr<Impl> self);
  static awaitable<bool> was_evicted(std::shared_ptr<Impl> self, std::uint64_t noticed);
  static awaitable<void> count_again(std::shared_ptr<Impl> self);
  static awaitable<std::optional<RemovalCounts>> count(std::shared_ptr<Impl> self);
  void answered(const RedisReply& reply);
  void track(std::int64_t id);
  void refuse(const RedisReply& reply);
  void message(const RedisReply& reply);
  void established();
  void ended(const std::string& problem);
  void stop();

  asio::any_io_executor executor;
  RedisNode node;
  std::string name, evicted_channel;
  std::vector<std::string> prefixes;
  Told told;
  Log& log;
  RedisConnection asker;  // for INFO: a connection that subscribes answers no other questions
  std::shared_ptr<RedisLink> link;
  Step step = Step::id;
  std::atomic<Hearing> hearing{Hearing::deaf};
  bool stopped = false, silent = false, told_refusal = false, was_up = false;
  bool beaten = false;  // the connection was there at the last beat
  bool awaits_pong = false;
  std::optional<RemovalCounts> counted;  // before the pong that is awaited
  RemovalHistory history;
  std::unordered_set<std::string> evicted;  // told as evicted in this turn of the server's loop
  asio::steady_timer pause, pulse, between;
  // Questions on behalf of requests: numbered in the order in which they begin.
  std::uint64_t begun = 0, ended_with = 0, wanted = 0;
  bool counting = false;
  std::optional<RemovalCounts> latest;
  std::vector<asio::steady_timer*> waiting;
};

// ---- the connection

awaitable<void> ChangeWatch::Impl::run(std::shared_ptr<Impl> self) {
  auto backoff = first_pause;
  std::minstd_rand random{std::random_device{}()};
  while (!self->stopped) {
    self->step = Step::connecting;
    self->silent = self->awaits_pong = self->beaten = false;
    self->link = std::make_shared<RedisLink>(self->executor, self->node, max_message);
    std::string problem = co_await self->link->open();
    if (self->stopped) break;
    if (problem.empty()) {
      self->step = Step::id;
      self->link->send(std::vector<std::string>{"CLIENT", "ID"});
      problem = co_await self->link->receive([&impl = *self](const RedisReply& reply) { impl.answered(reply); });
      if (self->stopped) break;
      if (self->was_up) backoff = first_pause;
    }
    self->ended(problem);
    const auto longest = self->step == Step::refused ? refused_pause : backoff;
    self->pause.expires_after(
        std::chrono::milliseconds(std::uniform_int_distribution(longest.count() / 2, longest.count())(random)));
    backoff = std::min(backoff * 2, longest_pause);
    co_await self->pause.async_wait(no_throw);
  }
}

// A server that was cut off or replaced may have changed anything meanwhile. One that is silent (paused, or beyond a
// network that is) can't be asked: memory goes on as it does without Redis, and once it is heard again all is compared.
void ChangeWatch::Impl::ended(const std::string& problem) {
  if (!std::exchange(was_up, false)) return;
  evicted.clear();
  counted.reset();
  hearing = silent ? Hearing::deaf : Hearing::lost;
  (silent ? told.deaf : told.all)();
  log.warn(name + ": changes are not heard of: " + problem);
}

void ChangeWatch::Impl::established() {
  step = Step::listening;
  told.all();
  hearing = Hearing::up;
  was_up = true;
  told_refusal = false;
  log.info(name + ": changes by others are heard of");
  asio::co_spawn(executor, ping(shared_from_this()), asio::detached);
}

void ChangeWatch::Impl::answered(const RedisReply& reply) {
  switch (step) {
    case Step::id:
      if (reply.type != RedisReply::Type::integer) return refuse(reply);
      return track(reply.integer);
    case Step::tracking:
      if (reply.type != RedisReply::Type::string) return refuse(reply);
      step = Step::subscribing;
      return;
    case Step::subscribing:
      if (!is_array(reply, 3)) return refuse(reply);
      return established();
    case Step::listening:
      if (is_array(reply, 2)) message(reply);
      return;
    case Step::connecting:
    case Step::refused:
      return;
  }
}

// Tracking first: afterwards the connection does nothing but listen. Evictions are told too where the server is set to
// tell them (notify-keyspace-events Ee); it may not be allowed, which changes nothing else.
void ChangeWatch::Impl::track(std::int64_t id) {
  step = Step::tracking;
  std::vector<std::string> words{"CLIENT", "TRACKING", "on", "REDIRECT", std::to_string(id), "BCAST"};
  for (const std::string& prefix : prefixes) {
    if (prefix.empty()) continue;
    words.emplace_back("PREFIX");
    words.push_back(prefix);
  }
  link->send(words);
  link->send(std::vector<std::string>{"SUBSCRIBE", std::string(channel)});
  link->send(std::vector<std::string>{"SUBSCRIBE", evicted_channel});
}

void ChangeWatch::Impl::refuse(const RedisReply& reply) {
  step = Step::refused;
  hearing = Hearing::deaf;
  if (!std::exchange(told_refusal, true))
    log.warn(name + ": doesn't let us hear of changes, so what others delete there stays in memory for its lifetime: " +
             without_password(reply.text, node.settings));
  link->close("refused");
}

void ChangeWatch::Impl::message(const RedisReply& reply) {
  const std::string& kind = reply.elements[0].text;
  if (kind == "pong") {
    awaits_pong = false;
    // Whatever the server did before it counted has been told by now; evictions are told just before their keys are.
    if (counted) history.note(told.position(), std::move(*counted));
    counted.reset();
    evicted.clear();
    return;
  }
  if (kind != "message" || reply.elements.size() < 3) return;
  const RedisReply& what = reply.elements[2];
  if (reply.elements[1].text == evicted_channel) {
    if (evicted.size() < max_evicted) evicted.insert(what.text);
    return;
  }
  if (reply.elements[1].text != channel) return;
  if (what.type != RedisReply::Type::array) return told.all();  // FLUSHALL, FLUSHDB
  for (const RedisReply& key : what.elements) {
    if (evicted.erase(key.text) == 0) told.changed(key.text);
  }
}

// ---- the pulse

awaitable<void> ChangeWatch::Impl::keep_beating(std::shared_ptr<Impl> self) {
  while (!self->stopped) {
    self->pulse.expires_after(beat);
    co_await self->pulse.async_wait(no_throw);
    if (self->stopped) co_return;
    if (self->step == Step::connecting || self->step == Step::refused) continue;  // these have limits of their own
    const auto beating = self->link;
    const bool late = std::exchange(self->beaten, true) && (self->step != Step::listening || self->awaits_pong);
    if (late) {
      self->silent = true;
      beating->close("silent");
    }
    if (!late && self->step == Step::listening) co_await ping(self);
  }
}

// Counts first: what the server had done by then has been told once it answers the ping.
awaitable<void> ChangeWatch::Impl::ping(std::shared_ptr<Impl> self) {
  const auto beating = self->link;
  co_await self->asker.first_attempt(self->node.settings.connect_timeout);
  auto counts = co_await count(self);
  if (self->stopped || self->link != beating || self->step != Step::listening || self->awaits_pong) co_return;
  self->counted = std::move(counts);
  self->awaits_pong = true;
  beating->send(std::vector<std::string>{"PING"});
}

awaitable<std::optional<RemovalCounts>> ChangeWatch::Impl::count(std::shared_ptr<Impl> self) {
  std::vector<std::string> words{"INFO", "server", "stats", "commandstats"};
  const RedisReply info = co_await self->asker.command(std::move(words));
  if (info.type == RedisReply::Type::string) self->latest = parse_removal_counts(info.text);
  co_return info.type == RedisReply::Type::string ? self->latest : std::nullopt;
}

// ---- what became of a value

awaitable<bool> ChangeWatch::Impl::was_evicted(std::shared_ptr<Impl> self, std::uint64_t noticed) {
  const RemovalCounts* known = self->history.before(noticed);
  if (!known || self->stopped) co_return false;
  const RemovalCounts before = *known;
  // Counts only grow: where it is unclear already it stays so.
  if (self->latest && removal_between(before, *self->latest) == Removal::unclear) co_return false;
  const std::uint64_t mine = self->begun + 1;
  self->wanted = std::max(self->wanted, mine);
  if (!std::exchange(self->counting, true)) asio::co_spawn(self->executor, count_again(self), asio::detached);
  asio::steady_timer done(self->executor, self->node.settings.timeout);
  self->waiting.push_back(&done);
  while (self->ended_with < mine && !self->stopped && done.expiry() > std::chrono::steady_clock::now())
    co_await done.async_wait(no_throw);
  std::erase(self->waiting, &done);
  co_return self->ended_with >= mine && self->latest&& removal_between(before, *self->latest) == Removal::evicted;
}

// One question at a time, for all who asked before it.
awaitable<void> ChangeWatch::Impl::count_again(std::shared_ptr<Impl> self) {
  while (self->begun < self->wanted && !self->stopped) {
    co_await self->between.async_wait(no_throw);
    if (self->stopped) break;
    self->between.expires_after(between_questions);
    ++self->begun;
    if (!co_await count(self)) self->latest.reset();
    self->ended_with = self->begun;
    for (asio::steady_timer* timer : self->waiting) timer->cancel();
  }
  self->counting = false;
}

void ChangeWatch::Impl::stop() {
  if (std::exchange(stopped, true)) return;
  told = {};
  asker.stop();
  pause.cancel();
  pulse.cancel();
  between.cancel();
  for (asio::steady_timer* timer : waiting) timer->cancel();
  if (link) link->close("stopped");
}

// ---- the interface

ChangeWatch::ChangeWatch(asio::any_io_executor executor, const RedisNode& node, std::vector<std::string> prefixes,
                         Told told, WorkerCounters& counters, Log& log)
    : impl_(std::make_shared<Impl>(executor, node, std::move(prefixes), std::move(told), counters, log)) {
  asio::co_spawn(executor, Impl::run(impl_), asio::detached);
  asio::co_spawn(executor, Impl::keep_beating(impl_), asio::detached);
}

ChangeWatch::~ChangeWatch() { stop(); }
void ChangeWatch::stop() { impl_->stop(); }

void ChangeWatch::use(std::vector<std::string> prefixes) {
  if (prefixes == impl_->prefixes) return;
  impl_->prefixes = std::move(prefixes);
  if (impl_->link) impl_->link->close("other keys are to be watched");
}

Hearing ChangeWatch::hearing() const noexcept { return impl_->hearing.load(std::memory_order_acquire); }
awaitable<bool> ChangeWatch::was_evicted(std::uint64_t noticed) { return Impl::was_evicted(impl_, noticed); }

}  // namespace pillion
