// The body of POST /bypass. Pure.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <variant>

namespace pillion {

inline constexpr std::chrono::hours longest_bypass{24};

struct BypassRequest {
  std::string route;               ///< empty: all
  std::chrono::milliseconds time;  ///< 0 ends it
};
/// `{"route": "character", "for": "10m"}`, or what is wrong with it.
std::variant<BypassRequest, std::string> parse_bypass_body(std::string_view body);

}  // namespace pillion
