// From an upstream's address to a connected socket: names are looked up, several addresses are tried (RFC 8305).
// Worker-local.
#pragma once

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/model.hpp"
#include "net/async.hpp"

namespace pillion {

using Endpoints = std::vector<Socket::endpoint_type>;

/// The addresses of names, by the system's resolver, which doesn't say how long they hold: they are used for `fresh` at
/// most, and asked for again after it. Where that fails, or takes longer than `patience`, the last ones known serve on.
class NameCache {
 public:
  static constexpr std::chrono::seconds fresh{10};
  static constexpr std::chrono::milliseconds patience{200};
  static constexpr std::size_t max_addresses = 16;  ///< of one name: others are left out

  explicit NameCache(asio::any_io_executor executor) : executor_(std::move(executor)) {}
  NameCache(const NameCache&) = delete;

  using Clock = std::chrono::steady_clock;
  struct Found {
    error_code error;  ///< asio::error::timed_out where nothing was known until then
    std::vector<asio::ip::address> addresses;
  };
  /// No older than `age`. Of one name at most one question is under way, whoever waits for it.
  awaitable<Found> find(std::string name, std::chrono::milliseconds age, Clock::time_point until);
  /// Nobody answered at these: the next find() asks again.
  void doubt(const std::string& name);

 private:
  struct Entry;
  void ask(const std::string& name, std::shared_ptr<Entry> entry);
  asio::any_io_executor executor_;
  std::map<std::string, std::shared_ptr<Entry>> entries_;
};

/// RFC 8305 4: families take turns, the first one's first; the order within a family stays.
std::vector<asio::ip::address> interleaved(const std::vector<asio::ip::address>& addresses);

/// Connects to the first of these that accepts. Each is tried when the one before has failed, or has been silent for
/// 250 ms; it may win all the same. timed_out where nobody has accepted until then, else the last failure.
awaitable<std::pair<error_code, Socket>> connect_to_any(asio::any_io_executor executor, Endpoints endpoints,
                                                        NameCache::Clock::time_point until);

/// Connects within the upstream's time for that, the question for its name included.
awaitable<std::pair<error_code, Socket>> connect_to(asio::any_io_executor executor, NameCache& names,
                                                    const config::Upstream& upstream);

}  // namespace pillion
