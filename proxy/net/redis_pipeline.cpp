#include "net/redis_pipeline.hpp"

#include <algorithm>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <utility>

#include "net/redis_codec.hpp"
#include "net/redis_connection.hpp"
#include "net/redis_discovery.hpp"

namespace pillion {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds looked_up_anew{10};  // at most so often

RedisReply unavailable(std::string why) {
  RedisReply reply;
  reply.text = std::move(why);
  return reply;
}

/// One server, found by a name that may lead to another by now.
bool is_by_name(const RedisNode& node) {
  error_code not_an_address;
  asio::ip::make_address(node.settings.address.host, not_an_address);
  return !node.is_of_cluster() && !node.settings.address.is_unix() && not_an_address;
}

std::uint64_t microseconds(Clock::duration d) {
  return static_cast<std::uint64_t>(
      std::max<std::int64_t>(0, std::chrono::duration_cast<std::chrono::microseconds>(d).count()));
}

}  // namespace

RedisPipeline::RedisPipeline(asio::any_io_executor executor, RedisNode node, WorkerCounters& counters, Log& log)
    : executor_(executor),
      node_(std::move(node)),
      counters_(counters),
      report_(node_.settings.address.to_string(), counters, log),
      health_(node_.siblings, report_),
      timer_(executor) {
  health_.start(executor, [this] {
    probe_if_due(Clock::now());
    arm_for_next();
  });
}

void RedisPipeline::connected(std::shared_ptr<RedisLink> link) {
  link_ = std::move(link);
  copy_ = link_->copy();
  asking_copy_ = false;
  connected_since_ = Clock::now();
  health_.connected();
}

void RedisPipeline::lost(const std::string& why) {
  link_.reset();
  counters_.redis_errors.add();
  // Who asked for too much is told: it would get no more the next time.
  if (why.starts_with(too_much_in_reply) && !waiters_.empty()) complete(waiters_.pop().handler, unavailable(why));
  fail_all("the connection to Redis was lost");
  health_.lost(why);
}

void RedisPipeline::stop() {
  stopped_ = true;
  health_.stop();
  link_.reset();
  timer_.cancel();
  fail_all("stopped");
  hand_over_completions();
}

// ---- commands

RedisReply RedisPipeline::skipped(const char* why) {
  if (!stopped_) counters_.redis_skipped.add();
  return unavailable(why);
}

const char* RedisPipeline::why_not(const std::vector<std::string>& arguments) const {
  if (stopped_) return "stopped";
  if (!link_) return "not connected to Redis";
  if (!health_.is_up()) return "Redis doesn't answer in time, waiting for a probe";
  if (waiters_.size() >= RedisConnection::max_in_flight) return "too many commands in flight to Redis";
  if (link_->unsent() > RedisConnection::max_unsent) return "too many bytes on their way to Redis";
  return arguments.empty() ? "an empty command" : nullptr;
}

void RedisPipeline::start(RedisWaiters::Handler handler, const std::vector<std::string>& arguments,
                          config::Milliseconds budget, bool asking) {
  const Time now = Clock::now();
  if (waiters_.empty()) waiting_since_ = now;
  if (asking) {
    waiters_.push_probe(now, now + budget);
    link_->send(std::vector<std::string>{"ASKING"});
  }
  auto slot = asio::get_associated_cancellation_slot(handler);
  const std::uint64_t ticket = waiters_.push(std::move(handler), now, now + budget);
  if (slot.is_connected()) {
    // Left in the slot when the reply has come: the ticket is then unknown, and nothing happens.
    slot.assign([weak = weak_from_this(), ticket](asio::cancellation_type) {
      const auto self = weak.lock();
      if (!self) return;
      if (auto waiting = self->waiters_.cancel(ticket)) self->complete(std::move(waiting), unavailable("cancelled"));
    });
  }
  link_->send(arguments);
  arm(std::min(now + budget, last_progress() + RedisConnection::no_progress));
}

void RedisPipeline::complete(RedisWaiters::Handler handler, RedisReply reply) {
  if (!handler) return;
  completions_.push_back({std::move(handler), std::move(reply)});
  if (!completions_posted_) post_completions();
}

// Posted, since whoever waits may do anything next, end this connection for one. All at once: a post costs more than
// the rest.
void RedisPipeline::post_completions() {
  completions_posted_ = true;
  asio::post(executor_, [self = shared_from_this()] { self->run_completions(); });
}

void RedisPipeline::run_completions() {
  // What one of them throws must not keep the others waiting.
  struct Rest {
    RedisPipeline& pipeline;
    ~Rest() {
      pipeline.completions_posted_ = false;
      if (!pipeline.completions_.empty()) pipeline.post_completions();
    }
  } rest{*this};
  // Who is added meanwhile comes with the next post. One of them may stop this, which takes the others away.
  for (std::size_t left = completions_.size(); left > 0 && !completions_.empty(); --left) {
    Completion first = std::move(completions_.front());
    completions_.pop_front();
    std::move(first.handler)(std::move(first.reply));
  }
}

// Whoever waits may own the connection, and so this: kept here, they would own each other should the loop end before it
// calls them. What is posted belongs to the loop, which destroys it.
void RedisPipeline::hand_over_completions() {
  while (!completions_.empty()) {
    Completion first = std::move(completions_.front());
    completions_.pop_front();
    asio::post(executor_, [first = std::move(first)]() mutable { std::move(first.handler)(std::move(first.reply)); });
  }
}

void RedisPipeline::fail_all(const char* why) {
  for (auto& handler : waiters_.take_all()) complete(std::move(handler), unavailable(why));
}

void RedisPipeline::answered(RedisReply reply) {
  if (waiters_.empty()) return link_->close("a reply to nothing that was asked");
  RedisWaiters::Waiter waiter = waiters_.pop();
  if (waiter.asks_copy) {
    copy_ = copy_of(reply);
    asking_copy_ = false;
    return;
  }
  reply.copy = copy_;
  counters_.redis_seconds.observe_us(microseconds(Clock::now() - waiter.sent));
  if (reply.type == RedisReply::Type::error) {
    refused(reply);
    if (waiter.probe) health_.probe_failed();
  } else if (waiter.probe && !waiter.over) {
    health_.probe_answered();
  }
  complete(std::move(waiter.handler), std::move(reply));
}

void RedisPipeline::refused(RedisReply& reply) {
  reply.text = without_password(std::move(reply.text), node_.settings);
  const std::string_view code = redis_error_code(reply.text);
  if (node_.is_of_cluster() && (code == "MOVED" || code == "ASK" || code == "TRYAGAIN")) return;  // the client's matter
  counters_.redis_errors.add();
  report_.error(reply.text);
  // No longer the master: nothing more is asked of it. The next handshake tells what it is, or a name leads to another.
  const bool is_old = Clock::now() - connected_since_ >= looked_up_anew;
  if (code == "READONLY" && (node_.must_be_master() || (is_old && is_by_name(node_)))) {
    return link_->close("it says READONLY: no longer the master");
  }
  if (means_not_up(reply.text) && health_.failed()) arm(health_.next_probe());
}

void RedisPipeline::ask_copy() {
  if (!health_.is_up() || !node_.tells_copy || std::exchange(asking_copy_, true)) return;
  const Time now = Clock::now();
  if (waiters_.empty()) waiting_since_ = now;
  waiters_.push_copy(now, now + node_.settings.timeout);
  link_->send(std::vector<std::string>{"INFO", "replication"});
  arm(now + node_.settings.timeout);
}

// ---- deadlines

void RedisPipeline::on_timer() {
  if (!link_) return;
  const Time now = Clock::now();
  // Where a large reply is arriving, those behind it are late for no fault of the server.
  const bool flowing = link_->in_reply() && now - link_->last_read() < node_.settings.timeout;
  for (auto& handler : waiters_.expire(now, link_->in_reply())) {
    if (!handler) {
      health_.probe_failed();
      continue;
    }
    counters_.redis_timeouts.add();
    complete(std::move(handler), unavailable("no reply from Redis within the budget"));
    if (!flowing) health_.failed();
  }
  if (!waiters_.empty() && now - last_progress() >= RedisConnection::no_progress)
    return link_->close("nothing came for 2 s");
  if (link_->in_reply() && now - link_->reply_began() >= RedisConnection::longest_reply)
    return link_->close("a reply took over 10 s");
  probe_if_due(now);
  arm_for_next();
}

void RedisPipeline::probe_if_due(Time now) {
  if (!health_.take_probe(now)) return;
  if (waiters_.empty()) waiting_since_ = now;
  waiters_.push_probe(now, now + node_.settings.timeout);
  link_->send(std::vector<std::string>{"PING"});
}

void RedisPipeline::arm_for_next() {
  Time next = std::min(health_.next_probe(), waiters_.next_deadline(link_->in_reply()));
  if (!waiters_.empty()) next = std::min(next, last_progress() + RedisConnection::no_progress);
  if (next != Time::max()) arm(next);
}

void RedisPipeline::arm(Time at) {
  if (at >= armed_for_) return;
  armed_for_ = at;
  timer_.expires_at(at);
  timer_.async_wait([weak = weak_from_this(), at](const error_code& ec) {
    const auto self = weak.lock();
    if (ec || !self || self->stopped_ || self->armed_for_ != at) return;
    self->armed_for_ = Time::max();
    self->on_timer();
  });
}

}  // namespace pillion
