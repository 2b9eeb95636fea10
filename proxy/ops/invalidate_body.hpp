// The JSON of POST /invalidate, both ways. Pure.
#pragma once

#include <boost/json/object.hpp>
#include <chrono>
#include <string>
#include <string_view>
#include <variant>

#include "ops/control.hpp"

namespace pillion {

inline constexpr std::size_t max_selectors = 1000;      ///< of one request
inline constexpr std::size_t max_selector_size = 4096;  ///< bytes of one tag, pattern or URL
inline constexpr std::chrono::seconds max_wait{30};     ///< for other replicas

/// The request, or in one line what is wrong with it: not an object, an unknown field, a wrong type, nothing selected,
/// an empty or overlong selector, a URL that is neither absolute (http, https) nor a path, a wait over max_wait.
std::variant<InvalidationRequest, std::string> parse_invalidate_body(std::string_view body);

boost::json::object to_json(const InvalidationReceipt& receipt, bool dry_run);

/// What a URL selector must look like: empty, or why this one is refused. For the command line as well.
std::string check_invalidation_url(std::string_view url);

}  // namespace pillion
