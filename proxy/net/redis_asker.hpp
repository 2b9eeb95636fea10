// A few questions to one server now and then, over a connection that is kept between them. Worker-local: one
// conversation at a time.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>
#include <vector>

#include "net/async.hpp"
#include "net/redis_node.hpp"
#include "net/redis_reply.hpp"

namespace pillion {

class RedisLink;

class RedisAsker {
 public:
  /// `most_values` bounds one reply (net/redis_codec.hpp), and so does 8 MiB.
  RedisAsker(asio::any_io_executor executor, RedisNode node, std::size_t most_values);
  ~RedisAsker();

  using Commands = std::vector<std::vector<std::string>>;
  struct Answer {
    std::vector<RedisReply> replies;  ///< one for each command; none where something went wrong
    std::string problem;              ///< fit for a log
  };
  /// Connects where it isn't connected, within the node's limits, and asks within `time`. What goes wrong ends the
  /// connection.
  awaitable<Answer> ask(Commands commands, std::chrono::milliseconds time);
  /// Ends a conversation, and the connection.
  void stop();
  const config::Address& address() const noexcept { return node_.settings.address; }

 private:
  struct Conversation;
  asio::any_io_executor executor_;
  RedisNode node_;
  std::size_t most_values_;
  std::shared_ptr<Conversation> conversation_;  // with its connection; null without
};

}  // namespace pillion
