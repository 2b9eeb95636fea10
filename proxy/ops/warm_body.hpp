// The body of POST /warm, and the lines of its answer. Pure.
#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "flow/warmed.hpp"

namespace pillion {

/// The URLs as they were sent, in their order: whether each has the form of one is told in its line.
struct WarmRequestBody {
  std::vector<std::string> urls;
  std::string listener;  ///< empty: the usual one
};
/// `{"urls": ["/api/status"]}`, or what is wrong with it.
std::variant<WarmRequestBody, std::string> parse_warm_body(std::string_view body);

/// One line, with its line feed.
std::string warm_line(const WarmedUrl& url);

}  // namespace pillion
