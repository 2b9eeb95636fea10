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

/// What a response to an unsafe request says itself: the groups of its Cache-Group-Invalidation, of the request's
/// origin (RFC 9875 3), whatever its status. A field of over max_response_tags members invalidates everything.
std::vector<Selector> groups_invalidated_by(const UnsafeRequest& request, Fields response_fields);

/// Its own path under every host, same-origin Location and Content-Location of `response` (nullptr: unknown outcome),
/// groups_invalidated_by() it, and the selectors of the route's rules for that method.
std::vector<Selector> selectors_of_unsafe(const UnsafeRequest& request, const RouteMatch& match,
                                          const ResponseHead* response);

/// Adds to URL selectors the spellings under which the routes store what they name: with the query as a route's
/// `query:` rule leaves it, and under every host where a route ignores the host. To group selectors, where any route
/// ignores the host, the group of no host: what such a route stores names it with an empty host.
void add_spellings(const RouteTable& routes, const std::vector<std::string>& listeners,
                   std::vector<Selector>& selectors);

}  // namespace pillion
