#include "net/redis_asker.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <utility>

#include "net/redis_link.hpp"

namespace pillion {

namespace {
constexpr std::size_t max_reply = 8u << 20;
}

/// One connection: what is asked over it and what has come.
struct RedisAsker::Conversation {
  Conversation(asio::any_io_executor executor, RedisNode node, std::size_t most_values)
      : link(std::make_shared<RedisLink>(executor, std::move(node), max_reply, most_values)), event(executor) {}

  /// Until the connection ends.
  static awaitable<void> listen(std::shared_ptr<Conversation> self) {
    std::string why = co_await self->link->receive([&c = *self](RedisReply reply) {
      if (c.replies.size() >= c.expected) return c.link->close("a reply to nothing that was asked");
      c.replies.push_back(std::move(reply));
      if (c.replies.size() == c.expected) c.event.cancel();
    });
    self->ended = std::move(why);
    self->over = true;
    self->event.cancel();
  }

  std::shared_ptr<RedisLink> link;
  asio::steady_timer event;  // cancelled when all replies are there, and at the end
  std::vector<RedisReply> replies;
  std::size_t expected = 0;
  bool over = false;
  std::string ended;
};

RedisAsker::RedisAsker(asio::any_io_executor executor, RedisNode node, std::size_t most_values)
    : executor_(std::move(executor)), node_(std::move(node)), most_values_(most_values) {}

RedisAsker::~RedisAsker() { stop(); }

void RedisAsker::stop() {
  if (conversation_) conversation_->link->close("stopped");
  conversation_.reset();
}

awaitable<RedisAsker::Answer> RedisAsker::ask(Commands commands, std::chrono::milliseconds time) {
  // Held here: stop() may come at any wait, and this object be gone after it.
  auto conversation = conversation_;
  if (!conversation || conversation->over) {
    conversation = std::make_shared<Conversation>(executor_, node_, most_values_);
    conversation_ = conversation;
    std::string problem = co_await conversation->link->open();
    conversation->over = !problem.empty();
    if (conversation->over) co_return Answer{{}, std::move(problem)};
    asio::co_spawn(conversation->event.get_executor(), Conversation::listen(conversation), asio::detached);
  }
  Conversation& c = *conversation;
  c.replies.clear();
  c.expected = commands.size();
  for (const auto& command : commands) c.link->send(command);
  c.event.expires_after(time);
  if (!c.over) co_await c.event.async_wait(no_throw);
  if (c.replies.size() == c.expected) {
    c.expected = 0;
    co_return Answer{std::exchange(c.replies, {}), {}};
  }
  if (c.over) co_return Answer{{}, c.ended};
  c.over = true;
  c.link->close("no answer in time");
  co_return Answer{{}, "no answer in time"};
}

}  // namespace pillion
