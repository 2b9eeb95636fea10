// What an unsafe request invalidates when it succeeds, or when nobody knows whether it did (RFC 9111 4.4, and the
// route's `invalidate:`). Pure.
#pragma once

#include <string>
#include <vector>

#include "core/invalidation.hpp"
#include "core/message.hpp"
#include "core/route_table.hpp"

namespace pillion {

/// What of the request has to be known after its head is gone.
struct UnsafeRequest {
  std::string method, path, scheme, host;
  std::vector<std::string> parameters;
};

UnsafeRequest remember_unsafe(const RequestHead& request, const RouteMatch& match);

/// Its own path under every host, same-origin Location and Content-Location of `response` (nullptr: unknown outcome),
/// and the selectors of the route's rules for that method.
std::vector<Selector> selectors_of_unsafe(const UnsafeRequest& request, const RouteMatch& match,
                                          const ResponseHead* response);

}  // namespace pillion
