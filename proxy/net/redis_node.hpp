// One Redis server, and how to speak to it. A plain value.
#pragma once

#include <memory>

#include "config/model.hpp"
#include "net/redis_siblings.hpp"
#include "net/redis_tls.hpp"

namespace pillion {

struct RedisNode {
  /// The server of settings.address. Throws std::runtime_error where a file of settings.tls can't be used.
  RedisNode(const config::RedisSettings& s)
      : RedisNode(s, s.tls.enabled ? std::make_shared<RedisTls>(s.tls) : nullptr) {}
  RedisNode(const config::RedisSettings& s, std::shared_ptr<RedisTls> t) : settings(s), tls(std::move(t)) {}

  bool is_of_cluster() const noexcept { return !settings.cluster.empty(); }
  /// Found by sentinels: one that says that it is a replica is not the one meant.
  bool must_be_master() const noexcept { return !settings.sentinel.nodes.empty(); }

  config::RedisSettings settings;
  /// Whoever connects wants to know which copy of the data it has (copy_of()).
  bool tells_copy = false;
  std::shared_ptr<RedisSiblings> siblings;  ///< null: none
  std::shared_ptr<RedisTls> tls;            ///< null: without TLS
};

}  // namespace pillion
