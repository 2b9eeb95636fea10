// A small blocking HTTP/1.1 client for the commands: one request, one answer, one deadline. Never throws.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/model.hpp"

namespace pillion::cli {

struct HttpRequest {
  std::string method = "GET";
  std::string target = "/";
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;  ///< sent with its Content-Length where it is not empty
  std::chrono::milliseconds time_limit{10000};
  /// Where it is set: given each piece of the body of a 200 as it comes, and `time_limit` counts anew from each.
  std::function<void(std::string_view)> on_body{};
};

struct HttpAnswer {
  unsigned status = 0;  ///< 0: none came, see `error`
  std::string body;     ///< at most 16 MiB; empty where on_body was given it
  std::vector<std::pair<std::string, std::string>> headers;
  std::string error;  ///< one line naming the address

  /// The first field of that name (case-insensitive), or empty.
  std::string header(std::string_view name) const;
};

/// `http://host[:port]` or `unix:/path`. On error `address` is unset and `error` says what would be right.
struct ParsedUrl {
  config::Address address;
  std::string error;
};
ParsedUrl parse_server_url(std::string_view url);

HttpAnswer fetch(const config::Address& address, const HttpRequest& request);

}  // namespace pillion::cli
